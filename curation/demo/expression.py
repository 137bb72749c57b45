"""Faces that blink, speak, smile and raise their brows, as a backward map on the canvas.

Lids and lips slide along columns (piecewise linear maps whose knots are the lids, lips, chin and brows), so that an
eye closes under its skin and teeth are hidden by the lip instead of being squeezed; smile and brows are smooth
bumps. The same knots, read the other way round, move the landmarks, which therefore are exact in every frame.
"""

import numpy as np

STEP = 2  # canvas pixels between the samples of a map
MARGIN = 44  # canvas pixels around the landmarks inside which an expression moves anything

_UPPER_LIP, _UPPER_INNER = [48, 49, 50, 51, 52, 53, 54], [48, 60, 61, 62, 63, 64, 54]
_LOWER_LIP, _LOWER_INNER = [48, 59, 58, 57, 56, 55, 54], [48, 60, 67, 66, 65, 64, 54]
_EYES = [  # upper lid, lower lid, brow
    ([36, 37, 38, 39], [36, 41, 40, 39], [17, 18, 19, 20, 21]),
    ([42, 43, 44, 45], [42, 47, 46, 45], [22, 23, 24, 25, 26]),
]
_JAW = list(range(3, 14))


class Expression:
    """The expressions of one face at rest (landmarks float64 [68, 2], canvas pixels)."""

    def __init__(self, landmarks: np.ndarray):
        self.rest = landmarks
        low, high = landmarks.min(0) - MARGIN, landmarks.max(0) + MARGIN
        self.origin = np.floor(low)
        columns = np.arange(self.origin[0], high[0], STEP)
        rows = np.arange(self.origin[1], high[1], STEP)
        self.x, self.y = (a.astype(np.float32) for a in np.meshgrid(columns, rows))
        self.eyes_apart = float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))

    def backward(self, blink: float, jaw: float, smile: float, brows: float) -> np.ndarray:
        """Where the moved face reads the face at rest, and how dark it is between closed lids and lips.

        Returns float32 [h, w, 3]: dx, dy in canvas pixels and darkness 0..1, at canvas positions
        origin + STEP * (column, row).
        """
        bumps = self._bumps(smile, brows)
        moved = self._forward_bumps(self.rest, bumps)
        columns = self.x[0].astype(np.float64)
        y, dark = self.y.copy(), np.zeros_like(self.y)
        at_rest, drawn, (top, teeth, bottom) = self._mouth(columns, moved, jaw)
        part = self._rows(drawn)
        line = np.float32(0.75 * max(-jaw, 0.0) ** 2) * _band(y[part], top, bottom)
        dark[part] = np.maximum(_band(y[part], teeth + 1, bottom), line)
        y[part] = _slide(y[part], drawn, at_rest)
        for eye in _EYES:
            at_rest, drawn = self._eye(columns, moved, eye, blink)
            part = self._rows(drawn)
            lash = np.minimum(0.3 * (at_rest[3] - at_rest[1]), 1)
            line = np.float32(0.8 * blink**2) * _band(y[part], drawn[2], drawn[3] + lash)
            dark[part] = np.maximum(dark[part], line)
            y[part] = _slide(y[part], drawn, at_rest)
        rest_x, rest_y = np.zeros_like(y), y - self.y
        for centre, spread, shift in zip(*bumps, strict=True):
            weight = _bell(self.x[0], centre[0], spread[0]) * _bell(y, centre[1], spread[1])
            rest_x -= np.float32(shift[0]) * weight
            rest_y -= np.float32(shift[1]) * weight
        return np.dstack([rest_x, rest_y, dark])

    def landmarks(self, blink: float, jaw: float, smile: float, brows: float) -> np.ndarray:
        """The 68 landmarks under an expression, float64 [68, 2], canvas pixels."""
        moved = self._forward_bumps(self.rest, self._bumps(smile, brows))
        points = moved.copy()
        mouth = np.r_[3:14, 48:68]
        at_rest, drawn, _ = self._mouth(moved[mouth, 0], moved, jaw)
        points[mouth, 1] = _slide(moved[mouth, 1][None], at_rest, drawn)[0]
        for eye, group in zip(_EYES, (slice(36, 42), slice(42, 48)), strict=True):
            at_rest, drawn = self._eye(moved[group, 0], moved, eye, blink)
            points[group, 1] = _slide(moved[group, 1][None], at_rest, drawn)[0]
        return points

    def _rows(self, knots: np.ndarray) -> slice:
        """Rows of the map that lie between the first and the last of the knots [k, n], and a little more."""
        low, high = (np.array([knots[0].min(), knots[-1].max()]) - self.origin[1]) / STEP
        return slice(max(int(low) - 2, 0), int(high) + 4)

    def _bumps(self, smile: float, brows: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Four smooth moves: centres in the moved face, spreads and shifts, each [4, 2]; tops move by their shifts."""
        unit = self.eyes_apart
        shifts = np.array([[-0.11, -0.035], [0.11, -0.035]]) * smile, np.array([[0, -0.055]] * 2) * brows
        shift = np.concatenate(shifts) * unit
        at_rest = np.stack([self.rest[48], self.rest[54], self.rest[17:22].mean(0), self.rest[22:27].mean(0)])
        return at_rest + shift, np.array([[0.20, 0.16]] * 2 + [[0.42, 0.14]] * 2) * unit, shift

    @staticmethod
    def _forward_bumps(points: np.ndarray, bumps: tuple) -> np.ndarray:
        centres, spreads, shifts = bumps
        moved = points
        for _ in range(6):  # a contraction: the slope of every bump is below 0.5
            weight = np.exp(-(((moved[:, None] - centres) / spreads) ** 2).sum(-1) / 2)
            moved = points + weight @ shifts
        return moved

    def _mouth(self, columns: np.ndarray, moved: np.ndarray, jaw: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Knots [8, n] of the mouth's columns at rest and as drawn; drawn upper lip, end of teeth, lower lip [3, n]."""

        def curve(indices):
            return _curve(columns, moved[indices])

        upper, upper_inner = curve(_UPPER_LIP), curve(_UPPER_INNER)
        lower_inner, lower = curve(_LOWER_INNER), curve(_LOWER_LIP)
        lower_inner, lower = np.maximum(lower_inner, upper_inner), np.maximum(lower, upper_inner + 0.5)
        upper, gap = np.minimum(upper, upper_inner - 0.5), lower_inner - upper_inner
        chin = np.maximum(curve(_JAW), lower + 4)
        nose = np.minimum(np.full_like(upper, moved[[31, 35], 1].mean()), upper - 2)
        middle, half = moved[[48, 54], 0].mean(), np.ptp(moved[[48, 54], 0]) / 2
        off = np.clip((columns - middle) / half, -1, 1)
        closed, opened = max(-jaw, 0.0), max(jaw, 0.0)
        lip = np.cos(off * np.pi / 2) ** 1.5 * 0.24 * self.eyes_apart * opened - 0.62 * closed * gap
        drop = np.cos(np.clip((columns - middle) / (1.5 * half), -1, 1) * np.pi / 2) ** 2
        drop *= 0.24 * self.eyes_apart * opened - 0.62 * closed * gap.max()
        new_upper_inner = upper_inner + 0.3 * closed * gap - 0.08 * lip * (opened > 0)
        new_lower_inner = np.maximum(lower_inner + lip, new_upper_inner)
        shown = np.minimum(gap, new_lower_inner - new_upper_inner)  # how much of the teeth one sees
        tiny = 0.02
        at_rest = np.stack([nose, upper, upper_inner, upper_inner + shown, lower_inner, lower, chin, chin + MARGIN])
        drawn = np.stack(
            [
                nose,
                upper + 0.25 * closed * gap - 0.08 * lip * (opened > 0),
                new_upper_inner,
                new_upper_inner + shown - tiny,
                new_lower_inner,
                lower + lip,
                chin + 0.8 * drop,
                chin + MARGIN,
            ]
        )
        return at_rest, drawn, np.stack([new_upper_inner, new_upper_inner + shown, new_lower_inner])

    def _eye(self, columns: np.ndarray, moved: np.ndarray, eye: tuple, blink: float) -> tuple[np.ndarray, np.ndarray]:
        upper, lower = _curve(columns, moved[eye[0]]), _curve(columns, moved[eye[1]])
        lower = np.maximum(lower, upper)
        gap = lower - upper
        brow = np.minimum(_curve(columns, moved[eye[2]]) + 0.05 * self.eyes_apart, upper - 2)
        cheek = lower + 0.2 * self.eyes_apart
        lid = upper + 0.88 * blink * gap
        at_rest = np.stack([brow, upper, lid, lower, cheek])  # the lid hides what it passes
        drawn = np.stack([brow, lid - 0.02, lid, lower, cheek])
        return at_rest, drawn


def _curve(columns: np.ndarray, points: np.ndarray) -> np.ndarray:
    order = np.argsort(points[:, 0], kind="stable")
    return np.interp(columns, points[order, 0], points[order, 1])


def _bell(values: np.ndarray, centre: float, spread: float) -> np.ndarray:
    scaled = (values - values.dtype.type(centre)) / values.dtype.type(spread)
    return np.exp(scaled * scaled * values.dtype.type(-0.5))


def _slide(y: np.ndarray, frm: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Move y [rows, n] along each column by the piecewise linear map that takes the knots `frm` [k, n] to `to` [k, n].

    Above the first and below the last knot nothing moves (the end knots of both are equal).
    """
    frm, to = frm.astype(y.dtype), to.astype(y.dtype)
    shift = np.zeros_like(y)
    for k in range(len(frm) - 1):
        span = np.maximum(frm[k + 1] - frm[k], 1e-3)
        place = np.clip((y - frm[k]) / span, 0, 1)
        shift += place * ((to[k + 1] - to[k]) - (frm[k + 1] - frm[k]))
    return y + shift


def _band(y: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """1 between two curves, falling to 0 within a pixel beyond; 0 where they are closer than a fifth of a pixel."""
    top, bottom = top.astype(y.dtype), bottom.astype(y.dtype)
    edge = np.clip((y - top) / 2 + 0.5, 0, 1) * np.clip((bottom - y) / 2 + 0.5, 0, 1)
    return edge * np.clip((bottom - top) / 2 - 0.1, 0, 1)
