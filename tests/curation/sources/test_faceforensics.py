"""FaceForensics++: names, labels, identities, splits, and which file is missing."""

import json
import os
import shutil

import pytest

from curation.sources import SourceError, open_source
from tests.curation.sources.trees import METHODS, by_name, fakes, ffpp, originals, published_pairs, rows, touch

SWAPS = {"Deepfakes", "FaceSwap", "FaceShifter"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return open_source("faceforensics", ffpp(tmp_path_factory.mktemp("whole"), qualities=("raw", "c23")))


@pytest.fixture
def full(tmp_path):
    """All originals and one method with masks, in one quality."""
    return ffpp(tmp_path / "ff", methods=("Deepfakes",))


@pytest.fixture
def small(tmp_path):
    """Ten of the originals and of one method, in one quality."""
    touch(tmp_path / "ff" / "original_sequences" / "youtube" / "c23" / "videos", originals()[:10])
    touch(tmp_path / "ff" / "manipulated_sequences" / "Deepfakes" / "c23" / "videos", fakes()[-10:])
    return tmp_path / "ff"


def test_a_whole_copy_is_complete(whole):
    assert len(whole.videos) == 2 * 6 * 1000
    table = rows(whole)
    folders = {(method, quality) for method in ("original", *METHODS) for quality in ("raw", "c23")}
    masks = {(method, "masks") for method in METHODS if method != "FaceShifter"}
    assert set(table) == folders | masks
    assert all(row.complete and row.found == row.expected == 1000 for row in table.values())


def test_labels_identities_and_originals_of_every_video(whole):
    pairs = {frozenset(pair) for pairs in published_pairs().values() for pair in pairs}
    for video in whole.videos:
        assert video.dataset == "ffpp"
        assert video.video_id == f"ffpp/{video.method}/{video.quality}/{video.name}"
        if video.method == "original":
            assert (video.label, video.category, video.source_id, video.original_video) == (0, "real", None, None)
            assert video.target_id == video.visible_id == f"ffpp:{video.name}"
            assert video.mask_path is None
            continue
        target, source = video.name[:3], video.name[4:]
        assert frozenset((target, source)) in pairs
        swap = video.method in SWAPS
        assert (video.label, video.category) == (1, "swap" if swap else "reenactment")
        assert (video.target_id, video.source_id) == (f"ffpp:{target}", f"ffpp:{source}")
        assert video.visible_id == (video.source_id if swap else video.target_id)
        assert video.original_video == f"ffpp/original/{video.quality}/{target}"
        masks = f"manipulated_sequences/{video.method}/masks/videos/{video.name}.mp4"
        assert video.mask_path == (None if video.method == "FaceShifter" else masks)


def test_every_original_of_a_fake_is_a_video(whole):
    ids = {video.video_id for video in whole.videos}
    assert {video.original_video for video in whole.videos if video.label} <= ids


def test_official_splits(whole):
    side = {sequence: split for split, pairs in published_pairs().items() for pair in pairs for sequence in pair}
    assert all(video.official_split == side[video.name[:3]] for video in whole.videos)
    test = [video for video in whole.videos if video.official_split == "test" and video.quality == "c23"]
    assert len([video for video in test if video.method == "original"]) == 140
    assert len([video for video in test if video.method == "Face2Face"]) == 140


def test_a_removed_a_renamed_and_an_added_file_are_named(full):
    folder = full / "manipulated_sequences" / "Deepfakes" / "c23" / "videos"
    (folder / "071_054.mp4").unlink()
    (folder / "054_071.mp4").rename(folder / "054_071 (1).mp4")
    touch(folder, ["000_001.mp4", "087_081.mp4.part"])
    (full / "manipulated_sequences" / "Deepfakes" / "masks" / "videos" / "012_026.mp4").unlink()
    source = open_source("faceforensics", full)
    row = rows(source)["Deepfakes", "c23"]
    assert (row.expected, row.found, row.complete) == (1000, 998, False)
    assert row.missing == ["054_071.mp4", "071_054.mp4"]
    assert row.unexpected == ["000_001.mp4", "054_071 (1).mp4", "087_081.mp4.part"]
    assert rows(source)["Deepfakes", "masks"].missing == ["012_026.mp4"]
    assert rows(source)["original", "c23"].complete
    paths = {video.path for video in source.videos}
    assert not paths & {f"manipulated_sequences/Deepfakes/c23/videos/{name}" for name in row.unexpected}
    fakes = {video.name: video for video in source.videos if video.label}
    assert fakes["012_026"].mask_path is None
    assert fakes["026_012"].mask_path is not None


def test_sizes_and_times_are_those_of_the_files(small):
    file = small / "original_sequences" / "youtube" / "c23" / "videos" / "007.mp4"
    file.write_bytes(b"12345")
    os.utime(file, ns=(10**18, 10**18 + 1))
    source = open_source("faceforensics", small)
    video = next(video for video in source.videos if video.path.endswith("youtube/c23/videos/007.mp4"))
    assert (video.bytes, video.mtime_ns) == (5, 10**18 + 1)
    assert video.file(source.root) == file


def test_empty_files_are_a_warning(small):
    warnings = " ".join(open_source("faceforensics", small).warnings)
    assert "20 files are empty" in warnings


def test_c0_of_old_copies_is_raw(tmp_path):
    touch(tmp_path / "original_sequences" / "youtube" / "c0" / "videos", originals())
    source = open_source("faceforensics", tmp_path)
    assert {video.quality for video in source.videos} == {"raw"}
    assert rows(source)["original", "raw"].complete


def test_two_folders_of_one_quality_are_an_error(tmp_path):
    for quality in ("c0", "raw"):
        touch(tmp_path / "original_sequences" / "youtube" / quality / "videos", ["000.mp4"])
    with pytest.raises(SourceError, match="both c0/ and raw/"):
        open_source("faceforensics", tmp_path)


def frames(folder, names, count=3, content=b"png"):
    for name in names:
        touch(folder / name, [f"{index:04d}.png" for index in range(count)], content)


def test_folders_of_images_of_old_copies_are_clips(tmp_path):
    folder = tmp_path / "original_sequences" / "youtube" / "c0" / "images"
    frames(folder, ["000", "001", "strange"])
    touch(folder, ["002.png"])
    (folder / "003").mkdir()
    source = open_source("faceforensics", tmp_path)
    assert {video.name: (video.kind, video.bytes) for video in source.videos} == {
        "000": ("frames", 9),
        "001": ("frames", 9),
    }
    row = rows(source)["original", "raw"]
    assert row.found == 2
    assert {"002/", "003/", "999/"} <= set(row.missing)
    assert row.unexpected == ["002.png", "003/ (no images)", "strange/"]


def test_an_old_copy_of_frames_has_all_methods_qualities_and_masks(tmp_path):
    """As the first versions unpacked: c0, c23 and c40, a folder of %04d.png for each video and for each mask."""
    pairs, people = ["071_054", "054_071"], ["071", "054"]
    for quality in ("c0", "c23", "c40"):
        frames(tmp_path / "original_sequences" / "youtube" / quality / "images", people)
        for method in METHODS:
            frames(tmp_path / "manipulated_sequences" / method / quality / "images", pairs)
    for method in METHODS[:-1]:
        frames(tmp_path / "manipulated_sequences" / method / "masks" / "images", pairs)
    source = open_source("faceforensics", tmp_path)
    found = {(video.method, video.quality, video.name) for video in source.videos}
    assert found == {
        (method, quality, name)
        for method in ("original", *METHODS)
        for quality in ("raw", "c23", "c40")
        for name in (people if method == "original" else pairs)
    }
    for video in source.videos:
        assert video.kind == "frames"
        assert sorted(file.name for file in video.file(tmp_path).iterdir()) == ["0000.png", "0001.png", "0002.png"]
        masked = video.label == 1 and video.method != "FaceShifter"
        masks = f"manipulated_sequences/{video.method}/masks/images/{video.name}"
        assert video.mask_path == (masks if masked else None)
    table = rows(source)
    assert len(table) == 6 * 3 + 4
    assert all(row.found == 2 and len(row.missing) == 998 and not row.unexpected for row in table.values())


def test_a_removed_and_a_renamed_folder_of_frames_are_named(tmp_path):
    folder = tmp_path / "manipulated_sequences" / "NeuralTextures" / "c23" / "images"
    frames(folder, [name.removesuffix(".mp4") for name in fakes()], count=1)
    assert rows(open_source("faceforensics", tmp_path))["NeuralTextures", "c23"].complete
    shutil.rmtree(folder / "071_054")
    (folder / "054_071").rename(folder / "054-071")
    row = rows(open_source("faceforensics", tmp_path))["NeuralTextures", "c23"]
    assert (row.missing, row.unexpected) == (["054_071/", "071_054/"], ["054-071/"])


def test_videos_are_read_where_both_forms_are_there_and_a_note_says_so(small):
    folder = small / "original_sequences" / "youtube" / "c23" / "images"
    frames(folder, ["000", "001"])
    source = open_source("faceforensics", small)
    assert {video.kind for video in source.videos} == {"video"}
    assert any("2 clips in original_sequences/youtube/c23/images not read" in note for note in source.notes)
    as_images = open_source("faceforensics", small, layout="images")
    assert [(video.name, video.kind) for video in as_images.videos] == [("000", "frames"), ("001", "frames")]


def test_an_unknown_layout_is_an_error(small):
    with pytest.raises(SourceError, match='layout "vidoes" is not known. Did you mean "videos"'):
        open_source("faceforensics", small, layout="vidoes")


def test_a_folder_named_like_a_video_and_a_broken_link_are_missing_and_named(small):
    folder = small / "original_sequences" / "youtube" / "c23" / "videos"
    (folder / "000.mp4").unlink()
    (folder / "000.mp4").mkdir()
    (folder / "001.mp4").unlink()
    (folder / "001.mp4").symlink_to("nowhere.mp4")
    row = rows(open_source("faceforensics", small))["original", "c23"]
    assert row.missing[:3] == ["000.mp4", "001.mp4", "010.mp4"]
    assert row.unexpected == ["000.mp4/", "001.mp4 (broken link)"]


def test_links_to_folders_on_other_disks_are_followed(small, tmp_path):
    folder = small / "manipulated_sequences" / "Deepfakes" / "c23"
    shutil.move(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    source = open_source("faceforensics", small)
    assert rows(source)["Deepfakes", "c23"].found == 10
    assert all(video.path.startswith(("manipulated_sequences/", "original_sequences/")) for video in source.videos)


def test_dfd_folders_are_left_to_the_dfd_adapter_with_a_note(small):
    touch(
        small / "manipulated_sequences" / "DeepFakeDetection" / "c23" / "videos", ["01_02__kitchen_pan__ABCDEFGH.mp4"]
    )
    source = open_source("faceforensics", small)
    assert source.datasets == ["ffpp"]
    assert any(f"deepshard scan dfd {small}" in note for note in source.notes)
    assert not any("DeepFakeDetection" in warning for warning in source.warnings)


def test_what_the_layout_does_not_have_is_named(small):
    touch(small / "manipulated_sequences" / "Deepfakez" / "c23" / "videos", ["x.mp4"])
    touch(small / "manipulated_sequences" / "Deepfakes" / "c23" / "faces", ["x.png"])
    touch(small / "manipulated_sequences" / "Deepfakes" / "c22", ["x.mp4"])
    warning = next(text for text in open_source("faceforensics", small).warnings if "not read" in text)
    for name in ("manipulated_sequences/Deepfakez/", "Deepfakes/c23/faces/", "Deepfakes/c22/"):
        assert name in warning


def test_absent_methods_are_named_once_per_quality(small):
    touch(small / "original_sequences" / "youtube" / "c40" / "videos", originals())
    warnings = [text for text in open_source("faceforensics", small).warnings if text.startswith("no c")]
    assert warnings == [
        "no c23 folder for Face2Face, FaceSwap, NeuralTextures, FaceShifter (1000 videos each)",
        "no c40 folder for Deepfakes, Face2Face, FaceSwap, NeuralTextures, FaceShifter (1000 videos each)",
    ]


@pytest.mark.parametrize("place", ["splits/train.json", "train.json"])
def test_split_lists_of_a_copy_are_compared_with_the_published_ones(small, place):
    (small / "splits").mkdir()
    published = published_pairs()
    (small / place).write_text(json.dumps(published["train"]))
    source = open_source("faceforensics", small)
    assert not any("train.json" in text for text in source.notes + source.warnings)

    (small / place).write_text(json.dumps(published["train"][:3]))
    source = open_source("faceforensics", small)
    assert any(f"{place} lists 3 of the 360 published pairs" in note for note in source.notes)

    (small / place).write_text(json.dumps([*published["train"], published["test"][-1]]))
    source = open_source("faceforensics", small)
    pair = "_".join(sorted(published["test"][-1]))
    assert any(place in warning and pair in warning for warning in source.warnings)
    assert by_name(source)["_".join(published["test"][-1])].official_split == "test"


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '[["071", 54]]', "\udcff"])
def test_a_split_list_that_is_none_is_a_warning(small, text):
    (small / "splits").mkdir()
    (small / "splits" / "val.json").write_text(text, errors="surrogateescape")
    assert any("val.json" in warning for warning in open_source("faceforensics", small).warnings)


def test_a_tree_without_any_original_still_knows_its_fakes(tmp_path):
    touch(tmp_path / "manipulated_sequences" / "Face2Face" / "c40" / "videos", fakes()[:10])
    source = open_source("faceforensics", tmp_path)
    assert len(source.videos) == 10
    assert len(rows(source)["Face2Face", "c40"].missing) == 990
