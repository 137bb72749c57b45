"""FFIW-10K: real and fake by folder, a mask for each fake, and no more than that is known."""

import pytest

from curation.sources import open_source
from tests.curation.sources.layouts import ffiw
from tests.curation.sources.trees import rows, touch


@pytest.mark.parametrize("inner", ["", "videos/"])
def test_ffiws_splits_labels_and_masks_are_those_of_its_folders(tmp_path, inner):
    ffiw(tmp_path, inner)
    source = open_source("ffiw", tmp_path)
    for video in source.videos:
        folder, split = video.path.split("/")[:2]
        assert (video.raw_label, video.official_split) == (folder, split)
        assert video.name == f"{split}/{video.path.rpartition('/')[2].removesuffix('.mp4')}"
        assert video.mask_path == (video.path.replace("target/", "target_mask/") if video.label else None)
    assert all(row.expected is None for row in source.completeness() if row.quality != "masks")
    assert any("9 fakes; 10,000 were published" in note for note in source.notes)


def test_a_mask_without_its_fake_and_a_fake_without_its_mask_are_named(tmp_path):
    ffiw(tmp_path)
    (tmp_path / "target_mask" / "val" / "1_swapped.mp4").rename(tmp_path / "target_mask" / "val" / "x.mp4")
    row = rows(open_source("ffiw", tmp_path))["FFIW", "masks", "val"]
    assert (row.expected, row.found, row.missing, row.unexpected) == (3, 2, ["1_swapped"], ["x.mp4"])


def test_without_masks_and_without_a_side_it_is_said(tmp_path):
    touch(tmp_path / "target" / "test", ["1.mp4"], b"x")
    source = open_source("ffiw", tmp_path)
    assert any("no masks" in note for note in source.notes)
    assert "no folder source" in source.warnings
