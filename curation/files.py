"""A video's bytes, on a disk, in a store or in an archive: size and time, a hash, and whether it is there at all."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from curation.frames.image_clip import image_files
from curation.scratch import own_disk, scratch_folder
from curation.sources.archive import archive_of, images
from curation.sources.remote import Place, RemotePath


def is_there(root: Place) -> bool:
    """Whether a source's root can be listed and holds something: the mount point of a lost disk is an empty folder."""
    try:
        if isinstance(root, RemotePath):
            return next(root.iterdir(), None) is not None
        with os.scandir(root) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def fingerprint(path: Place, kind: str) -> tuple[int, int]:
    """Size in bytes and time of modification in ns; of a folder of images, their sum and the newest; of what lies in an
    archive, the archive's. Raises OSError."""
    if packed := archive_of(path):
        stat = packed[0].stat()
        return stat.st_size, stat.st_mtime_ns
    if kind != "frames":
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns
    stats = [file.stat() for file in image_files(path)]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def content_hash(path: Place, kind: str, beat: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file's bytes; of a folder of images, packed or not, of their names and bytes in natural order.

    Raises OSError; ArchiveError and ScratchError where it lies in an archive."""
    if packed := archive_of(path):
        with scratch_folder() as folder:
            unpack(*packed, folder / "images", beat)
            return content_hash(folder / "images", kind, beat)
    digest = hashlib.sha256()
    for block in _blocks(image_files(path) if kind == "frames" else [path], kind == "frames"):
        digest.update(block)
        beat()
    return digest.hexdigest()


def unpack(archive: Place, inner: str, to: Path, beat: Callable[[], None]) -> None:
    """The images of a folder in an archive as files in the folder ``to``. Raises ArchiveError, OSError, ScratchError;
    FileNotFoundError where the archive has no such folder."""
    with own_disk():
        to.mkdir(parents=True)
    found = False
    for name, stream in images(archive, inner, beat):
        found = True
        with own_disk():
            out = (to / name).open("wb")
        with out:
            while block := stream.read(1 << 20):
                with own_disk():
                    out.write(block)
                beat()
            with own_disk():
                out.flush()
    if not found:
        raise FileNotFoundError(errno.ENOENT, f"the archive has no images in {inner}", str(archive))


def _blocks(files: Iterable[Place], named: bool) -> Iterator[bytes]:
    for file in files:
        if named:
            yield f"{file.name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape")
        if file.exists() and not file.is_file():  # a pipe would be read for ever
            raise OSError(errno.EINVAL, "it is not a file")
        if isinstance(file, RemotePath):
            yield from file.blocks()
            continue
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                yield block
