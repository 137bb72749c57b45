"""deepshard: the pinned split through its own loader; the bytes straight from its reader."""

from benchmarks.peers import one_thread
from shards.loader import loader as split_loader
from shards.reader import ShardReader
from shards.sampler import GlobalBatchSampler
from shards.split import Split


class Epochs:
    """Each iteration is the next epoch of a loader; ``numbers``: the number of the face in each row of the split."""

    def __init__(self, dataset, sampler, workers, numbers):
        one_thread(0)
        self._loader, self._sampler, self._numbers, self._epoch = (
            split_loader(dataset, sampler, workers),
            sampler,
            numbers,
            0,
        )

    def __iter__(self):
        self._sampler.set_epoch(self._epoch)
        self._epoch += 1
        for batch in self._loader:
            yield batch["image"].permute(0, 2, 3, 1), self._numbers[batch["index"].numpy()]


def loader(faces, folder, part, workers, batch):
    split = Split.open(faces.manifest(part), cache=folder)  # where nothing is materialised
    return Epochs(split.dataset(), GlobalBatchSampler(split, min(batch, len(split))), workers, faces.part(part))


def raw_bytes(faces, folder, part, batch):
    split = Split.open(faces.manifest(part))
    reader, ranges, numbers = ShardReader(split.shards_dir), split.ranges("image"), faces.part(part)
    epoch = 0
    while True:
        sampler = GlobalBatchSampler(split, min(batch, len(split)))
        sampler.set_epoch(epoch)
        for slots in sampler:
            found, faults = reader.fetch(ranges.take(slots["row"]))
            assert not faults, faults
            yield found, numbers[slots["row"]]
        epoch += 1
