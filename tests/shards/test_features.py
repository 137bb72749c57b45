"""Features lie beside the shards, one file each, and only what is missing is computed."""

import dataclasses
import os

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards.features import PHASH, PHASH_INNER, Kind, compute, evenly, feature_path, missing
from shards.phash import HASH_BYTES, WIDER, inner_part, perceptual_hash
from tests.fabricate import make_store, pixels


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_face_gets_its_hash_and_a_second_call_does_nothing(store, workers):
    done = list(compute(store.root, workers=workers))
    assert sum(shard.faces for shard in done) == len(store.rows)
    tables = [pq.read_table(feature_path(store.root, shard.shard, PHASH)) for shard in done]
    assert all(table.schema.equals(PHASH.schema) for table in tables)
    assert sorted(s for table in tables for s in table["sample_id"].to_pylist()) == [r["sample_id"] for r in store.rows]
    assert all(len(value) == HASH_BYTES for table in tables for value in table["value"].to_pylist())
    assert list(compute(store.root)) == []


def test_only_the_shard_whose_features_are_gone_or_damaged_is_read_again(store):
    first, second = sorted(shard.shard for shard in compute(store.root))
    path = feature_path(store.root, first, PHASH)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert missing(store.root) == [first]
    assert [shard.shard for shard in compute(store.root)] == [first]
    assert path.read_bytes() == whole
    path.unlink()
    assert missing(store.root) == [first]


def test_a_face_that_cannot_be_read_is_named_and_tried_again(store):
    row = store.rows[0]
    tar = store.shards_dir / f"{row['shard']}.tar"
    with open(tar, "r+b") as file:
        good = os.pread(file.fileno(), 4, row["image_offset"] + 40)
        os.pwrite(file.fileno(), bytes(4), row["image_offset"] + 40)
    faults = [fault for shard in compute(store.root) for fault in shard.faults]
    assert len(faults) == 1
    assert faults[0].startswith(row["sample_id"])
    assert missing(store.root) == [row["shard"]]
    with open(tar, "r+b") as file:
        os.pwrite(file.fileno(), good, row["image_offset"] + 40)
    assert [shard.faults for shard in compute(store.root)] == [[]]
    assert missing(store.root) == []


def far(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def test_a_hash_outlives_size_compression_and_brightness_and_tells_pictures_apart():
    from skimage.data import astronaut

    face = cv2.resize(astronaut()[:256, 100:356], (256, 256))
    value = perceptual_hash(face)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_COLOR)
    assert far(value, perceptual_hash(cv2.resize(face, (96, 96), interpolation=cv2.INTER_AREA))) < 36
    assert far(value, perceptual_hash(jpeg)) < 54
    assert far(value, perceptual_hash((face * 0.7 + 20).astype(np.uint8))) < 36
    assert far(value, perceptual_hash(np.ascontiguousarray(face[:, ::-1]))) > 144


def brightness_of_fakes(crop: np.ndarray, facts: dict) -> list[float] | None:
    return [float(facts["label"]), float(crop.mean())] if facts["label"] else None


FEW = Kind("few", 3, pa.list_(pa.float32(), 2), brightness_of_fakes, facts=True, per_track=2)


def test_a_kind_of_few_faces_of_each_video_is_computed_from_their_pixels_and_facts(store):
    done = list(compute(store.root, FEW, workers=2))
    rows = {
        row["sample_id"]: row["value"]
        for shard in done
        for row in pq.read_table(feature_path(store.root, shard.shard, FEW)).to_pylist()
    }
    known = {row["sample_id"]: row for row in store.rows}
    videos: dict[str, list[int]] = {}
    for row in store.rows:
        videos.setdefault(row["video_id"], []).append(row["frame_index"])
    wanted = {(v, sorted(f)[i]) for v, f in videos.items() for i in evenly(len(f), 2)}
    assert {(known[sample]["video_id"], known[sample]["frame_index"]) for sample in rows} == wanted
    for sample, value in rows.items():
        fake = "/original/" not in known[sample]["video_id"]
        assert (value is not None) == fake
        assert value is None or value[1] == pytest.approx(pixels(sample, 64).mean(), abs=0.01)
    assert sum(shard.empty for shard in done) == sum(value is None for value in rows.values())
    assert missing(store.root, FEW) == []
    more = dataclasses.replace(FEW, per_track=3)
    assert missing(store.root, more) == sorted(shard.shard for shard in done)


@pytest.mark.parametrize("count", range(1, 20))
@pytest.mark.parametrize("n", [1, 2, 4])
def test_places_lie_evenly_and_are_all_where_there_are_fewer(count, n):
    places = evenly(count, n)
    assert places == sorted(set(places)) and len(places) == min(count, n)
    if count > n:
        gaps = np.diff(places)
        assert places[0] + places[-1] in (count - 2, count - 1, count)  # as far from both ends
        assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_inner_parts_are_hashed_of_crops_that_came_as_such_alone(tmp_path):
    store = make_store(tmp_path)
    assert missing(store.root, PHASH_INNER) == []
    assert list(compute(store.root, PHASH_INNER)) == []
    for sidecar in store.shards_dir.glob("*[0-9].parquet"):
        table = pq.read_table(sidecar)
        place = table.column_names.index("landmark_scheme")
        pq.write_table(table.set_column(place, "landmark_scheme", pa.nulls(len(table), pa.string())), sidecar)
    assert sum(shard.faces for shard in compute(store.root, PHASH_INNER)) == len(store.rows)
    values = pq.read_table(store.root / "features")["value"].to_pylist()
    assert {len(value) for value in values} == {HASH_BYTES * len(WIDER)}


@pytest.mark.parametrize("wider", WIDER)
def test_the_inner_part_of_a_wider_crop_has_the_hash_of_a_narrower_one(wider):
    from skimage.data import astronaut

    picture = astronaut()
    side = 150
    half = round(side * wider / 2)
    wide = cv2.resize(picture[110 - half : 110 + half, 222 - half : 222 + half], (256, 256))
    narrow = cv2.resize(picture[110 - side // 2 : 110 + side // 2, 222 - side // 2 : 222 + side // 2], (256, 256))
    assert far(perceptual_hash(wide), perceptual_hash(narrow)) > 112
    assert far(perceptual_hash(inner_part(wide, wider)), perceptual_hash(narrow)) < 40
