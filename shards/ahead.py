"""Batches that tell what comes after them, so that workers bring it from afar while they decode.

Looking ahead by one window of the order keeps the network evenly busy: a window's blocks are all wanted soon after it
begins, and fetching them takes as long as reading the window before.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shards.order import BLOCK, WINDOW
from shards.sampler import GlobalBatchSampler


@dataclass(frozen=True)
class Ahead:
    """A batch, and rows (int64, some -1) that this rank will want a window later."""

    slots: np.ndarray
    later: np.ndarray


class LookAhead:
    """A batch sampler that gives the batches of ``sampler`` as Ahead: every row of an epoch is told once, early."""

    def __init__(self, sampler: GlobalBatchSampler, rows: int = BLOCK * WINDOW) -> None:
        self._sampler = sampler
        self._batches = -(-rows // (sampler.micro_batch * sampler.world_size))

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[Ahead]:
        waiting: deque[np.ndarray] = deque()
        later: list[np.ndarray] = []
        for slots in self._sampler:
            waiting.append(slots)
            later.append(slots["row"])
            if len(waiting) > self._batches:
                yield Ahead(waiting.popleft(), np.concatenate(later))
                later.clear()
        for slots in waiting:
            yield Ahead(slots, np.concatenate([np.empty(0, np.int64), *later]))
            later.clear()
