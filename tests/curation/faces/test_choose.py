import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.faces.backend import Face, FacesError
from curation.faces.choose import choose


def face(side):
    return Face(np.array([0, 0, side, side], np.float32), 1.0, np.zeros((68, 2), np.float32), "ibug68")


BIG, SMALL = face(100), face(60)


def test_all_keeps_every_face():
    assert choose([[BIG, SMALL], [], [SMALL]], [[0, 1], [], [1]], "all") == [[0, 1], [], [0]]


def test_one_is_the_track_that_is_largest_over_the_clip():
    assert choose([[BIG, SMALL], [SMALL, BIG], [SMALL]], [[0, 1], [1, 0], [1]]) == [[0], [1], []]


def test_a_passer_by_close_to_the_lens_does_not_win():
    found = [[SMALL]] * 10 + [[face(150), SMALL]]
    assert choose(found, [[0]] * 10 + [[1, 0]]) == [[0]] * 10 + [[1]]


def test_the_manipulated_face_wins_over_a_larger_one():
    found, numbers = [[BIG, SMALL]] * 3, [[0, 1]] * 3
    assert choose(found, numbers, overlaps=[[0.0, 0.6]] * 3) == [[1]] * 3


def test_the_face_that_the_mask_covers_most_wins_over_one_it_touches():
    assert choose([[SMALL, BIG]], [[0, 1]], overlaps=[[0.9, 0.1]]) == [[0]]


def test_a_mask_that_covers_no_face_means_none_of_them():
    assert choose([[SMALL, BIG]], [[0, 1]], overlaps=[[0.04, 0.0]]) == [[]]
    assert choose([[SMALL, BIG]], [[0, 1]], overlaps=[[0.0, 0.0]]) == [[]]


def test_ties_go_to_the_longer_track_then_to_the_first():
    assert choose([[face(60)], [face(80), face(100)]], [[0], [0, 1]]) == [[0], [0]]
    assert choose([[BIG, BIG]], [[1, 0]]) == [[1]]


def test_without_faces_there_is_nothing_to_choose():
    assert choose([[], []], [[], []]) == [[], []]


def test_another_word_is_refused():
    with pytest.raises(FacesError, match='"one" or "all"'):
        choose([[BIG]], [[0]], "two")


some_tracks = st.permutations([0, 1, 2]).flatmap(lambda order: st.integers(0, 3).map(lambda count: order[:count]))


@given(st.lists(some_tracks, max_size=6))
def test_one_keeps_one_track_in_every_frame_that_has_it(numbers):
    found = [[face(50 + 10 * number) for number in names] for names in numbers]
    chosen = choose(found, numbers)
    kept = {names[place] for names, places in zip(numbers, chosen, strict=True) for place in places}
    assert len(kept) == (1 if any(numbers) else 0)
    for names, places in zip(numbers, chosen, strict=True):
        assert places == [names.index(number) for number in kept if number in names]
