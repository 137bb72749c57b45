"""Some faces of a shard in a tar of their own: the same members, and all of them the same tar."""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shards.errors import ReadError
from shards.reader import ShardReader
from shards.repack import arrange, changed, tar_bytes, whole_rows
from tests import fabricate


def rows_of(store: fabricate.Store, name: str) -> pa.Table:
    return pq.read_table(store.shards_dir / f"{name}.parquet")


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


@pytest.mark.parametrize("codec", ["png", "jpg", "webp"])
@pytest.mark.parametrize("masks", [True, False])
def test_all_the_faces_of_a_pack_give_its_tar_again(tmp_path, codec, masks):
    store = fabricate.make_store(tmp_path, codec=codec, masks=masks)
    for path in sorted(store.shards_dir.glob("*.tar")):
        old = rows_of(store, path.stem)
        new, size = arrange(old, path.stem)
        assert new.equals(old) and size == path.stat().st_size
        assert b"".join(tar_bytes(old, new, ShardReader(store.shards_dir))) == path.read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_some_faces_of_several_packs_lie_where_their_rows_say(tmp_path, seed):
    store = fabricate.make_store(tmp_path, videos=8, shards=3)
    rng = np.random.default_rng(seed)
    whole = pa.concat_tables(rows_of(store, path.stem) for path in sorted(store.shards_dir.glob("*.tar")))
    old = whole.take(np.sort(rng.choice(len(whole), rng.integers(1, len(whole)), replace=False)))
    new, size = arrange(old, "some")
    data = b"".join(tar_bytes(old, new, ShardReader(store.shards_dir)))
    assert len(data) == size and set(new["shard"].to_pylist()) == {"some"}
    there = members(data)
    known = {}
    for path in store.shards_dir.glob("*.tar"):
        known |= members(path.read_bytes())
    assert all(known[name] == content for name, content in there.items()) and len(there) == 3 * len(old)
    for row in new.to_pylist():
        for member, end in (("image", row["image_ext"]), ("json", "json"), ("mask", "mask.png")):
            start = row[f"{member}_offset"]
            assert data[start : start + row[f"{member}_size"]] == there[f"{row['key']}.{end}"]


def test_changed_members_have_their_own_sizes_and_checksums(tmp_path):
    store = fabricate.make_store(tmp_path, shards=1)
    (path,) = store.shards_dir.glob("*.tar")
    reader, old = ShardReader(store.shards_dir), rows_of(store, path.stem)
    new, _ = arrange(changed(old, reader, lambda data: data + b" " * 700), "changed")
    data = b"".join(tar_bytes(old, new, reader, lambda data: data + b" " * 700))
    (tmp_path / "changed.tar").write_bytes(data)
    assert whole_rows(tmp_path / "changed.tar", new)[0] == len(new)
    assert all(len(content) > 700 for name, content in members(data).items() if name.endswith("json"))


def test_a_damaged_member_is_never_copied(tmp_path):
    store = fabricate.make_store(tmp_path, shards=1)
    (path,) = store.shards_dir.glob("*.tar")
    old = rows_of(store, path.stem)
    data = bytearray(path.read_bytes())
    data[old["image_offset"][2].as_py() + 5] ^= 1
    path.write_bytes(data)
    new, _ = arrange(old, "copy")
    with pytest.raises(ReadError, match="checksum differs"):
        list(tar_bytes(old, new, ShardReader(store.shards_dir)))


def test_of_a_tar_that_was_cut_or_damaged_the_whole_faces_before_it_count(tmp_path):
    store = fabricate.make_store(tmp_path, shards=1)
    (path,) = store.shards_dir.glob("*.tar")
    rows, data = rows_of(store, path.stem), path.read_bytes()
    ends = [row["image_offset"] + row["image_size"] + -row["image_size"] % 512 for row in rows.to_pylist()]
    cut = tmp_path / "cut" / path.name
    cut.parent.mkdir()
    for size in [*range(0, len(data), 3001), *ends, *(end - 1 for end in ends)]:
        cut.write_bytes(data[:size])
        count, end = whole_rows(cut, rows)
        assert count == sum(end <= size for end in ends) and end == ([0] + ends)[count]
    damaged = bytearray(data)
    damaged[ends[2] + 20] ^= 1  # in a header
    cut.write_bytes(damaged)
    assert whole_rows(cut, rows)[0] <= 3
