"""Packs: the same parts give the same bytes, a name is taken once, parts go only after their pack is there."""

import hashlib
import tarfile
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from shards import schema
from shards.errors import PackError, PartError
from shards.pack import pack, remove_parts
from shards.part import PartWriter
from shards.verify import verify_store
from tests.fabricate import attempt_row, recipe_hash, sample_row, video_row, write_part

NAME = "demo-01234567-89abcdef-000000"


def parts_of(folder, count=4, **options):
    names = [video_row(f"{i:03d}", "swapped" if i % 2 else "original") for i in range(count)]
    return [write_part(folder / f"{i}.part", video, i, **options) for i, video in enumerate(names)]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_pack_holds_every_sample_of_its_parts_at_its_offset(tmp_path):
    packed = pack(parts_of(tmp_path / "parts"), tmp_path / "shards", NAME)
    assert (packed.sample_count, packed.video_count, packed.written) == (6, 4, True)
    assert packed.byte_count == packed.tar.stat().st_size
    samples, videos = pq.read_table(packed.samples), pq.read_table(packed.videos)
    assert samples.schema.equals(schema.SAMPLES) and videos.schema.equals(schema.PACKED_VIDEOS)
    assert videos["video_id"].to_pylist() == sorted(videos["video_id"].to_pylist())
    assert set(samples["shard"].to_pylist()) == {NAME}
    data = packed.tar.read_bytes()
    with tarfile.open(packed.tar) as file:
        for row in samples.to_pylist():
            for member, end in (("image", "png"), ("json", "json"), ("mask", "mask.png")):
                begin = row[f"{member}_offset"]
                stored = file.extractfile(f"{row['key']}.{end}").read()
                assert data[begin : begin + row[f"{member}_size"]] == stored
        assert len(file.getnames()) == 18
        assert all((info.mtime, info.uid, info.gid, info.uname, info.mode) == (0, 0, 0, "", 0o644) for info in file)
    assert verify_store(tmp_path / "shards") == []


def test_bytes_depend_on_the_videos_alone(tmp_path):
    one = parts_of(tmp_path / "one")
    other = [path.rename(path.with_name(f"renamed{i}.part")) for i, path in enumerate(parts_of(tmp_path / "other"))]
    pack(one, tmp_path / "shards1", NAME)
    pack(other[::-1], tmp_path / "shards2", NAME)
    assert contents(tmp_path / "shards1") == contents(tmp_path / "shards2")


def test_the_time_of_curation_changes_the_videos_rows_only(tmp_path):
    content = hashlib.sha256(b"video").hexdigest()
    for i in (1, 2):
        with PartWriter(tmp_path / f"{i}.part", video_row("000")) as writer:
            writer.add(sample_row(0, content), {"png": b"p", "json": b"{}"})
            writer.finish(attempt_row(1, content, attempted_at=datetime(2026, 1, i, tzinfo=UTC)))
        pack([tmp_path / f"{i}.part"], tmp_path / f"shards{i}", NAME)
    first, second = contents(tmp_path / "shards1"), contents(tmp_path / "shards2")
    assert [name for name in first if first[name] != second[name]] == [f"{NAME}.videos.parquet"]


def test_a_pack_without_faces_is_its_videos_alone(tmp_path):
    parts = [write_part(tmp_path / f"{i}.part", video_row(str(i)), 0) for i in range(2)]
    packed = pack(parts, tmp_path / "shards", NAME)
    assert (packed.tar, packed.samples, packed.sample_count, packed.video_count) == (None, None, 0, 2)
    assert list(contents(tmp_path / "shards")) == [f"{NAME}.videos.parquet"]
    assert verify_store(tmp_path / "shards") == []


def test_packing_again_writes_nothing(tmp_path):
    parts = parts_of(tmp_path / "parts")
    first = pack(parts, tmp_path / "shards", NAME)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}
    remove_parts(parts[:2], first)
    again = pack(parts, tmp_path / "shards", NAME)
    assert not again.written
    assert (again.sample_count, again.video_count, again.byte_count) == (6, 4, first.byte_count)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").iterdir()}


def test_a_name_is_never_taken_by_other_videos(tmp_path):
    packed = pack(parts_of(tmp_path / "parts"), tmp_path / "shards", NAME)
    other = write_part(tmp_path / "other.part", video_row("999"), 1)
    for call in (lambda: pack([other], tmp_path / "shards", NAME), lambda: remove_parts([other], packed)):
        with pytest.raises(PackError, match=r"999.* is not in it"):
            call()
    assert other.exists()


def test_parts_go_only_when_their_pack_is_there(tmp_path):
    parts = parts_of(tmp_path / "parts")
    packed = pack(parts, tmp_path / "shards", NAME)
    moved = packed.videos.rename(tmp_path / "elsewhere")
    with pytest.raises(PackError, match="not finished"):
        remove_parts(parts, packed)
    assert all(path.exists() for path in parts)
    moved.rename(packed.videos)
    assert remove_parts(parts, packed) == 4
    assert remove_parts(parts, packed) == 0
    assert list((tmp_path / "parts").iterdir()) == []


def test_a_pack_whose_tar_is_gone_is_not_called_packed(tmp_path):
    parts = parts_of(tmp_path / "parts")
    pack(parts, tmp_path / "shards", NAME).tar.unlink()
    with pytest.raises(PackError, match="is gone: restore"):
        pack(parts, tmp_path / "shards", NAME)


def test_parts_that_do_not_go_together_are_refused(tmp_path):
    one = write_part(tmp_path / "1.part", video_row("000"), 1)
    twin = write_part(tmp_path / "2.part", video_row("000"), 2)
    no_mask = write_part(tmp_path / "3.part", video_row("001"), 1, masks=False)
    webp = write_part(tmp_path / "4.part", video_row("002"), 1, codec="webp")
    content = "c" * 64
    with PartWriter(tmp_path / "6.part", video_row("004")) as writer:
        writer.add(sample_row(0, content), {"png": b"p", "mask.png": b"m", "json": b'{"dataset": "demo"}'})
        other_json = writer.finish(attempt_row(1, content))
    with PartWriter(tmp_path / "5.part", video_row("003")) as writer:
        foreign = writer.finish(attempt_row(0, None, "failed", recipe_hash=recipe_hash("other")))
    for parts, told in (
        ([one, twin], "twice"),
        ([one, no_mask], "other members"),
        ([one, webp], "other members"),
        ([one, foreign], "mixes recipes"),
        ([one, other_json], "other fields"),
        ([], "no parts"),
    ):
        with pytest.raises(PackError, match=told):
            pack(parts, tmp_path / "shards", NAME)
    for name in ("", "a.b", "a/b", "ä"):
        with pytest.raises(PackError, match="cannot name a shard"):
            pack([one], tmp_path / "shards", name)
    assert not (tmp_path / "shards").exists()


def test_a_damaged_part_is_named_and_leaves_no_shard(tmp_path):
    parts = parts_of(tmp_path / "parts")
    data = bytearray(parts[2].read_bytes())
    data[2000] ^= 1
    parts[2].write_bytes(data)
    with pytest.raises(PartError, match=r"2\.part is damaged.*delete it and curate again"):
        pack(parts, tmp_path / "shards", NAME)
    assert list((tmp_path / "shards").iterdir()) == []


@pytest.mark.parametrize("faces", [0, 2])
def test_a_damaged_part_is_found_where_its_pack_has_no_face_too(tmp_path, faces):
    path = write_part(tmp_path / "0.part", video_row("000"), faces)
    data = bytearray(path.read_bytes())
    data[512 if faces else 1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(PartError, match="damaged"):
        pack([path], tmp_path / "shards", NAME)


def test_parts_stay_while_the_mark_of_their_pack_is_damaged(tmp_path):
    parts = parts_of(tmp_path / "parts")
    packed = pack(parts, tmp_path / "shards", NAME)
    data = bytearray(packed.videos.read_bytes())
    data[-20] ^= 1
    packed.videos.write_bytes(data)
    for call in (lambda: pack(parts, tmp_path / "shards", NAME), lambda: remove_parts(parts, packed)):
        with pytest.raises(PackError, match="verify --repair"):
            call()
    assert all(path.exists() for path in parts)
