"""What of a video's picture was searched already, and how deep: the memory that keeps full searches cheap.

A camera that stands still shows the same wall for the whole clip, and a face cannot appear where nothing changed. So
each search notes the picture (in cells of 8 pixels) and the size of face it looked for; the next one gets rectangles
around what has changed since, or was never searched for faces this small, or is not flat. What was given up: a face
that stays exactly where a search has missed it is not looked for again.
"""

import math

import cv2
import numpy as np

CELL = 8  # pixels
CHANGED = 6  # grey levels a cell's mean must move, over the move of the whole picture, to count as changed
FLAT = 6  # range of grey levels in 3 x 3 cells, below which there is nothing a gradient could show
FILLED = 0.3  # share of a window's cells that must be of interest: a face that was not there changes most of its window


class Coverage:
    """The searched state of one video's picture; ``todo`` asks it, ``searched`` tells it."""

    def __init__(self, height: int, width: int):
        self._cells = (-(-height // CELL), -(-width // CELL))
        self._size = (height, width)
        self._past = np.zeros(self._cells, np.int16)
        self._depth = np.full(self._cells, np.inf)
        self._now = self._past
        self._changed = np.zeros(self._cells, bool)
        self._interesting = np.zeros(self._cells, bool)

    def look(self, gray: np.ndarray) -> None:
        """Takes the frame that is going to be searched. gray: uint8 [H, W]."""
        rows, columns = self._cells
        cells = cv2.resize(gray, (columns, rows), interpolation=cv2.INTER_AREA)
        around = np.ones((3, 3), np.uint8)
        self._interesting = cv2.dilate(cells, around).astype(np.int16) - cv2.erode(cells, around) >= FLAT
        self._now = cells.astype(np.int16)
        moved = self._now - self._past
        self._changed = np.abs(moved - np.int16(np.median(moved))) > CHANGED

    def todo(self, smallest: float, known: np.ndarray) -> list[tuple[int, int, int, int]]:
        """Rectangles (x0, y0, x1, y1, pixels) of the frame to search for faces of ``smallest`` pixels and more.

        known: [N, 4] boxes of faces that were found already; what changes inside them is no reason to search.
        """
        wanted = (self._changed | (self._depth > smallest * 1.05)) & self._interesting
        for x0, y0, x1, y1 in np.asarray(known, np.float64).reshape(-1, 4) / CELL:
            wanted[max(0, math.floor(y0)) : math.ceil(y1) + 1, max(0, math.floor(x0)) : math.ceil(x1) + 1] = False
        side = max(3, round(0.75 * smallest / CELL))
        filled = cv2.boxFilter(wanted.astype(np.float32), -1, (side, side), borderType=cv2.BORDER_CONSTANT) >= FILLED
        if not filled.any():
            return []
        # a window that counts reaches half its side further than its middle, a face that is larger than it again as
        # much
        grown = cv2.dilate(filled.astype(np.uint8), np.ones((2 * side + 1, 2 * side + 1), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
        parts = [(int(x), int(y), int(x + w), int(y + h)) for x, y, w, h, _ in stats[1:]]
        height, width = self._size
        return [
            (x0 * CELL, y0 * CELL, min(x1 * CELL, width), min(y1 * CELL, height)) for x0, y0, x1, y1 in joined(parts)
        ]

    def searched(self, rectangles: list[tuple[int, int, int, int]], smallest: float) -> None:
        """Notes that these rectangles of the frame looked at were searched for faces of smallest pixels and more."""
        for x0, y0, x1, y1 in rectangles:
            part = np.s_[y0 // CELL : -(-y1 // CELL), x0 // CELL : -(-x1 // CELL)]
            deeper = np.minimum(self._depth[part], smallest)
            self._depth[part] = np.where(self._changed[part], smallest, deeper)
            self._past[part] = self._now[part]
            self._changed[part] = False


def joined(rectangles: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """The rectangles, those that overlap put into one as long as that costs at most a twentieth more area."""
    left = list(rectangles)
    again = True
    while again:
        again = False
        for first in range(len(left)):
            for second in range(first):
                a, b = left[first], left[second]
                both = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
                if _area(both) <= 1.05 * (_area(a) + _area(b)):
                    left[second] = both
                    left.pop(first)
                    again = True
                    break
            if again:
                break
    return left


def _area(rectangle: tuple[int, int, int, int]) -> int:
    x0, y0, x1, y1 = rectangle
    return (x1 - x0) * (y1 - y0)
