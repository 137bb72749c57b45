"""DeeperForensics-1.0: names by list, by splits, by sister folders or by number; FF++'s footage and people."""

import pytest

from curation.sources import SourceError, open_source
from tests.curation.sources.layouts import DEEPER, deeper_names, deeperforensics
from tests.curation.sources.trees import rows, touch


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("deeper")
    deeperforensics(root, tuple(DEEPER))
    return open_source("deeperforensics", root)


def drop_lists(root):
    for file in (root / "lists" / "splits").iterdir():
        file.unlink()


def test_all_eleven_folders_are_whole_and_each_is_a_method_and_a_quality(whole):
    assert len(whole.videos) == 11_000
    assert all(row.complete for row in whole.completeness())
    assert {(row.method, row.quality) for row in whole.completeness()} == {
        ("end_to_end", "native"),
        ("reenact_postprocess", "native"),
        ("end_to_end", "random_level"),
        *(("end_to_end", f"level_{level}") for level in range(1, 6)),
        *(("end_to_end", f"mix_{count}_distortions") for count in (2, 3, 4)),
    }
    assert whole.warnings == []


def test_splits_are_the_published_703_96_201_in_every_folder(whole):
    for row in whole.completeness():
        splits = [v.official_split for v in whole.videos if (v.method, v.quality) == (row.method, row.quality)]
        assert [splits.count(split) for split in ("train", "val", "test")] == [703, 96, 201]


def test_the_footage_is_ffpps_and_the_face_the_actors(whole):
    for video in whole.videos:
        target, actor = video.name.split("_")
        assert (video.label, video.category) == (1, "swap")
        assert video.target_id == f"ffpp:{target}"
        assert video.source_id == video.visible_id == f"deeperforensics:{actor}"
        assert video.original_video == f"ffpp/original/c23/{target}"
    assert any("deepshard scan faceforensics" in note for note in whole.notes)


def test_without_lists_sister_folders_tell_the_name_and_else_the_number_is_missed(tmp_path):
    deeperforensics(tmp_path, ("end_to_end", "end_to_end_level_3", "reenact_postprocess"))
    drop_lists(tmp_path)
    videos = tmp_path / "manipulated_videos"
    for folder in ("end_to_end_level_3", "reenact_postprocess"):
        (videos / folder / f"{deeper_names()[5]}.mp4").unlink()
    source = open_source("deeperforensics", tmp_path)
    table = rows(source)
    assert table["end_to_end", "native"].complete
    assert table["end_to_end", "level_3"].missing == [f"{deeper_names()[5]}.mp4"]
    assert table["reenact_postprocess", "native"].missing == []
    assert table["reenact_postprocess", "native"].unnamed == 1
    assert {video.official_split for video in source.videos} == {None}


def test_an_actor_that_differs_between_sister_folders_is_missed_in_both(tmp_path):
    deeperforensics(tmp_path, ("end_to_end", "end_to_end_level_3"))
    drop_lists(tmp_path)
    name = f"{deeper_names()[5]}.mp4"
    folder = tmp_path / "manipulated_videos" / "end_to_end_level_3"
    (folder / name).rename(folder / "005_M999.mp4")
    table = rows(open_source("deeperforensics", tmp_path))
    assert table["end_to_end", "level_3"].missing == [name]
    assert table["end_to_end", "native"].missing == ["005_M999.mp4"]


def test_whole_splits_tell_every_name_so_that_another_is_not_read(tmp_path):
    deeperforensics(tmp_path, ("end_to_end",))
    touch(tmp_path / "manipulated_videos" / "end_to_end", ["005_M999.mp4"])
    source = open_source("deeperforensics", tmp_path)
    row = rows(source)["end_to_end", "native"]
    assert (row.unexpected, row.missing, row.found) == (["005_M999.mp4"], [], 1000)
    assert "005_M999" not in {video.name for video in source.videos}


def test_a_folders_own_list_stands_above_the_splits(tmp_path):
    deeperforensics(tmp_path, ("reenact_postprocess",))
    lists = tmp_path / "lists" / "manipulated_videos_lists"
    touch(lists, ["manipulated_videos_reenact_postprocess_list.txt"])
    names = deeper_names()[1:]
    (lists / "manipulated_videos_reenact_postprocess_list.txt").write_text(
        "\n".join(f"manipulated_videos/reenact_postprocess/{name}.mp4" for name in [*names, "000_M999"])
    )
    row = rows(open_source("deeperforensics", tmp_path))["reenact_postprocess", "native"]
    assert (row.missing, row.unexpected) == (["000_M999.mp4"], [f"{deeper_names()[0]}.mp4"])


def test_a_target_with_a_second_actor_is_too_much_also_without_lists(tmp_path):
    deeperforensics(tmp_path, ("end_to_end",))
    drop_lists(tmp_path)
    touch(tmp_path / "manipulated_videos" / "end_to_end", ["000_M999.mp4"])
    row = rows(open_source("deeperforensics", tmp_path))["end_to_end", "native"]
    assert (row.surplus, row.complete) == (1, False)


def test_the_actors_videos_are_not_the_real_class(tmp_path):
    deeperforensics(tmp_path, ("end_to_end",))
    touch(tmp_path / "source_videos" / "M004", ["M004_BlendShape_camera_front.mp4"])
    touch(tmp_path / "manipulated_videos" / "end_to_end_level_6", ["000_M004.mp4"])
    source = open_source("deeperforensics", tmp_path)
    assert {video.label for video in source.videos} == {1}
    assert any("source_videos" in note for note in source.notes)
    assert any("end_to_end_level_6/" in warning for warning in source.warnings)


@pytest.mark.parametrize(
    ("line", "message"), [("12_M004.mp4", "train.txt, line 704"), ("{}.mp4", "val.txt: .* is in train.txt")]
)
def test_a_split_that_is_not_one_is_an_error(tmp_path, line, message):
    deeperforensics(tmp_path, ("end_to_end",))
    splits = tmp_path / "lists" / "splits"
    file = splits / ("val.txt" if "{}" in line else "train.txt")
    file.write_text(f"{file.read_text()}\n{line.format(deeper_names()[0])}")
    with pytest.raises(SourceError, match=message):
        open_source("deeperforensics", tmp_path)
