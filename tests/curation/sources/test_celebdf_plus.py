"""Celeb-DF++: 22 methods in three scenarios, v2's real clips, and a test list of either polarity."""

import json

import pytest

from curation.sources import SourceError, open_source
from tests.curation.sources.layouts import PLUS, celebdf_plus
from tests.curation.sources.trees import DATA, rows, touch

V2_FOLDERS = {"Celeb-real": "Celeb-real", "YouTube-real": "YouTube-real", "Celeb-DF": "Celeb-synthesis"}
V2 = json.loads((DATA / "celebdf_v2_test.json").read_text())


@pytest.fixture
def tree(tmp_path):
    celebdf_plus(tmp_path)
    return tmp_path


def test_every_method_is_a_row_of_its_scenarios_category(tree):
    source = open_source("celebdf", tree)
    category = {"FaceSwap": "swap", "FaceReenact": "reenactment", "TalkingFace": "reenactment"}
    expected = {name: category[scenario] for scenario, methods in PLUS.items() for name in methods.split()}
    assert len(expected) == 22
    assert {video.method: video.category for video in source.videos if video.label} == expected
    assert source.datasets == ["celebdf-pp"]
    assert source.warnings == []
    table = {method: row.expected for (method, _), row in rows(source).items()}
    assert table == {**dict.fromkeys(expected), "Celeb-real": 590, "YouTube-real": 300, "Celeb-DF": 5639}


def test_people_are_those_of_celebdf_and_a_swaps_original_is_the_first_ones_clip(tree):
    for video in open_source("celebdf", tree).videos:
        if video.label:
            target, source, clip = video.name.split("_")
            assert (video.target_id, video.source_id) == (f"celebdf:{target}", f"celebdf:{source}")
            original = f"celebdf-pp/Celeb-real/native/{target}_{clip}"
            assert video.original_video == (original if video.category == "swap" else None)
            seen = {"Celeb-DF": video.source_id}.get(
                video.method, None if video.category == "swap" else video.target_id
            )
            assert video.visible_id == seen


def test_the_test_list_decides_the_split(tree):
    for video in open_source("celebdf", tree).videos:
        tested = "0007" in video.name or video.name == "00170"
        assert video.official_split == ("test" if tested else "train")


def test_either_digit_may_mean_real_and_a_mixture_is_an_error(tree):
    before = open_source("celebdf", tree).videos
    file = tree / "List_of_testing_videos.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(f"{1 - int(line[0])}{line[1:]}" for line in lines))
    assert open_source("celebdf", tree).videos == before
    file.write_text("\n".join([*lines, f"{1 - int(lines[0][0])}{lines[0][1:]}"]))
    with pytest.raises(SourceError, match=f"line {len(lines) + 1}: .* contradicts its folder"):
        open_source("celebdf", tree)


def test_without_a_list_v2s_list_splits_what_v2_had_and_nothing_else(tmp_path):
    celebdf_plus(tmp_path, listed=False)
    for video in open_source("celebdf", tmp_path).videos:
        known = V2_FOLDERS.get(video.method)
        split = None if known is None else "test" if video.name in V2[known] else "train"
        assert video.official_split == split


def test_listed_clips_and_originals_are_missed_by_name(tree):
    (tree / "Celeb-synthesis/TalkingFace/FLOAT/id1_id0_0007.mp4").unlink()
    (tree / "Celeb-real/id0_0000.mp4").unlink()
    table = rows(open_source("celebdf", tree))
    assert table["FLOAT", "native"].missing == ["id1_id0_0007.mp4"]
    assert "id0_0000.mp4" in table["Celeb-real", "native"].missing
    assert len(table["YouTube-real", "native"].missing) == 298


def test_an_absent_and_an_unknown_method_are_said_and_a_version_is_refused(tree):
    (tree / "Celeb-synthesis/FaceSwap/GHOST").rename(tree / "Celeb-synthesis/FaceSwap/Roop")
    touch(tree / "Celeb-synthesis", ["loose.mp4"])
    warnings = open_source("celebdf", tree).warnings
    assert "no folder Celeb-synthesis/FaceSwap/GHOST" in warnings
    assert any("loose.mp4" in text and "FaceSwap/Roop" in text for text in warnings)
    with pytest.raises(SourceError, match="without a version"):
        open_source("celebdf", tree, version="v2")
