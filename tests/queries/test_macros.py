"""Draws are arithmetic that anybody can repeat, counts are exact, and nothing depends on threads or on other rows."""

import hashlib
import random
from collections import Counter, defaultdict

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.catalog import script

WORD = (1 << 64) - 1
BIGINTS = st.integers(-(1 << 63), (1 << 63) - 1)
DRAW_KEYS = st.integers(0, (1 << 63) - 1)


@pytest.fixture(scope="module")
def db():
    with duckdb.connect(config={"threads": "2"}) as made:
        for name in ("schema", "views", "macros"):
            made.execute(script(name))
        yield made


GOLDEN = 0x9E3779B97F4A7C15


def draw(draw_key, seed):
    z = draw_key ^ ((seed & WORD) * GOLDEN & WORD)
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        z = z * multiplier & WORD
        z ^= z >> 32
    return z * GOLDEN & WORD


def key(i):
    """A draw_key as of sample i, of SHA-256 like those in the catalog."""
    return int.from_bytes(hashlib.sha256(str(i).encode()).digest()[:8], "big") >> 1


def table(**columns):
    """A table of faces: those columns, and for the others what does not matter."""
    n = len(next(iter(columns.values())))
    rows = {
        "sample_id": [f"s{i:05d}" for i in range(n)],
        "video_id": ["v"] * n,
        "recipe_hash": ["r"] * n,
        "frame_index": list(range(n)),
        "label": [0] * n,
        "track": [0] * n,
        "draw_key": [key(i) for i in range(n)],
        **{name: [None] * n for name in ("target_id", "source_id", "visible_id", "original_video")},
    }
    rows |= columns
    tried = list(zip(rows["video_id"], rows["recipe_hash"], strict=True))
    number = {one: place for place, one in enumerate(sorted(set(tried)))}
    rows["attempt"] = [number[one] for one in tried]
    kinds = {"frame_index": pa.int64(), "label": pa.int8(), "draw_key": pa.int64(), "track": pa.int16()}
    kinds |= {"attempt": pa.int32()}
    return pa.table({name: pa.array(values, kinds.get(name, pa.string())) for name, values in rows.items()})


def ask(db, rows, query, **others):
    """``query`` over the tables ``train`` (rows) and others; a list of dicts."""
    for name, content in {"train": rows, **others}.items():
        db.register("arriving", content)
        db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM arriving")
    return db.sql(query).to_arrow_table().to_pylist()


def samples(rows):
    return sorted(row["sample_id"] for row in rows)


@settings(max_examples=60, deadline=None)
@given(draw_key=DRAW_KEYS, seed=BIGINTS)
def test_a_draw_is_plain_arithmetic_on_key_and_seed_whatever_their_size(db, draw_key, seed):
    got = db.execute("SELECT draw($k::BIGINT, $s::BIGINT)", {"k": draw_key, "s": seed}).fetchall()
    assert got == [(draw(draw_key, seed),)]


@pytest.mark.parametrize("draw_key", [0, 1, (1 << 63) - 1])
@pytest.mark.parametrize("seed", [-(1 << 63), -1, 0, 1, (1 << 63) - 1])
def test_a_draw_at_the_ends_of_the_range_does_not_overflow(db, draw_key, seed):
    assert db.execute(f"SELECT draw({draw_key}, ({seed})::BIGINT)").fetchall() == [(draw(draw_key, seed),)]


def drawn_numbers(db, seed, keys="range"):
    return db.execute(f"SELECT draw({keys}::BIGINT, {seed}) AS d FROM range(100000) ORDER BY range").fetchnumpy()["d"]


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_draws_are_uniform_even_over_neighbouring_keys(db, seed):
    numbers = drawn_numbers(db, seed)
    assert len(np.unique(numbers)) == 100_000
    for shift in (56, 30, 0):  # top, middle and bottom byte
        counts = np.bincount((numbers >> np.uint64(shift)) & np.uint64(255), minlength=256)
        chi_squared = (((counts - 100_000 / 256) ** 2) / (100_000 / 256)).sum()
        assert 150 < chi_squared < 380  # 255 degrees of freedom: five standard deviations


def test_draws_of_two_seeds_are_independent(db):
    a, b = (drawn_numbers(db, seed).astype(np.float64) for seed in (1, 2))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.016  # five standard deviations of 100,000 pairs
    assert abs(np.corrcoef(a[:-1], a[1:])[0, 1]) < 0.016
    both = Counter(zip((a // 2.0**62).astype(int), (b // 2.0**62).astype(int), strict=True))
    assert min(both.values()) > 100_000 / 16 * 0.92


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 400), n=st.integers(1, 64))
def test_evenly_takes_exactly_n_of_count_and_no_gap_is_more_than_one_off(db, count, n):
    rows = db.execute(f"SELECT i FROM range({count}) t(i) WHERE evenly(i, {count}, {n}) ORDER BY i").fetchall()
    taken = [row[0] for row in rows]
    assert len(taken) == min(n, count)
    gaps = np.diff(taken)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
    first, last = taken[0], count - 1 - taken[-1]
    assert abs(first - last) <= count / n + 1, "the ends are treated alike"


def test_one_frame_evenly_is_the_middle_one(db):
    assert db.execute("SELECT i FROM range(101) t(i) WHERE evenly(i, 101, 1)").fetchall() == [(50,)]


def expected_per_class(rows, n, seed):
    """The n smallest draws of each label, by plain sorting."""
    groups = defaultdict(list)
    for row in rows.to_pylist():
        groups[row["label"]].append((draw(row["draw_key"], seed), row["sample_id"]))
    return sorted(sample for group in groups.values() for _, sample in sorted(group)[:n])


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_per_class_and_balanced_take_the_smallest_draws_and_break_ties_by_id(db, data):
    n = data.draw(st.integers(1, 60))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=80))
    few = data.draw(st.booleans())  # many equal keys: ties
    keys = [random.Random(i).randrange(3) if few else random.Random(i).getrandbits(63) for i in range(len(labels))]
    rows, seed = table(label=labels, draw_key=keys), data.draw(st.integers(-5, 5))
    got = samples(ask(db, rows, f"FROM per_class(train, n := {n}, seed := {seed})"))
    assert got == expected_per_class(rows, n, seed)
    rarer = min(labels.count(0), labels.count(1))
    got = samples(ask(db, rows, f"FROM balanced(train, n := {n}, seed := {seed})"))
    assert got == expected_per_class(rows, min(n, rarer), seed)
    got = samples(ask(db, rows, f"FROM balanced(train, seed := {seed})"))
    assert got == expected_per_class(rows, rarer, seed)
    assert len(ask(db, rows, f"FROM drawn(train, n := {n}, seed := {seed})")) == min(n, len(labels))


def test_drawn_per_counts_every_value_of_the_column_null_too(db):
    rows = table(video_id=["a"] * 9 + ["b"] * 2, target_id=["x"] * 4 + [None] * 7)
    got = ask(db, rows, "FROM drawn_per(train, target_id, n := 3, seed := 1)")
    assert Counter(row["target_id"] for row in got) == {"x": 3, None: 3}


def test_a_draw_of_a_face_does_not_depend_on_the_other_faces(db):
    rows = table(label=[0, 1] * 500)
    small = set(samples(ask(db, rows, "FROM per_class(train, n := 50, seed := 1)")))
    big = set(samples(ask(db, rows, "FROM per_class(train, n := 200, seed := 1)")))
    assert small < big
    half = set(samples(ask(db, rows.slice(0, 500), "FROM per_class(train, n := 50, seed := 1)")))
    assert big & set(samples(rows.slice(0, 500).to_pylist())) <= set(
        samples(ask(db, rows.slice(0, 500), "FROM per_class(train, n := 200, seed := 1)"))
    )
    assert half != small


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_answer_does_not_depend_on_threads(threads):
    with duckdb.connect(config={"threads": str(threads)}) as db:
        for name in ("schema", "views", "macros"):
            db.execute(script(name))
        rows = table(
            label=[i % 3 // 2 for i in range(30_000)],
            video_id=[f"v{i % 500}" for i in range(30_000)],
            frame_index=[i // 500 for i in range(30_000)],
        )
        few = "WITH few AS (FROM frames_per_video(train, n := 7)) FROM balanced(few, n := 400, seed := 3)"
        got = samples(ask(db, rows, few))
    half = 60 // 2
    taken = [i for i in range(60) if ((i + 1) * 7 + half) // 60 > (i * 7 + half) // 60]
    assert got == expected_per_class(rows.filter(pa.compute.is_in(rows["frame_index"], pa.array(taken))), 400, 3)


def test_frames_per_video_counts_frames_and_keeps_all_faces_of_them(db):
    rows = table(
        video_id=["two"] * 20 + ["short"] * 3,
        frame_index=[i // 2 * 5 for i in range(20)] + [7, 8, 9],
        track=[i % 2 for i in range(20)] + [0] * 3,
    )  # in the first video two faces on every frame
    got = ask(db, rows, "FROM frames_per_video(train, n := 4)")
    assert Counter(row["frame_index"] for row in got if row["video_id"] == "two") == {5: 2, 15: 2, 30: 2, 40: 2}
    assert sorted(row["frame_index"] for row in got if row["video_id"] == "short") == [7, 8, 9]


def test_frames_drawn_takes_n_frames_of_each_video_and_others_with_another_seed(db):
    rows = table(video_id=[f"v{i % 40}" for i in range(1200)], frame_index=[i // 40 for i in range(1200)])
    first, second = (ask(db, rows, f"FROM frames_drawn(train, n := 5, seed := {seed})") for seed in (1, 2))
    assert set(Counter(row["video_id"] for row in first).values()) == {5}
    assert samples(first) != samples(second)
    assert samples(first) == samples(ask(db, rows, "FROM frames_drawn(train, n := 5, seed := 1)"))


def test_videos_of_two_recipes_are_two_videos_to_frames_per_video(db):
    rows = table(recipe_hash=["r"] * 10 + ["q"] * 10, frame_index=list(range(10)) * 2)
    got = ask(db, rows, "FROM frames_per_video(train, n := 3)")
    assert Counter(row["recipe_hash"] for row in got) == {"r": 3, "q": 3}


@pytest.mark.parametrize(
    "query",
    [
        "frames_per_video(train, n := 1)",
        "frames_drawn(train, n := 1, seed := 1)",
        "balanced(train, n := 1, seed := 1)",
        "balanced(train, seed := 1)",
        "per_class(train, n := 1, seed := 1)",
        "drawn(train, n := 1, seed := 1)",
        "drawn_per(train, video_id, n := 1, seed := 1)",
    ],
)
def test_videos_without_a_face_pass_through_every_drawing_macro_and_count_for_none(db, query):
    rows = table(sample_id=["a", "b", None, None], video_id=["v", "w", "x", "y"], label=[0, 1, 1, 1])
    assert [row["video_id"] for row in ask(db, rows, f"FROM {query}") if row["sample_id"] is None] == ["x", "y"]
    if query.startswith("balanced"):
        assert len(ask(db, rows, f"FROM {query}")) == 4


def test_balanced_of_one_class_alone_is_nothing(db):
    assert ask(db, table(label=[1, 1, 1]), "FROM balanced(train, n := 2, seed := 1)") == []


def test_macros_take_with_queries_under_any_name_their_own_inner_names_too(db):
    rows = table(label=[0, 1] * 10)
    for name in ("frames", "videos", "taken", "last", "f", "buckets", "part", "known"):
        query = f"WITH {name} AS (FROM train) FROM balanced({name}, n := 3, seed := 1)"
        assert len(ask(db, rows, query)) == 6
        query = f"WITH {name} AS (FROM train) FROM frames_drawn({name}, n := 3, seed := 1)"
        assert len(ask(db, rows, query)) == 3


def people(*rows, label=1):
    """A table of one face per (target, source, visible, original)."""
    columns = list(zip(*rows, strict=True))
    names = ("target_id", "source_id", "visible_id", "original_video")
    made = dict(zip(names, map(list, columns), strict=True))
    return table(video_id=[f"v{i}" for i in range(len(rows))], **made)


def test_same_identities_needs_everybody_who_is_known(db):
    known = people(("a", "a", "a", None), ("b", "c", "b", None))
    rows = people(
        ("a", "b", "a", None), ("a", "x", "a", None), ("x", "a", "a", None), ("c", None, None, None), (None,) * 4
    )
    got = ask(db, rows, "FROM same_identities(train, known_people)", known_people=known)
    assert samples(got) == ["s00000", "s00003"]


def test_identity_disjoint_takes_out_whoever_shares_one_person_in_any_part(db):
    known = people(("a", "b", "c", None))
    rows = people(
        ("a", "x", "x", None), ("x", "b", "x", None), ("x", "x", "c", None), ("x", "y", "z", None), (None,) * 4
    )
    got = ask(db, rows, "FROM identity_disjoint(train, known_people)", known_people=known)
    assert samples(got) == ["s00003", "s00004"]


def test_clip_disjoint_compares_the_footage_behind_fakes(db):
    rows = table(video_id=["o1", "f1", "o2", "f2"], original_video=[None, "o1", None, "o2"])
    other = table(video_id=["g1"], original_video=["o1"])
    assert samples(ask(db, rows, "FROM clip_disjoint(train, test_side)", test_side=other)) == ["s00002", "s00003"]


def test_without_takes_out_the_same_faces_and_the_same_faceless_videos(db):
    rows = table(sample_id=["a", "b", None, None], video_id=["v", "v", "x", "y"])
    other = table(sample_id=["b", "c", None], video_id=["v", "v", "x"])
    got = ask(db, rows, "FROM without(train, other_faces)", other_faces=other)
    assert [(row["sample_id"], row["video_id"]) for row in got] == [("a", "v"), (None, "y")]


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=40))
def test_identity_components_are_those_of_union_and_find(db, pairs):
    parent = {}

    def root(x):
        while parent.setdefault(x, x) != x:
            x = parent[x]
        return x

    for a, b in pairs:
        a, b = sorted((root(f"id{a:02d}"), root(f"id{b:02d}")))
        parent[b] = a
    rows = people(*[(f"id{a:02d}", f"id{b:02d}", f"id{b:02d}", None) for a, b in pairs] or [(None,) * 4])
    got = ask(db, rows, "FROM identity_components(train)")
    assert {row["identity"]: row["component"] for row in got} == {person: root(person) for person in list(parent)}
    assert len(got) == len(parent)


def test_a_long_chain_of_people_is_one_component(db):
    rows = people(*[(f"id{i:04d}", f"id{i + 1:04d}", None, None) for i in range(300)])
    got = ask(db, rows, "SELECT DISTINCT component FROM identity_components(train)")
    assert got == [{"component": "id0000"}]


def test_identity_folds_put_nobody_in_two_folds_and_leave_no_fold_empty(db):
    rows = people(*[(f"p{i}", f"p{(i + 1) % 4 + i // 4 * 4}", None, None) for i in range(24)], (None,) * 4)
    got = ask(db, rows, "FROM identity_folds(train, k := 3)")
    seen = defaultdict(set)
    for row in got:
        for person in {row["target_id"], row["source_id"]} - {None}:
            seen[person].add(row["fold"])
    assert all(len(folds) == 1 for folds in seen.values())
    assert Counter(row["fold"] for row in got) == {0: 8, 1: 8, 2: 8, None: 1}


def test_a_macro_names_its_argument_and_says_what_it_takes(db):
    with pytest.raises(duckdb.BinderException, match="balanced"):
        db.sql("FROM balanced()").fetchall()


def nearest_of(fake, originals):
    """What with_partner promises, by hand: the original's face in the same frame, the nearest one of several."""

    def away(face):
        sides = (("box_x", "box_w"), ("box_y", "box_h"))
        return sum(abs(face[at] + face[side] / 2 - fake[at] - fake[side] / 2) for at, side in sides)

    there = [face for face in originals if face["frame_index"] == fake["frame_index"]]
    return min(there, key=lambda face: (away(face), face["sample_id"]))["sample_id"] if there else None


@pytest.mark.parametrize("seed", range(5))
def test_a_partner_is_the_nearest_face_of_the_originals_same_frame_alone_or_among_several(db, seed):
    chance = random.Random(seed)
    attempts = [{"attempt": i, "video_id": f"v{i}", "original_video": None, "recipe_hash": "r"} for i in range(6)]
    for fake, original in ((3, 0), (4, 0), (5, 1)):
        attempts[fake]["original_video"] = f"v{original}"
    attempts.append({"attempt": 6, "video_id": "v0", "original_video": None, "recipe_hash": "another recipe"})
    faces = [
        {"sample_id": f"s{i}-{frame}-{track}", "attempt": i, "frame_index": frame, "track": track}
        | {side: chance.choice([0.0, 10.0, 20.0, 30.0]) for side in ("box_x", "box_y", "box_w", "box_h")}
        for i in range(7)
        for frame in range(12)
        for track in chance.sample(range(3), chance.choice([0, 1, 1, 2, 3]))
    ]
    rows = pa.Table.from_pylist(faces)
    got = ask(db, rows, "FROM with_partner(train)", faces=rows, current_attempts=pa.Table.from_pylist(attempts))
    for name in ("faces", "current_attempts"):
        db.execute(f"DROP TABLE temp.main.{name}")
    assert len(got) == len(faces)
    for row in got:
        of = {3: 0, 4: 0, 5: 1}.get(row["attempt"])
        assert row["partner_id"] == nearest_of(row, [face for face in faces if face["attempt"] == of])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=6), st.integers(1, 40))
def test_frames_per_video_takes_the_frames_that_evenly_takes(db, counts, n):
    videos = [f"v{i}" for i, count in enumerate(counts) for _ in range(count)]
    frames = [frame * 7 for count in counts for frame in range(count)]
    got = ask(db, table(video_id=videos, frame_index=frames), f"FROM frames_per_video(train, n := {n})")
    expected = [
        (f"v{i}", 7 * frame)
        for i, count in enumerate(counts)
        for frame in range(count)
        if ((frame + 1) * n + count // 2) // count > (frame * n + count // 2) // count
    ]
    assert sorted((row["video_id"], row["frame_index"]) for row in got) == sorted(expected)
