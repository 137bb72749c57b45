"""A small study for real: runs in processes of their own, killed and continued, and its tables from the catalog."""

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from queries.ingest import ingest_store
from queries.pinned import find_pinned
from shards.split import Split
from tests.training.conftest import ROOT, Sets, make_sets
from training.foreign import import_scores
from training.studies.config import Detector, StudyError, read_study
from training.studies.generalizability import describe, run_study

# How the study's processes start: they know the detector `toy`, and the first one dies once it has saved a checkpoint,
# if it finds the file `die`.
LAUNCHER = """
import os, runpy, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.training.conftest import add_toy
from training import checkpoint, loop
add_toy()
die = Path({die!r})
if die.exists():
    die.unlink()
    save = checkpoint.save_checkpoint
    def save_and_die(*arguments):
        save(*arguments)
        os._exit(137)
    loop.save_checkpoint = save_and_die
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
STUDY = """
name: small
launch: [{python}, {launcher}]
splits:
  train: {{pinned: train}}
  val: {{pinned: val}}
  test: {{pinned: test}}
  other: {{pinned: other}}
training_sets:
  Demo: {{first: 1, train: train, val: val, original: test, augmented_train: train, augmented_val: val}}
unseen: {{Other: other}}
modes: [base, merge]
detectors:
  Toy: {{config: toy.yaml}}
tables: {{draws: 200}}
published: published.csv
"""
BASE, MERGE = "small-Toy1-seed0", "small-Toy3-seed0"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a store of the pinned splits train, val, test, other, its catalog, and the study's files."""
    folder = tmp_path_factory.mktemp("study")
    sets: Sets = make_sets(folder / "store")
    sets.pin("other", ["003"], methods=("swapped",))
    ingest_store(folder / "catalog.duckdb", folder / "store")
    launcher = folder / "launch.py"
    launcher.write_text(LAUNCHER.format(root=str(ROOT), die=str(folder / "die")))
    (folder / "study.yaml").write_text(STUDY.format(python=sys.executable, launcher=launcher))
    (folder / "toy.yaml").write_text(
        "detector: {name: toy}\noptimiser: {lr: 0.05}\nepochs: 2\nbatch_size: 8\n"
        "workers: 0\nthreads: 1\ntracker: none\n"
    )
    (folder / "published.csv").write_text("detector,rank,original\nToy1,1,90\nToy3,2,80\n")
    return folder


def go(place: Path, stages=("train",), study=None, catalog="catalog.duckdb", store="store") -> tuple[bool, list[str]]:
    said: list[str] = []
    study = study or read_study(place / "study.yaml")
    return run_study(study, place / catalog, place / store, stages, said.append), said


def record(place: Path, run: str) -> dict:
    return json.loads((place / "store" / "runs" / run / "run.json").read_text())


@pytest.fixture(scope="module")
def stories(place) -> dict[str, list[str]]:
    """What the study says when its first run is killed, when it is called again, and once more."""
    (place / "die").touch()
    broken = place / "store" / "runs" / BASE  # as a run leaves it that is killed before it saved anything
    broken.mkdir(parents=True)
    (broken / "log.jsonl").write_text("{}\n")
    done, killed = go(place, ("pin", "train"))
    assert not done
    done, continued = go(place)
    assert done, continued
    done, again = go(place)
    assert done
    return {"killed": killed, "continued": continued, "again": again}


def test_a_run_that_fails_is_told_with_its_last_lines_and_nothing_starts_from_it(stories):
    said = "\n".join(stories["killed"])
    assert f"{BASE}: FAILED after" in said and "(status 137)" in said
    assert "    " in said and "validation after epoch 1" in said  # lines of its log
    assert f"{MERGE}: not begun, since {BASE} failed" in said
    assert "2 of 2 runs are not finished" in said


def test_a_run_without_a_checkpoint_is_moved_aside_whole(place, stories):
    (aside,) = (place / "store" / "studies" / "small" / "aside").iterdir()
    assert f"moved to {aside}" in "\n".join(stories["killed"])
    assert (aside / "log.jsonl").read_text() == "{}\n"


def test_a_killed_run_goes_on_from_its_checkpoint(place, stories):
    assert f"{BASE}: continued in" in "\n".join(stories["continued"])
    (resumed,) = record(place, BASE)["resumed"]
    assert resumed["after_step"] == 4 and record(place, BASE)["status"] == "finished"
    log = (place / "store" / "studies" / "small" / "logs" / f"{BASE}.log").read_text()
    assert log.count("training/run.py") == 2 and f"--resume {BASE}" in log


def test_augmented_runs_start_from_the_base_runs_selected_weights(place, stories):
    started = record(place, MERGE)["init_from"]
    assert (started["run"], started["checkpoint"]) == (BASE, record(place, BASE)["checkpoint"]["name"])


def test_finished_runs_are_left_alone(place, stories):
    assert [line.split(",")[0] for line in stories["again"]] == [
        f"[1/2] {BASE}: there already", f"[2/2] {MERGE}: there already",
    ]  # fmt: skip
    before = record(place, BASE)
    go(place)
    assert record(place, BASE) == before


def test_the_tables_need_nothing_but_the_catalog(place, stories, tmp_path):
    done, _ = go(place, ("tables",))
    assert done
    made = place / "store" / "studies" / "small"
    shutil.copy(place / "catalog.duckdb", tmp_path)
    study = read_study(place / "study.yaml")
    run_study(study, tmp_path / "catalog.duckdb", tmp_path / "nowhere", ("tables",), lambda line: None)
    names = ["cells.csv", "figures.csv", *(f"table{n}.{kind}" for n in (4, 5) for kind in ("md", "csv", "tex"))]
    for name in names:
        assert (tmp_path / "nowhere" / "studies" / "small" / name).read_bytes() == (made / name).read_bytes(), name
    cells = list(csv.DictReader((made / "cells.csv").open()))
    assert [(cell["run_id"], cell["test"]) for cell in cells] == [
        (run, test) for run in (BASE, MERGE) for test in ("Other", "original")
    ]
    for cell in cells:  # every cell leads to what run.json says of the same split and checkpoint
        found = record(place, cell["run_id"])
        (row,) = [
            row for row in found["metrics"] if row["split_hash"] == cell["split_hash"] and row["level"] == "frame"
        ]
        assert float(cell["accuracy"]) == pytest.approx(100 * row["accuracy"])
        assert int(cell["images"]) == row["frames"] and int(cell["videos"]) == row["videos"]
        assert cell["checkpoint"] == found["checkpoint"]["name"] and cell["recipe_hash"] == found["recipes"][0]["hash"]
        assert float(cell["low"]) <= float(cell["accuracy"]) <= float(cell["high"])
    text = (made / "table5.md").read_text()
    assert "| Rank | Paper's | Detector | Original accuracy | Other | Average | Degradation |" in text
    assert "paper 90.00" in text


def test_a_test_set_that_was_added_is_scored_without_training(place, stories):
    study = read_study(place / "study.yaml")
    study = replace(study, splits={**study.splits, "more": replace(study.splits["val"])}, modes=["base"])
    study = replace(study, unseen={**study.unseen, "More": "more"})
    done, said = go(place, study=study)
    assert done and f"{BASE}: scored in" in said[-1]
    assert record(place, BASE)["status"] == "finished"
    assert {split["name"] for split in record(place, BASE)["splits"] if split["role"] == "test"} == {
        "test",
        "other",
        "val",
    }


def test_scores_that_were_imported_stand_in_the_tables(place):
    for name in ("test", "other"):
        split = Split.open(find_pinned(place / "store", name))
        file = place / f"{name}.csv"
        scores = zip(split.sample_ids(), split.labels.tolist(), strict=True)
        file.write_text("sample_id,score\n" + "".join(f"{sample},{0.9 - 0.8 * label}\n" for sample, label in scores))
        import_scores(place / "store", split, file, "theirs")
    study = replace(read_study(place / "study.yaml"), name="with-theirs")
    study = replace(study, detectors={"Theirs": Detector(runs={1: ["theirs"]})})
    done, said = go(place, ("train", "tables"), study=study)
    assert done and said[0] == "[1/1] theirs: there already, original accuracy 0.00 %"
    cells = list(csv.DictReader((place / "store" / "studies" / "with-theirs" / "cells.csv").open()))
    assert [(cell["detector"], cell["run_id"], cell["test"], cell["accuracy"]) for cell in cells] == [
        ("Theirs1", "theirs", "Other", "0"),
        ("Theirs1", "theirs", "original", "0"),
    ]


def changed(place: Path, what: str):
    study = read_study(place / "study.yaml")
    if what == "settings":
        (place / "other.yaml").write_text((place / "toy.yaml").read_text().replace("0.05", "0.01"))
        return replace(study, detectors={"Toy": replace(study.detectors["Toy"], config=place / "other.yaml")})
    return replace(study, splits={**study.splits, "train": replace(study.splits["test"])})


@pytest.mark.parametrize(
    ("what", "told"),
    [("settings", r"optimiser.lr was 0\.05, is 0\.01"), ("split", "--train was train@.*, is test@")],
)
@pytest.mark.parametrize("stage", ["train", "tables"])
def test_another_run_of_the_name_is_not_taken(place, stories, what, told, stage):
    with pytest.raises(
        StudyError, match=f"run {BASE} is not the one that the study asks for now .*{told}.*move .*{BASE} away"
    ):
        go(place, (stage,), study=changed(place, what))


def test_a_run_that_started_from_other_weights_is_not_taken(place, stories):
    path = place / "store" / "runs" / MERGE / "run.json"
    before = path.read_text()
    path.write_text(before.replace(record(place, MERGE)["init_from"]["sha256"], "0" * 64))
    try:
        with pytest.raises(StudyError, match=f"it started from other weights than {BASE} has selected since"):
            go(place)
    finally:
        path.write_text(before)


def test_a_run_that_somebody_else_works_on_is_left_to_them(place, stories, tmp_path):
    import fcntl

    study = replace(read_study(place / "study.yaml"), name="second", modes=["base"])
    log = place / "store" / "studies" / "second" / "logs" / "second-Toy1-seed0.log"
    log.parent.mkdir(parents=True)
    with log.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done, said = go(place, study=study)
    assert not done and "another `deepshard study` started still works on run second-Toy1-seed0" in said[0]


def test_a_program_to_launch_with_that_is_not_there_is_told(place):
    with pytest.raises(StudyError, match="launch: there is no program 'acelerate' on the PATH"):
        go(place, study=replace(read_study(place / "study.yaml"), launch=["acelerate", "launch"]))


def test_a_dry_run_says_how_far_everything_is_and_does_nothing(place, stories):
    said: list[str] = []
    study = replace(read_study(place / "study.yaml"), seeds=[0, 1])
    describe(study, place / "store", said.append)
    assert f"run {BASE}: base on train, starts from nothing: finished" in said
    assert "run small-Toy3-seed1: merge on train, starts from small-Toy1-seed1: missing" in said
    assert not (place / "store" / "runs" / "small-Toy1-seed1").exists()


def test_a_run_that_should_exist_and_does_not_is_told(place):
    study = read_study(place / "study.yaml")
    foreign = replace(study.detectors["Toy"], config=None, runs={1: ["nobodys"]})
    with pytest.raises(StudyError, match="there is no run nobodys .*deepshard results import"):
        go(place, study=replace(study, detectors={**study.detectors, "Foreign": foreign}))


def test_tables_without_any_prediction_say_so(place):
    study = replace(read_study(place / "study.yaml"), name="nothing")
    with pytest.raises(StudyError, match="has no prediction of any run of the study"):
        go(place, ("tables",), study=study)
