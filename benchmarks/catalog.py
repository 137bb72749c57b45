"""What the catalog costs with ten million faces: taking them in, pinning every shipped split, linting it.

ingest    packs of shards into an empty catalog: rows per second, and the longest that it was held for writing.
splits    every shipped split, the file as it is, by `pin` in a process of its own, without its imports; the catalog's
          pages are dropped from memory before. ``split_s``: the sandbox's process, the draw, the manifest and its hash,
          written and ingested; ``lint_s``: all lints. Peak memory is the larger one of both processes.
check     `split check` of a training and a test set.
usual     one of these splits, ffpp/f2f_train, as people do it today: pandas over the same sidecars, filtered, sampled.

Found by EXPLAIN ANALYZE and mended: `x % 100` of a video's id was computed for each of its faces (splits now ask it
of videos, in a subquery); `draw` was computed and planned wherever a macro mentions it; a used split was planned
three times and joined anew at each mention, waited for others that it does not use, and was looked up among all faces
where only its ids are asked for; `faces` joined six tables where two are enough; the first to write after the ingest
joined its row groups (12 s, 2.3 GB). What did not help: a temporary table of all current attempts (0.5 s of processor
time, as much as ten joins of what is needed of them; the catalog keeps one now), keeping a used split's ids and
videos apart from its other columns (DuckDB 2.0 leaves out no join because nobody asks for its columns), and more than
two used splits at once.

Splits that must be told something get it (PARAMS). The last line of the output is one JSON object.

    python benchmarks/catalog.py [--faces N] [--videos N] [--folder FOLDER] [--match TEXT] [--without-usual]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import pyarrow as pa  # noqa: E402

from benchmarks.catalog_store import make_store  # noqa: E402
from queries import ingest, lints  # noqa: E402
from queries import pin as pinning  # noqa: E402
from queries.check import check  # noqa: E402

_SOURCE = {"source_dataset": "ffpp", "source_method": "Deepfakes", "source_quality": "c23"}
_TARGET = {"target_dataset": "celebdf-v2", "target_method": "Celeb-synthesis", "target_quality": "native"}
PARAMS = {
    "paper4/edited.sql": {"dataset": "attribute", "method": "StarGAN"},
    "paper3/source_test_image.sql": _SOURCE,
    "paper3/source_test_video.sql": _SOURCE,
    "paper3/target_test_image.sql": _TARGET,
    "paper3/target_test_video.sql": _TARGET,
    "paper3/domains_train.sql": _SOURCE | _TARGET,
    "paper5/sets_train.sql": {"sets": "dfd,ffhq"},
    "paper5/sets_test.sql": {"sets": "dfd,ffhq"},
}
CHECKED = ("ffpp/f2f_train.sql", "paper1/fs_i.sql")


def shipped() -> list[str]:
    """Every split in `queries`, by its path there."""
    files = (path.relative_to(ROOT / "queries") for path in (ROOT / "queries").glob("*/*.sql"))
    return sorted(path.as_posix() for path in files if path.parts[0] not in ("lints", "checks"))


def take_in(catalog: Path, store: Path) -> dict[str, float]:
    held: list[float] = []
    connect = ingest.connect_write

    @contextmanager
    def timed(*arguments, **options):
        began = time.perf_counter()
        with connect(*arguments, **options) as db:
            yield db
        held.append(time.perf_counter() - began)

    ingest.connect_write = timed
    began = time.perf_counter()
    report = ingest.ingest_store(catalog, store)
    took = time.perf_counter() - began
    ingest.connect_write = connect
    if report.problems:
        raise SystemExit(f"the store is not what it should be: {report.problems[0]}")
    return {"rows": report.samples, "ingest_rows_s": report.samples / took, "transaction_s": max(held)}


def pin_one(catalog: Path, store: Path, file: str) -> dict[str, Any]:
    """In this process: seconds of a pin without its lints, and of these; ``cpu_s``: processor time of the former."""
    linting, lint_cpu = [], []

    def timed(function):
        def call(db):
            began, cpu = time.perf_counter(), _cpu()
            try:
                return function(db)
            finally:
                linting.append(time.perf_counter() - began)
                lint_cpu.append(_cpu() - cpu)

        return call

    lints.run, pinning.describe = timed(lints.run), timed(pinning.describe)
    pa.scalar(0)  # at its first scalar pyarrow imports pandas
    began, cpu = time.perf_counter(), _cpu()
    pinned = pinning.pin(catalog, store, ROOT / "queries" / file, params=PARAMS.get(file, {}))
    took = time.perf_counter() - began
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "rows": pinned.rows,
        "split_s": took - sum(linting),
        "cpu_s": _cpu() - cpu - sum(lint_cpu),
        "lint_s": sum(linting),
        "peak_mb": max(peaks),
        "path": str(pinned.path),
    }


def _cpu() -> float:
    """Seconds that this process and its finished children computed; other work on the machine changes them less."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def pandas_split(store: Path) -> dict[str, Any]:
    """In this process: 8,000 real and 8,000 fake faces of Face2Face's training side, up to 16 of a video."""
    import pandas

    began = time.perf_counter()
    faces = pandas.concat(
        pandas.read_parquet(path, columns=["sample_id", "video_id", "frame_index"])
        for path in sorted((store / "shards").glob("*.parquet"))
        if not path.name.endswith(".videos.parquet")
    )
    videos = pandas.concat(
        pandas.read_parquet(path, columns=["video_id", "dataset", "method", "quality", "official_split", "label"])
        for path in sorted((store / "shards").glob("*.videos.parquet"))
    )
    side = videos.query("dataset == 'ffpp' and quality == 'c23' and official_split == 'train'")
    chosen = faces.merge(side[side.method.isin(["Face2Face", "original"])], on="video_id")
    frames = chosen.groupby("video_id").sample(n=16, random_state=1)
    drawn = frames.groupby("label").sample(n=8000, random_state=1)
    took = time.perf_counter() - began
    return {"rows": len(drawn), "s": took, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def forget(path: Path) -> None:
    """Drop a file's pages from memory, so that who opens it next reads the disk."""
    os.sync()  # what others have written is not to be waited for later
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def in_process(*words: Any) -> dict[str, Any]:
    """What this program says when it is called with ``words``."""
    command = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: Path, faces: int, videos: int, match: str, usual: bool) -> dict[str, Any]:
    store, catalog = folder / "store", folder / "catalog.duckdb"
    if not store.exists():
        print(f"a store of {faces:,} faces in {videos:,} videos", flush=True)
        in_process("--make", store, faces, videos)  # this process stays small: those that it starts begin with its size
    catalog.unlink(missing_ok=True)
    found: dict[str, Any] = in_process("--ingest", store, catalog)
    print(
        f"ingest {found['ingest_rows_s']:,.0f} rows/s, longest transaction {found['transaction_s']:.2f} s, peak "
        f"{found['peak_mb']:,.0f} MiB; the catalog has {catalog.stat().st_size / 2**20:,.0f} MiB",
        flush=True,
    )
    splits = {}
    for file in shipped():
        if match in file:
            forget(catalog)
            splits[file] = one = in_process("--pin", store, catalog, file)
            print(
                f"{file:42} {one['rows']:9,} faces {one['split_s']:6.2f} s ({one['cpu_s']:.2f} CPU) "
                f"{one['lint_s']:6.2f} s lints "
                f"{one['peak_mb']:6,.0f} MiB",
                flush=True,
            )
    slowest = max(splits, key=lambda file: splits[file]["split_s"])
    found |= {
        "split_s": splits[slowest]["split_s"],
        "slowest": slowest,
        "slowest_rows": splits[slowest]["rows"],
        "lint_s": max(one["lint_s"] for one in splits.values()),
        "peak_mb": max(found["peak_mb"], *(one["peak_mb"] for one in splits.values())),
    }
    if splits.keys() >= set(CHECKED):
        began = time.perf_counter()
        check(catalog, [splits[file]["path"] for file in CHECKED])
        found["check_s"] = time.perf_counter() - began
    if usual:
        forget(catalog)
        pandas = in_process("--pandas", store)
        found |= {"pandas_s": pandas["s"], "pandas_peak_mb": pandas["peak_mb"]}
        found["speedup"] = pandas["s"] / splits["ffpp/f2f_train.sql"]["split_s"] if match == "" else None
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=10_000_000)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where to work; a store that is there is used again")
    parser.add_argument("--match", default="", help="only splits whose path has this text")
    parser.add_argument("--without-usual", action="store_true")
    for name, count in (("--make", 3), ("--ingest", 2), ("--pin", 3), ("--pandas", 1)):
        parser.add_argument(name, nargs=count, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        print(json.dumps({"faces": make_store(Path(given.make[0]), *map(int, given.make[1:]))}))
    elif given.ingest:
        store, catalog = map(Path, given.ingest)
        found = take_in(catalog, store)
        print(json.dumps(found | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    elif given.pin:
        print(json.dumps(pin_one(Path(given.pin[1]), Path(given.pin[0]), given.pin[2])))
    elif given.pandas:
        print(json.dumps(pandas_split(Path(given.pandas[0]))))
    else:
        with tempfile.TemporaryDirectory() as aside:
            folder = given.folder or Path(aside)
            found = measure(folder, given.faces, given.videos, given.match, not given.without_usual)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
