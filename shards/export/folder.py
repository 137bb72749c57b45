"""Image folders: SIDE/real|fake/dataset/method/quality/video/FFFFFF-T.png, and a table of what is known of each.

torchvision's ImageFolder takes a side's two folders for its two classes; ``datasets`` reads SIDE/metadata.parquet,
whose label is the split's. Masks lie in masks/ under the same path, apart: a class named masks would be no help.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from shards.export import facts, notes
from shards.export.files import batches, copy_faces
from shards.export.place import Place
from shards.export.sides import ExportError, Side, check_sides
from shards.split import Split

CLASSES = ("real", "fake")
MASKS = "masks"
METADATA = "metadata.parquet"
_GROUP = 8192  # rows of the table at a time


def check(sides: Sequence[Side], options: dict[str, str]) -> None:
    """Raises ExportError for sides that cannot be folders beside one another."""
    check_sides(sides, shared=False)
    for side in sides:
        if side.name == MASKS:
            raise ExportError(f"{MASKS} is the folder of the masks: name that side otherwise (NAME=SPLIT)")


def write(place: Place, sides: Sequence[Side], options: dict[str, str], done: Callable[[int], None]) -> notes.Words:
    """Every face of every side. ``done`` is told how many more there are."""
    schema = _schema()
    for side in sides:
        with (
            place.large(f"{side.name}/{METADATA}") as file,
            pq.ParquetWriter(file, schema, compression="zstd") as table,
        ):
            waiting = []
            for split in side.splits:
                for rows in batches(split):
                    images, masks = _paths(side, split, rows)
                    jsons = copy_faces(place, split, rows, {"image": images, "mask": masks})
                    has_mask = split.ranges("mask").offsets[rows] >= 0
                    for row, image, mask, there in zip(
                        facts.facts_of(split, rows, jsons), images, masks, has_mask, strict=True
                    ):
                        waiting.append(row | {"file_name": image.partition("/")[2], "mask": mask if there else None})
                    done(len(rows))
                    if len(waiting) >= _GROUP:
                        table.write_table(pa.Table.from_pylist(waiting, schema=schema))
                        waiting.clear()
            table.write_table(pa.Table.from_pylist(waiting, schema=schema))
    return _words(sides)


def _paths(side: Side, split: Split, rows) -> tuple[list[str], list[str]]:
    """Of images and masks."""
    columns = split.table.select(["sample_id", "label", "image_ext"]).take(pa.array(rows, pa.int64())).to_pydict()
    images, masks = [], []
    for sample, label, ext in zip(*columns.values(), strict=True):
        stem = f"{side.name}/{CLASSES[label]}/{facts.key_of(sample)}"
        images.append(f"{stem}.{ext}")
        masks.append(f"{MASKS}/{stem}.png")
    return images, masks


def _schema() -> pa.Schema:
    """With the word of ``datasets`` for it, so that the label is a class there."""
    from shards.export.parquet import features_of

    fields = [pa.field("file_name", pa.string()), *facts.FACTS, pa.field("mask", pa.string())]
    return features_of(fields).arrow_schema


def _words(sides: Sequence[Side]) -> notes.Words:
    first = sides[0].name
    load = f"""
```python
from torchvision.datasets import ImageFolder

faces = ImageFolder("{first}")  # classes by the alphabet: fake is 0 and real is 1
```

```python
from datasets import load_dataset

faces = load_dataset("imagefolder", data_dir="{first}", split="train")  # label: 0 real, 1 fake, and all the rest
```

`{first}/{METADATA}` has one row per face; `file_name` is relative to `{first}/`, `mask` to this folder.
"""
    said = [
        "ImageFolder numbers classes by the alphabet, so 0 is fake there; everywhere else here 0 is real.",
        *notes.of_columns(sides),
    ]
    return notes.Words("Faces as images", load, said)
