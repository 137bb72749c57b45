"""DFDC and its preview: lists beside the videos tell label, split, original and people; parts may be absent."""

import json

import pytest

from curation.sources import SourceError, open_source
from tests.curation.sources.layouts import dfdc, dfdcp
from tests.curation.sources.trees import by_name, rows, touch


def change(file, edit):
    listed = json.loads(file.read_text())
    edit(listed)
    file.write_text(json.dumps(listed))


def test_an_original_is_the_one_that_the_list_names_and_the_split_is_the_folders(tmp_path):
    dfdc(tmp_path)
    source = open_source("dfdc", tmp_path)
    listed = {}
    for file in tmp_path.glob("*/metadata.json"):
        listed |= json.loads(file.read_text())
    for video in source.videos:
        folder = video.path.split("/")[0]
        assert video.official_split == {"test": "test", "validation": "val"}.get(folder, "train")
        original = listed.get(f"{video.name}.mp4", {}).get("original")
        assert video.original_video == (f"dfdc/original/native/{original.removesuffix('.mp4')}" if original else None)
        assert (video.category, video.method) == (("mixed", "DFDC") if video.label else ("real", "original"))
        assert video.raw_label == ("FAKE" if video.label else "REAL")
        assert video.target_id is video.source_id is video.visible_id is None


def test_the_published_counts_stand_in_the_table_and_absent_parts_in_a_warning(tmp_path):
    dfdc(tmp_path, parts=(0, 7))
    source = open_source("dfdc", tmp_path)
    table = rows(source)
    assert {key[::2]: row.expected for key, row in table.items()} == {
        ("original", "train"): 19_154,
        ("DFDC", "train"): 100_000,
        ("original", "test"): 2_500,
        ("DFDC", "test"): 2_500,
        ("original", "val"): 2,
        ("DFDC", "val"): 2,
    }
    assert table["original", "native", "train"].unnamed == 19_154 - 6
    assert any(
        "no folder for 48 of the 50" in warning and " 1, 2, 3, 4, 5, 6, 8" in warning for warning in source.warnings
    )
    assert any("labels.csv lists 4 videos, published are 4,000" in warning for warning in source.warnings)


@pytest.mark.parametrize("number", ["3", "03"])
def test_parts_are_found_in_train_too_and_whatever_their_numbers_look_like(tmp_path, number):
    dfdc(tmp_path / "flat", parts=(3,))
    dfdc(tmp_path / "deep", parts=(3,), inside="train/")
    part = tmp_path / "deep" / "train" / "dfdc_train_part_3"
    part.rename(part.with_name(f"dfdc_train_part_{number}"))
    flat, deep = (open_source("dfdc", tmp_path / name) for name in ("flat", "deep"))
    assert [video.video_id for video in deep.videos] == [video.video_id for video in flat.videos]


def test_one_part_alone_is_complete_by_its_own_list(tmp_path):
    dfdc(tmp_path, parts=(5,))
    source = open_source("dfdc", tmp_path / "dfdc_train_part_5")
    assert len(source.videos) == 10
    assert all(row.complete for row in source.completeness())
    (tmp_path / "dfdc_train_part_5" / "real5x1.mp4").unlink()
    again = open_source("dfdc", tmp_path / "dfdc_train_part_5")
    assert rows(again)["original", "native", "train"].missing == ["real5x1.mp4"]


def test_a_folder_without_its_labels_is_said_and_not_read(tmp_path):
    dfdc(tmp_path)
    (tmp_path / "test" / "labels.csv").unlink()
    source = open_source("dfdc", tmp_path)
    assert "test" not in {video.official_split for video in source.videos}
    assert any(warning.startswith("test/ has no labels.csv") for warning in source.warnings)


def test_a_part_without_its_list_one_name_twice_and_two_copies_of_a_part_are_errors(tmp_path):
    dfdc(tmp_path)
    touch(tmp_path / "dfdc_train_part_7", ["real0x0.mp4"])
    with pytest.raises(SourceError, match="dfdc_train_part_0/real0x0.mp4, dfdc_train_part_7/real0x0.mp4 have one name"):
        open_source("dfdc", tmp_path)
    (tmp_path / "dfdc_train_part_7" / "real0x0.mp4").unlink()
    (tmp_path / "dfdc_train_part_07").mkdir()
    with pytest.raises(SourceError, match="are one part of DFDC"):
        open_source("dfdc", tmp_path)
    (tmp_path / "dfdc_train_part_07").rmdir()
    (tmp_path / "dfdc_train_part_49" / "metadata.json").unlink()
    with pytest.raises(SourceError, match="dfdc_train_part_49 has no metadata.json"):
        open_source("dfdc", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,is_fake\na.mp4,1", "does not begin with filename,label"),
        ("filename,label\ntest0.mp4,2", r"labels.csv, line 2: test0.mp4, 2 is not"),
        ("filename,label\ntest0.mp4,1\n\ntest0.mp4,0", "labels.csv, line 4"),
        ("filename,label\ntest0.mp4", "labels.csv, line 2"),
    ],
)
def test_labels_that_cannot_be_right_are_errors_with_their_line(tmp_path, text, message):
    dfdc(tmp_path)
    (tmp_path / "test" / "labels.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        open_source("dfdc", tmp_path)


# -- preview -----------------------------------------------------------------------------------------------------------


def test_people_splits_and_originals_of_the_preview_are_those_of_its_list(tmp_path):
    dfdcp(tmp_path)
    listed = json.loads((tmp_path / "dataset.json").read_text())
    source = open_source("dfdcp", tmp_path)
    assert {video.path for video in source.videos} == set(listed)
    for video in source.videos:
        said = listed[video.path]
        assert (video.raw_label, video.official_split) == (said["label"], said["set"])
        assert video.target_id == f"dfdcp:{said['target_id']}"
        assert video.source_id == (f"dfdcp:{said['swapped_id']}" if video.label else None)
        assert video.visible_id == (video.source_id or video.target_id)
        assert video.method == {"original_videos": "original"}.get(video.path.split("/")[0], video.path.split("/")[0])


def test_an_original_of_the_preview_is_given_only_where_one_clip_of_the_recording_is_listed(tmp_path):
    dfdcp(tmp_path)
    for video in open_source("dfdcp", tmp_path).videos:
        if video.label:
            single = video.target_id == "dfdcp:1260311"  # the other was recorded in two clips
            assert video.original_video == ("dfdcp/original/native/1260311%2F1260311_A_001" if single else None)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda said: said.update(label="FAKE"), "labelled 'FAKE'; wanted are real and fake"),
        (lambda said: said.update(label="fake"), "contradicts its folder"),
        (lambda said: said.update(set="val"), "neither train nor test"),
        (lambda said: said.pop("label"), "labelled None"),
    ],
)
def test_a_preview_list_that_contradicts_itself_is_an_error(tmp_path, edit, message):
    dfdcp(tmp_path)
    change(tmp_path / "dataset.json", lambda listed: edit(listed["original_videos/643049/643049_A_001.mp4"]))
    with pytest.raises(SourceError, match=message):
        open_source("dfdcp", tmp_path)


def test_counts_that_differ_from_the_published_ones_are_said(tmp_path):
    dfdcp(tmp_path)
    warnings = open_source("dfdcp", tmp_path).warnings
    assert {
        "dataset.json lists 3 real videos, published are 1,131",
        "dataset.json lists 4 fake videos, published are 4,119",
    } <= set(warnings)


def test_a_name_that_two_folders_of_the_preview_hold_stays_two_videos(tmp_path):
    dfdcp(tmp_path)
    twice = [
        video for video in open_source("dfdcp", tmp_path).videos if video.label and video.target_id == "dfdcp:643049"
    ]
    assert len({video.name for video in twice}) == 1
    assert len({video.video_id for video in twice}) == 2
    assert len(by_name(open_source("dfdcp", tmp_path))) == 5
