"""From a face in a frame to an upright crop: one similarity warp from the full-resolution frame, the same for the mask.

Coordinates: x right, y down, pixel centres at integers, so an image of size s covers -0.5 .. s - 0.5. A matrix is
float64 [2, 3] and maps frame to crop: crop = matrix @ (x, y, 1). When the face shrinks, the frame is blurred first by
just as much as the smaller grid demands; a warp without that aliases, and its traces are what detectors learn. What
lies outside the frame is black, for real and fake alike: nothing is invented there.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from curation.faces.backend import Face, FacesError

# The landmarks that are aligned, as index sets whose mean is one anchor each. iBUG 300-W's 68 points (Sagonas et al.,
# "300 Faces in-the-Wild Challenge", ICCVW 2013); "81" adds 13 forehead points behind them; dlib5 is the four corners of
# the eyes and the base of the nose.
_EYES_NOSE_MOUTH = (range(36, 42), range(42, 48), (30,), (48,), (54,))
SCHEMES = {
    "ibug68": _EYES_NOSE_MOUTH,
    "81": _EYES_NOSE_MOUTH,
    "dlib5": ((2, 3), (0, 1), (4,)),
}
_POINTS = {"ibug68": 68, "81": 81, "dlib5": 5}

# Where the anchors go, as shares of the frame of the template. "five" is the 112 x 112 reference of SphereFace and
# ArcFace (Deng et al., "ArcFace", CVPR 2019, its public alignment code), made symmetric, so that a mirrored face
# gives the mirrored crop. dlib5's anchors are where real faces have them, on the mean, under that alignment: one
# frame for both.
_FIVE = {
    "left eye": (0.5 - 0.15731, 0.46070),  # left in the image: the subject's right eye
    "right eye": (0.5 + 0.15731, 0.46070),
    "nose tip": (0.5, 0.64051),
    "left mouth": (0.5 - 0.13027, 0.82397),
    "right mouth": (0.5 + 0.13027, 0.82397),
    "left corners": (0.5 - 0.1604, 0.4731),  # of the eye
    "right corners": (0.5 + 0.1604, 0.4731),
    "nose base": (0.5, 0.7034),
}
TEMPLATES = {"five": _FIVE}
_ANCHORS = {
    "ibug68": ("left eye", "right eye", "nose tip", "left mouth", "right mouth"),
    "81": ("left eye", "right eye", "nose tip", "left mouth", "right mouth"),
    "dlib5": ("left corners", "right corners", "nose base"),
}

INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


@dataclass(eq=False)
class Crop:
    """An aligned face.

    image: uint8 RGB [size, size, 3]. matrix: float64 [2, 3], frame to crop. landmarks: float32 [K, 2] in the crop, may
    lie outside it; None where the frame was a crop already. mask: uint8 [size, size] of 0 and 255, or None.
    """

    image: np.ndarray
    matrix: np.ndarray
    landmarks: np.ndarray | None
    mask: np.ndarray | None = None


def align(
    frame: np.ndarray,
    face: Face,
    size: int,
    margin: float,
    template_name: str = "five",
    interpolation: str = "cubic",
    mask: np.ndarray | None = None,
) -> Crop:
    """The face of a frame (uint8 RGB [H, W, 3]) as a crop of ``size`` pixels; mask: [H, W], nonzero is manipulated.

    margin: how much more than the template's frame is shown on each side, as a share of it. Raises FacesError where
    the landmarks give no transform.
    """
    matrix = similarity(anchors(face.landmarks, face.scheme), template(face.scheme, size, margin, template_name))
    return Crop(
        image=warp(frame, matrix, size, interpolation),
        matrix=matrix,
        landmarks=moved(face.landmarks, matrix).astype(np.float32),
        mask=None if mask is None else warp_mask(mask, matrix, size),
    )


def resize(frame: np.ndarray, size: int, interpolation: str = "cubic", mask: np.ndarray | None = None) -> Crop:
    """A frame that is a face crop already, in ``size`` pixels: all of it, in its own shape, on black if not square.

    Where the frame has that size, its pixels are left as they are.
    """
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    shift = [(size - 1) / 2 - scale * (width - 1) / 2, (size - 1) / 2 - scale * (height - 1) / 2]
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return Crop(
        image=warp(frame, matrix, size, interpolation),
        matrix=matrix,
        landmarks=None,
        mask=None if mask is None else warp_mask(mask, matrix, size),
    )


def anchors(landmarks: np.ndarray, scheme: str) -> np.ndarray:
    """The points that are aligned: float64 [5, 2] (image-left eye, image-right eye, nose tip, mouth corners).

    dlib5 has no mouth: [3, 2], both eyes and the base of the nose. Raises FacesError for an unknown scheme or a wrong
    number of landmarks.
    """
    if scheme not in SCHEMES:
        raise FacesError(f"no landmarks are called {scheme!r}: known are {', '.join(SCHEMES)}")
    if np.shape(landmarks) != (_POINTS[scheme], 2):
        raise FacesError(f"{scheme} landmarks have the shape [{_POINTS[scheme]}, 2], not {list(np.shape(landmarks))}")
    points = np.asarray(landmarks, np.float64)
    return np.stack([points[list(index)].mean(axis=0) for index in SCHEMES[scheme]])


def template(scheme: str, size: int, margin: float = 0.0, name: str = "five") -> np.ndarray:
    """Where ``anchors`` of this scheme go in a crop: float64 [5, 2] ([3, 2] for dlib5), pixels."""
    if name not in TEMPLATES:
        raise FacesError(f"no template is called {name!r}: known are {', '.join(TEMPLATES)}")
    if scheme not in _ANCHORS:
        raise FacesError(f"no landmarks are called {scheme!r}: known are {', '.join(SCHEMES)}")
    shares = np.array([TEMPLATES[name][anchor] for anchor in _ANCHORS[scheme]])
    return (0.5 + (shares - 0.5) / (1 + 2 * margin)) * size - 0.5


def similarity(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift that take src [K, 2] to dst [K, 2] with the least sum of squares: float64 [2, 3].

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", TPAMI 13(4), 1991,
    without reflection. In the plane that is linear: with points as complex numbers about their means, the scaled
    rotation is sum(conj(src) dst) / sum(|src|^2). Raises FacesError where all src points coincide, or not all are
    finite.
    """
    src, dst = np.asarray(src, np.float64), np.asarray(dst, np.float64)
    if not (np.isfinite(src).all() and np.isfinite(dst).all()):
        raise FacesError("landmarks that are not finite cannot be aligned: look at what was found in this frame")
    middle, goal = src.mean(axis=0), dst.mean(axis=0)
    first, second = (src - middle) @ [1, 1j], (dst - goal) @ [1, 1j]
    spread = float(np.sum(np.abs(first) ** 2))
    if spread <= 1e-12 * max(1.0, float(np.abs(middle).max()) ** 2):
        raise FacesError("landmarks that all lie in one point cannot be aligned: look at what was found in this frame")
    turn = np.sum(np.conj(first) * second) / spread
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.hstack([linear, (goal - linear @ middle)[:, None]])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [K, 2] under a matrix [2, 3]: float64 [K, 2]."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The matrix of the way back, crop to frame: float64 [2, 3]."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.hstack([linear, -linear @ matrix[:, 2:]])


def warp(frame: np.ndarray, matrix: np.ndarray, size: int, interpolation: str = "cubic") -> np.ndarray:
    """A frame (uint8 [H, W] or [H, W, 3]) under a similarity: uint8 [size, size] or [size, size, 3], black outside.

    interpolation: "linear", "cubic" or "lanczos". Where the matrix shrinks by s < 1, the frame is first blurred by a
    Gaussian of standard deviation 0.5 sqrt(1/s^2 - 1) pixels: taking a pixel for a Gaussian of 0.5, that leaves 0.5
    pixels of the crop.
    """
    if interpolation not in INTERPOLATIONS:
        raise FacesError(f"no interpolation is called {interpolation!r}: known are {', '.join(INTERPOLATIONS)}")
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    part, (x0, y0) = frame, (0, 0)
    if scale < 1:
        sigma = 0.5 * np.sqrt(1 / scale**2 - 1)
        radius = int(np.ceil(3 * sigma))
        part, (x0, y0) = _needed(frame, matrix, size, radius + 4)
        if part.size == 0:
            return np.zeros((size, size, *frame.shape[2:]), np.uint8)
        part = cv2.GaussianBlur(part, (2 * radius + 1,) * 2, sigma, borderType=cv2.BORDER_REPLICATE)
    shifted = np.array(matrix, np.float64)
    shifted[:, 2] += matrix[:, :2] @ [x0, y0]
    flags = INTERPOLATIONS[interpolation]
    return cv2.warpAffine(part, shifted, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


def warp_mask(mask: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """A mask [H, W] (nonzero: manipulated) under the warp of its frame: uint8 [size, size] of 0 and 255.

    A pixel of the crop is manipulated if at least half of what it shows is.
    """
    grey = (np.asarray(mask) != 0).view(np.uint8) * np.uint8(255)
    return np.where(warp(grey, matrix, size, "linear") >= 128, np.uint8(255), np.uint8(0))


def _needed(frame: np.ndarray, matrix: np.ndarray, size: int, around: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of a frame that a crop shows, with some pixels around it, and the pixel (x, y) it begins with."""
    height, width = frame.shape[:2]
    corners = moved([[-1, -1], [size, -1], [size, size], [-1, size]], inverse(matrix))
    x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int) - around, 0, [width, height])
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + around + 1, 0, [width, height])
    return frame[y0:y1, x0:x1], (int(x0), int(y0))
