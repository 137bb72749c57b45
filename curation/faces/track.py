"""Which faces of the sampled frames are one person's: found faces in, track numbers out.

Sampled frames lie far apart, so boxes of one face often overlap little: two boxes may be one face if their centres are
near for their size and their sizes are alike. Matching is greedy, the best pair first, which is deterministic and, with
the few faces of a frame, seldom differs from the best assignment. A track survives some frames without its face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.faces.backend import Face

REACH = 1.0  # how far the centre may move from frame to frame, in sides of the larger box; at most three times that
RATIO = 1.8  # how much larger one of the two may be
PATIENCE = 8  # frames without its face a track survives


@dataclass(eq=False)
class _Track:
    number: int
    box: np.ndarray
    frame: int


def tracks(found: Sequence[Sequence[Face]]) -> list[list[int]]:
    """Track numbers, in the shape of what was found: found[i] are the faces of the i-th sampled frame, in time order.

    Tracks are numbered from 0 in order of first appearance (within a frame: in the order given, largest first from a
    backend); no two faces of a frame have one number.
    """
    open_tracks: list[_Track] = []
    numbers: list[list[int]] = []
    count = 0
    for index, faces in enumerate(found):
        open_tracks = [track for track in open_tracks if index - track.frame <= PATIENCE + 1]
        pairs = sorted(
            (cost, track.number, place, track)
            for place, face in enumerate(faces)
            for track in open_tracks
            if (cost := distance(track.box, face.box, index - track.frame)) is not None
        )
        given: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, number, place, track in pairs:
            if place not in given and number not in taken:
                given[place] = track
                taken.add(number)
        for place, face in enumerate(faces):
            if place in given:
                given[place].box, given[place].frame = face.box, index
            else:
                given[place] = _Track(count, face.box, index)
                open_tracks.append(given[place])
                count += 1
        numbers.append([given[place].number for place in range(len(faces))])
    return numbers


def distance(before: np.ndarray, after: np.ndarray, frames: int) -> float | None:
    """How unlike two boxes ([4], x0, y0, x1, y1) that many frames apart are, from 0; None if they cannot be one face.

    The distance of their centres in sides of the larger box, plus the logarithm of the ratio of their sides.
    """
    sides = [np.sqrt(max(float((box[2] - box[0]) * (box[3] - box[1])), 1e-6)) for box in (before, after)]
    ratio = max(sides) / min(sides)
    centres = [np.array([box[0] + box[2], box[1] + box[3]], np.float64) / 2 for box in (before, after)]
    away = float(np.hypot(*(centres[1] - centres[0]))) / max(sides)
    if ratio > RATIO or away > REACH * min(frames, 3):
        return None
    return away + float(np.log(ratio))
