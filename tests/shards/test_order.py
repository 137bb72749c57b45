"""The shuffled order: a pure function of (split hash, seed, epoch), swept over sizes, blocks and seeds."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import OrderError
from shards.order import Random, draws, order, shuffle

HASH = hashlib.sha256(b"split").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@given(st.integers(0, 3000), st.integers(0, 2**40), st.integers(0, 100), st.integers(1, 70), st.integers(1, 9))
def test_every_row_comes_once_and_always_in_the_same_order(n, seed, epoch, block, window):
    rows = order(HASH, seed, epoch, n, block, window)
    assert rows.dtype == np.int64
    assert np.array_equal(np.sort(rows), np.arange(n))
    shuffle.cache_clear()
    assert np.array_equal(rows, order(HASH, seed, epoch, n, block, window))


@given(st.integers(0, 900), st.integers(1, 40), st.integers(1, 5), st.lists(st.integers(0, 900), max_size=4))
def test_a_part_of_the_order_is_computed_without_the_rest(n, block, window, cuts):
    whole = order(HASH, 0, 0, n, block, window)
    shuffle.cache_clear()
    places = sorted({0, n, *(cut for cut in cuts if cut <= n)})
    parts = shuffle(HASH, 0, 0, n, block, window)
    for first, last in reversed(list(zip(places, places[1:], strict=False))):  # in any sequence
        assert np.array_equal(parts.units(first, last), whole[first:last])


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=6))
def test_random_numbers_are_the_same_wherever_reading_begins(stretches):
    whole = Random(HASH, 0, 0, "test").numbers((0, 80))
    parts = [(first, first + count) for first, count in stretches]
    read = Random(HASH, 0, 0, "test").numbers(*parts)
    assert np.array_equal(read, np.concatenate([whole[:0], *(whole[first:last] for first, last in parts)]))


def test_split_seed_and_epoch_each_change_the_order():
    orders = [order(*key, 500) for key in ((HASH, 0, 0), (HASH, 0, 1), (HASH, 1, 0), (OTHER, 0, 0))]
    for i, one in enumerate(orders):
        for other in orders[i + 1 :]:
            assert (one == other).mean() < 0.05


def test_the_order_never_changes_with_a_version():
    assert order("0" * 64, 0, 0, 12, block=2, window=2).tolist() == [11, 5, 4, 10, 0, 6, 7, 1, 9, 2, 8, 3]
    assert draws("0" * 64, 0, 0, 0, 2).tolist() == [8226012259297978697, 8618582879843814378]


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


def test_blocks_and_windows_count_from_one():
    for options in ({"block": 0}, {"window": 0}):
        with pytest.raises(OrderError, match="count from 1"):
            order(HASH, 0, 0, 10, **options)


def test_draws_are_spread_and_differ_by_epoch():
    drawn = draws(HASH, 0, 0, 0, 10_000)
    assert drawn.dtype == np.int64 and drawn.min() >= 0
    assert len(np.unique(drawn)) == 10_000
    assert abs(drawn.mean() / 2**63 - 0.5) < 0.02
    assert not np.array_equal(drawn[:10], draws(HASH, 0, 1, 0, 10))
    assert np.array_equal(drawn[7:10], draws(HASH, 0, 0, 7, 10))
