"""Real workers, every way to start them: the same batches, errors that arrive, nothing taken from torch's generator."""

import gc
import itertools
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import psutil
import pytest
import torch

from shards.errors import OrderError, ReadError
from shards.loader import loader
from shards.sampler import GlobalBatchSampler
from shards.split import Split
from tests.fabricate import make_store, pixels

SIZE = 32
MEMBERS = ("image", "mask", "landmarks", "partner", "json")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), videos=8, faces_per_video=8, size=SIZE, partners=True)


@pytest.fixture(scope="module")
def split(store):
    return Split.open(store.manifest)


def same(one, other):
    assert list(one) == list(other)
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == other[name].dtype and value.shape == other[name].shape, name
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name


def batches(split, workers, rank=0, ranks=1, epoch=0, **options):
    sampler = GlobalBatchSampler(split, 24, seed=1, rank=rank, world_size=ranks, tail="pad", kind="balanced")
    sampler.set_epoch(epoch)
    return list(loader(split.dataset(MEMBERS), sampler, workers, **(options if workers else {})))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_every_number_of_workers_gives_the_same_batches(split):
    expected = batches(split, 0)
    assert len(expected) == 3 and not expected[-1]["valid"].all()
    for workers in (1, 2, 4):
        for one, other in zip(batches(split, workers), expected, strict=True):
            same(one, other)


@pytest.fixture
def may_fork():
    """A fork takes along OpenCV's pool but not its threads, and the child waits for them for ever: end them before."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.usefixtures("may_fork")
@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_ranks_and_workers_together_give_each_global_batch(split, ranks, workers):
    expected = batches(split, 0)
    # forked here only because that takes a tenth of the time, for up to 32 processes
    per_rank = [batches(split, workers, rank, ranks, start_method="fork", timeout_s=60) for rank in range(ranks)]
    assert [len(of_rank) for of_rank in per_rank] == [len(expected)] * ranks
    for step, whole in enumerate(expected):
        for name in ("image", "index", "label", "draw", "valid"):
            assert torch.equal(torch.cat([of_rank[step][name] for of_rank in per_rank]), whole[name])


@pytest.mark.usefixtures("may_fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_ways_to_start_workers_give_the_same_batches(split, method):
    for one, other in zip(batches(split, 1, start_method=method), batches(split, 0), strict=True):
        same(one, other)


def test_workers_outlive_epochs_and_an_epoch_broken_off(store, split):
    sampler = GlobalBatchSampler(split, 8)
    data = loader(split.dataset(), sampler, workers=2)
    seen = []
    for epoch, taken in ((0, 3), (1, 8), (2, 1), (3, 8)):
        sampler.set_epoch(epoch)
        order = sampler.order().reshape(-1, 8)
        for step, batch in zip(range(taken), data, strict=False):
            assert batch["index"].tolist() == order[step].tolist()
            for slot, row in enumerate(batch["index"].tolist()):
                expected = pixels(store.rows[row]["sample_id"], SIZE)
                assert np.array_equal(batch["image"][slot].permute(1, 2, 0).numpy(), expected)
        seen.append(data._iterator._workers[0].pid)
    assert len(set(seen)) == 1


def of_four(split, workers=0, **options):
    """A loader of batches of four in the split's order."""
    return loader(split.dataset(("image", "mask")), GlobalBatchSampler(split, 4, kind="sequential"), workers, **options)


def endless(data):
    """Epoch after epoch of a loader."""
    while True:
        yield from data


def taken(exchange):
    return int(np.count_nonzero(exchange._taken))


def inside(batch, exchange):
    memory = exchange._memory
    return 0 <= batch["image"].data_ptr() - memory.ctypes.data < len(memory)


def array(kept):
    return kept.numpy() if isinstance(kept, torch.Tensor) else np.asarray(kept)


def test_nothing_that_is_kept_of_a_batch_is_overwritten(split):
    """Whole batches, one member, slices, views and arrays of them, the batches themselves gone: over several epochs."""
    keep = (
        lambda image, mask: (image, mask),
        lambda image, mask: (image,),
        lambda image, mask: (image[1:3].permute(0, 2, 3, 1)[..., 0],),
        lambda image, mask: (image.numpy()[2], mask.numpy()),
        lambda image, mask: (memoryview(mask[:2].numpy()),),
        lambda image, mask: (image.detach().view(torch.int8).flatten(2)[0], mask[0, 0]),
    )
    plain, kept, expected = endless(of_four(split)), [], []
    for number, batch in zip(range(40), endless(of_four(split, 2, prefetch=1)), strict=False):
        true, pick = next(plain), keep[number % len(keep)]
        if number < 24:
            kept += pick(batch["image"], batch["mask"])
            expected += [array(x).copy() for x in pick(true["image"], true["mask"])]
        assert torch.equal(batch["image"], true["image"]) and torch.equal(batch["mask"], true["mask"])
        assert batch["image"].is_contiguous(memory_format=torch.channels_last)
        del batch
    for found, true in zip(kept, expected, strict=True):
        assert np.array_equal(array(found), true)


def test_batches_lie_where_the_worker_put_them_and_a_block_is_used_again_when_they_are_gone(split):
    data = of_four(split, 1, prefetch=2)
    exchange, places, batches = data.dataset.exchange, set(), endless(data)
    for _ in range(32):
        batch = next(batches)
        assert inside(batch, exchange)
        places.add(batch["image"].data_ptr())
    assert len(places) <= 2 + 2  # two under way, the one at hand and the next one
    batches.close()
    del batch
    gc.collect()
    assert np.count_nonzero(exchange._taken) <= 2  # under way


def test_who_keeps_more_batches_than_there_are_blocks_gets_the_others_in_memory_of_their_own(split):
    data = of_four(split, 1, prefetch=1)
    exchange, batches = data.dataset.exchange, endless(data)
    kept = [next(batches) for _ in range(12)]
    assert inside(kept[0], exchange) and not inside(kept[-1], exchange)
    assert np.count_nonzero(exchange._taken) == exchange.blocks
    for one, other in zip(kept, endless(of_four(split)), strict=False):
        same(one, other)
    del kept, one
    for _ in range(3):  # behind those that were made while there was no block
        batch = next(batches)
    assert inside(batch, exchange)
    batches.close()
    del data, batches, exchange  # and what is kept outlives the loader
    gc.collect()
    same(batch, next(itertools.islice(endless(of_four(split)), 14, None)))


@pytest.mark.usefixtures("may_fork")
def test_a_batch_that_a_forked_child_holds_too_is_overwritten_by_neither(split):
    data = of_four(split, 1, prefetch=1)
    exchange, batches = data.dataset.exchange, endless(data)
    batch = next(batches)
    block = (batch["image"].data_ptr() - exchange._memory.ctypes.data - exchange._start) // exchange.block_bytes
    expected = batch["image"].numpy().copy()
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(wait, 1)
        os._exit(0 if np.array_equal(batch["image"].numpy(), expected) else 1)
    del batch
    for _ in range(20):
        next(batches)
    os.write(go, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    batch = next(batches)
    child = os.fork()
    if child == 0:
        del batch
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert exchange._taken[block] and np.count_nonzero(exchange._taken) >= 2
    os.close(wait), os.close(go)


def test_what_a_transform_keeps_in_the_worker_is_not_overwritten(split):
    sampler = GlobalBatchSampler(split, 4, kind="sequential")
    expected = [batch["image"] for batch in loader(split.dataset(), sampler)]
    data = loader(split.dataset(transform=Before()), sampler, workers=1, prefetch=1)
    kept = [batch["third_before"] for batch in data]  # and nothing else
    for before, image in zip(kept[3:], expected[:-3], strict=True):
        assert torch.equal(before, image)


class Before:
    """Keeps batches, and gives what was three batches before, too."""

    def __init__(self):
        self.images = []

    def __call__(self, batch):
        self.images.append(batch["image"])
        return batch | {"third_before": self.images[max(0, len(self.images) - 4)].clone()}


def test_the_workers_of_a_killed_trainer_end(store, tmp_path):
    script = (
        "import sys; from shards.loader import loader; from shards.sampler import GlobalBatchSampler\n"
        "from shards.split import Split\n"
        "if __name__ == '__main__':\n"
        f"    split = Split.open({str(store.manifest)!r})\n"
        "    batches = loader(split.dataset(), GlobalBatchSampler(split, 4), workers=2)\n"
        "    first = next(it := iter(batches))\n"
        "    print(*(worker.pid for worker in it._workers), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    (tmp_path / "train.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "train.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as trainer:
        workers = [psutil.Process(int(pid)) for pid in trainer.stdout.readline().split()]
        assert len(workers) == 2
        trainer.kill()
    gone, alive = psutil.wait_procs(workers, timeout=120)
    assert not alive


def test_a_transform_runs_in_the_worker(split):
    sampler = GlobalBatchSampler(split, 16)
    for workers in (0, 1):
        batch = next(iter(loader(split.dataset(transform=_mark), sampler, workers)))
        assert (batch["process"] == os.getpid()) == (workers == 0)
        assert batch["image"].dtype == torch.float32 and batch["image"].max() <= 1
        assert batch["image"].nbytes > 64 << 10  # too large for the message, and not in a block


def _mark(batch):
    return batch | {"image": batch["image"].float() / 255, "process": os.getpid()}


def test_a_worker_reports_a_missing_shard_as_the_error_it_is(store, split, tmp_path):
    shutil.copytree(store.root, tmp_path / "store")
    name = store.rows[0]["shard"]
    (tmp_path / "store" / "shards" / f"{name}.tar").unlink()
    broken = Split.open(tmp_path / "store" / "splits" / store.manifest.name)
    sampler = GlobalBatchSampler(broken, 64, kind="sequential")
    data = loader(broken.dataset(), sampler, workers=1)
    with pytest.raises(ReadError, match=rf"{name}\.tar is missing.*deepshard verify"):
        list(data)
    data._iterator._shutdown_workers()  # left to the garbage collector, torch waits five seconds for them
    recorded = next(iter(loader(broken.dataset(on_error="record"), sampler, workers=1)))
    assert (~recorded["valid"]).sum() == len(recorded["errors"]) == sum(row["shard"] == name for row in store.rows)


def test_a_flipped_byte_reaches_the_trainer_as_an_error_or_as_a_masked_slot(store, split, tmp_path):
    shutil.copytree(store.root, tmp_path / "store")
    row = store.rows[9]
    path = tmp_path / "store" / "shards" / f"{row['shard']}.tar"
    data = bytearray(path.read_bytes())
    data[row["image_offset"] + row["image_size"] // 2] ^= 1
    path.write_bytes(data)
    broken = Split.open(tmp_path / "store" / "splits" / store.manifest.name)
    sampler = GlobalBatchSampler(broken, 32, kind="sequential")
    told = rf"{row['sample_id']}.*offset {row['image_offset']} of shard {row['shard']}\.tar are damaged"
    stopping = loader(broken.dataset(), sampler, workers=1)
    with pytest.raises(ReadError, match=told):
        list(stopping)
    stopping._iterator._shutdown_workers()
    found = list(loader(broken.dataset(on_error="record"), sampler, workers=1))
    good = list(loader(split.dataset(), GlobalBatchSampler(split, 32, kind="sequential")))
    assert [error["index"] for batch in found for error in batch["errors"]] == [9]
    for one, other in zip(found, good, strict=True):
        whole = other["index"] != 9
        assert torch.equal(one["valid"], whole) and torch.equal(one["index"], other["index"])
        assert torch.equal(one["image"][whole], other["image"][whole]) and not one["image"][~whole].any()


@pytest.mark.parametrize("ranks", [4, 8])
def test_fewer_samples_than_ranks_are_each_seen_once_and_the_rest_is_padding(ranks, tmp_path):
    few = Split.open(make_store(tmp_path, videos=1, faces_per_video=3, size=SIZE, shards=1, masks=False).manifest)
    seen = []
    for rank in range(ranks):
        sampler = GlobalBatchSampler(few, ranks, rank=rank, world_size=ranks, tail="pad", kind="sequential")
        (batch,) = loader(few.dataset(), sampler)
        assert batch["valid"].tolist() == (batch["index"] >= 0).tolist()
        assert not batch["image"][~batch["valid"]].any()
        seen += batch["index"][batch["valid"]].tolist()
    assert sorted(seen) == [0, 1, 2]
    with pytest.raises(OrderError, match="gives 3 samples, less than one global batch"):
        GlobalBatchSampler(few, ranks, world_size=ranks)


def test_torch_draws_the_same_numbers_with_and_without_a_loader(split):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    for workers in (0, 1):
        batches(split, workers)
    assert torch.equal(torch.rand(3), expected)


def test_nothing_stays_behind(split):
    gc.collect()
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    batches(split, 2)
    gc.collect()
    if before or descriptors:
        assert set(os.listdir("/dev/shm")) <= before
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 2


def test_a_sampler_of_another_split_is_refused(split, tmp_path):
    other = Split.open(make_store(tmp_path, videos=2, faces_per_video=1, size=SIZE, shards=1).manifest)
    with pytest.raises(OrderError, match="from the same split"):
        loader(split.dataset(), GlobalBatchSampler(other, 2))
