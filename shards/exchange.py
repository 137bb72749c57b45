"""How a worker's batch reaches the trainer: through blocks of shared memory that are made once and used again.

Torch's own way makes a shared file per tensor and batch; its pages are faulted in twice, which can take as long as
decoding JPEGs does. Here a worker fills a block and sends its number; the trainer's tensors lie in that block, and it
is filled again once the last of them, views included, is gone. Small arrays travel inside the message. The memory has
no name, so a crash leaves nothing behind, and it is not taken from ``/dev/shm``, which containers keep small. A worker
that finds no free block, because somebody keeps batches, falls back to torch's way.
"""

import mmap
import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing import reduction
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from shards.dataset import SplitDataset, fresh

_INLINE = 64 << 10  # bytes up to which a tensor travels inside the message
_open: "WeakValueDictionary[str, Exchange]" = WeakValueDictionary()
_forks = 0  # of this process


class Exchange:
    """Shared memory of ``workers * blocks`` blocks, and before them one byte each that says whether it is taken.

    Only a block's worker takes it and only the trainer frees it once it was sent, so no lock is needed.
    """

    def __init__(self, workers: int, blocks: int, block_bytes: int) -> None:
        page = mmap.PAGESIZE
        self.blocks, self.block_bytes = blocks, -(-block_bytes // page) * page
        self._start = -(-workers * blocks // page) * page
        self._size = self._start + workers * blocks * self.block_bytes
        self.token = secrets.token_hex(8)
        self._map(_nameless_file(self._size))
        _open[self.token] = self

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("blocks", "block_bytes", "_start", "_size", "token")}
        return kept | {"_descriptor": reduction.DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        descriptor = state.pop("_descriptor").detach()
        self.__dict__.update(state)
        self._map(descriptor)

    def __del__(self) -> None:
        if (descriptor := self.__dict__.pop("_descriptor", None)) is not None:
            os.close(descriptor)

    def _map(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = np.frombuffer(mmap.mmap(descriptor, self._size), np.uint8)
        self._taken = self._memory[: self._start]
        self._filled: set[int] = set()  # blocks of which tensors are left in the worker

    def fill(self, worker: int) -> tuple[int, torch.Tensor] | None:
        """A free block of this worker and its memory, uint8 [block_bytes]; None if all are in use."""
        for block in range(worker * self.blocks, (worker + 1) * self.blocks):
            if not self._taken[block] and block not in self._filled:
                self._taken[block] = 1
                self._filled.add(block)
                return block, self._lent(block, self._filled.discard, block)
        return None

    def free(self, block: int) -> None:
        """Take back a block that was not sent."""
        self._taken[block] = 0

    def receive(self, block: int) -> torch.Tensor:
        """In the trainer: the memory of a block that was sent, uint8 [block_bytes]. Its last tensor frees it."""
        return self._lent(block, _free, self._taken, block, _forks)

    def _lent(self, block: int, returned: Callable[..., None], *arguments: Any) -> torch.Tensor:
        """The block's memory; ``returned`` is called when no tensor and no array in this process shares it any more."""
        first = self._start + block * self.block_bytes
        memory = self._memory[first : first + self.block_bytes]
        # torch's storage keeps this very array, and whatever is a view of a tensor keeps the storage
        finalize(memory, returned, *arguments).atexit = False
        return torch.from_numpy(memory)


def _free(taken: np.ndarray, block: int, forks: int) -> None:
    # whoever forks with a batch in hand shares it with the child: neither can know when the other has done with it
    if _forks == forks:
        taken[block] = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(before=_count_fork)


class Exchanged(Dataset):
    """A dataset whose batches go through an exchange when a worker reads them."""

    def __init__(self, dataset: SplitDataset, exchange: Exchange) -> None:
        self.dataset, self.exchange = dataset, exchange

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, slots: Sequence[int] | np.ndarray) -> dict[str, Any]:
        worker = get_worker_info()
        lent = self.exchange.fill(worker.id) if worker else None
        if lent is None:
            return self.dataset.__getitems__(slots)
        block, memory = lent
        try:
            batch = self.dataset.batch(slots, _Allocator(memory))
        except BaseException:
            self.exchange.free(block)
            raise
        return _Sent(batch, self.exchange.token, block, memory)


class _Allocator:
    """Tensors one after the other in a block; where it is full, in memory of their own."""

    def __init__(self, memory: torch.Tensor) -> None:
        self._memory, self._used = memory, 0

    def __call__(self, shape: tuple[int, ...]) -> torch.Tensor:
        count = int(np.prod(shape))
        begin, self._used = self._used, self._used + count
        return self._memory[begin : self._used].view(shape) if self._used <= len(self._memory) else fresh(shape)


class _Sent(dict):
    """A batch in a worker. Pickling it gives the message; unpickling the message gives a plain batch."""

    def __init__(self, batch: dict[str, Any], token: str, block: int, memory: torch.Tensor) -> None:
        super().__init__(batch)
        self._token, self._block, self._memory = token, block, memory

    def __reduce__(self) -> tuple[Any, ...]:
        first = self._memory.data_ptr()
        last = first + len(self._memory)
        placed, inline, rest = {}, {}, {}
        for name, value in self.items():
            if not isinstance(value, torch.Tensor) or value.dtype == torch.bfloat16:
                rest[name] = value
            elif first <= value.data_ptr() < last and value.dtype == torch.uint8:
                placed[name] = (tuple(value.shape), value.stride(), value.data_ptr() - first)
            elif value.nbytes <= _INLINE:
                inline[name] = value.numpy()
            else:
                rest[name] = value
        return _received, (self._token, self._block, list(self), placed, inline, rest)


def _received(token, block, names, placed, inline, rest) -> dict[str, Any]:
    memory = _open[token].receive(block)
    tensors = {name: memory.as_strided(shape, stride, at) for name, (shape, stride, at) in placed.items()}
    found = tensors | {name: torch.from_numpy(array) for name, array in inline.items()} | rest
    return {name: found[name] for name in names}


def _nameless_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("deepshard", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
