"""How far each run of a study is, read from its folder in the store, and whether it is the run that is asked for.

A run that was trained with other settings, on another split, or from other weights than the study asks for now is an
error: its figures would stand in the study's tables under a wrong head.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from training.checkpoint import STATE, WEIGHTS, checkpoints, find_checkpoint
from training.config import RESUMABLE, Config
from training.errors import TrainingError
from training.settings import from_dict
from training.studies.config import StudyError
from training.studies.pins import Pin
from training.studies.plan import Run

# what may differ between a run and the study: where and how fast it ran, and what it reported
_NO_MATTER = RESUMABLE - {"epochs"}


@dataclass(frozen=True)
class Standing:
    """`state`: missing | unfinished (has a checkpoint to go on from) | broken (has none) | finished. `unscored`: splits
    that a finished run was not tested on. `record`: run.json, or None."""

    state: Literal["missing", "unfinished", "broken", "finished"]
    folder: Path
    record: dict[str, Any] | None = None
    unscored: tuple[str, ...] = ()


def look(run: Run, store: Path, pins: dict[str, Pin]) -> Standing:
    """Where `run` stands. `pins` may lack splits that are not pinned yet. Raises StudyError for another run of its
    name, saying what differs."""
    folder = store / "runs" / run.id
    if not folder.exists():
        if run.config is None:
            raise StudyError(
                f"there is no run {run.id} in {store / 'runs'}, which {run.detector} should be: import its scores "
                "(`deepshard results import`), or correct the study's `runs`"
            )
        return Standing("missing", folder)
    record = _record(folder)
    if run.config is None:
        return Standing("finished", folder, record)
    if record is None:
        return Standing("broken", folder)
    if differences := [*_settings(run.config, record), *_splits(run, record, pins), *_start(run, record, store)]:
        raise StudyError(
            f"run {run.id} is not the one that the study asks for now ({'; '.join(differences)}): to train it anew "
            f"move {folder} away, and those of runs that start from it; or give the study another name"
        )
    if record["status"] != "finished":
        return Standing("unfinished" if checkpoints(folder / "checkpoints") else "broken", folder, record)
    tested = {split["hash"] for split in record["splits"] if split["role"] == "test"}
    unscored = [split for split in run.tests.values() if split in pins and pins[split].hash not in tested]
    return Standing("finished", folder, record, tuple(unscored))


def check_runs(runs: list[Run], store: Path, pins: dict[str, Pin]) -> None:
    """Raise StudyError, with a line for each, where runs of these names are other ones."""
    wrong = []
    for run in runs:
        try:
            look(run, store, pins)
        except StudyError as error:
            wrong.append(str(error))
    if wrong:
        raise StudyError("\n".join(wrong))


def original_accuracy(record: dict[str, Any] | None, pin: Pin) -> float | None:
    """The frame-level accuracy on the original test set as run.json has it, in percent."""
    for row in (record or {}).get("metrics", []):
        if row["split_hash"] == pin.hash and row["level"] == "frame" and row["accuracy"] is not None:
            return 100 * row["accuracy"]
    return None


def _record(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StudyError(f"{path} cannot be read ({error}): move {folder} away to train this run anew") from error


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def decisive(config: Config) -> dict[str, Any]:
    """Dotted setting -> value of all that decides what a run learns."""
    kept = {name: value for name, value in config.without_places().items() if name not in _NO_MATTER}
    return _flat(kept)


def _settings(asked: Config, record: dict[str, Any]) -> list[str]:
    try:
        was = decisive(from_dict(record["config"]))
    except TrainingError as error:
        return [f"its settings are of another version: {error}"]
    now = decisive(asked)
    return [
        f"{name} was {was.get(name)!r}, is {now.get(name)!r}"
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]


def _splits(run: Run, record: dict[str, Any], pins: dict[str, Pin]) -> list[str]:
    used = {split["role"]: split for split in record["splits"] if split["role"] != "test"}
    found = []
    for role, name in (("train", run.train), ("val", run.val)):
        if name not in pins:
            continue
        was = f"{used[role]['name']}@{used[role]['hash'][:12]}" if role in used else "none"
        if role not in used or used[role]["hash"] != pins[name].hash:
            found.append(f"--{role} was {was}, is {pins[name].label}")
    return found


def _start(run: Run, record: dict[str, Any], store: Path) -> list[str]:
    """Whether a run that starts from another one's weights started from those that are there now."""
    started = record.get("init_from")
    if run.parent is None or not started or not (store / "runs" / run.parent / "run.json").is_file():
        return []
    if _record(store / "runs" / run.parent)["status"] != "finished":
        return []
    checkpoint = find_checkpoint(run.parent, store, selected=True)
    weights = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["files"][WEIGHTS]
    if weights != started["sha256"]:
        return [f"it started from other weights than {run.parent} has selected since ({checkpoint.name})"]
    return []
