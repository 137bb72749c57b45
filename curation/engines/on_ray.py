"""Workers on every machine of a Ray cluster: Ray places them, starts them again elsewhere, and tells of lost machines.

Each actor runs the engine ``local`` with one process beside it. Ray gives one and the same error for a segmentation
fault, an exit and a kill, and asking thousands of actors for heartbeats would be all that a driver gets done; the actor
sees its process's exit status, heart and memory, so a video ends as on one machine. Given up: 50 MB for each worker.
Machines need no disk in common: files that come of the work are brought to the driver's, a piece at a time.
"""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue
from typing import Any

import psutil
import ray
from ray.exceptions import RayError, RayTaskError

from curation.engines import Carried, Limits, Outcome, Stopped, Work, local
from curation.engines.bring import bring_file, lost, piece

_CARRIERS = 8  # files on their way at once: pieces in memory, and disks that are waited for


def run_tasks(
    start: Callable[..., Work],
    arguments: tuple,
    tasks: Iterable[Any],
    workers: int | None,
    limits: Limits,
    retry: Callable[[Outcome], Any | None] = lambda outcome: None,
) -> Iterator[Outcome]:
    """The engine ``ray``, see ``Engine``: every task in one of ``workers`` processes of the cluster.

    The cluster is the one this process is connected to; else that of RAY_ADDRESS; else the one this machine is part of;
    else one of this machine alone, for the time of the run. A worker for which there is no room waits until there is.
    """
    tasks = iter(tasks)
    waiting = deque(islice(tasks, 1))
    if not waiting:
        return
    idle, busy, answers = [], 0, SimpleQueue()

    def ask(actor: Any, method: Any, *task: Any) -> None:
        method.remote(*task).future().add_done_callback(lambda answer: answers.put((actor, task, answer)))

    def bring(actor: Any, outcome: Outcome) -> None:
        brought = carriers.submit(bring_file, actor, outcome)
        brought.add_done_callback(lambda answer: answers.put((actor, (outcome.task,), answer)))

    with _cluster():
        workers, gpus = _room(workers, limits.gpu)
        placed = _Actor.options(num_cpus=1, num_gpus=gpus)
        actors = [placed.remote(start, arguments, limits) for _ in range(workers)]
        carriers = ThreadPoolExecutor(_CARRIERS)
        try:
            for actor in actors:
                ask(actor, actor.ready)
            while True:
                waiting.extend(islice(tasks, 0 if waiting else 1))
                if idle and waiting:
                    actor = idle.pop()
                    ask(actor, actor.do, waiting.popleft())
                    busy += 1
                    continue
                if not busy and not waiting:
                    return
                actor, task, answer = answers.get()
                if not task:
                    _require_ready(answer)
                    idle.append(actor)
                    continue
                outcome = _outcome(task[0], answer)
                if isinstance(outcome.result, Carried):
                    bring(actor, outcome)
                    continue
                busy -= 1
                if outcome.kind == "killed":
                    ask(actor, actor.ready)  # answered when Ray has found it a place
                else:
                    idle.append(actor)
                other = retry(outcome)
                if other is not None:
                    waiting.append(other)
                else:
                    yield outcome
        finally:
            for actor in actors:
                ray.kill(actor)
            carriers.shutdown(cancel_futures=True)


@ray.remote(max_restarts=-1)
class _Actor:
    """A worker's place in the cluster; ``local`` starts and replaces the process there, one task at a time."""

    def __init__(self, start: Callable[..., Work], arguments: tuple, limits: Limits):
        if limits.memory_bytes is None:
            limits = replace(limits, memory_bytes=psutil.virtual_memory().total // os.cpu_count())
        self._task = None
        self._outcomes = local.run_tasks(start, arguments, iter(lambda: self._task, None), 1, limits)

    @ray.method(max_task_retries=-1)
    def ready(self) -> None:
        """Answered once the actor has a place, also where it loses its first one."""

    def do(self, task: Any) -> Outcome:
        self._task = task
        return next(self._outcomes)

    def read(self, file: str, start: int) -> bytes:
        return piece(file, start)


def _require_ready(answer: Any) -> None:
    try:
        answer.result()
    except RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise Stopped(f"Ray cannot start a worker; every machine needs the same deepshard: {reason}") from error


def _outcome(task: Any, answer: Any) -> Outcome:
    try:
        return answer.result()
    except RayTaskError as error:
        raise (Stopped(str(error.cause)) if isinstance(error.cause, Stopped) else error) from None
    except RayError as error:
        return lost(task, error)


def _room(workers: int | None, gpu: bool) -> tuple[int, float]:
    """How many workers, by default one for each CPU, and each one's share of a GPU."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpu and any("GPU" in node for node in nodes):
        nodes = [node for node in nodes if "GPU" in node]
    workers = workers or int(sum(node.get("CPU", 0) for node in nodes))
    if workers < 1:
        raise Stopped("no machine of the Ray cluster has a CPU to give: start one with `ray start --address=HEAD:6379`")
    gpus = sum(node.get("GPU", 0) for node in nodes) if gpu else 0
    return workers, min(1.0, int(gpus / workers * 10_000) / 10_000)  # Ray counts in ten-thousandths


@contextmanager
def _cluster() -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of this run
    host, _, port = os.environ.get("RAY_ADDRESS", "").rpartition("/")[2].rpartition(":")
    try:
        if port.isdigit():  # nobody there: said at once, Ray itself would ask again for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise Stopped(f"no Ray cluster can be reached or started (docs/cluster.md tells of tokens): {error}") from error
    try:
        yield
    finally:
        ray.shutdown()
