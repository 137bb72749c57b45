"""A scaled piece of a frame that knows where it came from: what a detector sees, and the way back to frame coordinates.

Frame coordinates have pixel centres at integers; inside a patch, points count from its upper left edge, because that is
what stays put when it is scaled.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(eq=False)
class Patch:
    """pixels: uint8 [h, w]. scale: float64 [2], patch pixels per frame pixel (x, y; rounding makes them differ).

    origin: [2], the frame pixel (x, y) it begins with.
    """

    pixels: np.ndarray
    scale: np.ndarray
    origin: np.ndarray

    def out(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 2] of the patch, from its edge, as frame coordinates."""
        return points / self.scale + self.origin - 0.5

    def into(self, points: np.ndarray) -> np.ndarray:
        """Frame coordinates [N, 2] as points of the patch, from its edge."""
        return (points + 0.5 - self.origin) * self.scale

    def mirrored(self) -> "Patch":
        """Left and right exchanged; ``mirrored_box`` leads a box of it back."""
        return Patch(np.ascontiguousarray(self.pixels[:, ::-1]), self.scale, self.origin)

    def mirrored_box(self, box: np.ndarray) -> np.ndarray:
        """A box [4] in edge coordinates of the mirrored patch, in those of this one."""
        width = self.pixels.shape[1]
        return np.array([width - box[2], box[1], width - box[0], box[3]], np.float64)


def scaled(part: np.ndarray, origin: tuple[int, int], scale: float) -> Patch:
    """Part of a frame (uint8 [h, w]) that begins at pixel origin, resized by scale: antialiased when it shrinks."""
    height, width = part.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    pixels = cv2.resize(part, size, interpolation=way)
    return Patch(pixels, np.array([size[0] / width, size[1] / height]), np.asarray(origin, np.float64))


def cut(gray: np.ndarray, centre: np.ndarray, side: float, scale: float) -> Patch | None:
    """The square of side pixels around centre, as far as the frame reaches, scaled; None if too little is left."""
    height, width = gray.shape
    x0, y0 = (max(0, int(np.floor(at + 0.5 - side / 2))) for at in centre)
    x1, y1 = (min(end, int(np.ceil(at + 0.5 + side / 2))) for at, end in zip(centre, (width, height), strict=True))
    if x1 - x0 < side / 4 or y1 - y0 < side / 4:
        return None
    return scaled(gray[y0:y1, x0:x1], (x0, y0), scale)
