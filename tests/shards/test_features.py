"""Features lie beside the shards, one file each, and only what is missing is computed."""

import os

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from shards.features import FEATURES, compute, feature_path, missing
from shards.phash import perceptual_hash
from tests.fabricate import make_store


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_face_gets_its_hash_and_a_second_call_does_nothing(store, workers):
    done = list(compute(store.root, workers=workers))
    assert sum(shard.faces for shard in done) == len(store.rows)
    tables = [pq.read_table(feature_path(store.root, shard.shard, "phash")) for shard in done]
    assert all(table.schema.equals(FEATURES) for table in tables)
    assert sorted(s for table in tables for s in table["sample_id"].to_pylist()) == [r["sample_id"] for r in store.rows]
    assert all(len(value) == 32 for table in tables for value in table["value"].to_pylist())
    assert list(compute(store.root)) == []


def test_only_the_shard_whose_features_are_gone_or_damaged_is_read_again(store):
    first, second = sorted(shard.shard for shard in compute(store.root))
    path = feature_path(store.root, first, "phash")
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
    assert far(value, perceptual_hash(cv2.resize(face, (96, 96), interpolation=cv2.INTER_AREA))) < 16
    assert far(value, perceptual_hash(jpeg)) < 24
    assert far(value, perceptual_hash((face * 0.7 + 20).astype(np.uint8))) < 16
    assert far(value, perceptual_hash(np.ascontiguousarray(face[:, ::-1]))) > 64
