"""A small real store for tests: PNG crops, shards made by ``pack``, and a pinned split over them.

Pixels differ from sample to sample and are a function of its id, so that a test can tell which face it was given.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shards import schema
from shards.pack import pack
from shards.part import PartWriter, read_part

DATASET = "demo"
LANDMARKS = 5


@dataclass
class Store:
    """``rows``: the samples' rows (SAMPLES) as dicts, sorted by sample id, as in the manifest."""

    root: Path
    shards_dir: Path
    manifest: Path
    rows: list[dict[str, Any]]
    recipe_hash: str
    videos: list[dict[str, Any]]


def recipe_hash(name: str = "demo") -> str:
    return hashlib.sha256(f"recipe {name}".encode()).hexdigest()


def video_row(name: str, method: str = "original", **changes: Any) -> dict[str, Any]:
    """A row of VIDEO_FIELDS: real for the method ``original``, else fake."""
    fake = method != "original"
    row = dict.fromkeys(schema.VIDEOS.names)
    row |= {
        "video_id": schema.video_id(DATASET, method, "c23", name),
        "dataset": DATASET,
        "method": method,
        "category": "swap" if fake else "real",
        "quality": "c23",
        "name": name,
        "label": int(fake),
        "raw_label": "FAKE" if fake else "REAL",
        "target_id": f"{DATASET}:{name}",
        "source_id": f"{DATASET}:{name}s" if fake else None,
        "original_video": schema.video_id(DATASET, "original", "c23", name) if fake else None,
        "kind": "video",
        "aligned": False,
        "source": "demo",
        "path": f"{method}/{name}.mp4",
        "bytes": 1000,
    }
    return row | changes


def attempt_row(faces: int, content: str, status: str = "done", **changes: Any) -> dict[str, Any]:
    """A row of ATTEMPT_FIELDS."""
    row = dict.fromkeys(schema.PACKED_VIDEOS.names[len(schema.VIDEO_FIELDS) :])
    row |= {"recipe_hash": recipe_hash(), "content": content, "status": status, "faces": faces, "missing": []}
    row |= {"reason": None if status == "done" else "no face in any frame", "decoder": "fabricated"}
    return row | changes


def sample_row(frame: int, content: str, track: int = 0, image_ext: str = "png", **changes: Any) -> dict[str, Any]:
    """What ``PartWriter.add`` asks for."""
    placed = ("shard", "key", "sample_id", "draw_key", "video_id")
    names = [n for n in schema.SAMPLES.names if n not in placed and not n.endswith(("_offset", "_size", "_xxh3"))]
    row: dict[str, Any] = dict.fromkeys(names)
    row |= {"recipe_hash": recipe_hash(), "content": content, "frame_index": frame, "time_s": frame / 25}
    row |= {"track": track, "face_px": 120.0, "det_score": 0.9, "landmark_scheme": "dlib5", "image_ext": image_ext}
    return row | changes


def pixels(sample_id: str, size: int) -> np.ndarray:
    """A sample's crop, uint8 [size,size,3] RGB: a gradient, red across and green down, in a colour of its own."""
    colour = np.frombuffer(hashlib.sha256(sample_id.encode()).digest()[:3], np.uint8)
    ramp = np.linspace(0, 60, size, dtype=np.uint8)
    image = np.empty((size, size, 3), np.uint8)
    image[..., 0] = colour[0] // 2 + ramp[None, :]
    image[..., 1] = colour[1] // 2 + ramp[:, None]
    image[..., 2] = colour[2] // 2
    return image


def mask_pixels(sample_id: str, size: int, label: int) -> np.ndarray:
    """The mask of a sample, uint8 [size,size]: zero for a real face, else a square whose place depends on its id."""
    mask = np.zeros((size, size), np.uint8)
    if label:
        corner = hashlib.sha256(sample_id.encode()).digest()[3] % (size // 2)
        mask[corner : corner + size // 4, corner : corner + size // 4] = 255
    return mask


def landmarks(sample_id: str, size: int) -> list[list[float]]:
    digest = hashlib.sha256(sample_id.encode()).digest()
    return [[digest[i] * size / 256, digest[i + 8] * size / 256] for i in range(LANDMARKS)]


def encode(rgb_or_gray: np.ndarray, codec: str) -> bytes:
    image = rgb_or_gray[..., ::-1] if rgb_or_gray.ndim == 3 else rgb_or_gray
    options = {"png": [cv2.IMWRITE_PNG_COMPRESSION, 1], "jpg": [cv2.IMWRITE_JPEG_QUALITY, 95]}
    done, data = cv2.imencode(f".{codec}", image, options.get(codec, [cv2.IMWRITE_WEBP_QUALITY, 101]))
    assert done
    return data.tobytes()


def members(video: dict[str, Any], sample: str, size: int, masks: bool, codec: str) -> dict[str, bytes]:
    """The members of one sample.

    Its JSON has the same fields for every sample and none of them null: ``datasets`` takes a field that is null in the
    first five samples for one that always is, and stops at the first other value.
    """
    fields = {name: video[name] for name in ("dataset", "method", "label", "video_id")}
    fields |= {"sample_id": sample, "landmarks": landmarks(sample, size), "source_id": video["source_id"] or ""}
    made = {codec: encode(pixels(sample, size), codec), "json": json.dumps(fields).encode()}
    return made | ({"mask.png": encode(mask_pixels(sample, size, video["label"]), "png")} if masks else {})


def write_part(
    path: Path, video: dict[str, Any], frames: int, size: int = 64, masks: bool = True, codec: str = "png"
) -> Path:
    """A finished part with ``frames`` samples; without any, a video in which no face was found."""
    content = hashlib.sha256(video["video_id"].encode()).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    with PartWriter(path, video) as writer:
        for frame in range(0, frames * 10, 10):
            key = schema.sample_key(video["video_id"], frame, 0)
            sample = schema.sample_id(recipe_hash(), content, key)
            writer.add(sample_row(frame, content, image_ext=codec), members(video, sample, size, masks, codec))
        return writer.finish(attempt_row(frames, content, "done" if frames else "no_face"))


def make_store(
    folder: Path,
    videos: int = 6,
    faces_per_video: int = 4,
    size: int = 64,
    masks: bool = True,
    codec: str = "png",
    partners: bool = False,
    shards: int = 2,
    faceless: int = 1,
    name: str = "demo",
) -> Store:
    """A store of ``videos`` videos, alternately real and fake (of the real one before it), in ``shards`` packs.

    ``partners``: every fake sample's partner is its original's sample with the same frame index. ``faceless``: further
    real videos without a face, listed in the manifest. The split holds every sample.
    """
    root = Path(folder)
    made = [video_row(f"{i // 2:03d}", "swapped" if i % 2 else "original") for i in range(videos)]
    made += [video_row(f"empty{i}") for i in range(faceless)]
    parts = [
        write_part(root / "parts" / f"{i:04d}.part", video, faces_per_video if i < videos else 0, size, masks, codec)
        for i, video in enumerate(made)
    ]
    rows: list[dict[str, Any]] = []
    for number in range(shards):
        packed = pack(parts[number::shards], root / "shards", f"{name}-{number:06d}")
        if packed.samples:
            rows += pq.read_table(packed.samples).to_pylist()
    rows.sort(key=lambda row: row["sample_id"])
    manifest = write_manifest(root / "splits", rows, made, size, partners, name)
    return Store(root, root / "shards", manifest, rows, recipe_hash(), [read_part(path).video_row() for path in parts])


def write_manifest(
    folder: Path,
    rows: list[dict[str, Any]],
    videos: list[dict[str, Any]],
    size: int,
    partners: bool = False,
    name: str = "demo",
) -> Path:
    """Pin ``rows`` (SAMPLES, with role and stream where they have any) as a split called ``name``; videos without a
    row become its faceless ones."""
    by_id = {video["video_id"]: video for video in videos}
    by_place = {(row["video_id"], row["frame_index"]): row for row in rows}
    streams = [schema.STREAM] if any("stream" in row for row in rows) else []
    pinned = []
    for row in rows:
        video = by_id[row["video_id"]]
        line = {field: row.get(field) for field in [*schema.MANIFEST.names, *(field.name for field in streams)]}
        line |= {"dataset": video["dataset"], "method": video["method"], "label": video["label"], "weight": 1.0}
        if partners and (other := by_place.get((video["original_video"], row["frame_index"]))):
            line["partner_id"] = other["sample_id"]
            for field in ("shard", "image_ext", "image_offset", "image_size", "image_xxh3"):
                line[f"partner_{field}"] = other[field]
        pinned.append(line)
    faceless = [
        {field: video[field] for field in ("video_id", "dataset", "method", "label")}
        for video in videos
        if not any(row["video_id"] == video["video_id"] for row in rows)
    ]
    content = [(line["sample_id"], line["label"], line["weight"], line["role"], line["partner_id"]) for line in pinned]
    content += [(line["sample_id"], line["stream"]) for line in pinned if streams]
    digest = hashlib.sha256(json.dumps([content, sorted(v["video_id"] for v in faceless)]).encode()).hexdigest()
    recipe = {"name": "demo", "hash": recipe_hash(), "recipe": {"name": "demo", "size": size}}
    meta = {"manifest_version": schema.MANIFEST_VERSION, "name": name, "hash": digest, "sql": "SELECT * FROM faces"}
    meta |= {"params": {}, "catalog": {}, "recipes": [recipe], "lints": [], "faceless": faceless}
    meta |= {"created_at": "2026-01-01T00:00:00Z", "deepshard_version": "0"}
    arrow = pa.schema([*schema.MANIFEST, *streams]).with_metadata({b"deepshard": json.dumps(meta).encode()})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}@{digest[:12]}.arrow"
    with pa.ipc.new_file(path, arrow) as writer:
        writer.write_table(pa.Table.from_pylist(pinned, schema=arrow))
    return path
