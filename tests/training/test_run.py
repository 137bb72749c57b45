"""Whole runs in one process: what they leave behind, what they select, and what they refuse before any work."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from shards.schema import PREDICTIONS
from shards.split import Split
from tests import fabricate
from tests.training.conftest import SIZE, make_sets
from training.checkpoint import read_weights
from training.predict import open_scorer, score_images
from training.results import results
from training.run import main
from training.settings import settings


def record_of(sets, name):
    return json.loads((sets.root / "runs" / name / "run.json").read_text())


def trace_of(sets, name, rank=0):
    path = sets.root / "runs" / name / f"trace-rank{rank:05d}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_trains_selects_on_val_tests_once_and_writes_it_all_down(sets, run):
    code, printed = run("--name", "whole")
    assert code == 0, printed
    folder = sets.root / "runs" / "whole"
    record = record_of(sets, "whole")
    assert record["status"] == "finished"
    assert record["world"]["processes"] == 1
    assert "1 process on cpu" in printed
    assert [split["role"] for split in record["splits"]] == ["train", "val", "test"]
    assert record["versions"]["torch"] == torch.__version__

    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["kind"] == "train"] == list(range(1, 9))
    validations = [line for line in log if line["kind"] == "val"]
    best = max(validations, key=lambda line: (line["frame_auc"], -line["step"]))
    assert record["checkpoint"]["name"] == f"step-{best['step']:08d}"
    assert f"kept checkpoint {record['checkpoint']['name']}: frame_auc" in printed

    (path,) = (folder / "predictions").iterdir()
    table = pq.read_table(path)
    test = Split.open(next((sets.root / "splits").glob("test@*")))
    assert path.name == f"test@{test.hash[:12]}.parquet"
    assert table.schema.equals(PREDICTIONS)
    assert table["sample_id"].to_pylist() == [*test.sample_ids(), None]
    assert table["score"].to_pylist()[-1] == 0.5  # the video without a face
    assert set(table["checkpoint"].to_pylist()) == {record["checkpoint"]["name"]}
    levels = [(row["level"], row["faceless"], row["videos"]) for row in record["metrics"]]
    assert levels == [("frame", "left out", 2), ("video", "counted", 3), ("video", "left out", 2)]

    # the same figures from the prediction rows alone
    rows = results(sets.root, run="whole")
    assert [{**row, "run_id": None} for row in rows] == [{**row, "run_id": None} for row in record["metrics"]]


def test_what_can_be_learnt_is_learnt(config, monkeypatch, tmp_path, capsys):
    def by_label(sample_id, size):
        image = fabricate_pixels(sample_id, size)
        image[..., 0] = 40 if "swapped" in sample_id else 160  # beside random green and blue
        return image

    fabricate_pixels = fabricate.pixels
    monkeypatch.setattr(fabricate, "pixels", by_label)
    make_sets(tmp_path / "store")
    words = ["--config", config, "--store", tmp_path / "store", "--catalog", tmp_path / "none", "--name", "learns"]
    words += ["--train", "train", "--val", "val", "--test", "test", "--epochs", "8", "--select", "loss"]
    assert main([str(word) for word in words]) == 0, capsys.readouterr()
    frame, *_ = results(tmp_path / "store")
    assert (frame["auc"], frame["accuracy"], frame["eer"]) == (1.0, 1.0, 0.0)


def test_each_epoch_shows_every_training_face_once_in_an_order_of_its_own(sets, run):
    assert run("--name", "orders")[0] == 0
    trace = trace_of(sets, "orders")
    epochs = [[i for line in trace if line["epoch"] == epoch for i in line["samples"]] for epoch in (0, 1)]
    train = Split.open(next((sets.root / "splits").glob("train@*")))
    assert sorted(epochs[0]) == sorted(epochs[1]) == train.sample_ids()
    assert epochs[0] != epochs[1]


def test_the_figures_do_not_depend_on_accumulation_where_nothing_else_does(sets, run):
    assert run("--name", "whole-batch", "--detector.options.dropout", "0")[0] == 0
    assert run("--name", "in-parts", "--detector.options.dropout", "0", "--accumulate", "4")[0] == 0
    assert [line["samples"] for line in trace_of(sets, "whole-batch")] == [
        line["samples"] for line in trace_of(sets, "in-parts")
    ]
    one, other = (read_weights(last_checkpoint(sets, name))[0] for name in ("whole-batch", "in-parts"))
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-6)


def last_checkpoint(sets, name):
    return sorted((sets.root / "runs" / name / "checkpoints").glob("step-*"))[-1]


def test_the_same_settings_give_the_same_bits_and_another_seed_others(sets, run):
    for name, seed in (("seed-a", "4"), ("seed-b", "4"), ("seed-c", "5")):
        assert run("--name", name, "--seed", seed)[0] == 0
    a, b, c = (read_weights(last_checkpoint(sets, name))[0] for name in ("seed-a", "seed-b", "seed-c"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_evaluating_a_run_gives_the_scores_it_had_and_adds_to_its_record(sets, run):
    assert run("--name", "scored")[0] == 0
    before = record_of(sets, "scored")
    (path,) = (sets.root / "runs" / "scored" / "predictions").iterdir()
    scores = pq.read_table(path)["score"].to_numpy()
    code, printed = run("--evaluate", "scored", "--test", "test", "val", config=None, splits=False)
    assert code == 0, printed
    assert np.allclose(pq.read_table(path)["score"].to_numpy(), scores, atol=1e-6)
    after = record_of(sets, "scored")
    assert after["status"] == "finished"
    assert {row["split"] for row in after["metrics"]} == {"test", "val"}
    assert [row for row in after["metrics"] if row["split"] == "test"] == before["metrics"]


def test_predictions_of_several_checkpoints_of_a_run_lie_side_by_side(sets, run):
    assert run("--name", "several")[0] == 0
    first = record_of(sets, "several")["checkpoint"]["name"]
    assert run("--resume", "several", "--epochs", "3", config=None, splits=False)[0] == 0
    second = record_of(sets, "several")["checkpoint"]["name"]
    last = sets.root / "runs" / "several" / "checkpoints" / "step-00000012"
    code, printed = run("--evaluate", str(last), "--test", "test", config=None, splits=False)
    assert code == 0, printed
    (path,) = (sets.root / "runs" / "several" / "predictions").iterdir()
    checkpoints = {first, second, last.name}
    assert len(checkpoints) > 1
    assert set(pq.read_table(path)["checkpoint"].to_pylist()) == checkpoints
    assert len(pq.read_table(path)) == 17 * len(checkpoints)
    record = record_of(sets, "several")
    assert {row["checkpoint"] for row in record["metrics"]} == checkpoints
    assert [again["after_step"] for again in record["resumed"]] == [8]


def test_a_single_file_taken_out_of_its_run_can_be_evaluated_elsewhere(sets, run, tmp_path):
    assert run("--name", "travels")[0] == 0
    kept = record_of(sets, "travels")["checkpoint"]["name"]
    file = tmp_path / "taken.safetensors"
    shutil.copy(sets.root / "runs" / "travels" / "checkpoints" / kept / "model.safetensors", file)
    shutil.rmtree(sets.root / "runs" / "travels")
    code, printed = run("--evaluate", str(file), "--test", "test", config=None, splits=False)
    assert code == 0, printed
    record = record_of(sets, "travels")
    assert (record["status"], record["metrics"][0]["checkpoint"]) == ("evaluated", kept)


def test_a_checkpoint_scores_single_images_as_it_scores_a_split(sets, run):
    assert run("--name", "single")[0] == 0
    scorer = open_scorer("single", sets.root)
    assert scorer.recipe["recipe"]["size"] == SIZE
    test = Split.open(next((sets.root / "splits").glob("test@*")))
    images = test.dataset().__getitems__(range(len(test)))["image"].permute(0, 2, 3, 1).numpy()
    (path,) = (sets.root / "runs" / "single" / "predictions").iterdir()
    expected = pq.read_table(path)["score"].to_numpy()[: len(test)]
    assert np.allclose(score_images(scorer, images, batch_size=5), expected, atol=1e-6)
    assert score_images(scorer, images[:0]).shape == (0,)
    alone = scorer.path / "model.safetensors"  # one file is enough to score with
    assert np.allclose(score_images(alone, images[:3]), expected[:3], atol=1e-6)


def test_without_val_the_last_checkpoint_is_kept_and_that_is_said(sets, run):
    words = ["--store", str(sets.root), "--train", "train", "--test", "test", "--name", "unselected"]
    code, printed = run(*words[2:], splits=False)
    assert code == 0, printed
    assert "no --val: no checkpoint is selected" in printed
    assert record_of(sets, "unselected")["checkpoint"]["name"] == "step-00000008"
    assert record_of(sets, "unselected")["checkpoint"]["best"] is None


def test_bf16_and_channels_last_train_and_score(sets, run):
    code, printed = run("--name", "half", "--precision", "bf16", "--channels_last", "--tracker", "tensorboard")
    assert code == 0, printed
    assert list((sets.root / "runs" / "half" / "tensorboard").glob("events.*"))


def test_a_selection_by_loss_takes_the_smallest(sets, run):
    assert run("--name", "by-loss", "--select", "loss", "--epochs", "3")[0] == 0
    log = (sets.root / "runs" / "by-loss" / "log.jsonl").read_text().splitlines()
    losses = {line["step"]: line["loss"] for line in map(json.loads, log) if line["kind"] == "val"}
    assert record_of(sets, "by-loss")["checkpoint"]["name"] == f"step-{min(losses, key=losses.get):08d}"


def test_videos_on_both_sides_are_told_and_recorded(sets, run):
    sets.pin("leaky", ["001", "003"])
    code, printed = run("--train", "train", "--test", "leaky", "--name", "leaks", splits=False)
    assert code == 0, printed
    assert "share 2 videos" in printed
    assert any("share 2 videos" in note for note in record_of(sets, "leaks")["notes"])


def test_one_class_is_enough_for_a_detector_that_says_so(sets, run):
    sets.pin("reals", ["000", "001"], methods=("original",))
    words = ["--train", "reals", "--val", "val", "--test", "test"]
    code, printed = run(*words, "--name", "one", "--detector.options.one_class", "true", splits=False)
    assert code == 0, printed


REFUSED = [
    (["--train", "train", "--val", "test", "--test", "test"], "is also --test"),
    (["--train", "fakes"], "only fake faces"),
    (["--train", "train", "--val", "fakes"], "has one class"),
    (["--train", "train", "--batch_size", "7", "--accumulate", "2"], "does not divide"),
    (["--train", "train", "--batch_size", "64"], "less than one global batch"),
    (["--train", "tran"], "did you mean train"),
    (["--train", "nowhere.sql"], "there is no query"),
    (["--train", "train", "--test", "test", "test"], "more than once"),
    (["--train", "train", "--precision", "fp16"], "fp16 needs a GPU"),
    (["--train", "train", "--sync_batchnorm"], "needs GPUs"),
    (["--train", "train", "--detector.name", "tov"], "did you mean toy"),
    (["--train", "train", "--detector.options.width", "3"], "has no option 'width'"),
    ([], "give --train"),
]


@pytest.mark.parametrize(("words", "hint"), REFUSED, ids=[hint for _, hint in REFUSED])
def test_what_cannot_work_is_refused_in_one_line_before_anything_is_made(sets, run, words, hint):
    sets.pin("fakes", ["000", "001"], methods=("swapped",))
    code, printed = run(*words, "--name", "refused", splits=False)
    assert code == 2
    (line,) = printed.strip().splitlines()
    assert line.startswith("error: ")
    assert hint in line
    assert not (sets.root / "runs" / "refused").exists()


def test_two_versions_of_a_name_must_be_told_apart(sets, run):
    sets.pin("twice", ["000"])
    sets.pin("twice", ["001"])
    code, printed = run("--train", "twice", splits=False)
    assert code == 2
    assert "was pinned 2 times: say which, twice@" in printed


def test_a_name_is_used_once(sets, run):
    assert run("--name", "once")[0] == 0
    code, printed = run("--name", "once")
    assert code == 2
    assert "--resume once" in printed


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--evaluate", "nothing", "--test", "test"], "is no checkpoint and no run"),
        (["--evaluate", "base"], "needs --test"),
        (["--evaluate", "base", "--test", "test", "--epochs", "3"], "epochs cannot change"),
        (["--resume", "base", "--optimiser.lr", "3"], "optimiser.lr cannot change"),
        (["--resume", "base", "--evaluate", "base"], "give one of them"),
        (["--resume", "base", "--train", "test"], "was trained on the split"),
        (["--resume", "base", "--val", "test", "--test", "train"], "resume it with that --val"),
        ([], "give --config"),
    ],
)
def test_what_a_checkpoint_cannot_do_is_refused(sets, run, words, hint):
    if not (sets.root / "runs" / "base").exists():
        assert run("--name", "base")[0] == 0
    before = record_of(sets, "base")
    code, printed = run(*words, config=None, splits=False)
    assert code == 2
    assert hint in printed
    assert record_of(sets, "base") == before


def test_the_help_names_every_setting(capsys):
    from training.run import main

    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"--{name} " in printed for name in settings())
