"""The driver of a curation: which videos are missing, who does them, when a shard is full.

A run first writes its plan, a table that assigns every video to a pack; packs are cut from the sorted names of videos,
so the bytes of a shard depend on the videos in it and neither on workers nor on timing. A video is finished when its
part lies in the plan's folder; a pack whose parts are all there becomes a shard; a plan whose packs are all there
goes. Whatever ends a run in between, the next one reads the plans that are left and does what is missing.
"""

import dataclasses
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from curation.engines import Limits, Outcome, Work, open_engine
from curation.recipe import PIXELS_VERSION, Recipe, RecipeError, canonical, to_record
from curation.video import SourceGone, Task, curate_video, fail, keeps_mask
from queries.catalog import connect_read
from queries.ingest import ingest_store
from shards import durable
from shards.pack import pack, remove_parts
from shards.part import clear_unfinished
from shards.schema import VIDEO_FIELDS, VIDEOS

SHARD_BYTES = 256 << 20  # what a shard should come to: large enough to read in long runs, small enough to send again
_FACE_BYTES = {"png": 80_000, "webp": 50_000, "jpg": 18_000}  # of a 256x256 face, measured
_KILLED_TRIES = 3  # how often a video is given again whose worker somebody else killed


class CurationError(RuntimeError):
    """A run that cannot start or go on; the message says what to do. Everything finished is kept."""

    deepshard_error = True


@dataclass(frozen=True)
class Plan:
    """Videos that belong together in packs: ``packs`` maps a shard's name to its videos, sorted by video_id."""

    folder: Path
    packs: dict[str, list[dict[str, Any]]]

    def part(self, video: dict[str, Any]) -> Path:
        """Where the part of a video lies."""
        return self.folder / f"{hashlib.sha256(video['video_id'].encode()).hexdigest()[:24]}.part"


@dataclass
class Progress:
    """Where a run stands; ``last`` is the video that was just finished and its attempt."""

    total: int
    done: int = 0
    faces: int = 0
    failed: int = 0
    no_face: int = 0
    last: tuple[str, str] = ("", "")


@dataclass
class Report:
    """What a run did."""

    recipe: Recipe
    videos: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"done": 0, "no_face": 0, "failed": 0})
    faces: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)  # (video_id, reason) of videos without faces


def curate(
    catalog: Path,
    store: Path,
    recipe: Recipe,
    *,
    workers: int | None = None,
    engine: str = "local",
    stall_s: float = Limits.stall_s,
    memory_gb: float | None = None,
    device: str | None = None,
    which: Literal["missing", "failed"] = "missing",
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """Curates every video of the catalog that the recipe has not been tried on yet (``failed``: those that failed).

    ``workers`` processes of ``engine`` work side by side, one decoder thread each (default: the CPUs this process may
    use). A video is given up, after a second try with PyAV, where its worker makes no progress for ``stall_s`` seconds
    or takes more than ``memory_gb`` (default: this machine's memory shared out among the workers). Raises
    CurationError, RecipeError, FacesError (no weights), Stopped (no engine), before any work where that is possible.
    """
    from curation.faces.backend import backend_of

    if recipe.pixels_version != PIXELS_VERSION:
        raise RecipeError(
            f"recipe {recipe.name!r} wants pixels version {recipe.pixels_version}, this is {PIXELS_VERSION}"
        )
    recipe = dataclasses.replace(recipe, weights=backend_of(recipe, device).weights())
    workers = workers or len(os.sched_getaffinity(0))
    limits = Limits(stall_s, int(memory_gb * 1e9) if memory_gb else psutil.virtual_memory().total // workers)
    run_tasks = open_engine(engine)
    report = Report(recipe)
    with _holding(store):
        _write_file(store / "recipes" / f"{recipe.hash[:16]}.json", canonical(to_record(recipe)).encode())
        ingest_store(catalog, store)
        roots = _roots(catalog)
        plans = list(_left_plans(store, recipe))
        for plan in plans:
            clear_unfinished(plan.folder)
        planned = {video["video_id"] for plan in plans for pack_ in plan.packs.values() for video in pack_}
        videos = [video for video in _pending(catalog, recipe, which) if video["video_id"] not in planned]
        if videos:
            plans.append(_write_plan(store, recipe, videos))
        elif not plans:
            return report
        tasks, open_packs = _open_tasks(plans, store, roots)
        progress = Progress(len(tasks))
        report.videos = len(tasks)
        _finish_packs(store, open_packs)
        start = partial(start_worker, recipe, device)
        outcomes = run_tasks(start, (), tasks, min(workers, max(1, len(tasks))), limits, second_try)
        for outcome in outcomes:
            attempt = settle(outcome, recipe)
            _count(report, progress, outcome.task, attempt)
            on_progress(progress)
            _finish_packs(store, open_packs, Path(outcome.task.part))
        _finish_packs(store, open_packs)
        ingest_store(catalog, store)
        for plan in plans:
            _remove_plan(plan)
    return report


def start_worker(recipe: Recipe, device: str | None) -> Work:
    """Runs in the worker: loads the models once and returns what does one video."""
    import cv2

    from curation.faces.backend import backend_of

    cv2.setNumThreads(1)
    backend = backend_of(recipe, device)

    def work(task: Task, beat: Callable[[], None]) -> tuple[str, Any]:
        try:
            return "attempt", curate_video(task, recipe, backend, beat)
        except SourceGone as error:
            return "stop", str(error)
        except OSError as error:
            return "stop", f"cannot write to the store: {error}. Mend that and run the same command again"

    return work


def second_try(outcome: Outcome) -> Task | None:
    """Which videos are tried again before they are given up.

    decord may hang, crash or grow without end, so PyAV gets the same video once. What somebody else killed says nothing
    of the video: it is done again as if nothing had been, unless it happens each time.
    """
    task = outcome.task
    if outcome.kind in ("crashed", "stalled", "oversized") and task.decoder is None:
        return dataclasses.replace(task, decoder="pyav")
    if outcome.kind == "killed" and task.tries < _KILLED_TRIES:
        return dataclasses.replace(task, tries=task.tries + 1)
    return None


def settle(outcome: Outcome, recipe: Recipe) -> dict[str, Any]:
    """The attempt of a task, written here where its worker could not write one."""
    if outcome.kind == "done":
        kind, value = outcome.result
        if kind == "stop":
            raise CurationError(value)
        return value
    said = {
        "crashed": "crashed twice",
        "stalled": "hung twice",
        "oversized": "took too much memory twice",
        "killed": f"was killed {_KILLED_TRIES} times",
        "raised": "failed unexpectedly",
    }[outcome.kind]
    return fail(outcome.task, recipe, f"curation of this video {said}: {outcome.detail}")


def _count(report: Report, progress: Progress, task: Task, attempt: dict[str, Any]) -> None:
    status = attempt["status"]
    report.counts[status] += 1
    report.faces += attempt["faces"]
    if status != "done":
        report.problems.append((task.video["video_id"], attempt["reason"]))
    progress.done += 1
    progress.faces = report.faces
    progress.failed, progress.no_face = report.counts["failed"], report.counts["no_face"]
    progress.last = (task.video["video_id"], attempt["reason"] or f"{attempt['faces']} faces")


def _pending(catalog: Path, recipe: Recipe, which: str) -> list[dict[str, Any]]:
    attempted = "SELECT 1 FROM attempts a WHERE a.video_id = v.video_id AND a.recipe_hash = $recipe"
    tried = {
        "missing": f"NOT EXISTS ({attempted})",
        "failed": f"EXISTS ({attempted} AND a.status = 'failed') AND NOT EXISTS ({attempted} AND a.status <> 'failed')",
    }[which]
    columns = ", ".join(f"v.{item.name}" for item in VIDEO_FIELDS)
    query = f"SELECT {columns} FROM videos v WHERE v.in_scan AND {tried} ORDER BY v.video_id"
    with connect_read(catalog) as db:
        table = db.sql(query, params={"recipe": recipe.hash}).to_arrow_table()
    return table.to_pylist()


def _roots(catalog: Path) -> dict[str, str]:
    with connect_read(catalog) as db:
        return dict(db.execute("SELECT source, root FROM sources").fetchall())


def _write_plan(store: Path, recipe: Recipe, videos: list[dict[str, Any]]) -> Plan:
    # what a shard's samples have in common: dataset, and whether there is a mask member and landmarks
    kinds: dict[tuple, list[dict[str, Any]]] = {}
    for video in sorted(videos, key=lambda video: video["video_id"]):
        kinds.setdefault((video["dataset"], keeps_mask(video, recipe), video["aligned"]), []).append(video)
    signature = [recipe.hash, [(video["video_id"], video["bytes"], video["mtime_ns"]) for video in videos]]
    identity = hashlib.sha256(canonical(signature).encode()).hexdigest()[:8]
    packs = {}
    numbers: dict[str, int] = {}
    size = _videos_per_pack(recipe)
    for (dataset, _, _), members in kinds.items():
        for start in range(0, len(members), size):
            number = numbers[dataset] = numbers.get(dataset, -1) + 1
            packs[f"{dataset}-{recipe.hash[:8]}-{identity}-{number:06d}"] = members[start : start + size]
    folder = store / "parts" / f"{recipe.hash[:8]}-{identity}"
    durable.make_folder(folder)
    rows = [video | {"pack": name} for name, members in packs.items() for video in members]
    table = pa.Table.from_pylist(rows, schema=VIDEOS.append(pa.field("pack", pa.string())))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    _write_file(folder / "plan.parquet", sink.getvalue().to_pybytes())
    return Plan(folder, packs)


def _videos_per_pack(recipe: Recipe) -> int:
    words = recipe.sampling.split()
    faces = int(words[words.index("least") + 1] if "least" in words else words[1]) if words[0] != "all" else 300
    faces = 60 if words[0] == "every" else faces
    face_bytes = _FACE_BYTES[recipe.codec] * (recipe.size / 256) ** 2
    return max(1, int(SHARD_BYTES / (faces * face_bytes)))


def _left_plans(store: Path, recipe: Recipe) -> Iterator[Plan]:
    """Plans of this recipe which an earlier run left unfinished; those of other recipes wait for theirs."""
    for file in sorted(store.glob(f"parts/{recipe.hash[:8]}-*/plan.parquet")):
        packs: dict[str, list[dict[str, Any]]] = {}
        for row in pq.read_table(file).to_pylist():
            packs.setdefault(row.pop("pack"), []).append(row)
        yield Plan(file.parent, packs)


def _open_tasks(
    plans: list[Plan], store: Path, roots: dict[str, str]
) -> tuple[list[Task], dict[str, tuple[set[Path], list[Path]]]]:
    """The videos that still need a part, and the packs that are not written yet: name -> (parts awaited, all parts)."""
    tasks, open_packs = [], {}
    for plan in plans:
        for name, videos in plan.packs.items():
            parts = [plan.part(video) for video in videos]
            if (store / "shards" / f"{name}.videos.parquet").exists():
                if left := [part for part in parts if part.exists()]:
                    remove_parts(left, pack(left, store / "shards", name))
                continue
            awaited = {part for part in parts if not part.exists()}
            open_packs[name] = (awaited, parts)
            for video, part in zip(videos, parts, strict=True):
                if part not in awaited:
                    continue
                if video["source"] not in roots:
                    raise CurationError(
                        f"the catalog has no source {video['source']!r} any more, but a run left videos of it "
                        "unfinished. Scan it again, then run the same command"
                    )
                tasks.append(Task(video, roots[video["source"]], str(part)))
    return tasks, open_packs


def _finish_packs(store: Path, open_packs: dict[str, tuple[set[Path], list[Path]]], part: Path | None = None) -> None:
    """Packs what is complete, after ``part`` has been finished."""
    for name, (awaited, parts) in list(open_packs.items()):
        awaited.discard(part)
        if not awaited:
            remove_parts(parts, pack(parts, store / "shards", name))
            del open_packs[name]


def _remove_plan(plan: Plan) -> None:
    (plan.folder / "plan.parquet").unlink(missing_ok=True)
    for leftover in plan.folder.iterdir():
        leftover.unlink()  # .tmp files of workers that were killed
    plan.folder.rmdir()


def _write_file(path: Path, data: bytes) -> None:
    durable.make_folder(path.parent)
    durable.write_file(path, [data])
    durable.sync_folder(path.parent)


@contextmanager
def _holding(store: Path) -> Iterator[None]:
    """One curation a store: the second one says who holds it. The lock goes with the process, however it ends."""
    durable.make_folder(store / "parts")
    file = store / "parts" / "lock"
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise CurationError(
                f"{store} is being curated by {holder}. Wait for it, or stop it and run again"
            ) from None
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        lock.flush()
        yield
