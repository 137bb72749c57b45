"""Decoding: the quick ways give the pixels that OpenCV gives, whatever the file, and never pixels of a damaged one."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import ReadError
from shards.image import decode_image, decode_into
from shards.png import decode_up

UP = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


def noisy(height, width, seed=0, channels=3, kind=np.uint8):
    """Steps of colour under noise, so that neighbours are alike as they are in a photograph."""
    rng = np.random.default_rng(seed)
    base = np.cumsum(rng.integers(-4, 5, (height, width, channels)), axis=0) + 128
    return np.ascontiguousarray(np.squeeze(base.astype(kind)))


def png(image, *flags):
    done, data = cv2.imencode(".png", image, list(flags))
    assert done
    return data.tobytes()


def decoded(data, height, width):
    pixels = np.full((height, width, 3), 77, np.uint8)
    decode_into(data, pixels)
    return pixels


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 70), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_a_png_of_any_size_filtered_by_up_is_decoded_exactly(height, width, seed, level):
    image = noisy(height, width, seed).reshape(height, width, 3)
    data = png(image, cv2.IMWRITE_PNG_COMPRESSION, level, *UP)
    pixels = np.empty((height, width, 3), np.uint8)
    assert decode_up(data, pixels) and np.array_equal(pixels, image[..., ::-1])


@pytest.mark.parametrize(
    "flags",
    [
        [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE],
        [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB],
        [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG],
        [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH],
        [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_ALL_FILTERS, cv2.IMWRITE_PNG_COMPRESSION, 9],
    ],
)
def test_pngs_filtered_otherwise_are_decoded_too(flags):
    image = noisy(48, 36)
    data = png(image, *flags)
    assert not decode_up(data, np.empty((48, 36, 3), np.uint8))
    assert np.array_equal(decoded(data, 48, 36), image[..., ::-1])


@pytest.mark.parametrize(
    "image",
    [noisy(20, 30, channels=1), noisy(20, 30, channels=4), noisy(20, 30, kind=np.uint16)],
    ids=["gray", "transparent", "deep"],
)
def test_gray_transparent_and_deep_pngs_are_left_to_opencv(image):
    data = png(image, *UP)
    assert not decode_up(data, np.empty((20, 30, 3), np.uint8))
    assert np.array_equal(decoded(data, 20, 30), decode_image(data))


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
def test_every_codec_gives_the_pixels_of_opencv_from_bytes_and_from_arrays(suffix):
    data = cv2.imencode(suffix, noisy(40, 24))[1]
    for form in (data, data.tobytes()):
        assert np.array_equal(decoded(form, 40, 24), decode_image(data))


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
def test_another_size_is_an_error_that_names_both(suffix):
    data = cv2.imencode(suffix, noisy(40, 24), UP if suffix == ".png" else [])[1].tobytes()
    for shape in ((24, 40), (64, 64), (8, 8)):
        with pytest.raises(ReadError, match=rf"24x40, the split's recipe tells {shape[1]}x{shape[0]}"):
            decoded(data, *shape)


def test_a_mask_is_gray_whatever_it_was_stored_as():
    mask = np.zeros((16, 16), np.uint8)
    mask[4:9, 2:11] = 255
    for image in (mask, cv2.merge([mask] * 3)):
        pixels = np.empty((16, 16), np.uint8)
        decode_into(png(image, *UP), pixels)
        assert np.array_equal(pixels, mask)


def test_a_file_cut_short_anywhere_is_an_error():
    image = noisy(24, 16)
    whole = {"png": png(image, *UP), "jpg": cv2.imencode(".jpg", image)[1].tobytes()}
    for codec, data in whole.items():
        needed = len(data) - (12 if codec == "png" else 2)  # the marks of the end hold no pixels
        for end in range(needed):
            with pytest.raises(ReadError):
                decoded(data[:end], 24, 16)


def test_a_flipped_bit_among_the_pixels_of_a_png_never_gives_another_picture():
    image = noisy(12, 8)
    data = png(image, *UP)
    start = data.index(b"IDAT") + 4
    length, told = struct.unpack(">I", data[start - 8 : start - 4])[0], 0
    for place in range(start, start + length):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            try:
                pixels = decoded(bytes(damaged), 12, 8)
            except ReadError:
                told += 1
            else:  # a bit that only fills up the last byte of the stream
                assert np.array_equal(pixels, image[..., ::-1])
    assert told > 8 * length - 8


def test_too_few_rows_of_pixels_are_an_error():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 12, 8, 2, 0, 0, 0))
    rows = zlib.compress(b"\2" + bytes(24))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    with pytest.raises(ReadError, match="25 bytes of pixels, not 300"):
        decoded(data, 12, 8)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF0000WEBP", bytes(5000)])
def test_what_is_no_image_is_an_error(data):
    with pytest.raises(ReadError):
        decoded(data, 8, 8)
