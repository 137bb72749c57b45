"""Pinned splits are found, shown and compared from their files alone."""

import os

import pytest

from queries import pinned as pins
from queries.errors import PinnedError
from tests.queries import fabricate

SPLIT = """-- Swaps and originals
-- param n: 2  (frames)
WITH swaps AS (SELECT * FROM faces WHERE method IN ('FaceSwap', 'original') AND official_split = 'train')
SELECT sample_id FROM frames_per_video(swaps, n := $n)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from tests.queries.conftest import Place

    place = Place(tmp_path_factory.mktemp("pinned"))
    fabricate.make_store(place.store, faces=6)
    place.ingest()
    place.two = place.pin(SPLIT, "swaps")
    place.four = place.pin(SPLIT, "swaps", params={"n": 4})
    place.other = place.pin("SELECT sample_id FROM faces WHERE method = 'Face2Face'", "other")
    return place


def test_a_list_has_every_split_with_its_counts(made):
    listed = {(split.name, split.hash): split for split in pins.list_pinned(made.store)}
    assert listed.keys() == {(p.name, p.hash) for p in (made.two, made.four, made.other)}
    two = listed["swaps", made.two.hash]
    assert (two.title, two.faces, two.real, two.fake, two.faceless) == ("Swaps and originals", 32, 16, 16, 0)
    assert (two.recipe, two.params) == ("default", {"n": 2})
    assert listed["other", made.other.hash].lints["warning"] == 1  # one class


def test_an_empty_store_has_an_empty_list(tmp_path):
    assert pins.list_pinned(tmp_path) == []


def test_a_split_is_found_by_name_hash_or_path(made):
    assert pins.find_pinned(made.store, "other") == made.other.path
    assert pins.find_pinned(made.store, f"swaps@{made.two.hash[:5]}") == made.two.path
    assert pins.find_pinned(made.store, f"swaps@{made.two.hash}") == made.two.path
    assert pins.find_pinned(made.store, made.two.path.name) == made.two.path
    assert pins.find_pinned(made.store, str(made.four.path)) == made.four.path


def test_an_ambiguous_or_unknown_name_says_what_there_is(made):
    with pytest.raises(PinnedError, match=f"swaps was pinned 2 times, say which: .*swaps@{made.two.hash[:12]}"):
        pins.find_pinned(made.store, "swaps")
    with pytest.raises(PinnedError, match="no pinned split othr: did you mean other"):
        pins.find_pinned(made.store, "othr")
    with pytest.raises(PinnedError, match="there are 3 in"):
        pins.find_pinned(made.store, "zzzzzzzzzzzz")


def test_showing_counts_faces_and_videos_by_method_and_label(made):
    shown = pins.show(made.store, "other")
    assert shown.content == {("ffpp", "Face2Face", 1): (84, 14)}
    assert (shown.shards, shown.partners) == (2, 0)
    assert shown.card["sql"].startswith("SELECT sample_id")


def test_a_difference_is_by_group_with_sql_and_parameters(made):
    difference = pins.diff(made.store, f"swaps@{made.two.hash[:12]}", f"swaps@{made.four.hash[:12]}")
    assert not difference.same
    assert difference.params == {"n": (2, 4)} and difference.sql == []
    gone, new = sum(difference.removed.values()), sum(difference.added.values())
    assert (difference.common + gone, difference.common + new) == (32, 64)
    assert set(difference.added) == {("ffpp", "FaceSwap", 1), ("ffpp", "original", 0)}
    assert len(difference.examples["added"]) == 10
    to_other = pins.diff(made.store, made.two.path, "other")
    assert any(line.startswith("+SELECT sample_id FROM faces WHERE method") for line in to_other.sql)


def test_a_split_is_the_same_as_itself(made):
    difference = pins.diff(made.store, made.two.path, made.two.path)
    assert difference.same and difference.common == 32
    assert not (difference.removed or difference.added or difference.changed or difference.moved or difference.params)


def test_changed_labels_weights_and_moved_bytes_are_told_apart(place):
    fabricate.make_store(place.store, faces=3)
    place.ingest()
    sql = "SELECT sample_id, {} AS weight FROM faces WHERE method = 'FaceSwap'"
    first = place.pin(sql.format(1), "a")
    kept = place.folder / "kept.arrow"
    kept.write_bytes(first.path.read_bytes())
    weighted = place.pin(sql.format("1 + label"), "b")
    difference = pins.diff(place.store, first.path, weighted.path)
    assert (difference.common, difference.changed, difference.moved) == (42, 42, 0)
    for path in (place.store / "shards").iterdir():
        path.unlink()
    fabricate.make_store(place.store, faces=3, packs=5, prefix="again")
    place.ingest()
    again = place.pin(sql.format(1), "a")
    difference = pins.diff(place.store, kept, again.path)
    assert difference.same and (difference.changed, difference.moved) == (0, 42)


def test_a_manifest_that_cannot_be_read_says_what_to_do(made, tmp_path):
    (tmp_path / "splits").mkdir()
    bad = tmp_path / "splits" / "bad@0.arrow"
    bad.write_bytes(made.two.path.read_bytes())
    os.truncate(bad, 500)
    with pytest.raises(PinnedError, match="bad@0.arrow cannot be read.*Pin the split again"):
        pins.list_pinned(tmp_path)
