"""deepshard again, on the same split materialised as raw pixels."""

from benchmarks.peers.ours import Epochs
from shards.cache import Cache
from shards.materialize import materialize
from shards.sampler import GlobalBatchSampler
from shards.split import Split


def loader(faces, folder, part, workers, batch):
    split = Split.open(faces.manifest(part), cache=folder)
    materialize(split, Cache(folder), raw=True, workers=workers)
    return Epochs(split.dataset(), GlobalBatchSampler(split, min(batch, len(split))), workers, faces.part(part))
