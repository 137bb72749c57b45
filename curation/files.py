"""A video's bytes, on a disk or in a store: size and time, a hash, and whether what they lie on is there at all."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator

from curation.frames.image_clip import image_files
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
    """Size in bytes and time of modification in ns; of a folder of images, their sum and the newest. Raises OSError."""
    if kind != "frames":
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns
    stats = [file.stat() for file in image_files(path)]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def content_hash(path: Place, kind: str, beat: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file's bytes; of a folder of images, of their names and bytes in natural order. Raises OSError."""
    digest = hashlib.sha256()
    for block in _blocks(image_files(path) if kind == "frames" else [path], kind == "frames"):
        digest.update(block)
        beat()
    return digest.hexdigest()


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
