"""Geometry: thin-plate warps, least-squares fits, and the triangle mesh over a face's landmarks.

Everything maps *backwards* (for each output pixel, where to read), as cv2.remap wants it, so nothing tears or leaves
a hole. Points are [n, 2] arrays of x (right) and y (down), pixels. The mesh is piecewise affine: fast, exact at the
landmarks, and kinked along triangle edges, which is a trace honest face swaps of 2016-2019 also have.
"""

import cv2
import numpy as np
from scipy.spatial import Delaunay

# iBUG 300-W's order, 68 points, seen in a mirror: left and right change places.
MIRRORED = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)


def thin_plate(centres: np.ndarray, values: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Thin-plate spline through `values` [n, k] at `centres` [n, 2], evaluated at `queries` [m, 2] -> [m, k].

    Kernel r^2 log r with an affine part (Bookstein 1989, "Principal warps").
    """
    scale = np.ptp(centres, axis=0).max()
    c, q = centres / scale, queries / scale

    def kernel(a, b):
        squared = ((a[:, None] - b[None]) ** 2).sum(-1)
        return squared * np.log(squared + 1e-12)

    n = len(c)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = kernel(c, c) + 1e-9 * np.eye(n)
    system[:n, n:] = np.c_[np.ones(n), c]
    system[n:, :n] = system[:n, n:].T
    weights = np.linalg.solve(system, np.r_[values, np.zeros((3, values.shape[1]))])
    return kernel(q, c) @ weights[:n] + np.c_[np.ones(len(q)), q] @ weights[n:]


def fit_similarity(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Rotation, uniform scale and shift that bring `points` closest to `onto`, as [2, 3] (Umeyama 1991)."""
    p, q = points - points.mean(0), onto - onto.mean(0)
    u, s, vt = np.linalg.svd(q.T @ p)
    flip = np.diag([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ flip @ vt * (s * np.diag(flip)).sum() / (p**2).sum()
    return np.c_[rotation, onto.mean(0) - rotation @ points.mean(0)]


def fit_affine(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Affine map [2, 3] that brings `points` closest to `onto` in the least-squares sense."""
    return np.linalg.lstsq(np.c_[points, np.ones(len(points))], onto, rcond=None)[0].T


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a [2, 3] affine map to points [n, 2]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def triangles_of(points: np.ndarray) -> np.ndarray:
    """Delaunay triangles of points [n, 2], as rows of three indices, int32 [t, 3]."""
    return Delaunay(points).simplices.astype(np.int32)


def mesh_map(
    shape: tuple[int, int], drawn: np.ndarray, read: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Map for cv2.remap that draws a mesh at points `drawn` with the pixels another image has at points `read`.

    shape: (height, width) of the output, whose pixel centres are the integers of `drawn`'s coordinates.
    Returns the map, float32 [height, width, 2] (outside the mesh: -1, -1), and the covered pixels, bool. A triangle
    that is flat in the output (closed eye or mouth) is painted with the centre of its original.
    """
    height, width = shape
    which = np.full(shape, -1, np.int32)
    fixed_point = np.rint(drawn * 16).astype(np.int32)
    for index, triangle in enumerate(triangles):
        cv2.fillConvexPoly(which, fixed_point[triangle], index, cv2.LINE_8, 4)
    corners, originals = drawn[triangles], read[triangles]  # [t, 3, 2]
    edges = (corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1)  # columns are the two edges
    reads = (originals[:, 1:] - originals[:, :1]).transpose(0, 2, 1)
    area = np.linalg.det(edges)
    flat = np.abs(area) < 0.5
    edges[flat] = np.eye(2)
    linear = reads @ np.linalg.inv(edges)
    linear[flat] = 0
    anchor, origin = corners[:, 0].copy(), originals[:, 0].copy()
    origin[flat] = originals[flat].mean(1)
    shift = origin - np.einsum("tij,tj->ti", linear, anchor)
    table = [linear[:, 0, 0], linear[:, 0, 1], shift[:, 0], linear[:, 1, 0], linear[:, 1, 1], shift[:, 1]]
    table = np.stack(table + [*originals.min(1).T, *originals.max(1).T]).astype(np.float32)
    inside = which >= 0
    rows, columns = np.nonzero(inside)
    xx, xy, x0, yx, yy, y0, x_low, y_low, x_high, y_high = np.take(table, which[inside], axis=1)
    x, y = columns.astype(np.float32), rows.astype(np.float32)
    out = np.full((height, width, 2), -1, np.float32)
    out[inside, 0] = np.clip(xx * x + xy * y + x0, x_low, x_high)
    out[inside, 1] = np.clip(yx * x + yy * y + y0, y_low, y_high)
    return out, inside


def polygon(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Filled convex hull of `points`, bool [height, width]."""
    mask = np.zeros(shape, np.uint8)
    hull = cv2.convexHull(points.astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(hull * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    return mask.astype(bool)
