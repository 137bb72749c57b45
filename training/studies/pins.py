"""The study's splits: pinned once under the study's name, kept ever after, and looked at in pairs.

A pin that was made by another query or with other parameters is not taken for the one that is asked for now. What
two splits share is told as `deepshard split check` finds it; where the design of the study implies it, it is named so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from queries import manifest
from queries.check import Finding, check
from queries.errors import PinnedError
from queries.pin import pin
from queries.pinned import find_pinned
from queries.sandbox import Query
from queries.split import SplitFile, read_split
from training.studies.config import SplitOf, Study, StudyError
from training.studies.plan import Run


@dataclass(frozen=True)
class Pin:
    """A split of the study as it lies in the store."""

    split: str  # its name in the study
    path: Path
    label: str  # NAME@HASH12
    hash: str
    faces: int
    real: int
    fake: int
    lints: list[dict[str, Any]]  # as the manifest has them: severity, message, examples


@dataclass(frozen=True)
class Found:
    """A finding between two splits; `why` where the study's design implies it, else None."""

    finding: Finding
    why: str | None


def needed(runs: list[Run]) -> list[str]:
    """The splits that these runs use, those that are trained on first."""
    trained = [run for run in runs if run.config is not None]
    names = [name for run in trained for name in (run.train, run.val)]
    return list(dict.fromkeys([*names, *(split for run in runs for split in run.tests.values())]))


def find_pin(study: Study, split: str, store: Path) -> Pin | None:
    """The split's pin in the store, or None. Raises StudyError where the pin there is another one."""
    asked = study.splits[split]
    name = asked.pinned or study.pinned_name(split)
    versions = sorted((store / "splits").glob(f"{name}@*.arrow"))
    if asked.pinned is None:
        if not versions:
            return None
        if len(versions) > 1:
            listed = ", ".join(str(path) for path in versions)
            raise StudyError(
                f"the study's split {split} was pinned {len(versions)} times: move all but one of {listed} away"
            )
        path = versions[0]
    else:
        path = find_pinned(store, name)
    try:
        card, counts = manifest.read_card(path)
    except (OSError, ValueError) as error:
        raise PinnedError(f"{path} cannot be read: {error}. Pin the split again") from error
    if asked.query is not None and (differences := _differences(card, *_asked(study, asked))):
        raise StudyError(
            f"the pin {path} of the split {split} is not what the study asks for now ({'; '.join(differences)}): give "
            "the study another name, or move this file away to pin it anew, and the runs that used it"
        )
    return Pin(split, path, f"{card['name']}@{card['hash'][:12]}", card["hash"], **counts, lints=card["lints"])


def pin_splits(
    study: Study, splits: list[str], catalog: Path, store: Path, say: Callable[[str], None]
) -> dict[str, Pin]:
    """Split -> its pin, made now where there is none. Raises StudyError, SplitError, PinnedError, CatalogError."""
    pins = {}
    for split in splits:
        found = find_pin(study, split, store)
        state = "kept"
        if found is None:
            file, given = _asked(study, study.splits[split])
            pin(catalog, store, file.path, name=study.pinned_name(split), params=given)
            found, state = find_pin(study, split, store), "pinned"
        pins[split] = found
        say(f"{state} {found.label}: {found.faces:,} faces, {found.real:,} real, {found.fake:,} fake")
        if state == "pinned":
            for lint in found.lints:
                if lint["severity"] != "note":
                    say(f"  {lint['severity']}: {lint['message']}")
    return pins


def check_splits(study: Study, runs: list[Run], catalog: Path, pins: dict[str, Pin]) -> list[Found]:
    """What training shares with validation and tests, and validation with tests; each pair once."""
    names = {pin.label: pin.split for pin in pins.values()}
    found = []
    for group in _groups(runs):
        pairs = {*product(group.train, [*group.val, *group.tests]), *product(group.val, group.tests)}
        paths = dict.fromkeys(pins[split].path for split in (*group.train, *group.val, *group.tests))
        for finding in check(catalog, list(paths)):
            sides = tuple(names[side] for side in finding.splits)
            if len(sides) == 2 and (sides in pairs or sides[::-1] in pairs):
                found.append(Found(finding, _why(study, sides, finding.rule)))
    return list({(one.finding.rule, one.finding.splits): one for one in found}.values())


@dataclass
class _Group:
    """The splits of the runs of one training set."""

    train: list[str]
    val: list[str]
    tests: list[str]


def _groups(runs: list[Run]) -> Iterator[_Group]:
    for name in dict.fromkeys(run.training_set for run in runs if run.config is not None):
        members = [run for run in runs if run.training_set == name and run.config is not None]
        yield _Group(
            list(dict.fromkeys(run.train for run in members)),
            list(dict.fromkeys(run.val for run in members)),
            list(dict.fromkeys(split for run in members for split in run.tests.values())),
        )


def _why(study: Study, sides: tuple[str, str], rule: str) -> str | None:
    for entry in study.meant:
        for one, other in (sides, sides[::-1]):
            if rule in entry.rules and one in entry.between and other in entry.and_:
                return entry.why
    return None


def _asked(study: Study, asked: SplitOf) -> tuple[SplitFile, dict[str, Any]]:
    """The split file and its parameters: its own, and those of the study that it knows."""
    beside = study.path.parent / str(asked.query)
    file = read_split(beside if beside.is_file() else Path(str(asked.query)))
    common = {name: value for name, value in study.params.items() if name in file.all_params() or name == "recipe"}
    return file, {**common, **asked.params}


def _differences(card: dict[str, Any], file: SplitFile, given: dict[str, Any]) -> list[str]:
    """How the query and parameters behind a pin differ from those asked for."""
    query = file.query(given)
    found = [] if _texts(query) == _pinned_texts(card) else ["its SQL is another text"]
    values = {**_values(query), **{name: value for name, value in given.items() if name == "recipe"}}
    for name, value in values.items():
        before = card["params"].get(name)
        if before != value:
            found.append(f"{name} was {before!r}, is {value!r}")
    return found


def _texts(query: Query) -> list[Any]:
    return [query.sql, {alias: _texts(used) for alias, used in sorted(query.uses.items())}]


def _pinned_texts(card: dict[str, Any]) -> list[Any]:
    return [card["sql"], {alias: _pinned_texts(used) for alias, used in sorted(card["uses"].items())}]


def _values(query: Query) -> dict[str, Any]:
    inner = {name: value for used in query.uses.values() for name, value in _values(used).items()}
    return inner | dict(query.params)
