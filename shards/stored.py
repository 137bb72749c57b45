"""Stored bytes of a split's rows, each checked against its checksum: what every other form of a split is made of.

Nothing is decoded and nothing of torch is imported, so that looking at bytes and copying them costs no more than that.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shards.errors import ReadError, SplitError

if TYPE_CHECKING:
    from shards.split import Split

STORED = ("image", "mask", "json", "partner")  # members as they are stored
BATCH = 64  # rows to read at a time


def check_members(split: "Split", members: Sequence[str]) -> None:
    """Raises SplitError if a member is none, or if samples of the split lack one that is not a partner."""
    if unknown := sorted(set(members) - set(STORED)):
        raise SplitError(f"there is no stored member {', '.join(unknown)}: choose from {', '.join(STORED)}")
    for member in set(members) - {"partner"}:
        if absent := int((split.ranges(member).offsets < 0).sum()):
            raise SplitError(f"{absent} of {len(split)} samples of {split.name} have no {member}: leave it out")


def read_members(split: "Split", members: Sequence[str], rows: np.ndarray) -> list[dict[str, bytes]]:
    """The members of each of these rows (int64 [N]); one that a row does not have is left out. Raises ReadError."""
    ranges = {member: split.ranges(member) for member in members}
    samples: list[dict[str, bytes]] = [{} for _ in rows]
    split.reader.bring(ranges.values(), rows)
    for member, place in ranges.items():
        there = np.flatnonzero(place.offsets[rows] >= 0)
        found, faults = split.reader.fetch(place.take(rows[there]))
        for slot, data in zip(there.tolist(), found, strict=True):
            if data is not None:
                samples[slot][member] = data.tobytes()
        for i, why in faults.items():
            raise ReadError(f"{split.sample_ids([int(rows[there[i]])])[0]}: {why}")
    return samples
