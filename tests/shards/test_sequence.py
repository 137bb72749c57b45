"""Each way to fill batches: what must be in a pass, over many passes, and in every stretch of the sequence."""

import hashlib
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import sequence
from shards.errors import OrderError
from shards.sequence import Key

HASH = hashlib.sha256(b"split").hexdigest()


@dataclass
class Pinned:
    """What a sequence asks of a split, without the columns on bytes. Videos are given as one number per row."""

    labels: np.ndarray
    weights: np.ndarray | None = None
    videos: np.ndarray | None = None
    roles: list[str | None] | None = None
    partners: dict[int, int] | None = None
    name: str = "demo"
    streams: list[str | None] | None = None
    hash: str = HASH

    @property
    def table(self) -> pa.Table:
        ids = [f"id{row:04d}" for row in range(len(self.labels))]
        partners = [ids[self.partners[row]] if row in (self.partners or {}) else None for row in range(len(ids))]
        streams = {} if self.streams is None else {"stream": self.streams}
        return pa.table({"sample_id": ids, "partner_id": pa.array(partners, pa.string()), **streams})

    def codes(self, column: str):
        if column == "video_id":
            return self.videos.astype(np.int32)
        words = (self.roles if column == "role" else self.streams) or [None] * len(self.labels)
        places = {None: -1} | {word: place for place, word in enumerate(self.vocabulary(column))}
        return np.array([places[word] for word in words], np.int32)

    def vocabulary(self, column: str):
        return {"role": ["target", "source"], "stream": ["old", "new", "spare"]}[column]

    def words(self, column: str):
        return self.codes(column), self.vocabulary(column)


def key(seed=0, block=4, window=3):
    return Key(HASH, seed, block, window)


def made(kind: str, rng: np.random.Generator) -> sequence.Sequence:
    """A sequence of this kind over a small random split that allows it."""
    n = int(rng.integers(24, 90))
    labels = rng.permutation(np.arange(n) % 3 > 0).astype(np.int8)
    options = {}
    if kind == "weighted":
        split = Pinned(labels, weights=rng.choice([0, 0.3, 1, 5], n).astype(np.float32))
        split.weights[0] = 1
    elif kind == "videos":
        split = Pinned(labels, videos=np.sort(np.arange(n) % 6))
        options = {"per_video": int(rng.integers(1, 5))}
    elif kind == "domains":
        split = Pinned(labels, roles=[("source", "target")[row % 4 == 0] for row in range(n)])
    elif kind == "alternate":
        split = Pinned(labels, streams=[("old", "new")[row % 4 == 0] for row in range(n)])
        options = {"batch": int(rng.integers(1, 9))}
    elif kind == "paired":
        split = Pinned(labels, partners={row: row // 3 for row in range(12, n)})
    else:
        split = Pinned(labels)
    return sequence.KINDS[kind](split, key(), **options)


@pytest.mark.parametrize("kind", sequence.KINDS)
@given(seed=st.integers(0, 50), first=st.integers(0, 400), counts=st.lists(st.integers(0, 60), max_size=4))
def test_any_stretch_is_the_same_however_it_is_read(kind, seed, first, counts):
    rows = made(kind, np.random.default_rng(seed))
    whole = rows.rows(0, first + sum(counts))
    assert whole.dtype == np.int64 and len(whole) == first + sum(counts)
    again = made(kind, np.random.default_rng(seed))
    for count in counts:
        assert np.array_equal(again.rows(first, first + count), whole[first : first + count])
        first += count


@pytest.mark.parametrize("kind", sequence.KINDS)
def test_passes_differ_in_order_but_for_the_sequential_one(kind):
    rows = made(kind, np.random.default_rng(3))
    one, two = rows.rows(0, rows.length), rows.rows(rows.length, 2 * rows.length)
    assert np.array_equal(one, two) == (kind == "sequential")


def test_no_sequence_changes_with_a_version():
    labels = np.array([0, 1, 1, 1, 1], np.int8)
    default = Key("0" * 64, 0)
    balanced = sequence.balanced(Pinned(labels), default)
    assert balanced.rows(0, 8).tolist() == [3, 0, 0, 4, 0, 2, 0, 1]
    weighted = sequence.weighted(Pinned(labels, weights=np.array([1, 0, 1, 2, 0.5], np.float32)), default)
    assert weighted.rows(0, 8).tolist() == [2, 0, 3, 3, 3, 3, 0, 4]
    videos = sequence.videos(Pinned(np.ones(10, np.int8), videos=np.arange(10) // 5), default, 2)
    assert videos.rows(0, 8).tolist() == [5, 7, 6, 9, 4, 1, 0, 2]
    paired = sequence.paired(Pinned(labels, partners={1: 0, 3: 2, 4: 0}), default)
    assert paired.rows(0, 6).tolist() == [4, 0, 1, 0, 3, 2]
    domains = sequence.domains(Pinned(labels, roles=["source"] * 3 + ["target"] * 2), default)
    assert domains.rows(0, 6).tolist() == [0, 3, 1, 4, 2, 3]
    alternate = sequence.alternate(Pinned(labels, streams=["new"] * 2 + ["old"] * 3), default, 2)
    assert alternate.rows(0, 8).tolist() == [0, 1, 4, 2, 0, 1, 3, 3]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 5), st.integers(0, 12))
def test_a_balanced_order_is_half_and_half_in_every_even_slice(reals, fakes, seed, turn):
    labels = np.random.default_rng(seed).permutation([0] * reals + [1] * fakes).astype(np.int8)
    balanced = sequence.balanced(Pinned(labels), key(seed))
    assert balanced.length == 2 * max(reals, fakes)
    rows = balanced.rows(turn * balanced.length, (turn + 1) * balanced.length)
    assert (labels[rows].reshape(-1, 2).sum(1) == 1).all()
    larger = int(fakes >= reals)
    of_larger = rows[labels[rows] == larger]
    assert np.array_equal(np.sort(of_larger), np.flatnonzero(labels == larger))


@given(st.integers(1, 20), st.integers(1, 60), st.integers(1, 8))
def test_over_passes_the_smaller_class_is_seen_evenly(reals, fakes, passes):
    labels = np.array([0] * reals + [1] * fakes, np.int8)
    balanced = sequence.balanced(Pinned(labels), key())
    rows = balanced.rows(0, passes * balanced.length)
    for label in (0, 1):
        seen = np.bincount(rows[labels[rows] == label], minlength=len(labels))[labels == label]
        assert seen.max() - seen.min() <= 1


def test_pairs_of_a_balanced_order_begin_with_either_label():
    labels = np.array([0, 1] * 500, np.int8)
    first = labels[sequence.balanced(Pinned(labels), key()).rows(0, 1000)][::2]
    assert 0.4 < first.mean() < 0.6


@given(st.lists(st.sampled_from([0, 0.01, 0.5, 1, 3, 40]), min_size=1, max_size=60), st.integers(1, 30))
def test_rows_come_as_often_as_their_weights_say(weights, passes):
    weights = np.array(weights, np.float32)
    if not weights.any():
        return
    weighted = sequence.weighted(Pinned(np.zeros(len(weights)), weights=weights), key())
    due = weights * weighted.length / weights.sum(dtype=float)
    for turn in range(passes):
        seen = np.bincount(weighted.rows(turn * weighted.length, (turn + 1) * weighted.length), minlength=len(weights))
        assert (seen[weights == 0] == 0).all()
        assert (np.abs(seen - due) < 1 + 1e-6).all()
    seen = np.bincount(weighted.rows(0, passes * weighted.length), minlength=len(weights))
    assert (np.abs(seen - passes * due) < 4).all()  # and not more often the longer it goes on
    assert weighted.left_out == (weights == 0).sum()


def test_equal_weights_show_every_row_once_in_a_pass():
    weighted = sequence.weighted(Pinned(np.zeros(100), weights=np.full(100, 0.3, np.float32)), key())
    for turn in range(20):
        assert np.array_equal(np.sort(weighted.rows(100 * turn, 100 * turn + 100)), np.arange(100))


@given(st.lists(st.integers(4, 20), min_size=1, max_size=12), st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_groups_hold_different_frames_of_one_video(frames, per_video, scattered, turn):
    codes = np.repeat(np.arange(len(frames)), frames)
    if scattered:
        codes = np.random.default_rng(0).permutation(codes)
    videos = sequence.videos(Pinned(np.zeros(len(codes)), videos=codes), key(), per_video)
    assert videos.length == sum(count // per_video for count in frames) * per_video
    rows = videos.rows(turn * videos.length, (turn + 1) * videos.length)
    groups = codes[rows].reshape(-1, per_video)
    assert (groups == groups[:, :1]).all()
    assert len(np.unique(rows)) == len(rows)
    assert np.bincount(groups[:, 0], minlength=len(frames)).tolist() == [count // per_video for count in frames]


def test_frames_that_fill_no_group_are_others_in_each_pass():
    videos = sequence.videos(Pinned(np.zeros(50), videos=np.repeat(np.arange(10), 5)), key(), 4)
    assert len(np.unique(videos.rows(0, 10 * videos.length))) == 50


@given(st.integers(0, 30), st.integers(0, 3))
def test_a_pair_is_a_row_and_its_partner_and_each_comes_once(seed, turn):
    rng = np.random.default_rng(seed)
    partners = {row: int(rng.integers(0, 10)) for row in range(10, 40) if rng.random() < 0.8}
    if not partners:
        return
    paired = sequence.paired(Pinned((np.arange(40) >= 10).astype(np.int8), partners=partners), key())
    pairs = paired.rows(turn * paired.length, (turn + 1) * paired.length).reshape(-1, 2)
    assert sorted(map(tuple, pairs.tolist())) == sorted(partners.items())
    assert paired.left_out == 40 - len(set(partners) | set(partners.values()))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6))
def test_two_domains_go_side_by_side_and_each_is_seen_evenly(sources, targets, passes):
    roles = np.random.default_rng(0).permutation(["source"] * sources + ["target"] * targets)
    domains = sequence.domains(Pinned(np.zeros(len(roles)), roles=roles.tolist()), key())
    rows = domains.rows(0, passes * domains.length).reshape(-1, 2)
    assert domains.length == 2 * max(sources, targets)
    for column, role in enumerate(("source", "target")):
        assert (roles[rows[:, column]] == role).all()
        seen = np.bincount(rows[:, column], minlength=len(roles))[roles == role]
        assert seen.max() - seen.min() <= 1


@pytest.mark.parametrize(
    ("kind", "split", "options", "hint"),
    [
        ("balanced", Pinned(np.ones(3, np.int8)), {}, "0 real and 3 fake"),
        ("weighted", Pinned(np.ones(3), weights=np.zeros(3, np.float32)), {}, "all weights of split demo are 0"),
        (
            "videos",
            Pinned(np.ones(5), videos=np.array([7, 7, 7, 8, 8])),
            {"per_video": 3},
            "1 of 2 .* the fewest has 2",
        ),
        ("videos", Pinned(np.ones(5), videos=np.zeros(5)), {"per_video": 0}, "counts from 1"),
        ("paired", Pinned(np.ones(5)), {}, "select partner_id"),
        ("domains", Pinned(np.ones(3)), {}, "0 of the source, 0 of the target and 3 without"),
        ("domains", Pinned(np.ones(3), roles=["source", "source", None]), {}, "2 of the source, 0 .* and 1 without"),
        ("alternate", Pinned(np.ones(3)), {"batch": 2}, "none of any and 3 without: .* AS stream"),
        ("alternate", Pinned(np.ones(2), streams=["old", "old"]), {"batch": 2}, "has 2 of old and 0 without"),
        ("alternate", Pinned(np.ones(3), streams=["old", "new", None]), {"batch": 2}, "1 of new, 1 of old and 1 with"),
        ("alternate", Pinned(np.ones(3), streams=["old", "new", "spare"]), {"batch": 2}, "new, 1 of old, 1 of spare"),
    ],
)
def test_what_a_split_does_not_allow_is_refused_with_what_to_do(kind, split, options, hint):
    with pytest.raises(OrderError, match=hint):
        sequence.KINDS[kind](split, key(), **options)


def test_a_partner_outside_the_split_is_named():
    split = Pinned(np.ones(3, np.int8), partners={1: 0, 2: 0})
    split = SimpleNamespace(name="demo", table=split.table.slice(1), labels=np.ones(2), vocabulary=split.vocabulary,
                            codes=split.codes)  # fmt: skip
    with pytest.raises(OrderError, match="2 of 2 partners are not samples of split demo, for example id0000"):
        sequence.paired(split, key())


@pytest.mark.parametrize("kind", ["balanced", "paired"])
def test_no_order_reads_the_labels_of_a_target_domain(kind):
    split = Pinned(np.array([0, 1, 1, 0], np.int8), roles=["source", "source", "target", "target"], partners={1: 0})
    with pytest.raises(OrderError, match="labels training must not read"):
        sequence.KINDS[kind](split, key())
    sequence.shuffled(split, key())
    sequence.domains(split, key())
