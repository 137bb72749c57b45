"""The one real photograph everything starts from: scikit-image's astronaut, cut out and measured.

The picture (NASA, public domain; it lies inside the scikit-image package, so nothing is downloaded) is enlarged two-
fold to a *canvas*; its 68 landmarks are found once with dlib, the person is cut from the backdrop and parted into
skin, hair and clothes with GrabCut. All that follows warps this canvas, so that landmarks of every frame are known
exactly.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ZOOM = 2  # canvas pixels per pixel of the photograph
LEFT, TOP, RIGHT, BOTTOM = 60, 0, 390, 270  # part of the photograph that is the canvas, pixels

# Rough outlines on this photograph, in its pixels: where GrabCut is told what it sees.
_BACKDROP = [
    [(60, 0), (390, 0), (390, 12), (60, 12)],
    [(60, 0), (140, 0), (143, 120), (110, 170), (92, 226), (60, 246)],
    [(390, 0), (312, 0), (306, 120), (284, 138), (266, 165), (300, 160), (330, 240), (345, 270), (390, 270)],
]
_SOMEBODY = [
    (165, 60), (200, 25), (250, 25), (292, 70), (290, 105), (268, 130), (255, 170), (255, 190), (295, 220), (300, 270),
    (110, 270), (130, 200), (185, 180), (183, 120),
]  # fmt: skip
_HAIR = [
    (160, 60), (205, 25), (250, 25), (290, 70), (285, 110), (275, 80), (250, 72), (190, 60), (172, 100),
]  # fmt: skip
_NECK = [(188, 155), (257, 155), (253, 176), (225, 188), (192, 176)]
_NECK_ENDS = 189


class DemoError(RuntimeError):
    """The demo data cannot be made here; the message says what to do."""

    deepshard_error = True


@dataclass(frozen=True)
class Photograph:
    """The canvas. Arrays are [540, 660], origin top left, x right, y down.

    rgb        uint8 [H, W, 3], colours of the person continued over the backdrop (no bright fringe at the hair)
    alpha      float32, 1 on the person, 0 on the backdrop
    skin, hair, clothes  float32 0..1, soft masks; face, ears and neck are skin
    landmarks  float64 [68, 2], iBUG 300-W order, canvas pixels
    """

    rgb: np.ndarray
    alpha: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    clothes: np.ndarray
    landmarks: np.ndarray


def open_photograph() -> Photograph:
    """Read, measure and cut out the photograph (about one second). Raises DemoError if a package is not there."""
    for module, package in {"skimage": "scikit-image", "dlib": "dlib-bin"}.items():
        if importlib.util.find_spec(module) is None:
            raise DemoError(f"the demo data needs the package {package}: pip install {package}")
    import skimage.data

    photo = np.ascontiguousarray(skimage.data.astronaut()[TOP:BOTTOM, LEFT:RIGHT])
    enlarged = cv2.resize(photo, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_LANCZOS4)
    landmarks = _find_landmarks(enlarged)
    person = _cut_person(photo)
    skin = _cut_skin(photo, person, (landmarks + 0.5) / ZOOM - 0.5)
    alpha = _soft(cv2.erode(person, np.ones((3, 3), np.uint8)), 1.6)
    skin_soft = _soft(skin, 2.0)
    body = np.clip((np.arange(enlarged.shape[0], dtype=np.float32) - 2 * 150) / 20, 0, 1)[:, None]
    rest = 1 - skin_soft
    return Photograph(
        rgb=_continue_colours(enlarged, alpha),
        alpha=alpha,
        skin=skin_soft,
        hair=alpha * rest * (1 - body),
        clothes=alpha * rest * body,
        landmarks=landmarks,
    )


def _find_landmarks(rgb: np.ndarray) -> np.ndarray:
    import dlib

    spec = importlib.util.find_spec("face_recognition_models")  # importing it would need pkg_resources
    if spec is None or not spec.submodule_search_locations:
        raise DemoError("the demo data needs dlib's landmarks: pip install face_recognition_models")
    file = Path(spec.submodule_search_locations[0]) / "models" / "shape_predictor_68_face_landmarks.dat"
    if not file.is_file():
        raise DemoError(f"{file} is missing: reinstall it, pip install --force-reinstall face_recognition_models")
    faces = dlib.get_frontal_face_detector()(rgb, 0)
    if len(faces) != 1:
        raise DemoError(f"dlib found {len(faces)} faces in scikit-image's astronaut instead of 1: reinstall dlib-bin")
    shape = dlib.shape_predictor(str(file))(rgb, faces[0])
    return np.array([[part.x, part.y] for part in shape.parts()], np.float64)


def _fill(mask: np.ndarray, outline: list, value: int) -> None:
    cv2.fillPoly(mask, [np.int32(outline) - [LEFT, TOP]], value)


def _grabcut(rgb: np.ndarray, hints: np.ndarray) -> np.ndarray:
    cv2.setRNGSeed(0)
    cv2.grabCut(rgb[..., ::-1].copy(), hints, None, np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    return np.isin(hints, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _cut_person(rgb: np.ndarray) -> np.ndarray:
    hints = np.full(rgb.shape[:2], cv2.GC_PR_FGD, np.uint8)
    for outline in _BACKDROP:
        _fill(hints, outline, cv2.GC_BGD)
    _fill(hints, _SOMEBODY, cv2.GC_FGD)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(_grabcut(rgb, hints))
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)


def _cut_skin(rgb: np.ndarray, person: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    hints = np.where(person > 0, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    hull = cv2.convexHull(landmarks.astype(np.float32))
    cv2.fillPoly(hints, [hull.astype(np.int32)], cv2.GC_PR_FGD)
    cv2.fillPoly(hints, [((hull - hull.mean(0)) * 0.85 + hull.mean(0)).astype(np.int32)], cv2.GC_FGD)
    _fill(hints, _NECK, cv2.GC_PR_FGD)
    _fill(hints, _HAIR, cv2.GC_BGD)
    hints[_NECK_ENDS - TOP :] = cv2.GC_BGD
    return _grabcut(rgb, hints) * person


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    large = cv2.resize(mask.astype(np.float32), None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(large, (0, 0), sigma)


def _continue_colours(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours of the person carried outwards over the backdrop: blurs of growing width, weighted by the cut-out."""
    solid = (alpha > 0.97).astype(np.float32)
    filled, known = rgb.astype(np.float32) * solid[..., None], solid.copy()
    for sigma in (2, 6, 20, 80):
        weight = cv2.GaussianBlur(solid, (0, 0), sigma)
        colour = cv2.GaussianBlur(rgb.astype(np.float32) * solid[..., None], (0, 0), sigma)
        take = (known == 0) & (weight > 0.02)
        filled[take] = colour[take] / weight[take][:, None]
        known[take] = 1
    filled[known == 0] = rgb[solid > 0].mean(0)
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)
