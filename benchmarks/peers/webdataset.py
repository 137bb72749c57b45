"""webdataset: all shards from their beginning, samples that are not of the split dropped before decoding."""

import torch
import webdataset

from benchmarks.peers import decode, torch_loader


class Decode:
    def __init__(self, faces, part):
        self._codec = faces.codec
        numbers = faces.part(part)
        self.wanted = {faces.keys[number]: number for number in numbers.tolist()}

    def wants(self, sample):
        return sample["__key__"] in self.wanted

    def __call__(self, sample):
        return decode(sample[self._codec]), self.wanted[sample["__key__"]]


def _pipeline(faces, decoder):
    shards = webdataset.WebDataset(
        [str(path) for path in faces.tars],
        shardshuffle=False,
        empty_check=False,
        workersplitter=webdataset.split_by_worker,
    )
    return shards.select(decoder.wants)


def _stack(samples):
    return torch.stack([pixels for pixels, _ in samples]), torch.tensor([number for _, number in samples])


def loader(faces, folder, part, workers, batch):
    decoder = Decode(faces, part)
    dataset = _pipeline(faces, decoder).map(decoder).batched(batch, collation_fn=_stack)
    return torch_loader(dataset, workers, None)


def raw_bytes(faces, folder, part, batch):
    decoder = Decode(faces, part)
    while True:
        for sample in _pipeline(faces, decoder):
            yield [sample[faces.codec]], [decoder.wanted[sample["__key__"]]]
