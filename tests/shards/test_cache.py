"""The cache: what it says is present is; its limit holds; what is in use stays; nothing that is not its own goes."""

import json
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.cache import RECORD, Cache, CacheError, create_locked

A, B, C = "a" * 16, "b" * 16, "c" * 16
PAGE = 4096


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", limit=20 * PAGE)


def put(cache, content, start=0, data=bytes(PAGE)):
    """Whether there was room."""
    with cache.fetched(content) as entry:
        if not entry.reserve(start, len(data)):
            return False
        entry.add(start, data)
        return True


def has(cache, content, start=0, end=PAGE):
    with cache.fetched(content) as entry:
        return bool(entry.holds(np.array([start]), np.array([end]))[0])


def on_disk(cache):
    return sum(path.stat().st_blocks * 512 for path in (cache.folder / "fetched").iterdir())


def used_long_ago(cache, content, seconds):
    path = cache.folder / "fetched" / f"{content}.bytes"
    os.utime(path, (time.time() - seconds, time.time() - seconds))


@given(
    added=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12),
    asked=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=12),
)
def test_a_range_is_held_exactly_if_all_its_bytes_were_added(tmp_path_factory, added, asked):
    cache = Cache(tmp_path_factory.mktemp("property") / "cache")
    truth = np.zeros(100, bool)
    with cache.fetched(A) as entry:
        for start, size in added:
            assert entry.reserve(start, size)
            entry.add(start, bytes([start + 1]) * size)
            truth[start : start + size] = True
        starts, sizes = map(np.array, zip(*asked, strict=True))
        held = entry.holds(starts, starts + sizes)
    assert held.tolist() == [bool(truth[start : start + size].all()) for start, size in asked]


def test_bytes_without_their_record_are_not_there(cache):
    with cache.fetched(A) as entry:
        assert entry.reserve(0, PAGE)
        os.pwrite(entry.descriptor, b"x" * PAGE, 0)
    assert not has(cache, A)


@pytest.mark.parametrize("left", range(RECORD.itemsize))
def test_a_record_that_was_cut_off_is_none_and_the_next_one_counts(cache, left):
    put(cache, A)
    present = cache.folder / "fetched" / f"{A}.present"
    os.truncate(present, left)
    assert not has(cache, A)
    put(cache, A, PAGE)
    assert has(cache, A, PAGE, 2 * PAGE) and not has(cache, A)
    data = bytearray(present.read_bytes())
    data[8] ^= 1
    present.write_bytes(data)
    assert not has(cache, A, PAGE, 2 * PAGE)


def test_the_least_recently_used_goes_first_and_the_limit_holds(cache):
    for content, age in ((A, 300), (B, 200), (C, 100)):
        assert put(cache, content, data=bytes(4 * PAGE))
        used_long_ago(cache, content, age)
    assert has(cache, A)  # using it makes it the youngest
    assert put(cache, "d" * 16, data=bytes(5 * PAGE))
    assert has(cache, A) and has(cache, C) and not has(cache, B)
    assert on_disk(cache) <= cache.limit


@pytest.mark.parametrize("limit", range(2, 24))
def test_the_limit_holds_with_what_the_file_system_notes_of_many_stretches(tmp_path, limit):
    """ext4 has a block more for a file in more than four extents, and a page that is half written makes two of one."""
    cache = Cache(tmp_path / "cache", limit * PAGE)
    kept = 0
    with cache.fetched(A) as entry:
        while entry.reserve(4 * kept * PAGE, 2 * PAGE):
            entry.add(4 * kept * PAGE, bytes(PAGE))
            os.fsync(entry.descriptor)
            assert on_disk(cache) <= cache.limit
            kept += 1
    assert kept >= (limit - 2) // 2 - 1


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_the_limit_holds_with_many_records(tmp_path, pages):
    cache = Cache(tmp_path / "cache", (1 + pages) * PAGE)
    starts = np.arange(0, 2400, 4)
    with cache.fetched(A) as entry:
        for start in starts.tolist():
            if entry.reserve(start, 2) or start:  # all of them lie in one page
                entry.add(start, bytes(2))
            assert on_disk(cache) <= cache.limit
        held = entry.holds(starts, starts + 2)
    fit = pages * PAGE // RECORD.itemsize
    assert held[:fit].all() and not held[fit:].any()  # what no record tells of is fetched again


def test_what_is_in_use_stays_and_the_new_is_not_kept(cache):
    with cache.fetched(A) as entry:
        assert entry.reserve(0, 12 * PAGE)
        entry.add(0, b"a" * (12 * PAGE))
        assert not put(cache, B, data=bytes(12 * PAGE))
        assert os.pread(entry.descriptor, 12 * PAGE, 0) == b"a" * (12 * PAGE)
    assert put(cache, B, data=bytes(12 * PAGE))
    assert not has(cache, A)


def test_what_another_process_uses_stays_until_it_is_killed(cache):
    put(cache, A, data=bytes(12 * PAGE))
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with cache.fetched(A):
            os.write(tell, b"x")
            signal.pause()
        os._exit(0)
    os.read(told, 1)
    assert not put(cache, B, data=bytes(12 * PAGE))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert put(cache, B, data=bytes(12 * PAGE))


def test_an_entry_that_was_evicted_frees_its_room_though_somebody_still_has_it_open(cache):
    put(cache, A, data=bytes(12 * PAGE))
    descriptor = os.open(cache.folder / "fetched" / f"{A}.bytes", os.O_RDONLY)  # as mapped, not locked
    assert cache.shrink(0) == 0
    assert os.fstat(descriptor).st_blocks == 0
    os.close(descriptor)


def test_room_that_a_killed_process_took_is_found_again(cache):
    """A count that is too high is made right by counting; a missing one too."""
    put(cache, A, data=bytes(2 * PAGE))
    (cache.folder / "lock").write_bytes((1 << 40).to_bytes(8, "little"))
    assert put(cache, B, data=bytes(2 * PAGE)) and has(cache, A)
    (cache.folder / "lock").write_bytes(b"")
    assert put(cache, C, data=bytes(2 * PAGE)) and has(cache, A)
    assert int.from_bytes((cache.folder / "lock").read_bytes(), "little") >= on_disk(cache)


def test_leftovers_of_the_killed_go_and_what_is_being_written_stays(cache):
    path = cache.materialized / f"{'0' * 64}.image.raw.bytes"
    (cache.materialized / f"{path.name}.01234567.tmp").write_bytes(bytes(PAGE))
    with create_locked(path) as file:
        cache.shrink(cache.limit)
        assert os.listdir(cache.materialized) == [os.path.basename(file.name)]


def test_what_cannot_be_made_again_is_not_evicted(cache, tmp_path):
    path = cache.materialized / f"{'0' * 64}.image.raw.bytes"
    shard = tmp_path / "shards" / "s.tar"
    shard.parent.mkdir()
    for origin, gone in ((None, False), ({"shards": str(shard.parent), "names": ["s"]}, False), ("there", True)):
        path.write_bytes(bytes(PAGE))
        if origin == "there":
            shard.write_bytes(b"")
        elif origin:
            path.with_suffix(".origin").write_text(json.dumps(origin))
        cache.shrink(0)
        assert path.exists() != gone


def test_a_folder_that_holds_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "mine.tar").write_bytes(b"mine")
    with pytest.raises(CacheError, match="holds other things: give the cache an empty folder"):
        Cache(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="cannot be written.*name another folder"):
        Cache(tmp_path / "file")


def test_nothing_but_its_own_files_is_deleted(cache):
    names = ["fetched/mine.bytes", "fetched/README", "materialized/mine.bytes", f"materialized/{A}.bytes", "mine.tar"]
    for name in names:
        (cache.folder / name).write_bytes(bytes(PAGE))
    put(cache, A, data=bytes(4 * PAGE))
    cache.shrink(0)
    assert not has(cache, A)
    assert all((cache.folder / name).exists() for name in names)


def test_contents_are_known_to_all_processes_and_by_address(cache):
    other = Cache(cache.folder)
    assert other.content("http://here", "s") is None
    cache.note_content("http://here", "s", A)
    assert other.content("http://here", "s")[0] == A and other.content("http://there", "s") is None
    with open(cache.folder / "contents.jsonl", "ab") as file:
        file.write(b'{"address": "http://th')  # a full disk
    cache.note_content("http://there", "s", B)
    assert other.content("http://there", "s")[0] == B == Cache(cache.folder).content("http://there", "s")[0]
