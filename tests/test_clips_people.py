"""Real people: signers in one studio, copies of clips under other names, two women who look alike when small."""

import json
import shutil

import pytest

from tests.test_clips import CLIPS, DESCRIPTION, deepshard, pytestmark  # noqa: F401

# of the same studio: A, C, D and E; D in two signs; hevc10 and rotation90 are A's and C's clips encoded again
FILES = ["real_intel_asl_walk.mkv", "edge_hevc10.mp4", "real_intel_asl_eat.mkv", "edge_rotation90_face.mov"]
FILES += ["real_intel_asl_yes.mkv", "real_intel_asl_brother_vfr.mkv", "real_intel_asl_want.mkv"]
FILES += ["real_intel_three_faces.gif", "real_liveportrait_d10.mp4", "real_ghost_dance.mp4", "fake_ghost_mark.webm"]
NOBODY = "  target_id: {none: null, crowd (personW+ many): null}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The clips with no word about who is in them, curated."""
    folder = tmp_path_factory.mktemp("people")
    (folder / "clips").mkdir()
    for file in (*FILES, "manifest.csv"):
        shutil.copy(CLIPS / file, folder / "clips")
    assert "target_id: person}" in DESCRIPTION
    text = DESCRIPTION.replace(", target_id: person}", "}").replace(NOBODY + "\n", "")
    kept = [line for line in text.splitlines() if "personV" not in line and "personL" not in line]
    (folder / "clips.yaml").write_text("\n".join(kept) + "\n")
    deepshard(folder, "scan", "folder", "clips.yaml", "clips")
    deepshard(folder, "curate", "--aligner", "dlib", "--sampling", "evenly 5")
    return folder


def names(*videos: str) -> set[str]:
    return {video.rpartition("/")[2] for video in videos}


def test_copies_are_found_and_neither_people_of_one_studio_nor_those_who_look_alike(folder):
    deepshard(folder, "features")
    lines = [json.loads(line) for line in deepshard(folder, "duplicates", "--json").splitlines()]
    groups = [names(*line["videos"]) for line in lines if "videos" in line]
    copies = [{"edge_hevc10", "real_intel_asl_walk"}, {"edge_rotation90_face", "real_intel_asl_eat"}]
    assert all(group in groups for group in copies)
    one_session = {"real_intel_asl_brother_vfr", "real_intel_asl_yes"}  # one person: nearly alike, and no copy
    assert [group for group in groups if group not in copies] in ([], [one_session])
    forged = [names(line["one"], line["other"]) for line in lines if "videos" not in line]
    assert forged == [{"fake_ghost_mark", "real_ghost_dance"}]


def test_people_whom_nobody_named_are_told_by_their_faces(folder):
    deepshard(folder, "features", "--kind", "embedding")
    people: dict[str, set[str]] = {}
    for line in deepshard(folder, "persons", "--json").splitlines():
        track = json.loads(line)
        people.setdefault(track["person"], set()).add(track["video_id"].rpartition("/")[2])
    several = [videos for videos in people.values() if len(videos) > 1]
    assert sorted(map(sorted, several)) == [
        ["edge_hevc10", "real_intel_asl_walk"],
        ["edge_rotation90_face", "real_intel_asl_eat"],
        ["real_intel_asl_brother_vfr", "real_intel_asl_yes"],
    ]
