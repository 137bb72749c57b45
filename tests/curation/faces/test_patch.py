import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.faces.patch import cut, scaled


@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.floats(0.3, 3),
    st.floats(-20, 110),
    st.floats(-20, 110),
    st.floats(8, 80),
)
def test_a_point_goes_into_a_patch_and_back(height, width, scale, x, y, side):
    patch = cut(np.zeros((height, width), np.uint8), np.array([x, y]), side, scale)
    if patch is None:
        return
    points = np.array([[x, y], [0, 0], [3.25, 7.5]])
    assert np.allclose(patch.out(patch.into(points)), points)


@pytest.mark.parametrize("scale", [0.25, 0.5, 1, 2, 3])
def test_a_dot_is_where_the_patch_says_it_is(scale):
    frame = np.zeros((60, 80), np.uint8)
    frame[20:24, 40:44] = 255  # its middle is at (41.5, 21.5)
    patch = cut(frame, np.array([40.0, 24.0]), 32, scale)
    rows, columns = np.indices(patch.pixels.shape)
    weight = patch.pixels.astype(float)
    middle = np.array([[(columns * weight).sum(), (rows * weight).sum()]]) / weight.sum() + 0.5
    assert np.allclose(patch.out(middle), [[41.5, 21.5]], atol=0.05)


def test_a_patch_that_lies_outside_is_none():
    assert cut(np.zeros((50, 50), np.uint8), np.array([200.0, 20.0]), 30, 1.0) is None


def test_a_mirrored_box_is_led_back():
    patch = scaled(np.zeros((10, 30), np.uint8), (0, 0), 1.0)
    assert patch.mirrored_box(np.array([2, 3, 12, 9])).tolist() == [18, 3, 28, 9]
