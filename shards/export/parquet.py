"""A dataset of the library ``datasets``: Parquet files that hold the images, the label as a class and every fact.

Cut into files of about 500 MB, which is what the Hub shows and streams well; one group of rows is in memory at a time.
A file that has its name is whole, so a run that was stopped goes on with the next one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shards.export import facts, notes
from shards.export.files import batches
from shards.export.place import Place
from shards.export.sides import ExportError, Side, check_sides
from shards.split import Split
from shards.stored import read_members

if TYPE_CHECKING:
    import datasets

FILE_BYTES = 500_000_000
CLASSES = ["real", "fake"]
_NAME = re.compile(r"\w+(\.\w+)*")  # of a split, as `datasets` has it
_IMAGES = ("image", "mask")


@dataclass(frozen=True)
class Piece:
    """Rows [start, stop) of a split, which become one file."""

    split: Split
    start: int
    stop: int


def check(sides: Sequence[Side], options: dict[str, str]) -> None:
    """Raises ExportError for sides that `datasets` cannot tell apart."""
    check_sides(sides, shared=False)
    for side in sides:
        if not _NAME.fullmatch(side.name):
            name = re.sub(r"\W+", "_", side.name)
            raise ExportError(
                f"`datasets` takes letters, digits and _ in the name of a split, not {side.name}: write "
                f"{name}={side.splits[0].name}"
            )


def write(place: Place, sides: Sequence[Side], options: dict[str, str], done: Callable[[int], None]) -> notes.Words:
    """Every face of every side. ``done`` is told how many more there are."""
    features = features_of(facts.FACTS, images=_IMAGES)
    for side in sides:
        pieces = cut(side)
        for number, piece in enumerate(pieces):
            path = f"data/{side.name}-{number:05d}-of-{len(pieces):05d}.parquet"
            if not place.exists(path):
                with place.large(path) as file:
                    _write(file, piece, features.arrow_schema, done)
            else:
                done(piece.stop - piece.start)
    return _words(sides)


def cut(side: Side, file_bytes: int | None = None) -> list[Piece]:
    """The files of a side: as few as have at most ``file_bytes`` of images and masks each, or one face."""
    file_bytes = file_bytes or FILE_BYTES
    pieces = []
    for split in side.splits:
        sizes = split.ranges("image").sizes[:].astype(np.int64)
        masks = split.ranges("mask")
        sizes = sizes + np.where(masks.offsets[:] >= 0, masks.sizes[:], 0)
        ends = np.cumsum(sizes)
        start = 0
        while start < len(split):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + file_bytes, "right")))
            pieces.append(Piece(split, start, stop))
            start = stop
    return pieces


def features_of(fields: Sequence[pa.Field], images: Sequence[str] = ()) -> "datasets.Features":
    """Columns as `datasets` knows them: ``images`` first, `label` as the classes real and fake."""
    import datasets

    features = {name: datasets.Image() for name in images}
    features |= datasets.Features.from_arrow_schema(pa.schema(fields))
    features["label"] = datasets.ClassLabel(names=CLASSES)
    return datasets.Features(features)


def _write(file, piece: Piece, schema: pa.Schema, done: Callable[[int], None]) -> None:
    split = piece.split
    with pq.ParquetWriter(file, schema, compression="zstd") as table:
        for rows in batches(split, piece.start, piece.stop):
            found = read_members(split, (*_IMAGES, "json"), rows)
            known = facts.facts_of(split, rows, [facts.read_json(members["json"]) for members in found])
            extensions = split.table["image_ext"].take(pa.array(rows, pa.int64())).to_pylist()
            for row, members, ext in zip(known, found, extensions, strict=True):
                key = facts.key_of(row["sample_id"])
                row["image"] = {"bytes": members["image"], "path": f"{key}.{ext}"}
                mask = members.get("mask")
                row["mask"] = None if mask is None else {"bytes": mask, "path": f"{key}.mask.png"}
            table.write_table(
                pa.Table.from_pylist(known, schema=schema)
            )  # a group of rows: what a viewer reads at once
            done(len(rows))


def _words(sides: Sequence[Side]) -> notes.Words:
    files = "\n".join(f"  - split: {side.name}\n    path: data/{side.name}-*.parquet" for side in sides)
    load = f"""
```python
from datasets import load_dataset

faces = load_dataset("FOLDER")  # this folder; or load_dataset("FOLDER", split="{sides[0].name}", streaming=True)
```

`image` and `mask` are PIL images, `label` is a class, 0 real and 1 fake.
"""
    head = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}\n---\n\n"
    return notes.Words("Faces for `datasets`", load, notes.of_columns(sides), head)
