"""Who runs the units of a curation: one video to one part, here or on many machines.

An engine gets tasks and what does one, and yields what became of each. The driver knows nothing else of it: what is
missing, when a shard is full and who writes the catalog are the same under every engine, and so is the result.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

ENGINES = ("local", "ray")
APART = frozenset({"ray"})  # engines whose workers may have no disk in common with the driver

Beat = Callable[[], None]
Work = Callable[[Any, Beat], Any]  # one task and a heartbeat to call whenever something got done


@dataclass(frozen=True)
class Limits:
    """What one video may cost: seconds without a heartbeat, and bytes of resident memory of the process at work.

    ``memory_bytes`` None: an even share of the memory of the machine that the worker is on. ``gpu``: whether a worker
    wants its share of a GPU, where there is one.
    """

    stall_s: float = 120.0
    memory_bytes: int | None = None
    gpu: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its ``result``, or how the worker was lost and, in words, why (``detail``).

    ``kind``: done; raised (an exception of the work); crashed (the process ended itself: a segmentation fault, an
    abort, an exit); killed (somebody else ended it: the out-of-memory killer, a lost machine, a person); stalled or
    oversized (it was ended here, for passing a limit).
    """

    task: Any
    kind: Literal["done", "raised", "crashed", "killed", "stalled", "oversized"]
    result: Any = None
    detail: str = ""


@dataclass(frozen=True)
class Carried:
    """What work returns whose file lies in a scratch folder of its own machine: an engine of ``APART`` brings it.

    The file is at ``target``, durably, before the outcome is yielded, whose result is ``value``; the scratch folder
    is gone then.
    """

    value: Any
    file: str
    target: str


class Stopped(RuntimeError):
    """The workers cannot start at all; the message is the first worker's own."""

    deepshard_error = True


class Engine(Protocol):
    """Runs every task and yields outcomes in the order in which they finish; a task is taken when a worker is free."""

    def __call__(
        self,
        start: Callable[..., Work],
        arguments: tuple,
        tasks: Iterable[Any],
        workers: int | None,
        limits: Limits,
        retry: Callable[[Outcome], Any | None],
    ) -> Iterator[Outcome]:
        """``start(*arguments)`` runs once in each of ``workers`` processes and returns the function that does a task.

        ``workers`` None: as many as the machine, or the machines, have CPUs for.

        ``retry`` may answer an outcome with another task to do in its stead; that outcome is not yielded then. Whatever
        ends the generator (exhaustion, an exception, close) ends the workers too. Raises Stopped when a worker cannot
        start.
        """
        ...


def open_engine(name: str) -> Engine:
    """The engine called ``name``. Raises Stopped if it is unknown or not installed."""
    if name == "local":
        from curation.engines.local import run_tasks

        return run_tasks
    if name == "ray":
        try:
            from curation.engines.on_ray import run_tasks
        except ImportError as error:
            raise Stopped(f"the engine ray needs Ray ({error}): pip install 'deepshard[ray]'") from error
        return run_tasks
    raise Stopped(f"no engine is called {name!r}: take one of {', '.join(ENGINES)}")
