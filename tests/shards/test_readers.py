"""Strangers' readers: ``webdataset`` and ``datasets`` read our shards with no code of ours."""

import io

import numpy as np
import pytest
import webdataset
from PIL import Image

from tests.fabricate import landmarks, make_store, mask_pixels, pixels

SIZE = 32
FIELDS = ["dataset", "method", "label", "video_id", "sample_id", "landmarks", "source_id"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), videos=6, faces_per_video=4, size=SIZE, shards=2)


def urls(store):
    return sorted(str(path) for path in store.shards_dir.glob("*.tar"))


def by_key(store):
    return {row["key"]: row for row in store.rows}


def test_webdataset_reads_image_json_and_mask(store):
    rows = by_key(store)
    seen = []
    for sample in webdataset.WebDataset(urls(store), shardshuffle=False).decode("rgb8"):
        row = rows[sample["__key__"]]
        seen.append(sample["__key__"])
        assert np.array_equal(sample["png"], pixels(row["sample_id"], SIZE))
        assert list(sample["json"]) == FIELDS and sample["json"]["sample_id"] == row["sample_id"]
        assert np.array_equal(sample["mask.png"][..., 0], mask_pixels(row["sample_id"], SIZE, sample["json"]["label"]))
        assert {name for name in sample if not name.startswith("__")} == {"png", "json", "mask.png"}
    assert sorted(seen) == sorted(rows) and len(seen) == 24


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_image_json_and_mask(store, streaming, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    read = datasets.load_dataset(
        "webdataset", data_files={"train": urls(store)}, split="train", streaming=streaming, cache_dir=str(tmp_path)
    )
    rows = by_key(store)
    seen = []
    for sample in read:
        row = rows[sample["__key__"]]
        seen.append(sample["__key__"])
        assert np.array_equal(_array(sample["png"]), pixels(row["sample_id"], SIZE))
        label = sample["json"]["label"]
        assert sorted(sample["json"]) == sorted(FIELDS) and label == int("swapped" in row["key"])
        assert np.allclose(sample["json"]["landmarks"], landmarks(row["sample_id"], SIZE))
        assert np.array_equal(_array(sample["mask.png"]), mask_pixels(row["sample_id"], SIZE, label))
    assert sorted(seen) == sorted(rows)


def _array(image):
    if isinstance(image, dict):
        image = Image.open(io.BytesIO(image["bytes"]))
    return np.asarray(image)
