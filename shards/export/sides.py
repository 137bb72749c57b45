"""Which faces are exported as what: sides such as train and test, each of one or more pinned splits.

A trainer of somebody else's knows faces by path, ``dataset/method/quality/video/FFFFFF-T``. That is unique only while
a video is there with one content and under one recipe, so this is checked before anything is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from shards.errors import ShardError
from shards.split import Split

PREFIX = (
    18  # characters of a sample id before its key: eight digits of the recipe's hash, of the content's, two slashes
)
SIDES = ("train", "val", "test")
_ROWS = 1 << 16


class ExportError(ShardError):
    """An export that cannot be made, or a folder that cannot take it; the message says what to do."""


@dataclass(frozen=True)
class Side:
    """Faces that are exported together. ``name``: what the trainer calls them, e.g. train."""

    name: str
    splits: list[Split]

    def __len__(self) -> int:
        return sum(map(len, self.splits))


@dataclass(frozen=True)
class Clip:
    """The faces of one video in a split, its rows [start, stop). ``origin``: recipe and content, as in a sample id."""

    video_id: str
    start: int
    stop: int
    origin: str

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)


def clips(split: Split) -> Iterator[Clip]:
    """The videos of a split that have a face, in its order: rows are sorted by sample id, so a video's lie together."""
    codes, names = split.words("video_id")
    if not len(codes):
        return
    breaks = codes[1:] != codes[:-1]
    for begin in range(0, len(breaks), _ROWS):  # one video of two contents may follow on itself
        rows = split.table["sample_id"].slice(begin, _ROWS + 1)
        origins = pc.utf8_slice_codeunits(rows, 0, PREFIX)
        breaks[begin : begin + _ROWS] |= pc.not_equal(origins[1:], origins[:-1]).to_numpy()
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(codes)]
    firsts = split.sample_ids(edges[:-1])
    for start, stop, first in zip(edges[:-1], edges[1:], firsts, strict=True):
        yield Clip(names[codes[start]], start, stop, first[:PREFIX])


def check_sides(sides: Sequence[Side], shared: bool) -> None:
    """Raises ExportError if two faces would have one path. ``shared``: all sides lie in one tree; a face that is in
    several splits is the same file there, and no error."""
    for side in sides:
        if not len(side):
            raise ExportError(f"{side.name} has no face: there is nothing to export")
        for place, split in enumerate(side.splits):
            for other in side.splits[:place] if not shared else ():
                both = pc.sum(pc.is_in(split.table["sample_id"], other.table["sample_id"])).as_py()
                if both:
                    raise ExportError(
                        f"{both:,} faces are in {other.name} and in {split.name}, and both are to be {side.name}: give "
                        "one of them another name (NAME=SPLIT)"
                    )
    for group in [list(sides)] if shared else [[side] for side in sides]:
        origins: dict[str, str] = {}
        for split in (split for side in group for split in side.splits):
            for clip in clips(split):
                if origins.setdefault(clip.video_id, clip.origin) != clip.origin:
                    raise ExportError(
                        f"{clip.video_id} is there twice, under two recipes or from two files of that name, and its "
                        "faces would have the same paths: export those splits apart"
                    )
