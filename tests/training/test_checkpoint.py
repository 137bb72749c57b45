"""Checkpoints: whole or absent, checked when read, and never a way to run code."""

import json
import pickle

import pytest
import torch

from training.checkpoint import (
    Progress,
    checkpoints,
    find_checkpoint,
    prune_checkpoints,
    read_optimiser,
    read_progress,
    read_weights,
    run_folder,
    save_checkpoint,
    write_json,
)
from training.errors import TrainingError

WEIGHTS = {"layer.weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(7)}
CARD = {"run_id": "some", "detector": {"name": "toy", "options": {}}}


def save(folder, step, best=None):
    progress = Progress(seed=1, train_hash="ab" * 32, step=step, epoch=2, batch=3, samples_seen=99, best=best)
    optimiser = {
        "optimiser": {"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"lr": 0.1}]},
        "scaler": None,
    }
    return save_checkpoint(folder, WEIGHTS, optimiser, progress, CARD)


def test_a_checkpoint_gives_back_what_was_put_in(tmp_path):
    path = save(tmp_path, 12)
    weights, card = read_weights(path)
    assert card == CARD
    assert all(
        torch.equal(weights[name], WEIGHTS[name]) and weights[name].dtype == WEIGHTS[name].dtype for name in WEIGHTS
    )
    progress = read_progress(path)
    assert (progress.step, progress.epoch, progress.batch, progress.samples_seen) == (12, 2, 3, 99)
    assert read_optimiser(path)["optimiser"]["state"][0]["step"] == 4
    assert read_weights(path / "model.safetensors")[1] == CARD


@pytest.mark.parametrize("broken", ["save_file", "torch.save", "write_json"])
def test_a_fault_while_writing_leaves_no_checkpoint_and_the_old_one_whole(tmp_path, monkeypatch, broken):
    save(tmp_path, 1)

    def full(*_, **__):
        raise OSError("No space left on device")

    target = "torch.save" if broken == "torch.save" else f"training.checkpoint.{broken}"
    monkeypatch.setattr(target, full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 2)
    monkeypatch.undo()
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000001"]
    assert read_progress(checkpoints(tmp_path)[0]).step == 1
    save(tmp_path, 2)  # the leftovers are in nobody's way
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000001", "step-00000002"]


def test_a_checkpoint_is_never_overwritten(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(TrainingError, match="exists already"):
        save(tmp_path, 1)


def test_pruning_keeps_what_is_named_and_a_half_deleted_one_counts_for_nothing(tmp_path, monkeypatch):
    for step in (1, 2, 3):
        save(tmp_path, step)
    monkeypatch.setattr("shutil.rmtree", lambda path: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed"):
        prune_checkpoints(tmp_path, {"step-00000002", "step-00000003"})
    monkeypatch.undo()
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]
    prune_checkpoints(tmp_path, {"step-00000003"})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.pt"])
def test_a_flipped_bit_is_noticed(tmp_path, name):
    path = save(tmp_path, 1)
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(bytes(data))
    with pytest.raises(TrainingError, match=f"{name} is damaged"):
        read_progress(path)


class Evil:
    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('evil').touch()",))


def test_optimiser_state_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path, 1)
    torch.save({"optimiser": Evil()}, path / "optimiser.pt")
    with pytest.raises(pickle.UnpicklingError):
        read_optimiser(path)
    assert not (tmp_path / "evil").exists()


def test_weights_of_others_and_newer_formats_are_told(tmp_path):
    from safetensors.torch import save_file

    save_file(WEIGHTS, tmp_path / "foreign.safetensors")
    with pytest.raises(TrainingError, match="does not say of which detector"):
        read_weights(tmp_path / "foreign.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_weights(tmp_path / "text.safetensors")
    path = save(tmp_path, 1)
    state = json.loads((path / "state.json").read_text())
    write_json(path / "state.json", {**state, "format": 99})
    with pytest.raises(TrainingError, match="newer deepshard"):
        read_progress(path)


def test_a_checkpoint_is_found_by_run_folder_step_and_file(tmp_path):
    run = tmp_path / "runs" / "some"
    first = save(run / "checkpoints", 1)
    last = save(run / "checkpoints", 2, best={"checkpoint": first.name})
    for name in ("some", str(run)):
        assert find_checkpoint(name, tmp_path, selected=True) == first
        assert find_checkpoint(name, tmp_path, selected=False) == last
    assert find_checkpoint(str(last), tmp_path, selected=True) == last
    assert find_checkpoint(str(last / "model.safetensors"), tmp_path, selected=True) == last / "model.safetensors"
    assert run_folder(last) == run
    assert run_folder(last / "model.safetensors") is None
    with pytest.raises(TrainingError, match="the runs with checkpoints are some"):
        find_checkpoint("sme", tmp_path, selected=True)
