"""The shuffled order of an epoch, as a pure function of (split hash, seed, epoch), any part of it without the rest.

Ranks, workers, batch sizes and the place of bytes play no part, so a run resumes on other hardware with the same order.
Units (faces, or groups of faces that stay together) are shuffled in blocks: neighbours in a split are frames of one
video, which lie together on disk, and a window of blocks is read at a time. Random numbers are raw Philox output keyed
by SHA-256 and used as sort keys, because NumPy promises the stream of a bit generator for ever (NEP 19) but not that of
``Generator.permutation``; and Philox can jump, so a window's keys are drawn without those before it. Given up: a
shuffle of all with all, which reads a disk in random order (benchmarks/shuffle.py compares the batches).
"""

import hashlib
from functools import lru_cache

import numpy as np

from shards.errors import OrderError

BLOCK = 32  # rows that stay near each other: about one video
WINDOW = 256  # blocks mixed with one another: 8,192 rows with the default block
SLOT = np.dtype([("row", np.int64), ("draw", np.int64)])  # one place of a batch: row -1 is padding


class Random:
    """The endless sequence of 64-bit numbers that belongs to (split hash, seed, turn, stream), read at any place."""

    def __init__(self, split_hash: str, seed: int, turn: int, stream: str) -> None:
        digest = hashlib.sha256(f"{split_hash}\n{seed}\n{turn}\n{stream}".encode()).digest()
        self._key = int.from_bytes(digest[:16], "big")

    def numbers(self, *stretches: tuple[int, int]) -> np.ndarray:
        """The numbers from ``first`` up to ``last`` of each (first, last), one stretch after the other: uint64."""
        philox, counter = np.random.Philox(key=self._key), 0
        found = [np.empty(0, np.uint64)]
        for first, last in stretches:
            philox.advance(first // 4 - counter)  # it makes four numbers at a time
            found.append(philox.random_raw(last - first // 4 * 4)[first % 4 :])
            counter = -(-last // 4)
        return np.concatenate(found)


class Shuffle:
    """One pass over ``n`` units: every unit once. Blocks of neighbours are shuffled, then the units of each window.

    Where blocks begin differs from pass to pass. Up to ``block * window`` units are shuffled completely. Memory: 12
    bytes per block. Raises OrderError if block or window is not positive.
    """

    def __init__(self, random: Random, n: int, block: int = BLOCK, window: int = WINDOW) -> None:
        if block < 1 or window < 1:
            raise OrderError(f"block is {block} and window is {window}: both count from 1")
        self.n, self._random, self._block, self._window = n, random, block, window
        self._shift = int(random.numbers((0, 1))[0] % block)
        count = (n - 1 + self._shift) // block + 1 if n else 0
        self._keys = 1 + count  # where the units' own numbers begin
        self._blocks = np.argsort(random.numbers((1, 1 + count)), kind="stable").astype(np.int32)
        sizes = np.full(count, block, np.int64)
        if count:  # the first and the last block may be cut
            sizes[self._blocks == 0] -= self._shift
            sizes[self._blocks == count - 1] -= count * block - self._shift - n
        self._ends = np.add.reduceat(sizes, np.arange(0, count, window)).cumsum() if count else sizes
        self._last_mixed: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def units(self, first: int, last: int) -> np.ndarray:
        """The units at places ``first`` up to, not including, ``last`` of this pass: int64 [last - first]."""
        if first >= last:
            return np.empty(0, np.int64)
        windows = range(
            int(np.searchsorted(self._ends, first, "right")), int(np.searchsorted(self._ends, last, "left")) + 1
        )
        begin = int(self._ends[windows[0] - 1]) if windows[0] else 0
        return np.concatenate([self._mixed(window) for window in windows])[first - begin : last - begin]

    def _mixed(self, window: int) -> np.ndarray:
        """The units of one window, shuffled."""
        if self._last_mixed[0] == window:
            return self._last_mixed[1]
        stretches = [
            (max(0, block * self._block - self._shift), min(self.n, (block + 1) * self._block - self._shift))
            for block in np.sort(self._blocks[window * self._window : (window + 1) * self._window]).tolist()
        ]
        keys = self._random.numbers(*((self._keys + begin, self._keys + end) for begin, end in stretches))
        units = np.concatenate([np.arange(begin, end) for begin, end in stretches])
        mixed = units[np.argsort(keys, kind="stable")]
        self._last_mixed = window, mixed
        return mixed


@lru_cache(maxsize=8)  # a sampler reads a pass piece by piece, a domain or a label each its own
def shuffle(
    split_hash: str, seed: int, turn: int, n: int, block: int = BLOCK, window: int = WINDOW, stream: str = "order"
) -> Shuffle:
    """Pass ``turn`` over ``n`` units. ``stream`` tells apart several orders of one pass."""
    return Shuffle(Random(split_hash, seed, turn, stream), n, block, window)


def order(split_hash: str, seed: int, epoch: int, n: int, block: int = BLOCK, window: int = WINDOW) -> np.ndarray:
    """Every row once, shuffled: int64 [n]. Raises OrderError if block or window is not positive."""
    return shuffle(split_hash, seed, epoch, n, block, window).units(0, n)


def draws(split_hash: str, seed: int, epoch: int, first: int, last: int) -> np.ndarray:
    """63 random bits for each place from ``first`` up to ``last`` of an epoch, for augmentations: int64, >= 0."""
    numbers = Random(split_hash, seed, epoch, "draws").numbers((first, last))
    return (numbers >> np.uint64(1)).astype(np.int64)
