"""Which rows a rank reads, micro-batch by micro-batch, and the four numbers from which a run resumes.

An optimiser step takes one global batch of the epoch's order; rank r takes the r-th slice of it and cuts the slice into
as many micro-batches as gradients are accumulated. So the samples of a step are the same for any number of ranks and
workers. Training drops the tail that fills no global batch; evaluation pads it with slots that are marked as padding.
The order is computed piece by piece while it is read: a split of a hundred million rows begins within a second.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shards import order, sequence
from shards.errors import OrderError
from shards.split import Split

KINDS = tuple(sequence.KINDS)
_PIECE = 8192  # places of the order that are computed at a time


@dataclass(frozen=True)
class Position:
    """Where a run is in its data. ``samples_seen``: of this epoch, over all ranks, in whole global batches."""

    split_hash: str
    seed: int
    epoch: int
    samples_seen: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Position":
        return cls(**values)


class GlobalBatchSampler:
    """Batch sampler for one rank. Iterating gives the micro-batches from the current position to the epoch's end.

    Each is an array of SLOT (row, draw) of ``micro_batch`` slots; ``accumulation`` of them make one optimiser step.
    ``kind``: shuffled (every row once), balanced (half real, half fake), weighted (as often as the weights say), videos
    (``per_video`` frames of a video side by side), paired (a row and its partner side by side), domains (one row of
    the source domain, one of the target), alternate (global batches of two streams in turn) or sequential.
    ``samples_per_epoch``: epochs of so many samples instead of one pass; they go on where the one before stopped, so
    that no row comes again before all others came. ``tail``: "drop" leaves out what fills no global batch, "pad" fills
    it with row -1; either way every rank has equally many micro-batches. ``left_out``: rows of the split that no epoch
    shows.

    Raises OrderError if the global batch does not divide over ranks and accumulation, if a micro-batch or an epoch does
    not divide into what belongs together, if a batch would never be filled, or if the split cannot be ordered so.
    """

    def __init__(
        self,
        split: Split,
        global_batch: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        accumulation: int = 1,
        kind: str = "shuffled",
        per_video: int | None = None,
        samples_per_epoch: int | None = None,
        tail: str = "drop",
        block: int = order.BLOCK,
        window: int = order.WINDOW,
    ) -> None:
        share = world_size * accumulation
        if not 0 <= rank < world_size or accumulation < 1 or global_batch < 1:
            raise OrderError(
                f"rank {rank} of {world_size}, accumulation {accumulation}, global batch {global_batch}: ranks count "
                "from 0 below the number of ranks, the others from 1"
            )
        if global_batch % share:
            raise OrderError(
                f"a global batch of {global_batch} does not divide over {world_size} ranks x {accumulation} "
                f"accumulation steps: use {_multiples(global_batch, share)}"
            )
        if kind not in KINDS or tail not in ("drop", "pad"):
            raise OrderError(f"kind {kind!r}, tail {tail!r}: choose kind from {', '.join(KINDS)}; tail from drop, pad")
        if (per_video is None) == (kind == "videos"):
            raise OrderError(f"per_video belongs to the order videos, and only to it (kind {kind}, given {per_video})")
        self.split_hash, self.seed, self.global_batch, self.kind, self.tail = split.hash, seed, global_batch, kind, tail
        self.rank, self.world_size, self.accumulation = rank, world_size, accumulation
        self.micro_batch = global_batch // share
        options = {"videos": {"per_video": per_video}, "alternate": {"batch": global_batch}}.get(kind, {})
        key = sequence.Key(split.hash, seed, block, window)
        self._sequence = sequence.KINDS[kind](split, key, **options)
        self.left_out = self._sequence.left_out
        self.epoch_places = self._sequence.length
        if samples_per_epoch is not None:
            self._check_epoch(samples_per_epoch)
            self.epoch_places = samples_per_epoch
        self.epoch = self.samples_seen = 0
        if tail == "drop" and self.epoch_places < global_batch:
            raise OrderError(
                f"split {split.name} gives {self.epoch_places} samples, less than one global batch of {global_batch}: "
                "use a smaller one"
            )
        if self.micro_batch % (unit := self._sequence.unit):
            raise OrderError(
                f"the order {kind} keeps {unit} samples together, and {world_size} ranks x {accumulation} accumulation "
                f"steps get {self.micro_batch} each of a global batch of {global_batch}: use "
                f"{_multiples(global_batch, share * unit)}"
            )

    def _check_epoch(self, samples: int) -> None:
        if self.kind == "sequential" or self.tail == "pad":
            raise OrderError("samples_per_epoch is for training: an evaluation reads each sample once")
        if samples < 1 or samples % self.global_batch:
            raise OrderError(
                f"samples_per_epoch {samples} does not divide into global batches of {self.global_batch}: use "
                f"{_multiples(samples, self.global_batch)}"
            )
        if not self._sequence.length:
            raise OrderError("samples_per_epoch cannot be drawn from an empty split")

    @property
    def epoch_samples(self) -> int:
        """Slots in a whole epoch over all ranks, after dropping or padding."""
        return self._steps(self.epoch_places) * self.global_batch

    @property
    def steps(self) -> int:
        """Optimiser steps from the current position to the epoch's end."""
        return self._steps(max(0, self.epoch_places - self.samples_seen))

    def _steps(self, samples: int) -> int:
        return samples // self.global_batch if self.tail == "drop" else math.ceil(samples / self.global_batch)

    def __len__(self) -> int:
        return self.steps * self.accumulation

    def set_epoch(self, epoch: int, samples_seen: int = 0) -> None:
        """Where the next iteration begins. After a change of the global batch it goes on from any ``samples_seen``."""
        if epoch < 0 or samples_seen < 0:
            raise OrderError(f"epoch {epoch}, samples seen {samples_seen}: both count from 0")
        self.epoch, self.samples_seen = epoch, samples_seen

    def seek(self, position: Position) -> None:
        """Go on from a saved position. Raises OrderError if it is of another split or seed."""
        if (position.split_hash, position.seed) != (self.split_hash, self.seed):
            raise OrderError(
                f"the position is of split {position.split_hash[:12]} with seed {position.seed}, this run has split "
                f"{self.split_hash[:12]} with seed {self.seed}: resume with the split and seed the run began with"
            )
        self.set_epoch(position.epoch, position.samples_seen)

    def position(self, samples_seen: int) -> Position:
        """The position after ``samples_seen`` samples of this epoch: loaders read ahead, so the caller counts."""
        return Position(self.split_hash, self.seed, self.epoch, samples_seen)

    def order(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """The current epoch's order over all ranks, before dropping or padding, from ``first`` to ``last``: int64."""
        last = self.epoch_places if last is None else min(last, self.epoch_places)
        begin = self.epoch * self.epoch_places
        return self._sequence.rows(begin + first, begin + max(first, last))

    def __iter__(self) -> Iterator[np.ndarray]:
        """The position is read when iteration begins; a change of it concerns the next one."""
        epoch, seen, end = self.epoch, self.samples_seen, self.samples_seen + self.steps * self.global_batch
        piece = max(1, _PIECE // self.global_batch) * self.global_batch
        for first in range(seen, end, piece):
            slots = self._slots(epoch, first, min(first + piece, end))
            shape = (-1, self.world_size, self.accumulation, self.micro_batch)
            yield from slots.reshape(shape)[:, self.rank].reshape(-1, self.micro_batch)

    def _slots(self, epoch: int, first: int, last: int) -> np.ndarray:
        """Places ``first`` to ``last`` of an epoch over all ranks, those behind its end as padding: SLOT."""
        slots = np.full(last - first, np.array((-1, 0), order.SLOT), order.SLOT)
        begin, end = epoch * self.epoch_places, min(last, self.epoch_places)
        slots["row"][: end - first] = self._sequence.rows(begin + first, begin + end)
        slots["draw"][: end - first] = order.draws(self.split_hash, self.seed, epoch, first, end)
        return slots


def _multiples(wanted: int, of: int) -> str:
    """The multiples of ``of`` below and above ``wanted``, for a message."""
    return " or ".join(str(size) for size in (wanted // of * of, -(-wanted // of) * of) if size)
