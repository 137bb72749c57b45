"""The sides of the streaming benchmark: ours, the limit, and what people use today; one module each.

A side has ``write(faces, folder)``, where it needs a form of its own, and ``loader(faces, folder, part, workers,
batch)``: something that can be iterated again and again, each time an epoch of batches (pixels, numbers), pixels a
uint8 tensor of [B,256,256,3] in memory, RGB, numbers an int64 array [B]. All decode by the same function,
``shards.image.decode_into``, on one thread of each worker, so that what is compared is the reading. Who cannot pick
samples reads all and drops the rest before decoding; who can pick by number does. Raw bytes come from ``raw_bytes``,
lists of (bytes, number), where a side has it.
"""

import numpy as np
import torch

SIDES = ("ours", "limit", "webdataset", "datasets", "litdata", "mosaic", "lmdb", "loose")
ENVIRONMENTS = {
    "litdata": ("litdata",),
    "mosaic": ("mosaicml-streaming",),
    "lmdb": ("lmdb",),
}  # sides with packages of their own


def decode(data) -> torch.Tensor:
    """A face as pixels of its own: uint8 [256,256,3], RGB."""
    from shards.image import decode_into

    pixels = np.empty((256, 256, 3), np.uint8)
    decode_into(data, pixels)
    return torch.from_numpy(pixels)


class Picked(torch.utils.data.Dataset):
    """Faces by number out of anything that gives a file for a number."""

    def __init__(self, read, numbers: np.ndarray) -> None:
        self._read, self._numbers = read, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        number = int(self._numbers[i])
        return decode(self._read(number)), number


def torch_loader(dataset, workers: int, batch: int, **options) -> torch.utils.data.DataLoader:
    """Torch's own loader as people set it up: forked workers that stay."""
    options |= {"prefetch_factor": 2, "persistent_workers": True} if workers else {}
    return torch.utils.data.DataLoader(
        dataset, batch_size=batch, num_workers=workers, worker_init_fn=one_thread, **options
    )


def shuffled(dataset, workers: int, batch: int) -> torch.utils.data.DataLoader:
    """The same in random order, as training reads what it can pick."""
    return torch_loader(dataset, workers, batch, shuffle=True, drop_last=len(dataset) >= batch)


def one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
