"""Sides that share nobody: what is dealt out, what a cut loses, and that check finds nothing between them."""

import itertools
import random

import pytest

from queries import disjoint
from queries.catalog import connect_read
from queries.check import check
from queries.disjoint import LEAST, SIDES, build, smallest_cut
from queries.errors import SplitError
from queries.pin import pin
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack
from tests.queries.world import run_here

SHARES = (0.5, 0.25, 0.25)


@pytest.fixture(autouse=True)
def no_children(no_child, monkeypatch):
    monkeypatch.setattr("queries.disjoint.run_split", run_here)


def filled(place, rows, faceless=()):
    made = [attempt(row, 0 if row["video_id"] in faceless else 2) for row in rows]
    write_pack(place.store, "p-000000", made)
    fabricate.write_recipe(place.store)
    place.ingest()
    base = place.folder / "base.sql"
    base.write_text("-- all of it\nSELECT sample_id, video_id FROM faces_or_none")
    return base


def pairs(count):
    return {"train": [(f"{2 * i + 100:03d}", f"{2 * i + 101:03d}") for i in range(count)]}


def complete(people):
    """A dataset like DFD: everybody is swapped with everybody."""
    rows = [video("original", f"{a}", 0, "d", target_id=f"d:{a}") for a in range(people)]
    for a, b in itertools.permutations(range(people), 2):
        rows.append(
            video(
                "swap", f"{a}_{b}", 1, "d", target_id=f"d:{a}", source_id=f"d:{b}", original_video=f"d/original/c23/{a}"
            )
        )
    return rows


def pinned(place, built):
    return [pin(place.catalog, place.store, file) for file in built.files]


def test_sides_have_the_wanted_sizes_and_share_nothing(place):
    rows = fabricate.ffpp_videos(pairs(20), ["FaceSwap"])
    base = filled(place, rows, faceless={rows[0]["video_id"]})
    built = build(place.catalog, base, place.folder / "sides", val=0.2, test=0.2)
    assert built.videos == {"train": 48, "val": 16, "test": 16} and built.lost == 0
    pins = pinned(place, built)
    assert [one.videos + one.faceless for one in pins] == [48, 16, 16]
    assert check(place.catalog, [one.path for one in pins]) == []
    other = build(place.catalog, base, place.folder / "other", val=0.2, test=0.2, seed=2)
    assert other.videos == built.videos
    assert pin(place.catalog, place.store, other.files[2]).hash != pins[2].hash
    same = pin(place.catalog, place.store, other.files[2], params={"deal": 1})
    assert same.hash == pins[2].hash


def test_relatives_clips_and_files_stay_together(place):
    rows = [video("original", name, 0, target_id=f"ffpp:{name}") for name in ("755", "756", "001", "002")]
    rows.append(video("swap", "nobody", 1, original_video="ffpp/original/c40/001"))
    made = [attempt(row, 2) | ({"content": "a" * 64} if row["name"] in ("001", "002") else {}) for row in rows]
    write_pack(place.store, "p-000000", made)
    place.ingest()
    with connect_read(place.catalog) as db:
        found = db.execute(
            "SELECT component, list(right(video_id, 3)) FROM video_components(faces) GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert [sorted(videos) for _, videos in found] == [["001", "002", "ody"], ["755", "756"]]


def test_one_component_is_said_with_what_a_cut_loses_and_the_cut_shares_nothing(place):
    base = filled(place, complete(6))
    with pytest.raises(
        SplitError,
        match=r"the largest of 1 groups .* has 36 of 36 videos.* loses \d+ videos .no cut loses fewer. and leaves",
    ):
        build(place.catalog, base, place.folder, val=0.25, test=0.25)
    built = build(place.catalog, base, place.folder, val=0.25, test=0.25, cut=True)
    assert built.fewest and built.lost + sum(built.videos.values()) == 36
    pins = pinned(place, built)
    assert {side: one.videos for side, one in zip(SIDES, pins, strict=True)} == built.videos
    assert check(place.catalog, [one.path for one in pins]) == []


def graph(seed, n):
    noise = random.Random(seed)
    edges = {(i,): noise.randint(1, 9) for i in range(n)}
    for _ in range(2 * n):
        edges[tuple(sorted(noise.sample(range(n), noise.choice([2, 2, 3]))))] = noise.randint(1, 9)
    return sorted(edges.items())


def loss(way, edges):
    """(videos short of the wanted sizes, videos lost), or None where a side is empty."""
    kept = [sum(w for atoms, w in edges if {way[a] for a in atoms} == {side}) for side in range(3)]
    short = sum(max(0, LEAST * share * sum(kept) - k) for k, share in zip(kept, SHARES, strict=True))
    return (round(short, 6), sum(w for _, w in edges) - sum(kept)) if min(kept) else None


@pytest.mark.parametrize("seed", range(6))
def test_the_cut_is_the_smallest_of_all(seed):
    edges = graph(seed, 6)
    ways = [loss(way, edges) for way in itertools.product(range(3), repeat=6)]
    best = min(way for way in ways if way is not None)
    place, lost, proven = smallest_cut(edges, 6, SHARES)
    assert proven
    assert loss(place, edges) == best and lost == best[1]


def test_there_is_no_cut_of_two_people_into_three_sides():
    assert smallest_cut([((0,), 3), ((0, 1), 5), ((1,), 3)], 2, SHARES)[0] is None


def test_the_search_finds_a_fitting_cut_that_is_what_it_says(monkeypatch):
    monkeypatch.setattr(disjoint, "_TRIES", 4)
    for seed in range(3):
        edges = graph(seed, 8)
        best, _, _ = smallest_cut(edges, 8, SHARES)
        place, lost, proven = smallest_cut(edges, 8, SHARES, exact=0)
        assert not proven and lost == loss(place, edges)[1]
        assert loss(place, edges) >= loss(best, edges)
        assert smallest_cut(edges, 8, SHARES, exact=0) == (place, lost, proven)


def test_shares_that_leave_nothing_and_files_that_are_there_are_refused(place):
    base = filled(place, fabricate.ffpp_videos(pairs(10), []))
    with pytest.raises(SplitError, match="leave something for training"):
        build(place.catalog, base, place.folder, val=0.5, test=0.5)
    build(place.catalog, base, place.folder, val=0.2, test=0.2)
    with pytest.raises(SplitError, match="exists already"):
        build(place.catalog, base, place.folder, val=0.2, test=0.2)
