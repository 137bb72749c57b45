"""The same split through other libraries, unmodified: each sample once, with its own pixels and the split's label."""

import json

import datasets
import numpy as np
import pytest
import torch
import webdataset
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from shards.errors import ReadError, SplitError
from shards.split import Split
from tests.fabricate import landmarks, make_store, mask_pixels, pixels
from tests.shards.serving import served

SIZE = 32


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), videos=6, faces_per_video=5, size=SIZE, partners=True)


@pytest.fixture(scope="module")
def split(store):
    return Split.open(store.manifest)


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


def label_of(key: str) -> int:
    return int("/swapped/" in key)


# torch


@pytest.mark.parametrize("workers", [0, 1])
def test_torchs_own_loader_shuffles_and_collates_it(split, workers):
    torch.manual_seed(0)
    loader = DataLoader(split.as_torch(("image", "mask", "landmarks")), batch_size=7, shuffle=True, num_workers=workers)
    seen = []
    for batch in loader:
        for slot, name in enumerate(batch["sample_id"]):
            assert np.array_equal(batch["image"][slot].permute(1, 2, 0).numpy(), pixels(name, SIZE))
            assert np.array_equal(batch["mask"][slot][0].numpy(), mask_pixels(name, SIZE, label_of(name)))
            assert np.allclose(batch["landmarks"][slot].numpy(), landmarks(name, SIZE))
            assert batch["label"][slot] == label_of(name)
        seen += batch["sample_id"]
    assert sorted(seen) == split.sample_ids() and seen != sorted(seen)


def test_samples_are_like_a_list(split):
    samples = split.as_torch(("image", "json", "partner"))
    assert len(samples) == 30 and samples[-1]["sample_id"] == split.sample_ids([29])[0]
    fake = int(np.flatnonzero(split.labels)[0])
    assert samples[fake]["partner_valid"] and not samples[int(np.flatnonzero(split.labels == 0)[0])]["partner_valid"]
    assert samples[fake]["json"]["sample_id"] == samples[fake]["sample_id"]
    with pytest.raises(IndexError):
        samples[30]


# webdataset


def test_webdataset_decodes_it_and_the_label_is_the_splits(split):
    pipeline = split.as_webdataset(("image", "mask", "json", "partner")).decode("rgb8")
    ids = dict(zip((name.split("/", 2)[2] for name in split.sample_ids()), split.sample_ids(), strict=True))
    seen = []
    for sample in pipeline:
        name = ids[sample["__key__"]]
        seen.append(name)
        assert np.array_equal(sample["png"], pixels(name, SIZE)) and sample["cls"] == label_of(name)
        assert np.array_equal(sample["mask.png"][..., 0], mask_pixels(name, SIZE, label_of(name)))
        assert sample["json"]["sample_id"] == name and ("partner.png" in sample) == bool(label_of(name))
    assert seen == split.sample_ids()


def test_webdataset_batches_a_shuffled_epoch_over_workers(split):
    pipeline = split.as_webdataset(seed=1).decode("rgb8").to_tuple("__key__", "png", "cls").batched(4)
    loader = webdataset.WebLoader(pipeline, batch_size=None, num_workers=2)
    keys = [key for batch in loader for key in batch[0]]
    assert sorted(keys) == sorted(name.split("/", 2)[2] for name in split.sample_ids())
    plain = [sample["__key__"] for sample in split.as_webdataset(seed=1)]
    assert plain == [sample["__key__"] for sample in split.as_webdataset(seed=1)]
    assert plain != [sample["__key__"] for sample in split.as_webdataset(seed=1, epoch=1)]


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_webdataset_gives_each_node_its_own(split, nodes, monkeypatch):
    seen = []
    monkeypatch.setenv("WORLD_SIZE", str(nodes))
    for rank in range(nodes):
        monkeypatch.setenv("RANK", str(rank))
        own = [sample["__key__"] for sample in split.as_webdataset(seed=2)]
        assert len(own) == 30 // nodes
        seen += own
    assert len(set(seen)) == len(seen) == 30


# datasets


def check(face: dict) -> str:
    name = face["sample_id"]
    assert np.array_equal(np.asarray(face["image"]), pixels(name, SIZE)) and face["label"] == label_of(name)
    return name


def test_datasets_reads_rows_in_any_order_and_by_condition(split):
    faces = split.as_hf(("image", "mask", "json", "partner"))
    assert len(faces) == 30 and faces.features["label"].names == ["real", "fake"]
    assert [check(face) for face in faces] == split.sample_ids()
    assert [check(face) for face in faces.select([7, 3])] == split.sample_ids([7, 3])
    shuffled = [check(face) for face in faces.shuffle(seed=1)]
    assert sorted(shuffled) == split.sample_ids() and shuffled != split.sample_ids()
    fakes = faces.filter(lambda label: label == 1, input_columns="label")
    assert [check(face) for face in fakes] == [name for name in split.sample_ids() if label_of(name)]
    face = fakes[0]
    assert np.array_equal(np.asarray(face["mask"]), mask_pixels(face["sample_id"], SIZE, 1))
    assert json.loads(face["json"])["sample_id"] == face["sample_id"]
    assert face["partner"].size == (SIZE, SIZE) and faces[0]["label"] == 0 and faces[0]["partner"] is None
    assert faces[2:5]["sample_id"] == split.sample_ids([2, 3, 4])


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
@pytest.mark.parametrize("streaming", [False, True])
def test_split_dataset_by_node_gives_each_sample_once(split, streaming, nodes):
    faces = split.as_hf(streaming=streaming)
    seen = [[check(face) for face in split_dataset_by_node(faces, rank, nodes)] for rank in range(nodes)]
    assert sorted(sum(seen, [])) == split.sample_ids()
    assert max(map(len, seen)) - min(map(len, seen)) <= 1


def test_nodes_of_a_stream_read_their_own_parts_only(store, tmp_path):
    with served(store.shards_dir) as server:
        faces = Split.open(store.manifest, server.url, cache=tmp_path / "cache").as_hf(streaming=True)
        assert faces.n_shards == 30
        half = split_dataset_by_node(faces, 0, 2)
        assert half.n_shards == 15


@pytest.mark.parametrize("streaming", [False, True])
def test_torchs_loader_takes_what_datasets_gives(split, streaming):
    faces = split.as_hf(streaming=streaming)
    loader = DataLoader(faces, batch_size=4, num_workers=2, collate_fn=lambda rows: rows)
    assert sorted(check(face) for batch in loader for face in batch) == split.sample_ids()


def test_a_stream_shuffles_and_goes_on_where_it_was(split):
    faces = split.as_hf(streaming=True).shuffle(seed=3, buffer_size=1)
    assert sorted(check(face) for face in faces) == split.sample_ids()
    plain = split.as_hf(streaming=True)
    first = [face["sample_id"] for _, face in zip(range(11), plain, strict=False)]
    state = plain.state_dict()
    rest = split.as_hf(streaming=True)
    rest.load_state_dict(state)
    assert [*first, *(face["sample_id"] for face in rest)] == split.sample_ids()


# all of them


def test_each_reads_from_afar(store, tmp_path):
    with served(store.shards_dir) as server:
        far = Split.open(store.manifest, server.url, cache=tmp_path / "cache")
        assert [sample["__key__"] for sample in far.as_webdataset()]
        assert sorted(check(face) for face in far.as_hf()) == far.sample_ids()
        assert [check(face) for face in far.as_hf(streaming=True)] == far.sample_ids()
        assert sum(server.bytes.values()) < 2 * sum(path.stat().st_size for path in store.shards_dir.iterdir())


def test_what_they_cannot_give_is_refused(split, tmp_path):
    for ask in (split.as_webdataset, split.as_hf):
        with pytest.raises(SplitError, match="there is no stored member landmarks: choose from image, mask"):
            ask(("landmarks",))
    bare = make_store(tmp_path, videos=2, faces_per_video=1, size=SIZE, masks=False, shards=1)
    with pytest.raises(SplitError, match="2 of 2 samples of demo have no mask: leave it out"):
        Split.open(bare.manifest).as_webdataset(("mask",))
    next(bare.shards_dir.glob("*.tar")).unlink()
    for ask in (lambda s: list(s.as_webdataset()), lambda s: s.as_hf()[0], lambda s: s.as_torch()[0]):
        with pytest.raises(ReadError, match=r"demo/.*\.tar is missing"):
            ask(Split.open(bare.manifest))
