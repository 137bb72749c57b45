"""A file per face, in a folder per video."""

import numpy as np

from benchmarks.peers import Picked, shuffled


class Reader:
    def __init__(self, faces, folder):
        self._paths = [f"{folder}/{key}.{faces.codec}" for key in faces.keys]

    def __call__(self, number):
        with open(self._paths[number], "rb") as file:
            return file.read()


def write(faces, folder):
    for key, data in zip(faces.keys, faces.encoded(np.arange(len(faces))), strict=True):
        path = folder / f"{key}.{faces.codec}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def loader(faces, folder, part, workers, batch):
    return shuffled(Picked(Reader(faces, folder), faces.part(part)), workers, batch)
