"""A run that is cut off at any step and resumed is, to the last bit, the run that was not."""

import json
import random
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from tests.soak import scale
from tests.training.conftest import ROOT
from training import loop
from training.checkpoint import checkpoints, read_optimiser, read_progress, read_weights
from training.run import main


def folder_of(sets, name):
    return sets.root / "runs" / name


def outcome(folder):
    """(weights, optimiser state, samples of every step, figures) of a finished run."""
    last = checkpoints(folder / "checkpoints")[-1]
    trace = [json.loads(line) for line in (folder / "trace-rank00000.jsonl").read_text().splitlines()]
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    return read_weights(last)[0], read_optimiser(last), trace, record["metrics"], read_progress(last)


def assert_same_run(one, other):
    weights, optimiser, trace, metrics, progress = one
    again, optimiser_again, trace_again, metrics_again, progress_again = other
    assert trace_again == trace
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    states, states_again = (state["optimiser"]["state"] for state in (optimiser, optimiser_again))
    assert states.keys() == states_again.keys() and states
    for number, values in states.items():
        assert all(torch.equal(torch.as_tensor(values[k]), torch.as_tensor(states_again[number][k])) for k in values)
    assert metrics_again == metrics
    assert (progress_again.step, progress_again.samples_seen) == (progress.step, progress.samples_seen)
    assert progress_again.best == progress.best


class Cut(BaseException):
    """The power goes."""


# eight steps in two epochs: in the middle, between a checkpoint and the next, at an epoch's end, in the last step
@pytest.mark.parametrize("cut", range(1, 9))
@pytest.mark.parametrize("every", ["3", "null"])
def test_cut_off_in_any_step_and_resumed_it_is_the_same_run(sets, run, monkeypatch, cut, every):
    words = ["--checkpoint_every", every, "--augment.flip", "0.5", "--augment.colour", "0.5"]
    whole = folder_of(sets, f"whole-{every}")
    if not whole.exists():
        assert run("--name", whole.name, *words)[0] == 0
    step = loop.Loop._step

    def falls(self):
        if self.progress.step == cut - 1:
            raise Cut
        return step(self)

    name = f"cut-{every}-{cut}"
    monkeypatch.setattr(loop.Loop, "_step", falls)
    with pytest.raises(Cut):
        run("--name", name, *words)
    monkeypatch.undo()
    if not checkpoints(folder_of(sets, name) / "checkpoints"):
        code, printed = run("--resume", name, config=None, splits=False)
        assert code == 2
        assert "has no checkpoint yet" in printed
        return
    code, printed = run("--resume", name, config=None, splits=False)
    assert code == 0, printed
    assert_same_run(outcome(whole), outcome(folder_of(sets, name)))


def settings_for(sets, tmp_path, *words: str) -> list[str]:
    """A small MesoNet-4: a process of its own knows no detector of the tests."""
    settings = ["--config", str(ROOT / "training" / "configs" / "demo.yaml"), "--store", str(sets.root)]
    settings += ["--catalog", str(tmp_path / "none.duckdb"), "--train", "train", "--schedule.name", "constant"]
    settings += ["--threads", "1", "--deterministic", "--trace", "--log_every", "1", "--checkpoint_every", "1"]
    return [*settings, "--tracker", "none", *words]


def start_and_wait_for_step(step: int, of: int, words: list[str]) -> subprocess.Popen:
    started = subprocess.Popen(
        [sys.executable, "training/run.py", *words],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    told = []
    for line in started.stderr:
        told.append(line)
        if f"step {step}/{of}" in line:
            return started
    raise AssertionError(f"it ended before step {step}:\n{''.join(told)}")


def test_killed_at_a_random_step_and_resumed_it_is_the_same_run(sets, tmp_path, capsys):
    cut = random.SystemRandom().randrange(2, 8)  # after the first checkpoint, before the last step
    settings = settings_for(sets, tmp_path, "--epochs", "1", "--batch_size", "4")
    killed = start_and_wait_for_step(cut, 8, [*settings, "--name", "killed", "--workers", "1"])
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL

    assert main([*settings, "--name", "unhurt", "--workers", "0"]) == 0, capsys.readouterr()
    words = ["--resume", "killed", "--store", str(sets.root), "--catalog", str(tmp_path / "none.duckdb")]
    assert main([*words, "--workers", "0"]) == 0, capsys.readouterr()
    assert_same_run(outcome(folder_of(sets, "unhurt")), outcome(folder_of(sets, "killed")))


def samples_of(folder) -> list[list[str]]:
    """The sample ids of every step, those of all ranks one after the other."""
    steps: dict[int, list[str]] = {}
    for path in sorted(folder.glob("trace-rank*.jsonl")):
        for line in map(json.loads, path.read_text().splitlines()):
            steps.setdefault(line["step"], []).extend(line["samples"])
    assert sorted(steps) == list(range(1, len(steps) + 1))
    return [steps[step] for step in sorted(steps)]


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_killed_on_two_ranks_and_resumed_on_one_it_sees_the_samples_of_the_unbroken_run(sets, tmp_path, capsys):
    chance = random.SystemRandom()
    settings = settings_for(sets, tmp_path, "--epochs", "2", "--batch_size", "8", "--augment.flip", "0.5")
    assert main([*settings, "--name", "unbroken", "--workers", "0"]) == 0, capsys.readouterr()
    expected = samples_of(folder_of(sets, "unbroken"))
    assert len(expected) == 8 and all(len(set(samples)) == 8 for samples in expected)
    for turn in range(scale(1, 10)):
        name, cut, victim = f"broken-{turn}", chance.randrange(2, 8), chance.choice(["0", "1", "all"])
        words = ["--name", name, "--processes", "2", "--workers", "2"]
        launched = start_and_wait_for_step(cut, 8, [*settings, *words])
        launcher = psutil.Process(launched.pid)
        ranks = {environ["RANK"]: child for child in launcher.children() if "RANK" in (environ := child.environ())}
        assert ranks.keys() == {"0", "1"}
        killed = [launcher, *launcher.children(recursive=True)] if victim == "all" else [ranks[victim]]
        for process in killed:
            process.kill()
        launched.communicate()  # ends only when all who hold its stderr are gone, workers too
        assert launched.returncode != 0
        assert json.loads((folder_of(sets, name) / "run.json").read_text())["world"]["processes"] == 2

        words = ["--resume", name, "--store", str(sets.root), "--catalog", str(tmp_path / "none.duckdb")]
        code, printed = main([*words, "--workers", "3"]), capsys.readouterr().err
        assert code == 0, printed
        assert "1 process on cpu" in printed and "3 loader workers" in printed
        assert samples_of(folder_of(sets, name)) == expected, (cut, victim)


def test_a_finished_run_can_be_given_more_epochs(sets, run):
    assert run("--name", "longer")[0] == 0
    assert run("--name", "long-at-once", "--epochs", "3")[0] == 0
    code, printed = run("--resume", "longer", "--epochs", "3", config=None, splits=False)
    assert code == 0, printed
    assert_same_run(outcome(folder_of(sets, "long-at-once")), outcome(folder_of(sets, "longer")))


def test_a_cosine_schedule_cannot_be_given_more_epochs(sets, run):
    assert run("--name", "cosine", "--schedule.name", "cosine")[0] == 0
    code, printed = run("--resume", "cosine", "--epochs", "3", config=None, splits=False)
    assert code == 2
    assert "cannot change on resuming" in printed


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_checkpoints(sets, run):
    code, printed = run(
        "--name", "diverged", "--optimiser.name", "sgd", "--optimiser.lr", "1e38", "--checkpoint_every", "1"
    )
    assert code == 2
    assert "lower --optimiser.lr" in printed
    record = json.loads((folder_of(sets, "diverged") / "run.json").read_text())
    assert record["status"] == "failed"
    assert "the loss is" in record["error"]


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_the_learning_rate_warms_up_and_follows_its_schedule(name):
    from training.config import Schedule

    schedule = Schedule(name=name, warmup_steps=4, final=0.1)
    rates = [loop.learning_rate(2.0, schedule, step, 20) for step in range(21)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    if name == "constant":
        assert set(rates[4:]) == {2.0}
    else:
        assert rates[4] == 2.0
        assert rates[12] == pytest.approx(1.1)
        assert rates[20] == pytest.approx(0.2)
        assert all(later < earlier for earlier, later in zip(rates[4:], rates[5:], strict=False))
