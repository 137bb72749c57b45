"""Encoded image bytes to pixels, straight into the batch, by the fastest well-kept decoder of each codec.

``make bench-stream`` measures the candidates; what they cost is in docs/read-shards.md. RGB everywhere outside this
file; what orientation a file claims is ignored, because crops are stored upright.
"""

import cv2  # before anything that loads a zlib of its own
import numpy as np
import simplejpeg

from shards.errors import ReadError
from shards.png import decode_up

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_GRAY = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
_JPEG = b"\xff\xd8\xff"


def decode_into(data: bytes | np.ndarray, pixels: np.ndarray) -> None:
    """A PNG, JPEG or WebP into ``pixels``, uint8 and contiguous: [H,W,3] is filled with RGB, [H,W] with gray.

    Raises ReadError if it is none, is damaged or has another size; ``pixels`` may then hold anything.
    """
    if pixels.ndim == 3:
        if decode_up(data, pixels):
            return
        if bytes(data[: len(_JPEG)]) == _JPEG:
            _decode_jpeg(data, pixels)
            return
    decoded = _decode(data, _RGB if pixels.ndim == 3 else _GRAY)
    _check_size(*decoded.shape[:2], pixels)
    pixels[:] = decoded


def decode_image(data: bytes | np.ndarray) -> np.ndarray:
    """A PNG, JPEG or WebP of any size as uint8 [H,W,3], RGB. Raises ReadError if it is none."""
    return _decode(data, _RGB)


def _decode_jpeg(data: bytes | np.ndarray, pixels: np.ndarray) -> None:
    try:
        _check_size(*simplejpeg.decode_jpeg_header(data)[:2], pixels)
        simplejpeg.decode_jpeg(data, "RGB", buffer=pixels)
    except ReadError:
        raise
    except ValueError as error:
        raise ReadError(f"{len(data)} bytes are a damaged JPEG ({error})") from None


def _check_size(height: int, width: int, pixels: np.ndarray) -> None:
    if (height, width) != pixels.shape[:2]:
        wanted = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise ReadError(f"it is {width}x{height}, the split's recipe tells {wanted}; pin samples of one recipe")


def _decode(data: bytes | np.ndarray, flags: int) -> np.ndarray:
    buffer = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    pixels = cv2.imdecode(buffer, flags) if buffer.size else None
    if pixels is None:
        raise ReadError(f"{buffer.size} bytes are not an image that OpenCV {cv2.__version__} can decode")
    return pixels
