"""Shards behind a real server: the right bytes or an error, few of them, once; shared, offline, through every fault."""

import fcntl
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import shards.remote
from shards.cache import Cache
from shards.errors import ReadError
from shards.loader import loader
from shards.mirror import Mirror
from shards.order import BLOCK
from shards.remote import Remote, retried
from shards.sampler import GlobalBatchSampler
from shards.split import Split
from shards.uri import AddressError
from tests import fabricate
from tests.fabricate import make_store, write_manifest
from tests.shards.serving import HUB, served
from tests.shards.test_split import rewrite
from tests.soak import scale

SIZE = 32
GAP = 5000  # for these faces of 3 KB what the default is for real ones of 80 KB
EVERYTHING = ("image", "mask", "landmarks", "json", "partner")

READER = """
import sys, hashlib, numpy as np
from shards.remote import Remote
from shards.split import Split
manifest, address, cache, limit, seed = sys.argv[1:]
split = Split.open(manifest, Remote(address, cache, int(limit), pause_s=0.01))
images, rows = split.ranges("image"), np.random.default_rng(int(seed)).permutation(len(split))
print("ready", flush=True)
for batch in np.array_split(rows, len(rows) // 16):
    split.reader.bring([images], batch)
    found, faults = split.reader.fetch(images.take(batch))
    assert not faults, faults
    for row, data in zip(batch.tolist(), found):
        print(row, hashlib.sha256(data).hexdigest()[:16], flush=True)
"""


def noisy(sample_id: str, size: int) -> np.ndarray:
    """Pixels that do not compress, so that faces have the weight of real ones beside their headers."""
    return np.random.default_rng(int.from_bytes(sample_id.encode()[-8:], "big")).integers(
        0, 256, (size, size, 3), np.uint8
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """160 faces in 3 shards of about half a megabyte."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fabricate, "pixels", noisy)
        folder = tmp_path_factory.mktemp("store")
        return make_store(folder, videos=10, faces_per_video=16, size=SIZE, partners=True, shards=3)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """3,000 faces in 4 shards, 10 MB in all."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fabricate, "pixels", noisy)
        folder = tmp_path_factory.mktemp("large")
        return make_store(folder, videos=60, faces_per_video=50, size=SIZE, masks=False, shards=4)


@pytest.fixture
def server(store):
    with served(store.shards_dir) as told:
        yield told


@pytest.fixture
def far(store, server, tmp_path):
    """Opens the split over HTTP, with other settings if asked for."""

    def open_split(manifest=store.manifest, cache="cache", address=server.url, **settings) -> Split:
        settings = {"tries": 4, "pause_s": 0.01} | settings
        return Split.open(manifest, Remote(address, tmp_path / cache, **settings))

    return open_split


def everything(split):
    return split.dataset(EVERYTHING).__getitems__(range(len(split)))


@pytest.fixture(scope="module")
def expected(store):
    return everything(Split.open(store.manifest))


def same(one, other):
    assert one["errors"] == other["errors"] == []
    assert one["json"] == other["json"]
    return all(torch.equal(one[name], other[name]) for name in one if isinstance(one[name], torch.Tensor))


def picked(store, folder, count, seed=0) -> Path:
    """A split of ``count`` rows drawn from all."""
    rows = np.sort(np.random.default_rng(seed).choice(len(store.rows), count, replace=False))
    return write_manifest(folder, [store.rows[row] for row in rows], store.videos, SIZE)


def tar_bytes(store) -> int:
    return sum(path.stat().st_size for path in store.shards_dir.glob("*.tar"))


# what is read


@pytest.mark.parametrize("kind", ["http", "file", "memory"])
def test_what_is_read_from_an_address_is_what_the_folder_gives(kind, store, server, expected, memory, tmp_path):
    addresses = {"http": server.url, "file": f"file://{store.shards_dir}", "memory": "memory://bucket/it/shards"}
    if kind == "memory":
        with Mirror(store.root, "memory://bucket/it") as mirror:
            mirror.send_finished()
    split = Split.open(store.manifest, addresses[kind], cache=tmp_path / "cache")
    split.check_shards()
    for _ in range(2):
        assert same(everything(split), expected)
    assert split.read(3, "json") == Split.open(store.manifest).read(3, "json")


def test_a_second_epoch_costs_nothing(far, server, expected):
    split = far()
    assert same(everything(split), expected)
    assert sum(server.requests.values()) > 0
    server.clear()
    assert same(everything(split), expected)
    assert same(everything(far()), expected)  # of another process, too
    assert server.requests == {"tar": 0, "parquet": 0}


def test_one_percent_costs_at_most_three_percent_of_the_bytes_once(large, tmp_path, monkeypatch):
    monkeypatch.setattr(shards.remote, "REMOTE_GAP", GAP)
    manifest = picked(large, tmp_path / "splits", len(large.rows) // 100)
    with served(large.shards_dir) as server:
        split = Split.open(manifest, Remote(server.url, tmp_path / "cache"))
        for epoch in range(2):
            order = np.random.default_rng(epoch).permutation(len(split))
            for batch in np.array_split(order, 4):
                split.dataset().__getitems__(batch)
            if epoch == 0:
                assert sum(server.bytes.values()) <= 0.03 * tar_bytes(large)
                assert server.requests["parquet"] <= 4
                server.clear()
        assert server.requests == {"tar": 0, "parquet": 0}


def test_frames_of_a_video_are_one_request_and_a_batch_brings_its_blocks(large, tmp_path, monkeypatch):
    monkeypatch.setattr(shards.remote, "REQUEST_COST", 0)  # no shard is taken whole
    monkeypatch.setattr(shards.remote, "REMOTE_GAP", GAP)
    with served(large.shards_dir) as server:
        split = Split.open(large.manifest, Remote(server.url, tmp_path / "cache"))
        wanted = int(split.ranges("image").sizes.sum())
        rows = np.arange(0, len(split), BLOCK)
        split.dataset().__getitems__(rows)
        assert server.requests["tar"] <= 2.2 * len(rows)  # a block touches two videos, rarely three
        assert wanted <= server.bytes["tar"] <= 1.6 * wanted  # JSON and headers lie between these small faces
        server.clear()
        split.dataset().__getitems__(rows[:-1] + BLOCK // 2)
        assert server.requests["tar"] == 0


def test_a_shard_is_taken_whole_where_its_requests_would_take_longer(large, tmp_path):
    with served(large.shards_dir) as server:
        split = Split.open(picked(large, tmp_path / "splits", 300), Remote(server.url, tmp_path / "cache"))
        split.dataset().__getitems__(range(300))
        assert server.requests == {"tar": 4, "parquet": 4}


def test_whole_shards_that_do_not_fit_the_cache_are_not_taken_whole(large, tmp_path, monkeypatch):
    monkeypatch.setattr(shards.remote, "REMOTE_GAP", GAP)
    manifest = picked(large, tmp_path / "splits", 300)
    with served(large.shards_dir) as server:
        split = Split.open(manifest, Remote(server.url, tmp_path / "cache", limit=tar_bytes(large) // 2))
        split.dataset().__getitems__(range(300))
        assert server.bytes["tar"] < tar_bytes(large) // 2


def test_pieces_join_to_the_whole_shard(store, far, server, expected, monkeypatch):
    monkeypatch.setattr(shards.remote, "PIECE", 10_000)  # members lie across their ends
    assert same(everything(far()), expected)
    assert server.bytes["tar"] <= tar_bytes(store)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_gives_the_batches_of_a_local_split_and_each_byte_is_fetched_once(
    store, far, server, workers, monkeypatch
):
    monkeypatch.setattr(shards.remote, "REQUEST_COST", 0)

    def batches(split):
        sampler = GlobalBatchSampler(split, 8, seed=3)
        return [(b["index"].tolist(), b["image"].clone()) for b in loader(split.dataset(), sampler, workers=workers)]

    for (rows, image), (other_rows, other_image) in zip(
        batches(Split.open(store.manifest)), batches(far()), strict=True
    ):
        assert rows == other_rows and torch.equal(image, other_image)
    assert server.bytes["tar"] <= tar_bytes(store)


def test_workers_that_are_forked_after_a_first_look_read_too(far, expected):
    split = far()
    split.read(0)  # clients and threads of this process
    loader = torch.utils.data.DataLoader(
        split.as_torch(), batch_size=16, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    assert torch.equal(torch.cat([batch["image"] for batch in loader]), expected["image"])


def test_more_shards_than_may_be_open_are_read_in_turns(far, expected, monkeypatch):
    split = far()
    monkeypatch.setattr(split.reader, "_limit", 2)
    assert same(everything(split), expected)


# by content, not by name


def test_shards_of_one_name_and_other_content_do_not_meet(store, far, expected, tmp_path):
    other = make_store(tmp_path / "other", videos=10, faces_per_video=16, size=SIZE, partners=True, shards=3)
    assert {path.name for path in other.shards_dir.iterdir()} == {path.name for path in store.shards_dir.iterdir()}
    with served(other.shards_dir) as server:
        theirs = far(other.manifest, address=server.url)
        for _ in range(2):
            assert same(everything(far()), expected)
            assert same(everything(theirs), everything(Split.open(other.manifest)))


def test_the_same_content_elsewhere_is_not_fetched_again(store, far, expected, tmp_path):
    everything(far())
    shutil.copytree(store.shards_dir, tmp_path / "copy")
    with served(tmp_path / "copy") as server:
        assert same(everything(far(address=server.url)), expected)
        assert server.requests["tar"] == 0 and server.requests["parquet"] == 3


def test_a_shard_that_was_replaced_is_fetched_when_its_split_is_pinned_again(store, far, tmp_path):
    place = tmp_path / "place"
    shutil.copytree(store.shards_dir, place)
    with served(place) as server:
        everything(far(address=server.url))
        other = make_store(tmp_path / "other", videos=10, faces_per_video=16, size=SIZE, partners=True, shards=3)
        shutil.copytree(other.shards_dir, place, dirs_exist_ok=True)
        rewrite(other.manifest, created_at="2100-01-01T00:00:00Z")
        assert same(everything(far(other.manifest, address=server.url)), everything(Split.open(other.manifest)))
    assert len(list((tmp_path / "cache" / "fetched").glob("*.bytes"))) == 6


# faults of the network


@pytest.mark.parametrize("fault", ["cut", "flip", "short", "429", "500", "hang up"])
def test_faults_that_pass_do_no_harm(far, server, expected, fault):
    server.faults += [fault] if fault in ("flip", "short") else [fault, fault]
    assert same(everything(far()), expected)
    assert server.faults == []


def test_every_third_answer_is_wrong_and_all_bytes_are_right(far, server, expected, monkeypatch):
    monkeypatch.setattr(shards.remote, "REQUEST_COST", 0)
    server.faults += random.Random(1).choices(["cut", "429", "500", "hang up", "", ""], k=40)
    assert same(everything(far(tries=12)), expected)


def test_the_server_says_how_long_to_wait(far, server, expected):
    server.faults += ["429"]
    server.retry_after = "1"
    begun = time.monotonic()
    assert same(everything(far()), expected)
    assert 1 <= time.monotonic() - begun < 10


def test_asking_ends(far, server):
    split = far()
    server.always = "500"
    asked = len(server.faults)
    server.faults += ["500"] * 100
    with pytest.raises(ReadError, match=r"cannot be read \(asked 4 times, the last answer was HTTP status 500\)"):
        split.dataset().__getitems__(range(8))
    assert 100 + asked - len(server.faults) <= 3 * 4 * 2  # per shard at most so often, then not at once again
    batch = split.dataset(on_error="record").__getitems__([0, 1])
    assert not batch["valid"].any() and len(batch["errors"]) == 2


@pytest.mark.parametrize(
    ("always", "message"),
    [
        ("flip", "not those the split was pinned on"),
        ("short", "cut short, or its server answers no range requests"),
        ("whole", "cut short, or its server answers no range requests"),
        ("404", r"\.tar is not at http.*name the folder that holds the split's shards"),
    ],
)
def test_what_stays_wrong_is_told(far, server, always, message):
    server.always = always
    with pytest.raises(ReadError, match=message) as caught:
        far(tries=2).dataset().__getitems__([5])
    assert "demo/" in str(caught.value)  # the sample


def test_a_folder_without_marks_is_told_before_anything_is_read(store, tmp_path):
    (tmp_path / "bare").mkdir()
    for tar in store.shards_dir.glob("*.tar"):
        shutil.copy(tar, tmp_path / "bare")
    split = Split.open(store.manifest, f"file://{tmp_path}/bare", cache=tmp_path / "cache")
    with pytest.raises(ReadError, match=r"videos\.parquet is not at file://.*or send the pack there"):
        split.check_shards()
    mark = next(store.shards_dir.glob("*.videos.parquet"))
    for name in (path.name for path in store.shards_dir.glob("*.videos.parquet")):
        (tmp_path / "bare" / name).write_bytes(mark.read_bytes()[:-9] + b"x" + mark.read_bytes()[-8:])
    with pytest.raises(ReadError, match="is damaged.*send the shard there again"):
        split.check_shards()


def test_an_address_with_a_key_is_refused_without_repeating_it(store):
    with pytest.raises(AddressError) as caught:
        Split.open(store.manifest, "https://me:secret@host/shards")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("told", "least"), [("0", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 1.5)])
def test_retry_after_is_a_number_or_a_date_or_ignored(told, least):
    class Busy(Exception):
        status, headers = 429, {"Retry-After": told}

    answers = iter([Busy(), Busy()])

    def ask():
        for error in answers:
            raise error
        return "at last"

    begun = time.monotonic()
    pause = 0.7 if least else 1000  # nobody waits so long
    assert retried(ask, 3, pause) == "at last"
    assert time.monotonic() - begun >= least


# the disk


def flip(cache: Path) -> None:
    for file in cache.glob("fetched/*.bytes"):
        data = bytearray(file.read_bytes())
        for at in range(700, len(data), 1500):
            data[at] ^= 1
        file.write_bytes(data)


def test_flipped_bytes_on_disk_are_fetched_anew(far, server, expected, tmp_path):
    everything(far())
    flip(tmp_path / "cache")
    server.clear()
    split = far()
    assert same(everything(split), expected)
    assert server.requests["tar"] > 0
    server.clear()
    assert same(everything(split), expected)
    assert server.requests["tar"] == 0  # and kept


def test_flipped_bytes_without_a_remote_are_an_error_that_says_so(far, store, tmp_path, expected):
    with served(store.shards_dir) as server:
        everything(far(address=server.url))
        address = server.url
    assert same(everything(far(address=address, tries=2)), expected)  # what is cached needs no server
    flip(tmp_path / "cache")
    with pytest.raises(ReadError, match=r"the cached bytes are damaged, and http.* cannot be read \(asked 2 times"):
        everything(far(address=address, tries=2))


def test_offline_reads_what_is_cached_and_says_what_is_not(store, far, server, expected):
    rows = [row for row in range(len(store.rows)) if store.rows[row]["shard"] == store.rows[0]["shard"]]
    far().dataset().__getitems__(rows)
    server.clear()
    offline = far(offline=True)
    assert torch.equal(offline.dataset().__getitems__(rows)["image"], expected["image"][rows])
    for ask in (offline.check_shards, lambda: offline.dataset().__getitems__([150])):
        with pytest.raises(ReadError, match="nothing is fetched offline: go online once"):
            ask()
    assert server.requests == {"tar": 0, "parquet": 0}


def on_disk(cache: Path) -> int:
    """Bytes of what was fetched, at one moment: nobody takes or frees room meanwhile."""
    with open(cache / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return sum(file.stat().st_blocks * 512 for file in cache.glob("fetched/*"))


@pytest.mark.parametrize("limit", [0, 40_000, 300_000])
def test_a_small_cache_keeps_to_its_limit_and_the_rest_is_read_through(far, expected, tmp_path, limit):
    split = far(limit=limit)
    for _ in range(2):
        for rows in np.array_split(np.random.default_rng(1).permutation(len(split)), 8):
            batch = split.dataset().__getitems__(rows)
            assert torch.equal(batch["image"], expected["image"][rows])
            assert on_disk(tmp_path / "cache") <= limit


def test_a_full_disk_is_told_once_and_read_through(store, tmp_path):
    """In a mount namespace of its own, on a tmpfs that is smaller than the cache may be."""
    script = (
        "import warnings, numpy as np; from shards.remote import Remote; from shards.split import Split\n"
        "warnings.simplefilter('always')\n"
        f"split = Split.open('{store.manifest}', Remote('file://{store.shards_dir}', '{tmp_path}/full/cache'))\n"
        f"near = Split.open('{store.manifest}')\n"
        "for rows in np.array_split(np.arange(len(split)), 8):\n"
        "    assert (split.dataset()[int(rows[0])]['image'] == near.dataset()[int(rows[0])]['image']).all()\n"
        "    assert (split.dataset().__getitems__(rows)['image'] == near.dataset().__getitems__(rows)['image']).all()\n"
        "print('read all')\n"
    )
    (tmp_path / "full").mkdir()
    mount = f'mount -t tmpfs -o size=200k none {tmp_path}/full && exec {sys.executable} -c "$SCRIPT"'
    words = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else []), "bash", "-c", mount]
    done = subprocess.run(words, capture_output=True, text=True, env=environment() | {"SCRIPT": script})
    if "unshare failed" in done.stderr:
        message = f"no mount namespace here ({done.stderr.strip()}): a full disk cannot be tried"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    assert done.stdout == "read all\n", done.stderr
    assert done.stderr.count("Free space there, or name a cache on another disk") == 1


# several processes


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def start(manifest, address, cache, limit=1 << 30, seed=0, **settings: str) -> subprocess.Popen:
    command = [sys.executable, "-c", READER, *map(str, (manifest, address, cache, limit, seed))]
    return subprocess.Popen(
        command, env=environment() | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def hashes(store) -> dict[str, str]:
    split = Split.open(store.manifest)
    return {str(row): hashlib.sha256(split.read(row)).hexdigest()[:16] for row in range(len(split))}


def read_by(process) -> dict[str, str]:
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return dict(line.split() for line in said.splitlines()[1:])


def test_processes_share_what_each_of_them_fetches(store, server, tmp_path):
    readers = [start(store.manifest, server.url, tmp_path / "cache", seed=seed) for seed in range(2)]
    expected = hashes(store)
    assert all(read_by(reader) == expected for reader in readers)
    assert server.bytes["tar"] <= tar_bytes(store) and server.requests["parquet"] == 3


def test_the_hubs_own_client_reads_ranges_and_no_more(large, tmp_path):
    manifest = picked(large, tmp_path / "splits", 16)
    with served(large.shards_dir) as server:
        reader = start(manifest, f"hf://datasets/{HUB}/shards", tmp_path / "cache", HF_ENDPOINT=server.url)
        split = Split.open(manifest, large.shards_dir)
        assert read_by(reader) == {
            str(row): hashlib.sha256(split.read(row)).hexdigest()[:16] for row in range(len(split))
        }
        assert 0 < server.bytes["tar"] < tar_bytes(large) / 4 and server.requests["tar"] <= 16


def test_an_eviction_race_with_a_faulty_remote_harms_nobody(store, server, tmp_path):
    # one in seven: eight in a row, after which a reader gives up, as it should, are not to be met by chance
    server.faults += random.Random(2).choices(["cut", "429", "500", *[""] * 18], k=scale(100, 2000))
    limit = 250_000
    readers = [start(store.manifest, server.url, tmp_path / "cache", limit, seed) for seed in range(scale(2, 4))]
    highest = 0
    while any(reader.poll() is None for reader in readers):
        if (tmp_path / "cache" / "lock").exists():
            highest = max(highest, on_disk(tmp_path / "cache"))
        time.sleep(0.01)
    expected = hashes(store)
    assert all(read_by(reader) == expected for reader in readers)
    assert 0 < highest <= limit


@pytest.mark.soak
def test_killed_at_any_moment_a_reader_leaves_a_cache_that_is_right(store, server, tmp_path):
    dice, expected = random.Random(3), hashes(store)
    server.rate = 2e7
    for trial in range(scale(1, 60)):
        victim = start(store.manifest, server.url, tmp_path / "cache", 400_000, trial)
        other = start(store.manifest, server.url, tmp_path / "cache", 400_000, trial + 1)
        victim.stdout.readline()
        time.sleep(dice.uniform(0, 0.3))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        assert read_by(other) == expected
    assert read_by(start(store.manifest, server.url, tmp_path / "cache")) == expected
    cache = Cache(tmp_path / "cache")
    assert cache.shrink(0) == 0  # nobody holds anything
