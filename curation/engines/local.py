"""Worker processes on this machine that can be killed: one task each, watched, replaced when they are lost.

A decoder may hang in native code while it holds the GIL, or crash the process, so neither a thread nor a future can
bound it. Each worker has a pipe and a heartbeat in shared memory; a worker whose heart stands still for too long or
whose memory grows beyond its share is killed, one that dies is replaced, and either way the task comes back with what
happened to it. The caller decides whether to give it again. (concurrent.futures declares its whole pool broken when
one process dies.)
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing import connection
from typing import Any

import psutil

from curation.engines import Limits, Outcome, Stopped, Work

_SPAWN = multiprocessing.get_context("spawn")  # forking a process that has threads or a GPU open is not safe
_START_S = 600.0
_LOOK_S = 1.0  # how often memory and heartbeats are looked at
_START_S = 300.0  # what loading the models may take before a worker's first task
_PR_SET_PDEATHSIG = 1  # prctl(2)


def run_tasks(
    start: Callable[..., Work],
    arguments: tuple,
    tasks: Iterable[Any],
    workers: int | None,
    limits: Limits,
    retry: Callable[[Outcome], Any | None] = lambda outcome: None,
) -> Iterator[Outcome]:
    """The engine ``local``, see ``Engine``: every task in one of ``workers`` processes of this machine."""
    workers = workers or len(os.sched_getaffinity(0))
    if limits.memory_bytes is None:
        limits = replace(limits, memory_bytes=psutil.virtual_memory().total // workers)
    tasks, again, pool = iter(tasks), deque(), []

    def another() -> Any | None:
        return again.popleft() if again else next(tasks, None)

    try:
        while True:
            for worker in pool:
                if worker.task is None and (task := another()) is not None:
                    worker.give(task)
            while len(pool) < workers and (task := another()) is not None:
                pool.append(_Worker(start, arguments))
                pool[-1].give(task)
            busy = [worker for worker in pool if worker.task is not None]
            if not busy:
                return
            handles = [handle for worker in busy for handle in (worker.pipe, worker.process.sentinel)]
            connection.wait(handles, timeout=min(_LOOK_S, limits.stall_s / 4))
            for worker in busy:
                outcome = worker.outcome(limits)
                if outcome is None:
                    continue
                if not worker.process.is_alive() or outcome.kind not in ("done", "raised"):
                    worker.end()
                    pool.remove(worker)
                other = retry(outcome)
                if other is not None:
                    again.append(other)
                else:
                    yield outcome
    finally:
        for worker in pool:
            worker.end()


class _Worker:
    def __init__(self, start: Callable[..., Work], arguments: tuple):
        self.pipe, theirs = _SPAWN.Pipe()
        self.beat = _SPAWN.Value("d", time.monotonic() + _START_S, lock=False)
        self.task = None
        self._measured = time.monotonic()
        self.process = _SPAWN.Process(target=_serve, args=(theirs, self.beat, start, arguments), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, task: Any) -> None:
        self.task = task
        self.beat.value = max(self.beat.value, time.monotonic())
        with contextlib.suppress(BrokenPipeError):  # it died in between; outcome() finds it dead and says so
            self.pipe.send(task)

    def outcome(self, limits: Limits) -> Outcome | None:
        """The outcome of the current task, if it has one by now."""
        task = self.task
        try:
            ready = self.pipe.poll()
            kind, value = self.pipe.recv() if ready else (None, None)
        except (EOFError, OSError):
            kind, value = "gone", None
        if kind == "cannot start":
            raise Stopped(value)
        if kind == "done":
            self.task = None
            return Outcome(task, "done", value)
        if kind == "raised":
            self.task = None
            return Outcome(task, "raised", None, value)
        if kind == "gone" or not self.process.is_alive():
            self.process.join()
            return Outcome(task, *_cause(self.process.exitcode))
        now = time.monotonic()
        still = now - self.beat.value
        if still > limits.stall_s:
            return Outcome(task, "stalled", None, f"no progress for {still:.0f} s, killed")
        if now - self._measured >= _LOOK_S:
            self._measured = now
            held = self._memory()
            if held > limits.memory_bytes:
                share = f"{limits.memory_bytes / 1e9:.1f} GB"
                return Outcome(task, "oversized", None, f"{held / 1e9:.1f} GB of memory, {share} allowed, killed")
        return None

    def _memory(self) -> int:
        try:
            return psutil.Process(self.process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return 0

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _cause(exitcode: int | None) -> tuple[str, None, str]:
    if exitcode is None or exitcode >= 0:
        return "crashed", None, f"the worker exited with status {exitcode}"
    name = signal.Signals(-exitcode).name
    if name in ("SIGKILL", "SIGTERM"):
        return "killed", None, f"the worker was ended by {name} (out of memory?)"
    return "crashed", None, f"the worker was ended by {name}"


def _serve(pipe, beat, start: Callable[..., Work], arguments: tuple) -> None:
    """A worker's life. Ctrl-C reaches the whole process group; the parent alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    _die_with_parent()

    def alive() -> None:
        if os.getppid() != parent:
            os._exit(1)  # the parent was killed: what is unfinished stays unfinished, the next run does it
        beat.value = time.monotonic()

    try:
        work = start(*arguments)
    except Exception as error:
        message = str(error) if getattr(error, "deepshard_error", False) else traceback.format_exc()
        pipe.send(("cannot start", message))
        return
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return  # the parent is gone
        alive()
        try:
            result = work(task, alive)
        except Exception:
            print(traceback.format_exc(), file=sys.stderr, flush=True)
            answer = "raised", traceback.format_exc(limit=-1).strip().splitlines()[-1]
        else:
            answer = "done", result
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return


def _die_with_parent() -> None:
    """A worker that hangs in native code has no heart to notice that its parent was killed: Linux does that for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
