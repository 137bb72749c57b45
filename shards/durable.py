"""Every change this room makes to a disk: write, fsync, rename, fsync of the folder, remove.

A file is finished when it has its name: it is written under a name of its own that ends in ``.tmp``, fsynced, renamed,
and the folder is fsynced. These few functions are the only ones that touch the disk, so that tests can stop the
process at the n-th of them. Given up: buffering between calls (callers hand over whole samples).
"""

import ctypes
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

_libc = ctypes.CDLL(None, use_errno=True)  # syncfs(2) of Linux, which Python does not offer


def unfinished(path: Path) -> Path:
    """A fresh ``NAME.<8 hex digits>.tmp`` beside ``path``: two processes at the same file never share a half one."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")


def create(path: Path) -> BinaryIO:
    """Open a new file for writing, unbuffered. Raises FileExistsError if it exists."""
    return open(path, "xb", buffering=0)


def write(file: BinaryIO, data: bytes) -> None:
    """Write all of ``data`` at the end of the file."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def fsync(file: BinaryIO) -> None:
    """Wait until the file's bytes are on the disk."""
    os.fsync(file.fileno())


def rename(source: Path, target: Path) -> None:
    """Give a finished file its name, replacing what had it."""
    os.replace(source, target)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_disk(folder: Path) -> None:
    """Wait until all that was written to the disk of a folder is on it: once for very many small files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(folder))
    finally:
        os.close(descriptor)


def remove(path: Path) -> bool:
    """Remove a file; False if there was none."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable in its parent."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for path in reversed(missing):
        if not path.exists():
            path.mkdir(exist_ok=True)
            sync_folder(path.parent)


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """A whole file, or none: written beside, fsynced, renamed. Sync its folder afterwards, once for many files."""
    tmp = unfinished(path)
    try:
        with create(tmp) as file:
            for chunk in chunks:
                write(file, chunk)
            fsync(file)
        rename(tmp, path)
    except BaseException:
        remove(tmp)
        raise
