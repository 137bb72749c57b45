"""Verify: a whole store has no findings, and every kind of damage has one that names it."""

import shutil

import pyarrow.parquet as pq
import pytest

from shards import tar
from shards.verify import verify_shard, verify_store
from tests.fabricate import make_store


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


def test_any_flipped_byte_of_a_sidecar_is_found(store):
    path = store / "demo-000001.parquet"
    data = path.read_bytes()
    for place in range(0, len(data), 131):
        flip(path, place)
        assert ("sidecar", "demo-000001") in found(store, data=False), place
        path.write_bytes(data)


def test_a_flipped_byte_of_the_mark_is_found_or_changes_nothing(store):
    path = store / "demo-000001.videos.parquet"
    data, table = path.read_bytes(), pq.read_table(path)
    hidden = 0
    for place in range(0, len(data), 89):
        flip(path, place)
        if not found(store, data=False):
            assert pq.read_table(path).equals(table), place
            hidden += 1
        path.write_bytes(data)
    assert hidden < len(data) / 89 / 2


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
        ("stray", "demo-000001"),
        ("stray", "demo-000002.tar.0a1b2c3d.tmp"),
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
