"""Checkpoints: a folder per step, complete or absent, from which a run continues exactly.

    step-00000123/model.safetensors   weights; its metadata holds the card: all that scoring a face needs to know
                  optimiser.pt        optimiser and loss-scaler state, read back with weights_only=True
                  state.json          where the run stood, and a SHA-256 of the other two files

A folder is written under another name, fsynced and renamed. Random numbers are a function of (seed, step, rank), so no
generator state is stored. The last checkpoint and the selected one are kept, the others deleted.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.errors import TrainingError

FORMAT = 1
WEIGHTS, OPTIMISER, STATE = "model.safetensors", "optimiser.pt", "state.json"


@dataclass
class Progress:
    """Where a run stands between two optimiser steps."""

    seed: int
    train_hash: str  # of the pinned split
    step: int = 0  # optimiser steps done
    epoch: int = 0  # current epoch, from 0
    batch: int = 0  # global batches done in it
    samples_seen: int = 0  # over all processes
    best: dict[str, Any] | None = None  # {"checkpoint", "value", "metric", "epoch"}: the selected one so far
    last_val: dict[str, Any] | None = None  # figures of the last validation
    files: dict[str, str] = field(default_factory=dict)  # file -> SHA-256
    format: int = FORMAT


def step_name(step: int) -> str:
    return f"step-{step:08d}"


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON so that `path` holds the old text or the new, never half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, sort_keys=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _fsync(path.parent)


def save_checkpoint(
    folder: Path, weights: dict[str, Tensor], optimiser: dict[str, Any], progress: Progress, card: dict[str, Any]
) -> Path:
    """Write ``folder/step-NNNNNNNN`` and return it. `optimiser` may hold tensors, numbers, text, lists and dicts."""
    final = folder / step_name(progress.step)
    if final.exists():
        raise TrainingError(
            f"{final} exists already: a checkpoint is never overwritten; move it away or name a new run"
        )
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{final.name}.tmp"
    if temporary.exists():  # of a run that was killed while it wrote
        shutil.rmtree(temporary)
    temporary.mkdir()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    save_file(tensors, temporary / WEIGHTS, metadata={"deepshard": json.dumps(card)})
    torch.save(optimiser, temporary / OPTIMISER)
    for name in (WEIGHTS, OPTIMISER):
        _fsync(temporary / name)
        progress.files[name] = file_sha256(temporary / name)
    write_json(temporary / STATE, asdict(progress))
    _fsync(temporary)
    temporary.rename(final)
    _fsync(folder)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{STATE}"))


def prune_checkpoints(folder: Path, keep: set[str]) -> None:
    """Delete all checkpoints but those named. The state goes first: a half-deleted one is not taken for whole."""
    for path in folder.glob("step-*"):
        if path.name not in keep:
            (path / STATE).unlink(missing_ok=True)
            shutil.rmtree(path)


def read_progress(checkpoint: Path) -> Progress:
    """The state of a checkpoint folder; raises TrainingError if its files are not those that were written."""
    values = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    if values.get("format", 0) > FORMAT:
        raise TrainingError(
            f"{checkpoint} was written by a newer deepshard (format {values['format']}): update deepshard"
        )
    progress = Progress(**values)
    for name, digest in progress.files.items():
        if file_sha256(checkpoint / name) != digest:
            raise TrainingError(
                f"{checkpoint / name} is damaged (its SHA-256 differs): delete {checkpoint} and go on "
                "from the checkpoint before it"
            )
    return progress


def read_optimiser(checkpoint: Path) -> dict[str, Any]:
    """The optimiser's state; no object but tensors and plain containers is ever unpickled."""
    return torch.load(checkpoint / OPTIMISER, map_location="cpu", weights_only=True)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(weights, card) of a checkpoint folder or of its model.safetensors alone; raises TrainingError for others."""
    file = path / WEIGHTS if path.is_dir() else path
    try:
        with safe_open(file, framework="pt") as opened:
            card = json.loads((opened.metadata() or {}).get("deepshard", "null"))
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{file} cannot be read as a checkpoint: {error}") from error
    if card is None:
        raise TrainingError(f"{file} holds weights but does not say of which detector: it was not written by deepshard")
    return weights, card


def weights_sha256(path: Path) -> str:
    """SHA-256 of the weights in a checkpoint folder or .safetensors file: a run's name can be given to another run."""
    return file_sha256(path / WEIGHTS if path.is_dir() else path)


def describe_weights(path: Path, card: dict[str, Any]) -> dict[str, str]:
    """Which weights these are: run, checkpoint and SHA-256 of a checkpoint folder or file, whose card is given."""
    return {"run": card["run_id"], "checkpoint": step_name(card["step"]), "sha256": weights_sha256(path)}


def _of_run(folder: Path, selected: bool) -> Path:
    found = checkpoints(folder / "checkpoints")
    if not found:
        record = folder / "run.json"
        if record.is_file() and json.loads(record.read_text(encoding="utf-8")).get("status") == "imported":
            raise TrainingError(
                f"run {folder.name} is of imported scores: there are no weights to go on with or to score"
            )
        raise TrainingError(f"run {folder.name} has no checkpoint yet: start it again under another name")
    best = json.loads((found[-1] / STATE).read_text(encoding="utf-8"))["best"]
    return folder / "checkpoints" / best["checkpoint"] if selected and best else found[-1]


def run_folder(checkpoint: Path) -> Path | None:
    """The folder of the run a checkpoint folder lies in; None for a file or folder that was taken out of its run."""
    parent = checkpoint.resolve().parent
    return parent.parent if checkpoint.is_dir() and parent.name == "checkpoints" else None


def find_checkpoint(name: str, store: Path, selected: bool) -> Path:
    """The checkpoint that `name` means: a run's name in the store, a run's folder, a checkpoint's folder, or a
    .safetensors file. Of a run, the selected checkpoint (or, with `selected` false, and where none was, the last).
    Raises TrainingError, listing the runs there are.
    """
    for path in (Path(name), store / "runs" / name):
        if path.is_file():
            return path
        if (path / WEIGHTS).is_file():
            return path
        if (path / "run.json").is_file() or (path / "checkpoints").is_dir():
            return _of_run(path, selected)
    runs = sorted(path.parent.name for path in (store / "runs").glob("*/checkpoints"))
    listed = f"the runs with checkpoints are {', '.join(runs)}" if runs else f"there is no run in {store / 'runs'}"
    raise TrainingError(f"{name} is no checkpoint and no run: {listed}")
