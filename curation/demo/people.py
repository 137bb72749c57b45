"""People: smooth variations in shape and tone of the one photograph.

A person is drawn from a name: proportions of the face and of the hair (a thin-plate warp that moves the landmarks
exactly where they are asked to go), colours of skin, hair, lips and clothes, skin texture at the canvas' resolution,
which the photograph itself is too small to have, and sometimes freckles, stubble or a mirrored face. They are
cousins of one woman, not a population: the demo shows a pipeline, and says nothing about fairness between groups of
people.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from curation.demo.draws import evenly, generator
from curation.demo.photograph import Photograph
from curation.demo.warp import MIRRORED, polygon, thin_plate

SKINS = np.array([(238, 205, 182), (226, 186, 156), (205, 160, 126), (176, 128, 96), (146, 102, 76), (120, 84, 66)])
HAIRS = np.array(
    [(42, 36, 34), (64, 46, 36), (98, 70, 46), (134, 74, 44), (178, 142, 92), (208, 184, 140), (150, 148, 146)]
)
CLOTHES = np.array(
    [(196, 86, 50), (52, 78, 130), (60, 104, 72), (126, 44, 52), (70, 70, 78), (176, 152, 100), (106, 74, 128),
     (188, 188, 182), (40, 116, 122)]
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody at rest, on the canvas (see photograph.Photograph for its coordinates).

    rgb uint8 [H, W, 3]; alpha float32 [H, W]; landmarks float64 [68, 2] canvas pixels.
    """

    name: str
    rgb: np.ndarray
    alpha: np.ndarray
    landmarks: np.ndarray


def make_person(photo: Photograph, group: str, index: int, seed: int = 0) -> Person:
    """Number `index` of a group of people (a dataset); tones within a group are spread evenly."""
    name = f"{group}/{index}"
    rng = generator("person", seed, name)
    landmarks = _proportions(photo.landmarks, rng)
    field = _shape_warp(photo, landmarks, rng)
    rgb = cv2.remap(photo.rgb, field, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    alpha, skin, hair, clothes = (
        cv2.remap(mask, field, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for mask in (photo.alpha, photo.skin, photo.hair, photo.clothes)
    )
    image = _tones(rgb, skin, hair, clothes, landmarks, rng, evenly(index, "skin", seed, group))
    image = _texture(image, skin, hair, landmarks, rng)
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        width = image.shape[1]
        image, alpha = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(alpha[:, ::-1])
        landmarks = np.c_[width - 1 - landmarks[:, 0], landmarks[:, 1]][MIRRORED]
    return Person(name, image, alpha, landmarks)


def _proportions(rest: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The landmarks of another face: the photograph's, with a dozen proportions changed."""
    p = rest.copy()
    u = lambda amount: rng.uniform(-amount, amount)  # noqa: E731
    centre = p[[36, 45, 30, 48, 54]].mean(0)
    size = np.linalg.norm(p[36:42].mean(0) - p[42:48].mean(0))
    p[:, 0] = centre[0] + (p[:, 0] - centre[0]) * (1 + u(0.06))
    p[:, 1] = centre[1] + (p[:, 1] - centre[1]) * (1 + u(0.06))
    low = np.clip((p[:17, 1] - centre[1]) / size, 0, 1)  # jaw: wide or narrow towards the chin
    p[:17, 0] = centre[0] + (p[:17, 0] - centre[0]) * (1 + u(0.11) * low)
    p[5:12, 1] += u(0.11) * size * np.array([0.3, 0.6, 0.9, 1, 0.9, 0.6, 0.3])  # chin
    spacing, scale, tilt, lift = u(0.045) * size, 1 + u(0.16), u(0.13), u(0.03) * size
    for side, eye in ((-1, slice(36, 42)), (1, slice(42, 48))):
        middle = p[eye].mean(0)
        turn = np.array([[1, -side * tilt], [side * tilt, 1]])
        p[eye] = middle + (p[eye] - middle) @ turn.T * scale + [side * spacing, lift]
    raise_brows, tilt_brows = u(0.06) * size, u(0.10)
    for side, brow in ((-1, slice(17, 22)), (1, slice(22, 27))):
        middle = p[brow].mean(0)
        p[brow, 1] += raise_brows + side * tilt_brows * (p[brow, 0] - middle[0])
        p[brow, 0] += side * spacing
    nose = p[27:36]
    nose[4:, 1] += u(0.06) * size
    nose[4:, 0] = nose[6, 0] + (nose[4:, 0] - nose[6, 0]) * (1 + u(0.22))
    mouth = p[48:68]
    middle = mouth.mean(0)
    mouth[:, 0] = middle[0] + (mouth[:, 0] - middle[0]) * (1 + u(0.13))
    mouth[:, 1] += u(0.05) * size
    lips = 1 + u(0.3)  # thickness: outer lips move, inner ones stay
    mouth[1:6, 1] = mouth[12:17, 1].mean() + (mouth[1:6, 1] - mouth[12:17, 1].mean()) * lips
    mouth[7:12, 1] = mouth[17:20, 1].mean() + (mouth[7:12, 1] - mouth[17:20, 1].mean()) * lips
    return p


def _shape_warp(photo: Photograph, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Backward map of the canvas, float32 [H, W, 2]: landmarks as asked, hair fuller or flatter, the edge fixed."""
    height, width = photo.alpha.shape
    outline = max(cv2.findContours((photo.hair > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0],
                  key=len)[:, 0].astype(np.float64)  # fmt: skip
    centre = photo.landmarks[27]
    angle = np.arctan2(*(outline - centre).T[::-1])
    directions = np.linspace(-np.pi * 1.05, np.pi * 0.05, 15)
    reach = np.array([outline[np.abs(np.angle(np.exp(1j * (angle - d)))) < 0.08] for d in directions], dtype=object)
    ring = np.array([r[np.linalg.norm(r - centre, axis=1).argmax()] for r in reach])
    away = ring - centre
    sides, crown = 1 + rng.uniform(-0.13, 0.10), 1 + rng.uniform(-0.10, 0.08)
    phase, wave = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.04)
    hair = centre + away * [sides, crown] * (1 + wave * np.cos(3 * directions + phase))[:, None]
    edge = np.array([(x, y) for x in np.linspace(0, width - 1, 6) for y in (0, height - 1)]
                    + [(x, y) for y in np.linspace(0, height - 1, 5)[1:-1] for x in (0, width - 1)])  # fmt: skip
    body = np.array([(240, 380), (400, 380), (200, 460), (440, 460), (320, 400), (320, 500)], np.float64)
    new = np.r_[landmarks, hair, edge, body]
    old = np.r_[photo.landmarks, ring, edge, body]
    step = 10
    xs, ys = np.arange(0, width + step, step), np.arange(0, height + step, step)
    coarse = np.stack(np.meshgrid(xs, ys), -1).astype(np.float64)
    shift = thin_plate(new, old - new, coarse.reshape(-1, 2)).reshape(coarse.shape).astype(np.float32)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    fine = cv2.remap(shift, x / step, y / step, cv2.INTER_LINEAR)
    return fine + np.dstack([x, y])


def _soft_polygon(shape: tuple, points: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(polygon(shape, points).astype(np.float32), (0, 0), sigma)[..., None]


def _tones(rgb, skin, hair, clothes, landmarks, rng, darkness: float) -> np.ndarray:
    image = rgb.astype(np.float32)
    shape = skin.shape
    eyes = sum(_soft_polygon(shape, landmarks[e], 1.5) for e in (slice(36, 42), slice(42, 48)))
    teeth = _soft_polygon(shape, landmarks[60:68], 1.5)
    feature = np.clip(1 - eyes - teeth, 0, 1)

    place = (0.05 + 0.9 * darkness) * (len(SKINS) - 1)
    wanted = np.array([np.interp(place, range(len(SKINS)), SKINS[:, c]) for c in range(3)]) + rng.uniform(-7, 7, 3)
    cheek = cv2.mean(rgb, (polygon(shape, landmarks[[2, 4, 48, 31, 36]]) * 255).astype(np.uint8))[:3]
    contrast = 1 + 0.5 * darkness  # highlights and shadows stand out more on darker skin
    skinned = np.maximum(image / np.float32(cheek), 1e-3) ** np.float32(contrast) * wanted.astype(np.float32)
    image += skin[..., None] * feature * (skinned - image)

    lips = np.clip(_soft_polygon(shape, landmarks[48:60], 2) - teeth, 0, 1)
    image *= 1 + lips * rng.uniform([-0.05, -0.25, -0.2], [0.1, 0.05, 0.05]).astype(np.float32)

    light = image.mean(-1, keepdims=True)
    colour = HAIRS[rng.integers(len(HAIRS))] * rng.uniform(0.85, 1.05)
    colour *= min(1, 0.95 * wanted.mean() / colour.mean())  # hair that outshines the face hides it from HOG detectors
    strands = np.minimum(light / light[hair > 0.6].mean(), 1.7) ** rng.uniform(0.45, 0.8) * colour.astype(np.float32)
    image += hair[..., None] * (strands - image)
    brows = sum(_soft_polygon(shape, landmarks[b], 2.0) for b in (slice(17, 22), slice(22, 27)))
    image *= 1 - brows * skin[..., None] * rng.uniform(0, 0.45) * np.float32(1.15 - colour / 255)

    bright = clothes[..., None] * np.clip((image[..., :1] - image[..., 2:] - 40) / 60, 0, 1)  # the orange of the suit
    cloth = CLOTHES[rng.integers(len(CLOTHES))] * rng.uniform(0.85, 1.1)
    image += bright * (light / 105 * cloth.astype(np.float32) - image)
    collar = clothes[..., None] * (1 - bright)
    image += collar * (light * 0.9 + rng.uniform(0, 38, 3).astype(np.float32) - image)
    return image


def _texture(image, skin, hair, landmarks, rng) -> np.ndarray:
    height, width = skin.shape
    grain = rng.standard_normal((height, width), np.float32)
    fine = cv2.GaussianBlur(grain, (0, 0), 0.9) - cv2.GaussianBlur(grain, (0, 0), 2.4)
    coarse = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 2.2)
    coarse -= cv2.GaussianBlur(coarse, (0, 0), 6)
    pores = fine / fine.std() * rng.uniform(0.018, 0.034) + coarse / coarse.std() * rng.uniform(0.012, 0.026)
    if rng.random() < 0.35:  # freckles and moles
        spots = cv2.GaussianBlur(np.float32(rng.random((height, width), np.float32) > 0.9988), (0, 0), 1.3)
        pores -= spots / 0.094 * rng.uniform(0.1, 0.3)
    if rng.random() < 0.35:  # stubble
        cheeks = np.r_[landmarks[3:14], landmarks[[31, 35]]]
        beard = cv2.GaussianBlur(polygon((height, width), cheeks).astype(np.float32), (0, 0), 9)
        beard *= 1 - cv2.GaussianBlur(polygon((height, width), landmarks[48:60]).astype(np.float32), (0, 0), 3)
        pores -= beard * (rng.uniform(0.12, 0.3) + 0.06 * fine / fine.std())
    strands = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 3.5, sigmaY=1.0)
    shine = strands / strands.std() * rng.uniform(0.03, 0.07)
    return image * (1 + skin[..., None] * pores[..., None] + hair[..., None] * shine[..., None])
