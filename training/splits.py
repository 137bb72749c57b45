"""What --train, --val and --test name: a manifest's path, a pin's name in the store, or a `.sql` file to pin now.

A `.sql` file is pinned by rank 0 before anything starts; from then on there is only the manifest, which is immutable.
Here too the checks that need no pixels: one class, validation on test data, videos on both sides.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from shards.sequence import target_rows
from shards.split import Split
from training.errors import TrainingError


def split_path(name: str, store: Path, catalog: Path) -> Path:
    """The manifest `name` means. Pins it first where it is a `.sql` file (so call this in one process only).

    Raises TrainingError, with the nearest names, where there is none, or several versions of one name.
    """
    if name.endswith(".sql"):
        if not Path(name).is_file():
            raise TrainingError(f"there is no query {name}: give the path of a .sql file, or a pinned split")
        from queries.pin import pin  # the one place where training needs the catalog before it starts

        return Path(pin(catalog, store, Path(name)).path)
    if Path(name).is_file():
        return Path(name)
    folder = store / "splits"
    pinned = {path.name.removesuffix(".arrow"): path for path in sorted(folder.glob("*.arrow"))}
    if name.removesuffix(".arrow") in pinned:
        return pinned[name.removesuffix(".arrow")]
    versions = [full for full in pinned if full.split("@")[0] == name or full.startswith(name + "@")]
    if len(versions) == 1:
        return pinned[versions[0]]
    if versions:
        raise TrainingError(f"{name} was pinned {len(versions)} times: say which, {' or '.join(versions)}")
    near = difflib.get_close_matches(name, [*pinned, *{full.split("@")[0] for full in pinned}], n=3, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"pin one first: deepshard split pin FILE.sql (looked in {folder})"
    )
    raise TrainingError(f"there is no file and no pinned split {name!r}: {hint}")


@dataclass(frozen=True)
class Splits:
    train: Split | None
    val: Split | None
    tests: tuple[Split, ...]

    def all(self) -> list[tuple[str, Split]]:
        """(role, split) of each."""
        named = [("train", self.train), ("val", self.val), *(("test", split) for split in self.tests)]
        return [(role, split) for role, split in named if split is not None]

    def card(self) -> list[dict]:
        """What a run and a checkpoint store about them."""
        return [describe(split, role) for role, split in self.all()]


def label(split: Split) -> str:
    """``name@hash12``, as its file is called."""
    return f"{split.name}@{split.hash[:12]}"


def describe(split: Split, role: str) -> dict:
    labels = split.labels
    counts = {"samples": len(split)}
    if role == "train" and (target := target_rows(split)).any():
        labels = labels[~target]  # those of the target are not for training, nor for looking at them
        counts["target"] = int(target.sum())
    fake = int(np.count_nonzero(labels))
    counts |= {"real": len(labels) - fake, "fake": fake, "faceless": len(split.faceless)}
    return {"role": role, "name": split.name, "hash": split.hash, **counts}


def _videos(split: Split) -> set[str]:
    codes, names = split.words("video_id")
    return {names[code] for code in np.unique(codes)} | {row["video_id"] for row in split.faceless}


def shared_videos(one: Split, other: Split) -> list[str]:
    """The videos that are in both splits."""
    return sorted(_videos(one) & _videos(other))


def check_train(train: Split, model: nn.Module, detector: str) -> None:
    """Raise TrainingError for an empty split, and for one class or two domains where the detector does not say that
    it can learn from them. Of two domains the labels of the source count."""
    if len(train) == 0:
        raise TrainingError(f"split {label(train)} is empty: nothing can be learnt from it")
    target = target_rows(train)
    if target.any() != getattr(model, "two_domains", False):
        raise TrainingError(
            f"split {label(train)} has a target domain, and detector {detector} does not learn from one: pin the rows "
            "of role 'source' alone (a detector that learns from both says so with two_domains = True)"
            if target.any()
            else f"detector {detector} learns from two domains, and split {label(train)} has none of role 'target': "
            "select 'source' or 'target' AS role"
        )
    classes = np.unique(train.labels[~target])
    if classes.size == 1 and not getattr(model, "one_class", False):
        only = "fake" if classes[0] else "real"
        raise TrainingError(
            f"split {label(train)} has only {only} faces, and detector {detector} needs both classes: add the other "
            "to the query (a detector that can learn from one class says so with one_class = True)"
        )


def check_selection(val: Split, tests: tuple[Split, ...], select: str) -> None:
    """Raise TrainingError where --val is a test set too, or cannot give the figure that checkpoints are selected by."""
    for test in tests:
        if test.hash == val.hash:
            raise TrainingError(
                f"--val {label(val)} is also --test {label(test)}: a checkpoint selected on test data makes its test "
                "figures worthless. Validate on another split of the training source, or leave --val away (the last "
                "checkpoint is kept then)"
            )
    if target_rows(val).any():
        raise TrainingError(
            f"--val {label(val)} has faces of the target domain, and a checkpoint selected by their labels would have "
            "been trained on them: validate on the source"
        )
    if len(val) == 0:
        raise TrainingError(f"split {label(val)} is empty: no checkpoint can be selected on it")
    if np.unique(val.labels).size == 1 and select not in ("loss", "frame_accuracy", "video_accuracy"):
        raise TrainingError(
            f"--val {label(val)} has one class, so {select} does not exist on it: validate on both classes, or "
            "--select loss"
        )


def lints(splits: Splits) -> list[str]:
    """What pinning found to be wrong or dubious about each split, a sentence each."""
    return [
        f"{label(split)}: {lint['message']}"
        for _, split in splits.all()
        for lint in split.meta["lints"]
        if lint["severity"] in ("error", "warning")
    ]


def leaks(splits: Splits) -> list[str]:
    """A sentence for each pair of splits that share videos, training against the others and validation against test."""
    found = []
    pairs = [(splits.train, splits.val), *((splits.train, test) for test in splits.tests)]
    pairs += [(splits.val, test) for test in splits.tests]
    for one, other in pairs:
        if one is not None and other is not None and (both := shared_videos(one, other)):
            found.append(f"{label(one)} and {label(other)} share {len(both)} videos, for example {both[0]}")
    return found
