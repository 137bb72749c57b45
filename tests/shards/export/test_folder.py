"""Image folders: the shards' bytes at paths that tell the class, and a table that `datasets` reads beside them."""

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from torchvision.datasets import ImageFolder

from shards.export.export import export
from shards.export.sides import ExportError, Side
from shards.split import Split
from tests.fabricate import encode, landmarks, mask_pixels, pixels, write_manifest
from tests.shards.export.world import SIZE, VIDEOS, image_of, sample_of


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    to = tmp_path_factory.mktemp("folder") / "out"
    train = world.side("train", lambda made: made.dataset == "ffpp", role="source", partners=True)
    test = world.side("test", lambda made: made.dataset != "ffpp")
    return export([train, test], "folder", to), train, test


def test_every_face_lies_under_its_class_and_its_key_with_the_bytes_of_the_shard(made):
    exported, *sides = made
    for side, wanted in zip(sides, (True, False), strict=True):
        expected = {}
        for video in (video for video in VIDEOS if (video.dataset == "ffpp") == wanted):
            for frame, track in video.places:
                name = f"{('real', 'fake')[video.label]}/{video.video_id}/{frame:06d}-{track}.png"
                expected[name] = image_of(video, frame, track)
                mask = exported.folder / "masks" / side.name / name
                assert mask.exists() == video.masks
                if video.masks:
                    drawn = mask_pixels(sample_of(video, frame, track), SIZE, video.label)
                    assert mask.read_bytes() == encode(drawn, "png")
        folder = exported.folder / side.name
        there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}
        assert there == expected


def test_torchvision_reads_two_classes(made):
    exported, train, _ = made
    faces = ImageFolder(str(exported.folder / "train"))
    assert faces.class_to_idx == {"fake": 0, "real": 1} and len(faces) == len(train)
    assert sum(label == 0 for _, label in faces.samples) == int(train.splits[0].labels.sum())
    assert any("0 is fake there" in note for note in exported.notes)


def test_datasets_reads_it_with_our_label(made, tmp_path, monkeypatch):
    exported, train, _ = made
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    faces = datasets.load_dataset(
        "imagefolder", data_dir=str(exported.folder / "train"), split="train", cache_dir=str(tmp_path)
    )
    assert faces.features["label"] == datasets.ClassLabel(names=["real", "fake"])
    labels = dict(zip(train.splits[0].sample_ids(), train.splits[0].labels.tolist(), strict=True))
    assert dict(zip(faces["sample_id"], faces["label"], strict=True)) == labels
    for face in faces:
        assert np.array_equal(np.array(face["image"]), pixels(face["sample_id"], SIZE))


def test_the_table_has_what_the_split_and_the_json_say(made):
    exported, train, _ = made
    rows = pq.read_table(exported.folder / "train" / "metadata.parquet").to_pylist()
    assert [row["sample_id"] for row in rows] == train.splits[0].sample_ids()
    for row in rows:
        assert (exported.folder / "train" / row["file_name"]).is_file()
        assert (row["mask"] is None) == (row["method"] == "FaceShifter")
        assert row["mask"] is None or (exported.folder / row["mask"]).is_file()
        assert row["role"] == "source" and row["quality"] in row["video_id"]
        assert [[round(x, 3) for x in point] for point in row["landmarks"]] == landmarks(row["sample_id"], SIZE)
        assert row["source_id"] is None or row["label"] == 1  # "" in the JSON, null here
        assert row["partner_id"] is None or row["partner_id"].split("/")[3:] == ["original", "c23", *_end(row)]


def _end(row):
    return [row["video_id"].split("/")[3][:3], row["sample_id"].split("/")[-1]]


def test_what_is_not_as_in_the_split_is_told(made):
    exported, train, _ = made
    told = "\n".join(exported.notes)
    assert f"{len(train)} faces have a role" in told and "9 faces have a partner, `partner_id`; 0 of those" in told
    assert "1 videos in which no face was found have no file; faceless.csv lists them" in told
    assert "3 fakes have no mask" in told
    lines = (exported.folder / "faceless.csv").read_text().splitlines()
    assert lines[1].startswith("test,a_test@") and lines[1].endswith("campus/swap/native/nobody,campus,swap,1")


def test_two_faces_never_share_a_path(world, tmp_path):
    one = world.split("one", lambda made: made.method == "Deepfakes")
    two = world.split("two", lambda made: made.dataset == "ffpp")
    with pytest.raises(ExportError, match="3 faces are in one and in two, and both are to be train"):
        export([Side("train", [one, two])], "folder", tmp_path / "out")
    export([Side("train", [one]), Side("val", [two])], "folder", tmp_path / "out")
    with pytest.raises(ExportError, match="masks is the folder of the masks"):
        export([Side("masks", [one])], "folder", tmp_path / "other")
    with pytest.raises(ExportError, match="none has no face"):
        export([Side("none", [world.split("none", lambda made: False)])], "folder", tmp_path / "other")


def test_a_video_with_two_contents_is_refused(world, tmp_path):
    video = next(video for video in world.videos if video["method"] == "Deepfakes")
    rows = [dict(row) for row in world.rows if row["video_id"] == video["video_id"]]
    other = [row | {"sample_id": row["sample_id"][:9] + "0badf00d" + row["sample_id"][17:]} for row in rows]
    manifest = write_manifest(tmp_path / "splits", sorted(rows + other, key=lambda r: r["sample_id"]), [video], SIZE)
    with pytest.raises(ExportError, match="is there twice, under two recipes or from two files of that name"):
        export([Side("train", [Split.open(manifest, world.shards_dir)])], "folder", tmp_path / "out")
