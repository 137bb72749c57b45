"""The forgeries: a target's footage, a source's footage -> forged frames and the exact masks of what was changed.

Each is a small, honest version of a method that the real datasets contain, and works on the uncompressed target, so
that real and fake are encoded once, alike. Swaps show the source's face; reenactments keep the target's. All leave
the traces their models leave: a face synthesised at low resolution, resampled texture, another camera's noise, a
blending border. Nothing outside the mask is touched. What is given up: temporal flicker and failed detections.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from curation.demo.blend import compose, match_colour, match_light, poisson, soft_inside
from curation.demo.motion import transfer
from curation.demo.render import Footage, landmarks_of
from curation.demo.warp import fit_affine, fit_similarity, mesh_map, move, polygon, triangles_of

INNER = np.r_[17:68]  # brows, nose, eyes, mouth
MOUTH = np.r_[3:14, 48:68]  # jaw without its ends, lips


@dataclass(frozen=True)
class Forgery:
    """frames uint8 RGB [n, h, w, 3], as many as the target has; masks bool [n, h, w], True where it was changed."""

    frames: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True)
class _Window:
    """A part of the frame around the face: all work is done in it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def corner(self) -> np.ndarray:
        return np.array([self.left, self.top], np.float64)


def deepfakes(target: Footage, source: Footage) -> Forgery:
    """Deepfakes: the source's face re-synthesised at 64 x 64 pixels, its colours matched, a soft border."""
    return _resynthesis_swap(target, source, resolution=64, feather=0.12, light=False)


def deepfake_detection(target: Footage, source: Footage) -> Forgery:
    """DeepFakeDetection (DFD): as Deepfakes, at 96 x 96 pixels and with a wider border."""
    return _resynthesis_swap(target, source, resolution=96, feather=0.2, light=False)


def celeb_synthesis(target: Footage, source: Footage) -> Forgery:
    """Celeb-DF's improved swap: 128 x 128 pixels, the target's light carried over, a wide soft border."""
    return _resynthesis_swap(target, source, resolution=128, feather=0.3, light=True)


def face_swap(target: Footage, source: Footage) -> Forgery:
    """FaceSwap: the source's pixels on the target's mesh, triangle by triangle, and Poisson blending."""
    triangles = triangles_of(target.person.landmarks)
    chosen = _likest(target, source)

    def forge(t: int, window: _Window, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = target.landmarks[t] - window.corner
        reading, _ = mesh_map(window.shape, points, source.landmarks[chosen[t]], triangles)
        drawn = cv2.remap(source.frames[chosen[t]], reading, None, cv2.INTER_LINEAR)
        mask = soft_inside(polygon(window.shape, points), 1.5, 1) > 0
        return poisson(frame, match_colour(drawn, frame, mask), mask), mask

    return _frame_by_frame(target, forge)


def face_shifter(target: Footage, source: Footage) -> Forgery:
    """FaceShifter: source's features at full resolution under the target's light (two-band blending), soft border."""
    triangles = triangles_of(target.person.landmarks)
    chosen = _likest(target, source)
    shown = _source_in_target(target, source)

    def forge(t: int, window: _Window, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outline = target.landmarks[t] - window.corner
        points = outline.copy()
        points[INNER] += 0.8 * (shown[t][INNER] - window.corner - outline[INNER])
        reading, inside = mesh_map(window.shape, points, source.landmarks[chosen[t]], triangles)
        drawn = cv2.remap(source.frames[chosen[t]], reading, None, cv2.INTER_CUBIC)
        size = _eyes_apart(outline)
        drawn = match_light(match_colour(drawn, frame, inside), frame, inside, 0.45 * size)
        return _laid_in(frame, drawn, soft_inside(inside, 1.5, 0.25 * size))

    return _frame_by_frame(target, forge)


def face2face(target: Footage, source: Footage) -> Forgery:
    """Face2Face: the target's face rendered anew with the source's expression.

    The face is drawn from a texture averaged over the target's own frames, its mouth and eyes from the target's frame
    whose expression is nearest to the wanted one, as Thies et al. (2016) retrieve the mouth.
    """
    wanted = transfer(target.motion, source.motion)
    driven = landmarks_of(target.person, wanted, target.shot)
    nearest = _nearest(wanted.expression()[:, :2], target.motion.expression()[:, :2])
    grid, inner, triangles = _texture_grid(target, cells=88)
    textures = [_unwrapped(target, t, grid, inner, triangles) for t in range(len(target.frames))]
    skin = np.mean(textures[:: max(1, len(textures) // 6)], axis=0)
    features = _feature_weight(grid, inner)
    ring_triangles = triangles_of(_with_ring(target.person.landmarks, target.person.landmarks))

    def forge(t: int, window: _Window, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        warped, moved = _moved_face(target, t, driven[t], ring_triangles, window, frame)
        points = driven[t] - window.corner
        reading, inside = mesh_map(window.shape, points, inner, triangles)
        texture = skin + features[..., None] * (textures[nearest[t]] - skin)
        drawn = cv2.remap(texture.astype(np.float32), reading, None, cv2.INTER_LINEAR)
        drawn = match_colour(drawn, warped, inside)
        forged, mask = _laid_in(warped, drawn, soft_inside(inside, 1.0, 0.08 * _eyes_apart(points)))
        return forged, mask | moved

    return _frame_by_frame(target, forge)


def neural_textures(target: Footage, source: Footage) -> Forgery:
    """NeuralTextures: only the mouth's region, moved as the source speaks, re-synthesised at half size, sharpened."""
    driven = landmarks_of(target.person, transfer(target.motion, source.motion, ("jaw", "smile")), target.shot)
    ring_triangles = triangles_of(_with_ring(target.person.landmarks, target.person.landmarks))

    def forge(t: int, window: _Window, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = target.landmarks[t].copy()
        points[MOUTH] = driven[t][MOUTH]
        warped, _ = _moved_face(target, t, points, ring_triangles, window, frame)
        height, width = window.shape
        half = cv2.resize(warped, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        drawn = smooth + 0.7 * (smooth - cv2.GaussianBlur(smooth, (0, 0), 1.6))
        points = points - window.corner
        lower = polygon(window.shape, np.r_[points[2:15], points[[31, 33, 35]], points[48:60]])
        return _laid_in(frame, drawn, soft_inside(lower, 0, 0.18 * _eyes_apart(points)))

    return _frame_by_frame(target, forge)


METHODS = {
    "Deepfakes": deepfakes,
    "Face2Face": face2face,
    "FaceSwap": face_swap,
    "NeuralTextures": neural_textures,
    "FaceShifter": face_shifter,
    "DeepFakeDetection": deepfake_detection,
    "Celeb-synthesis": celeb_synthesis,
}


def _resynthesis_swap(target: Footage, source: Footage, resolution: int, feather: float, light: bool) -> Forgery:
    """A swap as an autoencoder makes it: the source's face, with the target's expression, as a small square image."""
    triangles = triangles_of(source.person.landmarks)
    chosen = _likest(target, source)
    shown = _source_in_target(target, source)
    large = 2 * resolution  # drawn at twice the size and averaged down, so that the small image has no aliasing

    def forge(t: int, window: _Window, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = shown[t] - window.corner
        low, high = points.min(0), points.max(0)
        side = 1.12 * (high - low).max()
        corner = (low + high - side) / 2
        to_square = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]]) * large / side
        reading, _ = mesh_map((large, large), move(points, to_square), source.landmarks[chosen[t]], triangles)
        drawn = cv2.remap(source.frames[chosen[t]], reading, None, cv2.INTER_LINEAR)
        small = cv2.resize(drawn, (resolution, resolution), interpolation=cv2.INTER_AREA).astype(np.float32)
        back = cv2.invertAffineTransform(to_square * [[0.5], [0.5]])
        back[:, 2] += back[:, :2].sum(1) * -0.25  # centre of a small pixel = between the centres of two large ones
        size = (window.shape[1], window.shape[0])
        drawn = cv2.warpAffine(small, back, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        own = target.landmarks[t] - window.corner
        mask = polygon(window.shape, own) & polygon(window.shape, points)
        eyes = _eyes_apart(own)
        drawn = match_colour(drawn, frame, mask)
        if light:
            drawn = match_light(drawn, frame, mask, 0.3 * eyes)
        return _laid_in(frame, drawn, soft_inside(mask, 2, feather * eyes))

    return _frame_by_frame(target, forge)


def _frame_by_frame(target: Footage, forge) -> Forgery:
    """Run forge(t, window, pixels of the window) -> (forged pixels, mask) over a clip."""
    frames, masks = target.frames.copy(), np.zeros(target.frames.shape[:3], bool)
    for t, window in enumerate(_windows(target)):
        frames[t][window.slices], masks[t][window.slices] = forge(t, window, target.frames[t][window.slices])
    return Forgery(frames, masks)


def _windows(target: Footage) -> Iterator[_Window]:
    height, width = target.frames.shape[1:3]
    for points in target.landmarks:
        margin = 0.5 * _eyes_apart(points)
        low, high = np.floor(points.min(0) - margin).astype(int), np.ceil(points.max(0) + margin).astype(int)
        yield _Window(max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height))


def _laid_in(frame: np.ndarray, drawn: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return compose(frame, drawn, weight), weight > 0


def _eyes_apart(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)))


def _nearest(wanted: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each row of `wanted` the index of the nearest row of `among`."""
    return ((wanted[:, None] - among[None]) ** 2).sum(-1).argmin(1)


def _likest(target: Footage, source: Footage) -> np.ndarray:
    """For each frame of the target, the source's frame whose pose and expression are the most alike."""

    def features(clip: Footage) -> np.ndarray:
        m = clip.motion
        return np.stack([m.blink, m.jaw, 0.5 * m.smile, 3 * m.turn, 3 * m.nod], 1)

    return _nearest(features(target), features(source))


def _source_in_target(target: Footage, source: Footage) -> np.ndarray:
    """The source's landmarks with the target's pose and expression, laid over the target's, [n, 68, 2] frame pixels."""
    shown = landmarks_of(source.person, target.motion, target.shot)
    return np.stack([move(s, fit_similarity(s, t)) for s, t in zip(shown, target.landmarks, strict=True)])


def _ring(points: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Twenty points around a face that stay where they are while it moves."""
    middle, reach = (rest.min(0) + rest.max(0)) / 2, np.ptp(rest, axis=0) / 2
    angle = np.arange(20) * 2 * np.pi / 20
    circle = middle + np.stack([np.cos(angle), np.sin(angle)], 1) * reach * [1.25, 1.30]
    steady = np.r_[0, 1, 15, 16, 17:28, 36, 39, 42, 45]
    return move(circle, fit_affine(rest[steady], points[steady]))


def _with_ring(points: np.ndarray, rest: np.ndarray) -> np.ndarray:
    return np.r_[points, _ring(points, rest)]


def _moved_face(target: Footage, t: int, points: np.ndarray, triangles: np.ndarray, window: _Window, frame: np.ndarray):
    """The target's frame with its landmarks moved to `points` inside a ring that stays; and where it moved, bool."""
    ring = _ring(target.landmarks[t], target.person.landmarks) - window.corner
    read = np.r_[target.landmarks[t] - window.corner, ring]
    reading, inside = mesh_map(window.shape, np.r_[points - window.corner, ring], read, triangles)
    x, y = np.meshgrid(np.arange(window.shape[1], dtype=np.float32), np.arange(window.shape[0], dtype=np.float32))
    moved = inside & (np.abs(reading[..., 0] - x) + np.abs(reading[..., 1] - y) > 0.1)
    warped = cv2.remap(frame, reading, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.where(moved[..., None], warped, frame), moved


def _texture_grid(target: Footage, cells: int) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
    """Size (height, width) of a texture of the face at rest, its landmarks in it, and the mesh."""
    rest = target.person.landmarks
    scale = (cells - 3) / np.ptp(rest[:, 0])
    inner = (rest - rest.min(0)) * scale + 1
    height = int(np.ceil(inner[:, 1].max())) + 2
    return (height, cells), inner, triangles_of(rest)


def _unwrapped(target: Footage, t: int, grid: tuple[int, int], inner: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    reading, inside = mesh_map(grid, inner, target.landmarks[t], triangles)
    texture = cv2.remap(target.frames[t], reading, None, cv2.INTER_LINEAR).astype(np.float32)
    outside = ~inside
    texture[outside] = cv2.blur(texture, (5, 5))[outside]
    return texture


def _feature_weight(grid: tuple[int, int], inner: np.ndarray) -> np.ndarray:
    """1 over mouth and eyes of a texture, falling smoothly to 0."""
    weight = polygon(grid, inner[48:60]) | polygon(grid, inner[36:42]) | polygon(grid, inner[42:48])
    weight = cv2.dilate(weight.astype(np.float32), np.ones((5, 5), np.uint8))
    return cv2.GaussianBlur(weight, (0, 0), 1.5)
