"""Verify: a whole store has no findings, and every kind of damage has one that names it."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from shards import sidecar, tar
from shards.errors import PartError, PlanError
from shards.pack import pack
from shards.plan import PLAN, read_plan, write_plan
from shards.verify import verify_parts, verify_shard, verify_store
from tests.fabricate import make_store, video_row, write_part
from tests.soak import scale


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("whole"), videos=4, faces_per_video=2, size=16, shards=2)


@pytest.fixture
def store(whole, tmp_path):
    shutil.copytree(whole.shards_dir, tmp_path / "shards")
    return tmp_path / "shards"


def found(folder, **options):
    return {(finding.kind, finding.shard) for finding in verify_store(folder, **options)}


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0x20
    path.write_bytes(data)


def bits_of(path, count):
    """``count`` random bits of a file, or all if it has no more."""
    bits = path.stat().st_size * 8
    return range(bits) if bits <= count else np.random.default_rng(0).choice(bits, count, replace=False).tolist()


def unseen(path, bits, look):
    """Those of the flipped bits after which ``look`` gives nothing."""
    data = path.read_bytes()
    hidden = []
    for bit in bits:
        with open(path, "r+b", buffering=0) as file:
            for value in (data[bit // 8] ^ 1 << bit % 8, data[bit // 8]):
                file.seek(bit // 8)
                file.write(bytes([value]))
                if value != data[bit // 8] and not look():
                    hidden.append(bit)
    assert path.read_bytes() == data
    return hidden


def test_a_whole_store_has_no_findings(store):
    assert verify_store(store) == verify_shard(store, "demo-000000") == []


def test_any_flipped_byte_of_a_tar_is_found_at_its_sample(store, whole):
    path = store / "demo-000000.tar"
    data = path.read_bytes()
    rows = sorted((row for row in whole.rows if row["shard"] == "demo-000000"), key=lambda row: row["json_offset"])
    assert len(rows) == 4
    for place in range(7, len(data), 101):
        flip(path, place)
        findings = verify_store(store)
        owner = [row["sample_id"] for row in rows if row["json_offset"] - tar.BLOCK <= place]
        if place < len(data) - len(tar.END):
            assert [finding.sample_id for finding in findings] == [owner[-1]], place
            assert findings[0].kind in ("header", "data", "padding") and findings[0].offset <= place + tar.BLOCK
        else:
            assert {finding.kind for finding in findings} <= {"end", "stray"} and findings
        path.write_bytes(data)


def test_without_data_only_the_structure_is_checked(store, whole):
    row = next(row for row in whole.rows if row["shard"] == "demo-000000")
    flip(store / "demo-000000.tar", row["image_offset"])
    assert found(store) == {("data", "demo-000000")}
    assert found(store, data=False) == set()
    flip(store / "demo-000000.tar", row["image_offset"] - 500)
    assert found(store, data=False) == {("header", "demo-000000")}


@pytest.mark.soak
@pytest.mark.parametrize("end", [".tar", ".parquet", ".videos.parquet"])
def test_every_flipped_bit_is_found(store, end):
    path = store / f"demo-000001{end}"
    bits = bits_of(path, scale(250, 40_000 if end == ".tar" else 1 << 20))
    assert unseen(path, bits, lambda: verify_shard(store, "demo-000001", data=end == ".tar")) == []


@pytest.mark.soak
def test_every_flipped_bit_of_a_pack_without_faces_is_found(tmp_path):
    parts = [write_part(tmp_path / f"{i}.part", video_row(str(i)), 0) for i in range(2)]
    path = pack(parts, tmp_path / "shards", "none").videos
    assert unseen(path, bits_of(path, scale(250, 1 << 20)), lambda: verify_store(tmp_path / "shards")) == []


def test_a_mark_that_tells_another_sidecar_or_carries_no_checksum_is_found(store):
    path = store / "demo-000001.videos.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, write_page_checksum=True)
    assert ["no checksum" in finding.message for finding in verify_store(store)] == [True]
    path.write_bytes(sidecar.mark_bytes(table, b"another sidecar"))
    [finding] = verify_store(store)
    assert (finding.kind, finding.shard) == ("sidecar", "demo-000001")
    assert "demo-000001.parquet" in finding.message


def test_sidecars_and_marks_are_plain_parquet(store):
    import duckdb

    for name, rows in (("demo-000001.parquet", 4), ("demo-000001.videos.parquet", 2)):
        assert duckdb.sql(f"FROM '{store / name}'").fetchall().__len__() == pq.read_table(store / name).num_rows == rows


@pytest.mark.parametrize("kept", [0, 700, -1, -1024, -2000])
def test_a_tar_cut_short_is_found(store, kept):
    path = store / "demo-000000.tar"
    path.write_bytes(path.read_bytes()[:kept])
    assert found(store) & {("missing", "demo-000000"), ("end", "demo-000000")}


def test_files_that_are_gone_or_too_many_are_found(store):
    (store / "demo-000000.tar").unlink()
    (store / "demo-000001.videos.parquet").unlink()
    (store / "demo-000002.tar.0a1b2c3d.tmp").write_bytes(b"half")
    (store / "notes.txt").write_bytes(b"mine")
    findings = verify_store(store)
    assert {(finding.kind, finding.shard) for finding in findings} == {
        ("missing", "demo-000000"),
        ("unfinished", "demo-000001"),
        ("unfinished", "demo-000002.tar.0a1b2c3d.tmp"),
        ("stray", "notes.txt"),
    }
    assert "run curation again" in next(f.message for f in findings if f.shard == "demo-000001")


def test_a_member_in_no_row_is_found_by_name(store):
    path = store / "demo-000000.tar"
    data = path.read_bytes()
    path.write_bytes(data[: -len(tar.END)] + tar.member("stranger.png", b"pixels") + tar.END)
    stray = next(finding for finding in verify_store(store) if finding.kind == "stray")
    assert "stranger.png" in stray.message and stray.offset == len(data) - len(tar.END) + tar.BLOCK
    path.write_bytes(tar.member("stranger.png", b"pixels") + data)
    assert len({finding.sample_id for finding in verify_store(store) if finding.kind in ("header", "data")}) == 4


def test_a_shard_under_another_name_or_twice_is_found(store):
    for end in (".tar", ".parquet", ".videos.parquet"):
        shutil.copy(store / f"demo-000000{end}", store / f"demo-000007{end}")
    findings = verify_store(store)
    assert {(finding.kind, finding.shard) for finding in findings} == {
        ("sidecar", "demo-000007"),
        ("duplicate", "demo-000007"),
    }
    assert len(findings) == 8


def test_rows_that_contradict_each_other_are_found(store):
    path = store / "demo-000000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    kinds = {finding.kind for finding in verify_store(store)}
    assert kinds == {"sidecar", "stray"}  # one sample less than its video tells, and its members belong to nobody
    wrong = table.set_column(table.schema.get_field_index("draw_key"), table.schema.field("draw_key"), [[1, 2, 3, 4]])
    pq.write_table(wrong, path)
    findings = verify_store(store)
    assert [finding.kind for finding in findings] == ["sidecar"] * 5
    assert [finding.sample_id for finding in findings] == [None, *table["sample_id"].to_pylist()]
    pq.write_table(table.drop_columns(["draw_key"]), path)
    assert any("other columns" in finding.message for finding in verify_store(store))


def test_what_the_disk_does_not_give_is_a_finding(store, monkeypatch):
    """A sector that cannot be read: the members in it are named, the others are checked."""
    import os

    whole = os.pread

    def broken(descriptor, size, offset):
        if offset <= 5000 < offset + size:
            raise OSError(5, "Input/output error")
        return whole(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", broken)
    monkeypatch.setattr("shards.verify._CHUNK", tar.BLOCK)
    findings = verify_shard(store, "demo-000000")
    assert {finding.kind for finding in findings} == {"data"}
    assert len(findings) == 1
    assert "Input/output error" in findings[0].message


def parts_found(folder):
    return {(finding.kind, finding.shard) for finding in verify_parts(folder / "parts", folder / "shards")}


@pytest.mark.soak
@pytest.mark.parametrize("faces", [0, 2])
def test_every_flipped_bit_and_every_cut_of_a_part_is_found(tmp_path, faces):
    """When it is verified, and when it is packed."""
    video = video_row("000")
    folder = tmp_path / "parts" / "plan"
    path = write_part(folder / "a.part", video, faces, size=16)
    write_plan(folder, {"demo": [video]})
    assert parts_found(tmp_path) == set()

    def fails():
        try:
            pack([path], tmp_path / "shards", "demo")
        except PartError:
            return parts_found(tmp_path) == {("part", "parts/plan/a.part")}

    assert unseen(path, bits_of(path, scale(100, 1 << 20)), fails) == []
    data = path.read_bytes()
    for kept in {0, 1, 47, 48, 512, *np.random.default_rng(0).integers(0, len(data), scale(20, 2000)).tolist()}:
        path.write_bytes(data[:kept])
        assert fails(), kept
    path.unlink()
    with pytest.raises(PartError, match="does not exist"):
        pack([path], tmp_path / "shards", "demo")
    assert list((tmp_path / "shards").iterdir()) == []


@pytest.mark.soak
def test_every_flipped_bit_of_a_plan_is_found(tmp_path):
    """When it is verified, and when the next run would go on with it."""
    folder = tmp_path / "parts" / "plan"
    packs = {"demo-0": [video_row("000")], "demo-1": [video_row("001"), video_row("002")]}
    write_plan(folder, packs)
    assert read_plan(folder) == packs
    assert parts_found(tmp_path) == set()

    def fails():
        with pytest.raises(PlanError, match="verify --repair"):
            read_plan(folder)
        return parts_found(tmp_path) == {("plan", "parts/plan")}

    path = folder / PLAN
    assert unseen(path, bits_of(path, scale(150, 20_000)), fails) == []


def test_parts_and_plans_that_are_out_of_place_are_found(tmp_path):
    videos = [video_row(str(i)) for i in range(3)]
    for name in ("open", "lost", "torn", "done"):
        for i in range(2):
            write_part(tmp_path / "parts" / name / f"{i}.part", videos[i], 1, size=16)
    write_plan(tmp_path / "parts" / "open", {"demo-0": videos[1:2], "demo-1": videos[2:]})
    write_plan(tmp_path / "parts" / "done", {"demo-1": videos[:2]})
    pack([tmp_path / f"parts/done/{i}.part" for i in range(2)], tmp_path / "shards", "demo-1")
    (tmp_path / "parts" / "torn" / "plan.parquet").write_bytes(b"PAR1")
    (tmp_path / "parts" / "empty").mkdir()
    (tmp_path / "parts" / "lock").write_text("{}")
    (tmp_path / "parts" / "mine.txt").write_text("mine")
    (tmp_path / "parts" / "open" / "mine.txt").write_text("mine")
    (tmp_path / "parts" / "open" / "2.part.0a1b2c3d.tmp").write_text("half")
    assert parts_found(tmp_path) == {
        ("stray", "parts/open/0.part"),
        ("stray", "parts/open/mine.txt"),
        ("stray", "parts/mine.txt"),
        ("unfinished", "parts/open/2.part.0a1b2c3d.tmp"),
        ("plan", "parts/lost"),
        ("plan", "parts/torn"),
        ("unfinished", "parts/done"),
        ("unfinished", "parts/empty"),
    }
