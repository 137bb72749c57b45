"""Disks that are full, read-only, forbidden or gone: one clear message, nothing lost, and the next run goes on.

Each runs in a mount namespace of its own (Linux lets an unprivileged user have one), in a small tmpfs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.curation.people import encode, walking
from tests.curation.test_survival import DESCRIPTION

ROOT = Path(__file__).parents[2]
RUN = f"{sys.executable} -m deepshard curate --recipe small.yml --aligner dlib --workers 1 2>&1"
SCAN = f"{sys.executable} -m deepshard scan folder small.yaml videos >/dev/null"
RECIPE = "sampling: evenly 4\nmargin: 0.1\nsize: 128\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("disks")
    for index in range(4):
        encode(folder / "videos" / f"v{index}.mp4", walking(6, 150 + index))
    (folder / "small.yaml").write_text(DESCRIPTION)
    (folder / "small.yml").write_text(RECIPE)
    return folder


def in_namespace(place: Path, script: str, user: bool = False) -> dict[str, str]:
    """Runs a shell script in a mount namespace; it prints ``== NAME`` before what is to be looked at."""
    words = ["unshare", "--mount", *(["--user", "--map-root-user"] if user or os.geteuid() else [])]
    done = subprocess.run(
        [*words, "bash", "-c", f"set -u; cd {place}; {script}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower().split("\n")[0]:
        message = f"no mount namespace here ({done.stderr.strip()}): the tests of full disks cannot run"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    sections = done.stdout.split("== ")[1:]
    assert sections, done.stdout + done.stderr
    return {name: text for name, _, text in (section.partition("\n") for section in sections)}


def refused(said: str) -> str:
    """The output of a command that ended with 2 and one line of ours, perhaps after progress."""
    *lines, status = said.strip().splitlines()
    assert status == "2", said
    assert "Traceback" not in said, said
    assert lines[-1].startswith("deepshard: "), said
    return lines[-1]


AT_THE_END = (
    f"echo '== state'; {sys.executable} -c \"import json, tests.curation.stopping as s, pathlib; "
    'print(json.dumps(s.state(pathlib.Path(\\"disk\\"))))"'
)


DISK = "--catalog disk/catalog.duckdb --store disk/store"


@pytest.fixture(scope="module")
def whole(place) -> dict:
    """What a run leaves that nothing disturbs."""
    script = f"mkdir disk; {SCAN} {DISK}; {RUN} {DISK} >/dev/null; {AT_THE_END}; rm -r disk"
    return json.loads(in_namespace(place, script)["state"])


@pytest.mark.parametrize("kilobytes", [600, 1100], ids=["worker", "shard"])
def test_a_full_disk_stops_the_run_and_a_larger_one_goes_on(place, whole, kilobytes):
    script = f"""
        mkdir disk; mount -t tmpfs -o size=20m tmpfs disk
        {SCAN} {DISK}
        used=$(df --output=used -k disk | tail -1)
        mount -o remount,size=$((used + {kilobytes}))k disk
        echo '== full'; {RUN} {DISK}; echo $?
        mount -o remount,size=200m disk
        echo '== again'; {RUN} {DISK}; echo $?
        {AT_THE_END}
        umount disk; rmdir disk
    """
    said = in_namespace(place, script)
    assert "No space left on device" in refused(said["full"])
    assert said["again"].strip().endswith("\n0")
    state = json.loads(said["state"])
    assert state == whole
    assert state["findings"] == state["left"] == []


def test_a_full_disk_under_the_catalog_loses_no_face(place, whole):
    disk = "--catalog small/catalog.duckdb --store disk/store"
    script = f"""
        mkdir disk small; mount -t tmpfs -o size=20m tmpfs small
        {SCAN} {disk}
        mount -o remount,size=$(($(df --output=used -k small | tail -1) + 4))k small
        echo '== full'; {RUN} {disk}; echo $?
        mount -o remount,size=20m small
        echo '== again'; {RUN} {disk}; echo $?
        cp small/catalog.duckdb disk
        {AT_THE_END}
        umount small; rm -r disk small
    """
    said = in_namespace(place, script)
    assert "catalog.duckdb cannot be written" in refused(said["full"])
    assert said["again"].startswith("nothing to do")
    assert json.loads(said["state"]) == whole


def test_a_read_only_disk_and_a_forbidden_one_are_said_and_nothing_is_begun(place, whole):
    script = f"""
        mkdir disk; {SCAN} {DISK}
        mount --bind disk disk; mount -o remount,ro,bind disk
        echo '== readonly'; {RUN} {DISK}; echo $?
        umount disk
        echo '== again'; {RUN} {DISK}; echo $?
        {AT_THE_END}
        rm -r disk
    """
    said = in_namespace(place, script)
    assert "Read-only file system" in refused(said["readonly"])
    assert json.loads(said["state"]) == whole


def test_a_mount_that_vanishes_fails_no_video(place, whole):
    script = f"""
        mkdir disk; mv videos films; mkdir videos; mount --bind films videos
        {SCAN} {DISK}
        umount videos
        echo '== gone'; {RUN} {DISK}; echo $?
        mount --bind films videos
        echo '== again'; {RUN} {DISK}; echo $?
        {AT_THE_END}
        umount videos; rmdir videos; mv films videos; rm -r disk
    """
    said = in_namespace(place, script)
    assert "Mount or restore it" in refused(said["gone"])
    assert json.loads(said["state"]) == whole
