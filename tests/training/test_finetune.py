"""Runs that start from another run's weights, train a part of them, alternate between two streams, and stop early."""

import contextlib
import hashlib
import json
import sys
import types

import pytest
import torch
from torch import nn

from shards.split import Split
from tests.fabricate import write_manifest
from tests.training.conftest import ROOT, SIZE, Sets, make_sets
from tests.training.test_launch import BIN, SCRIPT, launch, steps_of
from tests.training.test_resume import Cut, assert_same_run, folder_of, outcome
from training import detectors, loop
from training.checkpoint import checkpoints, find_checkpoint, read_weights
from training.run import main
from training.splits import Splits
from training.start import start_notes


class Tuned(nn.Module):
    """A convolution and its batch normalisation, which transfer learning freezes, and a head, which it trains."""

    def __init__(self, width: int, bright: bool):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.BatchNorm2d(width), nn.ReLU())
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, 1)
        self.normalise = ((0.0,) * 3, (0.5,) * 3) if bright else None

    @property
    def transfer_modules(self):
        return [self.norm, self.head]

    def forward(self, batch):
        return self.head(self.norm(self.features(batch["image"]).mean((2, 3)))).squeeze(1)


@pytest.fixture(scope="module", autouse=True)
def tuned():
    """The detector `tuned`, as if training/detectors/tuned.py existed."""
    module = types.ModuleType("training.detectors.tuned")

    def build(width: int = 4, bright: bool = False) -> Tuned:
        return Tuned(width, bright)

    module.build = build
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "training.detectors.tuned", module)
        known = detectors.names()
        patch.setattr(detectors, "names", lambda: [*known, "tuned"])
        yield


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Sets:
    """Beside train, val and test `both`: 24 faces of the stream "original" and 16 of "added"."""
    sets = make_sets(tmp_path_factory.mktemp("finetune") / "store")
    known = [video for video in sets.store.videos if video["name"] in ("000", "001", "002")]
    ids = {video["video_id"]: video["name"] for video in known}
    rows = [row for row in sets.store.rows if row["video_id"] in ids]
    rows = [{**row, "stream": "added" if ids[row["video_id"]] == "000" else "original"} for row in rows]
    rows = [row for number, row in enumerate(rows) if number % 6 or row["stream"] == "added"]
    write_manifest(sets.root / "splits", rows, known, SIZE, name="both")
    return sets


@pytest.fixture
def base(sets, run):
    """A finished run of `tuned`: its name."""
    if not folder_of(sets, "base").exists():
        code, printed = run("--name", "base", "--detector.name", "tuned", "--epochs", "3")
        assert code == 0, printed
    return "base"


@contextlib.contextmanager
def cut_at(step: int):
    """Within it the power goes before optimiser step number ``step`` (from 0)."""
    ours = loop.Loop._step

    def falls(self):
        if self.progress.step == step:
            raise Cut
        return ours(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Loop, "_step", falls)
        yield


FROM_BASE = ["--init_from", "base", "--detector.name", "tuned"]


def record_of(sets, name):
    return json.loads((folder_of(sets, name) / "run.json").read_text())


def streams_of(sets):
    split = Split.open(next((sets.root / "splits").glob("both@*")))
    return dict(zip(split.sample_ids(), split.table["stream"].to_pylist(), strict=True))


def trace_of(sets, name):
    lines = (folder_of(sets, name) / "trace-rank00000.jsonl").read_text().splitlines()
    return [json.loads(line)["samples"] for line in lines]


@pytest.mark.parametrize("given", ["name", "folder", "checkpoint", "file"])
def test_a_run_starts_from_the_selected_weights_of_another_and_says_so(sets, run, base, given):
    selected = find_checkpoint(base, sets.root, selected=True)
    names = {"name": base, "folder": folder_of(sets, base), "checkpoint": selected}
    names["file"] = selected / "model.safetensors"
    words = ["--detector.name", "tuned", "--optimiser.lr", "1e-30", "--epochs", "1"]  # no step changes anything
    code, printed = run("--name", f"from-{given}", "--init_from", str(names[given]), *words)
    assert code == 0, printed
    weights, card = read_weights(checkpoints(folder_of(sets, f"from-{given}") / "checkpoints")[-1])
    for name, value in read_weights(selected)[0].items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(weights[name], value), name
    digest = hashlib.sha256(names["file"].read_bytes()).hexdigest()
    expected = {"run": "base", "checkpoint": selected.name, "sha256": digest}
    assert card["init_from"] == record_of(sets, f"from-{given}")["init_from"] == expected
    assert card["config"]["init_from"] == str(names[given])
    assert f"starting from base, {selected.name}, weights {digest}" in printed
    assert record_of(sets, "base")["init_from"] is None


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--init_from", "nobody"], "is no checkpoint and no run"),
        (["--init_from", "base"], "has weights of detector tuned, and this run trains toy"),
        ([*FROM_BASE, "--detector.options.width", "5"], "the weights of --init_from base do not fit"),
        ([*FROM_BASE, "--detector.options.bright", "true"], "was trained on faces with normalise None"),
        (["--detector.name", "tuned", "--trains", "transfer"], "starts from random weights: give --init_from"),
        (["--trains", "transfer"], "detector toy does not say what transfer learning trains"),
        (["--trains", "head"], "all | transfer"),
        (["--patience", "0"], "patience must be at least 1"),
        (["--order", "alternate"], "none of any and 32 without"),
    ],
)
@pytest.mark.usefixtures("base")
def test_what_cannot_be_started_is_refused_before_anything_is_made(sets, run, words, hint):
    code, printed = run("--name", "refused", *words)
    assert code == 2
    assert hint in printed and len(printed.strip().splitlines()) == 1
    assert not folder_of(sets, "refused").exists()


def test_patience_needs_a_validation_set(sets, run):
    words = ["--train", "train", "--name", "refused", "--patience", "2"]
    code, printed = run(*words, splits=False)
    assert code == 2 and "patience waits for a better --val" in printed


def test_what_is_dubious_about_the_weights_is_noted(sets):
    both, train, val = (Split.open(next((sets.root / "splits").glob(f"{name}@*"))) for name in ("both", "train", "val"))
    card = {"run_id": "base", "recipes": train.recipes, "splits": Splits(train, None, ()).card()}
    assert start_notes(card, Splits(both, val, ()), sets.root) == []
    assert start_notes(card, Splits(train, val, (train,)), sets.root) == [], "told of this run's own training set"
    (crops,) = start_notes({**card, "recipes": [{"hash": "0" * 64}]}, Splits(both, val, ()), sets.root)
    assert "other crops" in crops
    (shared,) = start_notes(card, Splits(val, None, (both,)), sets.root)
    assert f"was trained on train@{train.hash[:12]}, and both@{both.hash[:12]} shares 4 videos with it" in shared
    (lost,) = start_notes(card, Splits(both, val, ()), sets.root / "elsewhere")
    assert "is not known" in lost


def test_transfer_changes_the_head_alone_and_resumes_to_the_last_bit(sets, run, base):
    words = ["--trains", "transfer", *FROM_BASE]
    assert run("--name", "whole", *words)[0] == 0
    with cut_at(5), pytest.raises(Cut):
        run("--name", "halves", *words)
    code, printed = run("--resume", "halves", config=None, splits=False)
    assert code == 0, printed
    assert printed.count("transfer learning: 13 of 133 parameters are trained") == 2  # before the cut and after it
    assert printed.count("starting from base") == 1
    assert_same_run(outcome(folder_of(sets, "whole")), outcome(folder_of(sets, "halves")))
    assert record_of(sets, "halves")["init_from"] == record_of(sets, "whole")["init_from"]

    before = read_weights(find_checkpoint(base, sets.root, selected=True))[0]
    after, card = read_weights(checkpoints(folder_of(sets, "halves") / "checkpoints")[-1])
    assert card["config"]["trains"] == "transfer" and card["init_from"]["run"] == "base"
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {name for name in after if name.startswith(("norm.", "head."))}


def test_merge_trains_all_from_the_same_weights(sets, run, base):
    assert run("--name", "merged", *FROM_BASE)[0] == 0
    before = read_weights(find_checkpoint(base, sets.root, selected=True))[0]
    after = read_weights(checkpoints(folder_of(sets, "merged") / "checkpoints")[-1])[0]
    assert not any(torch.equal(after[name], before[name]) for name in after)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_batches_alternate_between_the_streams_and_go_on_after_a_cut(sets, run, workers):
    words = ["--train", "both", "--val", "val", "--order", "alternate", "--epochs", "3", "--workers", workers]
    whole, cut = f"alternate-{workers}", f"cut-{workers}"
    code, printed = run("--name", whole, *words, splits=False)
    assert code == 0, printed
    streams, steps = streams_of(sets), trace_of(sets, whole)
    longer = sum(stream == "original" for stream in streams.values())
    assert len(steps) == 3 * (2 * longer // 8)
    assert [{streams[sample] for sample in step} for step in steps] == [
        {("added", "original")[step % 2]} for step in range(len(steps))
    ]
    with cut_at(7), pytest.raises(Cut):  # an odd step within the second epoch
        run("--name", cut, *words, "--checkpoint_every", "3", splits=False)
    other = {"0": "2", "2": "0"}[workers]
    assert run("--resume", cut, "--workers", other, config=None, splits=False)[0] == 0
    assert trace_of(sets, cut) == steps


def test_two_processes_alternate_too_and_keep_what_is_frozen(sets, tmp_path, capsys):
    words = ["--store", sets.root]
    for name in ("demo", "finetune"):
        words += ["--config", ROOT / "training" / "configs" / f"{name}.yaml"]
    words += ["--catalog", tmp_path / "none", "--train", "both", "--epochs", "1", "--batch_size", "8", "--workers", "0"]
    words += ["--schedule.name", "constant", "--trace", "--tracker", "none", "--log_every", "1"]
    words = [str(word) for word in words]
    assert main([*words, "--name", "one"]) == 0, capsys.readouterr()
    more = ["--name", "two", "--init_from", "one", "--trains", "transfer"]
    two = launch(BIN / "torchrun", "--nproc_per_node", "2", SCRIPT, *words, *more)
    assert two.returncode == 0, two.printed
    steps = steps_of(folder_of(sets, "two"), 2)
    assert [sum(ranks, []) for ranks in steps] == trace_of(sets, "one")
    streams = streams_of(sets)
    for step, ranks in enumerate(steps):
        assert [{streams[sample] for sample in rank} for rank in ranks] == 2 * [{("added", "original")[step % 2]}]
    before, after = (read_weights(checkpoints(folder_of(sets, name) / "checkpoints")[-1])[0] for name in ("one", "two"))
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {name for name in after if name.startswith(("hidden.", "head."))}


@pytest.fixture
def figures(monkeypatch):
    """Makes validations give these figures, one after the other."""

    def give(*values):
        left = iter(values)
        monkeypatch.setattr(loop, "selection_value", lambda select, loss, rows: next(left))

    return give


def test_training_stops_when_validation_has_not_become_better_for_so_long(sets, run, figures):
    figures(0.5, 0.7, 0.6, 0.7)  # as good is not better
    code, printed = run("--name", "stops", "--epochs", "9", "--patience", "2")
    assert code == 0, printed
    record = record_of(sets, "stops")
    assert record["progress"]["epoch"] == 4 and record["status"] == "finished"
    assert record["checkpoint"]["best"]["epoch"] == 1
    assert record["stopped_early"] in printed and "after epoch 4 of 9" in record["stopped_early"]
    assert len(trace_of(sets, "stops")) == 4 * 4


def test_a_resumed_run_stops_where_the_unbroken_one_does(sets, run, figures):
    figures(0.5, 0.7, 0.6)
    with cut_at(13), pytest.raises(Cut):
        run("--name", "cut-short", "--epochs", "9", "--patience", "2")
    figures(0.7)
    assert run("--resume", "cut-short", config=None, splits=False)[0] == 0
    assert record_of(sets, "cut-short")["progress"]["epoch"] == 4
    assert trace_of(sets, "cut-short") == trace_of(sets, "stops")
    figures()  # none is asked for: patience has ended
    code, printed = run("--resume", "cut-short", "--epochs", "20", config=None, splits=False)
    assert code == 0, printed
    assert "after epoch 4 of 20" in record_of(sets, "cut-short")["stopped_early"]


def test_a_run_that_keeps_getting_better_does_not_stop(sets, run, figures):
    figures(0.1, 0.0, 0.2, 0.1, 0.3)
    assert run("--name", "goes-on", "--epochs", "5", "--patience", "2")[0] == 0
    assert record_of(sets, "goes-on")["stopped_early"] is None
    assert len(trace_of(sets, "goes-on")) == 5 * 4
