"""Byte ranges out of shards: a whole batch in few reads, each member checked against its checksum.

Members that lie next to each other, or nearly, are fetched by one ``pread``; a batch of one video's frames is one
read, a random batch one read per face. Open files are kept in a bounded list. Nothing here holds a position or a lock,
so forked workers and threads may share a reader. Given up: reads that overlap with decoding (workers are for that).
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from shards.errors import ReadError

GAP = 32 << 10  # bytes read in vain rather than by another system call


@dataclass(frozen=True)
class Ranges:
    """Members to fetch, one row each. ``shards`` indexes ``names``; offsets and sizes are bytes in the tar."""

    names: Sequence[str]
    shards: np.ndarray  # int32 [N]
    offsets: np.ndarray  # int64 [N]
    sizes: np.ndarray  # int64 [N]
    checksums: np.ndarray  # uint64 [N], xxh3_64


class ShardReader:
    """Reads members of the shards in one folder, keeping up to ``open_files`` of them open."""

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
        if not found:
            return found, faults
        place = np.lexsort((ranges.offsets, ranges.shards))
        shards, starts = ranges.shards[place], ranges.offsets[place]
        ends = starts + ranges.sizes[place]
        breaks = (shards[1:] != shards[:-1]) | (starts[1:] - ends[:-1] > gap)
        first = np.concatenate(([0], np.flatnonzero(breaks) + 1))
        last = np.concatenate((first[1:], [len(place)]))
        run_ends = np.maximum.reduceat(ends, first)
        checksums = ranges.checksums[place].tolist()
        rows, lows, highs = place.tolist(), starts.tolist(), ends.tolist()
        for begin, stop, end in zip(first.tolist(), last.tolist(), run_ends.tolist(), strict=True):
            name, start = ranges.names[shards[begin]], lows[begin]
            try:
                data = self._read(name, start, end - start)
            except ReadError as error:
                faults.update((rows[i], str(error)) for i in range(begin, stop))
                continue
            for i in range(begin, stop):
                member = data[lows[i] - start : highs[i] - start]
                if len(member) < highs[i] - lows[i]:
                    faults[rows[i]] = _advise(f"shard {name}.tar ends before byte {highs[i]}, it was cut short", name)
                elif xxhash.xxh3_64_intdigest(member) != checksums[i]:
                    faults[rows[i]] = _advise(
                        f"the {len(member)} bytes at offset {lows[i]} of shard {name}.tar are damaged "
                        "(their checksum differs)",
                        name,
                    )
                else:
                    found[rows[i]] = member
        return found, faults

    def check(self, name: str, end: int) -> None:
        """Raises ReadError if shard ``name`` is missing or has fewer than ``end`` bytes."""
        try:
            size = (self.folder / f"{name}.tar").stat().st_size
        except FileNotFoundError:
            raise ReadError(_advise(f"shard {name}.tar is missing in {self.folder}", name)) from None
        if size < end:
            raise ReadError(_advise(f"shard {name}.tar in {self.folder} ends at {size}, its faces at {end}", name))

    def _read(self, name: str, offset: int, size: int) -> np.ndarray:
        """Up to ``size`` bytes, fewer at the end of the file. Raises ReadError."""
        buffer, done = np.empty(size, np.uint8), 0
        try:
            file = self._file(name)
            while done < size and (got := os.preadv(file.descriptor, [buffer[done:]], offset + done)):
                done += got
        except FileNotFoundError:
            raise ReadError(_advise(f"shard {name}.tar is missing in {self.folder}", name)) from None
        except OSError as error:
            raise ReadError(
                _advise(f"shard {name}.tar in {self.folder} cannot be read at offset {offset} ({error.strerror})", name)
            ) from None
        return buffer[:done]

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


def _advise(what: str, name: str) -> str:
    return f"{what}: run `deepshard verify`, then restore {name}.tar from a copy or curate its videos again"
