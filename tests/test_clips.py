"""The whole road on real clips: people, real face swaps with their originals, no face, rotation, odd codecs, damage.

The clips lie beside the checkout (``../shared/clips``) or where DEEPSHARD_CLIPS says; they are not part of the project.
``data/clips_faces.json`` has, for each clip and sampled frame, the boxes that the field's usual way finds there (dlib's
HOG detector, one upsampling, full resolution, all frames decoded by FFmpeg; ``usual``) and faces that it misses and
that were checked by eye (``checked``). A face counts as found only where it overlaps one of these.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.faces.backend import overlap
from curation.frames import open_clip
from curation.frames.decord_clip import trusts
from curation.frames.pyav_clip import probe
from queries.catalog import connect_read

ROOT = Path(__file__).parents[1]
CLIPS = Path(os.environ.get("DEEPSHARD_CLIPS", ROOT.parent / "shared" / "clips"))

pytestmark = pytest.mark.skipif(
    not (CLIPS / "manifest.csv").exists(),
    reason=f"THE REAL CLIPS ARE NOT TESTED: no folder {CLIPS}; set DEEPSHARD_CLIPS to one",
)

DESCRIPTION = """
dataset: clips
licence: "per clip, see manifest.csv"
redistributable: false
kind: videos
manifest:
  file: manifest.csv
  path: file
  columns: {label: label, method: method, target_id: person}
rules:
  - match: edge_corrupted.mp4
    label: real
  - match: edge_rotation90_noface.mov
    label: real
  - match: "fake_ghost_*.webm"
    category: swap
    target_id: personV
    source_id: "{stem}"
    original: real_ghost_dance.mp4
  - match: fake_liveportrait_d3_on_d0.mp4
    category: reenactment
    source_id: personL
    original: real_liveportrait_d0.mp4
values:
  method: {GHOST face swap: GHOST, LivePortrait reenactment (video-to-video): LivePortrait}
  target_id: {none: null, crowd (personW+ many): null}
"""

TRAIN = """-- GHOST swaps and their original, every frame but each third
SELECT sample_id FROM faces
WHERE (video_id LIKE '%ghost%' OR video_id LIKE '%asl%') AND frame_index % 3 <> 0
"""

TEST = """-- GHOST swaps and their original, each third frame, with the videos that gave no face
SELECT sample_id, video_id FROM faces_or_none
WHERE (video_id LIKE '%ghost%' AND frame_index % 3 = 0) OR video_id LIKE '%noface%'
"""


def deepshard(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deepshard", *words], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    (folder / "clips.yaml").write_text(DESCRIPTION)
    (folder / "train.sql").write_text(TRAIN)
    (folder / "test.sql").write_text(TEST)
    assert "29 videos" in deepshard(folder, "scan", "folder", "clips.yaml", str(CLIPS))
    deepshard(folder, "curate", "--recipe", "default", "--aligner", "dlib")
    return folder


@pytest.fixture(scope="module")
def attempts(folder) -> dict[str, dict]:
    with connect_read(folder / "catalog.duckdb") as db:
        rows = db.sql("FROM current_attempts").to_arrow_table().to_pylist()
    return {row["path"]: row for row in rows}


@pytest.fixture(scope="module")
def samples(folder) -> list[dict]:
    query = "SELECT s.*, v.path FROM samples s JOIN videos v USING (video_id)"
    with connect_read(folder / "catalog.duckdb") as db:
        return db.sql(query).to_arrow_table().to_pylist()


@pytest.fixture(scope="module")
def found(samples) -> dict[str, dict[int, bool]]:
    """clip -> frame -> whether the face there is one that the usual way or an eye has seen."""
    known = json.loads((Path(__file__).parent / "data" / "clips_faces.json").read_text())
    found: dict[str, dict[int, bool]] = {}
    for row in samples:
        box = [row["box_x"], row["box_y"], row["box_x"] + row["box_w"], row["box_y"] + row["box_h"]]
        there = known.get(row["path"], {}).get(str(row["frame_index"]), {})
        boxes = there.get("usual", []) + there.get("checked", [])
        right = bool(boxes) and bool((overlap([box], boxes) >= 0.5).any())
        found.setdefault(row["path"], {})[row["frame_index"]] = right
    return found


def test_no_fewer_faces_than_the_usual_way_finds(found):
    assert sum(sum(frames.values()) for frames in found.values()) >= 690


def test_what_is_called_a_face_is_one(found):
    false = {(clip, frame) for clip, frames in found.items() for frame, right in frames.items() if not right}
    assert len(false) <= 0.01 * sum(map(len, found.values())), sorted(false)


def test_nine_frames_in_ten_of_clear_clips_have_their_face(found, attempts):
    clear = [path for path in attempts if path.startswith("real_liveportrait") or "ghost" in path]
    clear += ["real_facenet_crowd.mp4", "real_intel_two_faces.gif", "real_intel_three_faces.gif"]
    assert len(clear) == 12
    for path in clear:
        assert sum(found[path].values()) >= 0.9 * attempts[path]["frames_wanted"], path


def test_clips_without_a_face_and_the_corrupt_one_end_with_a_reason(attempts):
    for path in ("edge_noface_bottles.mp4", "edge_noface_nasa_audio.mp4", "edge_rotation90_noface.mov"):
        assert attempts[path]["status"] == "no_face"
        assert attempts[path]["reason"].startswith("no face in the")
    corrupt = attempts["edge_corrupted.mp4"]
    assert corrupt["status"] == "no_face"
    assert corrupt["frames_wanted"] == 32 == len(corrupt["missing"])
    assert 18 <= corrupt["frames_read"] < 32  # what lies behind the damage is read too
    assert "its data cannot be decoded" in corrupt["reason"]


def test_pyav_reads_every_clip_and_decord_sees_the_same_where_it_can_be_trusted(attempts):
    assert {row["decoder"].split()[0] for row in attempts.values()} == {"pyav"}
    compared = 0
    for path, row in attempts.items():
        if path == "edge_corrupted.mp4" or not trusts(probe(CLIPS / path)):
            continue
        last = [row["frame_count"] - 1]
        [one], [other] = (open_clip(CLIPS / path, decoder=name).frames(last) for name in ("pyav", "decord"))
        assert np.abs(one.rgb.astype(int) - other.rgb).mean() < 1, path
        compared += 1
    assert compared > 10


def test_every_face_stands_upright_in_its_crop_and_rotated_clips_in_their_frames(samples, folder):
    sizes = {}
    for row in samples:
        if row["path"] not in sizes or row["frame_index"] == 0:
            tar = folder / "store" / "shards" / f"{row['shard']}.tar"
            with tar.open("rb") as file:
                file.seek(row["json_offset"])
                facts = json.loads(file.read(row["json_size"]))
            sizes[row["path"]] = facts
            landmarks = np.array(facts["landmarks"])
            assert landmarks[36:48, 1].mean() < landmarks[48:68, 1].mean(), row["path"]
    turned, straight = sizes["edge_rotation90_face.mov"], sizes["real_intel_asl_eat.mkv"]
    assert (turned["frame_width"], turned["frame_height"]) == (640, 480)
    assert np.allclose(turned["warp"], straight["warp"], atol=3)  # the same scene, stored sideways


def test_two_processes_train_on_real_faces_and_see_the_samples_of_one(folder):
    (folder / "small.yaml").write_text(
        "detector: {name: mesonet4}\nepochs: 1\nbatch_size: 16\nworkers: 1\ntracker: none\ntrace: true\n"
    )
    pinned = deepshard(folder, "split", "pin", "train.sql", "test.sql")
    assert "2 videos without a face" in pinned or "3 videos without a face" in pinned
    script = ROOT / "training" / "run.py"
    words = ["--config", "small.yaml", "--train", "train", "--test", "test"]
    launches = {
        "one": [sys.executable, script, *words],
        "two": [sys.executable, script, *words, "--processes", "2"],
    }
    steps = {}
    for name, launch in launches.items():
        done = subprocess.run(
            [*map(str, launch), "--name", name], cwd=folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        run = folder / "store" / "runs" / name
        world = json.loads((run / "run.json").read_text())["world"]["processes"]
        assert world == (1 if name == "one" else 2)
        traces = [
            [json.loads(line)["samples"] for line in (run / f"trace-rank{rank:05d}.jsonl").read_text().splitlines()]
            for rank in range(world)
        ]
        steps[name] = [[sample for rank in step for sample in rank] for step in zip(*traces, strict=True)]
        [predictions] = (run / "predictions").glob("test@*.parquet")
        scored = pq.read_table(predictions)
        assert scored["sample_id"].null_count == 3  # a video without any face counts, with 0.5
        ids = [sample for sample in scored["sample_id"].to_pylist() if sample]
        assert len(ids) == len(set(ids)) > 30
    assert steps["one"] == steps["two"]
    assert len(steps["one"]) >= 10

    rows = [json.loads(line) for line in deepshard(folder, "results", "--run", "two", "--json").splitlines()]
    video = {row["faceless"]: row for row in rows if row["level"] == "video"}
    assert video["counted"]["videos"] == video["left out"]["videos"] + 3 == 7
    scored = deepshard(folder, "predict", "--checkpoint", "two", "--json", str(CLIPS / "fake_ghost_mark.webm"))
    assert 0 <= json.loads(scored)["score"] <= 1
    assert len(json.loads(scored)["faces"]) == 32
