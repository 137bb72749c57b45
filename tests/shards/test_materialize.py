"""Materialised splits: the same tensors from another file, or from the shards; never half of one."""

import json
import os
import shutil
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch

from shards.cache import Cache, CacheError
from shards.errors import ReadError, SplitError
from shards.loader import loader
from shards.materialize import describe, find, materialize
from shards.remote import Remote
from shards.sampler import GlobalBatchSampler
from shards.split import Split
from tests.fabricate import make_store, write_manifest
from tests.shards.serving import served
from tests.shards.test_split import rewrite

SIZE = 32
EVERYTHING = ("image", "mask", "landmarks", "json", "partner")
STORED = ("image", "mask", "json", "partner")

KILLED = """
import os, sys
from pathlib import Path
from shards.cache import Cache
from shards.materialize import materialize
from shards.split import Split
from tests.shards.test_durable import kill, stop_at

manifest, folder = sys.argv[1], Path(sys.argv[2])
for n in range(1, 1000):
    child = os.fork()
    if child == 0:
        stop_at(n, kill)
        cache = Cache(folder / str(n))
        materialize(Split.open(manifest, cache=cache.folder), cache, ("image",))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(n)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), videos=6, faces_per_video=8, size=SIZE, partners=True)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def split(store, cache):
    return Split.open(store.manifest, cache=cache.folder)


def everything(split, rows=None):
    return split.dataset(EVERYTHING).__getitems__(range(len(split)) if rows is None else rows)


def same(one, other):
    assert one["errors"] == other["errors"] == []
    return one["json"] == other["json"] and all(
        torch.equal(one[name], other[name]) for name in one if isinstance(one[name], torch.Tensor)
    )


def no_shards(folder):
    """A reader that fails if a shard is opened."""
    return folder / "nothing here"


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("codec", ["png", "jpg", "webp"])
def test_the_same_tensors_bit_for_bit_without_a_look_at_the_shards(tmp_path, codec, raw):
    store = make_store(tmp_path / "store", videos=4, faces_per_video=5, size=SIZE, codec=codec, partners=True)
    cache = Cache(tmp_path / "cache")
    expected = everything(Split.open(store.manifest, cache=tmp_path / "none"))
    made = materialize(Split.open(store.manifest, cache=cache.folder), cache, STORED, raw=raw)
    assert [one.form for one in made] == (["raw", "raw", "stored", "raw"] if raw else ["stored"] * 4)
    bare = Split.open(store.manifest, no_shards(tmp_path), cache=cache.folder)
    assert same(everything(bare), expected)
    rows = [3, -1, 0, 3, 19]
    assert same(everything(bare, rows), everything(Split.open(store.manifest, cache=tmp_path / "none"), rows))


def test_what_is_not_materialised_comes_from_the_shards(store, split, cache, tmp_path):
    expected = everything(split)
    materialize(split, cache, ("image",), raw=True)
    assert same(everything(split), expected)
    with pytest.raises(ReadError, match="is missing"):
        everything(Split.open(store.manifest, no_shards(tmp_path), cache=cache.folder))
    assert describe(split, ("image",)) == f"image materialised (raw) in {cache.folder}"
    assert describe(split, ("image", "landmarks")).endswith(f"in {cache.folder}, {store.shards_dir}")
    assert describe(Split.open(store.manifest, cache=tmp_path / "none"), ("image",)) == str(store.shards_dir)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_gives_the_same_batches_in_the_same_order(store, split, cache, tmp_path, workers):
    def batches(split):
        sampler = GlobalBatchSampler(split, 8, seed=5)
        return [(b["index"].tolist(), b["image"].clone()) for b in loader(split.dataset(), sampler, workers=workers)]

    expected = batches(Split.open(store.manifest, cache=tmp_path / "none"))
    materialize(split, cache, raw=True, workers=workers)
    for (rows, image), (other_rows, other) in zip(
        expected, batches(Split.open(store.manifest, no_shards(tmp_path), cache=cache.folder)), strict=True
    ):
        assert rows == other_rows and torch.equal(image, other)


def test_what_is_there_is_not_made_again_and_raw_is_preferred(split, cache):
    assert [one.new for one in materialize(split, cache)] == [True]
    assert [one.new for one in materialize(split, cache)] == [False]
    assert not find(split, "image").raw
    materialize(split, cache, raw=True)
    assert find(split, "image").raw and find(split, "mask") is None


def test_a_split_from_afar_is_materialised_and_then_needs_no_server(store, tmp_path):
    expected = everything(Split.open(store.manifest, cache=tmp_path / "none"))
    with served(store.shards_dir) as server:
        remote = Remote(server.url, tmp_path / "cache", tries=1)
        materialize(Split.open(store.manifest, remote), Cache(tmp_path / "cache"), STORED, raw=True)
    shutil.rmtree(tmp_path / "cache" / "fetched")
    (tmp_path / "cache" / "fetched").mkdir()
    assert same(everything(Split.open(store.manifest, remote)), expected)


@pytest.mark.parametrize("raw", [False, True])
def test_a_flipped_byte_in_a_copy_is_read_from_the_shard_and_told(store, split, cache, tmp_path, raw):
    expected = everything(split)
    for one in materialize(split, cache, STORED, raw=raw):
        data = bytearray(one.path.read_bytes())
        for at in range(50, len(data) - 16 * len(split) - 1000, 2000 if raw else 300):
            data[at] ^= 1
        one.path.write_bytes(data)
    with pytest.warns(UserWarning, match="is damaged: those faces are read from their shards. Delete the file"):
        assert same(everything(Split.open(store.manifest, cache=cache.folder)), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bare = Split.open(store.manifest, no_shards(tmp_path), cache=cache.folder)
        with pytest.raises(ReadError, match="demo/.*is missing"):
            everything(bare)
        batch = bare.dataset(on_error="record").__getitems__(range(len(bare)))
    assert 0 < (~batch["valid"]).sum() == len(batch["errors"]) < len(bare) + 1


@pytest.mark.parametrize("cut", [0, 10, 100, 1000])
def test_a_file_that_is_no_whole_copy_is_not_used(store, split, cache, cut):
    (made,) = materialize(split, cache)
    expected = everything(Split.open(store.manifest, cache=cache.folder / "none"))
    os.truncate(made.path, made.bytes - cut if cut else 0)
    with pytest.warns(UserWarning, match="is not used"):
        assert same(everything(split), expected)


def test_killed_at_any_change_of_the_disk_nothing_half_is_read(tmp_path):
    store = make_store(tmp_path / "store", videos=2, faces_per_video=4, size=SIZE, shards=1)
    split = Split.open(store.manifest, cache=tmp_path / "none")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(store.manifest), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    count, finished = int(done.stdout), 0
    assert count > len(split)
    expected = everything(split)["image"]
    for n in range(1, count):
        cache = Cache(tmp_path / str(n))
        killed = Split.open(store.manifest, cache=cache.folder)
        copy = find(killed, "image")
        finished += copy is not None
        del copy
        assert torch.equal(killed.dataset().__getitems__(range(len(killed)))["image"], expected)
        cache.shrink(cache.limit)
        assert not list(cache.materialized.glob("*.tmp"))
    assert 0 < finished < 8  # only once it has its name


def test_a_copy_in_use_stays_and_the_oldest_unused_goes(store, tmp_path):
    splits = [
        Split.open(
            write_manifest(tmp_path / "splits", store.rows[first : first + 16], store.videos, SIZE, name=f"s{first}"),
            store.shards_dir,
            cache=tmp_path / "cache",
        )
        for first in (0, 16, 32)
    ]
    one = 16 * SIZE * SIZE * 3 + 8192
    cache = Cache(tmp_path / "cache", limit=int(2.5 * one))
    for split in splits[:2]:
        (made,) = materialize(split, cache, raw=True)
        os.utime(made.path, (time.time() - 100 * (3 - len(made.path.name)), time.time() - 100))
    using = splits[0].dataset()
    os.utime(find(splits[0], "image").path, (0, 0))  # the oldest, but in use
    materialize(splits[2], cache, raw=True)
    assert find(splits[0], "image") and find(splits[1], "image") is None and find(splits[2], "image")
    held = splits[2].dataset()
    with pytest.raises(CacheError, match=r"needs 4.\d+e-05 GB, and the cache .* may take .*raise its limit"):
        materialize(splits[1], cache, raw=True)
    assert not list(cache.materialized.glob("*.tmp"))
    del using, held
    assert materialize(splits[1], cache, raw=True)[0].new


def test_a_copy_whose_shards_are_gone_is_not_deleted(store, tmp_path):
    shutil.copytree(store.root, tmp_path / "store")
    manifest = next((tmp_path / "store" / "splits").glob("*.arrow"))
    cache = Cache(tmp_path / "cache")
    materialize(Split.open(manifest, cache=cache.folder), cache)
    shutil.rmtree(tmp_path / "store" / "shards")
    assert cache.shrink(0) > 0
    assert Split.open(manifest, cache=cache.folder).dataset()[0]["valid"].all()


def test_a_split_pinned_again_on_other_bytes_does_not_use_the_old_copy(store, cache, tmp_path):
    shutil.copytree(store.root, tmp_path / "store")
    manifest = next((tmp_path / "store" / "splits").glob("*.arrow"))
    materialize(Split.open(manifest, cache=cache.folder), cache)
    import pyarrow as pa

    table = pa.ipc.open_file(manifest).read_all()
    sums = table["image_xxh3"].to_numpy().copy()
    sums[3] ^= np.uint64(1)
    at = table.schema.get_field_index("image_xxh3")
    rewrite(manifest, table.set_column(at, table.schema.field(at), pa.array(sums)))
    split = Split.open(manifest, cache=cache.folder)
    assert find(split, "image") is None
    with pytest.raises(ReadError, match="damaged"):
        split.dataset()[3]


def test_what_cannot_be_materialised_is_refused(store, cache, tmp_path):
    bare = make_store(tmp_path / "bare", videos=2, faces_per_video=1, size=SIZE, masks=False, shards=1)
    with pytest.raises(SplitError, match="2 of 2 samples of split demo have no mask: leave it out"):
        materialize(Split.open(bare.manifest, cache=cache.folder), cache, ("mask",))
    with pytest.raises(SplitError, match="there is no member 'sound'"):
        materialize(Split.open(bare.manifest, cache=cache.folder), cache, ("sound",))
    tar = next(bare.shards_dir.glob("*.tar"))
    os.truncate(tar, 1000)
    for raw in (False, True):
        with pytest.raises(ReadError, match="cut short"):
            materialize(Split.open(bare.manifest, cache=cache.folder), cache, ("image",), raw=raw)
    assert list(cache.materialized.iterdir()) == []


def test_an_empty_split_is_an_empty_copy(store, cache, tmp_path):
    path = write_manifest(tmp_path / "splits", [], store.videos, SIZE, name="none")
    split = Split.open(path, store.shards_dir, cache=cache.folder)
    materialize(split, cache)
    assert len(split.dataset()) == 0 and find(split, "image") is not None


def test_the_card_says_what_it_is(split, cache):
    (made,) = materialize(split, cache, raw=True)
    data = made.path.read_bytes()
    length = int.from_bytes(data[-16:-8], "little")
    card = json.loads(data[-16 - length : -16])
    assert (card["split"], card["member"], card["rows"], card["shape"]) == (split.hash, "image", 48, [SIZE, SIZE, 3])
    first = np.frombuffer(data[: card["row_bytes"]], np.uint8).reshape(card["shape"])
    assert np.array_equal(first, split.dataset()[0]["image"][0].permute(1, 2, 0).numpy())
