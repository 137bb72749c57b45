"""The whole road: clips encoded again, shifted and cropped are found, others are not, forgeries are told apart."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import FFPP, RECIPE, copy_of

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
    assert "hashed" in place.ok("features", "--workers", "1")
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
