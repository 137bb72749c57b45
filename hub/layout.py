"""Which faces lie in which shard of a repository, and what the files are called there.

A folder per dataset, which is also the name of its configuration; in it, shards of one official split and one set of
members. A shard ends with the pack that fills it, so that packs which are the same as last time give shards that are
the same, wherever others were added; and it is named by what is in it. Only the path says how many there are.

    data/ffpp/train-00003-of-00042.tar               the faces
    data/ffpp/train-00003-of-00042.parquet           the sidecar, its rows naming the shard ffpp-train-0f3c5a7b9d1e
    data/ffpp/train-00003-of-00042.videos.parquet    the mark: its videos
    data/ffpp/train-without-faces.videos.parquet     videos that gave no face, where the split has none at all
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards import schema
from shards.repack import arrange

FILLED = 128 << 20  # bytes: a pack of 256 MB is a shard of its own, what is left of others is put together
WITHOUT = "without-faces"


@dataclass(frozen=True)
class Shard:
    """One shard of a repository. ``rows``: SAMPLES as its sidecar has them; ``old``: the same as they lie here, in the
    same order; both None where it has no face. ``videos``: PACKED_VIDEOS. ``path``: in the repository, without an
    extension. ``bytes``: of the tar."""

    name: str
    path: str
    config: str
    part: str
    rows: pa.Table | None
    old: pa.Table | None
    videos: pa.Table
    bytes: int


def lay_out(samples: pa.Table, videos: pa.Table, old: pa.Table, filled: int = FILLED) -> list[Shard]:
    """The shards of a selection, by path.

    ``samples``: SAMPLES under the names they leave with; ``old``: the same rows as they lie here. ``videos``:
    PACKED_VIDEOS with ``pack`` and ``part``.
    """
    order = pc.sort_indices(videos, [("pack", "ascending"), ("video_id", "ascending")])
    videos = videos.take(order)
    of_video = _rows_by_video(samples)
    groups: dict[tuple, list[int]] = {}
    faceless: dict[tuple[str, str], list[int]] = {}
    columns = [videos[name].to_pylist() for name in ("video_id", "dataset", "part")]
    exts, masks = samples["image_ext"], samples["mask_offset"]
    for place, (video, dataset, part) in enumerate(zip(*columns, strict=True)):
        rows = of_video.get(video)
        if rows is None:
            faceless.setdefault((dataset, part), []).append(place)
        else:
            kind = (exts[int(rows[0])].as_py(), masks[int(rows[0])].as_py() is not None)
            groups.setdefault((dataset, part, *kind), []).append(place)
    shards: dict[tuple[str, str], list[Shard]] = {}
    for (dataset, part, *_), members in sorted(groups.items()):
        for places in _filled(members, videos, samples, of_video, filled):
            taken = pa.array(np.sort(np.array(places + faceless.pop((dataset, part), []))))
            shards.setdefault((dataset, part), []).append(
                _shard(dataset, part, videos.take(taken), samples, old, of_video)
            )
    for (dataset, part), places in sorted(faceless.items()):
        shards.setdefault((dataset, part), []).append(
            _shard(dataset, part, videos.take(pa.array(places)), samples, old, of_video)
        )
    return [shard for group in sorted(shards) for shard in _numbered(shards[group])]


def config_of(dataset: str) -> str:
    """The configuration and folder of a dataset: its name, with a dash for what no file name should have."""
    return schema.escape(dataset).replace("%", "-")


def _rows_by_video(samples: pa.Table) -> dict[str, np.ndarray]:
    """video_id -> its rows, in their order."""
    codes = samples["video_id"].combine_chunks().dictionary_encode()
    order = np.argsort(codes.indices.to_numpy(), kind="stable")
    edges = np.flatnonzero(np.diff(codes.indices.to_numpy()[order])) + 1
    pieces = np.split(order, edges) if len(order) else []
    words = codes.dictionary.to_pylist()
    return {words[codes.indices[int(piece[0])].as_py()]: piece for piece in pieces}


def _filled(
    members: list[int], videos: pa.Table, samples: pa.Table, of_video: dict, filled: int
) -> Iterator[list[int]]:
    """Places of videos, cut behind the packs that fill a shard."""
    packs, names = videos["pack"].to_pylist(), videos["video_id"].to_pylist()
    sizes = sum(
        samples[f"{member}_size"].fill_null(0).to_numpy().astype(np.int64) for member in ("image", "json", "mask")
    )
    places: list[int] = []
    size = 0
    for at, place in enumerate(members):
        places.append(place)
        size += int(sizes[of_video[names[place]]].sum())
        last = at + 1 == len(members)
        if last or (packs[members[at + 1]] != packs[place] and size >= filled):
            yield places
            places, size = [], 0


def _shard(dataset: str, part: str, videos: pa.Table, samples: pa.Table, old: pa.Table, of_video: dict) -> Shard:
    """A shard that has no path yet; a shard's videos are in order of their ids, as in a pack."""
    videos = videos.select(schema.PACKED_VIDEOS.names).sort_by("video_id")
    names = videos["video_id"].to_pylist()
    pieces = [of_video[name] for name in names if name in of_video]
    rows = pa.array(np.concatenate(pieces)) if pieces else None
    told = hashlib.sha256()
    for word in [*names, *(samples["sample_id"].take(rows).to_pylist() if pieces else [])]:
        told.update(word.encode() + b"\n")
    name = f"{config_of(dataset)}-{part}-{told.hexdigest()[:12]}"
    if not pieces:
        return Shard(name, "", config_of(dataset), part, None, None, videos, 0)
    arranged, size = arrange(samples.take(rows).combine_chunks(), name)
    return Shard(name, "", config_of(dataset), part, arranged, old.take(rows).combine_chunks(), videos, size)


def _numbered(shards: list[Shard]) -> list[Shard]:
    """The shards of one folder and split with their paths."""
    with_faces = [shard for shard in shards if shard.rows is not None]
    placed = []
    for number, shard in enumerate(with_faces):
        path = f"data/{shard.config}/{shard.part}-{number:05d}-of-{len(with_faces):05d}"
        placed.append(_at(shard, path))
    placed += [_at(shard, f"data/{shard.config}/{shard.part}-{WITHOUT}") for shard in shards if shard.rows is None]
    return placed


def _at(shard: Shard, path: str) -> Shard:
    return Shard(**{**shard.__dict__, "path": path})
