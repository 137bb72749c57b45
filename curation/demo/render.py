"""A person, a motion and a shot become frames and landmarks.

Per frame one backward map goes from the frame through the camera (tilt, zoom, shift), a turn and nod of the head (a
parallax over a smooth depth, so the nose moves more than the ears) and the expression to the canvas, and the canvas is
sampled once. Sensor noise is added last. Occlusion by the turning head is given up: turns stay within about 12 degrees.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from curation.demo.draws import generator
from curation.demo.expression import STEP, Expression
from curation.demo.motion import Motion
from curation.demo.people import Person
from curation.demo.scene import PAN, Shot

GRID = 4  # a frame's coarse map has one sample in the middle of GRID x GRID pixels; divides every frame size
_CAVITY = np.array([46, 22, 22], np.float32)  # colour of the hollow of a mouth


@dataclass(frozen=True)
class Footage:
    """A clip before any encoding.

    frames     uint8 RGB [n, height, width, 3]
    landmarks  float64 [n, 68, 2], iBUG 300-W order, pixels of the frame (x right, y down)
    """

    person: Person
    motion: Motion
    shot: Shot
    frames: np.ndarray
    landmarks: np.ndarray


def film(person: Person, motion: Motion, shot: Shot) -> Footage:
    """Render every frame of a motion."""
    expression = Expression(person.landmarks)
    canvas = _lit(person, shot)
    frames = np.empty((len(motion), shot.height, shot.width, 3), np.uint8)
    noise = _noise_bank(shot)
    rng = generator("noise", *shot.seed)
    sway_x, sway_y = rng.uniform(-1, 1), rng.uniform(-0.4, 0.4)
    for t in range(len(motion)):
        frame = _draw(person, expression, canvas, motion, shot, t)
        shift = np.sin(0.11 * t + 3 * sway_x) * shot.sway
        frame = _over_backdrop(frame, shot, shift * sway_x, shift * sway_y, t)
        dx, dy = rng.integers(0, 64, 2)
        frame += noise[dy : dy + shot.height, dx : dx + shot.width]
        frames[t] = np.clip(frame + 0.5, 0, 255)  # rounds to nearest
    return Footage(person, motion, shot, frames, landmarks_of(person, motion, shot))


def landmarks_of(person: Person, motion: Motion, shot: Shot) -> np.ndarray:
    """Landmarks of a person under a motion and a shot, float64 [n, 68, 2], without rendering."""
    expression = Expression(person.landmarks)
    out = np.empty((len(motion), 68, 2))
    centre, radius = _head(person)
    for t in range(len(motion)):
        points = expression.landmarks(*motion.expression()[t]) - centre
        depth = _depth(points[:, 0], points[:, 1], radius)
        points = points + depth[:, None] * [np.sin(motion.turn[t]), np.sin(motion.nod[t])]
        linear, shift = _camera(person, motion, shot, t)
        out[t] = points @ linear.T + shift
    return out


def _head(person: Person) -> tuple[np.ndarray, float]:
    """Centre of the face and its radius, canvas pixels."""
    p = person.landmarks
    return p[[36, 39, 42, 45, 33, 48, 54]].mean(0), float(np.linalg.norm(p[0] - p[16])) / 2


def _depth(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """How far a point of the head stands out, canvas pixels: a smooth dome and a smaller one for the nose."""
    squared = (x * x + y * y) / (radius * radius)
    return (0.75 * radius) * np.exp(-squared / 1.3) + (0.18 * radius) * np.exp(-squared / 0.09)


def _camera(person: Person, motion: Motion, shot: Shot, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Linear part [2, 2] and shift [2] from canvas pixels about the head's centre to frame pixels."""
    cosine, sine = np.cos(motion.tilt[t]), np.sin(motion.tilt[t])
    linear = shot.scale * motion.zoom[t] * np.array([[cosine, -sine], [sine, cosine]])
    eyes = np.linalg.norm(person.landmarks[36:42].mean(0) - person.landmarks[42:48].mean(0)) * shot.scale
    return linear, np.array(shot.centre) + [motion.x[t] * eyes, motion.y[t] * eyes]


def _lit(person: Person, shot: Shot) -> np.ndarray:
    """The person under the shot's light: uint8 [H, W, 4], colours and alpha."""
    centre, radius = _head(person)
    across = np.clip((np.arange(person.rgb.shape[1]) - centre[0]) / (1.6 * radius), -1, 1)
    gain = (shot.exposure * (1 + shot.light * across)).astype(np.float32)[None, :, None]
    rgb = np.clip(person.rgb * gain, 0, 255)
    return np.dstack([np.rint(rgb), np.rint(person.alpha * 255)]).astype(np.uint8)


def _noise_bank(shot: Shot) -> np.ndarray:
    rng = generator("noise bank", *shot.seed)
    shape = (shot.height + 64, shot.width + 64)
    luma = rng.standard_normal((*shape, 1), np.float32)
    chroma = rng.standard_normal((*shape, 3), np.float32)
    return shot.noise * (0.85 * luma + 0.5 * chroma)


def _draw(person: Person, expression: Expression, canvas: np.ndarray, motion: Motion, shot: Shot, t: int) -> np.ndarray:
    """The person alone, uint8 [height, width, 4]."""
    centre, radius = _head(person)
    linear, shift = _camera(person, motion, shot, t)
    inverse = np.linalg.inv(linear).astype(np.float32)
    coarse_x, coarse_y = np.meshgrid(
        np.arange(-GRID, shot.width + GRID, GRID, dtype=np.float32) + np.float32((GRID - 1) / 2 - shift[0]),
        np.arange(-GRID, shot.height + GRID, GRID, dtype=np.float32) + np.float32((GRID - 1) / 2 - shift[1]),
    )
    seen_x = inverse[0, 0] * coarse_x + inverse[0, 1] * coarse_y
    seen_y = inverse[1, 0] * coarse_x + inverse[1, 1] * coarse_y
    turn, nod = np.float32(np.sin(motion.turn[t])), np.float32(np.sin(motion.nod[t]))
    x, y = seen_x, seen_y
    for _ in range(6):  # a contraction: the dome's slope times the sine stays below 0.3
        depth = _depth(x, y, radius)
        x, y = seen_x - turn * depth, seen_y - nod * depth
    coarse = np.dstack([x + centre[0], y + centre[1]]).astype(np.float32)
    reading = cv2.resize(coarse, None, fx=GRID, fy=GRID, interpolation=cv2.INTER_LINEAR)
    reading = reading[GRID : GRID + shot.height, GRID : GRID + shot.width].copy()

    moves = expression.backward(*motion.expression()[t])
    size = np.array(moves.shape[1::-1]) * STEP
    corners = expression.origin - centre + size * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    reach = corners @ linear.T + shift
    margin = 0.2 * radius * shot.scale  # what a turn or nod can add
    low = np.clip(reach.min(0) - margin, 0, None).astype(int)
    high = np.minimum((reach.max(0) + margin).astype(int), [shot.width, shot.height])
    face = slice(low[1], high[1]), slice(low[0], high[0])
    onto = (reading[face] - expression.origin.astype(np.float32)) * np.float32(1 / STEP)
    moves = cv2.remap(moves, onto, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    reading[face] += moves[..., :2]

    drawn = cv2.remap(canvas, reading, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    left, top, width, height = cv2.boundingRect((moves[..., 2] > 0).view(np.uint8))
    hollow = slice(top, top + height), slice(left, left + width)
    dark = 0.9 * moves[hollow][..., 2:]
    shown = drawn[face][hollow][..., :3]
    shown[:] = np.rint(shown + dark * (_CAVITY * np.float32(shot.exposure) - shown))
    return drawn


def _over_backdrop(drawn: np.ndarray, shot: Shot, dx: float, dy: float, t: int) -> np.ndarray:
    matrix = np.float32([[1, 0, dx - PAN], [0, 1, dy - PAN]])
    size = (shot.width, shot.height)
    behind = cv2.warpAffine(shot.backdrop, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    behind = behind.astype(np.float32) * np.float32(shot.exposure)
    if shot.leaves is not None:  # two layers that cross each other
        near = PAN + np.rint([0.9 * PAN * np.sin(0.9 * t), 0.6 * PAN * np.sin(0.63 * t + 1)]).astype(int)
        far = PAN + np.rint([0.9 * PAN * np.sin(0.71 * t + 2), 0.6 * PAN * np.sin(0.8 * t + 3)]).astype(int)
        layers = [shot.leaves[y : y + shot.height, x : x + shot.width] for x, y in (near, far)]
        behind += (layers[0] * layers[1] * np.float32(0.02) + layers[0] - layers[1])[..., None] * np.float32(0.5)
    alpha = drawn[..., 3:] * np.float32(1 / 255)
    return behind + alpha * (drawn[..., :3] - behind)
