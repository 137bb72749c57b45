"""The local cache: fetched bytes of remote shards and materialised splits in one folder, under one size limit.

Processes share it through files and flock alone, so a SIGKILL leaves no lock and no half entry behind: bytes count as
present only once a record says so, and are believed only if they pass their checksum. Least recently used entries go
first, those in use stay. Only files that this module named are ever deleted. Given up: the very last bytes of a power
cut (nothing fetched is fsynced, what was lost fails its checksum and is fetched again).

    CACHE/CACHEDIR.TAG             says that this folder is a cache (bford.info/cachedir)
    CACHE/lock                     who takes room; holds the bytes in use, int64
    CACHE/flights/XX               held by whoever fetches something, so that nobody fetches it at the same time
    CACHE/contents.jsonl           which content a shard at an address has
    CACHE/fetched/CONTENT.bytes    a sparse file: the fetched bytes of a shard, at their places
    CACHE/fetched/CONTENT.present  which those are: records of RECORD
    CACHE/materialized/*.bytes     see materialize.py
    CACHE/materialized/*.origin    the shards from which it can be made again: {"shards": folder or address, "names"}
"""

import errno
import fcntl
import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import xxhash

from shards import durable
from shards.errors import ShardError
from shards.uri import is_address

DEFAULT_FOLDER = Path("~/.cache/deepshard")
DEFAULT_LIMIT = 50 << 30  # bytes
RECORD = np.dtype([("start", "<i8"), ("end", "<i8"), ("check", "<u8")])  # bytes [start, end) of the shard are present

_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# What deepshard fetched or materialised; it can be made again.\n"
_FETCHED, _MATERIALIZED = "fetched", "materialized"
_ENTRY = {_FETCHED: re.compile(r"[0-9a-f]{16}\.bytes"), _MATERIALIZED: re.compile(r"[0-9a-f]{64}\.\w+\.\w+\.bytes")}
_LEFTOVER = re.compile(r"[0-9a-f]{64}\.\w+\.\w+\.\w+\.[0-9a-f]{8}\.tmp")  # of a killed process, unless it is locked
_FLIGHTS = 256
_PAGE = 4096
_EXTENTS = 340  # that a block of ext4's extent tree tells of: 4096 bytes, 12 of them the header, 12 for each
_IN_INODE = 4  # that need no block
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: a record of zeros or of half its bytes does not check


class CacheError(ShardError):
    """A cache that cannot be used or has no room; the message says what to do."""


@dataclass(frozen=True)
class Entry:
    """One file of the cache. ``kind``: fetched or materialized; ``bytes``: that it counts; ``used_at``: Unix time."""

    kind: str
    path: Path
    bytes: int
    used_at: float


class Cache:
    """A cache folder, made where there is none. ``limit``: bytes on disk that all its entries together may take.

    Raises CacheError if the folder cannot be made or holds something else.
    """

    def __init__(self, folder: Path | str = DEFAULT_FOLDER, limit: int = DEFAULT_LIMIT) -> None:
        self.folder, self.limit = Path(folder).expanduser().absolute(), limit
        tag = self.folder / "CACHEDIR.TAG"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not tag.exists():
                if any(path.name not in (tag.name, "lock") for path in self.folder.iterdir()) and not tag.exists():
                    raise CacheError(f"{self.folder} holds other things: give the cache an empty folder of its own")
                tag.write_bytes(_TAG)
            for name in (_FETCHED, _MATERIALIZED, "flights"):
                (self.folder / name).mkdir(exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"the cache {self.folder} cannot be written ({error.strerror}): name another folder"
            ) from error
        self._contents: dict[tuple[str, str], tuple[str, float]] = {}
        self._read_to = 0
        self._told_full = False

    @property
    def materialized(self) -> Path:
        """The folder of materialised splits."""
        return self.folder / _MATERIALIZED

    def fetched(self, content: str) -> "Fetched":
        """The bytes at hand of the shard with this content (16 hex digits); a context manager."""
        return Fetched(self, self.folder / _FETCHED / f"{content}.bytes")

    @contextmanager
    def flight(self, *what: object) -> Iterator[None]:
        """Held by one process or thread at a time for the same things: look again whether somebody else fetched it."""
        number = xxhash.xxh3_64_intdigest(repr(what).encode()) % _FLIGHTS
        with _locked(self.folder / "flights" / f"{number:02x}", fcntl.LOCK_EX):
            yield

    def allocate(self, descriptor: int, offset: int, size: int) -> bool:
        """Room on disk for bytes of an open file of this cache; evicts others for it. False if there is none to be had.

        A full disk is no error here: it is told once, and what is read is not kept.
        """
        first, last = offset // _PAGE * _PAGE, -(-(offset + size) // _PAGE) * _PAGE
        with _locked(self.folder / "lock", fcntl.LOCK_EX) as lock:
            before = _on_disk(os.fstat(descriptor))
            beside = 0 if before else _PAGE  # the entry's small file
            need = _charged(before + last - first) - _charged(before) + beside
            used = self._used(lock)
            if used + need > self.limit:
                used = self._evict(lock, self.limit - need)
                if used + need > self.limit:
                    return False
            while True:
                try:
                    os.posix_fallocate(descriptor, offset, size)
                except OSError as error:
                    if error.errno not in _FULL:
                        raise
                    if self._evict(lock, used - 1) >= used:
                        self._tell_full(error)
                        return False
                    used = self._used(lock)
                    continue
                self._set_used(lock, used + _charged(_on_disk(os.fstat(descriptor))) - _charged(before) + beside)
                return True

    def entries(self) -> list[Entry]:
        """What lies in the cache, least recently used first."""
        found = []
        for kind, pattern in _ENTRY.items():
            for item in os.scandir(self.folder / kind):
                if pattern.fullmatch(item.name):
                    path = Path(item.path)
                    try:
                        facts = item.stat()
                    except FileNotFoundError:
                        continue
                    size = _charged(_on_disk(facts))
                    size += max(_PAGE, _charged(_size_of(path.with_suffix(".present")))) if size else 0
                    found.append(Entry(kind, path, size, facts.st_mtime_ns / 1e9))
        return sorted(found, key=lambda entry: entry.used_at)

    def shrink(self, limit: int) -> int:
        """Evict until at most ``limit`` bytes are left, or only what is in use or cannot be had again; bytes left."""
        with _locked(self.folder / "lock", fcntl.LOCK_EX) as lock:
            return self._evict(lock, limit)

    def content(self, address: str, shard: str) -> tuple[str, float] | None:
        """The content of a shard at an address, and when it was asked for (Unix time); None if it never was."""
        if (address, shard) not in self._contents:
            self._read_contents()
        return self._contents.get((address, shard))

    def note_content(self, address: str, shard: str, content: str) -> None:
        """Remember the content of a shard at an address, for every process."""
        fact = {"address": address, "shard": shard, "content": content, "asked": time.time()}
        self._contents[address, shard] = (content, fact["asked"])
        try:
            with open(self.folder / "contents.jsonl", "ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(b"\n" + json.dumps(fact).encode() + b"\n")  # whatever a full disk left of the last line ends
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._tell_full(error)

    def _read_contents(self) -> None:
        try:
            with open(self.folder / "contents.jsonl", "rb") as file:
                file.seek(self._read_to)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                fact = json.loads(line)
                self._contents[fact["address"], fact["shard"]] = (fact["content"], fact["asked"])
            except (ValueError, KeyError, TypeError):
                continue  # empty, or cut off: it will be asked for again

    def _used(self, lock: int) -> int:
        """Bytes on disk as they were counted last; a process that was killed may have left too high a count."""
        data = os.pread(lock, 8, 0)
        return int.from_bytes(data, "little") if len(data) == 8 else self._evict(lock, self.limit)

    def _set_used(self, lock: int, used: int) -> None:
        os.pwrite(lock, used.to_bytes(8, "little"), 0)

    def _evict(self, lock: int, limit: int) -> int:
        """Count what lies here, and remove what was used least recently until it is at most ``limit``."""
        for item in os.scandir(self.folder / _MATERIALIZED):
            if _LEFTOVER.fullmatch(item.name):
                _remove_unused(Path(item.path))
        entries = self.entries()
        used = sum(entry.bytes for entry in entries)
        unfinished = [i.stat() for i in os.scandir(self.folder / _MATERIALIZED) if _LEFTOVER.fullmatch(i.name)]
        used += sum(_charged(_on_disk(facts)) for facts in unfinished)
        for entry in entries:
            if used <= limit:
                break
            if _remove_unused(entry.path):
                used -= entry.bytes
        self._set_used(lock, used)
        return used

    def _tell_full(self, error: OSError) -> None:
        if not self._told_full:
            self._told_full = True
            warnings.warn(
                f"the disk of the cache {self.folder} takes no more ({error.strerror}): what is fetched from now on is "
                "not kept. Free space there, or name a cache on another disk",
                stacklevel=2,
            )


class Fetched:
    """Fetched bytes of one shard. While it is open it is in use, and not evicted."""

    def __init__(self, cache: Cache, path: Path) -> None:
        self._cache, self.path = cache, path
        self._present = path.with_suffix(".present")

    def __enter__(self) -> "Fetched":
        self.descriptor = open_locked(self.path, os.O_RDWR | os.O_CREAT)
        touch(self.descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def holds(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Which of the ranges [start, end) are present as a whole: bool [N]."""
        firsts, lasts = self._extents()
        if not len(firsts):
            return np.zeros(len(starts), bool)
        at = np.searchsorted(firsts, starts, "right") - 1
        return (at >= 0) & (ends <= lasts[at])

    def reserve(self, start: int, size: int) -> bool:
        """Make room for bytes that are about to be fetched; False if there is none."""
        return self._cache.allocate(self.descriptor, start, size)

    def add(self, start: int, data: bytes | memoryview) -> None:
        """Keep bytes for which there is room. They are present once all of them are written."""
        try:
            view, at = memoryview(data), start
            while view:
                done = os.pwrite(self.descriptor, view, at)
                view, at = view[done:], at + done
            record = np.zeros(1, RECORD)
            record["start"], record["end"] = start, at
            record["check"] = _check(record)
            with _locked(self._present, fcntl.LOCK_EX) as file:
                facts = os.fstat(file)
                at = facts.st_size - facts.st_size % RECORD.itemsize
                end = at + RECORD.itemsize
                page = (end - 1) // _PAGE * _PAGE  # the first was counted with the entry
                if page < max(_PAGE, _on_disk(facts)) or self._cache.allocate(file, page, end - page):
                    os.pwrite(file, record.tobytes(), at)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._cache._tell_full(error)

    def _extents(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last byte (exclusive) of every stretch that is present, sorted and disjoint: int64 [K]."""
        try:
            data = self._present.read_bytes()
        except FileNotFoundError:
            data = b""
        records = np.frombuffer(data, RECORD, len(data) // RECORD.itemsize)
        records = records[records["check"] == _check(records)]
        records = records[np.argsort(records["start"], kind="stable")]
        starts, ends = records["start"], np.maximum.accumulate(records["end"])
        if not len(starts):
            return starts, ends
        begins = np.append(True, starts[1:] > ends[:-1])
        return starts[begins], ends[np.append(begins[1:], True)]


def create_locked(path: Path) -> BinaryIO:
    """A new file beside ``path`` under a name of its own, that no eviction takes for a leftover while it is open."""
    while True:
        file = durable.create(durable.unfinished(path))
        fcntl.flock(file, fcntl.LOCK_SH)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def open_locked(path: Path, flags: int) -> int:
    """A descriptor of an entry that is in use until it is closed. Raises OSError (FileNotFoundError if it is gone)."""
    while True:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was evicted between opening and locking


def touch(descriptor: int) -> None:
    """Note that an entry was used now."""
    if time.time() - os.fstat(descriptor).st_mtime > 1:
        os.utime(descriptor)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_unused(path: Path) -> bool:
    """Delete an entry, unless somebody uses it or its shards are gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _can_be_had_again(path):
            return False
        path.with_suffix(".present").unlink(missing_ok=True)  # first: it must never speak for bytes that are gone
        os.truncate(descriptor, 0)  # whoever still has it open frees its blocks all the same
        path.unlink(missing_ok=True)
        path.with_suffix(".origin").unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _can_be_had_again(path: Path) -> bool:
    """Whether the shards behind an entry are still there. What was fetched has an address; so has what was not."""
    if path.parent.name == _FETCHED or _LEFTOVER.fullmatch(path.name):
        return True
    try:
        origin = json.loads(path.with_suffix(".origin").read_bytes())
        return is_address(origin["shards"]) or all(
            Path(origin["shards"], f"{name}.tar").exists() for name in origin["names"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check(records: np.ndarray) -> np.ndarray:
    return (records["start"].astype(np.uint64) + np.uint64(1)) * _MIX ^ records["end"].astype(np.uint64)


def _on_disk(facts: os.stat_result) -> int:
    return facts.st_blocks * 512


def _charged(on_disk: int) -> int:
    """What a file counts that takes so many bytes: with the blocks in which the file system notes where they lie.

    Those come later than the bytes, when a file gets more extents, and belong to it. It has at most one extent a page.
    """
    extents = on_disk // _PAGE
    return on_disk + (-(-extents // _EXTENTS) * _PAGE if extents > _IN_INODE else 0)


def _size_of(path: Path) -> int:
    try:
        return _on_disk(path.stat())
    except FileNotFoundError:
        return 0
