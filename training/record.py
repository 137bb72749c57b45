"""run.json: what a run was made of and what came out, enough to repeat it and to judge it.

Plain JSON beside the predictions, because the catalog is only an index: settings, splits with their hashes, recipes,
versions, the machine, the kept checkpoint and why, and every figure with its level and aggregation.
"""

import importlib.metadata
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from training.config import Config
from training.metrics import FIGURES
from training.splits import Splits


def now() -> str:
    """The time as run.json has it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Library -> version: provenance of a run."""
    try:
        own = importlib.metadata.version("deepshard")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        own = "not installed"
    found = {"deepshard": own, "python": platform.python_version(), "torch": torch.__version__}
    found |= {name: importlib.metadata.version(name) for name in ("accelerate", "timm", "numpy", "scikit-learn")}
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def new_record(
    config: Config, run_id: str, chosen: Splits, notes: list[str], processes: int, device: torch.device
) -> dict[str, Any]:
    """run.json as it is when a run starts."""
    recipes = {recipe["hash"]: recipe for _, split in chosen.all() for recipe in split.recipes}
    return {
        "run_id": run_id,
        "status": "running",
        "created_at": now(),
        "finished_at": None,
        "detector": config.detector.name,
        "config": config.as_dict(),
        "splits": chosen.card(),
        "recipes": [recipes[key] for key in sorted(recipes)],
        "notes": notes,
        "world": {
            "processes": processes,
            "device": device.type,
            "device_name": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "versions": versions(),
        "init_from": None,
        "stopped_early": None,
        "checkpoint": None,
        "metrics": [],
    }


def _previous(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def evaluated(folder: Path, fresh: dict[str, Any]) -> dict[str, Any]:
    """The run's record, to which an evaluation adds its splits; `fresh` where the run left none here."""
    record = _previous(folder)
    if record is None:
        return {**fresh, "status": "evaluated", "finished_at": now()}
    known = {(split["role"], split["hash"]) for split in record["splits"]}
    record["splits"] += [split for split in fresh["splits"] if (split["role"], split["hash"]) not in known]
    record["notes"] += [note for note in fresh["notes"] if note not in record["notes"]]
    return record


def resumed(folder: Path, fresh: dict[str, Any], step: int) -> dict[str, Any]:
    """`fresh` with the beginning, the figures and the interruptions that the run's record tells of."""
    record = _previous(folder)
    if record is None:
        return fresh
    again = [*record.get("resumed", []), {"at": fresh["created_at"], "after_step": step, "world": fresh["world"]}]
    return {**fresh, "created_at": record["created_at"], "metrics": record["metrics"], "resumed": again}


def show(rows: list[dict[str, Any]]) -> None:
    """Print metric rows on standard output, a table per split."""
    console = Console()
    for name in dict.fromkeys(f"{row['split']}@{row['split_hash'][:12]}, {row['checkpoint']}" for row in rows):
        table = Table(title=name, title_justify="left")
        for column in ("level", "faceless", "videos", "AUC", "EER", "AP", "accuracy"):
            table.add_column(column, justify="left" if column in ("level", "faceless") else "right")
        for row in rows:
            if name == f"{row['split']}@{row['split_hash'][:12]}, {row['checkpoint']}":
                level = "frame" if row["level"] == "frame" else f"video ({row['aggregation']})"
                shown = ["-" if row[figure] is None else f"{row[figure]:.4f}" for figure in FIGURES]
                table.add_row(level, row["faceless"], str(row["videos"]), *shown)
        console.print(table)
    for reason in sorted({row["reason"] for row in rows if row["reason"]}):
        console.print(f"-: {reason}", markup=False)
