"""The whole road: changed clips and crops are found, others are not, forgeries are told apart, people by faces."""

import json
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from curation.faces.align import align
from curation.faces.hog import open_hog
from tests.conftest import FFPP, RECIPE, copy_of, new_place

COPIES = """
dataset: copies
licence: unknown
redistributable: false
kind: videos
label: real
"""
CHANGES = {
    "crf40": lambda frames: (frames, 40),
    "shifted": lambda frames: (frames[1:], 23),
    "cropped": lambda frames: ([frame[12:-12, 12:-12] for frame in frames], 23),
}


def change(source: Path, target: Path, how: str) -> None:
    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    height, width = frames[0].shape[:2]
    assert min(height, width) <= 260, "the crop should take away a tenth"
    frames, crf = CHANGES[how](frames)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.height, stream.width = (side - side % 2 for side in frames[0].shape[:2])
        for rgb in frames:
            rgb = np.ascontiguousarray(rgb[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def found(curated, tmp_path_factory):
    """What `deepshard duplicates --json` says of the demo and of copies of two of its clips."""
    place = copy_of(curated, tmp_path_factory.mktemp("duplicates") / "place")
    folder = place.folder / "copies"
    folder.mkdir()
    for clip in ("071", "087"):
        original = place.folder / FFPP / f"original_sequences/youtube/c23/videos/{clip}.mp4"
        for how in CHANGES:
            change(original, folder / f"{clip}_{how}.mp4", how)
    (place.folder / "copies.yaml").write_text(COPIES)
    place.ok("scan", "folder", "copies.yaml", folder)
    place.ok("curate", *RECIPE)
    assert "phash written" in place.ok("features", "--workers", "1")
    assert "nothing to do" in place.ok("features")
    lines = [json.loads(line) for line in place.ok("duplicates", "--json").splitlines()]
    assert "071_crf40" in place.ok("duplicates")
    return lines


def groups(found):
    return [set(line["videos"]) for line in found if "videos" in line]


@pytest.mark.parametrize("clip", ["071", "087"])
@pytest.mark.parametrize("how", CHANGES)
def test_a_changed_clip_is_in_the_group_of_its_original(found, clip, how):
    group = next(group for group in groups(found) if f"ffpp/original/c23/{clip}" in group)
    assert any(video.endswith(f"/{clip}_{how}") for video in group)


def test_a_group_holds_one_clip_and_no_forgery_beside_an_original(found):
    assert len(groups(found)) >= 3
    for group in groups(found):
        clips = {video.rpartition("/")[2].partition("_")[0] for video in group}
        assert len(clips) == 1, group
        methods = {video.split("/")[1] for video in group}
        assert len(methods) == 1, group


def test_clips_that_are_known_in_two_qualities_are_known_to_be_the_same(found):
    matches = [match for line in found if "videos" in line for match in line["matches"]]
    known = {(m["one"], m["other"]) for m in matches if m["told"]}
    assert ("ffpp/original/c23/953", "ffpp/original/c40/953") in known


def test_a_forgery_is_found_near_its_original_and_near_the_copies_of_that(found):
    forgeries = {(m["one"], m["other"]): m for m in found if m["relation"] == "forgery"}
    assert forgeries["ffpp/NeuralTextures/c23/071_054", "ffpp/original/c23/071"]["told"]
    copies = [m for m in forgeries.values() if "copies/" in m["one"] + m["other"]]
    assert copies
    assert not any(m["told"] for m in copies)


CROPS = """
dataset: {name}
licence: unknown
redistributable: false
kind: images
aligned: true
label: real
"""


@pytest.fixture(scope="module")
def small(curated, tmp_path_factory):
    """A place of its own: two clips and a copy of one, and one person's crops as two sets cut them, one 10 % wider."""
    place = new_place(tmp_path_factory.mktemp("small") / "place", (curated.folder / "videos").resolve())
    videos = place.folder / FFPP / "original_sequences/youtube/c23/videos"
    clips, narrow, wide = (place.folder / name for name in ("clips", "narrow", "wide"))
    for folder in (clips, narrow, wide):
        folder.mkdir()
    for clip in ("071", "087"):
        shutil.copy(videos / f"{clip}.mp4", clips)
        with av.open(str(videos / f"{clip}.mp4")) as container:
            frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
        [[face]] = open_hog().find([frame])
        for folder, wider in ((narrow, 1.0), (wide, 1.1)):
            crop = align(frame, face, 200, (1.3 * wider - 1) / 2).image
            quality = [cv2.IMWRITE_JPEG_QUALITY, 60]
            cv2.imwrite(str(folder / f"{folder.name}-{clip}.jpg"), crop[..., ::-1], quality)
    change(videos / "071.mp4", clips / "071_crf40.mp4", "crf40")
    (place.folder / "clips.yaml").write_text(COPIES.replace("copies", "clips"))
    place.ok("scan", "folder", "clips.yaml", clips)
    for folder in (narrow, wide):
        (place.folder / f"{folder.name}.yaml").write_text(CROPS.format(name=folder.name))
        place.ok("scan", "folder", f"{folder.name}.yaml", folder)
    place.ok("curate", *RECIPE)
    return place


def test_a_crop_that_came_aligned_is_found_in_a_wider_one(small):
    small.ok("features")
    found = [json.loads(line) for line in small.ok("duplicates", "--json").splitlines()]
    wide = [group for group in groups(found) if any(video.startswith("wide/") for video in group)]
    names = [sorted(video.rpartition("/")[2] for video in group) for group in wide]
    assert names == [["071", "071_crf40", "narrow-071", "wide-071"], ["087", "narrow-087", "wide-087"]]


def test_a_person_is_told_by_the_faces_of_real_videos(small):
    said = small.ok("features", "--kind", "embedding", "--workers", "1")
    assert "16 faces: embedding written" in said
    assert "4 of them came without landmarks" in said
    assert "4 videos have no embedding" in small.ok("persons")
    people = {}
    for distance in ("0.4", "0.02"):
        tracks = [json.loads(line) for line in small.ok("persons", "--distance", distance, "--json").splitlines()]
        assert [track["faces"] for track in tracks] == [4, 4, 4]
        people[distance] = {track["video_id"].rpartition("/")[2]: track["person"] for track in tracks}
    assert people["0.4"]["071"] == people["0.4"]["071_crf40"] == "clips/original/native/071#0"
    assert len(set(people["0.02"].values())) == 3
