"""Near hashes are found without comparing all pairs, and what videos are to each other is told apart."""

import json
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from queries.catalog import connect_read
from queries.check import check
from queries.duplicates import HASH_BYTES, ORDERS, WINDOW, _relation, duplicates, near_hashes, verify, write
from queries.ingest import ingest_file, rebuild
from queries.verify import compare
from shards.features import PHASH
from shards.phash import HASH_BYTES as WRITTEN
from shards.phash import perceptual_hash
from tests.queries import fabricate


def random_hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, HASH_BYTES), np.uint8)


def flipped(value: np.ndarray, bits: int, seed: int) -> np.ndarray:
    """``value``, uint8 [W], with so many bits changed."""
    spelled = np.unpackbits(value)
    spelled[np.random.default_rng(seed).choice(len(spelled), bits, replace=False)] ^= 1
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
    """Features for every face of a store; ``value_of``: row of SAMPLES -> uint8 [72] or None."""
    (place.store / "features").mkdir(exist_ok=True)
    for file in place.store.glob("shards/*-??????.parquet"):
        made = [(row["sample_id"], value_of(row)) for row in pq.read_table(file).to_pylist()]
        rows = [
            {"sample_id": sample, "kind": "phash", "version": 2, "value": value.tobytes()}
            for sample, value in made
            if value is not None
        ]
        path = place.store / "features" / f"{file.stem}-phash-v2.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=PHASH.schema), path)


@pytest.fixture
def hashed(place):
    """FF++ in miniature, where 071 is on the disk of another source too, a second time, as 900."""
    videos = [row for row in fabricate.ffpp_videos() if row["quality"] == "c23"]
    clips = sorted({row["target_id"] for row in videos})
    again = next(row for row in videos if row["method"] == "original" and row["name"] == "071")
    copy = again | {"video_id": "other/original/c23/900", "dataset": "other", "name": "900", "target_id": "other:900"}
    fabricate.make_store(place.store, [*videos, copy], faces=4)
    scenes = dict(zip(clips, random_hashes(len(clips)), strict=True))
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
    write_features(hashed, lambda row: np.zeros(HASH_BYTES, np.uint8) if row["frame_index"] else None)
    hashed.ingest()
    found = duplicates(hashed.catalog)
    assert not found.groups
    assert found.blank == found.faces > 0
    assert found.unhashed * 3 == found.faces


def test_features_are_rows_of_the_catalog_and_a_rebuild_finds_them_again(hashed):
    count = "SELECT count(*) FROM features JOIN samples USING (sample_id) WHERE kind = 'phash' AND version = 2"
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


def between(place, one, other):
    """What check finds between the faces of two conditions, by rule, of this room's rules."""
    pins = [
        place.pin(f"SELECT sample_id FROM faces WHERE {where}", name)
        for name, where in (("one", one), ("other", other))
    ]
    found = check(place.catalog, [pinned.path for pinned in pins])
    return {f.rule: f for f in found if f.rule.startswith("near_duplicate")}


def lints(pinned):
    return {lint.rule: lint for lint in pinned.lints if lint.rule.startswith("near_duplicate")}


@pytest.fixture
def kept(hashed, no_child):
    """The same with its duplicates looked for."""
    for file in write(duplicates(hashed.catalog), hashed.store):
        ingest_file(hashed.catalog, hashed.store, file)
    return hashed


COPY = "video_id IN ('ffpp/original/c23/071', 'other/original/c23/900')"


def test_a_copy_in_the_same_split_is_said_and_one_of_the_two_alone_is_not(kept):
    lint = lints(kept.pin(f"SELECT sample_id FROM faces WHERE {COPY}"))["near_duplicate_videos"]
    assert (lint.severity, lint.count) == ("warning", 1)
    assert lint.examples == ["ffpp/original/c23/071 = other/original/c23/900"]
    assert lints(kept.pin("SELECT sample_id FROM faces WHERE dataset = 'ffpp'")) == {}


def test_forgeries_are_no_duplicates_of_their_original_within_a_split(kept):
    where = "method IN ('original', 'Face2Face', 'FaceSwap') AND dataset = 'ffpp'"
    assert lints(kept.pin(f"SELECT sample_id FROM faces WHERE {where}")) == {}


def test_a_copy_on_the_other_side_is_an_error_and_another_clip_there_is_not(kept):
    train = "method = 'original' AND official_split = 'train' AND dataset = 'ffpp'"
    leak = between(kept, train, "dataset = 'other'")["near_duplicates"]
    assert (leak.severity, leak.count) == ("error", 1)
    assert leak.examples == ["ffpp/original/c23/071 = other/original/c23/900"]
    assert between(kept, "name = '953'", "dataset = 'other'") == {}


def test_a_forgery_of_a_copy_on_the_other_side_is_an_error_and_of_another_clip_is_not(kept):
    fakes = "method = 'Face2Face' AND target_id = 'ffpp:{}'"
    leak = between(kept, "dataset = 'other'", fakes.format("071"))["near_duplicates"]
    assert "forgeries" in leak.message
    assert leak.examples == ["other/original/c23/900 = ffpp/Face2Face/c23/071_054"]
    assert between(kept, "dataset = 'other'", fakes.format("953")) == {}


def test_what_the_dataset_tells_itself_is_left_to_the_check_by_names(kept):
    fakes = "method = 'Face2Face' AND target_id = 'ffpp:071'"
    assert between(kept, "video_id = 'ffpp/original/c23/071'", fakes) == {}


def test_a_forgery_that_looks_like_nothing_still_leads_to_the_copy_of_its_original(hashed, no_child):
    noise = iter(random_hashes(1000, seed=5))
    scene = random_hashes(1, seed=6)[0]
    alike = ("original/c23/071", "other/original/c23/900")
    write_features(
        hashed,
        lambda row: flipped(scene, 4, row["draw_key"]) if row["video_id"].endswith(alike) else next(noise),
    )
    hashed.ingest()
    for file in write(duplicates(hashed.catalog), hashed.store):
        ingest_file(hashed.catalog, hashed.store, file)
    leak = between(hashed, "dataset = 'other'", "method = 'FaceSwap' AND target_id = 'ffpp:071'")["near_duplicates"]
    assert leak.examples == ["other/original/c23/900 = ffpp/FaceSwap/c23/071_054"]


def test_videos_that_came_after_the_duplicates_were_looked_for_are_said(kept):
    every = "SELECT sample_id FROM faces"
    assert "near_duplicates_unknown" not in lints(kept.pin(every, "before"))
    late = fabricate.video("original", "late", 0, "later")
    fabricate.write_pack(kept.store, "late-000000", [fabricate.attempt(late, 4)])
    kept.ingest()
    note = lints(kept.pin(every, "after"))["near_duplicates_unknown"]
    assert (note.severity, note.count, note.examples) == ("note", 1, ["later/original/c23/late"])
    assert between(kept, "dataset = 'later'", "dataset = 'other'")["near_duplicates_unknown"].count == 1
    assert duplicates(kept.catalog).unhashed == 4


def test_a_video_whose_bytes_are_others_than_were_compared_is_said(kept):
    again = fabricate.video("original", "900", 0, "other", target_id="other:900")
    later = fabricate.NOON + timedelta(days=1)
    fabricate.write_pack(
        kept.store, "again-000000", [fabricate.attempt(again, 4, content="e" * 64, attempted_at=later)]
    )
    kept.ingest()
    assert between(kept, "video_id = 'ffpp/original/c23/071'", "dataset = 'other'").keys() == {
        "near_duplicates_unknown"
    }


def test_that_nobody_looked_for_duplicates_is_said_when_pinning(hashed, no_child):
    note = lints(hashed.pin("SELECT sample_id FROM faces"))["near_duplicates_unknown"]
    assert note.message.startswith("near-duplicates were not looked for")


def test_groups_and_matches_are_rows_of_the_catalog_and_a_rebuild_finds_them_again(kept):
    tables = ("duplicate_groups", "duplicate_matches")
    with connect_read(kept.catalog) as db:
        before = [db.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables]
        groups = db.execute("SELECT duplicate_group FROM duplicate_groups WHERE video_id LIKE '%/900'").fetchall()
    assert groups == [("ffpp/original/c23/071",)]
    assert all(before)
    rebuild(kept.catalog, kept.store)
    with connect_read(kept.catalog) as db:
        assert [db.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables] == before
    assert compare(kept.catalog, kept.store).rows == []


def relation(one: dict, other: dict) -> tuple[str, bool]:
    facts = {"dataset": "d", "method": "m", "name": "a", "quality": "c23", "label": 1, "original_video": None}
    made = [facts | {"content": name} | part for name, part in (("x", one), ("y", other))]
    for part in made:
        part["video_id"] = f"{part['dataset']}/{part['method']}/{part['quality']}/{part['name']}"
    assert _relation(*made) == _relation(*made[::-1])
    return _relation(*made)


def test_what_two_videos_with_like_faces_are_to_each_other():
    real, of = {"label": 0, "method": "original"}, {"original_video": "d/original/raw/a"}
    assert relation({"content": "z"}, {"content": "z", "name": "b"}) == ("same file", False)
    assert relation(real, real | {"quality": "c40"}) == ("same footage", True)
    assert relation(real, real | {"name": "b"}) == ("same footage", False)
    assert relation(real, of) == ("forgery", True)
    assert relation(real, {"name": "b"}) == ("forgery", False)
    assert relation(of, of | {"quality": "c40"}) == ("same footage", True)
    assert relation(of, of | {"name": "b"}) == ("sibling forgeries", True)
    assert relation({}, {"name": "b"}) == ("same footage", False)
    assert relation(of, of | {"method": "n"}) == ("sibling forgeries", True)
    assert relation({}, {"dataset": "e"}) == ("sibling forgeries", False)


def test_an_inner_part_that_matches_is_one_match_of_its_face():
    wide, narrow = random_hashes(6), random_hashes(2, seed=1)
    wide[1], wide[5] = flipped(narrow[0], 6, 0), flipped(narrow[1], 8, 1)  # of two faces with three hashes each
    hashes, codes = np.concatenate([wide, narrow]), np.array([0] * 6 + [1] * 2)
    faces = np.array([0, 0, 0, 1, 1, 1, 2, 3])
    assert verify(hashes, codes, faces, {(0, 1)}, 44, 1.0) == {(0, 1): (2, 2, 6, 7.0)}
    faces[3:6] = 0  # of one face
    assert verify(hashes, codes, faces, {(0, 1)}, 44, 1.0) == {(0, 1): (1, 1, 6, 6.0)}


def test_hashes_are_read_as_long_as_they_are_written():
    assert HASH_BYTES == WRITTEN == len(perceptual_hash(np.zeros((8, 8, 3), np.uint8)))
