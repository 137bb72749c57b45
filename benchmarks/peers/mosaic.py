"""mosaicml-streaming: its own shards (MDS); streamed whole, a part of them picked by number."""

import numpy as np
import streaming

from benchmarks.peers import Picked, decode, shuffled, torch_loader


def write(faces, folder):
    with streaming.MDSWriter(out=str(folder), columns={"image": "bytes", "number": "int"}) as writer:
        for number, data in enumerate(faces.encoded(np.arange(len(faces)))):
            writer.write({"image": data, "number": number})


class Decoded(streaming.StreamingDataset):
    def __getitem__(self, index):
        item = super().__getitem__(index)
        return decode(item["image"]), item["number"]


class Reader:
    def __init__(self, folder, batch):
        self._dataset = streaming.StreamingDataset(local=str(folder), batch_size=batch, shuffle=False)

    def __call__(self, number):
        return self._dataset[number]["image"]


def loader(faces, folder, part, workers, batch):
    streaming.base.util.clean_stale_shared_memory()
    numbers = faces.part(part)
    if len(numbers) < len(faces):
        return shuffled(Picked(Reader(folder, batch), numbers), workers, batch)
    return torch_loader(Decoded(local=str(folder), batch_size=batch, shuffle=True), workers, batch)
