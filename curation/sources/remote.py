"""Roots that are addresses (``s3://bucket/FF++``): the few things that are asked of a ``Path``, answered by fsspec.

Adapters, scans and the look for changes read a root and nothing else of it, so they work on either kind. Names under
a root are as on a disk: relative, with ``/``. Decoders need files: ``curation.fetch`` brings one video at a time.
"""

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from fsspec import AbstractFileSystem

from curation.sources.error import SourceError
from shards.uri import AddressError, is_address, open_address, stat_of, telling

_KINDS = {"file": "file", "directory": "folder"}


class RemotePath:
    """A file or folder in a store, read only, with the methods of ``Path`` by which roots are read.

    Whatever the store's client raises comes as an OSError that names no address. ``str`` is the address.
    """

    def __init__(self, address: str, fs: AbstractFileSystem, path: str, parts: tuple[str, ...] = (), info: Any = None):
        self._address, self._fs, self._path, self._parts = address, fs, path, parts
        self._known = info  # what a listing told of it

    def __truediv__(self, relative: str) -> "RemotePath":
        below = tuple(part for part in str(relative).split("/") if part not in ("", "."))
        if ".." in below:
            raise SourceError(f"{relative!r} leads out of {self}: give a path below it")
        return RemotePath(self._address, self._fs, self._path, self._parts + below) if below else self

    def __str__(self) -> str:
        return "/".join((self._address, *self._parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def name(self) -> str:
        return str(self).rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> "RemotePath":
        """The folder it lies in; the root is its own."""
        return RemotePath(self._address, self._fs, self._path, self._parts[:-1])

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def absolute(self) -> "RemotePath":
        return self

    def resolve(self) -> "RemotePath":
        return self

    def exists(self) -> bool:
        return self._kind() is not None

    def is_file(self) -> bool:
        return self._kind() == "file"

    def is_dir(self) -> bool:
        return self._kind() == "folder"

    def stat(self) -> SimpleNamespace:
        """``st_size`` and ``st_mtime_ns``, see ``shards.uri.stat_of``. Raises OSError."""
        size, mtime = stat_of(self._info())
        return SimpleNamespace(st_size=size, st_mtime_ns=mtime)

    def iterdir(self) -> Iterator["RemotePath"]:
        """What lies in this folder. Raises OSError."""
        with telling(self.name):
            found = self._fs.ls(self._inner, detail=True)
        for info in found:
            if (name := self._relative(info)) and "/" not in name:
                yield RemotePath(self._address, self._fs, self._path, (*self._parts, name), info)

    def below(self) -> Iterator[tuple[str, "RemotePath"]]:
        """Every file at any depth and its path relative to this folder: few questions for large trees."""
        with telling(self.name):
            found = self._fs.find(self._inner, detail=True)
        for info in found.values():
            if name := self._relative(info):
                parts = tuple(name.split("/"))
                yield name, RemotePath(self._address, self._fs, self._path, self._parts + parts, info)

    def kind(self) -> str:
        """file | folder | special, as an ``Entry`` calls it. Raises OSError."""
        return _KINDS.get(self._info()["type"], "special")

    def blocks(self, size: int = 4 << 20) -> Iterator[bytes]:
        """The bytes of a file, ``size`` at a time. Raises OSError, also where fewer come than the store told of."""
        told, came = self.stat().st_size, 0
        with telling(self.name):
            stream = self._fs.open(self._inner, "rb")
        with stream:
            while True:
                with telling(self.name):
                    block = stream.read(size)
                if not block:
                    break
                came += len(block)
                yield block
        if came != told:
            raise OSError(errno.EIO, f"{came:,} of {told:,} bytes came", self.name)

    def open(self, mode: str = "r", encoding: str = "utf-8", newline: str | None = None) -> io.StringIO:
        """A text file, whole in memory."""
        return io.StringIO(self.read_bytes().decode(encoding), newline=newline)

    def read_bytes(self) -> bytes:
        with telling(self.name):
            return self._fs.cat_file(self._inner)

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    @property
    def _inner(self) -> str:
        return "/".join((*([self._path.rstrip("/")] if self._path else []), *self._parts)) or self._path

    def _relative(self, info: dict[str, Any]) -> str:
        """The path of a listed thing below this folder; empty for the folder itself, which some stores list."""
        return info["name"].lstrip("/").removeprefix(self._inner.lstrip("/")).strip("/")

    def _info(self) -> dict[str, Any]:
        if self._known is None:
            with telling(self.name):
                return self._fs.info(self._inner)
        return self._known

    def _kind(self) -> str | None:
        try:
            return self.kind()
        except FileNotFoundError:
            return None


Place = Path | RemotePath


def place_of(root: str | os.PathLike | RemotePath) -> Place:
    """A root as something to read: a folder of this machine, or an address. Raises SourceError for an address that
    cannot be opened or that holds a key."""
    if isinstance(root, RemotePath):
        return root
    if not is_address(root):
        return Path(root)
    try:
        fs, path = open_address(root)
    except AddressError as error:
        raise SourceError(f"{error}.") from error
    return RemotePath(root.rstrip("/"), fs, path)
