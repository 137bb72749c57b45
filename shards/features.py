"""What is computed of faces after they were packed: one small Parquet beside the shards for each shard and kind.

``features/NAME-KIND-v1.parquet`` has a row for each face of ``shards/NAME.tar`` that the kind is for, in its order. A
further kind, or a later version of one, is a further file; nothing that is there is written again. A file is finished
when it has its name, and one that lacks a wanted face is made anew: stopped at any moment, the next call does the rest.
What is computed is a function that the caller gives, so that no model is known here.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shards import durable
from shards.attached import require_tars
from shards.errors import ReadError
from shards.image import decode_image
from shards.phash import WIDER, inner_part, perceptual_hash
from shards.reader import Ranges, ShardReader

_AT_ONCE = 256  # faces in memory
_PLACE = ("video_id", "recipe_hash", "track", "frame_index")


@dataclass(frozen=True)
class Kind:
    """A kind of feature. Its functions must be importable by their names: they travel to other processes.

    ``compute``: (crop, uint8 [H,W,3] RGB; the face's JSON, {} unless ``facts``) -> the value, or None where its
    facts allow none. ``type``: of the column ``value``. ``per_track``: of so many faces of each person followed in a
    video, evenly spaced; None: of all. ``cropped_only``: of those that came as crops and were only resized.
    """

    name: str
    version: int
    type: pa.DataType
    compute: Callable[[np.ndarray, dict[str, Any]], Any]
    facts: bool = False
    per_track: int | None = None
    cropped_only: bool = False

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(
            [
                pa.field("sample_id", pa.string(), nullable=False),
                pa.field("kind", pa.string(), nullable=False),
                pa.field("version", pa.int16(), nullable=False),
                pa.field("value", self.type, nullable=self.facts),
            ]
        )


@dataclass(frozen=True)
class Computed:
    """A shard whose features were written. ``empty``: faces that can have none; ``faults``: unreadable ones, why."""

    shard: str
    faces: int
    empty: int
    faults: list[str]


def _whole(crop: np.ndarray, facts: dict[str, Any]) -> bytes:
    return perceptual_hash(crop)


def _inner(crop: np.ndarray, facts: dict[str, Any]) -> bytes:
    return b"".join(perceptual_hash(inner_part(crop, wider)) for wider in WIDER)


PHASH = Kind("phash", 2, pa.binary(), _whole)
PHASH_INNER = Kind("phash-inner", 1, pa.binary(), _inner, cropped_only=True)  # a hash for each of WIDER


def feature_path(store: Path | str, shard: str, kind: Kind) -> Path:
    """Where the features of a shard lie."""
    return Path(store) / "features" / f"{shard}-{kind.name}-v{kind.version}.parquet"


def compute(store: Path | str, kind: Kind = PHASH, workers: int = 1) -> Iterator[Computed]:
    """Compute what is missing of ``kind``, yielding each shard when its file is on the disk.

    Faces that cannot be read are left out and named; their shard is tried again by the next call. Raises AttachedError
    where the tars lie elsewhere.
    """
    store = Path(store)
    require_tars(store)
    todo = missing(store, kind)
    if not todo:
        return
    durable.make_folder(store / "features")
    if workers == 1 or len(todo) == 1:
        for shard in todo:
            yield compute_shard(store, shard, kind)
        return
    fresh = multiprocessing.get_context("spawn")  # nothing of this process's threads comes along
    with ProcessPoolExecutor(min(workers, len(todo)), mp_context=fresh) as pool:
        try:
            for done in as_completed([pool.submit(compute_shard, store, shard, kind) for shard in todo]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def missing(store: Path | str, kind: Kind = PHASH) -> list[str]:
    """The shards that lack the feature of a wanted face, sorted. A shard whose tar is gone is not among them."""
    folder = Path(store) / "shards"
    found = []
    for tar in sorted(folder.glob("*.tar")):
        if not (folder / f"{tar.stem}.videos.parquet").exists():
            continue  # not finished
        known = pq.read_table(folder / f"{tar.stem}.parquet", columns=["sample_id", "landmark_scheme", *_PLACE])
        wanted = set(known["sample_id"].take(pa.array(chosen(known, kind))).to_pylist())
        try:
            there = pq.read_table(feature_path(store, tar.stem, kind), columns=["sample_id"])["sample_id"].to_pylist()
        except (OSError, pa.ArrowException):  # not there, or half a file of a broken disk, which is the same
            there = []
        if not wanted <= set(there) <= set(known["sample_id"].to_pylist()):
            found.append(tar.stem)
    return found


def chosen(rows: pa.Table, kind: Kind) -> np.ndarray:
    """Places, int64 and rising, of the rows (SAMPLES) for which ``kind`` is."""
    places = np.arange(len(rows))
    if kind.cropped_only:
        places = places[rows["landmark_scheme"].is_null().to_numpy()]
    if kind.per_track is None:
        return places
    tracks: dict[tuple, list[tuple[int, int]]] = {}
    part = rows.take(pa.array(places))
    for place, *track, frame in zip(places.tolist(), *(part[name].to_pylist() for name in _PLACE), strict=True):
        tracks.setdefault(tuple(track), []).append((frame, place))
    kept = [sorted(frames)[i][1] for frames in tracks.values() for i in evenly(len(frames), kind.per_track)]
    return np.array(sorted(kept), np.int64)


def evenly(count: int, n: int) -> list[int]:
    """``n`` of ``count`` places (all where there are fewer), each in the middle of its share."""
    return list(range(count)) if count <= n else [(2 * i + 1) * count // (2 * n) for i in range(n)]


def compute_shard(store: Path | str, shard: str, kind: Kind = PHASH) -> Computed:
    """Write the features of one shard. The folder ``features`` must be there."""
    store = Path(store)
    rows = pq.read_table(store / "shards" / f"{shard}.parquet")
    rows = rows.take(pa.array(chosen(rows, kind)))
    reader = ShardReader(store / "shards")
    kept, values, faults = [], [], []
    for start in range(0, len(rows), _AT_ONCE):
        part = rows.slice(start, _AT_ONCE)
        images = _members(reader, shard, part, "image")
        jsons = _members(reader, shard, part, "json") if kind.facts else [b"{}"] * len(part)
        for sample, image, facts in zip(part["sample_id"].to_pylist(), images, jsons, strict=True):
            try:
                wrong = next((member for member in (image, facts) if isinstance(member, ReadError)), None)
                if wrong is not None:
                    raise wrong
                value = kind.compute(decode_image(image), json.loads(bytes(facts)))
            except ReadError as error:
                faults.append(f"{sample}: {error}")
                continue
            kept.append(sample)
            values.append(value)
    columns = [kept, [kind.name] * len(kept), [kind.version] * len(kept), pa.array(values, kind.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=kind.schema), sink, compression="zstd", write_page_checksum=True)
    path = feature_path(store, shard, kind)
    durable.write_file(path, [sink.getvalue().to_pybytes()])
    durable.sync_folder(path.parent)
    return Computed(shard, len(kept), sum(value is None for value in values), faults)


def _members(reader: ShardReader, shard: str, rows: pa.Table, member: str) -> list[np.ndarray | ReadError]:
    """A member's bytes of every row, or what is wrong with them."""
    offsets, sizes, checksums = (rows[f"{member}_{what}"].to_numpy() for what in ("offset", "size", "xxh3"))
    data, wrong = reader.fetch(Ranges([shard], np.zeros(len(rows), np.int32), offsets, sizes, checksums))
    return [ReadError(wrong[place]) if bytes_ is None else bytes_ for place, bytes_ in enumerate(data)]
