"""A whole curation stopped at the n-th change of the disk, in children of one process; and one that others may kill.

usage: python -m tests.curation.stopping FOLDER [EVERY]. FOLDER holds ``videos`` and ``small.yaml``. With EVERY each
EVERY-th change of the disk is tried: every trial is stopped twice, then left to end, and a line of JSON says what
became of it. Without, a curation with two real workers runs in FOLDER/place.
"""

import json
import os
import random
import signal
import sys
from pathlib import Path

import cv2

import curation.frames.decord_clip
import curation.frames.pyav_clip
import curation.plan
import curation.run
import curation.video
from curation.engines import Outcome
from curation.faces import opening
from curation.recipe import Recipe
from curation.sources import open_source, write_source
from queries.catalog import connect_read
from queries.ingest import ingest_source
from shards.part import read_part
from shards.verify import verify_store
from tests.shards.test_durable import kill, stop_at

RECIPE = Recipe("test", sampling="evenly 3", aligner="dlib", margin=0.1, size=32)


def place_of(folder: Path) -> tuple[Path, Path]:
    return folder / "catalog.duckdb", folder / "store"


def curate(folder: Path, workers: int = 1) -> None:
    catalog, store = place_of(folder)
    if not catalog.exists():
        root = folder.parent
        source = open_source("folder", root / "videos", config=root / "small.yaml")
        ingest_source(catalog, write_source(source, store))
    curation.run.curate(catalog, store, RECIPE, workers=workers)


def here(start, arguments, tasks, workers, limits, retry):
    """An engine without processes of its own: whoever stops the run stops the worker."""
    work = start(*arguments)
    for task in tasks:
        yield Outcome(task, "done", work(task, lambda: None))


def in_child(work) -> int:
    """Runs work in a child of this process; returns how it ended: 0, or the number of the signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            sys.stdout.flush()
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def finished(folder: Path) -> set[str]:
    """The videos that have a part or are in a pack."""
    import pyarrow.parquet as pq

    store = folder / "store"
    videos = {read_part(path).video_row()["video_id"] for path in store.glob("parts/*/*.part")}
    for mark in store.glob("shards/*.videos.parquet"):
        videos |= set(pq.read_table(mark, columns=["video_id"])["video_id"].to_pylist())
    return videos


def state(folder: Path) -> dict:
    """All that a run leaves: shards byte by byte, the catalog's rows, what lies about in the folder of parts."""
    import hashlib

    catalog, store = place_of(folder)
    with connect_read(catalog) as db:
        attempts = db.execute("SELECT * EXCLUDE (attempted_at, attempt) FROM attempts ORDER BY ALL").fetchall()
        faces = db.execute('SELECT sample_id, shard, "offset", size FROM faces ORDER BY ALL').fetchall()
    return {
        "tars": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in store.glob("shards/*.tar")},
        "files": sorted(path.name for path in store.glob("shards/*")),
        "attempts": repr(attempts),
        "faces": repr(faces),
        "left": sorted(str(path) for path in store.glob("parts/*") if path.name != "lock"),
        "findings": [finding.message for finding in verify_store(store / "shards")],
    }


def in_child_told(folder: Path, work) -> dict:
    """What work returns, told through a file: the parent opens neither DuckDB nor Arrow, whose threads do not fork."""
    told = folder.with_suffix(".json")
    ended = in_child(lambda: told.write_text(json.dumps(work())))
    assert ended == 0, f"a run in {folder} ended with {ended}"
    return json.loads(told.read_text())


def trial(folder: Path, n: int) -> dict:
    """Stopped at the n-th change, again at a later one, then to the end. ``redone``: finished videos done once more."""
    again, chance = [], random.Random(n)
    stops = []
    for at in (n, chance.randrange(1, 60)):
        stops.append(in_child(lambda at=at: (stop_at(at, kill), curate(folder))))
        done = in_child_told(folder, lambda: sorted(finished(folder)))
        again.append(done)

    def to_the_end() -> dict:
        tried = []
        real = curation.run.curate_video
        curation.run.curate_video = lambda task, *rest: tried.append(task.video["video_id"]) or real(task, *rest)
        curate(folder)
        return {"redone": sorted(set(tried) & set(again[-1])), **state(folder)}

    lost = sorted(set(again[0]) - set(again[1]))
    return {"n": n, "stops": stops, "lost": lost, **in_child_told(folder, to_the_end)}


def main(root: Path, every: int) -> None:
    cv2.setNumThreads(1)
    opened = opening.open_backend("dlib")
    opened.weights()
    opening.backend_of = lambda recipe, device=None: opened  # loaded once, not in every child
    curation.run.open_engine = lambda name: here
    folder = root / "whole"
    folder.mkdir()
    print(json.dumps(in_child_told(folder, lambda: curate(folder) or {"redone": [], **state(folder)})), flush=True)
    for n in range(1, 10_000, every):
        folder = root / f"stopped{n}"
        folder.mkdir()
        told = trial(folder, n)
        print(json.dumps(told), flush=True)
        if told["stops"][0] != signal.SIGKILL:
            break


if __name__ == "__main__":
    curation.plan.SHARD_BYTES = 20_000  # two videos in a pack
    curation.run.PLAN_VIDEOS = 3
    if len(sys.argv) > 2:
        main(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        curate(Path(sys.argv[1], "place"), workers=2)
