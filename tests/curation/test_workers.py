"""Workers that hang, crash or raise cost one task each; everything else is done, and nothing outlives the run.

Under every engine alike.
"""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from curation.engines import ENGINES, Limits, Outcome, Stopped, open_engine
from tests.curation.clusters import cluster_of


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture(params=ENGINES)
def engine(request) -> str:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


@pytest.fixture
def run_tasks(engine):
    return open_engine(engine)


def start(mood: str = "fine"):
    if mood == "broken":
        raise RuntimeError("no weights here")
    if mood == "slow":
        time.sleep(3)

    def work(task, beat):
        if task == "hang":
            time.sleep(3600)
        if task == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if task == "exit":
            os._exit(7)
        if task == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "glutton":
            hoard = bytearray(os.urandom(1 << 20) * 600)
            time.sleep(30)
            return len(hoard)
        if task == "raise":
            raise ValueError("not today")
        if task == "slow but alive":
            for _ in range(16):
                time.sleep(0.25)
                beat()
        return f"did {task}"

    return work


def test_each_task_has_one_outcome_whatever_happens_to_its_worker(run_tasks):
    tasks = ["a", "hang", "b", "segfault", "c", "exit", "d", "raise", "slow but alive", "e"]
    outcomes = {o.task: o for o in run_tasks(start, (), tasks, workers=2, limits=Limits(3))}
    assert set(outcomes) == set(tasks)
    assert outcomes["hang"].kind == "stalled"
    assert outcomes["segfault"].kind == "crashed"
    assert "SIGSEGV" in outcomes["segfault"].detail
    assert outcomes["exit"].kind == "crashed"
    assert "status 7" in outcomes["exit"].detail
    assert outcomes["raise"].kind == "raised"
    assert "not today" in outcomes["raise"].detail
    for task in ("a", "b", "c", "d", "e", "slow but alive"):
        assert outcomes[task] == Outcome(task, "done", f"did {task}")


def test_a_process_that_others_killed_is_told_from_one_that_grew_too_large(run_tasks):
    limits = Limits(60, memory_bytes=500 << 20)
    outcomes = {o.task: o for o in run_tasks(start, (), ["killed", "glutton", "a"], workers=1, limits=limits)}
    assert outcomes["killed"].kind == "killed"
    assert outcomes["glutton"].kind == "oversized"
    assert "0.5 GB allowed" in outcomes["glutton"].detail
    assert outcomes["a"].kind == "done"


def test_a_lost_task_can_be_given_again_in_another_form(run_tasks):
    def retry(outcome):
        return "second try" if outcome.task == "segfault" else None

    outcomes = list(run_tasks(start, (), ["segfault"], workers=1, limits=Limits(60), retry=retry))
    assert [(o.task, o.kind) for o in outcomes] == [("second try", "done")]


def test_workers_that_cannot_start_stop_the_run_with_their_own_words(run_tasks):
    with pytest.raises(Stopped, match="no weights here"):
        list(run_tasks(start, ("broken",), ["a"], workers=1, limits=Limits(60)))


def test_tasks_are_taken_as_workers_come_free(run_tasks):
    """So that ten million of them need not be in memory at once."""
    taken = []
    tasks = (taken.append(number) or f"task {number}" for number in range(1000))
    outcomes = run_tasks(start, (), tasks, workers=2, limits=Limits(60))
    for done in range(1, 6):
        next(outcomes)
        assert len(taken) <= done + 3
    outcomes.close()


def test_without_a_number_there_are_as_many_workers_as_cpus(engine, run_tasks, tmp_path):
    cpus = 2 if engine == "ray" else len(os.sched_getaffinity(0))
    outcomes = list(run_tasks(start_crowd, (str(tmp_path), cpus), range(1, 12), workers=None, limits=Limits(60)))
    assert {o.kind for o in outcomes} == {"done"}
    assert len(os.listdir(tmp_path)) == cpus


def start_crowd(folder: str, count: int):
    """Work that ends only when as many processes have been at work."""

    def work(task, beat):
        open(f"{folder}/{os.getpid()}", "w").close()
        while len(os.listdir(folder)) < count:
            time.sleep(0.05)
            beat()

    return work


def start_named(folder: str):
    """Work that leaves the number of its process in a folder, and hangs unless the task says otherwise."""

    def work(task, beat):
        open(f"{folder}/{os.getpid()}", "w").close()
        if task == "hang":
            time.sleep(3600)

    return work


def test_models_that_load_slowly_are_no_stall():
    [outcome] = open_engine("local")(start, ("slow",), ["a"], workers=1, limits=Limits(1.5))
    assert outcome.kind == "done"


def test_leaving_early_ends_every_worker(run_tasks, tmp_path):
    outcomes = run_tasks(start_named, (str(tmp_path),), ["a", "hang", "hang", "b"], workers=2, limits=Limits(600))
    next(outcomes)
    outcomes.close()
    workers = [int(name) for name in os.listdir(tmp_path)]
    assert workers
    gone = time.monotonic() + 90
    while any(map(psutil.pid_exists, workers)):
        assert time.monotonic() < gone
        time.sleep(0.05)


ALIVE, HUNG = "time.sleep(0.05); beat()", "ctypes.PyDLL(None).sleep(600)"


@pytest.mark.parametrize(("engine", "mood"), [("local", ALIVE), ("local", HUNG), ("ray", HUNG)], indirect=["engine"])
def test_workers_of_a_killed_driver_end_themselves(engine, tmp_path, mood):
    """Also one that hangs in native code and holds the GIL, as a decoder may."""
    program = (
        "import ctypes, time, os\n"
        "from curation.engines import Limits, open_engine\n"
        "def start():\n"
        "    def work(task, beat):\n"
        f"        open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "        while True:\n"
        f"            {mood}\n"
        "    return work\n"
        "if __name__ == '__main__':\n"
        "    import driver\n"
        f"    list(open_engine({engine!r})(driver.start, (), ['x'], 1, Limits(600), lambda outcome: None))\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(program)
    driver = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 180
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = psutil.Process(int((tmp_path / "pid").read_text()))
    driver.kill()
    driver.wait()
    worker.wait(timeout=90)
