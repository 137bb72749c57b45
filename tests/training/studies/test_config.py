"""A study's file: what it may say, and what every mistake in it is told as."""

from pathlib import Path

import pytest
import yaml

from training.studies.config import StudyError, read_study
from training.studies.plan import plan

STUDIES = Path(__file__).parents[3] / "training" / "studies"


@pytest.fixture
def good(tmp_path) -> dict:
    """A study as a mapping, and its training configuration in the folder where it is written."""
    (tmp_path / "toy.yaml").write_text("detector: {name: toy}\nepochs: 2\nbatch_size: 8\n")
    (tmp_path / "finetune.yaml").write_text("batch_size: 4\nepochs: 1\n")
    sets = {"train": "a", "val": "b", "original": "c", "augmented_train": "a", "augmented_val": "b"}
    return {
        "name": "small",
        "splits": {name: {"query": f"{name}.sql"} for name in "abcd"},
        "training_sets": {"One": {"first": 1, **sets}, "Two": {"first": 4, **sets, "specialised": {"S": "d"}}},
        "unseen": {"U": "d"},
        "detectors": {"Toy": "toy.yaml"},
        "finetune": "finetune.yaml",
    }


def read(values: dict, folder: Path):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return read_study(path)


@pytest.mark.parametrize("name", ["paper1", "paper1-demo"])
def test_the_shipped_studies_can_be_planned(name):
    study = read_study(STUDIES / f"{name}.yaml")
    runs = plan(study)
    assert len(runs) == 6 * len(study.detectors) == {"paper1": 30, "paper1-demo": 12}[name]
    assert all(run.config.select == "frame_accuracy" for run in runs)
    assert all((run.parent is None) == (run.mode == "base") for run in runs)
    for run in runs:
        expected = {"original", "FS", "NT", "DF", "DFD"} | ({"CELEB-M"} if run.number < 4 else {"FS-I", "NT-I"})
        assert set(run.tests) == expected


def test_the_papers_settings():
    runs = {run.detector: run for run in plan(read_study(STUDIES / "paper1.yaml"))}
    assert {run.config.epochs for run in runs.values() if run.mode == "base"} == {100}
    assert {run.config.batch_size for run in runs.values() if run.mode == "base"} == {32}
    tuned = [run.config for run in runs.values() if run.mode != "base"]
    assert {(config.epochs, config.batch_size, config.order) for config in tuned} == {(50, 64, "alternate")}
    assert runs["MesoNet5"].config.trains == "transfer" and runs["MesoNet6"].config.trains == "all"
    assert (
        runs["MesoNet5"].config.init_from == runs["MesoNet5"].parent == runs["MesoNet4"].id == "paper1-MesoNet4-seed0"
    )
    assert {run.config.optimiser.lr for run in runs.values() if run.family.startswith("Meso")} == {1e-3}
    assert {run.config.optimiser.lr for run in runs.values() if not run.family.startswith("Meso")} == {5e-5}


def test_runs_are_numbered_as_in_the_paper_and_parents_come_first(good, tmp_path):
    runs = plan(read({**good, "seeds": [0, 1]}, tmp_path))
    assert [run.id for run in runs[:4]] == [
        "small-Toy1-seed0", "small-Toy1-seed1", "small-Toy4-seed0", "small-Toy4-seed1",
    ]  # fmt: skip
    places = {run.id: place for place, run in enumerate(runs)}
    assert all(places[run.parent] < places[run.id] for run in runs if run.parent)
    assert {run.seed for run in runs if run.config.seed != run.seed} == set()


def test_settings_lie_over_one_another_the_nearest_on_top(good, tmp_path):
    good["detectors"] = {
        "Toy": {
            "config": "toy.yaml",
            "settings": {"optimiser": {"lr": 0.1}, "epochs": 7},
            "augmented": {"optimiser": {"momentum": 0.5}},
        }
    }
    runs = {run.detector: run.config for run in plan(read({**good, "augmented": {"patience": 3}}, tmp_path))}
    assert (runs["Toy1"].epochs, runs["Toy1"].batch_size, runs["Toy1"].optimiser.lr) == (7, 8, 0.1)
    tuned = runs["Toy2"]
    assert (tuned.epochs, tuned.batch_size, tuned.patience) == (1, 4, 3)
    assert (tuned.optimiser.lr, tuned.optimiser.momentum) == (0.1, 0.5)


def test_runs_that_exist_take_their_place(good, tmp_path):
    good["detectors"]["Foreign"] = {"runs": {4: "theirs"}}
    foreign = [run for run in plan(read(good, tmp_path)) if run.family == "Foreign"]
    assert [(run.id, run.detector, run.config, run.parent) for run in foreign] == [("theirs", "Foreign4", None, None)]


MISTAKES = {
    "a misspelt key": ({"detectrs": {}}, "has no 'detectrs': did you mean detectors"),
    "a missing key": ({"unseen": ...}, "lacks unseen"),
    "an unknown split": ({"unseen": {"U": "e"}}, "names the split 'e', which is not among splits"),
    "a name that is taken": ({"unseen": {"average": "d"}}, "unseen.average: the name is taken"),
    "an unknown mode": ({"modes": ["base", "merged"]}, "modes are base, transfer, merge, not merged"),
    "no base runs": ({"modes": ["merge"]}, "add base to modes"),
    "a seed twice": ({"seeds": [0, 0]}, "seeds must be a list without repeats"),
    "a missing configuration": ({"detectors": {"Toy": "toys.yaml"}}, "there is no configuration"),
    "a name with a digit": ({"detectors": {"Toy2": "toy.yaml"}}, "no digit at its end"),
    "settings for a run that exists": (
        {"detectors": {"Toy": {"runs": {1: ["r"]}, "settings": {"epochs": 1}}}}, "take no settings"),
    "neither configuration nor runs": ({"detectors": {"Toy": {}}}, "give a training configuration"),
    "a number of no set": ({"detectors": {"Toy": {"runs": {9: ["r"]}}}}, "9 is no number of a training set"),
    "a query and a pin": ({"splits": {"a": {"query": "x.sql", "pinned": "x"}}}, "and not both"),
    "params of a pin": ({"splits": {"a": {"pinned": "x", "params": {"seed": 1}}}}, "has its parameters already"),
    "a folder for a name": ({"name": "../x"}, "it names folders"),
    "no run at a time": ({"parallel": 0}, "parallel must be a number of runs from 1"),
    "a level above one": ({"tables": {"level": 95}}, "level must lie between 0 and 1"),
    "text for a number": ({"tables": {"draws": "many"}}, "tables.draws must be int, not 'many'"),
    "no published figures": ({"published": "none.csv"}, "published: there is no file"),
    "an unknown setting": ({"augmented": {"epoch": 3}}, "did you mean epochs"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_what_to_do(mistake, good, tmp_path):
    changes, told = MISTAKES[mistake]
    values = {key: value for key, value in {**good, **changes}.items() if value is not ...}
    with pytest.raises(StudyError, match=told):
        plan(read(values, tmp_path))


def test_numbers_of_two_sets_must_not_meet(good, tmp_path):
    good["training_sets"]["Two"]["first"] = 3
    with pytest.raises(StudyError, match="would both have the number 3"):
        read(good, tmp_path)


def test_augmented_sets_are_needed_for_augmented_modes_alone(good, tmp_path):
    del good["training_sets"]["One"]["augmented_train"]
    with pytest.raises(StudyError, match="training_sets.One lacks augmented_train, which merge and transfer need"):
        read(good, tmp_path)
    assert len(plan(read({**good, "modes": ["base"]}, tmp_path))) == 2


def test_a_study_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(StudyError, match="paper1-demo.yaml"):
        read_study(tmp_path / "none.yaml")


def test_the_command_knows_every_stage():
    """It names them itself, so as not to import a study before it knows that one is wanted."""
    from deepshard import parser
    from training.studies.generalizability import STAGES

    words = ["study", "generalizability", "--config", "study.yaml", "--only"]
    assert parser().parse_args([*words, *STAGES]).only == list(STAGES)
    with pytest.raises(SystemExit):
        parser().parse_args([*words, "train", "trian"])
