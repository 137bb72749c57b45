"""A pinned split's file: an Arrow IPC file of MANIFEST_FIELDS, sorted by sample_id, that readers map into memory.

Everything else about the split, from its SQL to its lints, is JSON in the schema's metadata: the card. The hash covers
what the split says (samples, labels, weights, roles, partners, streams, videos without a face) and not where bytes
lie. The column ``stream``, which few splits have, is in a file only where its query gives one.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from queries.whole import whole_file

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
STREAM = pa.field("stream", _WORD)  # which of several sets in one split a face is of, for orders that tell them apart
# where bytes lie: columns of the manifest that the catalog keeps for each face
PLACES = [name for name in MANIFEST.names if name.endswith(("_ext", "_offset", "_size", "_xxh3"))]

_ROWS_PER_BATCH = 1 << 16


def assemble(rows: pa.Table, videos: pa.Table) -> pa.Table:
    """A manifest of ``rows`` in their order, which is sorted by sample_id unless a video has a million frames.

    ``rows``: sample_id, weight, role, stream, frame_index, partner_id, PLACES, and place and partner_place, rows of
    ``videos`` (video_id, dataset, method, label, shard).
    """
    place, partner = (rows[name].combine_chunks() for name in ("place", "partner_place"))
    columns: dict[str, pa.Array] = {name: _words_at(place, videos[name]) for name in ("video_id", "dataset", "method")}
    columns |= {"shard": _words_at(place, videos["shard"]), "partner_shard": _words_at(partner, videos["shard"])}
    columns["label"] = videos["label"].combine_chunks().take(place)
    fields = [*MANIFEST_FIELDS, *([STREAM] if rows["stream"].null_count < len(rows) else [])]
    for field in fields:
        if field.name not in columns:
            column = rows[field.name].combine_chunks()
            if pa.types.is_dictionary(field.type):
                words = pc.unique(pc.drop_null(column)).sort()
                column = pa.DictionaryArray.from_arrays(pc.index_in(column, words), words)
            columns[field.name] = column.cast(field.type)
    table = pa.Table.from_arrays([columns[field.name] for field in fields], schema=pa.schema(fields))
    ids = columns["sample_id"]
    return table if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False else table.sort_by("sample_id")


def _words_at(place: pa.Array, of_video: pa.ChunkedArray) -> pa.DictionaryArray:
    """Words of videos as a column of faces; the dictionary is sorted and holds none that does not occur."""
    of_video = of_video.combine_chunks()
    words = pc.unique(of_video.take(pc.unique(pc.drop_null(place)))).sort()
    return pa.DictionaryArray.from_arrays(pc.index_in(of_video, words).take(place), words)


def content_hash(table: pa.Table, faceless: Iterable[str]) -> str:
    """SHA-256 (hex) of what a split says; ``table``: MANIFEST columns sorted by sample_id.

    One line per sample: sample_id, label, the weight's 32 bits as an integer, role, partner_id, and the stream where
    there are any, with tabs between and nothing for null; then one line per video without a face, sorted, with
    "faceless" in front.
    """
    digest = hashlib.sha256()
    for batch in table.to_batches(max_chunksize=_ROWS_PER_BATCH):
        weight = pa.array(batch["weight"].to_numpy().view(np.uint32))
        cells = [
            batch["sample_id"],
            batch["label"].cast(pa.string()),
            weight.cast(pa.string()),
            pc.fill_null(batch["role"].cast(pa.string()), ""),
            pc.fill_null(batch["partner_id"], ""),
        ]
        if STREAM.name in table.column_names:
            cells.append(pc.fill_null(batch[STREAM.name].cast(pa.string()), ""))
        lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*cells, "\t"), "", "\n")
        _, offsets, text = lines.buffers()  # the lines lie one after the other
        first, last = np.frombuffer(offsets, np.int32)[[lines.offset, lines.offset + len(lines)]]
        digest.update(memoryview(text)[first:last])
    for video in sorted(faceless):
        digest.update(f"faceless\t{video}\n".encode())
    return digest.hexdigest()


def write(path: Path, table: pa.Table, card: dict[str, Any]) -> None:
    """Write a manifest; it appears whole or not at all (written beside, fsynced, renamed)."""
    schema = table.schema.with_metadata({METADATA_KEY: json.dumps(card).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(table.replace_schema_metadata(schema.metadata))


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
