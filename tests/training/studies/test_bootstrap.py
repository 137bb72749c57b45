"""Intervals: against a loop that draws videos by hand, and cases whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from training.studies.bootstrap import draw_accuracies, resampled, strata, weights


def made(videos=40, seed=0):
    """(video, cell, label, images, correct) columns of two test sets that share real videos; the cells' test sets."""
    generator = np.random.default_rng(seed)
    rows = []
    for video in range(videos):
        label = int(video >= videos // 2)
        cells = [0, 1] if label == 0 else [video % 2]  # the fakes of each set are its own
        for cell in cells:
            images = int(generator.integers(1, 11))
            rows.append((video, cell, label, images, int(generator.integers(0, images + 1))))
    return [np.array(column) for column in zip(*rows, strict=True)], np.array([0, 1])


def by_hand(columns, tests, drawn):
    """Accuracies [draws, cells] with loops over draws, cells and rows."""
    found = np.zeros((len(drawn), len(tests)))
    for draw, times in enumerate(drawn):
        for cell in range(len(tests)):
            right = total = 0.0
            for video, at, _, images, correct in zip(*columns, strict=True):
                if at == cell:
                    right += times[video] * correct
                    total += times[video] * images
            found[draw, cell] = 100 * right / total
    return found


def test_it_gives_what_a_loop_over_draws_and_videos_gives():
    columns, tests = made()
    labels = np.zeros(40, int)
    labels[columns[0]] = columns[2]
    member = np.zeros((40, 2), bool)
    member[columns[0], columns[1]] = True
    drawn = weights(strata(labels, member), 200, seed=5)
    assert np.allclose(draw_accuracies(*columns, tests, 200, 5), by_hand(columns, tests, drawn))


def test_a_seed_gives_one_answer_and_another_seed_another():
    columns, tests = made()
    one, same, other = (draw_accuracies(*columns, tests, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@given(st.lists(st.tuples(st.integers(0, 1), st.lists(st.booleans(), min_size=4, max_size=4)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_every_stratum_is_drawn_as_often_as_it_has_videos(rows):
    labels = np.array([label for label, _ in rows])
    member = np.array([tests for _, tests in rows])
    member[~member.any(1), 0] = True  # every video is in some test set
    found = strata(labels, member)
    drawn = weights(found, 20, 0)
    for value in np.unique(found):
        assert (drawn[:, found == value].sum(1) == (found == value).sum()).all()
        assert len(set(labels[found == value])) == 1
    for one in range(len(rows)):  # videos of one label that meet in a test set are drawn from one another
        for other in range(one):
            if labels[one] == labels[other] and (member[one] & member[other]).any():
                assert found[one] == found[other]


def test_shared_videos_are_drawn_alike_in_all_test_sets():
    columns, tests = made()
    same = [np.concatenate([column, column]) for column in columns]
    same[1] = np.concatenate([columns[1], columns[1] + 2])  # a second detector that scores exactly as the first one
    found = draw_accuracies(*same, np.array([0, 1, 0, 1]), 100, 0)
    assert np.array_equal(found[:, :2], found[:, 2:])  # so that their difference is 0 in every draw


def test_frames_of_one_video_do_not_make_the_interval_narrower():
    """Ten videos told right or wrong as a whole: ten frames of each leave as wide an interval as one."""
    right = np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    labels, cells, tests = np.zeros(10, int), np.zeros(10, int), np.zeros(1, int)
    videos = np.arange(10)
    one = draw_accuracies(videos, cells, labels, np.ones(10, int), right, tests, 500, 3)
    ten = draw_accuracies(videos, cells, labels, np.full(10, 10), 10 * right, tests, 500, 3)
    assert np.array_equal(one, ten)


def test_the_interval_of_single_frames_is_the_binomial_one():
    labels = np.zeros(200, int)
    right = (np.arange(200) < 150).astype(int)
    found = draw_accuracies(np.arange(200), labels, labels, np.ones(200, int), right, np.zeros(1, int), 4000, 0)
    low, high = np.quantile(found, [0.025, 0.975])
    assert (low, high) == pytest.approx((binom.ppf(0.025, 200, 0.75) / 2, binom.ppf(0.975, 200, 0.75) / 2), abs=0.6)


def test_a_detector_that_is_always_right_has_no_interval():
    columns, tests = made()
    assert (draw_accuracies(columns[0], columns[1], columns[2], columns[3], columns[3], tests, 100, 0) == 100).all()


def test_a_draw_without_a_face_of_the_set_is_no_number():
    drawn = np.array([[0, 2], [1, 1]], np.float32)
    found = resampled(drawn, np.array([[1], [0]]), np.array([[1], [0]]))
    assert np.isnan(found[0, 0]) and found[1, 0] == 100
