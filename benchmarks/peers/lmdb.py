"""One LMDB of all faces, read by key, as DeepfakeBench keeps its datasets."""

import lmdb

from benchmarks.peers import Picked, shuffled


class Reader:
    """Opened by the worker that reads: an environment must not cross a fork."""

    def __init__(self, faces, folder):
        self._keys, self._path, self._env = faces.keys, str(folder), None

    def __call__(self, number):
        if self._env is None:
            self._env = lmdb.open(self._path, readonly=True, create=False, lock=False, readahead=False)
        with self._env.begin() as transaction:
            return transaction.get(self._keys[number].encode())


def write(faces, folder):
    import numpy as np

    room = 2 * int(faces.table["size"].to_numpy().astype(np.int64).sum()) + (1 << 28)
    with lmdb.open(str(folder), map_size=room) as env:
        keys = faces.keys
        for start in range(0, len(faces), 1000):
            numbers = np.arange(start, min(start + 1000, len(faces)))
            with env.begin(write=True) as transaction:
                for number, data in zip(numbers.tolist(), faces.encoded(numbers), strict=True):
                    transaction.put(keys[number].encode(), data)


def loader(faces, folder, part, workers, batch):
    return shuffled(Picked(Reader(faces, folder), faces.part(part)), workers, batch)
