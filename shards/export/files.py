"""Faces as files: stored bytes under the paths that a form wants, checked when they are read and when they lie there.

A batch of neighbouring rows at a time. What lies there already and is right is not asked for again, so that a stopped
export of remote shards goes on at the cost of what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shards.export.facts import read_json
from shards.export.place import Place
from shards.split import Split
from shards.stored import BATCH, read_members


def batches(split: Split, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """The rows [start, stop) of a split, int64, some at a time."""
    stop = len(split) if stop is None else stop
    for begin in range(start, stop, BATCH):
        yield np.arange(begin, min(begin + BATCH, stop))


def copy_faces(
    place: Place, split: Split, rows: np.ndarray, paths: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Write members of these rows to ``paths``, {member: a path for each row}; returns what their JSONs say.

    A member that a row does not have is not written. Raises ReadError.
    """
    lacking = np.zeros(len(rows), bool)
    for member, of_rows in paths.items():
        stored = split.ranges(member).take(rows)
        for slot in np.flatnonzero(~lacking & (stored.offsets >= 0)).tolist():
            lacking[slot] = not place.has(of_rows[slot], int(stored.sizes[slot]), int(stored.checksums[slot]))
    known: dict[int, dict[str, Any]] = {}
    for slots, members in ((np.flatnonzero(lacking), (*paths, "json")), (np.flatnonzero(~lacking), ("json",))):
        if len(slots):
            for slot, found in zip(slots.tolist(), read_members(split, members, rows[slots]), strict=True):
                known[slot] = read_json(found.pop("json"))
                for member, data in found.items():
                    place.put(paths[member][slot], data)
    return [known[slot] for slot in range(len(rows))]
