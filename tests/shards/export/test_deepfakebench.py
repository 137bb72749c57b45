"""The export read as DeepfakeBench reads: its rules in our words, see shards/export/deepfakebench.py for the source.

A trainer of that kind opens dataset_json/NAME.json, takes every group's side, for seven names the compression in it,
then every video's frames in the order of the numbers that are their names, and turns words into numbers by a table.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from shards.export.export import export
from shards.export.sides import ExportError, Side
from tests.fabricate import landmarks, mask_pixels
from tests.shards.export.world import SIZE, VIDEOS, image_of, make_world, sample_of

WITH_COMPRESSION = {"FF-DF", "FF-F2F", "FF-FS", "FF-NT", "FaceForensics++", "DeepFakeDetection", "FaceShifter"}
ITS_LABELS = {
    **dict.fromkeys(("DFD_real", "FF-real", "CelebDFv1_real", "CelebDFv2_real", "DFDCP_Real", "DFDC_Real"), 0),
    **dict.fromkeys(("DF_real", "UADFV_Real", "roop_Real"), 0),
    **dict.fromkeys(("DFD_fake", "FF-SH", "FF-F2F", "FF-DF", "FF-FS", "FF-NT", "FF-FH", "CelebDFv1_fake"), 1),
    **dict.fromkeys(("CelebDFv2_fake", "DFDCP_FakeA", "DFDCP_FakeB", "DFDC_Fake", "DF_fake", "UADFV_Fake"), 1),
}


@dataclass(frozen=True)
class Frame:
    """What the trainer gets of a frame."""

    path: str
    label: int
    video: str  # what video-level figures group by
    data: bytes
    mask: np.ndarray
    landmarks: np.ndarray


def read(checkout: Path, folder: str, name: str, mode: str, labels=ITS_LABELS, compression="c23", frame_num=32):
    groups = json.loads((checkout / folder / f"{name}.json").read_text())[name]
    frames = []
    for group in groups.values():
        videos = group[mode]
        if name in WITH_COMPRESSION:
            videos = videos[compression]
        for video in videos.values():
            paths = sorted(video["frames"], key=lambda path: int(path.split("/")[-1].split(".")[0]))
            assert paths == video["frames"] and paths[0][0] == "."
            frames += [_frame(checkout, path, labels[video["label"]]) for path in paths[:frame_num]]
    return frames


def _frame(checkout: Path, path: str, label: int) -> Frame:
    """An image that cannot be read would be replaced by the first one, a mask that is not there by zeros."""
    image = cv2.imread(str(checkout / path))
    assert image is not None, path
    mask_path = checkout / path.replace("frames", "masks")
    mask = cv2.imread(str(mask_path), 0) if mask_path.exists() else np.zeros(image.shape[:2], np.uint8)
    npy = checkout / path.replace("frames", "landmarks").replace(".png", ".npy")
    points = np.load(npy) if npy.exists() else np.zeros((81, 2))
    return Frame(path, label, path.split("/")[-2], (checkout / path).read_bytes(), mask, points)


def faces_of(videos) -> list[bytes]:
    return sorted(image_of(made, *place) for made in videos for place in made.places)


def exported(world, tmp_path, sides, **options):
    """A checkout of DeepfakeBench with an export where its README says that it must be."""
    made = export(sides, "deepfakebench", tmp_path / "datasets" / "ours", **options)
    return made, "datasets/ours/dataset_json"


def of(dataset, quality=None):
    return [made for made in VIDEOS if made.dataset == dataset and quality in (None, made.quality)]


def test_a_split_is_read_under_its_own_name_face_by_face(world, tmp_path):
    sides = [
        world.side("train", lambda made: made.dataset == "ffpp"),
        world.side("test", lambda m: m.dataset != "ffpp"),
    ]
    _, folder = exported(world, tmp_path, sides)
    told = yaml.safe_load((tmp_path / "datasets/ours/label_dict.yaml").read_text())["label_dict"]
    assert {word: told[word] for word in told if word in ITS_LABELS}.items() <= ITS_LABELS.items()
    by_data = {image_of(made, *place): (made, place) for made in VIDEOS for place in made.places}
    for name, mode, wanted in (
        ("a_train", "train", of("ffpp")),
        ("a_test", "test", of("celebdf-v2") + of("campus")),
    ):
        frames = read(tmp_path, folder, name, mode, ITS_LABELS | told)
        assert sorted(frame.data for frame in frames) == faces_of(wanted)
        for frame in frames:
            made, place = by_data[frame.data]
            sample = sample_of(made, *place)
            assert frame.label == made.label
            expected = mask_pixels(sample, SIZE, made.label) if made.masks else np.zeros((SIZE, SIZE))
            assert np.array_equal(frame.mask, expected)
            assert np.allclose(frame.landmarks, np.array(landmarks(sample, SIZE), np.float32))
        assert not read(tmp_path, folder, name, "val", told)


def test_no_two_videos_are_one_for_video_level_figures(world, tmp_path):
    _, folder = exported(world, tmp_path, [world.side("test", lambda made: made.dataset == "ffpp")])
    by_data = {image_of(made, *place): made.video_id for made in VIDEOS for place in made.places}
    frames = read(tmp_path, folder, "a_test", "test")
    pairs = {(frame.video, by_data[frame.data]) for frame in frames}
    assert len(pairs) == len({video for video, _ in pairs}) == len({made for _, made in pairs}) == len(of("ffpp"))
    for frame in frames:
        assert int(frame.video.split("_")[-1]) in (0, 3)  # its IID detector wants a number there


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("FaceForensics++", ("original", "Deepfakes", "Face2Face")),
        ("FF-DF", ("original", "Deepfakes")),
        ("FF-F2F", ("original", "Face2Face")),
        ("FaceShifter", ("original", "FaceShifter")),
    ],
)
def test_datasets_have_the_names_and_the_compressions_that_it_knows(world, tmp_path, name, methods):
    _, folder = exported(world, tmp_path, [world.side("train", lambda made: made.dataset == "ffpp")])
    for quality in ("c23", "c40"):
        wanted = [made for made in of("ffpp", quality) if made.method in methods]
        frames = read(tmp_path, folder, name, "train", compression=quality)
        assert sorted(frame.data for frame in frames) == faces_of(wanted)
        assert read(tmp_path, folder, name, "test", compression=quality) == []


def test_several_splits_of_a_side_meet_in_the_dataset_and_stay_apart_by_name(world, tmp_path):
    fakes = world.split("fakes", lambda made: made.method in ("Deepfakes", "original"))
    others = world.split("others", lambda made: made.method in ("Face2Face", "original") and made.dataset == "ffpp")
    made, folder = exported(world, tmp_path, [Side("test", [fakes, others]), Side("val", [others])])
    both = {image_of(m, *place) for m in of("ffpp", "c23") if m.method != "FaceShifter" for place in m.places}
    assert {frame.data for frame in read(tmp_path, folder, "FaceForensics++", "test")} == both
    assert len(read(tmp_path, folder, "FaceForensics++", "test")) == len(both)  # the originals of both are there once
    assert len(read(tmp_path, folder, "others", "test")) == len(others) == len(read(tmp_path, folder, "others", "val"))
    assert any("campus_Real" in note for note in made.notes)  # a word that its label_dict lacks


def test_people_of_one_frame_are_folders_of_their_own(world, tmp_path):
    made, folder = exported(world, tmp_path, [world.side("test", lambda made: made.dataset == "campus")])
    videos = json.loads((tmp_path / folder / "campus.json").read_text())["campus"]["campus_Real"]["test"]
    assert {name: len(video["frames"]) for name, video in videos.items()} == {
        "original__native__t0__fr%61mes%2001": 1,
        "original__native__t1__fr%61mes%2001": 2,
    }
    assert any("1 videos have faces of more than one person" in note for note in made.notes)


def test_what_it_has_no_place_for_is_told(world, tmp_path):
    side = world.side("test", lambda made: made.dataset in ("ffpp", "campus"), role="source", partners=True)
    made, _ = exported(world, tmp_path, [side])
    told = "\n".join(made.notes)
    assert f"{len(side)} roles, 9 partners are not here" in told  # three fakes of three faces at c23
    assert "1 videos in which no face was found have no file" in told
    assert "3 fakes have no mask" in told
    assert "Landmarks are 5 points where its own preprocessing has 81" in told
    assert "a_test: of several datasets" in told
    readme = (tmp_path / "datasets/ours/README.md").read_text()
    assert all(note in readme for note in made.notes)
    assert "nobody" in (tmp_path / "datasets/ours/faceless.csv").read_text()


def test_faces_that_are_no_png_have_no_masks_and_it_is_told(tmp_path):
    jpegs = make_world(tmp_path / "store", codec="jpg")
    made, folder = exported(jpegs, tmp_path, [jpegs.side("train", lambda made: made.method == "Deepfakes")])
    assert any("Faces are stored as jpg" in note for note in made.notes)
    (fake,) = [made for made in VIDEOS if made.method == "Deepfakes"]
    frames = read(tmp_path, folder, "a_train", "train")
    assert {frame.data for frame in frames} == {image_of(fake, *place, codec="jpg") for place in fake.places}
    assert {path.suffix for path in (tmp_path / "datasets/ours/ffpp").rglob("*") if path.is_file()} == {".jpg"}


def test_what_its_rules_cannot_reach_is_refused(world, tmp_path):
    side = world.side("test", lambda made: made.dataset == "ffpp")
    for root in ("/datasets/ours", "datasets/ours", "./frames", ".\\datasets"):
        with pytest.raises(ExportError, match="must begin with a dot"):
            exported(world, tmp_path, [side], root=root)
    with pytest.raises(ExportError, match="knows train, val and test: write train=a_test"):
        exported(world, tmp_path, [Side("a_test", side.splits)])
    with pytest.raises(ExportError, match="two JSON files would be called campus"):
        exported(world, tmp_path, [Side("test", [world.split("campus", lambda made: made.dataset == "campus")])])
    with pytest.raises(ExportError, match="reads FF-DF_c40 in a way of its own"):
        exported(world, tmp_path, [Side("test", [world.split("FF-DF_c40", lambda made: made.dataset == "campus")])])
    assert not (tmp_path / "datasets").exists()
