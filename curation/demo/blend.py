"""Putting a forged face into a frame: soft masks, colour matching, Poisson and two-band blending.

Images are uint8 or float32 RGB, masks bool or float32 0..1. Every blend leaves what lies outside its mask exactly as
it was, bit for bit: the manipulation masks that the demo writes are these masks.
"""

import cv2
import numpy as np


def soft_inside(mask: np.ndarray, shrink: float, feather: float) -> np.ndarray:
    """Weights float32 0..1 that rise over `feather` pixels inwards from `shrink` pixels within the edge of a bool mask.

    Exactly 0 outside the mask.
    """
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    ramp = np.clip((distance - shrink) / max(feather, 1e-3), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def compose(frame: np.ndarray, forged: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """frame + weight * (forged - frame), uint8; pixels of weight 0 keep the frame's bytes."""
    under = frame.astype(np.float32)
    return np.clip(np.rint(under + weight[..., None] * (forged - under)), 0, 255).astype(np.uint8)


def match_colour(image: np.ndarray, like: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Give each channel of `image` the mean and deviation of `like` within `mask` (Reinhard et al. 2001, in RGB)."""
    inside = mask.astype(np.uint8)
    own, wanted = (np.hstack(cv2.meanStdDev(part, mask=inside)).T for part in (image, like))  # rows: mean, deviation
    gain = np.clip(wanted[1] / np.maximum(own[1], 1), 0.6, 1.6)
    return image * gain.astype(np.float32) + (wanted[0] - own[0] * gain).astype(np.float32)


def match_light(image: np.ndarray, like: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Replace what is coarser than `sigma` pixels in `image` by that of `like`, averaging within `mask` only."""
    weight = mask.astype(np.float32)[..., None]
    difference = np.dstack([(like - image) * weight, weight]).astype(np.float32)
    height, width = mask.shape
    small = cv2.resize(difference, (width // 4, height // 4), interpolation=cv2.INTER_AREA)  # all that stays is coarse
    small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    coarse = cv2.resize(small[..., :3] / (small[..., 3:] + 1e-4), (width, height), interpolation=cv2.INTER_LINEAR)
    return image + coarse


def poisson(frame: np.ndarray, forged: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Seamless cloning (Perez et al. 2003) of `forged` into `frame` within a bool mask; uint8."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    middle = (left + width // 2, top + height // 2)
    patch = np.clip(np.rint(forged), 0, 255).astype(np.uint8)
    cloned = cv2.seamlessClone(patch, frame, mask.astype(np.uint8) * 255, middle, cv2.NORMAL_CLONE)
    return np.where(mask[..., None], cloned, frame)
