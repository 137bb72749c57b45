"""Sidecars and marks as bytes: plain Parquet files in which no bit can change unseen.

A mark carries the checksum of itself and that of its sidecar, which carries those of every member of its tar: whoever
believes a mark can check all of a pack. The checksum stands in the file's key-value metadata, apart from the schema,
and is that of the file with zeros in its own place. The bytes depend on the rows and on the version of pyarrow alone.
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from shards import schema

_SEAL = b"xxh3 of this file with zeros here: "
_ZEROS = b"0" * 16


class Damaged(Exception):
    """Bytes that are no longer what was written; the message says how that shows."""


def sidecar_bytes(samples: pa.Table) -> bytes:
    """The file ``NAME.parquet``; ``samples``: SAMPLES, in the order of the tar."""
    return _parquet(samples, seal=False)


def mark_bytes(videos: pa.Table, sidecar: bytes | None) -> bytes:
    """The file ``NAME.videos.parquet``; ``videos``: PACKED_VIDEOS, ``sidecar``: the file beside it, None if there is
    no face."""
    return sealed(videos, sidecar_xxh3=None if sidecar is None else xxhash.xxh3_64_hexdigest(sidecar))


def sealed(table: pa.Table, **facts: str | None) -> bytes:
    """A table as a Parquet file with the checksum of itself and ``facts`` in its metadata."""
    data = _parquet(table, seal=True, **facts)
    start, digest = _sum(data)
    return data[:start] + digest + data[start + len(digest) :]


def check_seal(data: bytes) -> None:
    """Raises Damaged if a sealed file is not what was written."""
    start, digest = _sum(data)
    if data[start : start + len(digest)] != digest:
        raise Damaged("its checksum differs")


def same_but_for_damage(data: bytes, candidate: bytes) -> bool:
    """Whether the sealed file ``candidate`` is what ``data`` was before bits of it changed.

    It is if ``data`` still carries the candidate's checksum, or if all but the checksum is the same.
    """
    start, digest = _sum(candidate)
    end = start + len(digest)
    return candidate[start - len(_SEAL) : end] in data or data[:start] + digest + data[end:] == candidate


def read(data: bytes, expected: pa.Schema) -> pa.Table:
    """The rows of a sidecar or mark, its pages' checksums verified. Raises Damaged."""
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            table = file.read()
            table.validate(full=True)  # text that is not UTF-8 would only be noticed later
    except (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError) as error:
        raise Damaged(f"it cannot be read: {str(error).strip().partition(chr(10))[0]}") from None
    if not table.schema.equals(expected):
        raise Damaged("it has other columns than this version of deepshard writes")
    return table


def sidecar_sum(videos: pa.Table) -> str | None:
    """The xxh3_64 (16 hex digits) that a mark tells of its sidecar; None if it tells nothing."""
    try:
        return json.loads(videos.schema.metadata[b"deepshard"])["sidecar_xxh3"]
    except (ValueError, KeyError, TypeError):
        return None


def read_file(path: Path) -> bytes:
    """All bytes of a file. Raises Damaged if the disk does not give them."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"the disk does not give it ({error.strerror})") from None


def _parquet(table: pa.Table, seal: bool, **facts: str | None) -> bytes:
    about = json.dumps({"sidecar_version": schema.SIDECAR_VERSION, **facts}).encode()
    table = table.combine_chunks().replace_schema_metadata({b"deepshard": about})
    sink = pa.BufferOutputStream()
    # page checksums: who reads a sidecar without verifying all of it still meets no wrong label or offset
    with pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(table)
        if seal:
            writer.add_key_value_metadata({b"deepshard_seal": _SEAL + _ZEROS})
    return sink.getvalue().to_pybytes()


def _sum(data: bytes) -> tuple[int, bytes]:
    """Where the checksum stands and what it should be, 16 hex digits. Raises Damaged."""
    start = data.rfind(_SEAL) + len(_SEAL)
    if start < len(_SEAL):
        raise Damaged("it carries no checksum of itself")
    digest = xxhash.xxh3_64(data[:start])
    digest.update(_ZEROS)
    digest.update(data[start + len(_ZEROS) :])
    return start, digest.hexdigest().encode()
