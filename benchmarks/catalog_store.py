"""A store without pixels for measuring the catalog: the field's datasets by their published sizes, faces made up.

Names, people, pairs, official sides and numbers of clips are those of the datasets, so that every shipped split finds
what it selects from; boxes, measures and checksums are noise. Packs are sealed as curation seals them, and their tars
are files of the right length with nothing in them. Everything is a function of the two numbers asked for.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from curation.sources.published import ffpp_pairs
from shards import schema, sidecar

RECIPE = hashlib.sha256(b"benchmark").hexdigest()
FACE_BYTES = 70_000  # of a 256x256 PNG, about
PACK_BYTES = 256 << 20
_ABOUT = datetime(2026, 1, 1, tzinfo=UTC)
_SWAPS = ("Deepfakes", "FaceSwap", "FaceShifter")
_REENACTMENTS = ("Face2Face", "NeuralTextures")
# dataset -> label of sets of one label that papers train on, a thousand clips each
_SETS = {
    "LRS3": 0, "Ms-Celeb-1M": 0, "VGGFace": 0, "FFHQ": 0, "tedx": 0, "FFHQ-GFPGAN": 1, "StyleGAN3": 1, "reface": 1,
    "faceapp-morph": 1, "Defacto-morphs": 1,
}  # fmt: skip


def make_store(store: Path, faces: int = 10_000_000, videos: int = 100_000) -> int:
    """Write packs of ``faces`` faces of ``videos`` videos and their scan's recipe; returns the number of faces.

    FF++ has twice as many faces a video as the others, as papers ask for more frames of it; LFW's images have one each.
    """
    rows = _videos(videos)
    counts = _faces_of(rows, faces)
    (store / "shards").mkdir(parents=True)
    (store / "recipes").mkdir()
    recipe = {"name": "default", "hash": RECIPE, "recipe": {"name": "default", "size": 256}}
    (store / "recipes" / f"{RECIPE[:16]}.json").write_text(json.dumps(recipe))
    made = 0
    with duckdb.connect(config={"threads": "2", "memory_limit": "2GiB"}) as db:
        for number, (first, last) in enumerate(_packs(counts)):
            made += _write_pack(db, store / "shards", f"bench-{number:06d}", rows[first:last], counts[first:last])
    return made


def _videos(wanted: int) -> list[dict[str, Any]]:
    """``wanted`` videos: sets at their published sizes, then as much of DFDC as there is room for."""
    rows = [*_ffpp(), *_dfd(), *_celebdf("v2", 59, 590, 5639, 300), *_celebdf("v1", 13, 158, 795, 250), *_dfdcp()]
    rows += [*_deeperforensics(), *_wilddeepfake(), *_lfw(), *_sets(), *_edited()]
    rows += _dfdc(max(0, wanted - len(rows)))
    # a smaller catalog keeps its proportions; whole videos only
    keep = rows if len(rows) <= wanted else [rows[i] for i in np.linspace(0, len(rows) - 1, wanted).astype(int)]
    return sorted(keep, key=lambda row: row["video_id"])


def _video(dataset: str, method: str, quality: str, name: str, label: int, **changes: Any) -> dict[str, Any]:
    identity = schema.video_id(dataset, method, quality, name)
    content = changes.pop("content", None) or hashlib.sha256(identity.encode()).hexdigest()
    row = dict.fromkeys(schema.PACKED_VIDEOS.names)
    row |= {
        "video_id": identity,
        "dataset": dataset,
        "method": method,
        "quality": quality,
        "name": name,
        "label": label,
    }
    row |= {"category": "swap" if label else "real", "kind": "video", "aligned": False, "source": dataset}
    row |= {"path": f"{method}/{name}.mp4", "bytes": 1_000_000 + int(content[:5], 16), "mtime_ns": 1}
    row |= {"recipe_hash": RECIPE, "content": content, "status": "done", "decoder": "none", "codec": "h264"}
    row |= {"width": 640, "height": 480, "fps": 25.0, "frame_count": 300, "rotation": 0, "versions": "{}"}
    return row | {"missing": [], "attempted_at": _ABOUT} | changes


def _ffpp() -> Iterator[dict[str, Any]]:
    for quality in ("raw", "c23", "c40"):
        for side, pairs in ffpp_pairs().items():
            for target, source in [*pairs, *(pair[::-1] for pair in pairs)]:
                who = {"target_id": f"ffpp:{target}", "official_split": side}
                own = {"source_id": who["target_id"], "visible_id": who["target_id"]}
                yield _video("ffpp", "original", quality, target, 0, **own, **who)
                who |= {"source_id": f"ffpp:{source}"}
                who |= {"original_video": schema.video_id("ffpp", "original", quality, target)}
                for method in (*_SWAPS, *_REENACTMENTS):
                    seen = who["source_id" if method in _SWAPS else "target_id"]
                    yield _video("ffpp", method, quality, f"{target}_{source}", 1, visible_id=seen, **who)


def _dfd() -> Iterator[dict[str, Any]]:
    actors = [f"{actor:02d}" for actor in range(1, 29)]
    for number in range(363):
        actor, scene = actors[number % 28], f"scene{number // 28}"
        yield _video(
            "dfd", "original", "c23", f"{actor}__{scene}", 0, target_id=f"dfd:{actor}", visible_id=f"dfd:{actor}"
        )
    for number in range(3068):
        one, other = actors[number % 28], actors[(number // 28 + number + 1) % 28]
        scene = f"scene{number // 28 % 13}"
        who = {"target_id": f"dfd:{one}", "source_id": f"dfd:{other}", "visible_id": f"dfd:{other}"}
        who |= {"original_video": schema.video_id("dfd", "original", "c23", f"{one}__{scene}")}
        yield _video("dfd", "DeepFakeDetection", "c23", f"{one}_{other}__{scene}__{number:08d}", 1, **who)


def _celebdf(version: str, people: int, reals: int, fakes: int, youtube: int) -> Iterator[dict[str, Any]]:
    dataset = f"celebdf-{version}"

    def side(number: int) -> str | None:  # of v2 about one in six real clips is on the list, and one in 17 fakes
        return None if version == "v1" else "test" if number % 6 == 0 else "train"

    def content(name: str) -> str:  # of v1 nine in ten clips are clips of v2, byte for byte
        where = "v1" if version == "v1" and int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10 == 0 else "v2"
        return hashlib.sha256(f"celebdf {where} {name}".encode()).hexdigest()

    for number in range(reals):
        person = f"celebdf:id{number % people}"
        name = f"id{number % people}_{number // people:04d}"
        who = {"target_id": person, "visible_id": person, "official_split": side(number), "content": content(name)}
        yield _video(dataset, "Celeb-real", "native", name, 0, **who)
    for number in range(fakes):
        clip = number % reals
        one, other = f"id{clip % people}", f"id{(clip + number // reals + 1) % people}"
        name = f"{one}_{other}_{clip // people:04d}"
        who = {"target_id": f"celebdf:{one}", "source_id": f"celebdf:{other}", "visible_id": f"celebdf:{other}"}
        who |= {"original_video": schema.video_id(dataset, "Celeb-real", "native", f"{one}_{clip // people:04d}")}
        listed = side(number if number % 17 == 0 else 1)
        yield _video(dataset, "Celeb-synthesis", "native", name, 1, official_split=listed, content=content(name), **who)
    for number in range(youtube):
        name = f"{number:05d}"
        yield _video(dataset, "YouTube-real", "native", name, 0, official_split=side(number), content=content(name))


def _dfdcp() -> Iterator[dict[str, Any]]:
    for number in range(5250):
        method = "original" if number < 1131 else ("method_A", "method_B")[number % 2]
        side = "test" if number % 7 == 0 else "train"
        yield _video("dfdcp", method, "native", f"{number:06d}", int(method != "original"), official_split=side)


def _deeperforensics() -> Iterator[dict[str, Any]]:
    for method in range(11):
        for number in range(1000):
            who = {"target_id": f"ffpp:{number:03d}", "source_id": f"deeperforensics:{number % 100}"}
            who |= {"original_video": schema.video_id("ffpp", "original", "c23", f"{number:03d}")}
            yield _video("deeperforensics", f"level_{method}", "native", f"{number:03d}", 1, **who)


def _wilddeepfake() -> Iterator[dict[str, Any]]:
    for number in range(7314):
        fake, side = number % 2, "test" if number % 7 == 0 else "train"
        yield _video("wilddeepfake", ("original", "wild")[fake], "native", f"{number}", fake, official_split=side)


def _dfdc(wanted: int) -> list[dict[str, Any]]:
    """The public test side, then training clips in the published proportion of 100,000 fakes to 19,154 real ones."""
    rows = [
        _video(
            "dfdc",
            "DFDC" if number % 2 else "original",
            "native",
            f"test{number:05d}",
            number % 2,
            official_split="test",
        )
        for number in range(min(5000, wanted // 5))
    ]
    reals = (wanted - len(rows)) * 19_154 // 119_154
    for number in range(wanted - len(rows)):
        if number < reals:
            rows.append(_video("dfdc", "original", "native", f"train{number:05d}", 0, official_split="train"))
        else:
            original = schema.video_id("dfdc", "original", "native", f"train{number % reals:05d}")
            made = {"official_split": "train", "original_video": original}
            rows.append(_video("dfdc", "DFDC", "native", f"train{number:05d}", 1, **made))
    return rows


def _lfw() -> Iterator[dict[str, Any]]:
    for number in range(13_233):
        person = f"Person_{number % 158 if number < 4324 else number}"  # 158 people have ten images or more
        who = {"target_id": f"lfw:{person}", "visible_id": f"lfw:{person}", "kind": "image"}
        yield _video("lfw", "original", "native", f"{person}_{number:05d}", 0, **who)


def _sets() -> Iterator[dict[str, Any]]:
    for dataset, label in _SETS.items():
        for number in range(1000):
            yield _video(dataset, "face-morph" if label else "original", "native", f"{number:05d}", label)


def _edited() -> Iterator[dict[str, Any]]:
    """Photographs, and what two programs made of each: paper 4's tasks."""
    for dataset, methods in (("attribute", ("StarGAN", "Glow")), ("inpainting", ("GL", "ContextAtten"))):
        for method in ("original", *methods):
            for number in range(2000):
                who = {"target_id": f"{dataset}:{number}", "kind": "image"}
                yield _video(dataset, method, "native", f"{number}", int(method != "original"), **who)


def _faces_of(rows: list[dict[str, Any]], faces: int) -> np.ndarray:
    """Faces of each video, int64 [n], ``faces`` in all."""
    share = np.array([0.0 if row["kind"] == "image" else 2.0 if row["dataset"] == "ffpp" else 1.0 for row in rows])
    counts = np.ones(len(rows), np.int64)
    left = faces - len(rows)
    counts += np.floor(share * left / share.sum()).astype(np.int64)
    short = np.flatnonzero(share)[: faces - counts.sum()]
    counts[short] += 1
    return counts


def _packs(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of videos whose faces fill a shard."""
    full, first, faces = PACK_BYTES // FACE_BYTES, 0, 0
    for place, count in enumerate(counts):
        if faces and faces + count > full:
            yield first, place
            first, faces = place, 0
        faces += count
    yield first, len(counts)


def _write_pack(
    db: duckdb.DuckDBPyConnection, folder: Path, name: str, rows: list[dict[str, Any]], counts: np.ndarray
) -> int:
    for row, count in zip(rows, counts.tolist(), strict=True):
        # one in fifty frames of a video has no face
        wanted = count + count // 50
        row |= {"frames_wanted": wanted, "frames_read": wanted, "frames_with_face": count, "faces": count}
    videos = pa.Table.from_pylist(rows, schema=schema.PACKED_VIDEOS)
    db.register("videos", videos)
    samples = db.sql(_FACES, params=[name]).to_arrow_table()
    db.unregister("videos")
    samples = _with_bytes(samples)
    side = sidecar.sidecar_bytes(samples)
    (folder / f"{name}.parquet").write_bytes(side)
    (folder / f"{name}.videos.parquet").write_bytes(sidecar.mark_bytes(videos, side))
    with open(folder / f"{name}.tar", "wb") as tar:
        tar.truncate(samples["image_offset"][-1].as_py() + 2 * FACE_BYTES)
    return len(samples)


# draw_key is shards.schema.draw_key; noise is of DuckDB's hash, which is good enough here
_FACES = """
WITH faces AS (
    SELECT v.*, unnest(range(faces)) * 3 AS frame FROM videos v
), named AS (
    SELECT *, format('{}/{:06d}-0', video_id, frame) AS key FROM faces
), identified AS (
    SELECT *, format('{}/{}/{}', recipe_hash[:8], content[:8], key) AS sample_id FROM named
), drawn AS (
    SELECT *, (('0x' || sha256(sample_id)[:16])::UBIGINT >> 1)::BIGINT AS draw_key, hash(key) AS noise FROM identified
)
SELECT sample_id, key, video_id, recipe_hash, content, frame AS frame_index, frame / 25 AS time_s, 0 AS track, draw_key,
       (noise % 300)::REAL AS box_x, (noise >> 8) % 200 AS box_y, 80 + (noise >> 16) % 120 AS box_w,
       80 + (noise >> 24) % 120 AS box_h, 80 + (noise >> 32) % 120 AS face_px, (noise % 1000) / 1000 AS det_score,
       (noise % 997) / 10 AS sharpness, (noise >> 20) % 255 AS brightness, ((noise >> 10) % 600) / 10 - 30 AS yaw,
       ((noise >> 30) % 400) / 10 - 20 AS pitch, ((noise >> 40) % 200) / 10 - 10 AS roll, 'dlib68' AS landmark_scheme,
       'png' AS image_ext, ? AS shard, noise AS image_xxh3, xor(noise, 1::UBIGINT) AS json_xxh3
FROM drawn ORDER BY sample_id
"""


def _with_bytes(samples: pa.Table) -> pa.Table:
    """With the places of members: image and JSON one after the other, in blocks of 512 bytes as a tar has them."""
    noise = samples["image_xxh3"].to_numpy()
    image = (FACE_BYTES + noise % 20_000 - 10_000).astype(np.int32)
    block = 512 + (image + 511) // 512 * 512
    start = np.concatenate([[0], np.cumsum(block + 2048)])[:-1]
    places = {"image_offset": start + 512, "image_size": image, "json_offset": start + block + 512}
    places |= {"json_size": np.full(len(image), 900, np.int32)}
    for column, values in places.items():
        samples = samples.append_column(column, pa.array(values))
    for field in schema.SAMPLES:
        if field.name not in samples.column_names:
            samples = samples.append_column(field, pa.nulls(len(samples), field.type))
    return samples.select(schema.SAMPLES.names).cast(schema.SAMPLES)
