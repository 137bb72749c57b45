"""Workers that hang, crash or raise cost one task each; everything else is done, and nothing outlives the run."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from curation.engines import Limits, Outcome, Stopped
from curation.engines.local import run_tasks


def start(mood: str = "fine"):
    if mood == "broken":
        raise RuntimeError("no weights here")

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
            for _ in range(8):
                time.sleep(0.25)
                beat()
        return f"did {task}"

    return work


def test_each_task_has_one_outcome_whatever_happens_to_its_worker():
    tasks = ["a", "hang", "b", "segfault", "c", "exit", "d", "raise", "slow but alive", "e"]
    outcomes = {o.task: o for o in run_tasks(start, (), tasks, workers=2, limits=Limits(1.5))}
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


def test_a_process_that_others_killed_is_told_from_one_that_grew_too_large():
    limits = Limits(60, memory_bytes=500 << 20)
    outcomes = {o.task: o for o in run_tasks(start, (), ["killed", "glutton", "a"], workers=1, limits=limits)}
    assert outcomes["killed"].kind == "killed"
    assert outcomes["glutton"].kind == "oversized"
    assert "0.5 GB allowed" in outcomes["glutton"].detail
    assert outcomes["a"].kind == "done"


def test_a_lost_task_can_be_given_again_in_another_form():
    def retry(outcome):
        return "second try" if outcome.task == "segfault" else None

    outcomes = list(run_tasks(start, (), ["segfault"], workers=1, limits=Limits(60), retry=retry))
    assert [(o.task, o.kind) for o in outcomes] == [("second try", "done")]


def test_workers_that_cannot_start_stop_the_run_with_their_own_words():
    with pytest.raises(Stopped, match="no weights here"):
        list(run_tasks(start, ("broken",), ["a"], workers=1, limits=Limits(60)))


def test_leaving_early_ends_every_worker():
    before = set(psutil.Process().children())
    outcomes = run_tasks(start, (), ["a", "hang", "hang", "b"], workers=2, limits=Limits(600))
    next(outcomes)
    outcomes.close()
    left = [
        child for child in set(psutil.Process().children()) - before if "resource_tracker" not in str(child.cmdline())
    ]
    assert left == []


@pytest.mark.parametrize("mood", ["time.sleep(0.05); beat()", "ctypes.PyDLL(None).sleep(600)"], ids=["alive", "hung"])
def test_workers_of_a_killed_driver_end_themselves(tmp_path, mood):
    """Also one that hangs in native code and holds the GIL, as a decoder may."""
    program = (
        "import ctypes, time, os\n"
        "from curation.engines import Limits\n"
        "from curation.engines.local import run_tasks\n"
        "def start():\n"
        "    def work(task, beat):\n"
        f"        open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "        while True:\n"
        f"            {mood}\n"
        "    return work\n"
        "if __name__ == '__main__':\n"
        "    list(run_tasks(start, (), ['x'], 1, Limits(600)))\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(program)
    driver = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = psutil.Process(int((tmp_path / "pid").read_text()))
    driver.kill()
    driver.wait()
    worker.wait(timeout=10)
