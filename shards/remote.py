"""Shards at an address (``hf://``, ``s3://``, ``https://``, ...): read by ranges, kept in the local cache.

A batch first brings the blocks its rows lie in, then reads like any other from files on this disk, each member against
its checksum. A block is as many neighbouring rows as the order shuffles together (order.BLOCK), so what is brought
with a row is wanted soon; ranges of a block that nearly touch are one request, and a shard of which much is wanted in
many requests is taken whole, because stores limit requests. What the cache cannot keep is read through.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from shards import sidecar
from shards.attached import Place, read_attached
from shards.cache import DEFAULT_FOLDER, DEFAULT_LIMIT, Cache, Fetched
from shards.errors import ReadError
from shards.order import BLOCK
from shards.reader import GAP, Ranges, Run, ShardReader, runs
from shards.uri import check_no_key, is_address, open_address, telling

REMOTE_GAP = 128 << 10  # bytes fetched in vain rather than by another request
PIECE = 32 << 20  # bytes per request where a shard is taken whole
REQUEST_COST = 4 << 20  # bytes that could be fetched while a request waits its turn; benchmarks/remote.py measures it
LEAST_WHOLE = 0.05  # no shard is taken whole for a smaller part of it
THREADS = 8  # requests under way in one process
_LONGEST_PAUSE_S = 300  # the Hub counts requests over five minutes
_REST_S = 60  # after giving up, nothing is asked for so long

_UNBUFFERED = (LocalFileSystem, MemoryFileSystem)

T = TypeVar("T")


@dataclass(frozen=True)
class Remote:
    """Shards that lie elsewhere.

    ``address``: the folder with NAME.tar and its mark NAME.videos.parquet, as ``deepshard curate --mirror`` writes it.
    ``cache``: a folder on this machine, ``limit``: bytes it may take. ``offline``: ask for nothing, use what is cached.
    ``tries`` of a request, the first pause ``pause_s`` seconds, then twice as long each time. ``places``: of shards
    that do not lie in that folder under their own names, or whose content is known, where they are.
    """

    address: str
    cache: Path | str = DEFAULT_FOLDER
    limit: int = DEFAULT_LIMIT
    offline: bool = False
    tries: int = 8
    pause_s: float = 0.5
    places: Mapping[str, Place] = field(default_factory=dict, hash=False, repr=False)

    def __post_init__(self) -> None:
        check_no_key(self.address)

    def __str__(self) -> str:
        return self.address

    def stem(self, shard: str) -> str:
        """Where a shard lies below the address, without ``.tar``."""
        return self.places[shard].stem if shard in self.places else shard


class Unreachable(Exception):
    """A store that did not answer; the message says how often it was asked."""


class _Unknown(NamedTuple):
    """A shard of which not even the content is known."""

    why: str
    descriptor: int = -1


class _Job(NamedTuple):
    """Bytes [start, end) of a shard to bring, and the wanted members that lie in them, some perhaps in part."""

    shard: str
    start: int
    end: int
    starts: np.ndarray
    ends: np.ndarray
    checksums: np.ndarray

    @classmethod
    def of(cls, run: Run, start: int, end: int) -> "_Job":
        return cls(run.name, start, end, np.array(run.lows), np.array(run.highs), np.array(run.checksums, np.uint64))

    def at_hand(self, entry: Fetched) -> bool:
        """Whether the cache has what is wanted of these bytes."""
        return bool(entry.holds(np.maximum(self.starts, self.start), np.minimum(self.ends, self.end)).all())

    def fits(self, data: np.ndarray) -> bool:
        """Whether every wanted member that lies in these bytes as a whole is what it should be."""
        lows, highs = self.starts - self.start, self.ends - self.start
        return all(
            xxhash.xxh3_64_intdigest(data[low:high]) == checksum
            for low, high, checksum in zip(lows.tolist(), highs.tolist(), self.checksums.tolist(), strict=True)
            if low >= 0 and high <= len(data)
        )


class RemoteReader(ShardReader):
    """Reads members of shards at an address through the cache.

    ``pinned_at``: when the split was pinned; what is known of the shards since before that is asked for again.
    """

    far = True

    def __init__(self, remote: Remote, pinned_at: float = 0) -> None:
        super().__init__(Path(remote.cache))
        self.remote, self._pinned_at = remote, pinned_at
        self.cache = Cache(remote.cache, remote.limit)
        self._contents: dict[str, str] = {}
        self._in_use = threading.local()
        self._plans: dict[tuple[int, ...], _Plan] = {}
        self._process = 0
        self._resting = (0.0, "")
        self._later: SimpleQueue | None = None
        self._ahead: set[tuple[tuple[int, ...], int]] = set()  # blocks on their way

    def fetch(self, ranges: Ranges, gap: int = GAP) -> tuple[list[np.ndarray | None], dict[int, str]]:
        """As ``ShardReader.fetch``: from the cache what passes its checksum there, everything else from the address."""
        found: list[np.ndarray | None] = [None] * len(ranges.offsets)
        faults: dict[int, str] = {}
        codes = np.unique(ranges.shards)
        for begin in range(0, len(codes), self._limit):
            rows = np.flatnonzero(np.isin(ranges.shards, codes[begin : begin + self._limit]))
            members, wrong = self._fetch_some(ranges.take(rows), gap)
            for row, member in zip(rows.tolist(), members, strict=True):
                found[row] = member
            faults.update((int(rows[i]), why) for i, why in wrong.items())
        return found, faults

    def _fetch_some(self, ranges: Ranges, gap: int) -> tuple[list[np.ndarray | None], dict[int, str]]:
        """The same, for no more shards than may be open at once."""
        with ExitStack() as in_use:
            entries = self._in_use.entries = self._entries(ranges, in_use)
            found, faults = super().fetch(ranges, gap)
            if faults:
                for plan in self._plans.values():
                    plan.complete[:] = False  # others evict: look again what there is
                self._read_through(ranges, entries, found, faults)
        return found, faults

    def bring(self, ranges: Iterable[Ranges], rows: np.ndarray, wait: bool = True) -> None:
        """Have the blocks of these rows of a split in the cache. ``ranges``: of whole members of the split.

        ``wait=False`` returns at once. What cannot be brought is left to ``fetch``, which tells why.
        """
        self._in_this_process()
        ranges = list(ranges)
        members = tuple(id(member.offsets) for member in ranges)
        if members not in self._plans:
            self._plans[members] = _Plan(ranges, self.remote.limit)
        plan = self._plans[members]
        blocks = np.unique(rows[rows >= 0] // BLOCK)
        blocks = blocks[~plan.complete[blocks]].tolist()
        if wait and blocks:
            self._bring(plan, blocks)
        elif not wait:
            if self._later is None:
                self._later = SimpleQueue()
                for _ in range(THREADS):  # daemons: a process ends without waiting for what it no longer needs
                    threading.Thread(target=self._bring_later, args=(self._later,), daemon=True).start()
            for block in blocks:
                if (members, block) not in self._ahead:
                    self._ahead.add((members, block))
                    self._later.put((members, block))

    def check(self, ends: Mapping[str, int]) -> None:
        """Raises ReadError if one of these shards is not at the address, unless the cache has some of it.

        Their marks vouch for their lengths: a mark is put there last.
        """
        self._in_this_process()
        for _ in self._requests.map(self._content, ends):
            pass

    def _file(self, name: str) -> Fetched:
        return self._in_use.entries[name]

    def _entries(self, ranges: Ranges, in_use: ExitStack) -> dict[str, "Fetched | _Unknown"]:
        """The cache's entry of each shard, in use until ``in_use`` ends."""
        entries: dict[str, Fetched | _Unknown] = {}
        for code in np.unique(ranges.shards).tolist():
            name = ranges.names[code]
            try:
                entries[name] = in_use.enter_context(self.cache.fetched(self._content(name)))
            except ReadError as error:
                entries[name] = _Unknown(str(error))
        return entries

    def _read_through(self, ranges: Ranges, entries: dict, found: list, faults: dict[int, str]) -> None:
        """Members that the cache does not have, or has damaged, from the address; keeps them where there is room."""
        self._in_this_process()
        wanted = np.sort(np.fromiter(faults, np.int64, len(faults)))
        faults.clear()
        missing = list(runs(ranges.take(wanted), REMOTE_GAP))
        answers = self._requests.map(lambda run: self._answer(run, entries[run.name]), missing)
        for run, data in zip(missing, answers, strict=True):
            rows, entry = wanted[run.rows].tolist(), entries[run.name]
            job = _Job.of(run, run.start, run.end)
            if isinstance(data, str):
                there = [False] * len(rows) if isinstance(entry, _Unknown) else entry.holds(job.starts, job.ends)
                for row, damaged in zip(rows, there, strict=True):
                    faults[row] = f"the cached bytes are damaged, and {data}" if damaged else data
                continue
            for row, low, high, checksum in zip(rows, run.lows, run.highs, run.checksums, strict=True):
                member = data[low - run.start : high - run.start]
                if xxhash.xxh3_64_intdigest(member) == checksum:
                    found[row] = member
                else:
                    faults[row] = (
                        f"the bytes at offset {low} of {self.remote}/{run.name}.tar are not those the split was pinned "
                        "on (their checksum differs): send the shard there again, or pin the split on what is there"
                    )
            if job.fits(data) and entry.reserve(job.start, len(data)):
                entry.add(job.start, data)

    def _answer(self, run: Run, entry: "Fetched | _Unknown") -> np.ndarray | str:
        """The bytes of a run, or why there are none."""
        if isinstance(entry, _Unknown):
            return entry.why
        try:
            return self._wire(_Job.of(run, run.start, run.end))
        except ReadError as error:
            return str(error)

    def _bring_later(self, queue: SimpleQueue) -> None:
        while True:
            members, block = queue.get()
            try:
                self._bring(self._plans[members], [block])
            except OSError:
                pass  # the batch that needs the block meets the same and tells
            finally:
                self._ahead.discard((members, block))

    def _bring(self, plan: "_Plan", blocks: list[int]) -> None:
        jobs: dict[tuple[str, int, int], _Job] = {}
        of_block: dict[int, list[tuple[str, int, int]]] = {}
        for block in blocks:
            of_block[block] = []
            for job in plan.jobs(block):
                key = job[:3]
                of_block[block].append(key)
                known = jobs.get(key)
                jobs[key] = job if known is None else _Job(*key, *map(np.append, known[3:], job[3:]))
        results = dict(zip(jobs, self._requests.map(self._bring_job, jobs.values()), strict=True))
        for block, keys in of_block.items():
            if all(results[key] for key in keys):
                plan.complete[block] = True

    def _bring_job(self, job: _Job) -> bool:
        """Whether the members are in the cache now."""
        try:
            content = self._content(job.shard)
            with self.cache.fetched(content) as entry:
                if job.at_hand(entry):
                    return True
                with self.cache.flight(content, job.start):
                    if job.at_hand(entry):
                        return True
                    if not entry.reserve(job.start, job.end - job.start):
                        return False
                    data = self._wire(job)
                    if not job.fits(data):
                        return False
                    entry.add(job.start, data)
                    return True
        except ReadError:
            return False  # the batch that needs it asks again, and tells

    def _wire(self, job: _Job) -> np.ndarray:
        """The bytes of a job, uint8; asked for twice if they are not right. Raises ReadError."""
        for _ in range(2):
            data = self._ranged(job.shard, job.start, job.end)
            if len(data) == job.end - job.start and job.fits(data):
                return data
        if len(data) != job.end - job.start:
            raise ReadError(
                f"{self.remote}/{job.shard}.tar gives {len(data):,} bytes for the {job.end - job.start:,} at "
                f"{job.start:,}: it was cut short, or its server answers no range requests; send the shard there again"
            )
        return data

    def _ranged(self, name: str, start: int, end: int) -> np.ndarray:
        """What the store gives for bytes [start, end), uint8. Raises ReadError."""
        fs, folder = self._store()
        path = f"{folder}/{self.remote.stem(name)}.tar"

        def ask() -> bytes:
            if fs.async_impl or isinstance(fs, _UNBUFFERED):
                return fs.cat_file(path, start=start, end=end)
            # the others read ahead, and ask for a file's size, unless they are told
            with fs.open(path, "rb", cache_type="none", size=end) as file:
                file.seek(start)
                return file.read(end - start)

        return np.frombuffer(self._asked(f"{name}.tar", ask), np.uint8)

    def _content(self, name: str) -> str:
        """The content of a shard, 16 hex digits: its sidecar's checksum, as its mark tells. Raises ReadError."""
        address = self.remote.address.rstrip("/")
        if name in self._contents:
            return self._contents[name]
        if name in self.remote.places:
            return self.remote.places[name].content
        with self.cache.flight(address, name):
            content, asked = self.cache.content(address, name) or (None, 0)
            if content is None or asked < self._pinned_at:
                try:
                    content = self._mark(name)
                    self.cache.note_content(address, name, content)
                except ReadError:
                    if content is None:
                        raise  # else what is known is good enough: whatever is read must pass its checksum
        self._contents[name] = content
        return content

    def _mark(self, name: str) -> str:
        fs, folder = self._store()
        mark = f"{name}.videos.parquet"
        data = self._asked(mark, lambda: fs.cat_file(f"{folder}/{mark}"))
        try:
            sidecar.check_seal(data)
            content = sidecar.sidecar_sum(pq.read_schema(pa.BufferReader(data)).empty_table())
        except (sidecar.Damaged, pa.ArrowException) as error:
            raise ReadError(
                f"{self.remote}/{mark} is damaged ({error}): send the shard there again from the store it came from"
            ) from None
        if content is None:
            raise ReadError(f"{self.remote}/{mark} tells of no faces: pin the split again on the store at this address")
        return content

    def _asked(self, name: str, ask: Callable[[], T]) -> T:
        """What the store answers, asked again where that may help. Raises ReadError."""
        if self.remote.offline:
            raise ReadError(
                f"{name} of {self.remote} is not in the cache {self.cache.folder}, and nothing is fetched offline: go "
                "online once, or take a split that is cached"
            )
        until, why = self._resting
        if time.monotonic() < until:
            raise ReadError(why)
        try:
            with telling(name):
                try:
                    return retried(ask, self.remote.tries, self.remote.pause_s)
                except Unreachable as error:
                    why = f"{self.remote} cannot be read ({error})"
        except FileNotFoundError:
            raise ReadError(
                f"{name} is not at {self.remote}: name the folder that holds the split's shards and their marks "
                "(NAME.tar, NAME.videos.parquet), or send the pack there"
            ) from None
        except OSError as error:
            raise ReadError(f"{name} of {self.remote} cannot be read ({error.strerror or error})") from None
        why += f": what is not in the cache {self.cache.folder} cannot be had. Go on when it answers again"
        self._resting = (time.monotonic() + _REST_S, why)
        raise ReadError(why)

    def _store(self) -> tuple[AbstractFileSystem, str]:
        self._in_this_process()
        return self._fs

    def _in_this_process(self) -> None:
        """Clients and threads do not survive a fork."""
        if self._process != os.getpid():
            self._fs = open_address(self.remote.address)
            self._requests = ThreadPoolExecutor(THREADS, thread_name_prefix="deepshard-requests")
            self._later = None
            self._ahead.clear()
            self._process = os.getpid()


class _Plan:
    """Which bytes of which shards to ask for at once, for one split and the members that are read of it."""

    def __init__(self, ranges: list[Ranges], limit: int) -> None:
        self._ranges = ranges
        self.complete = np.zeros(-(-len(ranges[0].offsets) // BLOCK), bool)  # blocks that were all there
        count = len(ranges[0].names)
        wanted, extents, requests = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
        for member in ranges:
            there = np.flatnonzero(member.offsets >= 0)
            shards, starts = member.shards[there], member.offsets[there]
            ends = starts + member.sizes[there]
            wanted += np.bincount(shards, member.sizes[there], count)
            np.maximum.at(extents, shards, ends)
            if member is ranges[0]:  # the others lie beside it
                breaks = np.ones(len(there), bool)
                breaks[1:] = (shards[1:] != shards[:-1]) | (np.abs(starts[1:] - ends[:-1]) > REMOTE_GAP)
                breaks[1:] |= there[1:] // BLOCK != there[:-1] // BLOCK
                requests += np.bincount(shards[breaks], minlength=count)
        whole = (requests * REQUEST_COST + wanted >= extents) & (wanted >= LEAST_WHOLE * extents) & (requests > 1)
        if extents[whole].sum() + wanted[~whole].sum() > limit:
            whole[:] = False  # they would drive one another out
        self._taken_whole = {ranges[0].names[code]: int(extents[code]) for code in np.flatnonzero(whole)}

    def jobs(self, block: int) -> Iterator[_Job]:
        """What a block of rows needs."""
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        columns = [(m.shards[rows], m.offsets[rows], m.sizes[rows], m.checksums[rows]) for m in self._ranges]
        members = Ranges(self._ranges[0].names, *map(np.concatenate, zip(*columns, strict=True)))
        for run in runs(members.take(np.flatnonzero(members.offsets >= 0)), REMOTE_GAP):
            extent = self._taken_whole.get(run.name)
            if extent is None:
                yield _Job.of(run, run.start, run.end)
                continue
            for piece in range(run.start // PIECE, -(-run.end // PIECE)):
                yield _Job.of(run, piece * PIECE, min((piece + 1) * PIECE, extent))


def placed_at(
    shards: str | None, cache: Path | str | None, cache_gb: float, offline: bool = False, store: Path | None = None
) -> str | Remote | None:
    """What people say of where shards lie, for ``Split.open``: nothing, a folder, or an address with its cache.

    Nothing means the shards of ``store``, which may be attached to an address.
    """
    limit = int(cache_gb * 1e9)
    if shards is None and store is not None:
        return attached_to(store / "shards", cache, limit, offline)
    if not is_address(shards):
        return shards
    return Remote(shards, cache or DEFAULT_FOLDER, limit, offline)


def attached_to(
    folder: Path, cache: Path | str | None, limit: int = DEFAULT_LIMIT, offline: bool = False
) -> Remote | None:
    """Where the shards of a store lie if not in its folder; None if they do. Raises AttachedError."""
    attached = read_attached(folder)
    if attached is None:
        return None
    return Remote(attached.address, cache or DEFAULT_FOLDER, limit, offline, places=attached.places)


def open_reader(shards_dir: Path | Remote, pinned_at: str | None = None) -> ShardReader:
    """The reader of a folder or of an address. ``pinned_at``: when the split was pinned, ISO 8601."""
    if isinstance(shards_dir, Remote):
        return RemoteReader(shards_dir, datetime.fromisoformat(pinned_at).timestamp() if pinned_at else 0)
    return ShardReader(shards_dir)


def retried(ask: Callable[[], T], tries: int, pause_s: float) -> T:
    """What ``ask`` answers, asked up to ``tries`` times where it may help: not after 404 and the like.

    Pauses ``pause_s`` seconds, then twice as long each time, or as long as Retry-After says, up to five minutes. Raises
    Unreachable, or what will not change.
    """
    for number in range(1, tries + 1):
        try:
            return ask()
        except (FileNotFoundError, PermissionError, IsADirectoryError, AssertionError, MemoryError, TypeError):
            raise
        except Exception as error:
            status = _status(error)
            if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
                raise
            kind = f"HTTP status {status}" if status else type(error).__name__
            if number == tries:
                raise Unreachable(f"asked {tries} times, the last answer was {kind}") from None
            told = _retry_after(error)
            pause = pause_s * 2 ** (number - 1) * random.uniform(0.75, 1.25) if told is None else told
            time.sleep(min(pause, _LONGEST_PAUSE_S))
    raise AssertionError("tries counts from 1")


def _status(error: BaseException) -> int | None:
    """The HTTP status in an error of a store's client: aiohttp's, httpx's and requests', botocore's or Google's."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for place, name in ((error, "status"), (response, "status_code"), (error, "code")):
        if isinstance(status := getattr(place, name, None), int):
            return status
    return None


def _retry_after(error: BaseException) -> float | None:
    """Seconds to wait as the server says, in seconds or as a date (RFC 9110, section 10.2.3)."""
    headers = getattr(error, "headers", None) or getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        told = headers.get("Retry-After")
        if told is None:
            return None
        if told.strip().isdigit():
            return float(told)
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (AttributeError, TypeError, ValueError):
        return None
