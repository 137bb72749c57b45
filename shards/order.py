"""The order of samples in an epoch, as pure functions of (split hash, seed, epoch) over NumPy arrays.

Ranks, workers, batch sizes and the place of bytes play no part, so a run resumes on other hardware with the same order.
Rows are shuffled in blocks: neighbours in a split are frames of one video, which lie together on disk, and a window of
blocks is read at a time. Random numbers are raw Philox output keyed by SHA-256 and used as sort keys, because NumPy
promises the stream of a bit generator for ever (NEP 19) but not that of ``Generator.permutation``.
"""

import hashlib

import numpy as np

from shards.errors import OrderError

BLOCK = 32  # rows that stay near each other: about one video
WINDOW = 256  # blocks mixed with one another: 8,192 rows with the default block
SLOT = np.dtype([("row", np.int64), ("draw", np.int64)])  # one place of a batch: row -1 is padding


def sequential(n: int) -> np.ndarray:
    """Rows as the split has them: int64 [n]."""
    return np.arange(n, dtype=np.int64)


def order(
    split_hash: str, seed: int, epoch: int, n: int, block: int = BLOCK, window: int = WINDOW, stream: str = "order"
) -> np.ndarray:
    """Every row once, shuffled: int64 [n].

    Blocks of ``block`` neighbouring rows are shuffled, then the rows within every ``window`` blocks; a split of up to
    ``block * window`` rows is shuffled completely. Where blocks begin differs from epoch to epoch. ``stream`` tells
    apart several orders of one epoch. Raises OrderError if block or window is not positive.
    """
    if block < 1 or window < 1:
        raise OrderError(f"block is {block} and window is {window}: both count from 1")
    generator = _philox(split_hash, seed, epoch, stream)
    shift = int(generator.random_raw() % block)
    blocks = (np.arange(n, dtype=np.int64) + shift) // block
    count = int(blocks[-1]) + 1 if n else 0
    rank = np.empty(count, np.int64)
    rank[np.argsort(generator.random_raw(count), kind="stable")] = np.arange(count)
    return np.lexsort((generator.random_raw(n), rank[blocks] // window))


def balanced(
    split_hash: str, seed: int, epoch: int, labels: np.ndarray, block: int = BLOCK, window: int = WINDOW
) -> np.ndarray:
    """As many rows of label 0 as of label 1: int64 [2 * max(n0, n1)].

    Rows 2i and 2i+1 of the answer have different labels, in random order, so that every slice of even length that
    starts at an even place is half and half, whatever the batch size. The larger class is seen once. The smaller one is
    seen in whole shuffled passes, which run on from one epoch into the next: over a run no row of it is seen more than
    once more often than another. Raises OrderError if a label is missing.
    """
    labels = np.asarray(labels)
    rows = [np.flatnonzero(labels == label) for label in (0, 1)]
    if min(map(len, rows)) == 0:
        raise OrderError(
            f"a balanced order needs both labels, the split has {len(rows[0])} real and {len(rows[1])} fake samples: "
            "use a shuffled order or a split with both"
        )
    length = max(map(len, rows))
    pairs = np.empty((length, 2), np.int64)
    for label, of_label in enumerate(rows):
        count = len(of_label)
        first, last = epoch * length, (epoch + 1) * length  # places in the endless sequence of passes
        passes = [
            of_label[order(split_hash, seed, turn, count, block, window, stream=f"label {label}")]
            for turn in range(first // count, -(-last // count))
        ]
        start = first - first // count * count
        pairs[:, label] = np.concatenate(passes)[start : start + length]
    flip = (_philox(split_hash, seed, epoch, "flip").random_raw(length) >> np.uint64(63)).astype(bool)
    pairs[flip] = pairs[flip, ::-1]
    return pairs.ravel()


def draws(split_hash: str, seed: int, epoch: int, n: int) -> np.ndarray:
    """63 random bits for each of the first ``n`` places of an epoch's order, for augmentations: int64 [n], >= 0."""
    return (_philox(split_hash, seed, epoch, "draws").random_raw(n) >> np.uint64(1)).astype(np.int64)


def _philox(split_hash: str, seed: int, epoch: int, stream: str) -> np.random.Philox:
    digest = hashlib.sha256(f"{split_hash}\n{seed}\n{epoch}\n{stream}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "big"))
