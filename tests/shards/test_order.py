"""Orders: pure functions of (split hash, seed, epoch), swept over sizes, blocks and seeds."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import OrderError
from shards.order import balanced, draws, order, sequential

HASH = hashlib.sha256(b"split").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@given(st.integers(0, 3000), st.integers(0, 2**40), st.integers(0, 100), st.integers(1, 70), st.integers(1, 9))
def test_every_row_comes_once_and_always_in_the_same_order(n, seed, epoch, block, window):
    rows = order(HASH, seed, epoch, n, block, window)
    assert rows.dtype == np.int64
    assert np.array_equal(np.sort(rows), sequential(n))
    assert np.array_equal(rows, order(HASH, seed, epoch, n, block, window))


def test_split_seed_and_epoch_each_change_the_order():
    orders = [order(*key, 500) for key in ((HASH, 0, 0), (HASH, 0, 1), (HASH, 1, 0), (OTHER, 0, 0))]
    for i, one in enumerate(orders):
        for other in orders[i + 1 :]:
            assert (one == other).mean() < 0.05


def test_the_order_never_changes_with_a_version():
    assert order("0" * 64, 0, 0, 12, block=2, window=2).tolist() == [11, 5, 4, 10, 0, 6, 7, 1, 9, 2, 8, 3]
    assert balanced("0" * 64, 0, 0, [0, 1, 1, 1, 1]).tolist() == [3, 0, 0, 4, 0, 2, 0, 1]
    assert draws("0" * 64, 0, 0, 2).tolist() == [8226012259297978697, 8618582879843814378]


@given(st.integers(1, 4000), st.integers(1, 64), st.integers(1, 16), st.integers(0, 9))
def test_at_any_time_no_more_blocks_are_in_play_than_a_window(n, block, window, epoch):
    rows = order(HASH, 0, epoch, n, block, window)
    for begin in range(0, n, block * window):
        in_play = np.unique(rows[begin : begin + block * window] // block)
        # a window may lie across two of ours, and its blocks across two each
        assert len(in_play) <= 4 * window + 2


def test_a_small_split_is_shuffled_through_and_through():
    rows = order(HASH, 0, 0, 8000)
    assert abs(np.corrcoef(rows, np.arange(8000))[0, 1]) < 0.05
    assert np.mean(np.abs(np.diff(rows)) < 32) < 0.02  # neighbours in the split are not neighbours in the order


def test_a_large_split_mixes_its_windows():
    rows = order(HASH, 0, 0, 100_000, block=32, window=64)
    halves = (rows.reshape(-1, 500) // 50_000).mean(1)
    assert halves.min() > 0.2 and halves.max() < 0.8


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5), st.integers(0, 12))
def test_a_balanced_order_is_half_and_half_in_every_even_slice(reals, fakes, seed, epoch):
    labels = np.random.default_rng(seed).permutation([0] * reals + [1] * fakes)
    rows = balanced(HASH, seed, epoch, labels, block=4, window=3)
    larger = int(fakes >= reals)
    assert len(rows) == 2 * max(reals, fakes)
    assert (labels[rows].reshape(-1, 2).sum(1) == 1).all()
    of_larger = rows[labels[rows] == larger]
    assert np.array_equal(np.sort(of_larger), np.flatnonzero(labels == larger))


@given(st.integers(1, 20), st.integers(1, 60), st.integers(1, 8))
def test_over_epochs_the_smaller_class_is_seen_evenly(reals, fakes, epochs):
    labels = np.array([0] * reals + [1] * fakes)
    rows = np.concatenate([balanced(HASH, 0, epoch, labels) for epoch in range(epochs)])
    for label in (0, 1):
        seen = np.bincount(rows[labels[rows] == label], minlength=len(labels))[labels == label]
        assert seen.max() - seen.min() <= 1


def test_pairs_of_a_balanced_order_begin_with_either_label():
    labels = np.array([0, 1] * 500)
    first = labels[balanced(HASH, 0, 0, labels)][::2]
    assert 0.4 < first.mean() < 0.6


def test_orders_that_cannot_be_formed_are_refused():
    with pytest.raises(OrderError, match="0 real and 3 fake"):
        balanced(HASH, 0, 0, np.ones(3, np.int8))
    with pytest.raises(OrderError, match="count from 1"):
        order(HASH, 0, 0, 10, block=0)


def test_draws_are_spread_and_differ_by_epoch():
    drawn = draws(HASH, 0, 0, 10_000)
    assert drawn.dtype == np.int64 and drawn.min() >= 0
    assert len(np.unique(drawn)) == 10_000
    assert abs(drawn.mean() / 2**63 - 0.5) < 0.02
    assert not np.array_equal(drawn[:10], draws(HASH, 0, 1, 10))
    assert np.array_equal(drawn[:10], draws(HASH, 0, 0, 10))
