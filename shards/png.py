"""PNGs as our recipes write them, to pixels in half the time of any library that was measured.

Faces are written as 8-bit RGB in which every row is filtered by *up*: it holds the differences to the row above. So
decoding is inflating, which libdeflate does best, and a running sum down the columns, which NumPy does a few rows at a
time. Any other PNG is left to OpenCV. Given up: the CRCs of the chunks, since whoever reads a shard has compared the
checksum of the whole file; the Adler-32 of the pixels is compared.
Format: PNG specification, third edition, sections 5 (chunks) and 9 (filtering).
"""

import struct
from functools import cache

import deflate
import numpy as np

from shards.errors import ReadError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">I4sIIBBBBB")  # length, type, width, height, bits, colour, compression, filtering, interlacing
_RGB = (8, 2, 0, 0, 0)  # 8 bits, truecolour, the one compression, the one filtering, not interlaced
_CHUNK = struct.Struct(">I4s")
_CRC = 4
_UP = 2


def decode_up(data: bytes | np.ndarray, pixels: np.ndarray) -> bool:
    """Decode into ``pixels``, uint8 [H,W,3] and contiguous, RGB; False if it is no RGB PNG of that size whose rows are
    all filtered by *up*: ``pixels`` is then as it was.

    Raises ReadError if it looks like one and is damaged.
    """
    height, width = pixels.shape[:2]
    view = memoryview(data)
    if view[: len(SIGNATURE)] != SIGNATURE or len(view) < len(SIGNATURE) + _IHDR.size:
        return False
    _, kind, *header = _IHDR.unpack_from(view, len(SIGNATURE))
    if kind != b"IHDR" or tuple(header) != (width, height, *_RGB):
        return False
    row = 1 + 3 * width  # the filter's number, then the differences
    try:
        lines = deflate.zlib_decompress(_compressed(view), height * row)
    except deflate.DeflateError as error:
        raise ReadError(f"a PNG whose pixels cannot be inflated ({error})") from None
    if len(lines) != height * row:
        raise ReadError(f"a PNG of {width}x{height} with {len(lines)} bytes of pixels, not {height * row}")
    if lines[::row].count(_UP) != height:
        return False
    differences = np.frombuffer(lines, np.uint8).reshape(height, row)[:, 1:]
    _sum_down(differences, pixels.reshape(height, 3 * width))
    return True


def _compressed(view: memoryview) -> bytes:
    """The zlib stream: the IDAT chunks, joined."""
    pieces, at = [], len(SIGNATURE) + _IHDR.size + _CRC
    while at + _CHUNK.size <= len(view):
        length, kind = _CHUNK.unpack_from(view, at)
        at += _CHUNK.size
        if kind == b"IDAT":
            pieces.append(view[at : at + length])
        elif kind == b"IEND":
            return b"".join(pieces)
        at += length + _CRC
    raise ReadError("a PNG that ends before its last chunk")


def _sum_down(differences: np.ndarray, sums: np.ndarray) -> None:
    """Running sums down the columns, modulo 256: uint8 [H,W].

    By bands of rows: the bands' totals first, then row i of all bands at once. NumPy's own cumulative sum takes five
    times as long, since it goes column by column.
    """
    height, width = differences.shape
    bands = _bands(height)
    steps, out = (array.reshape(bands, height // bands, width) for array in (differences, sums))
    carry = steps.sum(axis=1, dtype=np.uint8)
    for band in range(1, bands - 1):
        carry[band] += carry[band - 1]
    out[0, 0] = steps[0, 0]
    np.add(steps[1:, 0], carry[:-1], out=out[1:, 0])
    for i in range(1, height // bands):
        np.add(steps[:, i], out[:, i - 1], out=out[:, i])


@cache
def _bands(height: int) -> int:
    """How many bands of equally many rows cost least: about the square root."""
    return min((n for n in range(1, height + 1) if height % n == 0), key=lambda n: n + height // n)
