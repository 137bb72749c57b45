"""What is known of a face, as columns: what its split says, and what its JSON told when it was curated.

Where both speak, as of the label, the split has the last word: corrections are in it. A text or time that is not known
is null here; in the JSON, where types are guessed from the first few, it is an empty text or -1.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shards.export.sides import PREFIX
from shards.split import Split

_OF_SPLIT = [
    pa.field("sample_id", pa.string()),
    pa.field("label", pa.int64()),  # 0 real, 1 fake
    pa.field("dataset", pa.string()),
    pa.field("method", pa.string()),
    pa.field("quality", pa.string()),
    pa.field("video_id", pa.string()),
    pa.field("frame_index", pa.int64()),
    pa.field("track", pa.int64()),
    pa.field("split", pa.string()),  # the pinned split, NAME@HASH
    pa.field("weight", pa.float32()),
    pa.field("role", pa.string()),
    pa.field("stream", pa.string()),
    pa.field("partner_id", pa.string()),
]
_POINTS = pa.list_(pa.list_(pa.float32()))
OF_JSON = [
    *(pa.field(name, pa.string()) for name in ("category", "raw_label", "target_id", "source_id", "visible_id")),
    *(pa.field(name, pa.string()) for name in ("original_video", "official_split", "recipe_hash", "content")),
    pa.field("time_s", pa.float64()),
    *(pa.field(name, pa.float32()) for name in ("box_x", "box_y", "box_w", "box_h")),
    *(pa.field(name, pa.int64()) for name in ("frame_width", "frame_height")),
    pa.field("warp", _POINTS),  # 2x3, from frame to crop
    pa.field("landmarks", _POINTS),  # [K,2] in the crop
    pa.field("landmark_scheme", pa.string()),
    *(pa.field(name, pa.float32()) for name in ("face_px", "det_score", "sharpness", "brightness")),
    *(pa.field(name, pa.float32()) for name in ("yaw", "pitch", "roll")),
]
SAID_BY_SPLIT = ("key", "image_ext", "mask")  # of the JSON: in the sample id, in the file's name, in the mask itself
FACTS = [*_OF_SPLIT, *OF_JSON]
_MANIFEST = ("sample_id", "label", "dataset", "method", "video_id", "frame_index", "weight", "role", "partner_id")


def key_of(sample_id: str) -> str:
    """``dataset/method/quality/video/FFFFFF-T``."""
    return sample_id[PREFIX:]


def read_json(data: bytes) -> dict[str, Any]:
    """A JSON member, with null for what is not known."""
    facts = json.loads(data)
    if facts.get("time_s") == -1:
        facts["time_s"] = None
    return {name: None if value == "" else value for name, value in facts.items()}


def facts_of(split: Split, rows: np.ndarray, jsons: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """FACTS of these rows (int64 [N]); ``jsons``: their JSON members, as ``read_json`` gives them."""
    names = [*_MANIFEST, *(name for name in ("stream",) if name in split.table.column_names)]
    said = split.table.select(names).take(pa.array(rows, pa.int64())).to_pylist()
    found = []
    for row, known in zip(said, jsons, strict=True):
        sample = row["sample_id"]
        row |= {"quality": row["video_id"].split("/")[2], "track": int(sample.rpartition("-")[2])}
        row |= {"split": f"{split.name}@{split.hash[:12]}"}
        found.append({field.name: row.get(field.name) for field in _OF_SPLIT})
        found[-1] |= {field.name: known.get(field.name) for field in OF_JSON}
    return found
