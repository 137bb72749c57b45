"""Parts become a shard: ``NAME.tar``, its sidecar ``NAME.parquet`` and, last, ``NAME.videos.parquet``.

The videos' Parquet is the mark that the pack is durable: tar and sidecar have their names and are fsynced before it
appears, and parts are removed only after. So a pack killed anywhere is simply made again, from the same parts to the
same bytes: nothing in the tar depends on time, machine, worker or place, and the Parquets carry only what the rows do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards import durable, schema, sidecar, tar
from shards.errors import PackError
from shards.part import Part, read_part

_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=@,%~")
_IDENTITY = ["video_id", "recipe_hash", "content", "status", "faces"]


@dataclass(frozen=True)
class Packed:
    """One pack on disk. ``tar`` and ``samples`` are None where no video of it gave a face."""

    name: str
    tar: Path | None
    samples: Path | None
    videos: Path
    sample_count: int
    video_count: int
    byte_count: int  # of the tar
    written: bool  # False: it was there already


def pack(parts: Sequence[Path | str], out_dir: Path | str, name: str) -> Packed:
    """Make one shard of finished parts, in order of their videos' ids.

    If the pack is there already nothing is written, but every part that still exists must be in it: a name is never
    taken twice. Raises PackError if the parts do not go together (two of one video, two recipes, other members) or the
    pack that is there has a damaged mark, and PartError if a part is damaged; then no file of the pack is left behind.
    Memory: the rows, and 8 MiB of samples.
    """
    out, paths = Path(out_dir), [Path(part) for part in parts]
    if not name or set(name) - _NAME_CHARS:
        raise PackError(f"{name!r} cannot name a shard: use ASCII letters, digits, '_' and '-' (a key ends at a dot)")
    marker = out / f"{name}.videos.parquet"
    if marker.exists():
        _check_contained(paths, marker)
        return _on_disk(out, name, written=False)
    opened = sorted((read_part(path) for path in paths), key=_video_id)
    _check_together(opened, name)
    durable.make_folder(out)
    _remove_unfinished(out, name)
    try:
        if any(part.samples.num_rows for part in opened):
            durable.write_file(out / f"{name}.tar", _tar_bytes(opened))
            rows = sidecar.sidecar_bytes(_sample_rows(opened, name))
            durable.write_file(out / f"{name}.parquet", [rows])
        else:
            for part in opened:
                part.check()
            rows = None
            durable.remove(out / f"{name}.tar")
            durable.remove(out / f"{name}.parquet")
        durable.sync_folder(out)
        videos = pa.concat_tables([part.video for part in opened])
        durable.write_file(marker, [sidecar.mark_bytes(videos, rows)])
        durable.sync_folder(out)
    finally:
        _remove_unfinished(out, name)
    return _on_disk(out, name, written=True)


def remove_parts(parts: Iterable[Path | str], packed: Packed) -> int:
    """Remove parts that are in a pack; returns how many there were. Parts that are gone already are no error.

    Raises PackError, and removes nothing, if the pack's mark is missing or damaged or one of the parts is not in it.
    """
    paths = [Path(part) for part in parts]
    if not packed.videos.exists():
        raise PackError(f"{packed.videos} is missing, so pack {packed.name} is not finished: pack its parts again")
    _check_contained(paths, packed.videos)
    removed = sum(durable.remove(path) for path in paths)
    for folder in {path.parent for path in paths if path.parent.exists()}:
        durable.sync_folder(folder)
    return removed


def _video_id(part: Part) -> str:
    return part.video["video_id"][0].as_py()


def _check_together(parts: list[Part], name: str) -> None:
    if not parts:
        raise PackError(f"pack {name} has no parts: give at least one")
    ids = [_video_id(part) for part in parts]
    twice = sorted({one for one, other in zip(ids, ids[1:], strict=False) if one == other})
    if twice:
        raise PackError(f"pack {name} would hold video {twice[0]} twice: leave out one of its parts")
    recipes = {part.video["recipe_hash"][0].as_py() for part in parts}
    if len(recipes) > 1:
        raise PackError(f"pack {name} mixes recipes {sorted(recipes)}: pack the videos of each recipe on their own")
    kinds: dict[tuple[str, bool, str], Part] = {}
    for part in parts:
        if part.samples.num_rows:
            kind = (part.samples["image_ext"][0].as_py(), part.samples["mask_offset"].null_count == 0)
            kinds.setdefault((*kind, " ".join(part.fields())), part)
    if len(kinds) > 1:
        first, other = [part.path for part in kinds.values()][:2]
        raise PackError(
            f"pack {name}: {first} and {other} have other members, or other fields in their JSON; all samples of a "
            "shard have the same"
        )


def _check_contained(paths: list[Path], marker: Path) -> None:
    try:
        data = sidecar.read_file(marker)
        sidecar.check_seal(data)
        videos = sidecar.read(data, schema.PACKED_VIDEOS)
    except sidecar.Damaged as damage:
        raise PackError(f"{marker} is damaged ({damage}): run `deepshard verify --repair`") from None
    packed = {tuple(row.values()) for row in videos.select(_IDENTITY).to_pylist()}
    for path in paths:
        if path.exists():
            row = read_part(path).video_row()
            if tuple(row[column] for column in _IDENTITY) not in packed:
                raise PackError(
                    f"{marker} exists, but {path} (video {row['video_id']}) is not in it: give this pack another name"
                )


def _tar_bytes(parts: list[Part]) -> Iterable[bytes]:
    for part in parts:
        yield from part.chunks()
    yield tar.END


def _sample_rows(parts: list[Part], name: str) -> pa.Table:
    tables, start = [], 0
    for part in parts:
        table = part.samples
        for member in ("image", "json", "mask"):
            column = f"{member}_offset"
            place = table.schema.get_field_index(column)
            table = table.set_column(place, table.schema.field(column), pc.add(table[column], start))
        shard = pa.array([name] * table.num_rows, pa.string())
        table = table.append_column(schema.SAMPLES.field("shard"), shard)
        tables.append(table.select(schema.SAMPLES.names))
        start += part.tar_size
    return pa.concat_tables(tables)


def _remove_unfinished(folder: Path, name: str) -> None:
    for path in folder.glob(f"{name}.*.tmp"):
        durable.remove(path)


def _on_disk(out: Path, name: str, written: bool) -> Packed:
    tar_path, samples, videos = (out / f"{name}{end}" for end in (".tar", ".parquet", ".videos.parquet"))
    video_count = pq.read_metadata(videos).num_rows
    faces = pc.sum(pq.read_table(videos, columns=["faces"])["faces"]).as_py()
    if faces and not (tar_path.exists() and samples.exists()):
        raise PackError(f"{videos} tells of {faces} faces, but {tar_path.name} or {samples.name} is gone: restore them")
    if not faces:
        return Packed(name, None, None, videos, 0, video_count, 0, written)
    sample_count, byte_count = pq.read_metadata(samples).num_rows, tar_path.stat().st_size
    return Packed(name, tar_path, samples, videos, sample_count, video_count, byte_count, written)
