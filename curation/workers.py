"""Worker processes that can be killed: one task each, watched, replaced when they die or stand still.

A decoder may hang in native code while it holds the GIL, or crash the process, so neither a thread nor a future can
bound it. Each worker has a pipe and a heartbeat in shared memory; a worker whose heart stands still for too long is
killed, one that dies is replaced, and either way the task comes back with what happened to it. The caller decides
whether to give it again. (concurrent.futures declares its whole pool broken when one process dies.)
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Literal

_SPAWN = multiprocessing.get_context("spawn")  # forking a process that has threads or a GPU open is not safe

Beat = Callable[[], None]
Work = Callable[[Any, Beat], Any]  # one task and a heartbeat to call whenever something got done


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its ``result``, or how the worker was lost and, in words, why (``detail``)."""

    task: Any
    kind: Literal["done", "raised", "died", "stalled"]
    result: Any = None
    detail: str = ""


class Stopped(RuntimeError):
    """The workers cannot start at all; the message is the first worker's own."""

    deepshard_error = True


def run_tasks(
    start: Callable[..., Work],
    arguments: tuple,
    tasks: Iterable[Any],
    workers: int,
    stall_limit_s: float,
    retry: Callable[[Outcome], Any | None] = lambda outcome: None,
) -> Iterator[Outcome]:
    """Runs every task in one of ``workers`` processes and yields outcomes in the order in which they finish.

    ``start(*arguments)`` runs once in each process and returns the function that does a task. A worker without a
    heartbeat for ``stall_limit_s`` seconds is killed. ``retry`` may answer an outcome with another task to do in its
    stead; that outcome is not yielded then. Whatever ends the generator (exhaustion, an exception, close) ends the
    workers too. Raises Stopped when a worker cannot start.
    """
    waiting, pool = deque(tasks), []
    try:
        while waiting or any(worker.task is not None for worker in pool):
            for worker in pool:
                if worker.task is None and waiting:
                    worker.give(waiting.popleft())
            while waiting and len(pool) < workers:
                pool.append(_Worker(start, arguments))
                pool[-1].give(waiting.popleft())
            busy = [worker for worker in pool if worker.task is not None]
            handles = [handle for worker in busy for handle in (worker.pipe, worker.process.sentinel)]
            connection.wait(handles, timeout=min(1.0, stall_limit_s / 4))
            for worker in busy:
                outcome = worker.outcome(stall_limit_s)
                if outcome is None:
                    continue
                if not worker.process.is_alive() or outcome.kind in ("died", "stalled"):
                    worker.end()
                    pool.remove(worker)
                again = retry(outcome)
                if again is not None:
                    waiting.append(again)
                else:
                    yield outcome
    finally:
        for worker in pool:
            worker.end()


class _Worker:
    def __init__(self, start: Callable[..., Work], arguments: tuple):
        self.pipe, theirs = _SPAWN.Pipe()
        self.beat = _SPAWN.Value("d", time.monotonic(), lock=False)
        self.task = None
        self.process = _SPAWN.Process(target=_serve, args=(theirs, self.beat, start, arguments), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, task: Any) -> None:
        self.task = task
        self.beat.value = time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # it died in between; outcome() finds it dead and says so
            self.pipe.send(task)

    def outcome(self, stall_limit_s: float) -> Outcome | None:
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
            return Outcome(task, "died", None, _cause(self.process.exitcode))
        still = time.monotonic() - self.beat.value
        if still > stall_limit_s:
            return Outcome(task, "stalled", None, f"no progress for {still:.0f} s, killed")
        return None

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the worker was ended by {name}{hint}"
    return f"the worker exited with status {exitcode}"


def _serve(pipe, beat, start: Callable[..., Work], arguments: tuple) -> None:
    """A worker's life. Ctrl-C reaches the whole process group; the parent alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

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
            pipe.send(("raised", traceback.format_exc(limit=-1).strip().splitlines()[-1]))
        else:
            pipe.send(("done", result))
