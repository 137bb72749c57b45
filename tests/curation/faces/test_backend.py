import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curation.faces.backend import Face, FacesError, overlap
from curation.faces.hog import open_hog
from curation.faces.opening import open_backend

corners = arrays(np.float64, (3, 2, 2), elements=st.floats(-100, 100)).map(
    lambda points: np.concatenate([points.min(axis=1), points.max(axis=1) + 1], axis=1)
)


def test_an_unknown_backend_is_refused_by_name():
    with pytest.raises(FacesError, match="mtcnn.*dlib, face_alignment"):
        open_backend("mtcnn")


def test_dlib_is_not_silently_put_on_another_device():
    with pytest.raises(FacesError, match="cuda:0"):
        open_backend("dlib", device="cuda:0")


def test_errors_of_this_room_are_printed_as_one_line():
    assert FacesError.deepshard_error


def test_missing_landmark_files_are_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FacesError, match="pip install face_recognition_models"):
        open_backend("dlib")


def test_an_unknown_landmark_scheme_is_refused():
    with pytest.raises(FacesError, match="ibug68, dlib5"):
        open_hog(scheme="81")


@given(corners)
def test_overlap_is_symmetric_between_zero_and_one_and_one_for_itself(boxes):
    shares = overlap(boxes, boxes)
    assert np.allclose(shares, shares.T)
    assert (shares >= 0).all() and (shares <= 1 + 1e-12).all()
    assert np.allclose(np.diag(shares), 1)


@pytest.mark.parametrize(
    ("other", "share"), [((10, 0, 20, 10), 0), ((5, 0, 15, 10), 1 / 3), ((0, 0, 5, 10), 1 / 2), ((30, 30, 30, 30), 0)]
)
def test_overlap_of_known_boxes(other, share):
    assert overlap([0, 0, 10, 10], other)[0, 0] == pytest.approx(share)


def test_size_is_the_side_of_the_square_with_the_same_area():
    face = Face(np.array([10, 20, 50, 120], np.float32), 1.0, np.zeros((68, 2), np.float32), "ibug68")
    assert face.size == pytest.approx(np.sqrt(40 * 100))
