"""The driver of a curation: which videos are missing, who does them, when the catalog learns of them.

One process drives: it alone opens the catalog and writes shards. Workers turn videos into parts; what is planned and
what is finished lies on disk (see ``curation.plan``), so a run that ends anywhere is continued by the next one.
"""

import dataclasses
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curation.changes import look, write_seen
from curation.engines import APART, Carried, Engine, Limits, Outcome, Work, open_engine
from curation.fetch import NotFetched, at_hand
from curation.plan import Packer, Plan, Video, clear_strays, left_plans, make_plan
from curation.recipe import PIXELS_VERSION, Recipe, RecipeError, canonical, to_record
from curation.scratch import ScratchError, scratch_folder
from curation.sources.tree import unspell
from curation.video import SourceGone, Task, curate_video, fail
from queries.catalog import connect_read
from queries.errors import CatalogBusy
from queries.ingest import ingest_store
from shards import durable
from shards.attached import require_tars
from shards.mirror import Mirror
from shards.part import clear_unfinished
from shards.schema import VIDEO_FIELDS

PLAN_VIDEOS = 100_000  # in one plan: what a driver holds in memory
INGEST_S = 60.0  # how often finished shards are taken into the catalog
_KILLED_TRIES = 3  # how often a video is given again whose worker somebody else killed


class CurationError(RuntimeError):
    """A run that cannot start or go on; the message says what to do. Everything finished is kept."""

    deepshard_error = True


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
    """What a run did. ``problems``: (video_id, reason) of videos without faces; ``notes``: what was not looked at."""

    recipe: Recipe
    videos: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"done": 0, "no_face": 0, "failed": 0})
    faces: int = 0
    changed: int = 0  # videos of them whose bytes were others before
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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
    retry: str | None = None,
    mirror: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """Curates every video of the catalog that the recipe was not tried on yet, or whose bytes have changed since.

    With ``retry`` it is those without faces whose reason contains that text. ``workers`` processes of ``engine`` work
    side by side, one decoder thread each (default: the CPUs of the machine or cluster). A video is given up, after a
    second try with the other decoder, where its worker makes no progress for ``stall_s`` seconds or takes more than
    ``memory_gb`` (default: the memory of its machine shared out among its workers). ``mirror`` is an address to which
    every finished pack of the store is sent, see ``shards.mirror``. Raises MirrorError, CurationError, RecipeError,
    FacesError (no weights), Stopped (no engine), AttachedError, before any work where that is possible.
    """
    from curation.faces.opening import backend_of

    require_tars(store)
    if recipe.pixels_version != PIXELS_VERSION:
        raise RecipeError(
            f"recipe {recipe.name!r} wants pixels version {recipe.pixels_version}, this is {PIXELS_VERSION}"
        )
    recipe = dataclasses.replace(recipe, weights=backend_of(recipe, device).weights())
    # absolute: workers elsewhere have another working folder
    store = Path(os.path.abspath(store))
    gpu = recipe.aligner == "face_alignment" and device != "cpu"
    limits = Limits(stall_s, int(memory_gb * 1e9) if memory_gb else None, gpu)
    crew = _Crew(open_engine(engine), partial(start_worker, recipe, device, engine in APART), workers, limits)
    report = Report(recipe)
    try:
        with holding(store):
            _write_file(store / "recipes" / f"{recipe.hash[:16]}.json", canonical(to_record(recipe)).encode())
            with Mirror(store, mirror) if mirror else nullcontext() as copies:
                _Run(catalog, store, recipe, crew, report, on_progress, copies).all(retry)
    except OSError as error:
        raise CurationError(
            f"cannot go on in {store}: {error}. Everything finished is kept; mend that and run the same command again"
        ) from error
    except duckdb.Error as error:
        raise CurationError(
            f"the catalog {catalog} cannot be written: {str(error).splitlines()[0]}. Nothing is lost: mend that and "
            "run the same command again"
        ) from error
    return report


@dataclass(frozen=True)
class _Crew:
    engine: Engine
    start: Callable[[], Work]
    workers: int | None
    limits: Limits


@dataclass
class _Run:
    """One run while it lasts."""

    catalog: Path
    store: Path
    recipe: Recipe
    crew: _Crew
    report: Report
    on_progress: Callable[[Progress], None]
    mirror: Mirror | None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ingested: float = 0.0

    def all(self, retry: str | None) -> None:
        """Plans that are left, then what is missing, plan by plan."""
        clear_strays(self.store)
        if self.mirror:
            self.mirror.send_finished()
        self._ingest()
        roots = _roots(self.catalog)
        changed = self._changed(roots) if retry is None else []
        plans = list(left_plans(self.store, self.recipe.hash))
        for plan in plans:
            clear_unfinished(plan.folder)
        planned = [video["video_id"] for plan in plans for videos in plan.packs.values() for video in videos]
        videos = self._pending(retry, changed, planned)
        packed = self.mirror.send if self.mirror else lambda name: None
        work = [(plan, Packer(self.store, plan, packed)) for plan in plans]
        progress = Progress(sum(len(packer.open) for _, packer in work) + len(videos))
        self.report.videos = progress.total
        self.report.changed = len(set(changed) & set(videos["video_id"].to_pylist()))
        for plan, packer in work:
            self._do(plan, packer, roots, progress)
        for start in range(0, len(videos), PLAN_VIDEOS):
            plan = make_plan(self.store, self.recipe, videos.slice(start, PLAN_VIDEOS).to_pylist())
            self._do(plan, Packer(self.store, plan, packed), roots, progress)

    def _do(self, plan: Plan, packer: Packer, roots: dict[str, str], progress: Progress) -> None:
        """Finishes a plan: every video a part, every pack a shard, every shard in the catalog."""
        packer.pack_complete()
        tasks = [Task(video, _root_of(video, roots), str(part)) for video, part in packer.open]
        crew = self.crew
        workers = crew.workers and min(crew.workers, max(1, len(tasks)))
        outcomes = crew.engine(crew.start, (), tasks, workers, crew.limits, second_try)
        for outcome in outcomes:
            attempt = settle(outcome, self.recipe)
            _count(self.report, progress, outcome.task, attempt)
            packed = packer.finished(Path(outcome.task.part))
            self.on_progress(progress)
            if self.mirror:
                self.mirror.check()
            if packed and time.monotonic() - self.ingested > INGEST_S:
                with suppress(CatalogBusy):  # somebody reads for long; the shards are there, the next time will do
                    self._ingest()
        self._ingest()
        plan.remove()

    def _ingest(self) -> None:
        ingest_store(self.catalog, self.store)
        self.ingested = time.monotonic()

    def _changed(self, roots: dict[str, str]) -> list[str]:
        """Videos whose bytes are not those the recipe was tried on; the catalog learns of known bytes in new files."""
        found = look(self.catalog, self.recipe.hash, roots)
        if found.seen:
            write_seen(self.store, found.seen)
            self._ingest()
        self.report.notes += [
            f"the source {source!r} is not at {roots[source]}: whether its videos changed was not looked at"
            for source in found.absent
        ]
        if found.gone:
            self.report.notes.append(
                f"{len(found.gone):,} curated videos are not there any more ({found.gone[0]}): their faces stay; scan "
                "again to take them off the list"
            )
        return found.changed

    def _pending(self, retry: str | None, changed: list[str], planned: list[str]) -> pa.Table:
        """The videos to do, as VIDEO_FIELDS, without those of plans that are left."""
        columns = ", ".join(f"v.{item.name}" for item in VIDEO_FIELDS)
        tried = "SELECT 1 FROM attempts a WHERE a.video_id = v.video_id AND a.recipe_hash = $recipe"
        if retry is None:
            chosen = f"NOT EXISTS ({tried}) OR v.video_id IN (FROM changed)"
        else:
            chosen = f"EXISTS ({tried} AND a.current AND a.status <> 'done' AND contains(a.reason, $reason))"
        query = (
            f"SELECT {columns} FROM videos v WHERE v.in_scan AND ({chosen}) AND v.video_id NOT IN (FROM planned) "
            "ORDER BY v.video_id"
        )
        params = {"recipe": self.recipe.hash} | ({} if retry is None else {"reason": retry})
        with connect_read(self.catalog) as db:
            for name, ids in (("changed", changed), ("planned", planned)):
                db.register(name, pa.table({"video_id": pa.array(ids, pa.string())}))
            return db.sql(query, params=params).to_arrow_table()


def start_worker(recipe: Recipe, device: str | None, apart: bool = False) -> Work:
    """Runs in the worker: loads the models once and returns what does one video.

    A worker that is ``apart`` has no disk in common with the store: it leaves its part in a scratch folder.
    """
    import cv2

    from curation.faces.opening import backend_of

    cv2.setNumThreads(1)
    backend = backend_of(recipe, device)
    backend.load()

    def curated(task: Task, beat: Callable[[], None]) -> tuple[str, Any]:
        try:
            with at_hand(task, recipe.masks or recipe.faces == "one", beat) as here:
                return "attempt", curate_video(here, recipe, backend, beat)
        except NotFetched as error:
            return "attempt", fail(task, recipe, str(error))

    def work(task: Task, beat: Callable[[], None]) -> tuple[str, Any]:
        try:
            return curated(task, beat)
        except (SourceGone, ScratchError) as error:
            return "stop", str(error)
        except OSError as error:
            where = Path(task.part).parents[2]
            return "stop", f"cannot go on in {where}: {error}. Everything finished is kept; mend that and run it again"

    left = ExitStack()

    def work_apart(task: Task, beat: Callable[[], None]) -> tuple[str, Any] | Carried:
        left.close()  # the part before this one was taken
        try:
            part = left.enter_context(scratch_folder()) / "video.part"
            result = curated(dataclasses.replace(task, part=str(part)), beat)
        except (SourceGone, ScratchError) as error:
            return "stop", str(error)
        except OSError as error:
            return "stop", str(ScratchError.of(error))
        return Carried(result, str(part), task.part)

    return work_apart if apart else work


def second_try(outcome: Outcome) -> Task | None:
    """Which videos are tried again before they are given up.

    A decoder may hang, crash or grow without end, so another gets the same video once. What somebody else killed says
    nothing of the video: it is done again as if nothing had been, unless it happens each time.
    """
    task = outcome.task
    if outcome.kind in ("crashed", "stalled", "oversized") and task.decoder is None:
        return dataclasses.replace(task, decoder="decord")
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


def _roots(catalog: Path) -> dict[str, str]:
    with connect_read(catalog) as db:
        rows = db.execute("SELECT source, root FROM sources").fetchall()
    return {source: unspell(root) for source, root in rows}


def _root_of(video: Video, roots: dict[str, str]) -> str:
    if video["source"] not in roots:
        raise CurationError(
            f"the catalog has no source {video['source']!r} any more, but a run left videos of it unfinished. Scan it "
            "again, then run the same command"
        )
    return roots[video["source"]]


def _write_file(path: Path, data: bytes) -> None:
    durable.make_folder(path.parent)
    durable.write_file(path, [data])
    durable.sync_folder(path.parent)


@contextmanager
def holding(store: Path) -> Iterator[None]:
    """One curation a store: the second one says who holds it. The lock goes with the process, however it ends."""
    durable.make_folder(store / "parts")
    file = store / "parts" / "lock"
    with file.open("a+") as lock:
        for last in (False, True):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if last:
                    lock.seek(0)
                    who = _named(lock.read())
                    raise CurationError(f"{store} is being curated by {who}: wait for it, or end it") from None
                time.sleep(0.2)  # somebody may only have asked who holds it
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        lock.flush()
        yield


def holder_of(store: Path) -> str | None:
    """Who curates into a store at this moment."""
    try:
        with (store / "parts" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named((store / "parts" / "lock").read_text())
    except FileNotFoundError:
        return None
    return None


def _named(text: str) -> str:
    """Who wrote a lock."""
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
