"""Real launches on this machine: as many processes as asked for, or a word about it; the same samples with any."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.training.conftest import ROOT
from training.errors import TrainingError
from training.run import main
from training.settings import settings
from training.world import check_processes, launched_world, share_of_cores

BIN = Path(sys.executable).parent
SCRIPT = "training/run.py"


def launch(*words) -> subprocess.CompletedProcess:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE")}
    done = subprocess.run(
        [str(word) for word in words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600
    )
    done.printed = done.stdout + done.stderr
    return done


def words_for(sets, tmp_path, name):
    words = ["--config", ROOT / "training" / "configs" / "demo.yaml", "--store", sets.root, "--train", "train"]
    words += ["--catalog", tmp_path / "none.duckdb", "--test", "test", "--epochs", "1", "--batch_size", "8"]
    return [*words, "--schedule.name", "constant", "--workers", "0", "--trace", "--tracker", "none", "--name", name]


def steps_of(folder, ranks):
    """For each step, the samples of the ranks, one list per rank."""
    traces = [(folder / f"trace-rank{rank:05d}.jsonl").read_text().splitlines() for rank in range(ranks)]
    return [[json.loads(line)["samples"] for line in lines] for lines in zip(*traces, strict=True)]


def test_two_processes_see_the_global_batches_of_one_score_each_face_once_and_resume(sets, tmp_path, capsys):
    two = launch(BIN / "torchrun", "--nproc_per_node", "2", SCRIPT, *words_for(sets, tmp_path, "two-processes"))
    assert two.returncode == 0, two.printed
    assert two.printed.count("run two-processes: 2 processes on cpu") == 1
    folder = sets.root / "runs" / "two-processes"
    assert json.loads((folder / "run.json").read_text())["world"]["processes"] == 2

    assert main([str(word) for word in words_for(sets, tmp_path, "one-process")]) == 0, capsys.readouterr()
    ours = steps_of(sets.root / "runs" / "one-process", 1)
    theirs = steps_of(folder, 2)
    assert len(ours) == len(theirs) == 4
    for (whole,), (first, second) in zip(ours, theirs, strict=True):
        assert whole == first + second  # rank r has the r-th slice

    (path,) = (folder / "predictions").iterdir()  # no rank's part is left
    before = pq.read_table(path)
    assert len(before) == 17
    words = ["--evaluate", "two-processes", "--test", "test", "--store", sets.root, "--catalog", tmp_path / "none"]
    assert main([str(word) for word in words]) == 0, capsys.readouterr()
    after = pq.read_table(path)
    assert after["sample_id"].to_pylist() == before["sample_id"].to_pylist()
    # each rank has its own batch statistics in training; all score with the ones that were saved
    assert np.allclose(after["score"].to_numpy(), before["score"].to_numpy(), atol=1e-5)

    more = ["--resume", "two-processes", "--epochs", "2", "--store", sets.root, "--catalog", tmp_path / "none"]
    resumed = launch(BIN / "accelerate", "launch", "--multi_gpu", "--num_processes", "2", SCRIPT, *more)
    assert resumed.returncode == 0, resumed.printed
    assert "run two-processes: 2 processes on cpu" in resumed.printed
    assert "continuing after step 4 of 8" in resumed.printed
    assert json.loads((folder / "run.json").read_text())["resumed"][-1]["world"]["processes"] == 2
    seen = [sample for ranks in steps_of(folder, 2) for rank in ranks for sample in rank]
    assert sorted(seen[:32]) == sorted(seen[32:]) == sorted(set(seen))


def test_a_mistake_in_two_processes_is_told_once_and_without_a_traceback(sets, tmp_path):
    words = [word if word != "8" else "7" for word in words_for(sets, tmp_path, "seven")]
    done = launch(sys.executable, SCRIPT, *words, "--processes", "2")
    assert done.returncode == 2
    (line,) = done.printed.strip().splitlines()
    assert line.startswith("error: a global batch of 7 does not divide over 2 ranks")


def test_accelerate_launch_that_drops_processes_is_noticed(sets, tmp_path):
    words = words_for(sets, tmp_path, "dropped")
    done = launch(BIN / "accelerate", "launch", "--cpu", "--num_processes", "2", SCRIPT, *words)
    assert done.returncode != 0
    assert "was asked for several processes and started one" in done.printed
    assert "--processes N" in done.printed
    assert not (sets.root / "runs" / "dropped").exists()


SINGLE = {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True", "OMP_NUM_THREADS": "1"}
DROPPED = {**SINGLE, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost"}


@pytest.mark.parametrize(
    ("expected", "environ", "starts"),
    [
        (None, {}, False),
        (None, SINGLE, False),
        (None, TORCHRUN, False),
        (None, {"OMPI_COMM_WORLD_SIZE": "2"}, False),
        (4, TORCHRUN, False),
        (1, DROPPED, False),
        (1, {}, False),
        (2, {}, True),
        (2, DROPPED, True),
        (None, {"MASTER_ADDR": "10.0.0.1"}, False),  # set in the user's shell, no launcher at all
    ],
)
def test_processes_are_started_only_where_they_are_asked_for_and_missing(expected, environ, starts):
    assert check_processes(expected, environ) is starts


@pytest.mark.parametrize(
    ("expected", "environ", "hint"), [(None, DROPPED, "started one"), (2, TORCHRUN, "the launcher started 4")]
)
def test_another_number_of_processes_than_asked_for_is_an_error(expected, environ, hint):
    with pytest.raises(TrainingError, match=hint):
        check_processes(expected, environ)


@pytest.mark.parametrize(("world", "taken_down"), [(None, True), ("1", True), ("2", False)])
def test_one_of_several_processes_leaves_without_taking_its_interpreter_down(world, taken_down):
    """gloo's threads may still want it; what is to be done at the end is done all the same."""
    script = (
        "import atexit\n"
        "from training.world import leave\n"
        "class Last:\n    def __del__(self): print('taken down')\n"
        "last = Last()\n"
        "atexit.register(print, 'at the end')\n"
        "leave(3)\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"}
    environ |= {"WORLD_SIZE": world} if world else {}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout.splitlines() == ["at the end", *["taken down"] * taken_down]


def test_the_world_is_what_the_launcher_says():
    assert launched_world(TORCHRUN) == 4
    assert launched_world(DROPPED) is None


def test_cores_are_shared_between_processes_and_loaders(monkeypatch):
    monkeypatch.setattr("training.world.available_cores", lambda: 16)
    assert share_of_cores(1, True, None, None) == (8, 16)
    assert share_of_cores(4, True, None, None) == (3, 4)
    assert share_of_cores(2, False, None, None) == (1, 8)
    assert share_of_cores(16, False, None, None) == (0, 1)
    assert share_of_cores(32, True, None, None) == (1, 1)
    assert share_of_cores(2, False, 0, 3) == (0, 3)


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_no_setting_has_a_name_that_a_launcher_takes_for_its_own(launcher):
    """Their parsers complete abbreviations, also behind the script's name: `--run` would stop torchrun."""
    if launcher == "torchrun":
        from torch.distributed.run import get_args_parser as parser_of
    else:
        from accelerate.commands.launch import launch_command_parser as parser_of
    parser: argparse.ArgumentParser = parser_of()
    for name in settings():
        given = parser.parse_args(["--num_processes=1"][: launcher == "accelerate"] + [SCRIPT, f"--{name}", "1"])
        assert given.training_script_args == [f"--{name}", "1"]
