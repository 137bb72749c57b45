"""FFHQ, CelebA and LFW: photographs of real people, whose names follow from published rules."""

import json

import pytest

from curation.sources import SourceError, open_source
from tests.curation.sources.layouts import celeba, ffhq, lfw, put
from tests.curation.sources.trees import rows, touch


def test_found_and_missing_are_together_all_70_000_of_ffhq(tmp_path):
    clips = ffhq(tmp_path)
    (row,) = open_source("ffhq", tmp_path).completeness()
    names = {path.rpartition("/")[2] for path in clips}
    assert set(row.missing) | names == {f"{number:05d}.png" for number in range(70_000)}
    assert not set(row.missing) & names
    assert (row.expected, row.found) == (70_000, len(clips))


def test_ffhqs_first_60_000_are_for_training(tmp_path):
    ffhq(tmp_path)
    splits = {int(video.name): video.official_split for video in open_source("ffhq", tmp_path).videos}
    assert splits == {0: "train", 999: "train", 1000: "train", 59999: "train", 60000: "val", 69999: "val"}


def test_sizes_of_ffhq_are_qualities_and_flat_folders_are_read_too(tmp_path):
    ffhq(tmp_path)
    put(tmp_path, {"thumbnails128x128/00007.png": 0, "in-the-wild-images/00000/00007.png": 0})
    source = open_source("ffhq", tmp_path)
    assert {row.quality: row.found for row in source.completeness()} == {"1024": 6, "128": 1, "wild": 1}
    assert {(video.kind, video.label, video.target_id) for video in source.videos} == {("image", 0, None)}


def test_an_image_of_ffhq_in_a_wrong_thousand_or_of_a_number_too_high_is_not_read(tmp_path):
    clips = ffhq(tmp_path)
    put(tmp_path, {"images1024x1024/01000/00500.png": 0, "images1024x1024/70000/70000.png": 0})
    source = open_source("ffhq", tmp_path)
    assert {video.path for video in source.videos} == set(clips)
    assert rows(source)["original", "1024"].unexpected == ["01000/00500.png", "70000/70000.png"]
    assert "00500.png" in rows(source)["original", "1024"].missing


def test_ffhqs_list_tells_files_of_a_wrong_size(tmp_path):
    clips = ffhq(tmp_path)
    listed = {str(int(path[-9:-4])): {"image": {"file_size": 1}} for path in clips}
    (tmp_path / "ffhq-dataset-v2.json").write_text(json.dumps(listed))
    assert open_source("ffhq", tmp_path).warnings == []
    listed["999"]["image"]["file_size"] = 2
    (tmp_path / "ffhq-dataset-v2.json").write_text(json.dumps(listed))
    (warning,) = open_source("ffhq", tmp_path).warnings
    assert "1 files have another size" in warning and "00999.png" in warning


def test_found_and_missing_are_together_all_202_599_of_celeba(tmp_path):
    clips = celeba(tmp_path)
    (row,) = open_source("celeba", tmp_path).completeness()
    names = {path.rpartition("/")[2] for path in clips}
    assert set(row.missing) | names == {f"{number:06d}.jpg" for number in range(1, 202_600)}
    assert (row.expected, row.found, row.quality) == (202_599, len(clips), "aligned")


def test_celebas_people_and_split_are_those_of_its_lists(tmp_path):
    celeba(tmp_path)
    source = open_source("celeba", tmp_path)
    for video in source.videos:
        number = int(video.name)
        assert video.target_id == video.visible_id == f"celeba:{number % 7 + 1}"
        assert video.official_split == ("train", "val", "test")[number % 3]
    assert source.notes == []
    (tmp_path / "Anno" / "identity_CelebA.txt").unlink()
    (tmp_path / "Eval" / "list_eval_partition.txt").rename(tmp_path / "old.txt")
    bare = open_source("celeba", tmp_path)
    assert {(video.target_id, video.official_split) for video in bare.videos} == {(None, None)}
    assert len(bare.notes) == 2


def test_celebas_copy_with_a_csv_file_and_a_doubled_folder_gives_the_same(tmp_path):
    celeba(tmp_path / "a")
    celeba(tmp_path / "b")
    images = tmp_path / "b" / "Img" / "img_align_celeba"
    images.rename(tmp_path / "b" / "moved")
    images.mkdir()
    (tmp_path / "b" / "moved").rename(images / "img_align_celeba")
    text = (tmp_path / "b" / "Eval" / "list_eval_partition.txt").read_text().replace(" ", ",")
    (tmp_path / "b" / "Eval" / "list_eval_partition.txt").unlink()
    (tmp_path / "b" / "list_eval_partition.csv").write_text(f"image_id,partition\n{text}")
    one, other = (
        [(video.video_id, video.official_split) for video in open_source("celeba", tmp_path / folder).videos]
        for folder in "ab"
    )
    assert one == other


@pytest.mark.parametrize("line", ["000001.jpg 3", "000001.jpg", "000001.jpg 0\n000001.jpg 1", "1.jpg 0"])
def test_a_partition_that_is_not_one_is_an_error(tmp_path, line):
    celeba(tmp_path)
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text(line)
    with pytest.raises(SourceError, match=f"list_eval_partition.txt, line {line.count(chr(10)) + 1}"):
        open_source("celeba", tmp_path)


def test_a_person_of_lfw_is_an_identity_of_its_own(tmp_path):
    lfw(tmp_path)
    source = open_source("lfw", tmp_path)
    assert {video.target_id for video in source.videos} == {
        "lfw:Aaron_Eckhart",
        "lfw:George_W_Bush",
        "lfw:Jean-David_Levitte",
    }
    for video in source.videos:
        assert video.target_id == video.visible_id == f"lfw:{video.name.rpartition('_')[0]}"
        assert (video.kind, video.label) == ("image", 0)
    (row,) = source.completeness()
    assert (row.expected, row.found, row.missing) == (13_233, 23, [])
    assert "3 people; 5,749 were published" in source.notes


@pytest.mark.parametrize(
    ("folder", "quality"), [("lfw", "native"), ("lfw_funneled", "funneled"), ("lfw-deepfunneled", "deepfunneled")]
)
def test_the_variant_of_lfw_is_told_by_its_folder_from_above_and_from_within(tmp_path, folder, quality):
    clips = lfw(tmp_path, f"{folder}/")
    for root in (tmp_path, tmp_path / folder):
        source = open_source("lfw", root)
        assert {video.quality for video in source.videos} == {quality}
        assert len(source.videos) == len(clips)


def test_without_its_list_the_gaps_of_lfw_are_named_and_the_rest_counted(tmp_path):
    lfw(tmp_path)
    (tmp_path / "lfw-names.txt").unlink()
    for number in (3, 12):
        (tmp_path / "lfw" / "George_W_Bush" / f"George_W_Bush_{number:04d}.jpg").unlink()
    (row,) = open_source("lfw", tmp_path).completeness()
    assert row.missing == ["George_W_Bush_0003.jpg"]
    assert row.unnamed == 13_233 - 21 - 1


def test_an_image_in_another_persons_folder_is_not_read(tmp_path):
    clips = lfw(tmp_path)
    touch(tmp_path / "lfw" / "Aaron_Eckhart", ["George_W_Bush_0001.jpg", "Aaron_Eckhart_1.jpg"], b"x")
    source = open_source("lfw", tmp_path)
    assert {video.path for video in source.videos} == set(clips)
    assert len(rows(source)["original", "native"].unexpected) == 2
