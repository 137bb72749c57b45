"""Files that Ray's workers made, on their way to the driver's disk: a piece at a time, durable before they count."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from curation.engines import Outcome
from shards import durable

PIECE = 8 << 20  # bytes


def piece(file: str, start: int) -> bytes:
    """On the worker's side: a piece of a file; with the last one, which is shorter, its folder goes."""
    with open(file, "rb") as stream:
        stream.seek(start)
        data = stream.read(PIECE)
    if len(data) < PIECE:
        shutil.rmtree(Path(file).parent, ignore_errors=True)
    return data


def bring_file(actor: Any, outcome: Outcome) -> Outcome:
    """The outcome once its file is here. Raises OSError where this machine's disk is at fault."""
    carried = outcome.result
    target = Path(carried.target)
    try:
        durable.write_file(target, _pieces(actor, carried.file))
        durable.sync_folder(target.parent)
    except RayError as error:  # also an actor that was started again elsewhere, where the file is not
        return lost(outcome.task, error)
    return replace(outcome, result=carried.value)


def _pieces(actor: Any, file: str) -> Iterator[bytes]:
    start, whole = 0, False
    while not whole:
        data = ray.get(actor.read.remote(file, start))
        start += len(data)
        whole = len(data) < PIECE
        yield data


def lost(task: Any, error: RayError) -> Outcome:
    """What became of a task whose actor Ray has lost."""
    return Outcome(task, "killed", None, f"its machine, or Ray's process there, was lost ({type(error).__name__})")
