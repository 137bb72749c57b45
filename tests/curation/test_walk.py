"""The demo's walk to its end, over videos that the suite has curated: what a user types first must not break off."""

import shutil

import pytest

from curation.demo import walk
from curation.demo.layout import SIZES
from tests.conftest import RECIPE


@pytest.mark.parametrize("size", SIZES)
def test_the_training_set_leaves_frames_for_the_splits_that_live_on_the_others(size):
    assert 0 < walk.drawn(size) < min(SIZES[size].frames, walk.SAMPLED)
    assert walk.drawn("full") == 16


def test_the_walk_goes_from_videos_to_the_figures_of_every_situation(curated, tmp_path, monkeypatch, capfd):
    sampling, frames = RECIPE[-1].split()
    monkeypatch.setattr(walk, "SAMPLED", int(frames))  # so that curation finds its work done
    assert sampling == "evenly"
    folder = tmp_path / "demo"
    shutil.copytree(curated.folder / "store", folder / "store")
    shutil.copy(curated.folder / "catalog.duckdb", folder)
    (folder / "videos").symlink_to((curated.folder / "videos").resolve())
    results = walk.walk(folder, "tiny", ("--epochs", "1", "--batch_size", "8"))
    said = capfd.readouterr().out
    assert "found 64 videos" in said and "nothing to do" in said
    assert [result.split for result in results] == [split for split, _ in walk.SITUATIONS]
    for result in results:
        assert result.frames > 0 and result.videos > 1
        assert 0 <= result.frame_auc <= 1 and 0 <= result.video_auc <= 1
        assert result.situation in said
