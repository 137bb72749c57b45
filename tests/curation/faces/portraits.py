"""The one real face in the test dependencies, at any size and place of a picture."""

from functools import cache

import cv2
import numpy as np
import skimage.data

SIDE = 98  # of the astronaut's face in the photograph, as dlib boxes it
CENTRE = np.array([223.5, 125.5])


@cache
def photograph() -> np.ndarray:
    """uint8 RGB [512, 512, 3]."""
    return np.ascontiguousarray(skimage.data.astronaut())


def picture(
    height: int, width: int, faces: list[tuple[float, float, float]], background: str = "plain", mirror: bool = False
) -> np.ndarray:
    """A frame (uint8 RGB [height, width, 3]) with the astronaut's head at each (x, y, side of the face)."""
    frame = np.full((height, width, 3), 90, np.uint8)
    if background == "gravel":
        gravel = cv2.resize(skimage.data.gravel(), (width, height), interpolation=cv2.INTER_AREA)
        frame = np.ascontiguousarray(np.repeat(gravel[..., None] // 2 + 60, 3, axis=2))
    head = photograph()[20:300, 80:370]  # head and shoulders
    middle = CENTRE - [80, 20]
    if mirror:
        head, middle = np.ascontiguousarray(head[:, ::-1]), np.array([head.shape[1] - 1 - middle[0], middle[1]])
    for x, y, side in faces:
        scale = side / SIDE
        matrix = np.array([[scale, 0, x - scale * middle[0]], [0, scale, y - scale * middle[1]]])
        small = head
        if scale < 1:
            small = cv2.GaussianBlur(head, (0, 0), 0.5 * np.sqrt(1 / scale**2 - 1) + 1e-3)
        cv2.warpAffine(small, matrix, (width, height), dst=frame, borderMode=cv2.BORDER_TRANSPARENT)
    return frame


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """A frame full of edges and without a face."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
