"""litdata: its own chunks; streamed whole through its loader, a part of them picked by number."""

from functools import partial

import litdata
import numpy as np

from benchmarks.peers import Picked, decode, one_thread, shuffled


def _item(number, faces):
    return {"number": number, "image": next(faces.encoded(np.array([number])))}


def write(faces, folder):
    litdata.optimize(
        fn=partial(_item, faces=faces),
        inputs=list(range(len(faces))),
        output_dir=str(folder),
        chunk_bytes="64MB",
        num_workers=1,  # keeps the faces in order
        verbose=False,
    )


class Decoded(litdata.StreamingDataset):
    def __getitem__(self, index):
        item = super().__getitem__(index)
        return decode(item["image"]), item["number"]


class Reader:
    def __init__(self, folder):
        self._folder, self._dataset = str(folder), None

    def __call__(self, number):
        if self._dataset is None:
            self._dataset = litdata.StreamingDataset(self._folder)
        return self._dataset[number]["image"]


def loader(faces, folder, part, workers, batch):
    numbers = faces.part(part)
    if len(numbers) < len(faces):
        return shuffled(Picked(Reader(folder), numbers), workers, batch)
    options = {"prefetch_factor": 2, "persistent_workers": True, "worker_init_fn": one_thread} if workers else {}
    dataset = Decoded(str(folder), shuffle=True, drop_last=False)
    return litdata.StreamingDataLoader(dataset, batch_size=batch, num_workers=workers, **options)
