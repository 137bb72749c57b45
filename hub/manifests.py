"""Pinned splits on their way: the same faces, with where their bytes lie there, and under the names they have there.

What a split says does not depend on where bytes lie, so its hash stays, unless names become pseudonyms.
"""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from queries import manifest

_PARTNER = {f"partner_{name}": name for name in ("shard", "image_ext", "image_offset", "image_size", "image_xxh3")}
_OWN = {name: name for name in ("shard", *manifest.PLACES) if not name.startswith("partner_")}


def placed(rows: pa.Table, samples: pa.Table) -> pa.Table | None:
    """A manifest's rows with the places that ``samples`` (SAMPLES) tell; None if a face or partner is not there."""
    known = samples["sample_id"].combine_chunks()
    own = pc.index_in(rows["sample_id"].combine_chunks(), known)
    ids = rows["partner_id"].combine_chunks()
    partner = pc.if_else(pc.is_valid(ids), pc.index_in(ids, known), None)
    if own.null_count or partner.null_count > ids.null_count:
        return None
    for names, place in ((_OWN, own), (_PARTNER, partner)):
        for name, column in names.items():
            field = rows.schema.field(name)
            values = samples[column].combine_chunks().take(place)
            if pa.types.is_dictionary(field.type):
                values = values.dictionary_encode()
                values = pa.DictionaryArray.from_arrays(values.indices, values.dictionary.cast(pa.string()))
            rows = rows.set_column(rows.schema.get_field_index(name), field, values.cast(field.type))
    return rows


def renamed(
    rows: pa.Table, card: dict[str, Any], new_ids: dict[str, str], video: Callable[[str | None], str | None]
) -> tuple[pa.Table, dict[str, Any]]:
    """A manifest's rows and card under other names, sorted anew, with the hash that they have then."""
    for name in ("sample_id", "partner_id"):
        values = pa.array([word and new_ids[word] for word in rows[name].to_pylist()], pa.string())
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
    field = rows.schema.field("video_id")
    codes = rows["video_id"].combine_chunks()
    words = pa.array([video(word) for word in codes.dictionary.to_pylist()], pa.string())
    rows = rows.set_column(
        rows.schema.get_field_index("video_id"), field, pa.DictionaryArray.from_arrays(codes.indices, words)
    )
    rows = rows.sort_by("sample_id").combine_chunks()
    faceless = [{**row, "video_id": video(row["video_id"])} for row in card["faceless"]]
    digest = manifest.content_hash(rows, [row["video_id"] for row in faceless])
    return rows, {**card, "faceless": sorted(faceless, key=lambda row: row["video_id"]), "hash": digest}


def file_name(card: dict[str, Any]) -> str:
    """As a pinned split's file is called."""
    return f"{card['name']}@{card['hash'][:12]}.arrow"
