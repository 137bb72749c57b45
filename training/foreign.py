"""Scores of detectors that were not run here: a CSV file becomes a run with predictions, like any other.

Nothing is taken on trust. The file must have a score for every face of a pinned split, once, and for no other, so that
its figures are of the same faces as everybody's; what does not fit is named, and then nothing is written.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from shards.split import Split
from training.checkpoint import file_sha256, write_json
from training.errors import TrainingError
from training.evaluate import figures, write_predictions
from training.record import now, versions
from training.splits import describe, label

CHECKPOINT = "imported"  # what takes the place of a checkpoint's name in predictions and figures
_SHOWN = 3  # faces of each fault that an error names


def import_scores(
    store: str | Path, split: Split, file: str | Path, run: str, column: str = "score", detector: str | None = None
) -> dict[str, Any]:
    """Make the scores in `file` predictions of `run` on `split`; returns run.json's content, of status ``imported``.

    `file`: CSV with a header, a column ``sample_id`` (or ``key``, the sample's key in its shard) and a column `column`,
    the probability of fake in [0, 1]; others are not read. `detector`: what made them, by default the run's name. A run
    takes one file for each of several splits. Raises TrainingError, naming the faces, for scores that are missing,
    unknown, given twice or no probabilities, and for a run of another kind or one that has this split already.
    """
    file, folder = Path(file), Path(store) / "runs" / run
    if not run or Path(run).name != run or run.startswith("."):
        raise TrainingError(f"{run!r} cannot be the name of a run: it becomes a folder in {folder.parent}")
    record = _record(folder, run, detector or run)
    if any(known["hash"] == split.hash for known in record["splits"]):
        raise TrainingError(
            f"run {run} has scores of {label(split)} already: give another --name, or delete {folder} and import again"
        )
    identifier, scores = _matched(split, file, column)
    rows = figures(split, scores)
    source = {"file": file.name, "sha256": file_sha256(file), "column": column, "faces_by": identifier, "at": now()}
    named = {"split": split.name, "split_hash": split.hash, "checkpoint": CHECKPOINT}
    record["finished_at"] = source["at"]
    record["splits"].append(describe(split, "test"))
    record["recipes"] += [recipe for recipe in split.recipes if recipe not in record["recipes"]]
    record["imported"].append({"split": split.name, "split_hash": split.hash, **source})
    record["metrics"] += [{**named, **row.as_dict()} for row in rows]
    write_predictions(folder / "predictions", split, scores, run, CHECKPOINT)
    write_json(folder / "run.json", record)
    return record


def _record(folder: Path, run: str, detector: str) -> dict[str, Any]:
    """The record of a run of imported scores, as it is or as it begins."""
    path = folder / "run.json"
    if not path.exists() and not (folder / "checkpoints").exists():
        return {
            "run_id": run,
            "status": "imported",
            "created_at": now(),
            "finished_at": None,
            "detector": detector,
            "config": None,
            "splits": [],
            "recipes": [],
            "notes": [],
            "world": None,
            "versions": versions(),
            "checkpoint": {"name": CHECKPOINT, "why": "the scores were made elsewhere"},
            "imported": [],
            "metrics": [],
        }
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if record.get("status") != "imported":
        raise TrainingError(f"run {run} was trained here: give the imported scores another --name")
    if record["detector"] != detector:
        raise TrainingError(
            f"run {run} has the scores of detector {record['detector']}, not of {detector}: give another --name"
        )
    return record


def _matched(split: Split, file: Path, column: str) -> tuple[str, np.ndarray]:
    """(the column that names faces, scores float32 [n] by row of the split)"""
    identifier, names, given = _read(file, column)
    faces = split.sample_ids()
    if identifier == "key":
        faces = [face.split("/", 2)[2] for face in faces]
    rows = {face: row for row, face in enumerate(faces)}
    if len(rows) != len(faces):
        raise TrainingError(
            f"split {label(split)} has several faces of one key (of several recipes or contents of a video): name them "
            "by sample_id"
        )
    values = np.array([_number(text) for text in given])
    found = np.array([rows.get(name, -1) for name in names], np.int64)
    times = np.bincount(found[found >= 0], minlength=len(faces))
    faults = [
        _fault("faces of the split without a score", [faces[row] for row in np.flatnonzero(times == 0)]),
        _fault("faces with several scores", [faces[row] for row in np.flatnonzero(times > 1)]),
        _fault(
            "lines that name no face of the split",
            [f"{names[line]} (line {line + 2})" for line in np.flatnonzero(found < 0)],
        ),
        _fault(
            "scores that are no probabilities between 0 and 1",
            [
                f"{given[line] or 'nothing'} of {names[line]} (line {line + 2})"
                for line in np.flatnonzero(~((values >= 0) & (values <= 1)))  # NaN fails both
            ],
        ),
    ]
    if told := "; ".join(fault for fault in faults if fault):
        raise TrainingError(
            f"{file} does not fit split {label(split)}: {told}. Each face needs the probability of fake once; "
            "`deepshard split show` tells what the split holds"
        )
    scores = np.empty(len(faces), np.float32)
    scores[found] = values
    return identifier, scores


def _read(file: Path, column: str) -> tuple[str, list[str], list[str]]:
    """(sample_id or key, the faces' names, their scores as they are written)"""
    try:
        # all columns as text: a score that is no number is to be named with its face
        header = pa.csv.open_csv(file).schema.names
        table = pa.csv.read_csv(
            file, convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
        )
    except FileNotFoundError:
        raise TrainingError(f"there is no file {file}") from None
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(f"{file} cannot be read as CSV: {error}") from None
    identifier = next((name for name in ("sample_id", "key") if name in header), None)
    for name, wanted in ((identifier, "sample_id (or key)"), (column, column)):
        if header.count(name) != 1:
            raise TrainingError(
                f"{file} needs one column {wanted} and has {header.count(name)}, its columns are {', '.join(header)}: "
                "its first line must name them, and --column says which has the scores"
            )
    return identifier, table[identifier].to_pylist(), table[column].to_pylist()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _fault(what: str, which: Iterable[str]) -> str:
    which = list(which)
    if not which:
        return ""
    return f"{what} ({len(which):,}): {', '.join(which[:_SHOWN])}{', ...' if len(which) > _SHOWN else ''}"
