"""Scans on disk: written whole, read back, not replaced by another copy; rows of completeness."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.sources import CompletenessRow, SourceError, Video, open_source, read_source, to_table, write_source
from curation.sources.video import from_table
from shards.schema import VIDEOS
from tests.curation.sources.trees import touch

ODD = [
    b"with space",
    b"quote'\"s",
    b"new\nline",
    "ünïcode-日本".encode(),
    b"not\xffutf8",
    b"back\\slash",
    b"per%cent",
    b"a.b.c",
]


@pytest.fixture
def odd(tmp_path):
    folder = tmp_path / "odd names"
    folder.mkdir()
    for name in ODD:
        (folder / os.fsdecode(name + b".mp4")).write_bytes(name)
    (folder / "folder.mp4").mkdir()
    description = tmp_path / "odd.yaml"
    description.write_text("{dataset: odd, licence: unknown, redistributable: false, kind: videos, label: real}")
    return open_source("folder", folder, config=description)


def test_odd_names_survive_the_store_and_still_open_their_files(odd, tmp_path):
    source = read_source(write_source(odd, tmp_path / "store"))
    assert source == odd
    assert sorted(video.file(source.root).read_bytes() for video in source.videos) == sorted(ODD)
    assert len({video.video_id for video in source.videos}) == len(ODD)
    for video in source.videos:
        assert "." not in video.video_id
        assert video.bytes == len(video.file(source.root).read_bytes())


def test_the_parquet_has_the_schema_of_videos_and_the_root_only_in_its_metadata(odd, tmp_path):
    path = write_source(odd, tmp_path / "store")
    assert path == tmp_path / "store" / "sources" / "odd.parquet"
    table = pq.read_table(path)
    assert table.schema.equals(VIDEOS)
    assert table["video_id"].to_pylist() == sorted(table["video_id"].to_pylist())
    assert str(tmp_path) not in json.dumps(table.to_pylist())
    described = json.loads(table.schema.metadata[b"deepshard"])
    assert described["root"] == str(tmp_path / "odd names")
    assert (described["source"], described["adapter"], described["datasets"]) == ("odd", "folder", ["odd"])
    assert (described["licence"], described["redistributable"]) == ("unknown", False)
    assert described["completeness"][0]["found"] == len(ODD)
    assert described["scanned_at"].endswith("+00:00")


def test_no_unfinished_file_stays_when_writing_fails(odd, tmp_path):
    store = tmp_path / "store"
    write_source(odd, store)
    before = (store / "sources" / "odd.parquet").read_bytes()
    broken = dataclasses.replace(odd, config={"unwritable": object()})
    with pytest.raises(TypeError):
        write_source(broken, store)
    assert [path.name for path in (store / "sources").iterdir()] == ["odd.parquet"]
    assert (store / "sources" / "odd.parquet").read_bytes() == before


def test_no_unfinished_file_stays_when_it_cannot_be_renamed(odd, tmp_path):
    touch(tmp_path / "sources" / "odd.parquet", ["in the way"])
    with pytest.raises(OSError, match="odd.parquet"):
        write_source(odd, tmp_path, replace=True)
    assert [path.name for path in (tmp_path / "sources").iterdir()] == ["odd.parquet"]


def scan(root: Path, tmp_path: Path, names: list[str], **options):
    touch(root, names)
    description = tmp_path / "x.yaml"
    description.write_text("{dataset: x, licence: unknown, redistributable: false, kind: videos, label: real}")
    return open_source("folder", root, config=description, **options)


def test_a_second_copy_does_not_replace_the_first_under_the_same_name(tmp_path):
    write_source(scan(tmp_path / "one", tmp_path, ["a.mp4", "b.mp4"]), tmp_path)
    other = scan(tmp_path / "two", tmp_path, ["b.mp4", "c.mp4"])
    with pytest.raises(SourceError, match=r"lacks 1 of its videos.*x/original/native/a"):
        write_source(other, tmp_path)
    write_source(scan(tmp_path / "two", tmp_path, [], name="x-disk2"), tmp_path)
    assert {video.source for video in read_source(tmp_path / "sources" / "x-disk2.parquet").videos} == {"x-disk2"}
    assert len(read_source(write_source(other, tmp_path, replace=True)).videos) == 2


def test_a_moved_copy_and_a_changed_one_replace_their_scan(tmp_path):
    write_source(scan(tmp_path / "one", tmp_path, ["a.mp4", "b.mp4"]), tmp_path)
    moved = write_source(scan(tmp_path / "two", tmp_path, ["a.mp4", "b.mp4", "c.mp4"]), tmp_path)
    assert read_source(moved).root == tmp_path / "two"
    (tmp_path / "two" / "c.mp4").unlink()
    assert len(read_source(write_source(scan(tmp_path / "two", tmp_path, []), tmp_path)).videos) == 2


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".x", "a b", "x" * 101])
def test_a_source_name_that_is_no_file_name_is_an_error(tmp_path, name):
    touch(tmp_path / "one", ["a.mp4"])
    (tmp_path / "x.yaml").write_text("{dataset: x, licence: u, redistributable: false, kind: videos, label: real}")
    if not name:
        pytest.raises(SourceError, dataclasses.replace, scan(tmp_path / "one", tmp_path, []), source=name)
        return
    with pytest.raises(SourceError, match="cannot name a source"):
        open_source("folder", tmp_path / "one", config=tmp_path / "x.yaml", name=name)


def test_reading_a_parquet_that_is_no_scan_is_an_error(odd, tmp_path):
    pq.write_table(to_table(odd.videos), tmp_path / "other.parquet")
    with pytest.raises(SourceError, match="holds no scan"):
        read_source(tmp_path / "other.parquet")


def test_videos_go_through_arrow_unchanged(odd):
    assert from_table(to_table(odd.videos)) == odd.videos
    assert to_table([]).schema.equals(VIDEOS)
    assert [field.name for field in dataclasses.fields(Video)] == VIDEOS.names


@pytest.mark.parametrize(
    "change", [{"label": 2}, {"category": "sawp"}, {"kind": "gif"}, {"official_split": "dev"}, {"label": 1}]
)
def test_a_video_cannot_hold_words_the_catalog_does_not_know(odd, change):
    with pytest.raises(ValueError, match="odd/original"):
        dataclasses.replace(odd.videos[0], **change)


def test_rows_of_completeness():
    def row(expected, found, missing=(), unexpected=()):
        return CompletenessRow("d", "m", "q", expected, found, list(missing), list(unexpected))

    assert row(3, 3).complete is True
    assert row(None, 3).complete is None
    assert row(None, 3, ["a"]).complete is False
    assert row(3, 3, unexpected=["x"]).complete is False
    assert (row(5, 3, ["a"]).unnamed, row(5, 3, ["a"]).surplus) == (1, 0)
    assert (row(5, 5, ["a"]).unnamed, row(5, 5, ["a"]).surplus) == (0, 1)


def test_scanning_imports_neither_torch_nor_opencv():
    code = "import sys, curation.sources; assert not {'torch', 'cv2', 'duckdb'} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
