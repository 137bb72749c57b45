"""Augmentation of aligned faces: flip, brightness and contrast, JPEG. The default is none, as in paper 1.

What is done to a face is a function of the 63 random bits that come with its place in the epoch's order
(shards/order.py), through a counter-based generator (Philox): the same with any number of processes and workers, and
after a resume. All numbers are drawn each time, in one order, so that switching one change on leaves the others alone.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from training.config import Augment
from training.errors import TrainingError

# where each landmark goes in a mirror, per scheme: the left eye's corner becomes the right eye's
_IBUG68 = (
    list(range(16, -1, -1)) + list(range(26, 16, -1)) + [27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)  # fmt: skip
MIRROR = {68: _IBUG68, 5: [2, 3, 0, 1, 4]}  # by number of points: iBUG's 68, dlib's 5


@dataclass(frozen=True)
class Draw:
    """What happens to one face, and to its partner and mask where it has them."""

    flip: bool
    brightness: float  # added, as a share of 255
    contrast: float  # factor around the mean
    jpeg_quality: int | None


def is_none(settings: Augment) -> bool:
    """Whether these settings change nothing."""
    return settings.flip == settings.jpeg == settings.colour == 0


def draw(settings: Augment, bits: int) -> Draw:
    """The change that 63 random `bits` (a batch's ``draw``) stand for."""
    flip, colour, jpeg, brightness, contrast, quality = np.random.Generator(np.random.Philox(key=bits)).random(6)
    low, high = settings.jpeg_quality
    changed = colour < settings.colour
    return Draw(
        flip=bool(flip < settings.flip),
        brightness=float(2 * brightness - 1) * settings.brightness if changed else 0.0,
        contrast=1 + float(2 * contrast - 1) * settings.contrast if changed else 1.0,
        jpeg_quality=low + int(quality * (high - low + 1)) if jpeg < settings.jpeg else None,
    )


def augment_image(image: np.ndarray, change: Draw) -> np.ndarray:
    """`image` uint8 [H, W, 3] RGB -> uint8 [H, W, 3] RGB, contiguous: colour first, then JPEG, then the flip."""
    if change.brightness or change.contrast != 1:
        values = image.astype(np.float32)
        mean = values.mean()
        values = (values - mean) * change.contrast + mean + change.brightness * 255
        image = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if change.jpeg_quality is not None:
        ok, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, change.jpeg_quality])
        if not ok:
            raise TrainingError(f"OpenCV could not write a JPEG of an image {image.shape} {image.dtype}")
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(image[:, ::-1] if change.flip else image)


def augment_mask(mask: np.ndarray, change: Draw) -> np.ndarray:
    """`mask` [H, W] moves with its face: only the flip concerns it."""
    return np.ascontiguousarray(mask[:, ::-1] if change.flip else mask)


def augment_landmarks(landmarks: np.ndarray, width: int, change: Draw) -> np.ndarray:
    """`landmarks` [K, 2], x and y in crop pixels (centres at whole numbers), `width` of the crop -> the same, changed.

    A flip also exchanges left and right points; raises TrainingError where it is not known which they are (K is
    neither 68 nor 5).
    """
    if not change.flip:
        return landmarks
    if len(landmarks) not in MIRROR:
        raise TrainingError(
            f"a flip cannot exchange {len(landmarks)} landmarks (known: {', '.join(map(str, MIRROR))} points): "
            "train with --augment.flip 0"
        )
    mirrored = landmarks[MIRROR[len(landmarks)]]
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    return mirrored


@dataclass(frozen=True)
class Augmentation:
    """Augments whole batches, in the loader's workers (it can be pickled)."""

    settings: Augment

    def __call__(self, batch: dict) -> dict:
        """A batch as the loader makes it, with `image` and, where they are there, `partner`, `mask` and `landmarks`
        changed alike; shapes and dtypes stay. Padded slots are left alone."""
        changes = [
            draw(self.settings, bits) if valid else None
            for bits, valid in zip(batch["draw"].tolist(), batch["valid"].tolist(), strict=True)
        ]
        changed = dict(batch)
        for member in ("image", "partner"):
            if member in batch:
                pixels = batch[member].permute(0, 2, 3, 1).contiguous().numpy()
                done = [image if change is None else augment_image(image, change)
                        for image, change in zip(pixels, changes, strict=True)]  # fmt: skip
                changed[member] = torch.from_numpy(np.stack(done)).permute(0, 3, 1, 2)
        width = batch["image"].shape[3] if "image" in batch else 0
        for member, change_one in (
            ("mask", lambda value, change: augment_mask(value[0], change)[None]),
            ("landmarks", lambda value, change: augment_landmarks(value, width, change)),
        ):
            if member in batch:
                done = [value if change is None else change_one(value, change)
                        for value, change in zip(batch[member].numpy(), changes, strict=True)]  # fmt: skip
                changed[member] = torch.from_numpy(np.stack(done))
        return changed
