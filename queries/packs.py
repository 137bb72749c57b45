"""Packs as they lie in the store: which are there, whether their tar is, and their rows, read and checked.

A pack is ``NAME.videos.parquet`` (written last, so its presence says that the pack is whole), ``NAME.parquet`` and
``NAME.tar``; without any face it is the first alone. Rows are read and checked before the catalog is opened, file by
file: one damaged sidecar must not keep out the others, and nobody waits for the catalog while somebody reads.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from queries.catalog import columns
from queries.errors import IngestError
from queries.locate import take_apart

_OF_ATTEMPTS = ("video_id", "recipe_hash", "content", "shard")  # columns of samples that their attempt has too
_MARK, _ROWS, _TAR = ".videos.parquet", ".parquet", ".tar"
_ELSEWHERE = "remote.json"  # in shards/: where the tars lie, see shards/attached.py


@dataclass(frozen=True)
class Pack:
    """The files of one pack. ``files``: sizes and times of the sidecars, which never change in place by themselves."""

    name: str
    folder: Path
    files: str
    has_rows: bool
    tar_bytes: int | None

    @property
    def videos(self) -> Path:
        return self.folder / f"{self.name}{_MARK}"

    @property
    def samples(self) -> Path:
        return self.folder / f"{self.name}{_ROWS}"


@dataclass(frozen=True)
class PackRows:
    """The rows of one pack. ``videos``: as table packed without ``pack`` and ``attempt``. ``samples`` (or None): as
    table sample_rows, but with ``place``, a row of ``videos``, for the attempt."""

    pack: Pack
    recipe_hash: str
    videos: pa.Table
    samples: pa.Table | None

    @property
    def faces(self) -> int:
        return 0 if self.samples is None else len(self.samples)

    @property
    def tar_end(self) -> int:
        """The least size that the tar must have for its rows to be true, bytes."""
        if self.samples is None:
            return 0
        ends = [
            pc.max(pc.add(self.samples[f"{member}_offset"], pc.cast(self.samples[f"{member}_size"], pa.int64())))
            for member in ("image", "json", "mask")
        ]
        return max(end.as_py() or 0 for end in ends)


class PackProblem(Exception):
    """What is wrong with a pack's files; it stays out of the catalog until that is mended."""


def find_packs(folder: Path) -> dict[str, Pack]:
    """The finished packs of ``store/shards``, by name."""
    if not folder.is_dir():
        return {}
    found = {}
    for entry in os.scandir(folder):
        if entry.name.endswith((_MARK, _ROWS, _TAR)) and entry.is_file():
            stat = entry.stat()
            found[entry.name] = (stat.st_size, stat.st_mtime_ns)
    packs, elsewhere = {}, tars_elsewhere(folder)
    for file in sorted(found):
        if file.endswith(_MARK):
            name = file.removesuffix(_MARK)
            rows, tar = found.get(name + _ROWS), found.get(name + _TAR)
            size = tar[0] if tar else elsewhere.get(name)
            packs[name] = Pack(name, folder, f"{found[file]} {rows}", rows is not None, size)
    return packs


def tars_elsewhere(folder: Path) -> dict[str, int]:
    """The tars of a store that is attached to an address, and their sizes; what lies in the folder is not among them.

    Raises IngestError for a file remote.json that cannot be read.
    """
    try:
        told = json.loads((folder / _ELSEWHERE).read_text(encoding="utf-8"))
        return {name: place["bytes"] for name, place in told["shards"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IngestError(f"{folder / _ELSEWHERE} cannot be read ({error}): run `deepshard attach` again") from None


def read_pack(pack: Pack) -> PackRows:
    """Read and check a pack's rows. Raises PackProblem."""
    videos = _read(pack.videos, [name for name in columns("packed") if name not in ("pack", "attempt")])
    if len(pc.unique(videos["video_id"])) != len(videos):
        raise PackProblem(f"{pack.videos.name} has a video twice")
    recipes = pc.unique(videos["recipe_hash"]).to_pylist()
    if len(recipes) != 1:
        raise PackProblem(f"{pack.videos.name} holds {len(recipes)} recipes, a pack has one")
    faces = pc.sum(pc.if_else(pc.equal(videos["status"], "done"), videos["faces"], 0)).as_py() or 0
    if not pack.has_rows:
        if faces:
            raise PackProblem(f"{pack.samples.name} is gone, though its videos have {faces} faces")
        return PackRows(pack, recipes[0], videos, None)
    samples = _read(pack.samples, list(columns("samples")), _OF_ATTEMPTS)
    if len(samples) != faces:
        raise PackProblem(f"{pack.samples.name} has {len(samples)} faces, {pack.videos.name} says {faces}")
    if len(pc.unique(samples["sample_id"])) != len(samples):
        raise PackProblem(f"{pack.samples.name} has a sample twice")
    return PackRows(pack, recipes[0], videos, _of_attempts(pack, videos, samples))


def _of_attempts(pack: Pack, videos: pa.Table, samples: pa.Table) -> pa.Table:
    """``samples`` with ``place``, a row of ``videos``, instead of what their attempt says too. Raises PackProblem."""

    def refuse(column: str, agrees: pa.ChunkedArray) -> None:
        agrees = pc.fill_null(agrees, False)
        if not pc.all(agrees).as_py():
            strange = samples[column].filter(pc.invert(agrees))[0].as_py()
            raise PackProblem(f"{pack.samples.name}: {column} {strange!r} is not this pack's")

    done = videos.filter(pc.equal(videos["status"], "done"))
    names = {name: samples[name].combine_chunks() for name in _OF_ATTEMPTS}
    # of names, the few different ones are looked at
    place = pc.index_in(names["video_id"].dictionary, done["video_id"].combine_chunks()).take(names["video_id"].indices)
    refuse("video_id", pc.is_valid(place))
    refuse("shard", pc.equal(names["shard"].dictionary, pack.name).take(names["shard"].indices))
    for column in ("recipe_hash", "content"):
        same = pc.index_in(done[column].combine_chunks(), names[column].dictionary).take(place)
        refuse(column, pc.equal(same, names[column].indices))
    stems = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(done["recipe_hash"], 0, 8),
        pc.utf8_slice_codeunits(done["content"], 0, 8),
        done["video_id"],
        "/",
    )
    stem, frame, track = take_apart(samples["sample_id"].combine_chunks(), stems.combine_chunks())
    agrees = pc.and_(pc.equal(stem, place), pc.equal(frame, samples["frame_index"]))
    refuse("sample_id", pc.and_(agrees, pc.equal(track, samples["track"])))
    refuse("key", pc.equal(samples["key"], pc.utf8_slice_codeunits(samples["sample_id"], 18)))
    place = pc.index_in(done["video_id"], videos["video_id"].combine_chunks()).combine_chunks().take(place)
    return samples.drop([*_OF_ATTEMPTS, "key"]).append_column("place", place)


def tar_state(pack: Pack, samples: int, end: int) -> str:
    """there | missing | short (ends before the last byte its rows speak of) | none (no face, so no tar)."""
    if not samples:
        return "none"
    if pack.tar_bytes is None:
        return "missing"
    return "there" if pack.tar_bytes >= end else "short"


def _read(path: Path, wanted: list[str], words: tuple[str, ...] = ()) -> pa.Table:
    """A file's columns, those in ``words`` as dictionaries; the checksums of its pages are verified."""
    try:
        with pq.ParquetFile(path, read_dictionary=list(words), page_checksum_verification=True) as file:
            table = file.read(use_threads=False)  # packs are read side by side
    except (OSError, pa.ArrowException) as error:
        raise PackProblem(f"{path.name} cannot be read: {str(error).strip().splitlines()[0]}") from error
    there = table.column_names
    if missing := [name for name in wanted if name not in there]:
        raise PackProblem(f"{path.name} has no column {', '.join(missing)}")
    if extra := [name for name in there if name not in wanted]:
        raise PackProblem(f"{path.name} has columns that this deepshard does not know ({', '.join(extra)}): update it")
    table = table.select(wanted).replace_schema_metadata(None).combine_chunks()
    return table.unify_dictionaries() if words else table
