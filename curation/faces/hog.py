"""Faces by dlib on the CPU: HOG boxes, the 68-point (or 5-point) shape predictor, coarse to fine, followed over time.

dlib's HOG detector takes time by the pixel and has one window of 80 x 80 pixels, so everything here is about giving it
few pixels: a video is first searched reduced, for large faces, and finer only while nothing was found; a face that is
known is looked for in a patch around its last place, in which it is about 80 pixels; one frame of a batch is searched
as a whole and what appears there is followed both ways; what has not changed is not searched again. What was given up:
a face that shows only between two searches, and, unless ``thorough``, faces smaller than the one followed.

Licences: the HOG detector and the 5-point predictor are in the public domain, the 68-point predictor was trained on
iBUG 300-W, which is for research use.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import dlib
import numpy as np

from curation.faces.backend import Face, FacesError, check_frames, overlap
from curation.faces.coverage import Coverage
from curation.faces.dlib_files import dlib_file
from curation.faces.patch import Patch, cut, scaled

WINDOW = 80  # side of the detector's window: in an image scaled by s it finds faces of about WINDOW / s pixels and more
PREDICTORS = {"ibug68": "shape_predictor_68_face_landmarks.dat", "dlib5": "shape_predictor_5_face_landmarks.dat"}
BOXES = {"ibug68": (2.83, -0.048), "dlib5": (4.37, 0.134)}  # of expected(), fitted on the detector's own boxes

# Scores are the detector's margin, 0 its usual threshold. Chosen on real clips; docs/faces.md has what
# each gave.
SURE = 0.3  # a new face that needs no second look
MAYBE = -0.2  # a new face that does
NEW = 0.2  # what its score and the mean of its second looks must come to
UNSEEN = -0.5  # for a look that does not see it
FOLLOWED = -0.4  # a face where one was a moment ago; below 0 it must be close to there
CLOSE = 0.5  # in faces

# A followed face: its side in the patch (pixels), and the patch's side in faces. The first patch is so small that the
# detector's pyramid has two levels only; each try meets its cells of 8 pixels and its scales of 6/5 in another phase.
TRIES = ((80, 1.2), (80, 1.6), (88, 3.0), (96, 2.2))
SECOND_LOOK = (78, 95)  # the same for a face that is new and weak,
AROUND = 1.6  # in a patch of so many faces
PATIENCE = 2  # frames a face may be missing and still be looked for at its last place
SAME = 0.4  # intersection over union from which two boxes are one face
LANDMARK_FACE = 240  # side of the face in the patch its landmarks are read from

COARSE = (3.3, 7.0)  # the first searches look for faces of the frame's short side by these,
GAP = 5.0  # those of frames without a face, in a video that had none yet, by this
FINEST = 40  # the finest looks for faces of so many pixels, or of this part of the short side if that is more:
FINEST_PART, THOROUGH_PART = 1 / 15, 1 / 27
STEP = 8  # frames that are followed together, both ways; one of them is searched
EVERY = 16  # frames between two full searches while a face is followed, or where there was none for as long


@dataclass(eq=False)
class _Seen:
    """A face in a frame: box as in Face, but float64 [4]; landmarks float64 [K, 2] once they are read.

    misses: how many frames ago it was there.
    """

    box: np.ndarray
    score: float
    landmarks: np.ndarray | None = None
    misses: int = 0

    @property
    def side(self) -> float:
        return float(self.box[2] - self.box[0])

    @property
    def centre(self) -> np.ndarray:
        return (self.box[:2] + self.box[2:]) / 2

    def is_same(self, other: "_Seen") -> bool:
        return bool(overlap(self.box, other.box)[0, 0] > SAME)


class HogBackend:
    """dlib's detector and predictor with the state of one video. Make one with ``open_hog``."""

    name = "dlib"
    batch = STEP

    def __init__(self, predictor: Path, scheme: str):
        self.scheme = scheme
        self._file = predictor
        self._detector = dlib.get_frontal_face_detector()
        self.reset()

    def weights(self) -> dict[str, str]:
        return {self._file.name: self._hash}

    @cached_property
    def _predictor(self) -> dlib.shape_predictor:
        return dlib.shape_predictor(str(self._file))  # 95 MB, and who only asks for the weights' hash needs none of it

    @cached_property
    def _hash(self) -> str:
        return hashlib.sha256(self._file.read_bytes()).hexdigest()

    def load(self) -> None:
        _ = self._predictor

    def reset(self, thorough: bool = False) -> None:
        """Forgets the video before; see ``FaceBackend.reset``.

        thorough: search for faces down to half the size of the one that is followed and to a smaller one in large
        frames, finely from the beginning, and four times as often.
        """
        self._thorough = thorough
        self._shape: tuple[int, int] | None = None  # height, width
        self._coverage: Coverage | None = None  # None: nothing was searched yet
        self._known: list[_Seen] = []  # where the faces were at the end of the last batch
        self._side: float | None = None  # of the largest face that was there lately
        self._faceless = 0  # frames since there was one
        self._unsearched = EVERY  # frames since the last full search
        self._credit = 0.0  # searches of frames without a face that may still be spent

    def find(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces per frame, largest first; see ``FaceBackend.find``. Frames of another size start afresh.

        A face's box is the mean of the detector's, which comes in steps of 6/5, and of the one its landmarks imply.
        """
        check_frames(frames)
        faces: list[list[Face]] = []
        while len(faces) < len(frames):
            shape = frames[len(faces)].shape[:2]
            if shape != self._shape:
                self.reset(self._thorough)
                self._shape = shape
            grays: list[np.ndarray] = []
            for frame in frames[len(faces) : len(faces) + STEP]:
                if frame.shape[:2] != shape:
                    break
                grays.append(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
            for seen in self._batch(grays):
                given = [
                    Face(one.box.astype(np.float32), one.score, one.landmarks.astype(np.float32), self.scheme)
                    for one in distinct(seen)
                ]
                faces.append(sorted(given, key=lambda face: (-face.size, *face.box.tolist())))
        return faces

    def _batch(self, grays: list[np.ndarray]) -> list[list[_Seen]]:
        """The faces of up to STEP frames: follows the known, searches one frame in full, then the middles of gaps."""
        found: list[list[_Seen]] = [[] for _ in grays]
        last = self._sweep(grays, found, range(len(grays)), self._known)
        self._unsearched += len(grays)
        self._credit = min(self._credit + (0 if self._hopeless else len(grays) / 4), 2.0)
        tried: set[int] = set()
        due = self._due(found)
        while due or (gaps(found, tried) and self._credit >= 1):
            if full := bool(due):
                index = due.pop(0)
                self._unsearched = len(grays) - index
            else:
                index = middle(gaps(found, tried))
                self._credit -= 1
            tried.add(index)
            fresh = self._search(grays[index], found[index], full)
            for one in fresh:
                self._read(grays[index], one)
            found[index] += fresh
            self._sweep(grays, found, range(index - 1, -1, -1), fresh)
            last += self._sweep(grays, found, range(index + 1, len(grays)), fresh)
        self._known = distinct([one for one in last if one.misses <= PATIENCE])
        for seen in found:
            self._faceless += 1
            if seen:
                self._side, self._faceless = max(one.side for one in seen), 0
            elif self._faceless > EVERY:
                self._side = None
        return found

    def _due(self, found: list[list[_Seen]]) -> list[int]:
        """The frames of a batch to search in full."""
        empty = gaps(found, set())
        often = self._thorough or (empty and not self._hopeless)
        if self._unsearched <= (STEP if often else EVERY):
            return []
        if self._thorough:
            return sorted({len(found) // 4, 3 * len(found) // 4})
        return [middle(empty or [(0, len(found))])]

    @property
    def _hopeless(self) -> bool:
        """Whether the last two steps at least had no face: misses are dearer than hits."""
        return not self._thorough and self._faceless > EVERY - STEP

    def _sweep(
        self, grays: list[np.ndarray], found: list[list[_Seen]], order: Iterable[int], known: list[_Seen]
    ) -> list[_Seen]:
        """Follows known faces over the frames in this order, adds what is there to found, gives where they end."""
        active = [replace(one) for one in known]
        for index in order:
            for one in active:
                if one.misses > PATIENCE:
                    continue
                there = self._look(grays[index], one)
                if there is None:
                    one.misses += 1
                elif any(there.is_same(other) for other in found[index]):
                    one.misses = PATIENCE + 1  # that face is followed already
                else:
                    self._read(grays[index], there)
                    found[index].append(there)
                    one.box, one.score, one.landmarks, one.misses = there.box, there.score, there.landmarks, 0
        return active

    def _look(self, gray: np.ndarray, one: _Seen) -> _Seen | None:
        """The face near where one was, if the detector sees it there."""
        centre, side = expected(one.landmarks, self.scheme)
        for face, reach in TRIES:
            patch = cut(gray, centre, reach * side, face / side)
            best, value = None, -np.inf
            for there in self._detect(patch, FOLLOWED) if patch else []:
                away = float(np.hypot(*(there.centre - centre))) / side
                near = 0.55 < there.side / side < 1.8 and (there.score >= 0 or away < CLOSE)
                if near and there.score - away > value:
                    best, value = there, there.score - away
            if best is not None:
                return best
        return None

    def _search(self, gray: np.ndarray, have: list[_Seen], full: bool) -> list[_Seen]:
        """New faces in a frame, from coarse to fine until there are any."""
        boxes = np.array([one.box for one in have]).reshape(-1, 4)
        fresh: list[_Seen] = []
        steps = self._steps(have, full)
        if self._coverage is None:
            self._coverage = Coverage(*gray.shape)
        self._coverage.look(gray)
        for smallest in steps:
            rectangles = self._coverage.todo(smallest, boxes)
            for x0, y0, x1, y1 in rectangles:
                for there in self._detect(scaled(gray[y0:y1, x0:x1], (x0, y0), WINDOW / smallest), MAYBE):
                    if any(there.is_same(other) for other in have):
                        continue
                    if there.score >= SURE or there.score + self._second_look(gray, there) >= NEW:
                        fresh.append(there)
            self._coverage.searched(rectangles, smallest)
            if fresh:
                break
        return distinct(fresh)

    def _steps(self, have: list[_Seen], full: bool) -> list[float]:
        """The sizes of face (pixels) to search for, one after the other, in a frame where have was found already."""
        short = min(self._shape)
        finest = max(FINEST, short * (THOROUGH_PART if self._thorough else FINEST_PART))
        if have:
            largest = max(one.side for one in have)
            return [max(finest, largest / 2 if self._thorough else largest)]
        if self._side is not None:
            return [max(finest, 0.7 * self._side)]
        if not full:
            return [max(finest, short / GAP)]
        if self._coverage is not None or self._thorough:
            return [finest]
        return [short / by for by in COARSE if short / by > 1.2 * finest] + [finest]

    def _second_look(self, gray: np.ndarray, one: _Seen) -> float:
        """The mean score of a weak face at two other scales, as it is and mirrored: a chance hit is none in most."""
        looks = []
        for face in SECOND_LOOK:
            patch = cut(gray, one.centre, AROUND * one.side, face / one.side)
            if patch is None:
                return UNSEEN
            mirrored = [
                _Seen(patch.out(patch.mirrored_box(box).reshape(2, 2)).reshape(4), score)
                for box, score in self._run(patch.mirrored(), UNSEEN)
            ]
            for seen in (self._detect(patch, UNSEEN), mirrored):
                looks.append(max((there.score for there in seen if there.is_same(one)), default=UNSEEN))
        return float(np.mean(looks))

    def _run(self, patch: Patch, threshold: float) -> list[tuple[np.ndarray, float]]:
        """Boxes [4] in the patch, from its edge, with their scores."""
        boxes, scores, _ = self._detector.run(patch.pixels, 0, threshold)
        return [
            (np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1], np.float64), float(score))
            for box, score in zip(boxes, scores, strict=True)
        ]

    def _detect(self, patch: Patch, threshold: float) -> list[_Seen]:
        return [_Seen(patch.out(box.reshape(2, 2)).reshape(4), score) for box, score in self._run(patch, threshold)]

    def _read(self, gray: np.ndarray, one: _Seen) -> None:
        """Landmarks of a seen face, and its box evened out by them.

        dlib rounds landmarks to whole pixels, so they are read from a patch in which the face is large.
        """
        patch = cut(gray, one.centre, 1.6 * one.side, LANDMARK_FACE / one.side)
        (left, top), (right, bottom) = np.rint(patch.into(one.box.reshape(2, 2))).astype(int).tolist()
        shape = self._predictor(patch.pixels, dlib.rectangle(left, top, right - 1, bottom - 1))
        points = np.array([(point.x, point.y) for point in shape.parts()], np.float64)
        one.landmarks = patch.out(points + 0.5)
        centre, side = expected(one.landmarks, self.scheme)
        centre, half = (centre + one.centre) / 2, np.sqrt(side * one.side) / 2
        one.box = np.array([*(centre - half), *(centre + half)])


def expected(landmarks: np.ndarray, scheme: str) -> tuple[np.ndarray, float]:
    """Centre (x, y) and side of the box the detector would give these landmarks, free of its pyramid's steps of 6/5.

    From their mean and root mean square distance from it, by factors fitted on the detector's boxes.
    """
    side_by, down_by = BOXES[scheme]
    middle = landmarks.mean(axis=0)
    side = side_by * float(np.sqrt(np.mean(np.sum((landmarks - middle) ** 2, axis=1))))
    return middle + [0.0, down_by * side], side


def distinct(seen: list[_Seen]) -> list[_Seen]:
    """The faces without those that overlap one with a higher score."""
    kept: list[_Seen] = []
    for one in sorted(seen, key=lambda one: (-one.score, *one.box.tolist())):
        if not any(one.is_same(other) for other in kept):
            kept.append(one)
    return kept


def gaps(found: list[list[_Seen]], tried: set[int]) -> list[tuple[int, int]]:
    """Runs (first, end) of frames without a face that were not searched yet."""
    edges = np.flatnonzero(np.diff([0, *(not seen and index not in tried for index, seen in enumerate(found)), 0]))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def middle(runs: list[tuple[int, int]]) -> int:
    """The frame in the middle of the longest run."""
    first, end = max(runs, key=lambda run: run[1] - run[0])
    return (first + end) // 2


def open_hog(scheme: str = "ibug68") -> HogBackend:
    """The dlib backend.

    scheme: "ibug68" (68 points; research use) or "dlib5" (5 points; public domain). Raises FacesError if the scheme is
    unknown or a file is missing.
    """
    if scheme not in PREDICTORS:
        raise FacesError(f"dlib has no landmarks {scheme!r}: take one of {', '.join(PREDICTORS)}")
    return HogBackend(dlib_file(PREDICTORS[scheme]), scheme)
