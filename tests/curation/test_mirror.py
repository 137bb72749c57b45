"""``curate --mirror``: shards arrive elsewhere as they are finished; a mirror that fails stops the run, no more."""

import pytest

import curation.plan
from curation.run import curate
from shards.mirror import Mirror, MirrorError
from shards.verify import verify_store
from tests.curation.people import encode, walking
from tests.curation.test_fetch import RECIPE, scan


def test_shards_arrive_as_they_are_finished_and_a_run_that_failed_to_send_continues(tmp_path, monkeypatch):
    monkeypatch.setattr(curation.plan, "SHARD_BYTES", 20_000)  # a video in a pack
    for name in ("real a", "real b", "real c"):
        encode(tmp_path / "videos" / f"{name}.mp4", walking(4))
    catalog, store = scan(tmp_path / "videos", tmp_path / "place")
    mirror = tmp_path / "mirror"
    mirror.write_text("a file where a folder should be")
    with pytest.raises(MirrorError, match="same command again"):
        curate(catalog, store, RECIPE, workers=1, mirror=f"file://{mirror}")
    mirror.unlink()

    made, send = [], Mirror.send

    def count(self, name):
        made.append(len(list(store.glob("shards/*.videos.parquet"))))
        send(self, name)

    monkeypatch.setattr(Mirror, "send", count)
    curate(catalog, store, RECIPE, workers=1, mirror=f"file://{mirror}")
    copied = {file.relative_to(mirror): file.read_bytes() for file in mirror.rglob("*") if file.is_file()}
    folders = (store / "shards", store / "recipes")
    kept = {file.relative_to(store): file.read_bytes() for folder in folders for file in folder.iterdir()}
    assert copied == kept
    assert len(list(mirror.glob("shards/*.tar"))) == 3
    assert verify_store(mirror / "shards") == []
    assert made == [1, 2, 3]  # each was handed over before the next was made
    assert list((store / "parts").glob("*/*")) == []
