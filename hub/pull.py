"""A pull: shards of a repository, or of each only the faces that a split needs, become shards of a store here.

Faces are asked for in ranges that are as long as what lies between them is short, and a shard of which much is wanted
is read through. A tar grows in ``pulling/``; every face is compared with its checksum before it is written there. Cut
off anywhere, the next pull keeps what is whole and goes on behind it. With all its faces a shard is the same tar, byte
for byte.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hub import manifests
from hub.arriving import Arriving, There, write, write_small
from hub.errors import HubError
from hub.repository import RangeReader, Repository, saying
from queries import manifest
from queries.ingest import IngestReport, ingest_store
from shards import durable, schema, sidecar, tar
from shards.attached import read_attached
from shards.reader import ShardReader
from shards.remote import LEAST_WHOLE, PIECE, REMOTE_GAP, REQUEST_COST
from shards.repack import arrange, batches, extents, joined, read, whole_rows

_AHEAD = 4  # pieces of a shard on their way at a time, up to 32 MB each


@dataclass(frozen=True)
class Pulled:
    """What a pull did: ``faces`` of the repository that are here now, in ``shards``; ``fetched`` of them came now;
    ``splits``: their names; ``report``: what the catalog took in."""

    commit: str
    faces: int
    fetched: int
    shards: int
    splits: list[str]
    report: IngestReport


def pull(
    catalog: Path,
    store: Path,
    repository: Repository,
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pulled:
    """Copy a repository, or the faces of one of its pinned splits and their partners, into ``store``.

    Raises HubError if the store is attached or the disk is full, NotThere, Unanswered. The catalog takes in what came.
    """
    if read_attached(store / "shards") is not None:
        raise HubError(f"{store} is attached, its tars lie elsewhere: pull into another store, as --store here")
    arriving = Arriving(repository)
    with saying(repository.name, f"writing to {store}"):
        splits = arriving.splits(split)
        write_small(arriving, store, splits)
        wanted = _wanted(store, splits) if split else dict.fromkeys(arriving.shards)
        fetched, tables = 0, []
        packs = arriving.packs(wanted, store / "shards")
        for number, name in enumerate(sorted(wanted), 1):
            rows, new = _shard(arriving, arriving.shards[name], packs[name], wanted[name], store)
            tables += [] if rows is None else [rows]
            fetched += new
            if progress:
                progress(number, len(wanted))
        _place_manifests(store, set(wanted))
    report = ingest_store(catalog, store)
    names = [path.removeprefix("splits/").removesuffix(".arrow") for path in splits]
    return Pulled(arriving.commit, sum(map(len, tables)), fetched, len(tables), names, report)


def _wanted(store: Path, splits: list[str]) -> dict[str, pa.ChunkedArray]:
    """Shard -> the ids of the faces in it that these splits need. The manifests are as the repository has them."""
    found: dict[str, list[pa.ChunkedArray]] = {}
    for path in splits:
        rows, _ = manifest.read(store / path)
        for shard, sample in (("shard", "sample_id"), ("partner_shard", "partner_id")):
            words = rows[shard].cast(pa.string())
            for name in pc.drop_null(pc.unique(words)).to_pylist():
                found.setdefault(name, []).append(rows[sample].filter(pc.equal(words, name)))
    return {
        name: pa.chunked_array([chunk for ids in columns for chunk in ids.chunks]) for name, columns in found.items()
    }


def _shard(
    arriving: Arriving, there: There, pack: tuple[bytes | None, bytes], wanted: pa.ChunkedArray | None, store: Path
) -> tuple[pa.Table | None, int]:
    """Bring one shard, or of it the faces ``wanted``; (its rows here, how many faces came now)."""
    folder = store / "shards"
    sidecar_there, mark = pack
    if sidecar_there is None:
        write(folder / f"{there.name}.videos.parquet", mark)
        return None, 0
    remote = sidecar.read(sidecar_there, schema.SAMPLES)
    here = _rows_here(folder, there.name)
    if wanted is not None:
        ids = pa.chunked_array([*wanted.chunks, *(here["sample_id"].chunks if here is not None else [])])
        remote = remote.filter(pc.is_in(remote["sample_id"], ids.combine_chunks()))
    rows, size = arrange(remote.combine_chunks(), there.name)
    if here is not None and here.equals(rows):
        return rows, 0
    growing = store / "pulling" / f"{there.name}.tar"
    durable.make_folder(growing.parent)
    fetched = _grow(arriving, there, growing, remote, rows, here, folder)
    if growing.stat().st_size != size:
        raise HubError(f"{growing} has {growing.stat().st_size:,} bytes instead of {size:,}: remove it and pull again")
    durable.make_folder(folder)
    durable.remove(folder / f"{there.name}.videos.parquet")  # it would vouch for what is about to be replaced
    durable.rename(growing, folder / f"{there.name}.tar")
    beside = sidecar_there if len(rows) == there.faces else sidecar.sidecar_bytes(rows)
    durable.write_file(folder / f"{there.name}.parquet", [beside])
    durable.sync_folder(folder)
    if beside is not sidecar_there:
        videos = _videos(sidecar.read(mark, schema.PACKED_VIDEOS), rows)
        mark = sidecar.mark_bytes(videos, beside)
    durable.write_file(folder / f"{there.name}.videos.parquet", [mark])
    durable.sync_folder(folder)
    return rows, fetched


def _rows_here(folder: Path, name: str) -> pa.Table | None:
    """The rows of a whole pack that is here already."""
    if not all((folder / f"{name}{end}").exists() for end in (".tar", ".parquet", ".videos.parquet")):
        return None
    try:
        return sidecar.read(sidecar.read_file(folder / f"{name}.parquet"), schema.SAMPLES)
    except sidecar.Damaged:
        return None


def _videos(videos: pa.Table, rows: pa.Table) -> pa.Table:
    """The videos of a mark with as many faces as came; those of which none came are left out, unless none ever gave."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(rows["video_id"].combine_chunks()).to_pylist()}
    faces = [counts.get(video) for video in videos["video_id"].to_pylist()]
    had = [status == "done" for status in videos["status"].to_pylist()]
    kept = pa.array([bool(count) or not done for count, done in zip(faces, had, strict=True)])
    column = pa.array([count or 0 for count in faces], pa.int32())
    place = videos.schema.get_field_index("faces")
    return videos.set_column(place, videos.schema.field("faces"), column).filter(kept)


def _grow(
    arriving: Arriving, there: There, path: Path, remote: pa.Table, rows: pa.Table, here: pa.Table | None, folder: Path
) -> int:
    """Write what is missing of a tar behind what is whole of it; how many faces were fetched.

    ``remote``: the rows as they lie there; ``rows``: the same as they will lie here; ``here``: what is here already.
    """
    done, end = whole_rows(path, rows) if path.exists() else (0, 0)
    far, near = RangeReader(arriving.repository, {there.name: f"{there.path}.tar"}), ShardReader(folder)
    gap = _gap(remote.slice(done), there.bytes)
    jobs = [(far, batch, gap) for batch in batches(remote.slice(done))]
    if here is not None:
        jobs = _from_both(remote.slice(done), here, far, near, gap)
    fetched = sum(len(batch) for reader, batch, _ in jobs if reader is far)
    with open(path, "ab", buffering=0) as file:
        file.truncate(end)
        for members in _ahead(jobs):
            durable.write(file, joined(rows.slice(done, len(members)), members))
            done += len(members)
        durable.write(file, tar.END)
        durable.fsync(file)
    return fetched


def _ahead(jobs: list) -> Iterator[list[dict[str, bytes]]]:
    """The members of each batch, in order; some are on their way while one is written."""
    with ThreadPoolExecutor(_AHEAD) as pool:
        waiting: deque[Future] = deque()
        try:
            for reader, batch, gap in jobs:
                waiting.append(pool.submit(read, batch, reader, gap=gap))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _gap(rows: pa.Table, size: int) -> int:
    """Bytes between members that are fetched in vain rather than by another request: all, where the shard is read
    through. The rule is that of streaming, see shards/remote.py."""
    if not len(rows):
        return REMOTE_GAP
    starts, ends = extents(rows)
    requests = 1 + sum(start - end > REMOTE_GAP for start, end in zip(starts[1:], ends, strict=False))
    wanted = sum(end - start for start, end in zip(starts, ends, strict=True))
    whole = requests > 1 and requests * REQUEST_COST + wanted >= size and wanted >= LEAST_WHOLE * size
    return PIECE if whole else REMOTE_GAP


def _from_both(remote: pa.Table, here: pa.Table, far: ShardReader, near: ShardReader, gap: int) -> list:
    """Batches of which each comes from one place: what is here already is not fetched again."""
    at = pc.index_in(remote["sample_id"].combine_chunks(), here["sample_id"].combine_chunks())
    is_here = at.is_valid().to_pylist()
    jobs, begin = [], 0
    for row in range(1, len(remote) + 1):
        if row == len(remote) or is_here[row] != is_here[begin]:
            part = slice(begin, row)
            if is_here[begin]:
                jobs += [(near, batch, None) for batch in batches(here.take(at[part]).combine_chunks())]
            else:
                jobs += [(far, batch, gap) for batch in batches(remote.slice(begin, row - begin))]
            begin = row
    return jobs


def _place_manifests(store: Path, came: set[str]) -> None:
    """Let the splits of this store say where the bytes lie here, those that speak of shards which came."""
    for path in sorted((store / "splits").glob("*.arrow")):
        rows, card = manifest.read(path)
        words = (rows[name].cast(pa.string()).unique().to_pylist() for name in ("shard", "partner_shard"))
        spoken = sorted({word for column in words for word in column if word})
        here = [_rows_here(store / "shards", name) for name in spoken] if came.intersection(spoken) else [None]
        if any(one is None for one in here):
            continue
        placed = manifests.placed(rows, pa.concat_tables(here))
        if placed is not None and not placed.equals(rows):
            manifest.write(path, placed, card)
