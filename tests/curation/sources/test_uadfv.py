"""UADFV: a fake has its original's number, and what lacks both is counted."""

import pytest

from curation.sources import ADAPTERS, SourceError, open_source
from tests.curation.sources.layouts import put, uadfv


@pytest.mark.parametrize("inner", ["", "videos/"])
def test_every_fake_of_uadfv_has_the_original_of_its_number(tmp_path, inner):
    uadfv(tmp_path, inner)
    source = open_source("uadfv", tmp_path)
    assert all(row.complete for row in source.completeness())
    for video in source.videos:
        number = video.name.removesuffix("_fake")
        assert video.original_video == (f"uadfv/original/native/{number}" if video.label else None)
        assert (video.method, video.category) == (("FakeApp", "swap") if video.label else ("original", "real"))
        assert video.official_split is None


def test_what_nobody_can_name_in_uadfv_is_counted(tmp_path):
    uadfv(tmp_path)
    for name in ("real/0004.mp4", "fake/0004_fake.mp4"):
        (tmp_path / name).unlink()
    for row in open_source("uadfv", tmp_path).completeness():
        assert (row.missing, row.unnamed, row.complete) == ([], 1, False)


def test_one_name_in_a_folder_and_in_its_videos_folder_is_an_error(tmp_path):
    uadfv(tmp_path)
    put(tmp_path, {"real/videos/0004.mp4": 0})
    with pytest.raises(SourceError, match="real/0004.mp4, real/videos/0004.mp4 have one name"):
        open_source("uadfv", tmp_path)


def test_real_and_fake_alone_are_not_recognised_as_uadfv(tmp_path):
    put(tmp_path, {"real/a.mp4": 0, "fake/a_fake.mp4": 1})
    assert ADAPTERS["uadfv"].recognise(tmp_path) == (0.0, "")
