"""The study's trainings: each is one process of training/run.py, several at a time, and only what is missing is done.

What a run prints goes into a log file, which the process holds locked while it lives: a study that was killed leaves
its children running, and the next one notices. Nothing is deleted; a run that broke off without a checkpoint is moved
aside.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import yaml

from training.studies.config import Study, StudyError
from training.studies.pins import Pin
from training.studies.plan import Run
from training.studies.standing import Standing, check_runs, look, original_accuracy

_LAST_LINES = 12
_PATIENCE_S = 30.0  # between asking a run to end and ending it


@dataclass
class _Job:
    run: Run
    what: str
    process: subprocess.Popen
    log: Path
    began: float
    slot: int


class Launcher:
    """The runs of one study on their way; `train` goes through all of them."""

    def __init__(
        self,
        study: Study,
        runs: list[Run],
        pins: dict[str, Pin],
        catalog: Path,
        store: Path,
        folder: Path,
        say: Callable[[str], None],
    ):
        self.study, self.runs, self.pins, self.say = study, runs, pins, say
        self.catalog, self.store, self.folder = catalog, store, folder
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.jobs: list[_Job] = []

    def train(self) -> list[str]:
        """Finish every run; returns the ids of those that could not be. Raises StudyError, before anything is trained,
        where a run of that name is another one; on Ctrl-C or SIGTERM ends what is running, which can be resumed."""
        if self.study.launch and shutil.which(self.study.launch[0]) is None:
            raise StudyError(f"launch: there is no program {self.study.launch[0]!r} on the PATH: name it by its path")
        check_runs(self.runs, self.store, self.pins)
        waiting = list(self.runs)
        with _terminated_as_interrupted():
            try:
                while waiting or self.jobs:
                    waiting = self._begin(waiting)
                    self._reap()
            except BaseException:
                self._end_all()
                raise
        return [run.id for run in self.runs if run.id in self.failed]

    def _begin(self, waiting: list[Run]) -> list[Run]:
        """Start what may be started; returns what must still wait."""
        left = []
        for run in waiting:
            if run.parent in self.failed:
                self.failed.add(run.id)
                self._tell(run, f"not begun, since {run.parent} failed")
            elif (run.parent is not None and run.parent not in self.done) or len(self.jobs) >= self.study.parallel:
                left.append(run)
            else:
                try:
                    self._start(run)
                except (
                    StudyError
                ) as error:  # found only now: the run it starts from was just trained anew, or it is held
                    self.failed.add(run.id)
                    self._tell(run, f"not begun: {error}")
        return left

    def _start(self, run: Run) -> None:
        standing = look(run, self.store, self.pins)
        if standing.state == "finished" and not standing.unscored:
            self._finish(run, "there already", standing)
            return
        log = self.folder / "logs" / f"{run.id}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            self._lock(file, run)
            standing = look(run, self.store, self.pins)  # what it is while nobody else works on it
            if standing.state == "broken":
                self._set_aside(run, standing)
            what, words = self._words(run, standing)
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {shlex.join(words)}\n")
            file.flush()
            slot = min(set(range(self.study.parallel)) - {job.slot for job in self.jobs})
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                env=self._environment(slot), start_new_session=True,
            )  # fmt: skip
        self.jobs.append(_Job(run, what, process, log, time.monotonic(), slot))

    def _lock(self, file: IO[str], run: Run) -> None:
        """Held by every process that has this file open as its output, so also by one whose study is gone."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(
                f"a process that another `deepshard study` started still works on run {run.id}: wait for it, or end it "
                f"(`fuser {file.name}` tells its number)"
            ) from None

    def _words(self, run: Run, standing: Standing) -> tuple[str, list[str]]:
        """(what is done, the command line)."""
        script = Path(__file__).parents[1] / "run.py"
        words = [*(self.study.launch or [sys.executable]), str(script)]
        places = ["--store", str(self.store), "--catalog", str(self.catalog)]
        tests = ["--test", *dict.fromkeys(self.pins[split].label for split in run.tests.values())]
        if standing.state == "finished":
            missing = [self.pins[split].label for split in dict.fromkeys(standing.unscored)]
            return "scored", [*words, "--evaluate", run.id, "--test", *missing, *places]
        if standing.state == "unfinished":
            return "continued", [*words, "--resume", run.id, *tests, *places]
        settings = self.folder / "configs" / f"{run.id}.yaml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(yaml.safe_dump(run.config.without_places(), sort_keys=False), encoding="utf-8")
        sets = ["--train", self.pins[run.train].label, "--val", self.pins[run.val].label]
        return "trained", [*words, "--config", str(settings), "--name", run.id, *sets, *tests, *places]

    def _environment(self, slot: int) -> dict[str, str]:
        if not self.study.devices:
            return dict(os.environ)
        return {**os.environ, "CUDA_VISIBLE_DEVICES": self.study.devices[slot % len(self.study.devices)]}

    def _set_aside(self, run: Run, standing: Standing) -> None:
        aside = self.folder / "aside" / f"{run.id}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        standing.folder.rename(aside)
        self.say(f"run {run.id} broke off without a checkpoint: moved to {aside}")

    def _reap(self) -> None:
        """Take in the runs that have ended; a little pause where none has."""
        ended = [job for job in self.jobs if job.process.poll() is not None]
        if not ended and self.jobs:
            time.sleep(0.1)
        for job in ended:
            self.jobs.remove(job)
            seconds = time.monotonic() - job.began
            standing = look(job.run, self.store, self.pins)
            if job.process.returncode == 0 and standing.state == "finished" and not standing.unscored:
                self._finish(job.run, f"{job.what} in {seconds:.0f} s", standing)
                continue
            self.failed.add(job.run.id)
            self._tell(job.run, f"FAILED after {seconds:.0f} s (status {job.process.returncode}), from {job.log}:")
            for line in job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]:
                self.say(f"    {line}")

    def _finish(self, run: Run, how: str, standing: Standing) -> None:
        self.done.add(run.id)
        accuracy = original_accuracy(standing.record, self.pins[run.tests["original"]])
        self._tell(run, how + (f", original accuracy {accuracy:.2f} %" if accuracy is not None else ""))

    def _tell(self, run: Run, text: str) -> None:
        self.say(f"[{len(self.done) + len(self.failed)}/{len(self.runs)}] {run.id}: {text}")

    def _end_all(self) -> None:
        """End the running processes with all that they started; each can be resumed from its last checkpoint."""
        for job in self.jobs:
            _signal(job.process, signal.SIGTERM)
        until = time.monotonic() + _PATIENCE_S
        for job in self.jobs:
            try:
                job.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(job.process, signal.SIGKILL)
                job.process.wait()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, with which schedulers end a job, does what Ctrl-C does: the runs are ended too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _signal(process: subprocess.Popen, number: int) -> None:
    """To the whole session of a run: a launcher has workers, and those have loaders."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
