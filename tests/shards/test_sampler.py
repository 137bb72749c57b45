"""Which rank reads what: swept over ranks, accumulation, sizes, kinds of order and places to resume."""

import hashlib
import itertools
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import OrderError
from shards.sampler import KINDS, GlobalBatchSampler, Position

RANKS, ACCUMULATIONS = (1, 2, 3, 4, 8), (1, 2, 3)


OPTIONS = {kind: {"per_video": 3} if kind == "videos" else {} for kind in KINDS}
UNITS = {"videos": 3, "paired": 2, "domains": 2}  # slots that belong together


def pinned(n, seed=0, real_share=0.3):
    """What a sampler asks of a split: labels, weights, videos and partners of ``n`` rows, and no roles."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) > real_share).astype(np.int8)
    videos = np.minimum(np.arange(n) // 7, max(0, n // 7 - 1)).astype(np.int32)  # seven faces each, the last one more
    codes = {"video_id": videos, "role": np.full(n, -1, np.int32)}
    ids = np.array([f"id{row:05d}" for row in range(n)])
    partners = pa.array(ids[np.arange(n) // 2], mask=np.arange(n) % 5 == 0)
    table = pa.table({"sample_id": ids, "partner_id": partners})
    weights = rng.choice([0.5, 1, 2], n).astype(np.float32)
    digest = hashlib.sha256(b"%d" % n).hexdigest()
    return SimpleNamespace(
        name="demo", hash=digest, labels=labels, weights=weights, table=table,
        codes=codes.__getitem__, vocabulary=lambda column: [],
    )  # fmt: skip


def with_roles(split):
    """The split with every third row of the target domain."""
    roles = (np.arange(len(split.labels)) % 3 == 0).astype(np.int32), ["source", "target"]
    return SimpleNamespace(**{**vars(split), "words": {"role": roles}.__getitem__})


def with_streams(split, share=3):
    """The split with one row in ``share`` of the stream "added", the others "original"."""
    streams = (np.arange(len(split.labels)) % share > 0).astype(np.int32)
    table = split.table.append_column("stream", pa.array(np.array(["added", "original"])[streams]))
    words = {"stream": (streams, ["added", "original"])}.__getitem__
    return SimpleNamespace(**{**vars(split), "words": words, "table": table})


def split_for(kind, n):
    return {"domains": with_roles, "alternate": with_streams}.get(kind, lambda split: split)(pinned(n))


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
    split, batch, unit = split_for(kind, 310), 144, UNITS.get(kind, 1)
    options = {"kind": kind, "tail": tail, "seed": 5, **OPTIONS[kind]}
    expected = steps_of(split, batch, 1, 1, **options)
    swept = 0
    for ranks, accumulation in itertools.product(RANKS, ACCUMULATIONS):
        if batch % (ranks * accumulation * unit) == 0:
            swept += 1
            steps = steps_of(split, batch, ranks, accumulation, **options)
            assert np.array_equal(steps, expected), (ranks, accumulation)
    assert swept >= 10


@pytest.mark.parametrize("kind", ["videos", "paired", "domains"])
def test_no_micro_batch_parts_what_belongs_together(kind):
    split, unit = split_for(kind, 200), UNITS[kind]
    for ranks, accumulation in ((2, 1), (1, 2), (4, 3)):
        for rank in range(ranks):
            sampler = GlobalBatchSampler(
                split, 12 * unit, rank=rank, world_size=ranks, accumulation=accumulation, kind=kind, **OPTIONS[kind]
            )
            whole = sampler.order().reshape(-1, unit)
            for batch in sampler:
                assert {tuple(group) for group in batch["row"].reshape(-1, unit)} <= set(map(tuple, whole))
        with pytest.raises(OrderError, match=f"keeps {unit} samples together.*use "):
            GlobalBatchSampler(
                split, ranks * accumulation * (unit + 1), world_size=ranks, accumulation=accumulation, kind=kind,
                **OPTIONS[kind],
            )  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"sequential"}))
def test_short_epochs_go_on_where_the_one_before_stopped(kind):
    split, batch, epochs = split_for(kind, 150), 12, 9
    sampler = GlobalBatchSampler(split, batch, kind=kind, samples_per_epoch=36, **OPTIONS[kind])
    assert (sampler.epoch_samples, sampler.steps, len(sampler)) == (36, 3, 3)
    seen, drawn = [], []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        slots = np.concatenate(list(sampler))
        assert np.array_equal(sampler.order(), slots["row"])
        seen.append(slots["row"])
        drawn.append(slots["draw"])
    long = GlobalBatchSampler(split, batch, kind=kind, samples_per_epoch=36 * epochs, **OPTIONS[kind])
    assert np.array_equal(long.order(), np.concatenate(seen))
    assert len(np.unique(np.concatenate(drawn))) == 36 * epochs


@pytest.mark.parametrize("per_epoch", [20, 60, 100, 240])  # a part of the split, and more than all of it
def test_no_sample_comes_again_before_all_others_came(per_epoch):
    sampler = GlobalBatchSampler(pinned(90), 20, samples_per_epoch=per_epoch)
    seen = np.zeros(90, int)
    for epoch in range(10):
        sampler.set_epoch(epoch)
        for batch in sampler:
            for row in batch["row"]:
                assert seen[row] == seen.min()
                seen[row] += 1


def test_an_epoch_resumes_inside_a_short_epoch_too():
    split = pinned(90)
    whole = GlobalBatchSampler(split, 20, samples_per_epoch=60)
    whole.set_epoch(4)
    expected = np.stack(list(whole))
    for ranks in (1, 2, 4):
        rest = []
        for rank in range(ranks):
            sampler = GlobalBatchSampler(split, 20, samples_per_epoch=60, rank=rank, world_size=ranks)
            sampler.seek(Position(split.hash, 0, 4, 20))
            rest.append(np.stack(list(sampler)))
        assert np.array_equal(np.concatenate(rest, axis=1), expected[1:])


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"samples_per_epoch": 50}, "does not divide into global batches of 20: use 40 or 60"),
        ({"samples_per_epoch": 0}, "does not divide"),
        ({"samples_per_epoch": 40, "tail": "pad"}, "for training"),
        ({"samples_per_epoch": 40, "kind": "sequential"}, "for training"),
        ({"kind": "videos"}, "per_video belongs to the order videos"),
        ({"per_video": 3}, "per_video belongs to the order videos"),
    ],
)
def test_epochs_and_groups_that_cannot_be_are_refused(options, hint):
    with pytest.raises(OrderError, match=hint):
        GlobalBatchSampler(pinned(90), 20, **options)


def test_a_position_changed_in_the_middle_of_an_epoch_concerns_the_next_iteration():
    sampler = GlobalBatchSampler(pinned(90_000), 20)
    running = iter(sampler)
    begun = [next(running) for _ in range(3)]
    sampler.set_epoch(1)
    rest = list(running)
    sampler.set_epoch(0)
    assert np.array_equal(np.stack([*begun, *rest]), np.stack(list(sampler)))


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
    split, batch, options = split_for(kind, 500), 48, {"seed": 3, "kind": kind, **OPTIONS[kind]}
    whole = steps_of(split, batch, 1, 1, **options)
    saved = GlobalBatchSampler(split, batch, **options).position(samples_seen=3 * batch).as_dict()
    assert list(saved.values()) == [split.hash, 3, 0, 144]
    for ranks in (1, 2, 4, 8):
        rest = []
        for rank in range(ranks):
            sampler = GlobalBatchSampler(split, batch, rank=rank, world_size=ranks, **options)
            sampler.seek(Position.from_dict(saved))
            rest.append(np.stack(list(sampler)))
        assert np.array_equal(np.concatenate(rest, axis=1), whole[3:])


@pytest.mark.parametrize(("n", "share", "batch"), [(300, 2, 24), (310, 3, 48), (310, 5, 48), (101, 9, 24)])
def test_alternating_batches_are_wholly_of_one_stream_and_leave_no_sample_out(n, share, batch):
    split = with_streams(pinned(n), share)
    stream, longer = split.words("stream")[0], max(np.bincount(split.words("stream")[0]))
    for ranks, accumulation in ((1, 1), (2, 1), (4, 3), (8, 1)):
        rank_steps = []
        for rank in range(ranks):
            sampler = GlobalBatchSampler(
                split, batch, rank=rank, world_size=ranks, accumulation=accumulation, kind="alternate"
            )
            assert sampler.epoch_samples == 2 * longer // batch * batch
            batches = []
            for epoch in range(7):
                sampler.set_epoch(epoch)
                batches += [micro["row"] for micro in sampler]
            rank_steps.append(np.stack(batches).reshape(-1, batch // ranks))
        steps = np.concatenate(rank_steps, axis=1)
        for step, rows in enumerate(steps):
            assert (stream[rows] == step % 2).all()
        for side in (0, 1):
            seen = np.bincount(steps[side::2].ravel(), minlength=n)[stream == side]
            assert seen.max() - seen.min() <= 1


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
