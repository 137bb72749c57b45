"""Splits: what is pinned is what is read, exactly, or an error that says what to do."""

import json
import os
import pickle
import shutil

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
import xxhash

from shards import schema
from shards.errors import OrderError, ReadError, SplitError
from shards.order import SLOT
from shards.reader import Ranges, ShardReader
from shards.sampler import GlobalBatchSampler
from shards.split import Split
from tests.fabricate import landmarks, make_store, mask_pixels, pixels

SIZE = 32
EVERYTHING = ("image", "mask", "landmarks", "json", "partner")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), size=SIZE, partners=True)


@pytest.fixture
def store(whole, tmp_path):
    """A copy to damage."""
    shutil.copytree(whole.root, tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def split(whole):
    return Split.open(whole.manifest)


def manifest_of(store):
    return next((store / "splits").glob("*.arrow"))


def rewrite(path, table=None, **meta):
    old = pa.ipc.open_file(path).read_all()
    table = old if table is None else table
    mark = json.dumps(json.loads(old.schema.metadata[b"deepshard"]) | meta).encode()
    table = table.replace_schema_metadata({b"deepshard": mark})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def damage(folder, row, member="image"):
    path = folder / "shards" / f"{row['shard']}.tar"
    data = bytearray(path.read_bytes())
    data[row[f"{member}_offset"] + row[f"{member}_size"] // 2] ^= 1
    path.write_bytes(data)


def test_a_split_tells_what_it_is(whole, split):
    assert len(split) == len(whole.rows) == 24
    assert split.name == "demo" and whole.manifest.stem == f"demo@{split.hash[:12]}"
    assert split.labels.dtype == np.int8 and split.labels.tolist() == [int("swapped" in r["key"]) for r in whole.rows]
    assert split.weights.tolist() == [1.0] * 24
    assert split.sample_ids() == [row["sample_id"] for row in whole.rows] == sorted(split.sample_ids())
    assert split.sample_ids([3, 1]) == [whole.rows[3]["sample_id"], whole.rows[1]["sample_id"]]
    codes, names = split.words("method")
    assert [names[code] for code in codes] == [row["key"].split("/")[1] for row in whole.rows]
    assert (split.words("role")[0] == -1).all()
    assert split.rows([5])[0]["frame_index"] == whole.rows[5]["frame_index"]
    assert split.faceless == [
        {"video_id": "demo/original/c23/empty0", "dataset": "demo", "method": "original", "label": 0}
    ]
    assert split.recipes[0]["recipe"]["size"] == SIZE


def test_opening_a_split_reads_none_of_its_rows_into_memory(whole, split):
    allocated = pa.total_allocated_bytes()
    opened = [Split.open(whole.manifest) for _ in range(50)]
    datasets = [one.dataset(EVERYTHING) for one in opened]
    assert len(datasets) == 50 and pa.total_allocated_bytes() == allocated


def test_a_manifest_in_several_batches_reads_the_same(whole, store):
    path = manifest_of(store)
    table = pa.ipc.open_file(path).read_all()
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    one, other = Split.open(whole.manifest).dataset(), Split.open(path).dataset()
    assert torch.equal(one.__getitems__(range(24))["image"], other.__getitems__(range(24))["image"])


def test_every_member_is_what_was_curated(whole, split):
    rows = [7, 0, 23, 12, 7]
    batch = split.dataset(EVERYTHING).__getitems__(rows)
    assert batch["image"].shape == (5, 3, SIZE, SIZE) and batch["image"].dtype == torch.uint8
    assert batch["mask"].shape == (5, 1, SIZE, SIZE) and batch["landmarks"].dtype == torch.float32
    for slot, row in enumerate(rows):
        sample, label = whole.rows[row]["sample_id"], int(split.labels[row])
        assert np.array_equal(batch["image"][slot].permute(1, 2, 0).numpy(), pixels(sample, SIZE))
        assert np.array_equal(batch["mask"][slot, 0].numpy(), mask_pixels(sample, SIZE, label))
        assert np.allclose(batch["landmarks"][slot].numpy(), landmarks(sample, SIZE))
        assert batch["json"][slot]["sample_id"] == sample
        partner = split.rows([row])[0]["partner_id"]
        assert batch["partner_valid"][slot].item() == (partner is not None) == bool(label)
        expected = pixels(partner, SIZE) if partner else np.zeros((SIZE, SIZE, 3))
        assert np.array_equal(batch["partner"][slot].permute(1, 2, 0).numpy(), expected)
    assert batch["label"].tolist() == split.labels[rows].tolist() and batch["index"].tolist() == rows
    assert batch["valid"].all() and batch["errors"] == [] and batch["weight"].tolist() == [1.0] * 5


@pytest.mark.parametrize("codec", ["webp", "jpg"])
def test_other_codecs_decode_too(tmp_path, codec):
    store = make_store(tmp_path, videos=2, faces_per_video=2, size=SIZE, codec=codec, masks=False, shards=1)
    batch = Split.open(store.manifest).dataset().__getitems__(range(4))
    for slot, row in enumerate(store.rows):
        difference = batch["image"][slot].permute(1, 2, 0).numpy().astype(int) - pixels(row["sample_id"], SIZE)
        assert np.abs(difference).max() <= (0 if codec == "webp" else 12)


def test_images_lie_channels_last_without_a_copy(split):
    image = split.dataset().__getitems__(range(4))["image"]
    assert image.is_contiguous(memory_format=torch.channels_last)


def test_stored_bytes_can_be_had_one_by_one(whole, split):
    for member, column in (("image", "image"), ("json", "json"), ("mask", "mask")):
        data = split.read(3, member)
        assert len(data) == whole.rows[3][f"{column}_size"]
    assert json.loads(split.read(3, "json"))["sample_id"] == whole.rows[3]["sample_id"]
    fake = int(np.flatnonzero(split.labels)[0])
    decoded = cv2.imdecode(np.frombuffer(split.read(fake, "partner"), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(decoded, pixels(split.rows([fake])[0]["partner_id"], SIZE))
    with pytest.raises(ReadError, match="has no partner"):
        split.read(int(np.flatnonzero(split.labels == 0)[0]), "partner")
    with pytest.raises(SplitError, match="ask for one of"):
        split.read(0, "sound")
    with pytest.raises(IndexError):
        split.read(24)


def test_one_row_is_a_batch_of_one(split):
    dataset = split.dataset()
    assert torch.equal(dataset[5]["image"], dataset.__getitems__([5])["image"])
    for row in (-1, 24):
        with pytest.raises(IndexError):
            dataset[row]
    for rows in ([-2], [0, 24]):
        with pytest.raises(IndexError):
            dataset.__getitems__(rows)


def test_a_padded_slot_is_marked_and_empty(split):
    batch = split.dataset(EVERYTHING).__getitems__(np.array([(4, 77), (-1, 0)], SLOT))
    assert batch["valid"].tolist() == [True, False] and batch["draw"].tolist() == [77, 0]
    assert (batch["label"][1], batch["index"][1], batch["weight"][1]) == (-1, -1, 0)
    for name in ("image", "mask", "landmarks", "partner"):
        assert not batch[name][1].any()
    assert batch["json"][1] is None and batch["errors"] == []


def test_a_batch_of_padding_alone_has_the_same_shapes(split):
    dataset = split.dataset(EVERYTHING)
    padding, real = dataset.__getitems__([-1, -1]), dataset.__getitems__([0, 1])
    for name in ("image", "mask", "landmarks", "partner"):
        assert padding[name].shape == real[name].shape and not padding[name].any()


@pytest.mark.parametrize("member", ["image", "json", "mask"])
def test_a_flipped_byte_stops_with_sample_shard_and_offset(whole, store, member):
    row = whole.rows[9]
    damage(store, row, member)
    asked = {"image": "image", "json": "landmarks", "mask": "mask"}[member]
    dataset = Split.open(manifest_of(store)).dataset(members=("image", asked))
    with pytest.raises(ReadError) as caught:
        dataset.__getitems__(range(24))
    for told in (row["sample_id"], f"{row['shard']}.tar", str(row[f"{member}_offset"]), "deepshard verify"):
        assert told in str(caught.value)


def test_recorded_damage_keeps_its_slot_and_takes_no_other_sample(whole, store):
    bad = whole.rows[9]
    damage(store, bad)
    dataset = Split.open(manifest_of(store)).dataset(EVERYTHING, on_error="record")
    batch = dataset.__getitems__([8, 9, 10, -1])
    assert batch["valid"].tolist() == [True, False, True, False]
    assert batch["index"].tolist() == [8, 9, 10, -1] and batch["label"][1] == dataset.split.labels[9]
    for name in ("image", "mask", "landmarks", "partner"):
        assert not batch[name][1].any()
    assert batch["json"][1] is None
    assert [error["index"] for error in batch["errors"]] == [9]
    assert batch["errors"][0]["sample_id"] == bad["sample_id"] and "damaged" in batch["errors"][0]["message"]
    good = Split.open(whole.manifest).dataset(EVERYTHING).__getitems__([8, 9, 10, -1])
    assert torch.equal(batch["image"][[0, 2]], good["image"][[0, 2]])


def test_a_damaged_partner_invalidates_the_sample(whole, store):
    split = Split.open(manifest_of(store))
    fake = int(np.flatnonzero(split.labels)[0])
    partner = next(row for row in whole.rows if row["sample_id"] == split.rows([fake])[0]["partner_id"])
    damage(store, partner)
    batch = split.dataset(("image", "partner"), on_error="record").__getitems__([fake])
    assert not batch["valid"].any() and not batch["partner_valid"].any() and not batch["image"].any()


def test_a_missing_shard_names_sample_shard_and_remedy(whole, store):
    row = whole.rows[0]
    (store / "shards" / f"{row['shard']}.tar").unlink()
    dataset = Split.open(manifest_of(store)).dataset()
    with pytest.raises(
        ReadError, match=rf"{row['sample_id']}.*{row['shard']}\.tar is missing.*deepshard verify.*restore"
    ):
        dataset[0]
    recorded = Split.open(manifest_of(store)).dataset(on_error="record").__getitems__(range(24))
    gone = [other["shard"] == row["shard"] for other in whole.rows]
    assert (~recorded["valid"]).tolist() == gone and len(recorded["errors"]) == sum(gone) > 0


def test_a_shard_cut_short_spares_what_lies_before_the_cut(whole, store):
    row = whole.rows[0]
    path = store / "shards" / f"{row['shard']}.tar"
    others = sorted(r["image_offset"] for r in whole.rows if r["shard"] == row["shard"])
    os.truncate(path, others[len(others) // 2] + 3)
    batch = Split.open(manifest_of(store)).dataset(on_error="record", gap=1 << 30).__getitems__(range(24))
    kept = [r["shard"] != row["shard"] or r["image_offset"] < others[len(others) // 2] for r in whole.rows]
    assert batch["valid"].tolist() == kept
    assert "cut short" in batch["errors"][0]["message"]


def test_bytes_that_are_no_image_of_the_right_size_are_told(tmp_path):
    store = make_store(tmp_path, videos=2, faces_per_video=1, size=SIZE, shards=1)
    rewrite(store.manifest, recipes=[{"name": "r", "hash": "0" * 64, "recipe": {"size": 224}}])
    with pytest.raises(ReadError, match=rf"{SIZE}x{SIZE}, the split's recipe tells 224x224; pin samples of one recipe"):
        Split.open(store.manifest).dataset()[0]
    rewrite(store.manifest, recipes=[{"recipe": {"size": 224}}, {"recipe": {"size": 256}}])
    with pytest.raises(SplitError, match="mixes recipes"):
        Split.open(store.manifest).dataset()
    rewrite(store.manifest, recipes=[])
    assert Split.open(store.manifest).dataset().__getitems__([-1])["image"].shape == (1, 3, SIZE, SIZE)


def test_a_dataset_travels_as_a_path_and_opens_again(store):
    dataset = Split.open(manifest_of(store)).dataset(EVERYTHING)
    before = dataset.__getitems__(range(6))
    message = pickle.dumps(dataset)
    assert len(message) < 2000
    after = pickle.loads(message).__getitems__(range(6))
    assert all(torch.equal(before[name], after[name]) for name in before if isinstance(before[name], torch.Tensor))
    rewrite(manifest_of(store), hash=dataset.split.hash[:12] + "0" * 52)
    with pytest.raises(SplitError, match="was replaced while it was in use"):
        pickle.loads(message)


def test_a_store_can_be_moved(store):
    moved = store.rename(store.with_name("moved"))
    assert Split.open(manifest_of(moved)).dataset()[0]["valid"].all()
    elsewhere = (moved / "shards").rename(moved.parent / "elsewhere")
    with pytest.raises(ReadError, match="is missing"):
        Split.open(manifest_of(moved)).dataset()[0]
    assert Split.open(manifest_of(moved), shards_dir=elsewhere).dataset()[0]["valid"].all()


def test_what_is_no_split_is_refused(store, tmp_path):
    path = manifest_of(store)
    with pytest.raises(SplitError, match="does not exist"):
        Split.open(tmp_path / "none.arrow")
    (tmp_path / "text.arrow").write_text("SELECT")
    with pytest.raises(SplitError, match="is not a pinned split"):
        Split.open(tmp_path / "text.arrow")
    with pa.ipc.new_file(tmp_path / "foreign.arrow", schema.SAMPLES) as writer:
        writer.write_table(schema.SAMPLES.empty_table())
    with pytest.raises(SplitError, match="not a pinned split"):
        Split.open(tmp_path / "foreign.arrow")
    with pytest.raises(SplitError, match="its own name back"):
        Split.open(path.rename(path.with_name("demo@000000000000.arrow")))
    path = manifest_of(store).rename(path.with_name("free name.arrow"))
    assert len(Split.open(path)) == 24
    table = pa.ipc.open_file(path).read_all()
    rewrite(path, table.drop_columns(["label"]))
    with pytest.raises(SplitError, match="lacks columns label"):
        Split.open(path)
    rewrite(path, manifest_version=99)
    with pytest.raises(SplitError, match="manifest version 99"):
        Split.open(path)


def test_questions_that_cannot_be_answered_are_refused(split, tmp_path):
    for members in (("sound",), ()):
        with pytest.raises(SplitError, match="choose from"):
            split.dataset(members)
    with pytest.raises(SplitError, match="'raise' or 'record'"):
        split.dataset(on_error="skip")
    store = make_store(tmp_path, videos=2, faces_per_video=1, size=SIZE, masks=False, shards=1)
    with pytest.raises(SplitError, match="2 of 2 samples.* have no mask"):
        Split.open(store.manifest).dataset(("image", "mask"))


def test_a_transform_sees_the_whole_batch(split):
    batch = split.dataset(transform=_brighter).__getitems__([0, 1])
    assert torch.equal(batch["image"], split.dataset().__getitems__([0, 1])["image"].float() + 1)


def _brighter(batch):
    return batch | {"image": batch["image"].float() + 1}


def test_members_that_lie_together_are_read_at_once(whole, split, monkeypatch):
    reads = []
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *arguments: reads.append(arguments[2]) or preadv(*arguments))
    video = [i for i, row in enumerate(whole.rows) if row["video_id"] == whole.rows[0]["video_id"]]
    split.dataset(EVERYTHING[:4]).__getitems__(video[::-1])
    assert len(reads) == 1
    reads.clear()
    split.dataset(gap=0).__getitems__(video)
    assert len(reads) == len(video)
    reads.clear()
    split.dataset(gap=1 << 30).__getitems__(range(len(whole.rows)))
    assert len(reads) == 2  # one per shard


def test_few_files_stay_open_and_ranges_come_back_in_the_order_asked_for(tmp_path):
    reader, ranges, expected = many_ranges(tmp_path)
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for gap in (0, 100, 1 << 20):
        found, faults = reader.fetch(ranges, gap)
        assert faults == {} and [data.tobytes() for data in found] == expected
        targets = [np.zeros(size, np.uint8) for size in ranges.sizes]
        assert reader.fill(ranges, targets, gap) == {} and [data.tobytes() for data in targets] == expected
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_reads_that_bring_less_than_asked_for_are_gone_on_with(tmp_path, monkeypatch):
    reader, ranges, expected = many_ranges(tmp_path)
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, into, at: preadv(file, [into[0][: 1 + len(into[0]) // 2]], at))
    targets = [np.zeros(size, np.uint8) for size in ranges.sizes]
    assert reader.fill(ranges, targets, 1 << 20) == {} and [data.tobytes() for data in targets] == expected
    assert [data.tobytes() for data in reader.fetch(ranges, 1 << 20)[0]] == expected


def test_damage_is_told_of_the_ranges_that_it_hits_alone(tmp_path):
    reader, ranges, expected = many_ranges(tmp_path)
    (tmp_path / "s1.tar").unlink()
    os.truncate(tmp_path / "s2.tar", 2500)
    flipped = bytearray((tmp_path / "s3.tar").read_bytes())
    flipped[2000] ^= 1
    (tmp_path / "s3.tar").write_bytes(flipped)
    ends = ranges.offsets + ranges.sizes
    hit = (ranges.shards == 1) | ((ranges.shards == 2) & (ends > 2500))
    hit |= (ranges.shards == 3) & (ranges.offsets <= 2000) & (ends > 2000)
    targets = [np.zeros(size, np.uint8) for size in ranges.sizes]
    for gap in (0, 1 << 20):
        found, faults = reader.fetch(ranges, gap)
        assert sorted(faults) == np.flatnonzero(hit).tolist() == sorted(reader.fill(ranges, targets, gap))
        assert [data is None for data in found] == hit.tolist()
    words = {1: "is missing", 2: "cut short", 3: "checksum differs"}
    assert all(words[ranges.shards[row]] in message for row, message in faults.items())
    assert all(target.tobytes() == data for target, data, bad in zip(targets, expected, hit, strict=True) if not bad)


def many_ranges(folder):
    """Nine files of noise, 300 ranges of them, of which some overlap, and what they hold."""
    rng = np.random.default_rng(0)
    files = {f"s{i}": rng.bytes(5000) for i in range(9)}
    for name, data in files.items():
        (folder / f"{name}.tar").write_bytes(data)
    shards, offsets = rng.integers(0, 9, 300).astype(np.int32), rng.integers(0, 4000, 300)
    sizes = rng.integers(1, 1000, 300).astype(np.int32)
    names = list(files)
    expected = [files[names[s]][o : o + n] for s, o, n in zip(shards, offsets, sizes, strict=True)]
    sums = np.array([xxhash.xxh3_64_intdigest(data) for data in expected], np.uint64)
    return ShardReader(folder, open_files=3), Ranges(names, shards, offsets, sizes, sums), expected


def test_an_empty_split_opens_and_has_nothing_to_read(store):
    path = manifest_of(store)
    rewrite(path, pa.ipc.open_file(path).read_all().slice(0, 0))
    split = Split.open(path)
    assert len(split) == 0 and split.sample_ids() == [] and len(split.dataset(EVERYTHING)) == 0
    assert list(GlobalBatchSampler(split, 4, tail="pad")) == []
    with pytest.raises(OrderError, match="less than one global batch"):
        GlobalBatchSampler(split, 4)
