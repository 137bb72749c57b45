"""Whatever ends a curation, and wherever: the next one continues, and the end is that of a run nobody disturbed."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from curation.run import CurationError
from tests.curation import stopping
from tests.curation.clips import write_clip
from tests.curation.people import encode, walking
from tests.soak import scale

ROOT = Path(__file__).parents[2]

DESCRIPTION = """
dataset: small
licence: test
redistributable: false
kind: videos
rules:
  - match: "*"
    label: real
    method: original
"""


@pytest.fixture
def videos(tmp_path) -> Path:
    root = tmp_path / "videos"
    encode(root / "a.mp4", walking(4))
    encode(root / "b.mp4", walking(3, 150))
    write_clip(root / "no face.mp4", 5)
    (root / "broken.mp4").write_bytes(b"no video")
    encode(root / "z.mp4", walking(5, 170))
    (tmp_path / "small.yaml").write_text(DESCRIPTION)
    return tmp_path


@pytest.mark.soak
def test_stopped_at_every_change_of_the_disk(videos):
    every = scale(29, 1)
    program = [sys.executable, "-m", "tests.curation.stopping", str(videos), str(every)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    whole, *trials = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert whole["findings"] == whole["left"] == []
    assert len(whole["tars"]) >= 2
    killed = sum(stop == signal.SIGKILL for told in trials for stop in told["stops"])
    print(f"\nstopped {killed} times, at every {every}. of {trials[-1]['n']} changes of the disk")
    assert killed > scale(3, 100)
    for told in trials:
        assert (told["lost"], told["redone"]) == ([], []), told["n"]
        for what in ("tars", "files", "attempts", "faces", "left", "findings"):
            assert told[what] == whole[what], f"stopped at change {told['n']}: {what} differ"


def start(videos: Path) -> subprocess.Popen:
    (videos / "place").mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-m", "tests.curation.stopping", str(videos)], cwd=ROOT)


def workers_of(driver: subprocess.Popen) -> list[psutil.Process]:
    try:
        children = psutil.Process(driver.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.soak
def test_killed_at_random_driver_or_worker(videos):
    """A worker is killed at most twice in a run: a video whose worker is killed three times running is given up.

    Where a worker is meant and none has begun yet, nobody is killed, so that a slow machine loses workers too.
    """
    assert start(videos).wait() == 0
    whole = stopping.state(videos / "place")
    shutil.rmtree(videos / "place")
    chance, killed, ended = random.Random(4), {"driver": 0, "worker": 0}, 0
    while sum(killed.values()) < scale(5, 200) or not min(killed.values()):
        driver, hits = start(videos), 0
        while driver.poll() is None:
            time.sleep(chance.uniform(0, 2.5))
            workers = workers_of(driver)
            if hits < 2 and chance.random() < 0.6:
                with contextlib.suppress(IndexError, psutil.NoSuchProcess):  # none yet, or just gone
                    chance.choice(workers).kill()
                    killed["worker"] += 1
                    hits += 1
            elif chance.random() < 0.5 and driver.poll() is None:
                driver.kill()
                killed["driver"] += 1
                break
        if driver.wait() == 0:
            ended += 1
            assert stopping.state(videos / "place") == whole
            shutil.rmtree(videos / "place")
        else:
            assert driver.returncode == -signal.SIGKILL
    if not ended or (videos / "place" / "store").exists():
        assert start(videos).wait() == 0
        assert stopping.state(videos / "place") == whole
        ended += 1
    print(f"\nkilled {killed['driver']} drivers and {killed['worker']} workers; {ended} curations reached their end")
    assert min(killed.values()) > 0
    assert ended > 0


def deepshard(folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "deepshard", *words, "--catalog", "catalog.duckdb", "--store", "store"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def test_a_second_run_says_who_is_at_work_and_everybody_may_look(videos):
    """While one process curates, another cannot, but status and SQL are answered; afterwards nothing is left to do."""
    for index in range(8):
        encode(videos / "videos" / f"more{index}.mp4", walking(4, 150 + index))
    driver, place = start(videos), videos / "place"
    seen = []
    while driver.poll() is None:
        if list(place.glob("store/parts/*/plan.parquet")):
            if not seen:
                with pytest.raises(CurationError, match=f"process {driver.pid} on "):
                    stopping.curate(place)
            seen.append(json.loads(deepshard(place, "status", "--json").stdout))
            asked = deepshard(place, "sql", "SELECT count(*) AS n FROM faces", "--json")
            assert (asked.returncode, asked.stderr) == (0, "")
        time.sleep(0.1)
    assert driver.returncode == 0
    assert stopping.curate(place) is None
    seen.append(json.loads(deepshard(place, "status", "--json").stdout))
    left = [sum(group["left"] for group in told["progress"]["groups"]) for told in seen]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0 < left[0]
    assert f"process {driver.pid} on " in seen[0]["holder"]
    assert seen[-1]["holder"] is None
    assert {failure["status"]: failure["videos"] for failure in seen[-1]["progress"]["failures"]} == {
        "failed": 1,
        "no_face": 1,
    }
