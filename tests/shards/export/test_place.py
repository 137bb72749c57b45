"""An export that is stopped anywhere goes on and ends the same; nothing half is left, nothing of others is touched."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from shards.errors import ReadError
from shards.export.export import FORMS, export
from shards.export.notes import Licence
from shards.export.place import open_place
from shards.export.sides import ExportError, Side
from shards.remote import Remote
from tests.curation.test_disks import in_namespace, refused
from tests.shards.export.world import make_world, tree
from tests.shards.serving import served

KILLED = """
import os, sys
from pathlib import Path
from tests.shards.export.test_place import small
from tests.shards.test_durable import kill, stop_at

store, form, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
small(store, form, folder / "whole")
for n in range(1, 1000):
    child = os.fork()
    if child == 0:
        stop_at(n, kill)
        small(store, form, folder / f"{n}" / "whole")
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(n)
"""


def small(store, form, to):
    """One face, as a train side, of a world that lies there."""
    from shards.split import Split

    split = Split.open(next((store / "splits").glob("small@*.arrow")))
    return export([Side("train", [split])], form, to)


@pytest.mark.parametrize("form", ["folder", "hf-parquet"])
def test_killed_at_any_change_of_the_disk_it_goes_on_and_ends_the_same(tmp_path, form):
    world = make_world(tmp_path / "store")
    world.split("small", lambda made: made.name == "003")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(world.root), form, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    whole, count = tree(tmp_path / "whole"), int(done.stdout)
    assert count > 8
    for n in range(1, count):
        to = tmp_path / f"{n}" / "whole"
        made = small(world.root, form, to)
        assert tree(to) == whole, n
        assert made.new or n >= count - 2  # finished when its card says so, all else is before that


@pytest.mark.parametrize("form", FORMS)
def test_run_again_it_reads_nothing_and_says_so(world, tmp_path, form):
    sides = [world.side("train", lambda made: made.dataset == "ffpp")]
    first = export(sides, form, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    gone = [Side("train", [world.split("a_train", lambda made: made.dataset == "ffpp", tmp_path / "nowhere")])]
    again = export(gone, form, tmp_path / "out")
    assert (first.new, again.new) == (True, False) and again.faces == first.faces and again.notes == first.notes
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_folder_of_somebody_else_is_left_alone(world, tmp_path):
    sides = [world.side("train", lambda made: made.dataset == "ffpp")]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="holds other things: name a folder that is empty"):
        export(sides, "folder", tmp_path / "mine")
    assert tree(tmp_path / "mine") == {"notes.txt": b"mine"}
    export(sides, "folder", tmp_path / "out")
    before = tree(tmp_path / "out")
    for others in ([Side("test", sides[0].splits)], [world.side("train", lambda made: made.label == 1)]):
        with pytest.raises(ExportError, match="holds another export"):
            export(others, "folder", tmp_path / "out")
    with pytest.raises(ExportError, match="holds another export"):
        export(sides, "hf-parquet", tmp_path / "out")
    assert tree(tmp_path / "out") == before
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        export(sides, "folder", tmp_path / "file")


def test_two_processes_do_not_write_one_folder(tmp_path):
    with (
        open_place(tmp_path / "out", {"a": 1}),
        pytest.raises(ExportError, match="another process exports"),
        open_place(tmp_path / "out", {"a": 1}),
    ):
        pass


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_face_stops_it_by_name_and_a_mended_shard_lets_it_go_on(world, tmp_path, form):
    shutil.copytree(world.root, tmp_path / "store")
    split = world.split("whole", lambda made: True, tmp_path / "store" / "shards")
    row = len(split) - 1
    where = split.ranges("image").take(np.array([row]))
    tar = tmp_path / "store" / "shards" / f"{where.names[where.shards[0]]}.tar"
    sound = tar.read_bytes()
    at = int(where.offsets[0]) + 20
    tar.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
    with pytest.raises(ReadError, match=f"{split.sample_ids([row])[0]}.*damaged.*deepshard verify"):
        export([Side("train", [split])], form, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert "finished" not in json.loads((tmp_path / "out" / "export.json").read_text())
    tar.write_bytes(sound)
    assert export([Side("train", [split])], form, tmp_path / "out").new
    export([Side("train", [split])], form, tmp_path / "undisturbed", root="./datasets/out" if "bench" in form else None)
    assert tree(tmp_path / "out") == tree(tmp_path / "undisturbed")


@pytest.mark.parametrize("form", ["folder", "deepfakebench"])
def test_files_that_a_power_cut_emptied_are_written_again(world, tmp_path, form):
    sides = [world.side("train", lambda made: made.dataset == "ffpp")]
    export(sides, form, tmp_path / "out")
    whole = tree(tmp_path / "out")
    card = tmp_path / "out" / "export.json"
    told = json.loads(card.read_text())
    del told["finished"]
    card.write_text(json.dumps(told))
    small_files = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".npy")]
    for path in small_files[::3]:
        path.write_bytes(b"")
    assert export(sides, form, tmp_path / "out").new
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize("form", FORMS)
def test_shards_at_an_address_give_the_same_files(world, tmp_path, form):
    export([world.side("train", lambda made: made.dataset != "dfd")], form, tmp_path / "near" / "out")
    with served(world.shards_dir) as server:
        far = Remote(server.url, tmp_path / "cache", tries=1)
        side = Side("train", [world.split("a_train", lambda made: made.dataset != "dfd", far)])
        export([side], form, tmp_path / "far" / "out")
    assert tree(tmp_path / "far" / "out") == tree(tmp_path / "near" / "out")


def test_a_full_disk_is_one_clear_line_and_the_same_command_goes_on(tmp_path):
    world = make_world(tmp_path / "store")
    sides = [Side("train", [world.split("all", lambda made: True)])]
    script = "mkdir disk; mount -t tmpfs -o size=20m tmpfs disk\n"
    for form, full in (("folder", "48k"), ("hf-parquet", "12k")):
        command = f"{sys.executable} -m deepshard export train=all --store store --to {form} --out disk/{form}"
        script += f"""
            mount -o remount,size={full} disk
            echo '== {form}'; {command} 2>&1; echo $?
            mount -o remount,size=20m disk
            {command} >/dev/null && cp -r disk/{form} {form} && rm -r disk/{form}
        """
    said = in_namespace(tmp_path, script)
    for form, line in said.items():
        form = form.strip()
        assert "is full: free space there and run the same command again" in refused(line), form
        export(sides, form, tmp_path / f"undisturbed-{form}")
        assert _but_the_readme(tmp_path / form) == _but_the_readme(tmp_path / f"undisturbed-{form}")
    assert len(said) == 2


def _but_the_readme(folder):
    """The command line knows the scans of the store, the call here does not; the README tells what they say."""
    return {name: data for name, data in tree(folder).items() if name != "README.md"}


@pytest.mark.parametrize("form", FORMS)
def test_it_says_whose_faces_these_are_and_no_path_of_this_machine(world, tmp_path, form):
    licences = [Licence("ffpp", "its terms: no redistribution", False), Licence("campus", "CC-BY-4.0", True)]
    to = tmp_path / "out"
    export([world.side("test", lambda made: True)], form, to, licences)
    told = (to / "README.md").read_text()
    assert "ffpp: its terms: no redistribution" in told and "campus: CC-BY-4.0" in told
    assert "celebdf-v2: its licence is not known here" in told
    assert "**celebdf-v2, ffpp must not be passed on.**" in told
    for name, data in tree(to).items():
        for word in (str(tmp_path.parent), os.path.expanduser("~"), os.uname().nodename):
            assert len(word) < 4 or word.encode() not in data, (name, word)
