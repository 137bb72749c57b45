"""The processes that questions run in: one for each question, made when it is asked or before.

A process that is there already has done its imports, most of what a small question costs. It is as fresh as one made
later: it has read nothing but what it imports, serves one request and ends. What it answers goes into a nameless file
that the asker maps, so nothing is copied through a pipe. Who kills it, and when, is said here; what it may do, in
child.py.
"""

import contextlib
import json
import mmap
import os
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import queries

# pyarrow imports NumPy and pandas where it finds them, and that takes longer than most queries
_START = """
import sys
class Without:
    def find_spec(name, *_):
        if name in sys.argv[1:]:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Without)
from queries.child import main
main()
"""
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LC_ALL", "LANG")


@dataclass(frozen=True)
class Limits:
    """What a statement may use.

    ``time_s`` on the clock; ``memory_mb``: MiB that DuckDB may take; ``own_mb``: MiB of address space of Python, Arrow
    and DuckDB themselves, which what DuckDB does not count comes out of too; ``answer_mb``: MiB of the answer;
    ``rows``: of it; ``threads``. ``trusted``: by the catalog's owner, who may see where things lie on this machine.
    """

    time_s: float = 300.0
    memory_mb: int = 4096
    own_mb: int = 3072
    answer_mb: int = 4096
    rows: int | None = None
    threads: int = field(default_factory=lambda: min(8, len(os.sched_getaffinity(0))))
    trusted: bool = True


UNTRUSTED = Limits(
    time_s=30, memory_mb=1024, own_mb=1280, answer_mb=64, rows=100_000, threads=min(2, Limits().threads), trusted=False
)  # for a statement from a stranger, and for a page that anybody may ask


@dataclass(frozen=True)
class Reply:
    """How a child ended: its status (negative: the signal), what it said on standard error, its answer's bytes."""

    status: int
    said: str
    answer: mmap.mmap | None


class Child:
    """A process that waits for one request. ``bare``: without NumPy, which halves its start; enough for a SELECT.

    It dies with the thread that made it: that must live until ``ask`` returns.
    """

    def __init__(self, bare: bool = True) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["OPENBLAS_NUM_THREADS"] = "1"  # threads that wait cost as much as the rest of the import
        environment["PYTHONPATH"] = str(Path(queries.__file__).resolve().parent.parent)
        self._answer: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, "pandas", *(["numpy"] if bare else [])],
            stdin=subprocess.PIPE,
            stdout=self._answer,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
        )

    @property
    def waits(self) -> bool:
        """Whether it can still be asked."""
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], time_s: float) -> Reply:
        """What becomes of a request, the first and last one. Raises subprocess.TimeoutExpired: it is dead then."""
        try:
            _, said = self._process.communicate(json.dumps(request).encode(), timeout=time_s)
            status = self._process.returncode
            answer = None
            if status == 0:  # the map lives as long as the tables that point into it
                answer = mmap.mmap(self._answer.fileno(), 0, access=mmap.ACCESS_READ)
            return Reply(status, said.decode(errors="replace"), answer)
        finally:
            self.close()

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._answer.close()


class Children:
    """Children made before they are needed, for a server: ``ahead`` of them wait. For use by any thread.

    A context manager; at its end those that wait are ended.
    """

    def __init__(self, ahead: int = 2) -> None:
        self._ready: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(ahead):
            self._orders.put(True)
        # the one thread that makes them: a child dies with its maker, and a server's threads come and go
        self._maker = threading.Thread(target=self._make, name="sandbox children", daemon=True)
        self._maker.start()

    def take(self) -> Child:
        """One that waits, else a new one; another takes its place in the background."""
        with contextlib.suppress(queue.Empty):
            while True:
                child = self._ready.get_nowait()
                self._orders.put(True)
                if child.waits:
                    return child
                child.close()
        return Child()

    def close(self) -> None:
        """End those that wait. Who took one keeps it."""
        self._orders.put(False)
        self._maker.join()

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self) -> None:
        while self._orders.get():
            self._ready.put(Child())
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait().close()
