"""Byte ranges out of shards: a whole batch in few reads, each member checked against its checksum.

Members that lie next to each other, or nearly, are fetched by one ``pread``; a batch of one video's frames is one
read, a random batch one read per face. Open files are kept in a bounded list. Nothing here holds a position or a lock,
so forked workers and threads may share a reader. Given up: reads that overlap with decoding (workers are for that).
What is pixels already is read straight into the batch, without a buffer in between.
"""

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xxhash

from shards.errors import ReadError

GAP = 4 << 10  # bytes read in vain rather than by another system call: a header and a JSON, not another face
_VECTOR = 1024  # buffers that one preadv takes, IOV_MAX of Linux


@dataclass(frozen=True)
class Ranges:
    """Members to fetch, one row each. ``shards`` indexes ``names``; offsets and sizes are bytes in the tar.

    A row without the member has offset -1. A split's are arrays, or a Column of shards.column, in the mapped manifest.
    ``raw``: the members are no files but pixels, uint8 [H,W,C], to be read where they are wanted.
    """

    names: Sequence[str]
    shards: np.ndarray  # int32 [N]
    offsets: np.ndarray  # int64 [N]
    sizes: np.ndarray  # int64 [N]
    checksums: np.ndarray  # uint64 [N], xxh3_64
    raw: bool = False

    def take(self, rows: np.ndarray) -> "Ranges":
        """Those of these rows."""
        columns = (column[rows] for column in (self.shards, self.offsets, self.sizes, self.checksums))
        return Ranges(self.names, *columns, self.raw)


class ShardReader:
    """Reads members of the shards in one folder, keeping up to ``open_files`` of them open."""

    far = False  # whether bytes are worth bringing before they are wanted

    def __init__(self, folder: Path | str, open_files: int = 128) -> None:
        self.folder = Path(folder)
        self._limit = open_files
        self._open: OrderedDict[str, _File] = OrderedDict()

    def fetch(self, ranges: Ranges, gap: int = GAP) -> tuple[list[np.ndarray | None], dict[int, str]]:
        """The bytes of every range, in the order given: uint8 arrays, and None where ``faults`` tells what is wrong.

        Members of one shard with at most ``gap`` bytes between them are read together.
        """
        found: list[np.ndarray | None] = [None] * len(ranges.offsets)
        faults: dict[int, str] = {}
        wanted = list(runs(ranges, gap))
        # one piece of memory, which the allocator keeps for the next batch; many small ones it gives back, and the next
        # batch begins with page faults (16 a face, a tenth of the time)
        room = np.empty(sum(run.end - run.start for run in wanted), np.uint8)
        for run in wanted:
            data, room = room[: run.end - run.start], room[run.end - run.start :]
            pieces = [data[low - run.start : high - run.start] for low, high in zip(run.lows, run.highs, strict=True)]
            self._read_run(run, [data], pieces, faults)
            for row, piece in zip(run.rows, pieces, strict=True):
                if row not in faults:
                    found[row] = piece
        return found, faults

    def fill(self, ranges: Ranges, targets: Sequence[np.ndarray], gap: int = GAP) -> dict[int, str]:
        """Read every range where it is wanted: ``targets``, contiguous uint8 arrays of the ranges' sizes.

        Returns what is wrong with which; the targets of those may hold anything. Reads are joined as ``fetch`` does.
        """
        faults: dict[int, str] = {}
        for run in runs(ranges, gap, apart=True):
            pieces = [targets[row] for row in run.rows]
            buffers, at = [], run.start
            for piece, low, high in zip(pieces, run.lows, run.highs, strict=True):
                buffers += [np.empty(low - at, np.uint8), piece] if low > at else [piece]
                at = high
            self._read_run(run, buffers, pieces, faults)
        return faults

    def _read_run(self, run: "Run", buffers: list[np.ndarray], pieces: list[np.ndarray], faults: dict) -> None:
        """One run into ``buffers``; then each member, one of ``pieces``, is compared with its checksum."""
        try:
            end = run.start + self._read(run.name, run.start, buffers)
        except ReadError as error:
            faults.update(dict.fromkeys(run.rows, str(error)))
            return
        for row, piece, low, high, checksum in zip(run.rows, pieces, run.lows, run.highs, run.checksums, strict=True):
            if end < high:
                faults[row] = _advise(f"shard {run.name}.tar ends before byte {high}, it was cut short", run.name)
            elif xxhash.xxh3_64_intdigest(piece) != checksum:
                what = f"the {len(piece)} bytes at offset {low} of shard {run.name}.tar are damaged"
                faults[row] = _advise(f"{what} (their checksum differs)", run.name)

    def bring(self, ranges: Iterable[Ranges], rows: np.ndarray, wait: bool = True) -> None:
        """Have the bytes of these rows of a split at hand; in a folder they are. ``ranges``: whole members of it."""

    def check(self, ends: Mapping[str, int]) -> None:
        """Raises ReadError if one of these shards is missing or has fewer bytes than told."""
        for name, end in ends.items():
            try:
                size = (self.folder / f"{name}.tar").stat().st_size
            except FileNotFoundError:
                raise ReadError(_advise(f"shard {name}.tar is missing in {self.folder}", name)) from None
            if size < end:
                raise ReadError(_advise(f"shard {name}.tar in {self.folder} ends at {size}, its faces at {end}", name))

    def _read(self, name: str, offset: int, buffers: list[np.ndarray]) -> int:
        """Fill the buffers from ``offset`` on; how many bytes there were, fewer at the end of the file.

        Raises ReadError.
        """
        done, left = 0, buffers
        try:
            file = self._file(name)
            while left and (got := os.preadv(file.descriptor, left[:_VECTOR], offset + done)):
                done += got
                left = _after(left, got)
        except FileNotFoundError:
            raise ReadError(_advise(f"shard {name}.tar is missing in {self.folder}", name)) from None
        except OSError as error:
            raise ReadError(
                _advise(f"shard {name}.tar in {self.folder} cannot be read at offset {offset} ({error.strerror})", name)
            ) from None
        return done

    def _file(self, name: str) -> "_File":
        file = self._open.pop(name, None) or _File(self.folder / f"{name}.tar")
        self._open[name] = file
        while len(self._open) > self._limit:
            self._open.popitem(last=False)
        return file


class _File:
    """A descriptor that closes with its last user: one thread may drop it while another still reads."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if (descriptor := self.__dict__.pop("descriptor", None)) is not None:
            os.close(descriptor)


class Run(NamedTuple):
    """Members that one read fetches, by offset; ``rows`` are their places among the ranges."""

    name: str
    start: int
    end: int
    rows: list[int]
    lows: list[int]
    highs: list[int]
    checksums: list[int]


def runs(ranges: Ranges, gap: int, apart: bool = False) -> Iterator[Run]:
    """Members of one shard with at most ``gap`` bytes between them; ``apart``: no two of a run overlap."""
    if not len(ranges.offsets):
        return
    place = np.lexsort((ranges.offsets, ranges.shards))
    shards, starts = ranges.shards[place], ranges.offsets[place]
    ends = starts + ranges.sizes[place]
    between = starts[1:] - ends[:-1]
    breaks = (shards[1:] != shards[:-1]) | (between > gap)
    if apart:
        breaks |= between < 0
    first = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    bounds = np.concatenate((first, [len(place)])).tolist()
    rows, lows, highs, checksums = (column.tolist() for column in (place, starts, ends, ranges.checksums[place]))
    run_ends = np.maximum.reduceat(ends, first).tolist()
    for begin, stop, end in zip(bounds, bounds[1:], run_ends, strict=False):
        part = slice(begin, stop)
        yield Run(ranges.names[shards[begin]], lows[begin], end, rows[part], lows[part], highs[part], checksums[part])


def _after(buffers: list[np.ndarray], count: int) -> list[np.ndarray]:
    """What of the buffers is left when ``count`` bytes were put in."""
    for i, buffer in enumerate(buffers):
        if count < len(buffer):
            return [buffer[count:], *buffers[i + 1 :]]
        count -= len(buffer)
    return []


def _advise(what: str, name: str) -> str:
    return f"{what}: run `deepshard verify`, then restore {name}.tar from a copy or curate its videos again"
