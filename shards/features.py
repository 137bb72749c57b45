"""What is computed of faces after they were packed: one small Parquet beside the shards for each shard and kind.

``features/NAME-KIND-v1.parquet`` has a row for each face of ``shards/NAME.tar``, in its order. A further kind, or a
later version of one, is a further file; nothing that is there is written again. A file is finished when it has its
name, and one whose faces are not those of the sidecar is made anew: stopped at any moment, the next call does the rest.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shards import durable
from shards.errors import ReadError
from shards.image import decode_image
from shards.phash import perceptual_hash
from shards.reader import Ranges, ShardReader

FEATURES = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("version", pa.int16(), nullable=False),
        pa.field("value", pa.binary(), nullable=False),
    ]
)
KINDS: dict[str, tuple[int, Callable[[np.ndarray], bytes]]] = {
    # kind -> (version, what is computed of a crop, uint8 [H,W,3] RGB)
    "phash": (1, perceptual_hash)
}
_AT_ONCE = 256  # faces in memory


@dataclass(frozen=True)
class Computed:
    """A shard whose features were written. ``faults``: faces that could not be read, and why."""

    shard: str
    faces: int
    faults: list[str]


def feature_path(store: Path | str, shard: str, kind: str) -> Path:
    """Where the features of a shard lie."""
    return Path(store) / "features" / f"{shard}-{kind}-v{KINDS[kind][0]}.parquet"


def compute(store: Path | str, kind: str = "phash", workers: int = 1) -> Iterator[Computed]:
    """Compute what is missing of ``kind``, yielding each shard when its file is on the disk.

    Faces that cannot be read are left out and named; their shard is tried again by the next call.
    """
    store = Path(store)
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


def missing(store: Path | str, kind: str = "phash") -> list[str]:
    """The shards with a face that has no feature of ``kind``, sorted. A shard whose tar is gone is not among them."""
    folder = Path(store) / "shards"
    found = []
    for tar in sorted(folder.glob("*.tar")):
        if not (folder / f"{tar.stem}.videos.parquet").exists():
            continue  # not finished
        path = feature_path(store, tar.stem, kind)
        if not path.exists() or not _ids(path).equals(_ids(folder / f"{tar.stem}.parquet")):
            found.append(tar.stem)
    return found


def compute_shard(store: Path | str, shard: str, kind: str = "phash") -> Computed:
    """Write the features of one shard. The folder ``features`` must be there."""
    store = Path(store)
    version, function = KINDS[kind]
    columns = ["sample_id", "image_offset", "image_size", "image_xxh3"]
    rows = pq.read_table(store / "shards" / f"{shard}.parquet", columns=columns)
    offsets, sizes, checksums = (rows[name].to_numpy() for name in columns[1:])
    ids = rows["sample_id"].to_pylist()
    reader = ShardReader(store / "shards")
    kept, values, faults = [], [], []
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        codes = np.zeros(len(ids[part]), np.int32)
        data, wrong = reader.fetch(Ranges([shard], codes, offsets[part], sizes[part], checksums[part]))
        for place, member in enumerate(data):
            sample = ids[start + place]
            try:
                if member is None:
                    raise ReadError(wrong[place])
                value = function(decode_image(member))
            except ReadError as error:
                faults.append(f"{sample}: {error}")
                continue
            kept.append(sample)
            values.append(value)
    table = pa.table([kept, [kind] * len(kept), [version] * len(kept), values], schema=FEATURES)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    path = feature_path(store, shard, kind)
    durable.write_file(path, [sink.getvalue().to_pybytes()])
    durable.sync_folder(path.parent)
    return Computed(shard, len(kept), faults)


def _ids(path: Path) -> pa.ChunkedArray:
    try:
        return pq.read_table(path, columns=["sample_id"])["sample_id"]
    except (OSError, pa.ArrowException):  # half a file of a broken disk: as if it were not there
        return pa.chunked_array([], pa.string())
