"""The torch DataLoader over a split: whole batches from worker processes, in the sampler's order.

The loader is ours and is not handed to Accelerate's ``prepare``, which would divide a rank's batches once more. Workers
start from a server process that was forked before the trainer had threads or CUDA: forking a trainer deadlocks sooner
or later. They persist over epochs, and no random number is taken from torch's global generator.
"""

import multiprocessing
import os
import threading

import cv2
import torch
from torch.utils.data import DataLoader

from shards.ahead import LookAhead
from shards.dataset import SplitDataset
from shards.errors import OrderError
from shards.exchange import Exchange, Exchanged
from shards.sampler import GlobalBatchSampler

_KEPT = 4  # batches of a worker that the trainer may hold at a time before they cost a copy; two are usual
_PRELOADED = ["torch", "cv2", "pyarrow", "shards.dataset"]


def loader(
    dataset: SplitDataset,
    sampler: GlobalBatchSampler,
    workers: int = 0,
    pin_memory: bool = False,
    prefetch: int = 2,
    start_method: str | None = None,
    timeout_s: float = 0,
) -> DataLoader:
    """Batches as ``SplitDataset`` describes them, on the CPU; ``workers=0`` reads in this process.

    Call ``sampler.set_epoch`` before each iteration. ``prefetch``: batches ahead per worker. ``start_method``:
    forkserver where the system has it, else spawn; as with either, a script needs ``if __name__ == "__main__"``.
    ``timeout_s``: give up on a batch after so long (0: never). Raises OrderError if sampler and dataset differ.
    """
    if sampler.split_hash != dataset.split.hash:
        raise OrderError(
            f"the sampler orders split {sampler.split_hash[:12]}, the dataset reads {dataset.split.hash[:12]}: "
            "make both from the same split"
        )
    batches = LookAhead(sampler) if dataset.far else sampler
    generator = torch.Generator().manual_seed(sampler.seed)  # DataLoader draws a seed per iteration
    if workers == 0:
        return DataLoader(dataset, batch_sampler=batches, collate_fn=_as_is, pin_memory=pin_memory, generator=generator)
    exchange = Exchange(workers, prefetch + _KEPT, sampler.micro_batch * dataset.pixel_bytes())
    return DataLoader(
        Exchanged(dataset, exchange),
        batch_sampler=batches,
        collate_fn=_as_is,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=prefetch,
        persistent_workers=True,
        multiprocessing_context=_context(start_method),
        worker_init_fn=_start_worker,
        timeout=timeout_s,
        generator=generator,
    )


def _context(method: str | None) -> multiprocessing.context.BaseContext:
    if method is None:
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(_PRELOADED)  # imported once, not once per worker
    return context


def _as_is(batch: dict) -> dict:
    return batch


def _start_worker(_: int) -> None:
    cv2.setNumThreads(1)
    threading.Thread(target=_leave_with_trainer, daemon=True).start()


def _leave_with_trainer() -> None:
    # torch's own watchdog looks at the worker's parent, which is the fork server, and that waits for its workers: after
    # a SIGKILL of the trainer both would stay for ever
    multiprocessing.parent_process().join()
    os._exit(1)
