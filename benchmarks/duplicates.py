"""What looking for duplicates costs at a million faces and finds there, and what its lints cost at ten million.

hash     CPU of one perceptual hash of a 256 x 256 crop, decoding apart.
index    125,000 videos with 8 faces each. Each video is a smooth random picture on top of one that all share, hashed as
         faces are, so that strangers differ in as many bits as real ones do (0.40 to 0.44 in the median); each face
         is its video's hash with 3 % of the bits changed. To one video in fifty there is a copy, in which a share of
         the bits that grows from 2 to 16 % is changed as well. Found again and found falsely is counted by video, the
         time is that from a filled catalog to the groups.
lints    the two lints and two checks of duplicates on a split of 10 million faces of 100,000 videos (half of them on
         each side for the checks), with one video in ten in a group, in DuckDB with 2 threads.

The last line of the output is one JSON object.

    python benchmarks/duplicates.py [--videos 125000] [--rows 10000000]
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pyarrow as pa

from queries.catalog import connect_write, create, script
from queries.duplicates import FACES, HASH_BYTES, duplicates
from shards.features import PHASH
from shards.phash import perceptual_hash

QUERIES = Path(__file__).parents[1] / "queries"
BITS = 8 * HASH_BYTES
SIDE, BLOCK, SIGMA = 48, 2, 2.25  # of shards/phash.py
COPIES = 50  # one video in so many has a copy
LEAST, MOST = 0.02, 0.16  # bits of a copy's face that are others
MOVED = 0.03  # bits of a face that are others than its video's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=125_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    args = parser.parse_args()
    found = {"hash_ms": round(hash_cost(), 3)} | index(args.videos) | lints(args.rows)
    print(json.dumps(found))


def hash_cost(count: int = 300) -> float:
    """Milliseconds of CPU."""
    crop = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    start = time.process_time()
    for _ in range(count):
        perceptual_hash(crop)
    return (time.process_time() - start) / count * 1000


def index(videos: int) -> dict[str, float]:
    noise = np.random.default_rng(1)
    base = pictures(videos, noise)
    sources = np.arange(0, videos, COPIES)
    shares = np.linspace(LEAST, MOST, len(sources))
    faces = np.repeat(base, FACES, axis=0)
    faces ^= changes(len(faces), np.full(len(faces), MOVED), noise)
    copies = np.repeat(base[sources], FACES, axis=0)
    copies ^= changes(len(copies), np.repeat(shares, FACES), noise)
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog.duckdb"
        fill(catalog, np.concatenate([faces, copies]))
        del faces, copies
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, cpu = time.perf_counter(), time.process_time()
        found = duplicates(catalog)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    matches = {
        tuple(int(video.rpartition("/")[2]) for video in (match.one, match.other))
        for group in found.groups
        for match in group.matches
    }
    planted = dict(zip(zip(sources.tolist(), range(videos, videos + len(sources)), strict=True), shares, strict=True))
    strangers = np.bitwise_count(base[: videos // 2] ^ base[-(videos // 2) :]).sum(axis=1) / BITS
    print(f"strangers differ in {np.median(strangers):.3f} of the bits, at least {strangers.min():.3f}")
    for low in (0.02, 0.06, 0.10, 0.14):
        band = [pair in matches for pair, share in planted.items() if low <= share < low + 0.04]
        print(f"copies with {low:.0%} to {min(MOST, low + 0.04):.0%} of the bits changed: {np.mean(band):.1%} found")
    return {
        "faces": found.faces,
        "cpu_s": round(cpu, 1),
        "wall_s": round(wall, 1),
        "peak_mb": max(before, after) // 1024,
        "compared_per_face": round(found.compared / found.faces, 1),
        "found": round(float(np.mean([pair in matches for pair in planted])), 4),
        "false_pairs": len(matches - planted.keys()),
    }


def fill(catalog: Path, hashes: np.ndarray) -> None:
    """A catalog of real videos with ``FACES`` hashed faces each, 1,000 videos a shard; the rest is blank."""
    values = pa.table({"i": np.arange(len(hashes)), "value": pa.array([row.tobytes() for row in hashes], pa.binary())})
    video = "format('d/m/c23/{:06d}', i)"
    sample = f"format('recipe/content/d/m/c23/{{:06d}}/{{:06d}}-0', i // {FACES}, i)"
    shard = f"format('s{{}}', i // {1000 * FACES})"
    count = len(hashes) // FACES
    create(catalog)
    with connect_write(catalog) as db:
        db.register("hashed", values)
        db.execute(
            f"""
            INSERT INTO shards BY NAME SELECT format('s{{}}', i) AS shard, 'r' AS recipe_hash, 1000 AS videos,
                {1000 * FACES} AS samples, 0 AS tar_end, 'there' AS tar, '' AS files
                FROM range({count // 1000 + 1}) _(i);
            INSERT INTO videos BY NAME SELECT {video} AS video_id, 'd' AS dataset, 'm' AS method, 'real' AS category,
                'c23' AS quality, i::VARCHAR AS name, 0 AS label, 'video' AS kind, false AS aligned, 'd' AS source,
                '' AS path, true AS in_scan FROM range({count}) _(i);
            INSERT INTO attempts BY NAME SELECT {video} AS video_id, 'r' AS recipe_hash, sha256(i::VARCHAR) AS content,
                'done' AS status, format('s{{}}', i // 1000) AS pack, i AS attempt, true AS current
                FROM range({count}) _(i);
            INSERT INTO current_attempts FROM joined_attempts;
            INSERT INTO sample_rows BY NAME SELECT i // {FACES} AS attempt, {sample} AS sample_id,
                i % {FACES} AS frame_index, 0 AS track, i AS draw_key, 'png' AS image_ext, 0 AS image_offset,
                0 AS image_size, 0 AS image_xxh3, 0 AS json_offset, 0 AS json_size, 0 AS json_xxh3
                FROM range({len(hashes)}) _(i);
            INSERT INTO features BY NAME SELECT {sample} AS sample_id, 'phash' AS kind, {PHASH.version} AS version,
                value, format('features/{{}}-phash-v{PHASH.version}.parquet', {shard}) AS file FROM hashed;
            """
        )


def pictures(count: int, noise: np.random.Generator) -> np.ndarray:
    """Hashes, uint8 [count,72], of random smooth pictures that share a part."""
    shared = cv2.GaussianBlur(noise.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 1.5)
    made = []
    for start in range(0, count, 5000):
        own = noise.normal(size=(min(5000, count - start), SIDE, SIDE)).astype(np.float32)
        smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in own]) + 0.65 * shared
        rest = smooth - np.stack([cv2.GaussianBlur(one, (0, 0), SIGMA) for one in smooth])
        blocks = rest.reshape(len(own), SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).mean(axis=(2, 4))
        made.append(np.packbits(blocks.reshape(len(own), BITS) > 0, axis=1))
    return np.concatenate(made)


def changes(count: int, shares: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """uint8 [count,72] with about ``shares`` of the bits set."""
    return np.concatenate(
        [
            np.packbits(noise.random((len(part), BITS), np.float32) < part[:, None], axis=1)
            for part in np.array_split(shares, max(1, count // 50_000))
        ]
    )


def lints(rows: int, videos: int = 100_000) -> dict[str, float]:
    """Seconds of wall time of each rule."""
    with duckdb.connect(config={"threads": 2}) as db:
        db.execute(script("schema"))
        for name in ("views", "macros"):
            db.execute(script(name))
        name = "format('dataset/method/c23/{:06d}', i)"
        db.execute(
            f"INSERT INTO duplicate_groups SELECT {name}, sha256(i::VARCHAR), "
            f"CASE WHEN i % 20 = 1 THEN format('dataset/method/c23/{{:06d}}', i - 1) ELSE {name} END one, one, 8, '' "
            f"FROM range({videos}) _(i)"
        )
        db.execute(
            f"CREATE TEMP TABLE picked AS SELECT video_id, content FROM duplicate_groups, range({rows // videos}) "
            "ORDER BY video_id"
        )
        db.execute(
            """
            CREATE TEMP TABLE side_videos AS
            SELECT (row_number() OVER (ORDER BY video_id) % 2)::INTEGER AS place, 'side' || place AS side, video_id,
                   content, true AS known, NULL::VARCHAR AS original_video
            FROM duplicate_groups
            """
        )
        seconds = {}
        for folder, rule in (
            ("lints", "near_duplicate_videos"),
            ("lints", "near_duplicates_unknown"),
            ("checks", "near_duplicates"),
            ("checks", "near_duplicates_unknown"),
        ):
            text = (QUERIES / folder / f"{rule}.sql").read_text(encoding="utf-8")
            start = time.perf_counter()
            found = db.execute(text).fetchall()
            seconds[f"{folder[:-1]}_{rule}_s"] = round(time.perf_counter() - start, 2)
            print(f"{folder}/{rule}: {[row[-2] for row in found]} found")
    return seconds


if __name__ == "__main__":
    main()
