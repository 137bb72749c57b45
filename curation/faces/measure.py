"""What is known of a face besides its pixels: size, sharpness, brightness, pose. Columns that splits filter by.

All but the size are of the crop or of the landmarks, so that two recipes can be compared; none of them decides which
face is kept. Pose comes from few points and a mean head under scaled orthography: within some degrees for what turns
less than about 45 degrees, and no camera has to be known.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from curation.faces.align import Crop, inverse, moved
from curation.faces.backend import Face

_NAN = float("nan")
_KERNEL = 4  # pixels of the frame that the widest interpolation mixes


@dataclass(frozen=True)
class Measures:
    """Of one face; a value that cannot be had is nan.

    face_px: side of the square with its box's area, pixels of the frame (of a frame that is a crop: the frame's).
    det_score: the detector's. sharpness: variance of the Laplacian (4 neighbours) of the crop's luma, in squared grey
    levels (Pech-Pacheco et al., ICPR 2000); faces that were enlarged score low. brightness: mean luma, 0 to 255 (both
    only of what lies in the frame; luma is ITU-R BT.601's). yaw, pitch, roll: degrees, see ``pose``.
    """

    face_px: float
    det_score: float
    sharpness: float
    brightness: float
    yaw: float
    pitch: float
    roll: float


def measure(face: Face | None, crop: Crop, frame_size: tuple[int, int]) -> Measures:
    """Measures of a face and its crop; frame_size: (height, width) of the frame. face: None if the frame is a crop."""
    height, width = frame_size
    luma = cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)
    edges = cv2.Laplacian(luma, cv2.CV_16S, ksize=1)
    seen = _inside(crop, frame_size)
    # a pixel's Laplacian needs its neighbours: those at the rim of what lies in the frame do not count
    if seen is None:
        whole, edges = None, edges[1:-1, 1:-1]
    else:
        whole = cv2.erode(seen, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), borderValue=0)
    sharpness = float(cv2.meanStdDev(edges, mask=whole)[1][0, 0] ** 2) if whole is None or whole.any() else _NAN
    brightness = cv2.mean(luma, mask=seen)[0] if seen is None or seen.any() else _NAN
    if face is None:
        return Measures(float(np.sqrt(height * width)), _NAN, sharpness, brightness, _NAN, _NAN, _NAN)
    return Measures(face.size, float(face.score), sharpness, brightness, *pose(face.landmarks, face.scheme))


def _inside(crop: Crop, frame_size: tuple[int, int]) -> np.ndarray | None:
    """Which pixels of a crop show the frame and nothing of the black around it: uint8 [size, size], 255 or 0.

    None if all do.
    """
    lowest, limits = _KERNEL, [frame_size[1] - 1 - _KERNEL, frame_size[0] - 1 - _KERNEL]
    size = crop.image.shape[0]
    back = inverse(crop.matrix)
    corners = moved([[0, 0], [size - 1, 0], [size - 1, size - 1], [0, size - 1]], back)
    if (corners >= lowest).all() and (corners <= limits).all():
        return None
    along = np.arange(size)
    inside = np.ones((size, size), bool)
    for (by_x, by_y, shift), limit in zip(back, limits, strict=True):
        place = (by_x * along + shift)[None, :] + (by_y * along)[:, None]
        inside &= (place >= lowest) & (place <= limit)
    return inside.view(np.uint8) * np.uint8(255)


# A mean head in millimetres, x to its left (the image's right), y down, z from the camera into it. Widths and the
# profile from the nasion are those of Deli et al., "Three-dimensional methodology for photogrammetric acquisition of
# the soft tissues of the face", Progress in Orthodontics 14:32, 2013, tables 2 and 3: ex-ex 83.5, en-en 28.2, ex-en
# 28.65, n-ex 47.3; n-prn 44.7, n-sn 50.9, n-pg 99.7, prn-pg 63.6, sn-pg 49.9, the line n-pg upright. Not given there
# and taken as 4: how far the corners of the eyes are below the nasion.
_EYES = 4.0
_EX_DEPTH = np.sqrt(47.3**2 - (83.5 / 2) ** 2 - _EYES**2)
_EN_DEPTH = _EX_DEPTH - np.sqrt(28.65**2 - ((83.5 - 28.2) / 2) ** 2)


def _profile(to_nasion: float, to_pogonion: float) -> tuple[float, float]:
    """y and z of a point of the profile from its distances to both ends of the facial line."""
    line = 99.7
    y = (to_nasion**2 - to_pogonion**2 + line**2) / (2 * line)
    return y, -float(np.sqrt(to_nasion**2 - y**2))


_PRN, _SN = _profile(44.7, 63.6), _profile(50.9, 49.9)
_HEAD = {
    "ex_left": (-83.5 / 2, _EYES, _EX_DEPTH),  # left in the image
    "ex_right": (83.5 / 2, _EYES, _EX_DEPTH),
    "en_left": (-28.2 / 2, _EYES, _EN_DEPTH),
    "en_right": (28.2 / 2, _EYES, _EN_DEPTH),
    "prn": (0.0, *_PRN),
    "sn": (0.0, *_SN),
}
_TILT = 5.5  # degrees up, so that the alignment template, a mean frontal face, has no pitch
# no mouth: its corners rise in a smile, which would be a pitch of 50 degrees
_FULL = {36: "ex_left", 45: "ex_right", 39: "en_left", 42: "en_right", 30: "prn", 33: "sn"}
_POINTS = {
    "ibug68": _FULL,
    "81": _FULL,
    "dlib5": {2: "ex_left", 0: "ex_right", 3: "en_left", 1: "en_right", 4: "sn"},
}


def head(scheme: str) -> tuple[list[int], np.ndarray]:
    """The landmarks pose is read from, and those points of a mean head that looks into the camera, float64 [N, 3]."""
    points = np.array([_HEAD[name] for name in _POINTS[scheme].values()])
    return list(_POINTS[scheme]), points @ turn(0.0, _TILT, 0.0).T


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The rotation of a head from looking into the camera to these angles (degrees, as in ``pose``): float64 [3, 3]."""
    psi, theta, phi = np.radians([-yaw, -pitch, roll])
    about_y = np.array([[np.cos(psi), 0, np.sin(psi)], [0, 1, 0], [-np.sin(psi), 0, np.cos(psi)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(theta), -np.sin(theta)], [0, np.sin(theta), np.cos(theta)]])
    about_z = np.array([[np.cos(phi), -np.sin(phi), 0], [np.sin(phi), np.cos(phi), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def pose(landmarks: np.ndarray, scheme: str) -> tuple[float, float, float]:
    """Yaw, pitch and roll of the head in degrees, from landmarks [K, 2].

    yaw > 0: it looks to the image's right; pitch > 0: up; roll > 0: it leans to the image's right, the line of the
    eyes turned clockwise. Zero is the alignment template's frontal face. The scaled orthographic fit of the mean head
    with the least sum of squares: the affine fit made a rotation, then Gauss and Newton's steps. nan where landmarks
    are not finite.
    """
    index, model, solve = _centred(scheme)
    points = np.asarray(landmarks, np.float64)[index]
    seen = points - points.mean(axis=0)
    if not np.isfinite(seen).all() or not seen.any():
        return _NAN, _NAN, _NAN
    affine = (solve @ seen).T
    left, sizes, right = np.linalg.svd(affine, full_matrices=False)
    scale, rows = float(sizes.mean()), left @ right
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    slopes = np.zeros((2, len(model), 4))  # of the image's x and y, by a small turn about x, y, z, and by the scale
    for _ in range(20):
        turned = model @ rotation.T
        x, y, z = turned.T
        slopes[0, :, 1], slopes[0, :, 2], slopes[0, :, 3] = scale * z, -scale * y, x
        slopes[1, :, 0], slopes[1, :, 2], slopes[1, :, 3] = -scale * z, scale * x, y
        rows = slopes.reshape(-1, 4)
        square = rows.T @ rows
        square.flat[::5] *= 1 + 1e-9  # so that it can be solved, whatever the landmarks
        step = np.linalg.solve(square, rows.T @ (seen - scale * turned[:, :2]).T.ravel())
        rotation = cv2.Rodrigues(step[:3])[0] @ rotation
        scale += float(step[3])
        if np.abs(step[:3]).max() < 1e-4:  # six thousandths of a degree, and steps shrink quadratically
            break
    yaw = np.arcsin(np.clip(rotation[2, 0], -1.0, 1.0))
    pitch = -np.arctan2(rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return tuple(float(angle) for angle in np.degrees([yaw, pitch, roll]))


@cache
def _centred(scheme: str) -> tuple[list[int], np.ndarray, np.ndarray]:
    """What ``head`` gives, the points about their mean, and their pseudo-inverse [3, N]."""
    index, model = head(scheme)
    model = model - model.mean(axis=0)
    return index, model, np.linalg.pinv(model)
