"""Near hashes are found without comparing all pairs, and what videos are to each other is told apart."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from queries.catalog import connect_read
from queries.duplicates import ORDERS, WINDOW, duplicates, near_hashes
from queries.ingest import rebuild
from queries.verify import compare
from shards.features import FEATURES
from tests.queries import fabricate


def random_hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def flipped(value: np.ndarray, bits: int, seed: int) -> np.ndarray:
    """``value``, uint8 [32], with so many bits changed."""
    spelled = np.unpackbits(value)
    spelled[np.random.default_rng(seed).choice(256, bits, replace=False)] ^= 1
    return np.packbits(spelled)


def test_of_a_million_hashes_few_pairs_are_compared_and_near_ones_are_found():
    hashes, near = random_hashes(1_000_000), 100
    for number in range(near):
        hashes[-1 - number] = flipped(hashes[number], 12, number)
    pairs, compared = near_hashes(hashes, np.arange(len(hashes)), 48, orders=4, window=2)
    assert compared <= 4 * 2 * len(hashes)
    planted = {(number, len(hashes) - 1 - number) for number in range(near)}
    found = set(map(tuple, pairs.tolist()))
    assert found <= planted
    assert len(found) > 0.8 * near


def test_hashes_that_are_all_alike_are_not_compared_in_all_pairs():
    hashes = np.repeat(random_hashes(1), 5000, axis=0)
    pairs, compared = near_hashes(hashes, np.arange(5000), 48)
    assert compared <= ORDERS * WINDOW * 5000
    assert len(np.unique(pairs)) == 5000  # and yet each has found another


@pytest.mark.parametrize("distance", [0, 8, 20, 32])
def test_near_hashes_are_found_among_others(distance):
    hashes = random_hashes(2000)
    hashes = np.concatenate([hashes, [flipped(value, distance, i) for i, value in enumerate(hashes[:100])]])
    pairs, _ = near_hashes(hashes, np.arange(2100), 32)
    assert len(pairs) >= 95
    assert all(other - one == 2000 for one, other in pairs.tolist())


def test_faces_of_one_owner_are_no_pair():
    hashes = np.repeat(random_hashes(1), 4, axis=0)
    pairs, _ = near_hashes(hashes, np.array([0, 0, 1, 1]), 48)
    assert pairs.tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]


@pytest.mark.parametrize("count", [0, 1])
def test_of_nothing_nothing_is_found(count):
    pairs, compared = near_hashes(random_hashes(count), np.arange(count), 48)
    assert (len(pairs), compared) == (0, 0)


def write_features(place, value_of) -> None:
    """Features for every face of a store; ``value_of``: row of SAMPLES -> uint8 [32] or None."""
    (place.store / "features").mkdir(exist_ok=True)
    for file in place.store.glob("shards/*-??????.parquet"):
        made = [(row["sample_id"], value_of(row)) for row in pq.read_table(file).to_pylist()]
        rows = [
            {"sample_id": sample, "kind": "phash", "version": 1, "value": value.tobytes()}
            for sample, value in made
            if value is not None
        ]
        path = place.store / "features" / f"{file.stem}-phash-v1.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=FEATURES), path)


@pytest.fixture
def hashed(place):
    """FF++ in miniature, where 071 is on the disk of another source too, a second time, as 900."""
    videos = [row for row in fabricate.ffpp_videos() if row["quality"] == "c23"]
    clips = sorted({row["target_id"] for row in videos})
    again = next(row for row in videos if row["method"] == "original" and row["name"] == "071")
    copy = again | {"video_id": "other/original/c23/900", "dataset": "other", "name": "900", "target_id": "other:900"}
    fabricate.make_store(place.store, [*videos, copy], faces=4)
    scenes = dict(zip(clips, random_hashes(len(clips)), strict=True)) | {}
    scenes["other:900"] = scenes["ffpp:071"]
    target = {row["video_id"]: row["target_id"] for row in [*videos, copy]}
    far = {row["video_id"]: 20 if row["label"] else 6 for row in [*videos, copy]}
    write_features(
        place,
        lambda row: flipped(scenes[target[row["video_id"]]], far[row["video_id"]] // 2, row["draw_key"]),
    )
    place.ingest()
    return place


def test_same_footage_is_a_group_and_a_forgery_is_told_apart(hashed):
    found = duplicates(hashed.catalog)
    assert [group.videos for group in found.groups] == [["ffpp/original/c23/071", "other/original/c23/900"]]
    match = found.groups[0].matches[0]
    assert (match.relation, match.told, match.matching, match.faces) == ("same footage", False, 4, 4)
    assert match.least <= match.median <= 6
    forgeries = {(m.one, m.other): m for m in found.forgeries}
    assert forgeries["ffpp/Face2Face/c23/071_054", "ffpp/original/c23/071"].told
    assert not forgeries["ffpp/Face2Face/c23/071_054", "other/original/c23/900"].told
    assert {m.relation for m in found.forgeries} == {"forgery", "sibling forgeries"}
    assert all(m.one.rpartition("/")[2][:3] in (m.other.rpartition("/")[2][:3], "071") for m in found.forgeries)


def test_faces_without_a_hash_and_faces_whose_hash_says_nothing_are_counted(hashed):
    write_features(hashed, lambda row: np.zeros(32, np.uint8) if row["frame_index"] else None)
    hashed.ingest()
    found = duplicates(hashed.catalog)
    assert not found.groups
    assert found.blank == found.faces > 0
    assert found.unhashed * 3 == found.faces


def test_features_are_rows_of_the_catalog_and_a_rebuild_finds_them_again(hashed):
    count = "SELECT count(*) FROM features JOIN samples USING (sample_id) WHERE kind = 'phash' AND version = 1"
    with connect_read(hashed.catalog) as db:
        before = db.execute(count).fetchall()
        assert before == db.execute("SELECT count(*) FROM samples").fetchall()
    rebuild(hashed.catalog, hashed.store)
    with connect_read(hashed.catalog) as db:
        assert db.execute(count).fetchall() == before
    assert compare(hashed.catalog, hashed.store).rows == []
    for file in hashed.store.glob("features/*"):
        file.unlink()
    assert hashed.ingest().removed["features"] > 0
    with connect_read(hashed.catalog) as db:
        assert db.execute("SELECT count(*) FROM features").fetchall() == [(0,)]


def test_matches_can_be_written_as_json(hashed):
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(duplicates(hashed.catalog).groups[0])))["videos"]
