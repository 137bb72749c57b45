import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.faces.backend import Face
from curation.faces.track import PATIENCE, distance, tracks


def face(x, y, side):
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    return Face(box, 1.0, np.zeros((68, 2), np.float32), "ibug68")


def test_a_face_that_moves_and_grows_is_one_track():
    found = [[face(100 + 40 * i, 200, 80 * 1.1**i)] for i in range(8)]
    assert tracks(found) == [[0]] * 8


def test_two_people_keep_their_numbers_when_their_order_changes():
    found = [[face(100, 100, 80), face(400, 100, 70)], [face(410, 100, 90), face(110, 100, 78)]]
    assert tracks(found) == [[0, 1], [1, 0]]


def test_two_people_who_pass_each_other_at_different_depths_keep_their_numbers():
    found = [[face(100 + 30 * i, 100, 150), face(400 - 30 * i, 100, 70)] for i in range(11)]
    assert tracks(found) == [[0, 1]] * 11


@pytest.mark.parametrize("missing", [1, PATIENCE])
def test_a_face_that_is_missed_for_a_while_comes_back_as_itself(missing):
    found = [[face(100, 100, 80)], *[[]] * missing, [face(130, 100, 80)]]
    assert tracks(found)[-1] == [0]


def test_after_too_long_it_is_another_track():
    assert tracks([[face(100, 100, 80)], *[[]] * (PATIENCE + 1), [face(100, 100, 80)]])[-1] == [1]


def test_a_face_elsewhere_or_of_another_size_is_another_track():
    assert tracks([[face(100, 100, 80)], [face(400, 100, 80)]]) == [[0], [1]]
    assert tracks([[face(100, 100, 80)], [face(100, 100, 200)]]) == [[0], [1]]


def test_no_faces_no_tracks():
    assert tracks([]) == [] and tracks([[], []]) == [[], []]


faces = st.builds(face, st.floats(0, 500), st.floats(0, 500), st.floats(20, 200))


@given(st.lists(st.lists(faces, max_size=4), max_size=8))
def test_numbers_have_the_shape_of_the_faces_are_unique_in_a_frame_and_count_up(found):
    numbers = tracks(found)
    assert [len(names) for names in numbers] == [len(there) for there in found]
    assert all(len(set(names)) == len(names) for names in numbers)
    seen = [number for names in numbers for number in names]
    assert sorted(set(seen)) == list(range(len(set(seen))))
    assert [number for place, number in enumerate(seen) if number not in seen[:place]] == sorted(set(seen))
    assert tracks(found) == numbers


@given(faces, faces, st.integers(1, 4))
def test_distance_is_symmetric_and_zero_for_the_same_box(one, two, frames):
    assert distance(one.box, one.box, frames) == 0
    there, back = distance(one.box, two.box, frames), distance(two.box, one.box, frames)
    assert there == back or there == pytest.approx(back)
