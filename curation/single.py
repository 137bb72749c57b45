"""The faces of one file outside any dataset, cropped as a given recipe crops: what scoring a stranger's video needs.

The file takes the very road of a curation (a killable worker, a part on disk), in a temporary folder.
"""

import dataclasses
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from curation.engines import Limits
from curation.engines.local import run_tasks
from curation.faces.opening import backend_of
from curation.frames.image_clip import IMAGE_SUFFIXES
from curation.recipe import Recipe, RecipeError
from curation.run import second_try, settle, start_worker
from curation.sources.tree import spell
from curation.sources.video import Video, identify
from curation.video import Task
from shards.part import read_part


class NoFaces(RuntimeError):
    """A file that gave no face; the message says why."""

    deepshard_error = True


@dataclass(frozen=True, eq=False)
class Faces:
    """``images`` uint8 [N, size, size, 3] RGB; ``rows`` the N sample rows, in order of time, then track."""

    images: np.ndarray
    rows: list[dict[str, Any]]
    attempt: dict[str, Any]


def faces_of(file: str | Path, recipe: Recipe, device: str | None = None) -> Faces:
    """Crops the faces of a video, an image or a folder of images. Raises NoFaces, RecipeError, FacesError."""
    file = Path(file).absolute()
    weights = backend_of(recipe, device).weights()
    if recipe.weights and weights != recipe.weights:
        changed = sorted(
            name for name in weights.keys() | recipe.weights if weights.get(name) != recipe.weights.get(name)
        )
        raise RecipeError(
            f"recipe {recipe.name!r} was made with other weights of {recipe.aligner} ({', '.join(changed)}): "
            "install the version it was made with, its crops would differ otherwise"
        )
    if not file.exists():
        raise NoFaces(f"{file} does not exist")
    # without a manipulation mask, which a stranger's file does not have
    recipe = dataclasses.replace(recipe, masks=False)
    kind = "frames" if file.is_dir() else "image" if file.suffix.lower() in IMAGE_SUFFIXES else "video"
    name = spell(file.name)
    video = Video(
        video_id=identify("file", "unknown", "native", name),
        dataset="file",
        method="unknown",
        category="real",  # nobody knows; nothing of this row leaves this function
        quality="native",
        name=name,
        label=0,
        kind=kind,
        source="file",
        path=name,
    )
    with tempfile.TemporaryDirectory() as folder:
        task = Task(dataclasses.asdict(video), str(file.parent), str(Path(folder, "faces.part")))
        start = partial(start_worker, recipe, device)
        [outcome] = run_tasks(start, (), [task], 1, Limits(), second_try)
        attempt = settle(outcome, recipe)
        if attempt["status"] != "done":
            raise NoFaces(f"{file.name}: {attempt['reason']}")
        part = read_part(task.part)
        rows = part.samples.to_pylist()
        data = Path(task.part).read_bytes()
    images = [_decode(data[row["image_offset"] : row["image_offset"] + row["image_size"]]) for row in rows]
    return Faces(np.stack(images), rows, attempt)


def _decode(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
