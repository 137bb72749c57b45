"""Settings: every one is known, typed and reachable from YAML and from the command line; slips are told."""

from pathlib import Path

import pytest

from training.config import EVALUATION, RESUMABLE, Config
from training.errors import TrainingError
from training.run import read_settings
from training.settings import from_dict, load_config, parse_overrides, settings, with_overrides

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.yaml"))


def write(tmp_path, text):
    path = tmp_path / "some.yaml"
    path.write_text(text)
    return path


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path):
    path = write(tmp_path, "epochs: 7\nseed: 3\noptimiser: {lr: 1e-4}\n")
    config = load_config(path, parse_overrides(["--epochs", "9", "optimiser.betas=[0.5, 0.9]"]))
    assert (config.epochs, config.seed, config.batch_size) == (9, 3, Config().batch_size)
    assert (config.optimiser.lr, config.optimiser.betas) == (1e-4, [0.5, 0.9])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--epochs", "3"], {"epochs": 3}),
        (["--epochs=3"], {"epochs": 3}),
        (["epochs=3"], {"epochs": 3}),
        (["--optimiser.lr", "1e-4"], {"optimiser.lr": 1e-4}),
        (["--batch-size", "8"], {"batch_size": 8}),
        (["--trace"], {"trace": True}),
        (["--trace", "--epochs", "3"], {"trace": True, "epochs": 3}),
        (["--trace", "false"], {"trace": False}),
        (["--precision", "no"], {"precision": "no"}),
        (["--test", "a", "b.sql", "--epochs", "1"], {"test": ["a", "b.sql"], "epochs": 1}),
        (["--test", "a", "--test=b"], {"test": ["a", "b"]}),
        (["--test", "a@0123", "epochs=2"], {"test": ["a@0123"], "epochs": 2}),
        (["--train", "0123"], {"train": "0123"}),
        (["--workers", "null"], {"workers": None}),
        (["--detector.options.dropout", "0.3"], {"detector.options.dropout": 0.3}),
    ],
)
def test_command_line_words_become_settings(words, expected):
    found = parse_overrides(words)
    assert found == expected
    with_overrides(Config(), found)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--epoch", "3"], "did you mean epochs"),
        (["--lr", "3"], "optimiser.lr"),
        (["--optimiser.learning", "3"], "there is no setting"),
        (["--epochs"], "needs a value"),
        (["stray"], "cannot read 'stray'"),
        (["--epochs", "3", "4"], "cannot read '4'"),
        (["--epochs", "3", "--epochs", "4"], "given twice"),
    ],
)
def test_a_slip_on_the_command_line_is_told(words, hint):
    with pytest.raises(TrainingError, match=hint):
        parse_overrides(words)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("epocs: 3", "did you mean epochs"),
        ("optimiser: {learning_rate: 1}", "there is no setting 'optimiser.learning_rate'"),
        ("epochs: three", "epochs must be int, not 'three'"),
        ("epochs: 1.5", "epochs must be int"),
        ("epochs: true", "epochs must be int"),
        ("trace: 1", "trace must be bool"),
        ("precision: fp8", "no | fp16 | bf16"),
        ("optimiser: 3", "must be a mapping"),
        ("epochs: 0", "epochs must be at least 1"),
        ("epochs: 1\nepochs: 2", "given twice"),
        ("epochs: [", "is not YAML"),
        ("select: test_auc", "select must be"),
        ("augment: {flip: 2}", "is a probability"),
        ("augment: {jpeg_quality: [90, 10]}", "lowest first"),
        ("name: ../escape", "names a folder"),
    ],
)
def test_a_slip_in_the_file_is_told_with_the_files_name(tmp_path, text, hint):
    with pytest.raises(TrainingError) as caught:
        load_config(write(tmp_path, text))
    assert hint in str(caught.value)
    if not hint.startswith(("epochs must be at", "select", "is a prob", "lowest", "names a")):
        assert "some.yaml" in str(caught.value)


def test_yaml_words_and_numbers_mean_what_they_say(tmp_path):
    config = load_config(write(tmp_path, "precision: no\noptimiser: {lr: 5e-5, eps: 1.e-7}\nname: 2024\n"))
    assert (config.precision, config.optimiser.lr, config.optimiser.eps, config.name) == ("no", 5e-5, 1e-7, "2024")


def test_a_file_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(TrainingError, match=r"mesonet\.yaml"):
        load_config("nowhere.yaml")


def test_a_configuration_survives_the_way_through_a_checkpoint():
    config = with_overrides(Config(), {"epochs": 3, "detector.options.dropout": 0.1, "augment.jpeg_quality": [1, 2]})
    assert from_dict(config.as_dict()) == config
    carried = config.without_places()
    assert "train" not in carried and "store" not in carried
    assert from_dict(carried) == config


def test_every_setting_is_reachable_by_its_dotted_name():
    for name in settings():
        assert parse_overrides([f"--{name}", "null"]).keys() == {name}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_configurations_that_come_along_are_valid_and_name_no_place(path):
    from training.detectors import build_detector

    config = load_config(path)
    build_detector(config.detector.name, config.detector.options)
    assert config.train is config.val is config.name is None
    assert config.test == []


def test_a_later_file_goes_on_top_of_the_ones_before(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("epochs: 7\nbatch_size: 8\noptimiser: {lr: 1e-4, eps: 1e-7}\n")
    second.write_text("epochs: 9\noptimiser: {lr: 1e-5}\n")
    config = load_config([first, second], {"batch_size": 16})
    assert (config.epochs, config.batch_size, config.optimiser.lr, config.optimiser.eps) == (9, 16, 1e-5, 1e-7)
    words = ["--config", str(first), f"--config={second}", "--train", "some"]
    read, name, checkpoint = read_settings(words)
    assert (read.epochs, read.batch_size, name, checkpoint) == (9, 8, "first", None)
    second.write_text("epocs: 9\n")
    with pytest.raises(TrainingError, match=r"second\.yaml: .*did you mean epochs"):
        load_config([first, second])


def test_what_may_change_on_resuming_or_evaluating_are_settings():
    known = {name.partition(".")[0] for name in settings()}
    assert known >= RESUMABLE and known >= EVALUATION
    for name in ("init_from", "trains", "order", "patience", "seed", "train"):
        assert name not in EVALUATION and (name not in RESUMABLE or name == "train")
