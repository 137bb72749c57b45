"""A curation of real small videos: every face, every reason, and the same bytes whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.faces.backend import FacesError
from curation.recipe import Recipe
from curation.run import CurationError, curate
from curation.sources import open_source, write_source
from queries.catalog import connect_read
from queries.ingest import ingest_source, rebuild
from shards.verify import verify_store
from tests.curation.clips import damage, write_clip
from tests.curation.people import encode, portrait, scene, walking

RECIPE = Recipe("test", sampling="evenly 6", aligner="dlib", thorough=True, margin=0.1, size=128)

COUNTS = {"done": 4, "no_face": 2, "failed": 2}

DESCRIPTION = """
dataset: small
licence: test
redistributable: false
kind: videos
rules:
  - match: "real/*"
    label: real
    method: original
  - match: "fake/*"
    label: fake
    method: swap
    category: swap
    mask: "masks/{stem}.mp4"
exclude: ["masks/*"]
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    encode(root / "real" / "one.mp4", walking())
    encode(root / "real" / "two.mp4", walking(8, 150), codec="mpeg4")
    write_clip(root / "real" / "no face.mp4", 20)
    (root / "real" / "broken.mp4").write_bytes(b"this is not a video" * 50)
    (root / "real" / "empty.mp4").write_bytes(b"")
    # two people: the smaller one is the forged one, as its mask says
    encode(root / "fake" / "pair.mp4", [scene([(0, 40, 380), (390, 120, 240)], 480, 640) for _ in range(6)])
    mask = np.zeros((480, 640, 3), np.uint8)
    mask[120:360, 390:630] = 255
    encode(root / "masks" / "pair.mp4", [mask] * 6)
    encode(root / "fake" / "short mask.mp4", walking(8))
    encode(root / "masks" / "short mask.mp4", [mask[::2, ::-2]] * 3)
    # a mask that lies where no face is: whoever is in the picture, it is not the forged one
    encode(root / "fake" / "other mask.mp4", [scene([(0, 20, 190)]) for _ in range(6)])
    corner = np.zeros((240, 320, 3), np.uint8)
    corner[200:, 280:] = 255
    encode(root / "masks" / "other mask.mp4", [corner] * 6)
    (root / "small.yaml").write_text(DESCRIPTION)
    return root


def scan(videos: Path, place: Path) -> tuple[Path, Path]:
    catalog, store = place / "catalog.duckdb", place / "store"
    source = open_source("folder", videos, config=videos / "small.yaml")
    ingest_source(catalog, write_source(source, store))
    return catalog, store


@pytest.fixture(scope="module")
def curated(videos, tmp_path_factory) -> tuple[Path, Path]:
    catalog, store = scan(videos, tmp_path_factory.mktemp("curated"))
    report = curate(catalog, store, RECIPE, workers=2)
    assert report.videos == 8
    assert report.counts == COUNTS
    return catalog, store


def ask(catalog: Path, query: str) -> list[dict]:
    with connect_read(catalog) as db:
        return db.sql(query).to_arrow_table().to_pylist()


def members(store: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(store.glob("shards/*.tar")):
        with tarfile.open(path) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}
    return found


def tars(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.glob("shards/*.tar")}


def test_every_video_has_a_row_and_whatever_gave_no_face_a_reason(curated):
    catalog, _ = curated
    rows = {row["name"].split("/")[-1]: row for row in ask(catalog, "FROM current_attempts")}
    assert set(rows) == {"one", "two", "no face", "broken", "empty", "pair", "short mask", "other mask"}
    assert rows["one"]["faces"] == rows["two"]["faces"] == 6
    assert rows["one"]["status"] == "done"
    assert rows["one"]["decoder"].startswith("pyav ")
    assert (rows["no face"]["status"], rows["no face"]["reason"]) == ("no_face", "no face in the 6 frames read")
    assert rows["broken"]["status"] == rows["empty"]["status"] == "failed"
    assert "cannot be opened" in rows["broken"]["reason"]
    assert "empty" in rows["empty"]["reason"]
    assert rows["other mask"]["reason"] == "the mask covers none of the faces found"
    assert {missing["reason"] for missing in rows["short mask"]["missing"]} == {"the mask video has no such frame"}
    assert rows["short mask"]["frames_wanted"] == rows["short mask"]["faces"] + len(rows["short mask"]["missing"])


def test_no_reason_names_a_local_path(curated, videos):
    catalog, store = curated
    for row in ask(catalog, "SELECT reason, missing FROM attempts"):
        assert str(videos) not in json.dumps(row)
    for path in store.glob("shards/*"):
        assert str(videos).encode() not in path.read_bytes()


def test_the_face_under_the_mask_is_chosen_and_the_mask_comes_along(curated):
    catalog, store = curated
    rows = ask(catalog, "SELECT box_x, box_w, shard, key FROM samples WHERE video_id = 'small/swap/native/fake%2Fpair'")
    assert len(rows) == 6
    for row in rows:
        assert row["box_x"] + row["box_w"] / 2 > 390  # the smaller face, on the right
    data = members(store)
    mask = cv2.imdecode(np.frombuffer(data[f"{rows[0]['key']}.mask.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (128, 128)
    assert set(np.unique(mask)) <= {0, 255}
    assert mask[64, 64] == 255
    real = next(name for name in data if "original" in name and name.endswith(".mask.png"))
    assert not cv2.imdecode(np.frombuffer(data[real], np.uint8), cv2.IMREAD_UNCHANGED).any()


def test_crops_show_the_face_upright_at_the_template(curated):
    _, store = curated
    data = members(store)
    key = next(name for name in data if name.endswith("/000000-0.json") and "one/" in name)
    facts = json.loads(data[key])
    landmarks = np.array(facts["landmarks"])
    eyes = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    assert abs(eyes[0][1] - eyes[1][1]) < 6
    assert 0.15 * 128 < eyes[1][0] - eyes[0][0] < 0.45 * 128
    assert (landmarks[48:68].mean(0)[1] > eyes[0][1]).all()
    image = cv2.imdecode(np.frombuffer(data[key.replace(".json", ".png")], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (128, 128, 3)
    # the warp in the JSON takes the frame's pixels to the crop's: compare with the photograph itself
    frame = scene([(20, 30, 160)])
    again = cv2.warpAffine(frame, np.array(facts["warp"]), (128, 128), flags=cv2.INTER_AREA)
    assert np.abs(cv2.cvtColor(again, cv2.COLOR_RGB2BGR).astype(int) - image).mean() < 12
    assert facts["label"] == 0
    assert facts["dataset"] == "small"
    assert portrait(160).shape == (160, 160, 3)


def test_every_json_has_the_same_fields(curated):
    _, store = curated
    fields = {tuple(sorted(json.loads(data))) for name, data in members(store).items() if name.endswith(".json")}
    assert len(fields) == 1


def test_the_store_verifies_and_rebuilds_to_the_same_catalog(curated, tmp_path):
    catalog, store = curated
    assert verify_store(store / "shards") == []
    rebuild(tmp_path / "again.duckdb", store)
    for table in ("samples", "attempts", "videos", "sources", "recipes"):
        query = f"FROM {table} ORDER BY ALL"
        assert ask(tmp_path / "again.duckdb", query) == ask(catalog, query)


def test_a_second_run_finds_nothing_to_do(curated):
    catalog, store = curated
    before = {path.name: path.stat().st_mtime_ns for path in store.glob("shards/*")}
    assert curate(catalog, store, RECIPE).videos == 0
    assert {path.name: path.stat().st_mtime_ns for path in store.glob("shards/*")} == before
    assert list((store / "parts").glob("*/*")) == []


def test_shard_bytes_depend_on_the_videos_alone(curated, videos, tmp_path):
    catalog, store = scan(videos, tmp_path)
    curate(catalog, store, RECIPE, workers=1)
    assert tars(store) == tars(curated[1])


def test_a_killed_run_continues_to_the_same_end(curated, videos, tmp_path):
    catalog, store = scan(videos, tmp_path)
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom curation.run import curate\n"
        "from tests.curation.test_run import RECIPE\n"
        "if __name__ == '__main__':\n"
        "    curate(Path(sys.argv[1]), Path(sys.argv[2]), RECIPE, workers=2,\n"
        "           on_progress=lambda p: print(p.done, flush=True))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for finished in (1, 3):
        driver = subprocess.Popen(
            [sys.executable, str(script), str(catalog), str(store)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for line in driver.stdout:
            if int(line) >= finished:
                driver.send_signal(signal.SIGKILL)
                break
        driver.wait()
        driver.stdout.close()
    curate(catalog, store, RECIPE, workers=2)
    assert tars(store) == tars(curated[1])
    query = "SELECT * EXCLUDE (attempted_at, attempt) FROM attempts ORDER BY ALL"
    assert ask(catalog, query) == ask(curated[0], query)
    assert list((store / "parts").glob("*/*")) == []


def test_two_runs_on_one_store_do_not_both_write(videos, tmp_path):
    import fcntl

    catalog, store = scan(videos, tmp_path)
    (store / "parts").mkdir()
    with (store / "parts" / "lock").open("w") as lock:
        lock.write(json.dumps({"pid": 4711, "host": "elsewhere"}))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CurationError, match="4711"):
            curate(catalog, store, RECIPE)


def test_a_source_that_vanished_stops_the_run_and_fails_no_video(videos, tmp_path):
    moved = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", str(videos), str(moved)], check=True)
    catalog, store = scan(moved, tmp_path)
    moved.rename(tmp_path / "gone")
    with pytest.raises(CurationError, match="Mount or restore"):
        curate(catalog, store, RECIPE)
    (tmp_path / "gone").rename(moved)
    assert curate(catalog, store, RECIPE).counts == COUNTS


def test_integrity_keeps_concealed_frames_out_and_names_them(tmp_path):
    root = tmp_path / "videos"
    frames = [scene([(20 + index, 20, 190)], height=480) for index in range(40)]
    rng = np.random.default_rng(0)
    for frame in frames:  # noise makes packets large, so that damage hits pictures
        frame[240:] = rng.integers(0, 256, frame[240:].shape)
    damage(encode(root / "real" / "x.mkv", frames), range(20, 24))
    (root / "small.yaml").write_text(DESCRIPTION)
    catalog, store = scan(root, tmp_path)
    for integrity in (False, True):
        curate(catalog, store, Recipe(f"i{integrity}", "all", "dlib", size=64, integrity=integrity), workers=1)
    rows = {row["recipe"]: row for row in ask(catalog, "FROM current_attempts")}
    assert rows["iTrue"]["decoder"].startswith("pyav ")
    damaged = [m["frame_index"] for m in rows["iTrue"]["missing"] if "damaged" in m["reason"]]
    assert damaged
    assert rows["iFalse"]["missing"] == []
    assert rows["iTrue"]["faces"] == rows["iFalse"]["faces"] - len(damaged)


def test_aligned_images_and_folders_of_faces_pass_through_with_a_resize_only(tmp_path):
    root = tmp_path / "faces"
    for video in ("a", "b"):
        for index in (0, 5, 7):
            path = root / video / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((128, 128, 3), index * 10, np.uint8))
    (root / "faces.yaml").write_text(
        "dataset: crops\nlicence: test\nredistributable: false\nkind: frames\naligned: true\n"
        "rules:\n  - match: '*'\n    label: fake\n    method: other\n    category: unknown\n"
    )
    catalog, store = tmp_path / "c.duckdb", tmp_path / "store"
    ingest_source(catalog, write_source(open_source("folder", root, config=root / "faces.yaml"), store))
    report = curate(catalog, store, Recipe("aligned", "all", "dlib", size=128))
    assert report.faces == 6
    assert [row["frame_index"] for row in ask(catalog, "FROM samples ORDER BY sample_id")] == [0, 5, 7, 0, 5, 7]
    for name, data in members(store).items():
        if name.endswith(".png"):
            index = int(name.split("/")[-1][:6])
            assert (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) == index * 10).all()
        else:
            assert json.loads(data)["landmarks"] is None


def test_missing_weights_stop_the_run_before_any_work(videos, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    catalog, store = scan(videos, tmp_path)
    with pytest.raises(FacesError, match="--aligner dlib"):
        curate(catalog, store, Recipe("default", "evenly 4"))
    assert not (store / "shards").exists()


def test_failed_videos_can_be_tried_again(tmp_path):
    root = tmp_path / "videos"
    encode(root / "real" / "x.mp4", walking(6))
    whole = (root / "real" / "x.mp4").read_bytes()
    (root / "real" / "x.mp4").write_bytes(whole[:200])
    (root / "small.yaml").write_text(DESCRIPTION)
    catalog, store = scan(root, tmp_path)
    assert curate(catalog, store, RECIPE).counts["failed"] == 1
    assert curate(catalog, store, RECIPE).videos == 0
    (root / "real" / "x.mp4").write_bytes(whole)
    time.sleep(0.01)
    scan(root, tmp_path)
    assert curate(catalog, store, RECIPE, retry="").counts["done"] == 1
    [row] = ask(catalog, "SELECT status, faces FROM current_attempts")
    assert row == {"status": "done", "faces": 6}
    assert len(list(store.glob("shards/*.videos.parquet"))) == 2
    assert pq.read_table(next(store.glob("shards/*[0-9].parquet"))).num_rows == 6


def test_five_landmarks_fit_the_same_shards(videos, tmp_path):
    catalog, store = scan(videos, tmp_path)
    curate(catalog, store, Recipe("five", sampling="evenly 2", aligner="dlib", scheme="dlib5", size=64))
    facts = [json.loads(data) for name, data in members(store).items() if name.endswith(".json")]
    assert {len(fact["landmarks"]) for fact in facts} == {5}
    assert {row["landmark_scheme"] for row in ask(catalog, "FROM samples")} == {"dlib5"}
