"""A study's YAML file, read into dataclasses: detectors, sets, modes, seeds, and how the runs are started.

Paths in the file are relative to it; a query may be a shipped one's name. Every key is known or an error, and every
reference (a split that a set names, a mode) is checked here, before anything is pinned or trained.
"""

import difflib
import re
import shlex
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.settings import read_yaml

MODES = ("base", "transfer", "merge")  # in the order of the paper's numbers


class StudyError(TrainingError):
    """A study that cannot be what its file says, or whose folder holds something else; says what to do next."""


@dataclass(frozen=True)
class SplitOf:
    """A set of the study: a `query` (a file, or a shipped one's name) with `params`, or a split that is `pinned`."""

    query: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    pinned: str | None = None


@dataclass(frozen=True)
class TrainingSet:
    """What detectors are trained on and tested with. All values but `first` and `specialised` are names of splits.

    `first`: number of the detector trained on `train` alone; transfer and merge follow. `augmented_*` are for those
    two. `original`: its test set. `specialised`: name in the tables -> split.
    """

    first: int
    train: str
    val: str
    original: str
    augmented_train: str | None = None
    augmented_val: str | None = None
    specialised: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Detector:
    """A row of detectors: `config` with `settings` on top, and `augmented` ones on these for transfer and merge.

    `runs` (number -> run ids, one a seed) instead: scores that exist already, such as imported ones.
    """

    config: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    augmented: dict[str, Any] = field(default_factory=dict)
    runs: dict[int, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Meant:
    """Findings between splits that the study's design implies: `rules` (of `deepshard split check`), and `why`."""

    between: list[str]
    and_: list[str]
    rules: list[str]
    why: str


@dataclass(frozen=True)
class Tables:
    draws: int = 1000  # of the bootstrap
    level: float = 0.95  # of the intervals
    seed: int = 0  # of the bootstrap
    over: float = 30.0  # points of degradation above which a detector is in tables 6 and 7


@dataclass(frozen=True)
class Heatmaps:
    images: int = 1000  # fakes of each set
    guided: bool = False
    examples: int = 6  # faces on the sheet


@dataclass(frozen=True)
class Neurons:
    images: int = 1920  # of each set
    tops: list[int] = field(default_factory=lambda: [64, 128, 256, 512])


@dataclass(frozen=True)
class Study:
    """A study as its file says it. `unseen`: name in the tables -> split; `params` go to every query that takes them.

    `finetune`, `augmented`: a configuration file, and settings on top, of all transfer and merge runs. `launch`: words
    before training/run.py; none: this Python. `parallel`: runs at a time; `devices`: the CUDA devices they take turns
    on, as "0" or "0,1", none: all see all. `published`: a CSV of the paper's figures, see published.sql. `note`: what
    stands under every table.
    """

    path: Path
    name: str
    splits: dict[str, SplitOf]
    training_sets: dict[str, TrainingSet]
    unseen: dict[str, str]
    detectors: dict[str, Detector]
    modes: list[str] = field(default_factory=lambda: list(MODES))
    seeds: list[int] = field(default_factory=lambda: [0])
    params: dict[str, Any] = field(default_factory=dict)
    finetune: Path | None = None
    augmented: dict[str, Any] = field(default_factory=dict)
    meant: list[Meant] = field(default_factory=list)
    launch: list[str] = field(default_factory=list)
    parallel: int = 1
    devices: list[str] = field(default_factory=list)
    published: Path | None = None
    note: str | None = None
    tables: Tables = field(default_factory=Tables)
    heatmaps: Heatmaps = field(default_factory=Heatmaps)
    neurons: Neurons = field(default_factory=Neurons)

    def tests(self, training_set: str) -> dict[str, tuple[str, str]]:
        """Name in the tables -> (role, split) of every test set of detectors of `training_set`, in order of columns."""
        chosen = self.training_sets[training_set]
        tests = {"original": ("original", chosen.original)}
        tests |= {name: ("unseen", split) for name, split in self.unseen.items()}
        return tests | {name: ("specialised", split) for name, split in chosen.specialised.items()}

    def pinned_name(self, split: str) -> str:
        """What the study's split is called in the store."""
        return f"{self.name}-{split}"


def read_study(path: str | Path) -> Study:
    """The study of a YAML file. Raises StudyError, naming the file and the key."""
    path = Path(path)
    if not path.is_file():
        shipped = ", ".join(str(found) for found in sorted(Path(__file__).parent.glob("*.yaml")))
        raise StudyError(f"there is no study {path}; those that come with deepshard: {shipped}")
    try:
        values = read_yaml(path.read_text(encoding="utf-8"), str(path)) or {}
        study = _study(values, path)
        _check(study)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    return study


def _study(values: dict[str, Any], path: Path) -> Study:
    given = _take(Study, values, "the study", without=("path",))
    here = path.parent
    given["splits"] = {
        key: _make(SplitOf, value, f"splits.{key}") for key, value in _map(given["splits"], "splits").items()
    }
    given["training_sets"] = {
        str(key): _make(TrainingSet, value, f"training_sets.{key}")
        for key, value in _map(given["training_sets"], "training_sets").items()
    }
    given["detectors"] = {
        str(key): _detector(value, f"detectors.{key}", here)
        for key, value in _map(given["detectors"], "detectors").items()
    }
    given["meant"] = [_meant(value, f"meant[{i}]") for i, value in enumerate(_list(given.get("meant") or [], "meant"))]
    given["unseen"] = {str(key): value for key, value in _map(given["unseen"], "unseen").items()}
    for key, kind in (("tables", Tables), ("heatmaps", Heatmaps), ("neurons", Neurons)):
        given[key] = _make(kind, given.get(key) or {}, key)
    launch = given.get("launch") or []
    given["launch"] = shlex.split(launch) if isinstance(launch, str) else [str(word) for word in launch]
    given["devices"] = [str(device) for device in _list(given.get("devices") or [], "devices")]
    for key in ("published", "finetune"):
        if given.get(key) is not None:
            given[key] = here / given[key]
    given["augmented"] = _map(given.get("augmented") or {}, "augmented")
    given["params"] = _map(given.get("params") or {}, "params")
    return Study(path=path, **given)


def _detector(value: Any, where: str, here: Path) -> Detector:
    given = _take(Detector, {"config": value} if isinstance(value, str) else value, where)
    if (given.get("config") is None) == (not given.get("runs")):
        raise StudyError(f"{where}: give a training configuration (`config`), or run ids (`runs`), and not both")
    if given.get("runs"):
        if given.get("settings") or given.get("augmented"):
            raise StudyError(f"{where}: runs that exist already take no settings: leave settings and augmented away")
        runs = _map(given["runs"], f"{where}.runs")
        given["runs"] = {int(key): [ids] if isinstance(ids, str) else _list(ids, where) for key, ids in runs.items()}
        return Detector(**given)
    given["config"] = here / given["config"]
    for key in ("settings", "augmented"):
        given[key] = _map(given.get(key) or {}, f"{where}.{key}")
    return Detector(**given)


def _meant(value: Any, where: str) -> Meant:
    given = _map(value, where)
    given = {"and_" if key == "and" else key: entry for key, entry in given.items()}
    return _make(Meant, given, where)


def _make(kind: type, value: Any, where: str) -> Any:
    given = _take(kind, value, where)
    for item in fields(kind):
        if item.name in given and item.type in (int, float, bool, str):
            given[item.name] = _typed(given[item.name], item.type, f"{where}.{item.name}")
        elif item.name in given and str(item.type).startswith("list"):
            given[item.name] = _list(given[item.name], f"{where}.{item.name}")
        elif item.name in given and str(item.type).startswith("dict"):
            given[item.name] = _map(given[item.name], f"{where}.{item.name}")
    return kind(**given)


def _take(kind: type, value: Any, where: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The mapping `value`, whose keys must be fields of `kind`, those without a default all there."""
    given = dict(_map(value, where))
    known = {item.name: item for item in fields(kind) if item.name not in without}
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
            raise StudyError(f"{where} has no {key!r}: {hint}")
    for name, item in known.items():
        if name not in given and item.default is MISSING and item.default_factory is MISSING:
            raise StudyError(f"{where} lacks {name}")
    return given


def _check(study: Study) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.=+-]*", str(study.name)):
        raise StudyError(f"name must be letters, digits and _ . = + - (it names folders), not {study.name!r}")
    for what, names in (("modes", study.modes), ("seeds", study.seeds)):
        if not isinstance(names, list) or not names or len(set(names)) < len(names):
            raise StudyError(f"{what} must be a list without repeats, not {names!r}")
    if unknown := [mode for mode in study.modes if mode not in MODES]:
        raise StudyError(f"modes are {', '.join(MODES)}, not {', '.join(map(str, unknown))}")
    if "base" not in study.modes and any(detector.config for detector in study.detectors.values()):
        raise StudyError("transfer and merge start from base runs: add base to modes")
    if not all(isinstance(seed, int) and seed >= 0 for seed in study.seeds):
        raise StudyError(f"seeds must be whole numbers from 0, not {study.seeds}")
    if not isinstance(study.parallel, int) or study.parallel < 1:
        raise StudyError(f"parallel must be a number of runs from 1, not {study.parallel!r}")
    for key in ("published", "finetune"):
        file = getattr(study, key)
        if file is not None and not file.is_file():
            raise StudyError(f"{key}: there is no file {file}: name one, or leave {key} away")
    _check_splits(study)
    _check_numbers(study)
    if not 0 < study.tables.level < 1 or study.tables.draws < 1:
        raise StudyError("tables.level must lie between 0 and 1, tables.draws be at least 1")


def _check_splits(study: Study) -> None:
    for key, split in study.splits.items():
        if (split.query is None) == (split.pinned is None):
            raise StudyError(f"splits.{key}: give a query, or the name of a pinned split, and not both")
        if split.pinned is not None and split.params:
            raise StudyError(f"splits.{key}: a pinned split has its parameters already: leave params away")

    def known(where: str, name: str | None) -> None:
        if name is not None and name not in study.splits:
            near = difflib.get_close_matches(str(name), study.splits, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(study.splits)}"
            raise StudyError(f"{where} names the split {name!r}, which is not among splits: {hint}")

    augmented = set(study.modes) - {"base"}
    for key, chosen in study.training_sets.items():
        for part in ("train", "val", "original", "augmented_train", "augmented_val"):
            known(f"training_sets.{key}.{part}", getattr(chosen, part))
            if augmented and part.startswith("augmented") and getattr(chosen, part) is None:
                raise StudyError(f"training_sets.{key} lacks {part}, which {' and '.join(sorted(augmented))} need")
        for name, split in chosen.specialised.items():
            known(f"training_sets.{key}.specialised.{name}", split)
            if name in study.unseen or name in RESERVED:
                raise StudyError(f"training_sets.{key}.specialised.{name}: the name is taken, choose another")
    for name, split in study.unseen.items():
        known(f"unseen.{name}", split)
        if name in RESERVED:
            raise StudyError(f"unseen.{name}: the name is taken, choose another")
    for number, entry in enumerate(study.meant):
        for name in (*entry.between, *entry.and_):
            known(f"meant[{number}]", name)


# figures of a detector that are no test set's accuracy, see figures.sql
RESERVED = (
    "original", "average", "degradation", "specialised", "specialised_degradation", "difference", "family_average",
    "rank", "specialised_rank", "detector",
)  # fmt: skip


def _check_numbers(study: Study) -> None:
    """Numbers tell detectors of one family apart, and what they were trained on."""
    taken: dict[int, str] = {}
    for key, chosen in study.training_sets.items():
        for number in range(chosen.first, chosen.first + len(MODES)):
            if number in taken:
                raise StudyError(
                    f"detectors of {taken[number]} and of {key} would both have the number {number}: each set takes "
                    f"{len(MODES)} from `first` on"
                )
            taken[number] = key
    for name, detector in study.detectors.items():
        if not re.fullmatch(r"[A-Za-z0-9_.=+-]*[A-Za-z_.=+-]", name):
            raise StudyError(
                f"detectors.{name}: a name is letters, digits and _ . = + -, and no digit at its end, where the "
                "detector's number goes"
            )
        if detector.config is not None and not detector.config.is_file():
            raise StudyError(f"detectors.{name}: there is no configuration {detector.config}")
        if wrong := [number for number in detector.runs if number not in taken]:
            raise StudyError(f"detectors.{name}.runs: {wrong[0]} is no number of a training set ({sorted(taken)})")


def _typed(value: Any, kind: type, where: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise StudyError(f"{where} must be {kind.__name__}, not {value!r}")


def _map(value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise StudyError(f"{where} must be a mapping, not {value!r}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise StudyError(f"{where} must be a list, not {value!r}")
    return value
