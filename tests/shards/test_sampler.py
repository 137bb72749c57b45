"""Which rank reads what: swept over ranks, accumulation, sizes, kinds of order and places to resume."""

import hashlib
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import OrderError
from shards.sampler import KINDS, GlobalBatchSampler, Position

RANKS, ACCUMULATIONS = (1, 2, 3, 4, 8), (1, 2, 3)


def pinned(n, seed=0, real_share=0.3):
    """What a sampler asks of a split: its hash and its labels."""
    labels = (np.random.default_rng(seed).random(n) > real_share).astype(np.int8)
    return SimpleNamespace(name="demo", hash=hashlib.sha256(b"%d" % n).hexdigest(), labels=labels)


def steps_of(split, global_batch, ranks, accumulation, **options):
    """Per optimiser step, the slots of all ranks side by side, as each rank's sampler gives them."""
    per_rank = []
    for rank in range(ranks):
        sampler = GlobalBatchSampler(
            split, global_batch, rank=rank, world_size=ranks, accumulation=accumulation, **options
        )
        batches = list(sampler)
        assert len(batches) == len(sampler) == sampler.steps * accumulation
        assert all(len(batch) == sampler.micro_batch for batch in batches)
        per_rank.append(np.stack(batches).reshape(sampler.steps, -1) if batches else np.empty((0, 0)))
    return np.concatenate(per_rank, axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", ["drop", "pad"])
def test_a_step_holds_the_same_samples_for_any_ranks_and_accumulation(kind, tail):
    split, batch = pinned(150), 48
    expected = steps_of(split, batch, 1, 1, kind=kind, tail=tail, seed=5)
    for ranks, accumulation in itertools.product(RANKS, ACCUMULATIONS):
        if batch % (ranks * accumulation) == 0:
            steps = steps_of(split, batch, ranks, accumulation, kind=kind, tail=tail, seed=5)
            assert np.array_equal(steps, expected), (ranks, accumulation)


@given(st.integers(1, 90), st.integers(1, 6), st.sampled_from(RANKS), st.sampled_from(ACCUMULATIONS), st.integers(0, 3))
def test_evaluation_reads_every_sample_once_and_marks_the_rest(n, size, ranks, accumulation, epoch):
    batch = size * ranks * accumulation
    options = {"kind": "sequential", "tail": "pad"}
    steps = steps_of(pinned(n), batch, ranks, accumulation, **options)
    rows = steps["row"].ravel()
    assert rows[:n].tolist() == list(range(n))
    assert (rows[n:] == -1).all() and len(rows) - n < batch


@given(st.integers(1, 90), st.integers(1, 6), st.sampled_from(RANKS), st.sampled_from(ACCUMULATIONS))
def test_training_reads_no_sample_twice_and_drops_less_than_a_batch(n, size, ranks, accumulation):
    batch = size * ranks * accumulation
    if n < batch:
        with pytest.raises(OrderError, match="less than one global batch"):
            steps_of(pinned(n), batch, ranks, accumulation)
        return
    rows = steps_of(pinned(n), batch, ranks, accumulation)["row"].ravel()
    assert len(np.unique(rows)) == len(rows) > n - batch and 0 <= rows.min() <= rows.max() < n


def test_a_balanced_micro_batch_of_even_size_is_half_and_half():
    split = pinned(200)
    for ranks, accumulation in itertools.product((1, 2, 4), (1, 2)):
        for rank in range(ranks):
            sampler = GlobalBatchSampler(
                split, 32, rank=rank, world_size=ranks, accumulation=accumulation, kind="balanced"
            )
            assert len(list(sampler)) > 5
            for batch in sampler:
                assert split.labels[batch["row"]].mean() == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_resumes_where_it_stopped_on_other_ranks(kind):
    split, batch = pinned(200), 24
    whole = steps_of(split, batch, 1, 1, kind=kind, seed=3)
    saved = GlobalBatchSampler(split, batch, seed=3, kind=kind).position(samples_seen=3 * batch).as_dict()
    assert list(saved.values()) == [split.hash, 3, 0, 72]
    for ranks in (1, 2, 3, 4, 8):
        rest = []
        for rank in range(ranks):
            sampler = GlobalBatchSampler(split, batch, seed=3, kind=kind, rank=rank, world_size=ranks)
            sampler.seek(Position.from_dict(saved))
            rest.append(np.stack(list(sampler)))
        assert np.array_equal(np.concatenate(rest, axis=1), whole[3:])


def test_after_a_change_of_batch_size_the_rest_of_the_epoch_is_read():
    split = pinned(200)
    sampler = GlobalBatchSampler(split, 16, tail="pad")
    begun = np.concatenate(list(sampler)[:5])
    sampler = GlobalBatchSampler(split, 50, tail="pad")
    sampler.set_epoch(0, samples_seen=80)
    rest = np.concatenate(list(sampler))
    rows = np.concatenate((begun, rest))["row"]
    assert sorted(rows[rows >= 0].tolist()) == list(range(200))


def test_epochs_differ_and_the_first_comes_back():
    sampler = GlobalBatchSampler(pinned(100), 20)
    epochs = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        epochs.append(np.concatenate(list(sampler)))
    assert np.array_equal(epochs[0], epochs[2])
    assert (epochs[0]["row"] == epochs[1]["row"]).mean() < 0.2
    assert not np.intersect1d(epochs[0]["draw"], epochs[1]["draw"]).size


def test_the_end_of_an_epoch_leaves_nothing_to_read():
    sampler = GlobalBatchSampler(pinned(100), 30)
    assert (sampler.epoch_samples, sampler.steps) == (90, 3)
    sampler.set_epoch(0, 90)
    assert list(sampler) == [] and len(sampler) == 0
    sampler.set_epoch(0, 500)
    assert list(sampler) == []


def test_batches_that_do_not_divide_are_refused_with_sizes_that_do():
    for size, near in ((50, "use 48 or 64"), (10, "use 16")):
        with pytest.raises(OrderError, match=f"does not divide over 8 ranks x 2 accumulation steps: {near}"):
            GlobalBatchSampler(pinned(100), size, world_size=8, accumulation=2)


@pytest.mark.parametrize(
    "options",
    [{"rank": 2, "world_size": 2}, {"rank": -1}, {"accumulation": 0}, {"kind": "random"}, {"tail": "repeat"}],
)
def test_settings_that_mean_nothing_are_refused(options):
    with pytest.raises(OrderError):
        GlobalBatchSampler(pinned(100), 4, **options)


def test_a_position_of_another_run_is_refused():
    sampler = GlobalBatchSampler(pinned(100), 4, seed=1)
    for position in (Position("0" * 64, 1, 0, 0), Position(pinned(100).hash, 2, 0, 0)):
        with pytest.raises(OrderError, match="resume with the split and seed"):
            sampler.seek(position)
    with pytest.raises(OrderError, match="count from 0"):
        sampler.set_epoch(-1)
