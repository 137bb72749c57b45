"""Curation on a real cluster of several nodes on this machine: they are lost and others join, the end is the same."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
import ray

from curation.engines import Carried, Limits, Outcome, Stopped, bring
from curation.engines.bring import PIECE
from curation.engines.on_ray import _room, run_tasks
from curation.run import curate, second_try, start_worker
from tests.curation.clusters import cluster_of
from tests.curation.test_run import COUNTS, RECIPE, ask, scan, tars, videos  # noqa: F401 (a fixture)
from tests.soak import scale

ATTEMPTS = "SELECT * EXCLUDE (attempted_at, attempt) FROM attempts ORDER BY ALL"


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(2) as cluster:
        yield cluster


def start_waiting(folder: str):
    """Work that says which process does it; "long" waits for a file that never comes, "last" for a third process."""

    def work(task, beat):
        Path(folder, f"{task} {os.getpid()}").touch()
        while task == "long" or (task == "last" and len({name.split()[1] for name in os.listdir(folder)}) < 3):
            beat()
            time.sleep(0.05)
        return f"did {task}"

    return work


def node_of(cluster, process: int):
    """The node that a worker's process is on."""
    above = {parent.pid for parent in psutil.Process(process).parents()}
    return next(node for node in cluster.worker_nodes if node.all_processes["raylet"][0].process.pid in above)


def node_at_work(cluster):
    """A node on which a process has a part open; None where no worker is in the middle of a video."""
    for node in cluster.worker_nodes:
        for process in psutil.Process(node.all_processes["raylet"][0].process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if any("deepshard-scratch-" in file.path and ".part" in file.path for file in process.open_files()):
                    return node
    return None


def lose(cluster, node) -> None:
    cluster.remove_node(node, allow_graceful=False)


def test_what_a_lost_node_did_is_done_elsewhere_and_a_node_that_joins_gets_work(cluster, tmp_path):
    lost: list[Outcome] = []

    def retry(outcome):
        if outcome.kind == "done":
            return None
        lost.append(outcome)
        cluster.add_node(num_cpus=1)
        return "again"

    outcomes = run_tasks(start_waiting, (str(tmp_path),), ["long", "a", "b", "last"], 2, Limits(60), retry)
    done = [next(outcomes)]
    while not (there := list(tmp_path.glob("long *"))):
        time.sleep(0.05)
    lose(cluster, node_of(cluster, int(there[0].name.split()[1])))
    done += list(outcomes)
    assert [(o.task, o.kind) for o in lost] == [("long", "killed")]
    assert "was lost" in lost[0].detail
    assert sorted(o.result for o in done) == ["did a", "did again", "did b", "did last"]


def test_a_curation_that_loses_a_node_ends_as_on_one_machine(cluster, videos, tmp_path, monkeypatch):  # noqa: F811
    catalog, store = scan(videos, tmp_path / "one")
    curate(catalog, store, RECIPE, workers=2)
    other_catalog, other_store = scan(videos, tmp_path / "cluster")

    kinds = []

    def lose_one(progress):
        if "killed" not in kinds and (node := node_at_work(cluster)):
            lose(cluster, node)
            cluster.add_node(num_cpus=1)

    def retry(outcome):
        kinds.append(outcome.kind)
        return second_try(outcome)

    monkeypatch.setattr("curation.run.second_try", retry)
    monkeypatch.setattr("curation.run.start_worker", partial(start_far_from, str(other_store)))

    report = curate(other_catalog, other_store, RECIPE, engine="ray", workers=2, on_progress=lose_one)
    assert "killed" in kinds
    assert report.counts == COUNTS
    assert tars(other_store) == tars(store) != {}
    assert ask(other_catalog, ATTEMPTS) == ask(catalog, ATTEMPTS)
    assert list((other_store / "parts").glob("*/*")) == []


def start_far_from(folder: str, recipe, device, apart):
    """A worker that fails whatever it does in a folder: the store is the driver's alone."""

    def refuse(event: str, args: tuple) -> None:
        if any(isinstance(arg, str | bytes | os.PathLike) and os.fsdecode(arg).startswith(folder) for arg in args):
            raise RuntimeError(f"a worker touches the store: {event} {args}")

    sys.addaudithook(refuse)
    return start_worker(recipe, device, apart)


def start_writing(scratch: str):
    def work(task, beat):
        target, size = task
        folder = Path(tempfile.mkdtemp(dir=scratch))
        (folder / "file").write_bytes(os.urandom(size))
        digest = hashlib.sha256((folder / "file").read_bytes()).hexdigest()
        return Carried(digest, str(folder / "file"), target)

    return work


def test_files_are_brought_whole_in_pieces_and_leave_nothing(cluster, tmp_path):
    here, scratch = tmp_path / "here", tmp_path / "scratch"
    here.mkdir()
    scratch.mkdir()
    tasks = [(str(here / str(size)), size) for size in (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 5)]
    outcomes = list(run_tasks(start_writing, (str(scratch),), tasks, 2, Limits(60)))
    assert sorted(path.name for path in here.iterdir()) == sorted(str(size) for _, size in tasks)
    for outcome in outcomes:
        (target, size), digest = outcome.task, outcome.result
        assert Path(target).stat().st_size == size
        assert hashlib.sha256(Path(target).read_bytes()).hexdigest() == digest
    assert list(scratch.iterdir()) == []


def test_a_file_that_cannot_be_written_here_stops_the_run(cluster, tmp_path):
    with pytest.raises(FileNotFoundError):
        list(run_tasks(start_writing, (str(tmp_path),), [(str(tmp_path / "nowhere" / "here"), 256)], 1, Limits(60)))


def test_a_file_that_went_with_its_machine_is_made_again(cluster, tmp_path, monkeypatch):
    pieces, lost = bring._pieces, []

    def pieces_of_a_lost_machine(actor, file):
        if not lost:
            shutil.rmtree(Path(file).parent)
            ray.kill(actor, no_restart=False)
        yield from pieces(actor, file)

    def retry(outcome):
        if outcome.kind == "done":
            return None
        lost.append(outcome.kind)
        return outcome.task

    monkeypatch.setattr(bring, "_pieces", pieces_of_a_lost_machine)
    [outcome] = run_tasks(start_writing, (str(tmp_path),), [(str(tmp_path / "here"), 256)], 1, Limits(60), retry)
    assert lost == ["killed"]
    assert hashlib.sha256((tmp_path / "here").read_bytes()).hexdigest() == outcome.result
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.soak
def test_every_task_has_one_outcome_while_nodes_come_and_go(cluster, tmp_path):
    count, every = scale(30, 5000), scale(20, 200)
    draw = random.Random(0)

    def retry(outcome):
        return outcome.task if outcome.kind == "killed" else None

    done = []
    for outcome in run_tasks(start_waiting, (str(tmp_path),), range(1, count + 1), 2, Limits(60), retry):
        done.append(outcome)
        if len(done) % every == 0:
            lose(cluster, draw.choice(sorted(cluster.worker_nodes, key=id)))
            cluster.add_node(num_cpus=1)
    assert sorted(o.task for o in done) == list(range(1, count + 1))
    assert {o.kind for o in done} == {"done"}


def test_a_cluster_that_is_not_there_is_said_at_once(tmp_path):
    program = (
        "from curation.engines import Limits, Stopped\nfrom curation.engines.on_ray import run_tasks\n"
        "try:\n    list(run_tasks(dict, (), ['a'], 1, Limits()))\n"
        "except Stopped as error:\n    print(error)\n"
    )
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "no Ray cluster can be reached" in done.stdout, done.stderr


def test_a_machine_without_this_code_stops_the_run(cluster, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "only_here.py").write_text("def start():\n    return None\n")
    import only_here

    with pytest.raises(Stopped, match="same deepshard.*only_here"):
        list(run_tasks(only_here.start, (), ["a"], 1, Limits(60)))


@pytest.mark.parametrize(
    ("nodes", "workers", "gpu", "expected"),
    [
        ([{"CPU": 16.0}, {"CPU": 8.0}, {}], None, False, (24, 0.0)),
        ([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}], None, False, (24, 0.0)),
        ([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}], None, True, (16, 0.125)),
        ([{"CPU": 16.0, "GPU": 2.0}], 1, True, (1, 1.0)),
        ([{"CPU": 12.0, "GPU": 1.0}], None, True, (12, 0.0833)),
        ([{"CPU": 4.0}], None, True, (4, 0.0)),
    ],
)
def test_workers_share_out_the_gpus_of_the_nodes_that_have_some(monkeypatch, nodes, workers, gpu, expected):
    dead = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    monkeypatch.setattr("ray.nodes", lambda: [dead, *({"Alive": True, "Resources": node} for node in nodes)])
    assert _room(workers, gpu) == expected


def test_a_cluster_without_a_cpu_is_refused(monkeypatch):
    monkeypatch.setattr("ray.nodes", list)
    with pytest.raises(Stopped, match="ray start"):
        _room(None, False)
