"""WildDeepfake: sequences of frames from unpacked archives, however they were unpacked; archives alone are an error."""

import re
import shutil
import subprocess
import tarfile

import cv2
import numpy as np
import pytest

from curation.frames import open_clip
from curation.sources import LayoutError, SourceError, open_source
from tests.curation.sources.layouts import put_frames, wilddeepfake
from tests.curation.sources.trees import rows, touch


def ids(root):
    return [video.video_id for video in open_source("wilddeepfake", root).videos]


def pack(root):
    """Every archive's folder as ``N.tar.gz``, with the names that the published archives have."""
    for folder in [folder for split in root.iterdir() for folder in split.iterdir()]:
        with tarfile.open(folder.with_name(f"{folder.name}.tar.gz"), "w:gz") as archive:
            archive.add(folder, f"./{folder.name}")
        shutil.rmtree(folder)


def test_a_sequence_is_a_clip_of_cropped_frames_with_its_folders_label_and_split(tmp_path):
    wilddeepfake(tmp_path)
    source = open_source("wilddeepfake", tmp_path)
    for video in source.videos:
        label, split = video.raw_label.split("_")
        assert (video.kind, video.aligned, video.official_split) == ("frames", True, split)
        assert (video.label, video.method) == ((0, "original") if label == "real" else (1, "wild"))
        assert video.target_id is video.original_video is None
        archive, sequence = video.path.split("/")[1::2]
        assert video.name == f"{label}_{split}/{archive}/{sequence}"
    assert {row.part: row.found for row in source.completeness()} == {"train": 6, "test": 6}
    assert all(row.expected is None for row in source.completeness())
    assert any("24 sequences; 7,314 were published" in note for note in source.notes)


@pytest.mark.parametrize("inside", ["", "deepfake_in_the_wild/"])
@pytest.mark.parametrize("spelling", ["{}_{}", "{} {}", "{}-{}"])
def test_folders_are_found_however_they_are_spelled(tmp_path, inside, spelling):
    wilddeepfake(tmp_path / "a")
    wilddeepfake(tmp_path / "b", inside, spelling)
    assert ids(tmp_path / "b") == ids(tmp_path / "a")


def test_archives_alone_are_an_error_whose_command_unpacks_them(tmp_path):
    wilddeepfake(tmp_path)
    before = ids(tmp_path)
    pack(tmp_path)
    with pytest.raises(SourceError, match="Unpack each beside itself") as caught:
        open_source("wilddeepfake", tmp_path)
    assert "\n" not in str(caught.value)
    command = re.search("`(for archive.*?)`", str(caught.value))[1]
    for folder in tmp_path.iterdir():
        subprocess.run(["bash", "-ec", command], cwd=folder, check=True)
    assert ids(tmp_path) == before
    assert open_source("wilddeepfake", tmp_path).warnings == []


def test_an_archive_that_is_not_unpacked_is_missed_by_name(tmp_path):
    wilddeepfake(tmp_path)
    touch(tmp_path / "fake_test", ["1.tar.gz", "44.tar.gz"], b"x")
    source = open_source("wilddeepfake", tmp_path)
    assert rows(source)["wild", "native", "test"].missing == ["44.tar.gz (not unpacked)"]
    assert any("1 archives are not unpacked: fake_test/44.tar.gz" in warning for warning in source.warnings)


def test_ids_do_not_depend_on_how_an_archive_was_unpacked(tmp_path):
    put_frames(tmp_path / "a", {"real_train/3/real/9": 0})
    put_frames(tmp_path / "b", {"real_train/3/3/real/9": 0})  # tar --one-top-level
    put_frames(tmp_path / "c", {"real_train/3/9": 0})
    for folder in "abc":
        assert ids(tmp_path / folder) == ["wilddeepfake/original/native/real_train%2F3%2F9"]


def test_images_in_another_place_or_under_the_other_label_are_named_and_not_read(tmp_path):
    wilddeepfake(tmp_path)
    before = ids(tmp_path)
    put_frames(tmp_path, {"real_train/1/fake/77": 1, "real_train/strange": 1})
    source = open_source("wilddeepfake", tmp_path)
    assert [video.video_id for video in source.videos] == before
    assert rows(source)["original", "native", "train"].unexpected == ["1/fake/77/ (2 images)", "strange/ (2 images)"]


def test_the_frames_number_is_its_index(tmp_path):
    black = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    touch(tmp_path / "fake_test" / "1" / "fake" / "8", ["12.png", "7.png", "130.png"], black)
    (video,) = open_source("wilddeepfake", tmp_path).videos
    assert open_clip(video.file(tmp_path), kind=video.kind).indices == [7, 12, 130]


def test_a_tree_without_the_four_folders_is_told_what_was_wanted(tmp_path):
    touch(tmp_path / "train", ["1.tar.gz"], b"x")
    with pytest.raises(LayoutError, match=r"\{real,fake\}_\{train,test\}/N/.*found train/"):
        open_source("wilddeepfake", tmp_path)
    (tmp_path / "real_train").mkdir()
    with pytest.raises(LayoutError, match="found real_train/, train/"):
        open_source("wilddeepfake", tmp_path)
