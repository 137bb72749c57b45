"""The faces that the streaming benchmark reads: real ones out of clips, varied until there are enough, in real shards.

Curation finds about a thousand faces in the clips. Each face of the set is one of them, mirrored or not, shifted by
whole pixels and with other brightness and contrast: its bytes occur once, and noise, size and cost of decoding stay
those of a face from a video. Parts, shards, catalog and pinned splits are made by the code that makes a user's. A set
is made once and kept under a name of what it consists of.
"""

import dataclasses
import hashlib
import json
import multiprocessing
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DESCRIPTION = """
dataset: benchmark
licence: none
redistributable: false
kind: videos
rules:
  - {match: "*", label: real, method: original}
exclude: ["*.csv", "*.md", "*.txt"]
"""
SIZE = 256
PER_VIDEO = 32
SAMPLING = "evenly 48"
PARTS = {"1": 0.01, "10": 0.1, "100": 1.0}  # the splits: percent, share
_VERSION = 1  # of what follows; raised when other faces would come out


@dataclass(frozen=True)
class Faces:
    """A set of faces in one codec, as every side of the benchmark sees it, in whatever environment it runs.

    ``folder`` holds ``store/`` and ``faces.parquet``: key, label, shard, offset, size and the XXH3 of the pixels
    (uint8 [256,256,3], RGB), decoded by OpenCV when the set was made. A face's number is its row there.
    """

    folder: Path
    codec: str

    @cached_property
    def table(self) -> pa.Table:
        return pq.read_table(self.folder / "faces.parquet")

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def keys(self) -> list[str]:
        return self.table["key"].to_pylist()

    @cached_property
    def pixel_hashes(self) -> np.ndarray:
        return self.table["pixels"].to_numpy()

    @property
    def tars(self) -> list[Path]:
        return sorted((self.folder / "store" / "shards").glob("*.tar"))

    def manifest(self, part: str) -> Path:
        return next((self.folder / "store" / "splits").glob(f"part{part}@*.arrow"))

    def part(self, part: str) -> np.ndarray:
        """Numbers of the faces of a split, rising: int64."""
        ids = pa.ipc.open_file(pa.memory_map(str(self.manifest(part)))).read_all()["sample_id"]
        number = {sample: i for i, sample in enumerate(self.table["sample_id"].to_pylist())}
        return np.array([number[sample] for sample in ids.to_pylist()], np.int64)

    @cached_property
    def _places(self) -> list[list]:
        return [self.table[name].to_pylist() for name in ("shard", "offset", "size")]

    def encoded(self, numbers: np.ndarray):
        """The files of these faces, one after the other: bytes."""
        shards, offsets, sizes = self._places
        opened = {}
        for number in numbers.tolist():
            name = shards[number]
            if name not in opened:
                opened = {name: open(self.folder / "store" / "shards" / f"{name}.tar", "rb")}  # noqa: SIM115
            opened[name].seek(offsets[number])
            yield opened[name].read(sizes[number])


def make_faces(clips: Path, cache: Path, codec: str, count: int, shards: int, processes: int) -> Faces:
    """The set, from the cache or made now."""
    seeds = seed_faces(clips, cache)
    recipe = {"codec": codec, "count": count, "shards": shards, "seeds": seeds.name, "version": _VERSION}
    name = f"{codec}-{count}-{hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]}"
    faces = Faces(cache / name, codec)
    if not (faces.folder / "faces.parquet").exists():
        print(f"making {count} faces as {codec} in {shards} shards", flush=True)
        _make(faces, seeds, count, shards, processes)
    return faces


def seed_faces(clips: Path, cache: Path) -> Path:
    """A store with the faces of the clips, curated now if it is not there."""
    from curation.recipe import load
    from curation.run import curate
    from curation.sources import open_source, write_source
    from queries.ingest import ingest_source

    listed = sorted((path.name, path.stat().st_size) for path in clips.iterdir())
    folder = cache / f"clips-{hashlib.sha256(repr(listed).encode()).hexdigest()[:8]}"
    if not (folder / "done").exists():
        print(f"curating {clips}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "benchmark.yaml").write_text(DESCRIPTION)
        source = write_source(open_source("folder", clips, config=folder / "benchmark.yaml"), folder / "store")
        ingest_source(folder / "catalog.duckdb", source)
        curate(folder / "catalog.duckdb", folder / "store", load("default", aligner="dlib", sampling=SAMPLING))
        (folder / "done").touch()
    return folder


def _make(faces: Faces, seeds: Path, count: int, shards: int, processes: int) -> None:
    from queries.ingest import rebuild
    from queries.pin import pin

    store = faces.folder / "store"
    (store / "parts").mkdir(parents=True, exist_ok=True)
    recipe = _recipe(seeds, faces.codec)
    (store / "recipes").mkdir(exist_ok=True)
    record = {"name": recipe.name, "hash": recipe.hash, "recipe": recipe.settings}
    (store / "recipes" / f"{recipe.hash[:16]}.json").write_text(json.dumps(record))
    videos = [(start, min(start + PER_VIDEO, count)) for start in range(0, count, PER_VIDEO)]
    shares = np.array_split(np.arange(len(videos)), shards)
    tasks = [(faces, seeds, pack, [videos[i] for i in share.tolist()]) for pack, share in enumerate(shares)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        hashes = dict(pair for pairs in pool.imap_unordered(_make_pack, tasks) for pair in pairs)
    rows = pa.concat_tables(
        pq.read_table(path, columns=["sample_id", "key", "shard", "image_offset", "image_size"])
        for path in sorted((store / "shards").glob("*.parquet"))
        if not path.name.endswith(".videos.parquet")
    )
    table = rows.rename_columns(["sample_id", "key", "shard", "offset", "size"])
    table = table.append_column("pixels", pa.array([hashes[key] for key in table["key"].to_pylist()], pa.uint64()))
    rebuild(faces.folder / "catalog.duckdb", store)
    for part, share in PARTS.items():
        query = faces.folder / f"part{part}.sql"
        query.write_text(
            f"-- {part} percent of the faces, drawn from all videos\n"
            f"SELECT sample_id FROM faces ORDER BY draw_key, sample_id LIMIT {max(1, round(share * count))}\n"
        )
        pin(faces.folder / "catalog.duckdb", store, query)
    pq.write_table(table, faces.folder / "faces.parquet")


def _recipe(seeds: Path, codec: str):
    from curation.recipe import from_record

    record = json.loads(next((seeds / "store" / "recipes").glob("*.json")).read_text())
    return dataclasses.replace(from_record(record), codec=codec, name=f"benchmark-{codec}")


def _make_pack(task: tuple[Faces, Path, int, list[tuple[int, int]]]) -> list[tuple[str, int]]:
    """One shard; the keys of its faces and the hashes of their pixels."""
    import cv2

    from shards import schema
    from shards.pack import pack, remove_parts
    from shards.part import PartWriter

    cv2.setNumThreads(1)
    faces, seeds, number, videos = task
    store = faces.folder / "store"
    recipe = _recipe(seeds, faces.codec)
    images, rows, facts, masks, attempts = _seeds(seeds)
    hashes, parts = [], []
    for start, stop in videos:
        fake = start // PER_VIDEO % 2
        name, method = f"{start:08d}", "Deepfakes" if fake else "original"
        video = {field: attempts[start % len(attempts)][field] for field in schema.VIDEOS.names}
        attempt = {f.name: attempts[start % len(attempts)][f.name] for f in schema.ATTEMPT_FIELDS}
        video |= {"video_id": schema.video_id("benchmark", method, "native", name), "name": name, "method": method}
        video |= {"label": fake, "category": "swap" if fake else "real", "raw_label": "fake" if fake else "real"}
        content = hashlib.sha256(name.encode()).hexdigest()
        attempt |= {"recipe_hash": recipe.hash, "content": content, "faces": stop - start, "status": "done"}
        part = store / "parts" / f"{name}.part"
        parts.append(part)
        with PartWriter(part, video) as writer:
            for frame, face in enumerate(range(start, stop)):
                data, pixels_hash, seed = _vary(face, images, recipe)
                row = {**rows[seed], "frame_index": frame, "recipe_hash": recipe.hash, "content": content}
                row["image_ext"] = faces.codec
                key = schema.sample_key(video["video_id"], frame, row["track"])
                about = {**facts[seed], **{name: video[name] for name in ("method", "label", "category", "raw_label")}}
                about |= {"sample_id": schema.sample_id(recipe.hash, content, key), "key": key, "frame_index": frame}
                about |= {"video_id": video["video_id"], "recipe_hash": recipe.hash, "content": content}
                about |= {"image_ext": faces.codec}
                members = {faces.codec: data, "json": json.dumps(about, sort_keys=True, separators=(",", ":")).encode()}
                writer.add(row, members | {"mask.png": masks[seed]})
                hashes.append((key, pixels_hash))
            writer.finish(attempt)
    remove_parts(parts, pack(parts, store / "shards", f"benchmark-{number:06d}"))
    return hashes


def _vary(face: int, images: list[np.ndarray], recipe) -> tuple[bytes, int, int]:
    """A face: its file, the hash of the pixels that OpenCV decodes from it, and which seed it comes from."""
    import cv2
    import xxhash

    from curation.video import encode_image

    rng = np.random.default_rng([_VERSION, face])
    seed = int(rng.integers(len(images)))
    image = images[seed]
    if rng.integers(2):
        image = image[:, ::-1]
    image = np.roll(image, tuple(rng.integers(-12, 13, 2)), (0, 1))
    levels = np.clip((np.arange(256) - 128) * rng.uniform(0.9, 1.1) + 128 + rng.uniform(-12, 12), 0, 255)
    image = cv2.LUT(np.ascontiguousarray(image), levels.round().astype(np.uint8))
    data = encode_image(image, recipe)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return data, xxhash.xxh3_64_intdigest(pixels), seed


@cache
def _seeds(folder: Path):
    """Of each face of the clips: pixels, the row and the JSON, and the empty mask; the rows of the clips with faces."""
    import cv2

    from shards import schema

    shards = folder / "store" / "shards"
    images, rows, facts, masks, attempts = [], [], [], [], []
    placed = {"shard", "key", "sample_id", "draw_key", "video_id"}
    given = [n for n in schema.SAMPLES.names if n not in placed and not n.endswith(("_offset", "_size", "_xxh3"))]
    for path in sorted(shards.glob("*.videos.parquet")):
        attempts += [row for row in pq.read_table(path).to_pylist() if row["faces"]]
        tar = (shards / path.name.replace(".videos.parquet", ".tar")).read_bytes()
        for row in pq.read_table(shards / path.name.replace(".videos", "")).to_pylist():
            image, about, mask = (
                tar[row[f"{m}_offset"] : row[f"{m}_offset"] + row[f"{m}_size"]] for m in ("image", "json", "mask")
            )
            images.append(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR_RGB))
            rows.append({name: row[name] for name in given})
            facts.append(json.loads(about))
            masks.append(mask)
    return images, rows, facts, masks, attempts
