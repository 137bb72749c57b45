"""Packs as they lie in the store: which are there, whether their tar is, and their rows, read and checked.

A pack is ``NAME.videos.parquet`` (written last, so its presence says that the pack is whole), ``NAME.parquet`` and
``NAME.tar``; without any face it is the first alone. Rows are read and checked before the catalog is opened, file by
file: one damaged sidecar must not keep out the others, and nobody waits for the catalog while somebody reads.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from queries.catalog import columns

_MARK, _ROWS, _TAR = ".videos.parquet", ".parquet", ".tar"


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
    """The rows of one pack: ``videos`` as table packed without ``pack``, ``samples`` as table samples (or None)."""

    pack: Pack
    recipe_hash: str
    videos: pa.Table
    samples: pa.Table | None

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
    packs = {}
    for file in sorted(found):
        if file.endswith(_MARK):
            name = file.removesuffix(_MARK)
            rows, tar = found.get(name + _ROWS), found.get(name + _TAR)
            packs[name] = Pack(name, folder, f"{found[file]} {rows}", rows is not None, tar[0] if tar else None)
    return packs


def read_pack(pack: Pack) -> PackRows:
    """Read and check a pack's rows. Raises PackProblem."""
    videos = _read(pack.videos, [name for name in columns("packed") if name != "pack"])
    if len(pc.unique(videos["video_id"])) != len(videos):
        raise PackProblem(f"{pack.videos.name} has a video twice")
    recipes = pc.unique(videos["recipe_hash"]).to_pylist()
    if len(recipes) != 1:
        raise PackProblem(f"{pack.videos.name} holds {len(recipes)} recipes, a pack has one")
    with_face = videos.filter(pc.equal(videos["status"], "done"))
    faces = pc.sum(with_face["faces"]).as_py() or 0
    if not pack.has_rows:
        if faces:
            raise PackProblem(f"{pack.samples.name} is gone, though its videos have {faces} faces")
        return PackRows(pack, recipes[0], videos, None)
    samples = _read(pack.samples, list(columns("samples")))
    if len(samples) != faces:
        raise PackProblem(f"{pack.samples.name} has {len(samples)} faces, {pack.videos.name} says {faces}")
    for column, known in (
        ("shard", [pack.name]),
        ("recipe_hash", recipes),
        ("video_id", pc.unique(with_face["video_id"]).to_pylist()),
    ):
        strange = set(pc.unique(samples[column]).to_pylist()) - set(known)
        if strange:
            raise PackProblem(f"{pack.samples.name}: {column} {min(strange)!r} is not this pack's")
    if len(pc.unique(samples["sample_id"])) != len(samples):
        raise PackProblem(f"{pack.samples.name} has a sample twice")
    return PackRows(pack, recipes[0], videos, samples)


def tar_state(pack: Pack, samples: int, end: int) -> str:
    """there | missing | short (ends before the last byte its rows speak of) | none (no face, so no tar)."""
    if not samples:
        return "none"
    if pack.tar_bytes is None:
        return "missing"
    return "there" if pack.tar_bytes >= end else "short"


def _read(path: Path, wanted: list[str]) -> pa.Table:
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise PackProblem(f"{path.name} cannot be read: {str(error).strip().splitlines()[0]}") from error
    if missing := [name for name in wanted if name not in table.column_names]:
        raise PackProblem(f"{path.name} has no column {', '.join(missing)}")
    if extra := [name for name in table.column_names if name not in wanted]:
        raise PackProblem(f"{path.name} has columns that this deepshard does not know ({', '.join(extra)}): update it")
    return table.select(wanted).replace_schema_metadata(None)
