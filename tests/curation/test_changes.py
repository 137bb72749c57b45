"""Videos that change under a catalog: new bytes are curated again, old faces retire, and nothing else is touched."""

import os
import shutil
from pathlib import Path

import pytest

from curation.recipe import Recipe
from curation.run import curate
from curation.sources import open_source, write_source
from queries.catalog import connect_read
from queries.ingest import ingest_source, rebuild
from shards.verify import verify_store
from tests.curation.people import encode, walking

RECIPE = Recipe("test", sampling="evenly 2", aligner="dlib", margin=0.1, size=64)
DESCRIPTION = """
dataset: small
licence: test
redistributable: false
kind: videos
rules:
  - match: "*"
    label: real
    method: original
"""


class Place:
    def __init__(self, folder: Path):
        self.root, self.catalog, self.store = folder / "videos", folder / "catalog.duckdb", folder / "store"

    def scan(self) -> None:
        source = open_source("folder", self.root, config=self.root.parent / "small.yaml")
        ingest_source(self.catalog, write_source(source, self.store))

    def curate(self, **how):
        return curate(self.catalog, self.store, RECIPE, workers=1, **how)

    def faces(self, catalog: Path | None = None) -> dict[str, list[str]]:
        with connect_read(catalog or self.catalog) as db:
            rows = db.execute("SELECT name, list(sample_id ORDER BY sample_id) FROM faces GROUP BY name").fetchall()
        return dict(rows)


@pytest.fixture(scope="module")
def curated(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("curated")
    place = Place(folder)
    encode(place.root / "a.mp4", walking(6))
    encode(place.root / "b.mp4", walking(4, 150))
    (place.root / "c.mp4").write_bytes(b"no video")
    encode(folder / "other.mp4", walking(8, 170))
    (folder / "small.yaml").write_text(DESCRIPTION)
    place.scan()
    report = place.curate()
    assert report.counts == {"done": 2, "no_face": 0, "failed": 1}
    return folder


@pytest.fixture
def place(curated, tmp_path) -> Place:
    shutil.copytree(curated, tmp_path / "place", copy_function=shutil.copy2)
    moved = Place(tmp_path / "place")
    moved.scan()
    return moved


@pytest.mark.parametrize("scanned", [False, True], ids=["without a scan", "after a scan"])
def test_new_bytes_are_curated_and_the_old_faces_retire(place, scanned):
    before = place.faces()
    shutil.copy(place.root.parent / "other.mp4", place.root / "a.mp4")
    if scanned:
        place.scan()
    report = place.curate()
    assert (report.videos, report.changed, report.faces) == (1, 1, 2)
    after = place.faces()
    assert after["b"] == before["b"]
    assert not set(after["a"]) & set(before["a"])
    assert verify_store(place.store / "shards") == []
    assert place.curate().videos == 0
    rebuild(place.catalog.with_name("again.duckdb"), place.store)
    assert place.faces(place.catalog.with_name("again.duckdb")) == after


def test_a_file_that_only_lost_its_times_is_hashed_once_and_not_curated(place, monkeypatch):
    before = place.faces()
    for file in place.root.iterdir():
        os.utime(file, ns=(1, 1))
    hashed = []
    from curation import changes

    real = changes.content_hash
    monkeypatch.setattr(changes, "content_hash", lambda path, kind: hashed.append(path.name) or real(path, kind))
    assert place.curate().videos == 0
    assert sorted(hashed) == ["a.mp4", "b.mp4", "c.mp4"]
    assert place.curate().videos == 0
    assert len(hashed) == 3
    assert place.faces() == before


def test_a_file_that_came_back_brings_its_faces_back(place):
    before = place.faces()
    shutil.copy2(place.root / "a.mp4", place.root.parent / "kept.mp4")
    shutil.copy(place.root.parent / "other.mp4", place.root / "a.mp4")
    place.curate()
    assert place.faces() != before
    shutil.copy2(place.root.parent / "kept.mp4", place.root / "a.mp4")
    assert place.curate().videos == 0
    assert place.faces() == before


def test_a_failed_video_that_was_copied_anew_is_done_without_being_asked_for(place):
    shutil.copy(place.root.parent / "other.mp4", place.root / "c.mp4")
    assert place.curate().counts == {"done": 1, "no_face": 0, "failed": 0}
    assert set(place.faces()) == {"a", "b", "c"}


def test_a_video_that_is_gone_keeps_its_faces_and_is_named(place):
    before = place.faces()
    (place.root / "a.mp4").unlink()
    report = place.curate()
    assert report.videos == 0
    assert "small/original/native/a" in report.notes[0]
    assert place.faces() == before


def test_a_source_that_is_away_is_said_and_changes_nothing(place):
    before = place.faces()
    place.root.rename(place.root.with_name("away"))
    place.root.mkdir()  # as the mount point of a lost disk
    report = place.curate()
    assert report.videos == 0
    assert "was not looked at" in report.notes[0]
    assert place.faces() == before


def test_retrying_takes_videos_by_the_words_of_their_reason(place):
    assert place.curate(retry="no face").videos == 0
    for _ in range(2):  # the same videos once more: their pack has another name
        report = place.curate(retry="cannot be opened")
        assert (report.videos, report.counts["failed"]) == (1, 1)
    assert len(list(place.store.glob("shards/*.videos.parquet"))) == 3
