"""Fabricated stores: sidecars, scans and tars of FF++ and Celeb-DF in miniature, without a single pixel.

Everything is a function of names and seeds, so that two calls make the same store.
"""

import hashlib
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shards import schema

RECIPE = hashlib.sha256(b"recipe").hexdigest()
OTHER_RECIPE = hashlib.sha256(b"other recipe").hexdigest()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FFPP_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
PAIRS = {
    "train": [("071", "054"), ("087", "081"), ("881", "856"), ("187", "234")],
    "val": [("720", "672")],
    "test": [("953", "974"), ("012", "026")],
}


def video(method: str, name: str, label: int, dataset: str = "ffpp", quality: str = "c23", **changes: Any) -> dict:
    """A row of VIDEO_FIELDS."""
    row = dict.fromkeys(schema.VIDEOS.names)
    row |= {
        "video_id": schema.video_id(dataset, method, quality, name),
        "dataset": dataset,
        "method": method,
        "category": "swap" if label else "real",
        "quality": quality,
        "name": name,
        "label": label,
        "raw_label": "manipulated" if label else "original",
        "kind": "video",
        "aligned": False,
        "source": dataset,
        "path": f"{method}/{quality}/{name}.mp4",
        "bytes": 1_000_000 + int(hashlib.sha256(f"{method}{name}".encode()).hexdigest()[:4], 16),
        "mtime_ns": 1,
    }
    return row | changes


def ffpp_videos(
    pairs: dict[str, list[tuple[str, str]]] = PAIRS,
    methods: Iterable[str] = FFPP_METHODS,
    qualities: Iterable[str] = ("c23",),
) -> list[dict]:
    """The originals and the fakes of every pair, as FF++ has them: both directions, all methods the same pairs."""
    rows = []
    for quality in qualities:
        for split, chosen in pairs.items():
            for pair in chosen:
                for target, source in (pair, pair[::-1]):
                    who = {"target_id": f"ffpp:{target}", "official_split": split, "quality": quality}
                    rows.append(
                        video("original", target, 0, source_id=who["target_id"], visible_id=who["target_id"], **who)
                    )
                    for method in methods:
                        seen = target if method in ("Face2Face", "NeuralTextures") else source
                        rows.append(
                            video(
                                method,
                                f"{target}_{source}",
                                1,
                                source_id=f"ffpp:{source}",
                                visible_id=f"ffpp:{seen}",
                                original_video=schema.video_id("ffpp", "original", quality, target),
                                category="reenactment" if method in ("Face2Face", "NeuralTextures") else "swap",
                                **who,
                            )
                        )
    return rows


def celebdf_videos(version: str, people: int = 6, clips: int = 2, test: Iterable[str] = ()) -> list[dict]:
    """``people`` in a ring, each swapped into the next one's clips; names in ``test`` are on the test list."""
    dataset, test = f"celebdf-{version}", set(test)
    listed = (lambda name: "test" if name in test else "train") if version == "v2" else (lambda name: None)
    rows = []
    for person in range(people):
        for clip in range(clips):
            a, b = f"id{person}", f"id{(person + 1) % people}"
            name, fake = f"{a}_{clip:04d}", f"{a}_{b}_{clip:04d}"
            who = {"target_id": f"celebdf:{a}", "visible_id": f"celebdf:{a}"}
            rows.append(video("Celeb-real", name, 0, dataset, "native", official_split=listed(name), **who))
            who = {"target_id": f"celebdf:{a}", "source_id": f"celebdf:{b}", "visible_id": f"celebdf:{b}"}
            original = schema.video_id(dataset, "Celeb-real", "native", name)
            rows.append(
                video(
                    "Celeb-synthesis",
                    fake,
                    1,
                    dataset,
                    "native",
                    official_split=listed(fake),
                    original_video=original,
                    **who,
                )
            )
    for number in range(3):
        name = f"{number:05d}"
        rows.append(video("YouTube-real", name, 0, dataset, "native", official_split=listed(name)))
    return rows


def content_of(row: dict) -> str:
    return hashlib.sha256(f"bytes of {row['video_id']}".encode()).hexdigest()


def attempt(row: dict, faces: int, recipe: str = RECIPE, status: str | None = None, **changes: Any) -> dict:
    """``row`` with ATTEMPT_FIELDS: a done video with ``faces`` faces, one without, or as ``status`` says."""
    status = status or ("done" if faces else "no_face")
    made = dict.fromkeys(schema.PACKED_VIDEOS.names)
    made |= row
    made |= {
        "recipe_hash": recipe,
        "content": content_of(row),
        "status": status,
        "reason": None if status == "done" else "no face in any of 10 frames",
        "decoder": "fabricated 1",
        "codec": "h264",
        "width": 640,
        "height": 480,
        "fps": 25.0,
        "frame_count": 300,
        "rotation": 0,
        "frames_wanted": max(faces, 10),
        "frames_read": max(faces, 10),
        "frames_with_face": faces,
        "faces": faces,
        "missing": [],
        "versions": "{}",
        "attempted_at": NOON,
    }
    return made | changes


def sample_rows(made: dict, name: str, offset: int = 0, step: int = 10, masks: bool = False) -> list[dict]:
    """The faces of an attempt: one every ``step`` frames, bytes one after the other from ``offset`` of the tar."""
    rows = []
    for number in range(made["faces"]):
        frame = number * step
        key = schema.sample_key(made["video_id"], frame, 0)
        sample = schema.sample_id(made["recipe_hash"], made["content"], key)
        noise = random.Random(sample)
        row = dict.fromkeys(schema.SAMPLES.names)
        row |= {
            "sample_id": sample,
            "key": key,
            "video_id": made["video_id"],
            "recipe_hash": made["recipe_hash"],
            "content": made["content"],
            "frame_index": frame,
            "time_s": frame / 25,
            "track": 0,
            "draw_key": schema.draw_key(sample),
            **{column: noise.uniform(50, 200) for column in ("box_x", "box_y", "box_w", "box_h", "face_px")},
            "det_score": noise.random(),
            "sharpness": noise.random() * 100,
            "brightness": noise.random() * 255,
            "yaw": noise.uniform(-20, 20),
            "pitch": 0.0,
            "roll": 0.0,
            "landmark_scheme": "dlib5",
            "image_ext": "png",
            "shard": name,
            "image_offset": offset + 512,
            "image_size": 700,
            "image_xxh3": noise.getrandbits(64),
            "json_offset": offset + 2048,
            "json_size": 100,
            "json_xxh3": noise.getrandbits(64),
        }
        if masks:
            row |= {"mask_offset": offset + 3072, "mask_size": 50, "mask_xxh3": noise.getrandbits(64)}
        offset += 4096
        rows.append(row)
    return rows


def write_pack(store: Path, name: str, attempts: list[dict], **how: Any) -> list[dict]:
    """The three files of a pack (one, where there is no face); the tar holds zeros. Returns the samples' rows."""
    folder = store / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    samples: list[dict] = []
    for made in sorted(attempts, key=lambda made: made["video_id"]):
        samples += sample_rows(made, name, offset=len(samples) * 4096, **how)
    if samples:
        with open(folder / f"{name}.tar", "wb") as tar:
            tar.truncate(len(samples) * 4096 + 1024)
        pq.write_table(pa.Table.from_pylist(samples, schema=schema.SAMPLES), folder / f"{name}.parquet")
    rows = pa.Table.from_pylist(sorted(attempts, key=lambda made: made["video_id"]), schema=schema.PACKED_VIDEOS)
    pq.write_table(rows, folder / f"{name}.videos.parquet")
    return samples


def write_recipe(store: Path, recipe: str = RECIPE, name: str = "default") -> Path:
    path = store / "recipes" / f"{recipe[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": name, "hash": recipe, "recipe": {"name": name, "size": 256}}))
    return path


def write_scan(
    store: Path, videos: list[dict], source: str = "ffpp", completeness: list[dict] | None = None, **card: Any
) -> Path:
    """A scan's Parquet, metadata included."""
    path = store / "sources" / f"{source}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "source": source,
        "adapter": "faceforensics",
        "datasets": sorted({row["dataset"] for row in videos}),
        "root": "/data/ffpp",
        "config": {},
        "licence": "research only",
        "redistributable": False,
        "scanned_at": NOON.isoformat(),
        "completeness": completeness or [],
        "notes": [],
        "warnings": [],
    } | card
    rows = [row | {"source": source} for row in sorted(videos, key=lambda row: row["video_id"])]
    table = pa.Table.from_pylist(rows, schema=schema.VIDEOS)
    pq.write_table(table.replace_schema_metadata({b"deepshard": json.dumps(made).encode()}), path)
    return path


def write_corrections(store: Path, rows: list[tuple], name: str = "one") -> Path:
    """``rows``: (video_id, column, value, minutes after noon)."""
    path = store / "corrections" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [
        {"video_id": v, "column": c, "value": x, "who": "somebody", "at": NOON + timedelta(minutes=m), "why": "seen"}
        for v, c, x, m in rows
    ]
    fields = [(n, pa.string()) for n in ("video_id", "column", "value", "who")]
    table_schema = pa.schema([*fields, ("at", pa.timestamp("us", "UTC")), ("why", pa.string())])
    pq.write_table(pa.Table.from_pylist(made, schema=table_schema), path)
    return path


def make_store(
    store: Path,
    videos: list[dict] | None = None,
    faces: int = 20,
    packs: int = 2,
    recipe: str = RECIPE,
    faceless: Iterable[str] = (),
    prefix: str = "pack",
    **how: Any,
) -> list[dict]:
    """A store of ``videos`` (FF++ in miniature) in ``packs`` packs; videos in ``faceless`` (ids) gave no face.

    Returns the attempts. The scan is written too.
    """
    videos = ffpp_videos() if videos is None else videos
    faceless = set(faceless)
    made = [attempt(row, 0 if row["video_id"] in faceless else faces, recipe) for row in videos]
    made.sort(key=lambda row: row["video_id"])
    for number in range(packs):
        if chosen := made[number::packs]:
            write_pack(store, f"{prefix}-{recipe[:8]}-00000000-{number:06d}", chosen, **how)
    write_recipe(store, recipe, "default" if recipe == RECIPE else "other")
    for dataset in sorted({row["dataset"] for row in videos}):
        write_scan(store, [row for row in videos if row["dataset"] == dataset], dataset)
    return made
