"""What the driver of a curation gets done beside its workers: handing out, packing, and telling the catalog.

tasks     tasks per second that the driver hands out and settles when there is nothing to do, per engine; for ray also
          its own CPU per task, and parts per second when each worker leaves a file of 2.6 MB to be brought.
packing   parts into shards, with the checksums of all members: MB and videos per second.
ingest    400 packs of 3,200 faces into an empty catalog: faces per second, and the longest time that the catalog was
          held for writing.

Parts and packs are fabricated: what is measured does not look at pixels. The last line is one JSON object.

    python benchmarks/driver.py [--tasks N] [--packs N] [--workers N] [--folder FOLDER]
"""

import argparse
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from curation.engines import Carried, Limits, open_engine  # noqa: E402
from queries import ingest  # noqa: E402
from shards import durable  # noqa: E402
from shards.pack import pack  # noqa: E402
from shards.part import PartWriter  # noqa: E402
from tests.fabricate import attempt_row, sample_row, video_row  # noqa: E402

FACES = 32  # of a video
FACE_BYTES = 80_000
PACK_VIDEOS = 100
PART_BYTES = FACES * FACE_BYTES


def start_idle():
    return lambda task, beat: ("attempt", {"video_id": task, "missing": []})


def start_carrying():
    def work(task, beat):
        file = Path(tempfile.mkdtemp(), "part")
        file.write_bytes(bytes(PART_BYTES))
        return Carried("done", str(file), task)

    return work


def hand_out(engine: str, start: Any, tasks: list, workers: int) -> dict[str, float]:
    """Tasks per second after the first one, whose worker had to start, and the driver's CPU seconds per task."""
    outcomes = open_engine(engine)(start, (), tasks, workers, Limits(), lambda outcome: None)
    for _ in range(workers):
        next(outcomes)
    began, cpu = time.perf_counter(), time.process_time()
    count = sum(outcome.kind == "done" for outcome in outcomes)
    took = time.perf_counter() - began
    return {"per_s": round(count / took, 1), "cpu_ms": round((time.process_time() - cpu) / count * 1e3, 3)}


def write_part(path: Path, number: int, face_bytes: int, faces: int = FACES) -> Path:
    video = video_row(f"{number:06d}")
    content = hashlib.sha256(video["video_id"].encode()).hexdigest()
    with PartWriter(path, video) as writer:
        for frame in range(faces):
            writer.add(sample_row(frame, content), {"png": os.urandom(face_bytes), "json": b'{"a":1}'})
        return writer.finish(attempt_row(faces, content))


def packing(folder: Path) -> dict[str, float]:
    parts = [write_part(folder / f"{number}.part", number, FACE_BYTES) for number in range(PACK_VIDEOS)]
    began = time.perf_counter()
    packed = pack(parts, folder / "shards", "bench-000000")
    took = time.perf_counter() - began
    for file in (*parts, *(folder / "shards").iterdir()):
        file.unlink()
    return {"mb_per_s": round(packed.byte_count / took / 1e6, 1), "videos_per_s": round(PACK_VIDEOS / took, 1)}


def ingesting(folder: Path, packs: int) -> dict[str, float]:
    fsync, durable.fsync = durable.fsync, lambda file: None  # only while packs are made up
    for number in range(packs):
        first = number * PACK_VIDEOS
        parts = [write_part(folder / f"{i}.part", first + i, 16) for i in range(PACK_VIDEOS)]
        pack(parts, folder / "shards", f"bench-{number:06d}")
    durable.fsync = fsync
    for part in folder.glob("*.part"):
        part.unlink()
    held, connect = [], ingest.connect_write

    @contextmanager
    def timed(catalog):
        began = time.perf_counter()
        with connect(catalog) as db:
            yield db
        held.append(time.perf_counter() - began)

    ingest.connect_write = timed
    began = time.perf_counter()
    report = ingest.ingest_store(folder / "catalog.duckdb", folder)
    took = time.perf_counter() - began
    return {
        "packs": report.packs,
        "faces": report.samples,
        "faces_per_s": round(report.samples / took),
        "videos_per_s": round(report.videos / took),
        "longest_transaction_s": round(max(held), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--packs", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where packs are written (default: a temporary folder)")
    args = parser.parse_args()
    told: dict[str, Any] = {"cpus": len(os.sched_getaffinity(0)), "workers": args.workers}
    tasks = [f"ffpp/original/c23/{number:06d}" for number in range(args.tasks)]

    def say(what: str, figures: dict[str, float]) -> None:
        told[what] = figures
        print(f"{what}: " + ", ".join(f"{name} {value:,}" for name, value in figures.items()), flush=True)

    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        say("local", hand_out("local", start_idle, tasks, args.workers))
        if importlib.util.find_spec("ray"):
            say("ray", hand_out("ray", start_idle, tasks, args.workers))
            targets = [str(folder / f"{number}.part") for number in range(args.tasks // 5)]
            say("ray_parts", hand_out("ray", start_carrying, targets, args.workers))
            for target in targets:
                Path(target).unlink()
        say("packing", packing(folder))
        say("ingest", ingesting(folder, args.packs))
    print(json.dumps(told))


if __name__ == "__main__":
    import driver  # workers find the functions above by this name

    driver.main()
