"""One video (or folder of frames, or loose image) as an adapter found it: what the catalog knows before any pixel.

The fields are the columns of ``shards.schema.VIDEO_FIELDS``, in that order, so that a table of videos needs no
translation. ``name``, ``path`` and ``mask_path`` are spelled (see ``tree.spell``); open files through ``file()``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import pyarrow as pa

from curation.sources.remote import Place, place_of
from curation.sources.tree import unspell
from shards.schema import VIDEOS
from shards.schema import video_id as make_video_id

CATEGORIES = ("real", "swap", "reenactment", "synthesis", "edit", "mixed", "unknown")
SPLITS = ("train", "val", "test")
KINDS = ("video", "image", "frames")


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    video_id: str  # dataset/method/quality/name, each part escaped
    dataset: str
    method: str
    category: str
    quality: str
    name: str  # without extension
    label: int  # 0 real, 1 fake
    raw_label: str | None = None
    target_id: str | None = None
    source_id: str | None = None
    visible_id: str | None = None
    original_video: str | None = None
    official_split: str | None = None
    kind: str = "video"
    aligned: bool = False
    source: str
    path: str  # relative to the source's root
    mask_path: str | None = None
    bytes: int | None = None
    mtime_ns: int | None = None

    def __post_init__(self) -> None:
        for value, allowed in ((self.label, (0, 1)), (self.category, CATEGORIES), (self.kind, KINDS)):
            if value not in allowed:
                raise ValueError(f"{self.video_id}: {value!r} is none of {allowed}")
        if self.official_split is not None and self.official_split not in SPLITS:
            raise ValueError(f"{self.video_id}: official_split {self.official_split!r} is none of {SPLITS}")
        if (self.label == 0) != (self.category == "real"):
            raise ValueError(f"{self.video_id}: label {self.label} does not go with category {self.category!r}")

    def file(self, root: str | Place) -> Place:
        """The file (``kind`` frames: the folder) under the source's root, with its true bytes."""
        return place_of(root) / unspell(self.path)


def identify(dataset: str, method: str, quality: str, name: str) -> str:
    """The ``video_id`` of a spelled name: the key is made from the name on disk."""
    return make_video_id(dataset, method, quality, unspell(name))


_NAMES = [column.name for column in fields(Video)]


def to_table(videos: Iterable[Video]) -> pa.Table:
    """Videos as an Arrow table with the schema ``shards.schema.VIDEOS``, one row each, in the order given."""
    videos = list(videos)
    columns = [pa.array([getattr(video, column.name) for video in videos], type=column.type) for column in VIDEOS]
    return pa.Table.from_arrays(columns, schema=VIDEOS)


def from_table(table: pa.Table) -> list[Video]:
    """The inverse of ``to_table``; other columns of the table are left out."""
    return [Video(**row) for row in table.select(_NAMES).to_pylist()]
