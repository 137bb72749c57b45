"""A face's embedding: of the chip that dlib's own mapping makes, near for one face and far for two."""

import dlib
import numpy as np
import pytest

from curation.faces.align import align
from curation.faces.backend import FacesError
from curation.faces.embedding import LENGTH, chip, embedding
from curation.faces.hog import open_hog


@pytest.fixture(scope="module")
def found():
    """The photograph that scikit-image brings, uint8 RGB, and the face in it with 68 landmarks."""
    from skimage.data import astronaut

    backend = open_hog()
    frame = astronaut()
    [[face]] = backend.find([frame])
    return frame, face


def cut(found, margin=0.15, size=256):
    frame, face = found
    crop = align(frame, face, size, margin)
    return crop.image, {"landmarks": crop.landmarks.tolist(), "landmark_scheme": face.scheme}


def test_a_chip_of_the_crop_shows_what_a_chip_of_the_frame_shows(found):
    frame, face = found
    points = [dlib.point(round(x), round(y)) for x, y in face.landmarks.tolist()]
    whole = dlib.full_object_detection(dlib.rectangle(*map(int, face.box)), points)
    right = dlib.get_face_chip(frame, whole, size=150, padding=0.25).astype(int)
    crop, facts = cut(found)
    ours = chip(crop, facts["landmarks"], facts["landmark_scheme"])
    assert ours.shape == (150, 150, 3) and ours.dtype == np.uint8
    inside = np.abs(ours.astype(int) - right)[:, 15:-15]  # the corners may lie beyond the crop
    assert inside.mean() < 8
    assert np.corrcoef(ours[:, 15:-15].ravel(), right[:, 15:-15].ravel())[0, 1] > 0.97


def test_one_face_in_two_crops_is_near_and_a_stranger_far(found):
    crop, facts = cut(found)
    value = embedding(crop, facts)
    assert value.shape == (LENGTH,) and value.dtype == np.float32
    other = embedding(*cut(found, margin=0.3, size=160))
    assert np.linalg.norm(value - other) < 0.3
    stranger, _ = cut(found)
    stranger[:] = np.random.default_rng(0).integers(0, 256, stranger.shape)
    assert np.linalg.norm(value - embedding(stranger, facts)) > 0.6


def test_a_crop_without_landmarks_has_none_and_unknown_landmarks_are_refused(found):
    crop, facts = cut(found)
    assert embedding(crop, facts | {"landmarks": None}) is None
    with pytest.raises(FacesError, match="ibug68, 81, dlib5"):
        embedding(crop, facts | {"landmark_scheme": "mtcnn"})
