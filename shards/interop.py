"""A split through the libraries that people's own loops are written in: torch, webdataset, datasets.

Each gives what users of that library expect, stored bytes or decoded samples, from the same ranges, caches and checks
as training; labels are the split's, corrections included. These loops divide and shuffle by their own rules: the
promises on order and resuming are those of ``loader`` alone.
"""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from torch.utils.data import Dataset, IterableDataset

from shards import order
from shards.errors import SplitError
from shards.stored import BATCH, check_members, read_members

if TYPE_CHECKING:
    import datasets
    import webdataset

    from shards.split import Split

PARTS = 720  # of a stream: a number that nodes and workers of any usual number divide evenly
_COLUMNS = ("sample_id", "video_id", "dataset", "method", "frame_index", "weight")


class Samples(Dataset):
    """A split sample by sample, for ``torch.utils.data.DataLoader`` with its own sampler and collation.

    ``samples[i]``: ``image`` uint8 [3,H,W] RGB, ``label`` int (0 real, 1 fake), ``weight`` float, ``index`` int,
    ``sample_id``; if asked for ``mask`` uint8 [1,H,W], ``landmarks`` float32 [K,2], ``json`` dict, ``partner`` uint8
    [3,H,W] with ``partner_valid``. Raises ReadError for a sample that cannot be read.
    """

    def __init__(self, split: "Split", members: Sequence[str] = ("image",)) -> None:
        self._batches = split.dataset(members)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([range(len(self))[index]])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        batch = self._batches.__getitems__(indices)
        batch["sample_id"] = self._batches.split.sample_ids(indices)
        for name in ("label", "weight", "index", "partner_valid"):
            if name in batch:
                batch[name] = batch[name].tolist()
        names = [name for name in batch if name not in ("valid", "draw", "errors")]
        return [{name: batch[name][slot] for name in names} for slot in range(len(indices))]


class _Stream(IterableDataset):
    """Samples as webdataset knows them, this node's and this worker's part of an order."""

    def __init__(self, split: "Split", members: Sequence[str], seed: int | None, epoch: int) -> None:
        self._stored = _Stored(split, members)
        self._seed, self._epoch = seed, epoch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from webdataset.utils import pytorch_worker_info

        rank, world, worker, workers = pytorch_worker_info()
        split = self._stored.split
        rows = np.arange(len(split))
        if self._seed is not None:
            rows = order.order(split.hash, self._seed, self._epoch, len(split))
        for row, members in self._stored.read(np.array_split(rows, world * workers)[rank * workers + worker]):
            (facts,) = split.rows([row])
            sample = {"__key__": facts["sample_id"].split("/", 2)[2], "__url__": f"{facts['shard']}.tar"}
            for member, data in members.items():
                ext = facts["partner_image_ext" if member == "partner" else "image_ext"]
                names = {"image": ext, "mask": "mask.png", "json": "json", "partner": f"partner.{ext}"}
                sample[names[member]] = data
            yield sample | {"cls": str(facts["label"]).encode()}


class _Stored:
    """Stored bytes of a split's members. It travels as a path, like a SplitDataset."""

    def __init__(self, split: "Split", members: Sequence[str]) -> None:
        check_members(split, members)
        self.split, self.members = split, tuple(members)

    def __getstate__(self) -> dict[str, Any]:
        split = self.split
        return {"members": self.members, "open": (split.path, split.shards_dir, split.cache), "hash": split.hash}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from shards.split import Split

        self.members, self.split = state["members"], Split.open(*state["open"])
        if self.split.hash != state["hash"]:
            raise SplitError(f"{self.split.path} was replaced while it was in use: start again")

    def read(self, rows: np.ndarray) -> Iterator[tuple[int, dict[str, bytes]]]:
        """(row, its members), in this order; a partner that a row does not have is left out. Raises ReadError."""
        for begin in range(0, len(rows), BATCH):
            batch = np.asarray(rows[begin : begin + BATCH], np.int64)
            samples = read_members(self.split, self.members, batch)
            yield from zip(batch.tolist(), samples, strict=True)


class _Members:
    """Adds the images of a batch of rows: a transform of a ``datasets.Dataset``."""

    def __init__(self, split: "Split", members: Sequence[str]) -> None:
        self._stored = _Stored(split, members)

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        if "row" not in batch:
            return batch  # a column was asked for
        read = list(self._stored.read(np.array(batch["row"], np.int64)))
        columns = {
            member: [_opened(member, members.get(member)) for _, members in read] for member in self._stored.members
        }
        return batch | columns


def as_webdataset(
    split: "Split", members: Sequence[str] = ("image", "json"), seed: int | None = None, epoch: int = 0
) -> "webdataset.DataPipeline":
    """A webdataset pipeline of the split's stored bytes, to go on with ``.decode("rgb8").to_tuple("png", "cls")``.

    Samples hold ``__key__``, the image under its extension, ``json``, ``mask.png``, ``partner.EXT`` as asked for, and
    ``cls``, the split's label. Each sample comes once over all nodes and workers; ``seed`` and ``epoch`` give a
    shuffled order, None the split's own.
    """
    import webdataset
    from webdataset.compat import FluidInterface

    class SplitPipeline(webdataset.DataPipeline, FluidInterface):
        pass

    return SplitPipeline(_Stream(split, members, seed, epoch))


def as_hf(
    split: "Split", members: Sequence[str] = ("image",), streaming: bool = False, parts: int = PARTS
) -> "datasets.Dataset | datasets.IterableDataset":
    """The split as a ``datasets.Dataset``, or ``streaming`` as an ``IterableDataset`` in the split's order.

    Columns: ``label`` (0 real, 1 fake), ``sample_id``, ``video_id``, ``dataset``, ``method``, ``frame_index``,
    ``weight``; ``image``, ``mask``, ``partner`` as PIL images (a partner may be None), ``json`` as text. A Dataset
    reads images when its rows are read and copies nothing; another format set on it replaces the images. A stream has
    ``parts`` shards (fewer if the split is smaller), which ``split_dataset_by_node`` and workers share.
    """
    import datasets

    if not streaming:
        table = pa.table({name: _plain(split, name) for name in _COLUMNS})
        table = table.append_column("label", split.table["label"].cast(pa.int64()))
        table = table.append_column("row", pa.array(np.arange(len(split))))
        told = datasets.Dataset(table, fingerprint=split.hash[:16])
        told = told.cast_column("label", datasets.ClassLabel(names=["real", "fake"]))
        return told.with_transform(_Members(split, members))
    kinds = {"sample_id": "string", "video_id": "string", "dataset": "string", "method": "string"}
    kinds |= {"frame_index": "int64", "weight": "float32"}
    features = {name: datasets.Value(kind) for name, kind in kinds.items()}
    features["label"] = datasets.ClassLabel(names=["real", "fake"])
    features |= {name: datasets.Value("string") if name == "json" else datasets.Image() for name in members}
    edges = np.linspace(0, len(split), min(parts, max(1, len(split))) + 1).astype(int).tolist()
    return datasets.IterableDataset.from_generator(
        _streamed,
        features=datasets.Features(features),
        gen_kwargs={"stored": _Stored(split, members), "parts": list(zip(edges[:-1], edges[1:], strict=True))},
    )


def _streamed(stored: _Stored, parts: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    for begin, end in parts:
        rows = stored.split.table.slice(begin, end - begin).select([*_COLUMNS, "label"]).to_pylist()
        for facts, (_, members) in zip(rows, stored.read(np.arange(begin, end)), strict=True):
            columns: dict[str, Any] = {}
            for member in stored.members:
                data = members.get(member)
                if member == "json":
                    columns[member] = data.decode()
                else:
                    columns[member] = None if data is None else {"bytes": data, "path": None}
            yield facts | columns


def _opened(member: str, data: bytes | None) -> Any:
    from PIL import Image

    if data is None:
        return None
    if member == "json":
        return data.decode()
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _plain(split: "Split", column: str) -> pa.ChunkedArray:
    values = split.table[column]
    return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values
