"""A small store of several datasets with all that forms of an export trip over, and splits of it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from shards import schema
from shards.export.sides import Side
from shards.pack import pack
from shards.part import PartWriter
from shards.split import Split
from tests.fabricate import attempt_row, encode, members, pixels, recipe_hash, sample_row, video_row, write_manifest

SIZE = 32


@dataclass(frozen=True)
class Made:
    """A video to make. ``places``: (frame, track) of its faces."""

    dataset: str
    method: str
    quality: str
    name: str
    label: int
    places: tuple[tuple[int, int], ...] = ((0, 0), (10, 0), (20, 0))
    masks: bool = True

    @property
    def video_id(self) -> str:
        return schema.video_id(self.dataset, self.method, self.quality, self.name)


VIDEOS = (
    Made("ffpp", "original", "c23", "000", 0),
    Made("ffpp", "original", "c23", "003", 0, ((7, 0),)),
    Made("ffpp", "Deepfakes", "c23", "000_003", 1),
    Made("ffpp", "Face2Face", "c23", "000_003", 1),
    Made("ffpp", "FaceShifter", "c23", "000_003", 1, masks=False),
    Made("ffpp", "original", "c40", "000", 0),
    Made("celebdf-v2", "Celeb-real", "native", "id0_0001", 0),
    Made("celebdf-v2", "Celeb-synthesis", "native", "id0_id1_0001", 1),
    Made("campus", "original", "native", "frames 01", 0, ((0, 0), (0, 1), (5, 1))),
    Made("campus", "swap", "native", "a.b", 1),
    Made("campus", "swap", "native", "nobody", 1, ()),
)


@dataclass(frozen=True)
class World:
    """``rows``: SAMPLES of all faces; ``videos``: VIDEOS as rows."""

    root: Path
    rows: list[dict[str, Any]]
    videos: list[dict[str, Any]]

    @property
    def shards_dir(self) -> Path:
        return self.root / "shards"

    def split(self, name: str, wanted: Callable[[Made], bool], shards: Any = None, **of_rows: Any) -> Split:
        """A split of the videos that are wanted, pinned; ``of_rows``: columns of its rows, such as a role."""
        ids = {made.video_id for made in VIDEOS if wanted(made)}
        rows = [row | of_rows for row in self.rows if row["video_id"] in ids]
        videos = [video for video in self.videos if video["video_id"] in ids]
        partners = of_rows.pop("partners", False)
        manifest = write_manifest(self.root / "splits", rows, videos, SIZE, partners, name)
        return Split.open(manifest, shards or self.shards_dir)

    def side(self, name: str, wanted: Callable[[Made], bool], **of_rows: Any) -> Side:
        """A side of one such split, whose name is a_NAME."""
        return Side(name, [self.split(f"a_{name}", wanted, **of_rows)])


def make_world(root: Path, codec: str = "png") -> World:
    """VIDEOS in two packs, with and without masks."""
    videos, parts = [], {True: [], False: []}
    for number, made in enumerate(VIDEOS):
        changes = {name: getattr(made, name) for name in ("dataset", "quality", "label", "video_id")}
        original = schema.video_id(made.dataset, "original", made.quality, made.name[:3]) if made.label else None
        row = video_row(made.name, made.method, **changes, original_video=original)
        videos.append(row)
        path = root / "parts" / f"{number:04d}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = hashlib.sha256(made.video_id.encode()).hexdigest()
        with PartWriter(path, row) as writer:
            for frame, track in made.places:
                sample = sample_of(made, frame, track)
                data = members(row, sample, SIZE, made.masks, codec)
                writer.add(sample_row(frame, content, track, image_ext=codec), data)
            writer.finish(attempt_row(len(made.places), content, "done" if made.places else "no_face"))
        parts[made.masks].append(path)
    rows = []
    for masks, of_kind in parts.items():
        packed = pack(of_kind, root / "shards", f"faces-{int(masks)}-000000")
        rows += pq.read_table(packed.samples).to_pylist()
    return World(root, sorted(rows, key=lambda row: row["sample_id"]), videos)


def sample_of(made: Made, frame: int, track: int) -> str:
    content = hashlib.sha256(made.video_id.encode()).hexdigest()
    return schema.sample_id(recipe_hash(), content, schema.sample_key(made.video_id, frame, track))


def image_of(made: Made, frame: int, track: int, codec: str = "png") -> bytes:
    """The bytes that the shards hold of a face."""
    return encode(pixels(sample_of(made, frame, track), SIZE), codec)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
