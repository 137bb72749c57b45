"""A pinned split's file: an Arrow IPC file of MANIFEST_FIELDS, sorted by sample_id, that readers map into memory.

Everything else about the split, from its SQL to its lints, is JSON in the schema's metadata: the card. The hash covers
what the split says (samples, labels, weights, roles, partners, videos without a face) and not where bytes lie.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MANIFEST_VERSION = 1
METADATA_KEY = b"deepshard"

_WORD = pa.dictionary(pa.int32(), pa.string())

MANIFEST_FIELDS = [
    pa.field("sample_id", pa.string(), nullable=False),
    pa.field("video_id", _WORD, nullable=False),
    pa.field("dataset", _WORD, nullable=False),
    pa.field("method", _WORD, nullable=False),
    pa.field("label", pa.int8(), nullable=False),
    pa.field("weight", pa.float32(), nullable=False),
    pa.field("role", _WORD),
    pa.field("frame_index", pa.int64(), nullable=False),
    pa.field("shard", _WORD, nullable=False),
    pa.field("image_ext", _WORD, nullable=False),
    *[
        field
        for member, nullable in (("image", False), ("json", False), ("mask", True))
        for field in (
            pa.field(f"{member}_offset", pa.int64(), nullable=nullable),
            pa.field(f"{member}_size", pa.int32(), nullable=nullable),
            pa.field(f"{member}_xxh3", pa.uint64(), nullable=nullable),
        )
    ],
    pa.field("partner_id", pa.string()),
    pa.field("partner_shard", _WORD),
    pa.field("partner_image_ext", _WORD),
    pa.field("partner_image_offset", pa.int64()),
    pa.field("partner_image_size", pa.int32()),
    pa.field("partner_image_xxh3", pa.uint64()),
]

MANIFEST = pa.schema(MANIFEST_FIELDS)

_ROWS_PER_BATCH = 1 << 16


def conform(table: pa.Table) -> pa.Table:
    """``table`` with the manifest's columns and types; words become one dictionary per column, sorted."""
    arrays = []
    for field in MANIFEST_FIELDS:
        column = table[field.name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # no row at all
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        if pa.types.is_dictionary(field.type):
            words = pc.unique(pc.drop_null(column)).sort()
            column = pa.DictionaryArray.from_arrays(pc.index_in(column, words), words)
        arrays.append(column.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=MANIFEST)


def content_hash(table: pa.Table, faceless: Iterable[str]) -> str:
    """SHA-256 (hex) of what a split says; ``table``: MANIFEST columns sorted by sample_id.

    One line per sample: sample_id, label, the weight's 32 bits as an integer, role, partner_id, with tabs between and
    nothing for null; then one line per video without a face, sorted, with "faceless" in front.
    """
    digest = hashlib.sha256()
    for batch in table.to_batches(max_chunksize=_ROWS_PER_BATCH):
        weight = pa.array(batch["weight"].to_numpy(zero_copy_only=False).view(np.uint32))
        cells = [
            batch["sample_id"],
            batch["label"].cast(pa.string()),
            weight.cast(pa.string()),
            pc.fill_null(batch["role"].cast(pa.string()), ""),
            pc.fill_null(batch["partner_id"], ""),
        ]
        lines = pc.binary_join_element_wise(*cells, "\t")
        digest.update("".join(f"{line}\n" for line in lines.to_pylist()).encode())
    for video in sorted(faceless):
        digest.update(f"faceless\t{video}\n".encode())
    return digest.hexdigest()


def write(path: Path, table: pa.Table, card: dict[str, Any]) -> None:
    """Write a manifest; it appears whole or not at all (written beside, fsynced, renamed)."""
    schema = MANIFEST.with_metadata({METADATA_KEY: json.dumps(card).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(unfinished, "xb") as file:
            with pa.ipc.new_file(file, schema) as writer:
                writer.write_table(table.replace_schema_metadata(schema.metadata))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """The rows, mapped from the file, and the card. Raises OSError or ValueError (pa.ArrowInvalid, no card)."""
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    return table, _card(table.schema)


def read_card(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The card, and {"faces", "real", "fake"} counted from the labels alone. Raises as ``read`` does."""
    with pa.memory_map(str(path)) as file:
        options = pa.ipc.IpcReadOptions(included_fields=[MANIFEST.get_field_index("label")])
        reader = pa.ipc.open_file(file, options=options)
        card = _card(reader.schema)
        labels = reader.read_all()["label"]
        fake = pc.sum(labels).as_py() or 0
    return card, {"faces": len(labels), "real": len(labels) - fake, "fake": fake}


def _card(schema: pa.Schema) -> dict[str, Any]:
    text = (schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise ValueError("it is an Arrow file, but no pinned split")
    card = json.loads(text)
    if card.get("manifest_version", 0) > MANIFEST_VERSION:
        raise ValueError(
            f"it is of manifest version {card['manifest_version']}, this deepshard knows {MANIFEST_VERSION}"
        )
    return card
