"""This process's share of the machine: device, precision, threads, and the other processes.

Accelerate finds devices and ranks; what it would decide silently (mixed precision from its launcher, one thread per
process) is checked or set here, so that the stored configuration alone tells how a run was computed.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs

from training.config import Config
from training.errors import TrainingError
from training.world import launched_world, share_of_cores


def check_launcher(config: Config, environ: Mapping[str, str]) -> None:
    """Raise TrainingError where the launcher was told something that only the configuration decides."""
    asked = environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if asked not in ("no", config.precision):
        raise TrainingError(
            f"accelerate launch was given mixed precision {asked} and the configuration says {config.precision}: "
            f"give --precision {asked} to training (it is stored with the run), or leave the launcher's away"
        )
    for name, what in (("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")):
        if environ.get(name, "false").lower() == "true":
            raise TrainingError(f"{what} is not supported: training is data parallel; launch it without {what}")


def join_processes(config: Config) -> PartialState:
    """Join the other processes, on GPUs, or on CPUs with --cpu, `accelerate launch --cpu`, or where there is no GPU.

    Raises TrainingError unless as many came together as the launcher started: Accelerate takes each of several
    processes on a machine without GPU for the only one, unless it is told to use the CPU (1.15, state.py), and each
    would write the same run.
    """
    told = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("true", "1", "yes")
    cpu = config.cpu or told or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu, timeout=timedelta(minutes=30))
    launched = launched_world(os.environ) or 1
    if state.num_processes != launched:
        raise TrainingError(
            f"the launcher started {launched} processes and {state.num_processes} came together: with "
            f"{launched} GPUs start one process each, else add --cpu"
        )
    return state


def check_device(config: Config) -> None:
    """Raise TrainingError for a precision or a setting that this process's device does not have."""
    device = PartialState().device
    if config.precision == "fp16" and device.type == "cpu":
        raise TrainingError("fp16 needs a GPU: on a CPU use --precision bf16 or no")
    if config.precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise TrainingError("this GPU has no bf16: use --precision fp16 or no")
    if config.sync_batchnorm and device.type != "cuda":
        raise TrainingError("sync_batchnorm needs GPUs: start a run with sync_batchnorm: false")


def make_accelerator(config: Config, folder: Path, tracked: bool) -> Accelerator:
    """The Accelerator of this process, with TensorBoard in `folder` where the run is `tracked`."""
    return Accelerator(
        cpu=PartialState().device.type == "cpu",
        mixed_precision=config.precision,
        log_with="tensorboard" if tracked else None,
        project_dir=folder,
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )


def set_arithmetic(config: Config, state: PartialState) -> int:
    """Set threads and determinism of this process; returns how many loader workers it gets."""
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", state.num_processes))
    workers, threads = share_of_cores(local_world, state.device.type == "cuda", config.workers, config.threads)
    torch.set_num_threads(threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for before it promises anything
    torch.use_deterministic_algorithms(config.deterministic)
    torch.backends.cudnn.benchmark = not config.deterministic  # crops have one size: the search pays
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not config.deterministic
    return workers
