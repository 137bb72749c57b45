"""What finds faces: the record that travels, and the door to the two things that make it.

A backend gets the sampled frames of one video in time order and gives, per frame, the faces with their landmarks. It
may remember faces from frame to frame, so ``reset()`` comes between two videos. Everything a backend needs (weights,
packages, a device) is looked for when it is opened: what cannot be had is an error before any video was touched.

Licences. dlib's 68-point predictor was trained on iBUG 300-W and FAN's weights on 300-W-LP; both sets are for
research use, so a company may not be free to use either. dlib's 5-point predictor (``scheme="dlib5"``) is in the
public domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class FacesError(RuntimeError):
    """A face backend cannot be opened or was given what it cannot use; the message says what to do next."""

    deepshard_error = True


@dataclass(eq=False)
class Face:
    """One face in one frame.

    box: float32 [4], x0, y0, x1, y1 in pixels of the frame (x right, y down; pixel centres at integer coordinates);
    may reach over the frame's border. score: the detector's own (dlib: HOG margin, 0 is its usual threshold; S3FD: a
    probability). landmarks: float32 [K, 2], (x, y), same coordinates. scheme: what the K points are, "ibug68", "81" or
    "dlib5" (see ``align.SCHEMES``).
    """

    box: np.ndarray
    score: float
    landmarks: np.ndarray
    scheme: str

    @property
    def size(self) -> float:
        """Side of the square with the box's area, pixels."""
        x0, y0, x1, y1 = (float(edge) for edge in self.box)
        return (max(x1 - x0, 0.0) * max(y1 - y0, 0.0)) ** 0.5


class FaceBackend(Protocol):
    """Finds faces in the sampled frames of one video after another.

    name: as given to ``open_backend``. scheme: the scheme of its faces' landmarks. batch: how many frames one call of
    ``find`` should get; faces are followed over a whole call in both directions, so a caller who wants the same faces
    again gives the same batches again (all of ``batch`` frames, the last one shorter).
    """

    name: str
    scheme: str
    batch: int

    def weights(self) -> dict[str, str]:
        """File name -> SHA-256 (64 hex digits) of every model file that decides what is found."""
        ...

    def load(self) -> None:
        """Reads what the first ``find`` needs, if that was not done yet: it takes time, and belongs to no video."""
        ...

    def find(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces per frame, largest first. frames: uint8 RGB [H, W, 3], of one video, in increasing time order."""
        ...

    def reset(self, thorough: bool = False) -> None:
        """Forgets the faces of the video before.

        thorough: the next video needs every face, because all are kept or a mask says which; otherwise the largest is
        enough, and a backend may save the search for smaller ones.
        """
        ...


def check_frames(frames: Sequence[np.ndarray]) -> None:
    """Raises FacesError unless every frame is uint8 [H, W, 3]."""
    for frame in frames:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise FacesError(
                f"a frame must be uint8 RGB [H, W, 3], this one is {frame.dtype} {list(frame.shape)}: convert it first"
            )


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: float64 [N, M] from boxes [N, 4] and others [M, 4] (x0, y0, x1, y1)."""
    boxes, others = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(others, np.float64).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=2)
    areas = [np.prod(np.clip(both[:, 2:] - both[:, :2], 0.0, None), axis=1) for both in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)
