"""Which rows a rank reads, micro-batch by micro-batch, and the four numbers from which a run resumes.

An optimiser step takes one global batch of the epoch's order; rank r takes the r-th slice of it and cuts the slice into
as many micro-batches as gradients are accumulated. So the samples of a step are the same for any number of ranks and
workers. Training drops the tail that fills no global batch; evaluation pads it with slots that are marked as padding.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shards import order
from shards.errors import OrderError
from shards.split import Split

KINDS = ("shuffled", "balanced", "sequential")


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
    ``kind``: shuffled (every row once), balanced (half real, half fake) or sequential. ``tail``: "drop" leaves out what
    fills no global batch, "pad" fills it with row -1; either way every rank has equally many micro-batches. Raises
    OrderError if the global batch does not divide over ranks and accumulation, or would never be filled.
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
            near = [size for size in (global_batch // share * share, -(-global_batch // share) * share) if size]
            raise OrderError(
                f"a global batch of {global_batch} does not divide over {world_size} ranks x {accumulation} "
                f"accumulation steps: use {' or '.join(map(str, near))}"
            )
        if kind not in KINDS or tail not in ("drop", "pad"):
            raise OrderError(f"kind {kind!r}, tail {tail!r}: choose kind from {', '.join(KINDS)}; tail from drop, pad")
        self.split_hash, self.seed, self.global_batch, self.kind, self.tail = split.hash, seed, global_batch, kind, tail
        self.rank, self.world_size, self.accumulation = rank, world_size, accumulation
        self.micro_batch = global_batch // share
        self._labels, self._mixing = split.labels, (block, window)
        self.epoch = self.samples_seen = 0
        if tail == "drop" and self._length() < global_batch:
            raise OrderError(
                f"split {split.name} gives {self._length()} samples, less than one global batch of {global_batch}: "
                "use a smaller one"
            )

    def _length(self) -> int:
        """Samples in an epoch's order."""
        if self.kind == "balanced":
            return 2 * int(np.bincount(self._labels, minlength=2).max()) if len(self._labels) else 0
        return len(self._labels)

    @property
    def epoch_samples(self) -> int:
        """Slots in a whole epoch over all ranks, after dropping or padding."""
        return self._steps(self._length()) * self.global_batch

    @property
    def steps(self) -> int:
        """Optimiser steps from the current position to the epoch's end."""
        return self._steps(max(0, self._length() - self.samples_seen))

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

    def order(self) -> np.ndarray:
        """The order of the current epoch over all ranks, before dropping or padding: int64 rows."""
        if self.kind == "sequential":
            return order.sequential(len(self._labels))
        if self.kind == "balanced":
            return order.balanced(self.split_hash, self.seed, self.epoch, self._labels, *self._mixing)
        return order.order(self.split_hash, self.seed, self.epoch, len(self._labels), *self._mixing)

    def __iter__(self) -> Iterator[np.ndarray]:
        rows = self.order()
        slots = np.empty(len(rows), order.SLOT)
        slots["row"] = rows
        slots["draw"] = order.draws(self.split_hash, self.seed, self.epoch, len(rows))
        slots = slots[self.samples_seen :]
        wanted = self.steps * self.global_batch
        if wanted > len(slots):
            slots = np.concatenate((slots, np.full(wanted - len(slots), np.array((-1, 0), order.SLOT), order.SLOT)))
        shape = (self.steps, self.world_size, self.accumulation, self.micro_batch)
        yield from slots[:wanted].reshape(shape)[:, self.rank].reshape(-1, self.micro_batch)
