import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.faces.align import align, resize, similarity, template
from curation.faces.backend import Face
from curation.faces.hog import open_hog
from curation.faces.measure import head, measure, pose, turn
from tests.curation.faces.portraits import photograph

POINTS = {"ibug68": 68, "81": 81, "dlib5": 5}
angles = st.tuples(st.floats(-55, 55), st.floats(-40, 40), st.floats(-60, 60))


def projected(scheme, yaw, pitch, roll, scale=1.7, shift=(300, 200), distance=None):
    """Landmarks of a mean head seen from afar, or by a camera at so many millimetres."""
    index, model = head(scheme)
    turned = (model - model.mean(axis=0)) @ turn(yaw, pitch, roll).T
    landmarks = np.zeros((POINTS[scheme], 2))
    size = 1 if distance is None else distance / (distance + turned[:, 2:])
    landmarks[index] = turned[:, :2] * size * scale + shift
    return landmarks


@pytest.fixture(scope="module")
def astronaut():
    return open_hog().find([photograph()])[0][0]


@given(angles, st.sampled_from(sorted(POINTS)))
def test_pose_is_read_back_from_a_projection(pose_in, scheme):
    assert np.allclose(pose(projected(scheme, *pose_in), scheme), pose_in, atol=0.05)


@given(angles)
def test_a_camera_near_the_face_moves_pose_little(pose_in):
    read = pose(projected("ibug68", *pose_in, distance=700), "ibug68")
    assert np.abs(np.subtract(read, pose_in)).max() < 7


@pytest.mark.parametrize(
    ("yaw", "pitch", "nose"), [(30, 0, (1, 0)), (-30, 0, (-1, 0)), (0, 25, (0, -1)), (0, -25, (0, 1))]
)
def test_the_nose_points_right_for_positive_yaw_and_up_for_positive_pitch(yaw, pitch, nose):
    moved = projected("ibug68", yaw, pitch, 0)[30] - projected("ibug68", 0, 0, 0)[30]
    assert np.dot(moved, nose) > 10


def test_positive_roll_turns_the_line_of_the_eyes_clockwise():
    landmarks = projected("ibug68", 0, 0, 20)
    right_of_left = landmarks[45] - landmarks[36]
    assert np.degrees(np.arctan2(right_of_left[1], right_of_left[0])) == pytest.approx(20)


def test_pose_does_not_depend_on_place_or_size():
    first = pose(projected("ibug68", 20, -10, 5), "ibug68")
    assert np.allclose(first, pose(projected("ibug68", 20, -10, 5, scale=0.2, shift=(-50, 9)), "ibug68"), atol=1e-3)


def test_a_mirrored_face_has_the_opposite_yaw_and_roll(astronaut):
    landmarks = astronaut.landmarks.astype(float)
    mirror = np.arange(68)
    for one, two in ((36, 45), (39, 42)):
        mirror[[one, two]] = two, one
    yaw, pitch, roll = pose(landmarks, "ibug68")
    other = pose((landmarks * [-1, 1])[mirror], "ibug68")
    assert np.allclose(other, (-yaw, pitch, -roll), atol=1e-3)


def test_the_photographed_astronaut_looks_into_the_camera(astronaut):
    assert np.abs(pose(astronaut.landmarks, "ibug68")).max() < 12


def test_landmarks_that_are_no_face_have_no_pose():
    for landmarks in (np.full((68, 2), np.nan), np.full((68, 2), 7.0)):
        assert np.isnan(pose(landmarks, "ibug68")).all()


def test_sharpness_falls_and_brightness_stays_when_the_frame_is_blurred(astronaut):
    frame = photograph()
    crops = [align(cv2.GaussianBlur(frame, (0, 0), sigma), astronaut, 128, 0.0) for sigma in (0.3, 1, 2, 4)]
    read = [measure(astronaut, crop, frame.shape[:2]) for crop in crops]
    assert all(a.sharpness > 1.5 * b.sharpness for a, b in zip(read, read[1:], strict=False))
    assert all(abs(a.brightness - read[0].brightness) < 2 for a in read)


def test_sharpness_and_brightness_of_known_pictures():
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 100
    read = measure(None, resize(stripes, 32), (32, 32))
    assert read.brightness == pytest.approx(50)
    assert read.sharpness == pytest.approx(200.0**2)  # the Laplacian is -200 on a stripe and 200 beside it


def test_what_lies_outside_the_frame_is_neither_sharp_nor_dark(astronaut):
    grey = np.full((512, 512, 3), 120, np.uint8)
    corner = Face(astronaut.box - 150, 1.0, astronaut.landmarks - 150, "ibug68")
    crop = align(grey, corner, 128, 0.3)
    assert (crop.image == 0).any()
    read = measure(corner, crop, (512, 512))
    assert read.sharpness == pytest.approx(0, abs=1e-6)
    assert read.brightness == pytest.approx(120, abs=0.01)


def test_size_and_score_are_the_faces_own(astronaut):
    read = measure(astronaut, align(photograph(), astronaut, 64, 0.0), (512, 512))
    assert read.face_px == pytest.approx(astronaut.size)
    assert read.det_score == pytest.approx(astronaut.score)


def test_a_frame_that_is_a_crop_has_the_size_of_the_frame_and_no_pose():
    read = measure(None, resize(photograph(), 64), (512, 512))
    assert read.face_px == 512
    assert np.isnan([read.det_score, read.yaw, read.pitch, read.roll]).all()
    assert np.isfinite([read.sharpness, read.brightness]).all()


def test_the_template_is_a_frontal_face():
    """Zero pitch is the template's: the mean head, turned to no angle, aligns to it without a rotation."""
    index, model = head("ibug68")
    eyes = [model[[0, 2], :2].mean(axis=0), model[[1, 3], :2].mean(axis=0)]
    nose = model[4, :2]
    matrix = similarity(np.array([*eyes, nose]), template("ibug68", 256)[:3])
    assert matrix[0, 1] == pytest.approx(0, abs=1e-9)
    landed = nose @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(landed - template("ibug68", 256)[2]).max() < 4
