"""Trained detectors by the names of their runs, and the faces of a split that are to be explained.

Faces are drawn by the hash of their sample id: which ones depends neither on the rest of the split nor on its order,
the first hundred are among the first thousand, and two detectors are shown the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from shards.schema import draw_key
from shards.split import Split
from training.detectors import needs
from training.errors import TrainingError
from training.predict import load_detector
from training.splits import label


def load_run(store: str | Path, run: str, device: str | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """(detector in evaluation mode with the weights of the run's selected checkpoint, the checkpoint's card).

    `run`: a run's name in `store`, its folder, or a checkpoint's folder; `device`: as torch names them, None for a GPU
    where there is one. Raises TrainingError, listing the runs there are, for anything else.
    """
    model, card, _ = load_detector(run, store, device)
    return model, card


def drawn(split: Split, images: int, fakes: bool = False) -> np.ndarray:
    """Rows of `split` int64 [at most images], ascending: drawn from all its faces, or from its fakes alone.

    Raises TrainingError where there is none to draw from.
    """
    if images < 1:
        raise TrainingError(f"{images} images are to be explained: ask for at least one")
    rows = np.flatnonzero(split.labels == 1) if fakes else np.arange(len(split))
    if not rows.size:
        raise TrainingError(f"split {label(split)} has no {'fake' if fakes else 'face'} to explain")
    keys = np.array([draw_key(sample) for sample in split.sample_ids(rows)])
    return np.sort(rows[np.argsort(keys, kind="stable")[:images]])


def batches(split: Split, models: list[nn.Module], rows: np.ndarray, size: int) -> Iterator[dict[str, Any]]:
    """The loader's batches (uint8, see SplitDataset) of `rows`, with every member that one of `models` reads."""
    members = dict.fromkeys(["image", *(member for model in models for member in needs(model))])
    dataset = split.dataset(members=list(members))
    for first in range(0, len(rows), size):
        yield dataset.__getitems__(rows[first : first + size])
