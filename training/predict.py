"""A checkpoint's score for faces that are in no shard: what `deepshard predict` calls once curation has cropped them.

The detector is rebuilt from the checkpoint's own card, and pixels take the same way as in training (inputs.py). The
card also names the recipe by which the training faces were cropped; crops made otherwise get scores that mean nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training.checkpoint import find_checkpoint, read_weights
from training.detectors import build_detector, in_float32, logits_of, needs
from training.errors import TrainingError
from training.inputs import model_inputs


@dataclass(frozen=True)
class Scorer:
    """A trained detector, ready to score. `card`: run_id, detector, config, splits, recipes, versions, step, epoch."""

    model: nn.Module
    card: dict[str, Any]
    path: Path

    @property
    def recipe(self) -> dict[str, Any]:
        """{"name", "hash", "recipe"} of the training faces. Raises TrainingError where several recipes were mixed."""
        recipes = self.card["recipes"]
        if len(recipes) != 1:
            names = ", ".join(f"{recipe['name']} ({recipe['hash'][:8]})" for recipe in recipes) or "none"
            raise TrainingError(f"{self.path} was trained on faces of several recipes or of none ({names}): choose one")
        return recipes[0]


def load_detector(
    checkpoint: str | Path, store: str | Path = "store", device: str | None = None
) -> tuple[nn.Module, dict[str, Any], Path]:
    """(detector in evaluation mode, card, path) of a checkpoint: a run's name in `store` (its selected checkpoint), a
    run's folder, a checkpoint's folder, or a .safetensors file.

    `device`: as torch names them; None: a GPU where there is one. Raises TrainingError for what is no checkpoint.
    """
    path = find_checkpoint(str(checkpoint), Path(store), selected=True)
    weights, card = read_weights(path)
    model = build_detector(card["detector"]["name"], card["detector"]["options"])
    model.load_state_dict(weights)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return model.to(where).eval(), card, path


def open_scorer(checkpoint: str | Path, store: str | Path = "store", device: str | None = None) -> Scorer:
    """Load a checkpoint, named as `load_detector` takes it, to score images.

    Raises TrainingError for what is no checkpoint, and for a detector that reads more than an image.
    """
    model, card, path = load_detector(checkpoint, store, device)
    if others := set(needs(model)) - {"image"}:
        raise TrainingError(
            f"detector {card['detector']['name']} reads {', '.join(sorted(others))} too, which a single image lacks: "
            "curate the video and score it as a split with --evaluate"
        )
    return Scorer(model, card, path)


def score_images(checkpoint: Scorer | str | Path, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Probability of fake of each face, float32 [N].

    `images` uint8 [N, H, W, 3] RGB, cropped by the checkpoint's recipe (usually 256x256); `checkpoint` as `open_scorer`
    takes or gives it. Raises TrainingError for arrays of another shape or dtype.
    """
    scorer = checkpoint if isinstance(checkpoint, Scorer) else open_scorer(checkpoint)
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise TrainingError(f"faces must be uint8 [N, H, W, 3] RGB, not {images.dtype} {list(images.shape)}")
    device = next(scorer.model.parameters()).device
    scores = [np.empty(0, np.float32)]
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            pixels = torch.from_numpy(np.ascontiguousarray(images[start : start + batch_size])).permute(0, 3, 1, 2)
            output = in_float32(scorer.model(model_inputs({"image": pixels}, scorer.model, device)))
            scores.append(torch.sigmoid(logits_of(output)).cpu().numpy())
    return np.concatenate(scores)
