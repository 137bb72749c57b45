"""The folder an export is written to: whose it is, whether it is finished, and files that appear whole or not at all.

``export.json`` says which splits in which form; a folder without one that is not empty is left alone. A run that was
stopped is continued by the same command: small files are compared with what they should be, large ones are whole when
they have their name. Small files are not fsynced one by one, which would take longer than writing them: the whole
disk is, once, before the export says that it is finished.
"""

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from shards import durable
from shards.export.sides import ExportError

CARD = "export.json"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LEFTOVER = re.compile(r".+\.[0-9a-f]{8}\.tmp")  # see durable.unfinished


class Place:
    """A folder that is locked while it is written. ``finished``: what the export said when it was, None before."""

    def __init__(self, folder: Path, finished: dict[str, Any] | None) -> None:
        self.folder, self.finished = folder, finished
        self._made: set[Path] = set()

    def put(self, path: str, data: bytes) -> None:
        """A small file with these bytes; left alone if it has them."""
        target = self._target(path)
        if self.has(path, len(data), xxhash.xxh3_64_intdigest(data)):
            return
        tmp = durable.unfinished(target)
        try:
            with durable.create(tmp) as file:
                durable.write(file, data)
            durable.rename(tmp, target)
        except BaseException:
            durable.remove(tmp)
            raise

    def has(self, path: str, size: int, checksum: int) -> bool:
        """Whether a file is there and holds what it should; ``checksum``: xxh3_64 of its bytes."""
        file = self.folder / path
        try:
            return file.stat().st_size == size and xxhash.xxh3_64_intdigest(file.read_bytes()) == checksum
        except FileNotFoundError:
            return False

    def exists(self, path: str) -> bool:
        """Whether a large file has its name, so is whole."""
        return (self.folder / path).exists()

    @contextmanager
    def large(self, path: str) -> Iterator[BinaryIO]:
        """A file to write; it gets its name, on the disk, when this ends well."""
        target = self._target(path)
        tmp = durable.unfinished(target)
        try:
            with open(tmp, "xb") as file:  # buffered: Arrow does not look at how much of its bytes was taken
                yield file
                file.flush()
                durable.fsync(file)
            durable.rename(tmp, target)
            durable.sync_folder(target.parent)
        except BaseException:
            durable.remove(tmp)
            raise

    def finish(self, card: dict[str, Any], said: dict[str, Any]) -> None:
        """Everything is there: have it on the disk and say so."""
        durable.sync_disk(self.folder)
        durable.write_file(self.folder / CARD, [_json({**card, "finished": said})])
        durable.sync_folder(self.folder)

    def _target(self, path: str) -> Path:
        target = self.folder / path
        if target.parent not in self._made:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(target.parent)
        return target


@contextmanager
def open_place(folder: Path, card: dict[str, Any]) -> Iterator[Place]:
    """The folder of an export, made if there is none. ``card``: what is exported; a finished one says so in
    ``Place.finished``.

    Raises ExportError if the folder holds something else, if another process writes to it, or for what its disk says.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finished = _look(folder, card)
            if finished is None:
                _clear(folder)
                durable.write_file(folder / CARD, [_json(card)])
            yield Place(folder, finished)
        except BlockingIOError:
            raise ExportError(f"another process exports to {folder}: wait for it, or name another folder") from None
        finally:
            os.close(lock)
    except OSError as error:
        if error.errno in _FULL:
            raise ExportError(
                f"the disk of {folder} is full: free space there and run the same command again, it goes on where it "
                "stopped"
            ) from None
        raise ExportError(f"{folder} cannot be written ({error.strerror or error}): name another folder") from None


def _look(folder: Path, card: dict[str, Any]) -> dict[str, Any] | None:
    """What an export that is finished here said."""
    try:
        there = json.loads((folder / CARD).read_bytes())
        finished = there.pop("finished", None)
    except FileNotFoundError:
        if any(not _LEFTOVER.fullmatch(name) for name in os.listdir(folder)):
            raise ExportError(f"{folder} holds other things: name a folder that is empty or not there yet") from None
        return None
    except (ValueError, AttributeError):
        there = finished = None
    if there != json.loads(_json(card)):
        raise ExportError(f"{folder} holds another export, see its {CARD}: name another folder, or remove that one")
    return finished


def _clear(folder: Path) -> None:
    """Remove what a run that was killed left half-written."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if _LEFTOVER.fullmatch(name):
                durable.remove(Path(parent, name))


def _json(card: dict[str, Any]) -> bytes:
    return json.dumps(card, indent=1, ensure_ascii=False).encode() + b"\n"
