"""Tars of images as they were published: which folders of images lie in one, and the images of one of them.

A folder in an archive is called ``fake_train/1.tar.gz!/1/fake/131``, as Java's URLs do it. A gzip stream has no random
access, so both questions read the archive through, which also compares its checksum. Names in it come from strangers:
nothing is ever written under them but their last part, and an archive that holds a link, a device or a name that leads
out of it is refused whole, as is one that unpacks to far more than images can.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from curation.sources.error import SourceError
from curation.sources.remote import Place, RemotePath
from curation.sources.tree import IMAGE_EXTENSIONS, split_extension

EXTENSIONS = (".tar.gz", ".tgz", ".tar")
_MOST = 64  # times its own size: images are compressed already, so an archive of them hardly shrinks
_ALLOWANCE = 1 << 26  # bytes that any archive may unpack to; the smallest ones are mostly padding

_ARCHIVE = re.compile(rf".+(?:{'|'.join(map(re.escape, EXTENSIONS))})!", re.IGNORECASE)


class ArchiveError(SourceError):
    """An archive that is damaged, or that holds what no dataset's archive should; the message says what."""


def inside(archive: str, folder: str) -> str:
    """The path of a folder in an archive."""
    return f"{archive}!/{folder}"


def archive_of(place: Place) -> tuple[Place, str] | None:
    """The archive and the folder in it that a place means; None for a place that is in no archive, also where there is
    a folder of that very name, as in a scratch folder."""
    if "!/" not in str(place):
        return None
    here, inner = place, []
    while not _ARCHIVE.fullmatch(here.name):
        if here.parent == here:
            return None
        inner.append(here.name)
        here = here.parent
    if isinstance(here, Path) and here.is_dir():
        return None
    return here.parent / here.name[:-1], "/".join(reversed(inner))


def image_folders(archive: Place) -> dict[str, list[str]]:
    """The folders in an archive that hold images, with the images' names. Raises ArchiveError, OSError."""
    folders: dict[str, list[str]] = {}
    for folder, name, _ in _members(archive):
        if _is_image(name):
            folders.setdefault(folder, []).append(name)
    return folders


def images(archive: Place, folder: str, beat: Callable[[], None] = lambda: None) -> Iterator[tuple[str, BinaryIO]]:
    """The images of one folder, each with a stream that must be read before the next is asked for. ``beat`` is called
    for every file that lies in the archive, wanted or not.

    Raises ArchiveError, at the end too where the checksum is not that of what was read; OSError.
    """
    for where, name, stream in _members(archive):
        beat()
        if where == folder and _is_image(name):
            yield name, stream


def _is_image(name: str) -> bool:
    return split_extension(name)[1].lower() in IMAGE_EXTENSIONS


def _members(archive: Place) -> Iterator[tuple[str, str, BinaryIO]]:
    """(folder, name, stream) of every file, in the archive's order."""
    with _opened(archive) as raw, _damage(archive):
        stream = gzip.GzipFile(fileobj=raw) if _is_gzip(raw) else raw
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            left = _MOST * _size(archive) + _ALLOWANCE
            for member in tar:
                folder, name = _place(archive, member)
                left -= member.size
                if left < 0:
                    raise ArchiveError(f"{archive} unpacks to more than {_MOST} times its size: it is not read.")
                if member.isreg():
                    yield folder, name, tar.extractfile(member)
        while stream.read(1 << 20):  # to the checksum, which stands at the end
            pass


def _place(archive: Place, member: tarfile.TarInfo) -> tuple[str, str]:
    if not (member.isreg() or member.isdir()):
        raise ArchiveError(f"{archive} holds {member.name!r}, which is neither file nor folder: it is not read.")
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if member.name.startswith("/") or ".." in parts:
        raise ArchiveError(f"{archive} holds {member.name!r}, which leads out of it: it is not read.")
    return "/".join(parts[:-1]), parts[-1] if parts else ""


@contextmanager
def _damage(archive: Place) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(f"{archive} is damaged ({error}): fetch it again.") from error


@contextmanager
def _opened(archive: Place) -> Iterator[BinaryIO]:
    if isinstance(archive, RemotePath):
        yield io.BufferedReader(_Blocks(archive.blocks()))
        return
    with archive.open("rb") as file:
        yield file


def _is_gzip(stream: io.BufferedReader) -> bool:
    return stream.peek(2)[:2] == b"\x1f\x8b"


def _size(archive: Place) -> int:
    return archive.stat().st_size


class _Blocks(io.RawIOBase):
    """Blocks of bytes as a stream."""

    def __init__(self, blocks: Iterable[bytes]):
        self._blocks, self._rest = iter(blocks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        self._rest = self._rest or next(self._blocks, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
