"""Encoded image bytes to pixels, by OpenCV, the fastest decoder of PNG and JPEG at hand.

RGB everywhere outside this file; what orientation a file claims is ignored, because crops are stored upright.
"""

import cv2
import numpy as np

from shards.errors import ReadError

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def decode_image(data: bytes | np.ndarray) -> np.ndarray:
    """A PNG, JPEG or WebP as uint8 [H,W,3], RGB. Raises ReadError if it is none."""
    return _decode(data, _RGB)


def decode_mask(data: bytes | np.ndarray) -> np.ndarray:
    """A mask as uint8 [H,W], 0 outside the manipulated area. Raises ReadError if it is no image."""
    return _decode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode(data: bytes | np.ndarray, flags: int) -> np.ndarray:
    buffer = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    pixels = cv2.imdecode(buffer, flags) if buffer.size else None
    if pixels is None:
        raise ReadError(f"{buffer.size} bytes are not an image that OpenCV {cv2.__version__} can decode")
    return pixels
