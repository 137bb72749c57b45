"""Clips with a real face in them, the photograph of scikit-image, moved about: for tests of the whole road."""

from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np


@cache
def portrait(side: int) -> np.ndarray:
    """The astronaut's head and shoulders, uint8 [side, side, 3] RGB."""
    from skimage.data import astronaut

    return cv2.resize(astronaut()[:280, 100:380], (side, side), interpolation=cv2.INTER_AREA)


def scene(people: list[tuple[int, int, int]], height: int = 240, width: int = 320) -> np.ndarray:
    """A grey frame with a portrait for each (x, y, side)."""
    frame = np.full((height, width, 3), 128, np.uint8)
    for x, y, side in people:
        part = frame[max(y, 0) : y + side, max(x, 0) : x + side]
        part[:] = portrait(side)[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    return frame


def encode(path: Path, frames: list[np.ndarray], fps: int = 25, codec: str = "libx264") -> Path:
    """Frames, uint8 RGB, as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def walking(frames: int = 12, side: int = 160) -> list[np.ndarray]:
    """One person who moves to the right."""
    return [scene([(20 + 4 * index, 30, side)]) for index in range(frames)]
