"""From a study to its runs: detectors x training sets x modes x seeds, the runs others start from first.

A run's name is `STUDY-DETECTORk-seedS` with the paper's numbers: k is `first` of its training set for the base run, the
next for transfer, the next for merge.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from training.config import Config
from training.errors import TrainingError
from training.settings import load_config, read_yaml
from training.studies.config import MODES, Detector, Study, StudyError


@dataclass(frozen=True)
class Run:
    """One training with all its test sets, or one that exists already (`config` None).

    `train`, `val`, `tests` (name in the tables -> split) name splits of the study; `parent`: the id of the run whose
    selected weights it starts from.
    """

    id: str
    detector: str  # with its number, as MesoNet4
    family: str
    number: int
    training_set: str
    mode: str
    seed: int
    config: Config | None
    train: str
    val: str
    tests: dict[str, str]
    parent: str | None = None


def plan(study: Study) -> list[Run]:
    """All runs, parents before children. Raises StudyError for settings that cannot be."""
    runs = []
    for mode, (name, chosen), (family, detector), (place, seed) in itertools.product(
        [mode for mode in MODES if mode in study.modes],
        study.training_sets.items(),
        study.detectors.items(),
        enumerate(study.seeds),
    ):
        number = chosen.first + MODES.index(mode)
        existing = detector.runs.get(number, [])
        if detector.config is None and place >= len(existing):
            continue
        base = f"{study.name}-{family}{chosen.first}-seed{seed}"
        runs.append(
            Run(
                id=existing[place] if existing else f"{study.name}-{family}{number}-seed{seed}",
                detector=f"{family}{number}",
                family=family,
                number=number,
                training_set=name,
                mode=mode,
                seed=seed,
                config=_config(study, family, detector, mode, seed, base),
                train=chosen.train if mode == "base" else chosen.augmented_train,
                val=chosen.val if mode == "base" else chosen.augmented_val,
                tests={test: split for test, (_, split) in study.tests(name).items()},
                parent=None if mode == "base" or detector.config is None else base,
            )
        )
    return runs


def _config(study: Study, family: str, detector: Detector, mode: str, seed: int, base: str) -> Config | None:
    """The settings of a run: the detector's file and settings, on them the study's for its mode and the detector's."""
    if detector.config is None:
        return None
    settings = {**detector.settings, "seed": seed}
    try:
        if mode != "base":
            own = {"init_from": base, "trains": "transfer" if mode == "transfer" else "all"}
            settings = _merged(settings, _file(study.finetune), study.augmented, detector.augmented, own)
        return load_config(detector.config, settings)
    except TrainingError as error:
        raise StudyError(f"detectors.{family}, {mode}: {error}") from error


def _file(path: Path | None) -> dict:
    return {} if path is None else read_yaml(path.read_text(encoding="utf-8"), str(path)) or {}


def _merged(*settings: dict) -> dict:
    """Nested settings over one another, the last on top."""
    merged: dict = {}
    for layer in settings:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = _merged(merged[key], value) if both else value
    return merged


def planned_table(runs: list[Run]) -> pa.Table:
    """The relation `planned` of the study's queries."""
    names = ("detector", "family", "number", "training_set", "mode", "seed")
    rows = [{**{name: getattr(run, name) for name in names}, "run_id": run.id} for run in runs]
    return pa.Table.from_pylist(rows)


def sets_table(study: Study, hashes: dict[str, str]) -> pa.Table:
    """The relation `tests`: every test set of every training set; `hashes`: split -> hash of its pin, where known."""
    rows = [
        {
            "training_set": name,
            "test": test,
            "role": role,
            "place": place,
            "split": study.splits[split].pinned or study.pinned_name(split),
            "split_hash": hashes.get(split),
        }
        for name in study.training_sets
        for place, (test, (role, split)) in enumerate(study.tests(name).items())
    ]
    return pa.Table.from_pylist(rows)
