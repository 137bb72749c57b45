"""The limit: the fastest decoder on bytes already in memory, through our DataLoader, collation and transport.

Nothing is looked up, read or checked: a worker decodes what it holds, into the batch.
"""

import numpy as np
import torch

from benchmarks.peers.ours import Epochs
from benchmarks.stream_faces import SIZE
from shards.dataset import fresh
from shards.image import decode_into
from shards.sampler import GlobalBatchSampler
from shards.split import Split

_HELD = 2048  # faces: more than any cache of a CPU holds


class InMemory(torch.utils.data.Dataset):
    far = False  # as for the loader a split on this machine

    def __init__(self, faces, part, rows):
        self.split, self.faces, self.part, self.rows = Split.open(faces.manifest(part)), faces, part, rows
        self._held = None

    def __getstate__(self):
        return {"faces": self.faces, "part": self.part, "rows": self.rows}

    def __setstate__(self, state):
        self.__init__(**state)

    def __len__(self):
        return len(self.split)

    def pixel_bytes(self):
        return SIZE * SIZE * 3

    def __getitems__(self, slots):
        return self.batch(slots, fresh)

    def batch(self, slots, allocate):
        if self._held is None:
            numbers = self.faces.part(self.part)[self.rows]
            self._held = [np.frombuffer(data, np.uint8) for data in self.faces.encoded(numbers)]
        image = allocate((len(slots), SIZE, SIZE, 3))
        pixels, held = image.numpy(), slots["row"] % len(self.rows)
        for slot, place in enumerate(held.tolist()):
            decode_into(self._held[place], pixels[slot])
        return {"image": image.permute(0, 3, 1, 2), "index": torch.from_numpy(self.rows[held])}


def loader(faces, folder, part, workers, batch):
    numbers = faces.part(part)
    rows = np.random.default_rng(0).permutation(len(numbers))[:_HELD]
    dataset = InMemory(faces, part, rows)
    return Epochs(dataset, GlobalBatchSampler(dataset.split, min(batch, len(dataset))), workers, numbers)
