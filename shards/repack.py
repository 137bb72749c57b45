"""Some faces of shards become a shard of their own: the same members in another tar, and what lies beside it.

Where every byte will lie follows from the rows alone, so a sidecar is known before anything is read, and a tar that was
cut off can be gone on with. Members are copied as they are, each compared with its checksum on the way; all the faces
of one pack give that pack's tar again, byte for byte.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from shards import schema, tar
from shards.errors import PackError, ReadError
from shards.reader import Ranges, ShardReader

MEMBERS = ("image", "json", "mask")
_BATCH_BYTES = 32 << 20

Change = Callable[[bytes], bytes]


def arrange(samples: pa.Table, name: str) -> tuple[pa.Table, int]:
    """The rows (SAMPLES) as shard ``name`` will have them, in this order, and the size of its tar in bytes."""
    sizes = {member: _numbers(samples, f"{member}_size") for member in MEMBERS}
    spans = {
        member: np.where(size >= 0, tar.BLOCK + -(-size // tar.BLOCK) * tar.BLOCK, 0) for member, size in sizes.items()
    }
    first = samples["image_ext"].to_numpy(zero_copy_only=False) == "jpg"  # members of a sample stand in order of names
    starts = np.concatenate(([0], np.cumsum(sum(spans.values()))))
    at = starts[:-1] + tar.BLOCK
    image_first = np.where(first, spans["image"], 0)
    places = {"json": at + image_first, "mask": at + image_first + spans["json"]}
    places["image"] = np.where(first, at, at + spans["json"] + spans["mask"])
    for member in MEMBERS:
        column = f"{member}_offset"
        values = pa.array(places[member], pa.int64(), mask=sizes[member] < 0)
        samples = samples.set_column(samples.schema.get_field_index(column), schema.SAMPLES.field(column), values)
    shard = pa.array([name] * len(samples), pa.string())
    samples = samples.set_column(samples.schema.get_field_index("shard"), schema.SAMPLES.field("shard"), shard)
    return samples, int(starts[-1]) + len(tar.END)


def changed(samples: pa.Table, reader: ShardReader, change: Change) -> pa.Table:
    """The rows with the sizes and checksums that their JSON members will have. Raises ReadError."""
    sizes, sums = [], []
    for batch in batches(samples):
        for members in read(batch, reader, ("json",)):
            data = change(members["json"])
            sizes.append(len(data))
            sums.append(xxhash.xxh3_64_intdigest(data))
    for name, values in (("json_size", sizes), ("json_xxh3", sums)):
        field = schema.SAMPLES.field(name)
        samples = samples.set_column(samples.schema.get_field_index(name), field, pa.array(values, field.type))
    return samples


def tar_bytes(old: pa.Table, new: pa.Table, reader: ShardReader, change: Change | None = None) -> Iterator[bytes]:
    """The bytes of the tar whose rows are ``new``; ``old``, row by row, says where ``reader`` finds the members.

    ``change``: what becomes of a JSON member. Raises ReadError for a member that is not what its row says.
    """
    at = 0
    for batch in batches(old):
        rows = new.slice(at, len(batch))
        yield joined(rows, read(batch, reader), change)
        at += len(batch)
    yield tar.END


def joined(rows: pa.Table, samples: Iterable[dict[str, bytes]], change: Change | None = None) -> bytes:
    """The members of these rows one after another, as they stand in a tar. Raises PackError if one does not fit."""
    pieces: list[bytes] = []
    columns = [rows[name].to_pylist() for name in ("key", "image_ext", "json_xxh3")]
    for key, ext, checksum, members in zip(*columns, samples, strict=True):
        if change:
            members = members | {"json": change(members["json"])}
            if xxhash.xxh3_64_intdigest(members["json"]) != checksum:
                raise PackError(f"the JSON of {key} became other bytes than its row says: run the same command again")
        names = {"image": ext, "json": "json", "mask": "mask.png"}
        for name, data in sorted((names[member], data) for member, data in members.items()):
            pieces += [tar.header(f"{key}.{name}", len(data)), data, tar.padding(len(data))]
    return b"".join(pieces)


def batches(samples: pa.Table) -> Iterator[pa.Table]:
    """Rows of which each batch spans at most 32 MB or so of one shard, in their order."""
    if not len(samples):
        return
    shards = samples["shard"].combine_chunks().dictionary_encode().indices.to_numpy()
    starts, ends = extents(samples)
    begin = 0
    low, high = starts[0], ends[0]
    for row in range(1, len(samples)):
        low, high = min(low, starts[row]), max(high, ends[row])
        if shards[row] != shards[begin] or high - low > _BATCH_BYTES:
            yield samples.slice(begin, row - begin)
            begin, low, high = row, starts[row], ends[row]
    yield samples.slice(begin)


def extents(samples: pa.Table) -> tuple[list[int], list[int]]:
    """First byte and end of the members of each row, in its tar."""
    starts = np.full(len(samples), np.iinfo(np.int64).max)
    ends = np.zeros(len(samples), np.int64)
    for member in MEMBERS:
        offset, size = _numbers(samples, f"{member}_offset"), _numbers(samples, f"{member}_size")
        starts = np.where(offset >= 0, np.minimum(starts, offset), starts)
        ends = np.where(offset >= 0, np.maximum(ends, offset + size), ends)
    return starts.tolist(), ends.tolist()


def read(samples: pa.Table, reader: ShardReader, members: Iterable[str] = MEMBERS, gap: int | None = None):
    """The members of these rows, a dict each; what a row does not have is left out. Raises ReadError."""
    names = samples["shard"].combine_chunks().dictionary_encode()
    codes, shards = names.indices.to_numpy(), names.dictionary.to_pylist()
    wanted, owners = [], []
    for member in members:
        offsets = _numbers(samples, f"{member}_offset")
        there = np.flatnonzero(offsets >= 0)
        sizes = _numbers(samples, f"{member}_size")[there]
        sums = samples[f"{member}_xxh3"].fill_null(0).to_numpy()[there]
        wanted.append((codes[there], offsets[there], sizes, sums))
        owners += [(row, member) for row in there.tolist()]
    ranges = Ranges(shards, *map(np.concatenate, zip(*wanted, strict=True)))
    found, faults = reader.fetch(ranges) if gap is None else reader.fetch(ranges, gap)
    if faults:
        place, why = min(faults.items())
        raise ReadError(f"{samples['sample_id'][owners[place][0]]}: {why}")
    told: list[dict[str, bytes]] = [{} for _ in range(len(samples))]
    for (row, member), data in zip(owners, found, strict=True):
        told[row][member] = data.tobytes()
    return told


def whole_rows(path: Path, rows: pa.Table) -> tuple[int, int]:
    """How many of the rows, from the first, lie whole in the tar ``path``, which may be cut off, and where they end."""
    size, reader = path.stat().st_size, ShardReader(path.parent)
    _, ends = extents(rows)
    good = end = 0
    with open(path, "rb") as file:
        for batch in batches(rows):
            there = [upto for upto in ends[good : good + len(batch)] if tar.padded(upto) <= size]
            part = batch.slice(0, len(there))
            try:
                if not len(part) or file.read(tar.padded(there[-1]) - end) != joined(part, read(part, reader)):
                    break
            except ReadError:
                break
            good, end = good + len(part), tar.padded(there[-1])
            if len(part) < len(batch):
                break
    return good, end


def _numbers(samples: pa.Table, column: str) -> np.ndarray:
    return samples[column].fill_null(-1).to_numpy().astype(np.int64)
