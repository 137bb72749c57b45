"""How many processes take part, how many were asked for, and how many threads each may use.

`accelerate launch --num_processes 2` starts *one* process, without a word, whenever it is given `--cpu` or sees fewer
than two GPUs; the run would then train on a different share of the machine than its user believes. That case is
recognised here and refused, and `--processes N` starts N processes itself, through torch's launcher, on any machine.
"""

import atexit
import logging
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from training.errors import TrainingError

# what launchers that do start several processes set: torch's, accelerate's multi-GPU, MPI in its dialects
_RANKED = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")


def launched_world(environ: Mapping[str, str]) -> int | None:
    """How many processes the launcher says there are; None where nothing launched this one."""
    return next((int(environ[name]) for name in _RANKED if environ.get(name)), None)


def launcher_dropped_processes(environ: Mapping[str, str]) -> bool:
    """Whether `accelerate launch` was asked for several processes and started this one alone.

    Its single-process path marks the settings it passes (ACCELERATE_MIXED_PRECISION) and sets MASTER_ADDR exactly when
    --num_processes is above 1, but no rank and no world size (accelerate 1.15, utils/launch.py,
    prepare_simple_launcher_cmd_env).
    """
    return (
        launched_world(environ) is None and "ACCELERATE_MIXED_PRECISION" in environ and bool(environ.get("MASTER_ADDR"))
    )


def check_processes(expected: int | None, environ: Mapping[str, str]) -> bool:
    """True if this process must start `expected` ones itself (`start_processes`), False if the world is as asked for.

    Raises TrainingError where the launcher started another number of processes than it, or `expected`, said.
    """
    world = launched_world(environ)
    if world is not None and expected is not None and world != expected:
        raise TrainingError(
            f"--processes {expected} was asked for and the launcher started {world}: "
            f"leave --processes away, or launch {expected}"
        )
    if world is None and expected is None and launcher_dropped_processes(environ):
        raise TrainingError(
            "accelerate launch was asked for several processes and started one (it does so with --cpu, and when it "
            "sees fewer than two GPUs). Start them with --processes N (python training/run.py --processes N ...) or "
            "torchrun --nproc_per_node N training/run.py ...; for a single process leave --num_processes away, or say "
            "--processes 1"
        )
    return world is None and expected is not None and expected > 1


def start_processes(count: int, arguments: list[str]) -> int:
    """Run ``training.run`` with `arguments` in `count` processes on this machine and wait for them, as torchrun would.

    Returns the exit code of the first that failed, or 0. If one fails, the others are stopped. A process tells its
    errors itself, so the launcher's own report of them is not shown.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    root = str(Path(__file__).resolve().parent.parent)
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # a single-process launcher's leftovers
        os.environ.pop(name, None)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # while it starts; then a process sets its own
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    settings = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=count, run_id=secrets.token_hex(4), max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", monitor_interval=0.1,
    )  # fmt: skip
    try:
        elastic_launch(settings, sys.executable)("-m", "training.run", *arguments)
    except ChildFailedError as error:
        return error.get_first_failure()[1].exitcode
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


def leave(code: int) -> NoReturn:
    """End this process with exit code `code`; one of several leaves without taking its interpreter down.

    gloo's threads may hold the last reference to a tensor of a collective that has just ended, and dropping it asks
    for the interpreter: once that is being taken down, the process aborts with "terminate called without an active
    exception", and the launcher calls a finished run failed (https://github.com/pytorch/pytorch/pull/179291).
    Destroying the process group does not join the threads while DDP's C++ side holds it. What is registered to be
    done at the end (loader workers, log files, temporary folders) is done first.
    """
    if (launched_world(os.environ) or 1) > 1:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(local_world: int, on_gpu: bool, workers: int | None, threads: int | None) -> tuple[int, int]:
    """(loader workers, arithmetic threads) of each of `local_world` processes on this machine.

    On a GPU the cores are for decoding: all but one of the process's share, at most 8. On a CPU arithmetic is the
    bottleneck, so one worker prefetches (none where a process has less than a core) and all cores of the share compute.
    """
    share = max(1, available_cores() // max(1, local_world))
    if workers is None:
        workers = min(8, max(1, share - 1)) if on_gpu else int(share > 1)
    return workers, threads if threads is not None else share
