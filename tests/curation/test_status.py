"""What `deepshard status` is told while a run is on and when one was stopped in the middle."""

import os
from pathlib import Path

import pytest

from curation.recipe import Recipe
from curation.run import curate
from curation.sources import open_source, write_source
from curation.status import status
from queries.ingest import ingest_source
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


@pytest.fixture
def place(tmp_path) -> tuple[Path, Path]:
    for index in range(5):
        encode(tmp_path / "videos" / f"v{index}.mp4", walking(3, 150 + index))
    (tmp_path / "small.yaml").write_text(DESCRIPTION)
    source = open_source("folder", tmp_path / "videos", config=tmp_path / "small.yaml")
    ingest_source(tmp_path / "catalog.duckdb", write_source(source, tmp_path / "store"))
    return tmp_path / "catalog.duckdb", tmp_path / "store"


def test_while_it_runs_when_it_was_stopped_and_when_it_is_done(place, monkeypatch):
    monkeypatch.setattr("curation.plan.SHARD_BYTES", 20_000)  # so that some videos are in shards, some in parts
    catalog, store = place
    assert status(catalog, store) == []
    told = []

    def look(progress) -> None:
        told.extend(status(catalog, store))
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curate(catalog, store, RECIPE, workers=1, on_progress=look)
    [stopped] = status(catalog, store)
    assert curate(catalog, store, RECIPE, workers=1).videos == 2
    [done] = status(catalog, store)
    assert [one.progress.count("done") for one in [*told, stopped, done]] == [1, 2, 3, 3, 5]
    assert [one.progress.count("left") for one in [*told, stopped, done]] == [4, 3, 2, 2, 0]
    assert [one.planned for one in [*told, stopped, done]] == [4, 3, 2, 2, 0]
    assert {one.holder for one in told} == {f"process {os.getpid()} on {os.uname().nodename}"}
    assert stopped.holder is done.holder is None
    assert done.progress.count("faces") == 10
    assert (done.recipe, done.recipe_hash[:8]) == ("test", done.recipe_hash[:8])
