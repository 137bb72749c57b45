"""How a worker's batch reaches the trainer: through blocks of shared memory that are made once and used again.

Torch's own way makes a shared file per tensor and batch; its pages are faulted in twice, which can take as long as
decoding JPEGs does. Here a worker fills a block, sends its number, and the trainer copies the pixels out and frees it;
small arrays travel inside the message. The memory has no name, so a crash leaves nothing behind, and it is not taken
from ``/dev/shm``, which containers keep small. A worker that finds no free block falls back to torch's way.
"""

import mmap
import os
import secrets
import tempfile
from collections.abc import Sequence
from multiprocessing import reduction
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from shards.dataset import SplitDataset, fresh

_INLINE = 64 << 10  # bytes up to which a tensor travels inside the message
_open: "WeakValueDictionary[str, Exchange]" = WeakValueDictionary()


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
        state = {
            name: value for name, value in self.__dict__.items() if name not in ("_descriptor", "_taken", "_bytes")
        }
        return state | {"_descriptor": reduction.DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        descriptor = state.pop("_descriptor").detach()
        self.__dict__.update(state)
        self._map(descriptor)

    def __del__(self) -> None:
        if (descriptor := self.__dict__.pop("_descriptor", None)) is not None:
            os.close(descriptor)

    def _map(self, descriptor: int) -> None:
        self._descriptor = descriptor
        memory = np.frombuffer(mmap.mmap(descriptor, self._size), np.uint8)
        self._taken, self._bytes = memory[: self._start], torch.from_numpy(memory[self._start :])

    def take(self, worker: int) -> int | None:
        """A free block of this worker, or None."""
        free = np.flatnonzero(self._taken[worker * self.blocks : (worker + 1) * self.blocks] == 0)
        if not len(free):
            return None
        block = worker * self.blocks + int(free[0])
        self._taken[block] = 1
        return block

    def free(self, block: int) -> None:
        """Let the block be filled again."""
        self._taken[block] = 0

    def bytes(self, block: int) -> torch.Tensor:
        """The block's memory: uint8 [block_bytes]."""
        return self._bytes[block * self.block_bytes : (block + 1) * self.block_bytes]


class Exchanged(Dataset):
    """A dataset whose batches go through an exchange when a worker reads them."""

    def __init__(self, dataset: SplitDataset, exchange: Exchange) -> None:
        self.dataset, self.exchange = dataset, exchange

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, slots: Sequence[int] | np.ndarray) -> dict[str, Any]:
        worker = get_worker_info()
        block = self.exchange.take(worker.id) if worker else None
        if block is None:
            return self.dataset.__getitems__(slots)
        try:
            batch = self.dataset.batch(slots, _Allocator(self.exchange.bytes(block)))
        except BaseException:
            self.exchange.free(block)
            raise
        return _Sent(batch, self.exchange, block)


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

    def __init__(self, batch: dict[str, Any], exchange: Exchange, block: int) -> None:
        super().__init__(batch)
        self._exchange, self._block = exchange, block

    def __reduce__(self) -> tuple[Any, ...]:
        memory = self._exchange.bytes(self._block)
        first, last = memory.data_ptr(), memory.data_ptr() + len(memory)
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
        return _received, (self._exchange.token, self._block, list(self), placed, inline, rest)


def _received(token, block, names, placed, inline, rest) -> dict[str, Any]:
    exchange = _open[token]
    memory = exchange.bytes(block)
    start = memory.storage_offset()
    tensors = {
        name: memory.as_strided(shape, stride, start + at).clone() for name, (shape, stride, at) in placed.items()
    }
    exchange.free(block)
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
