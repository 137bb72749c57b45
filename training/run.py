"""The entrance to training: reads the settings, makes sure there are as many processes as asked for, and begins.

    accelerate launch training/run.py --config training/configs/mesonet.yaml --train TRAIN --val VAL --test TEST
    python training/run.py --processes 2 ...          two processes on this machine, with or without GPUs
    torchrun --nproc_per_node 2 training/run.py ...   the same
    python training/run.py --resume RUN               continue a run
    python training/run.py --evaluate RUN --test TEST score a test set, train nothing
    python training/run.py --config ... --config ...  the second file's settings on top of the first one's

TRAIN, VAL and TEST are pinned splits (a manifest's path or a name in the store) or `.sql` files. torch is imported only
once the settings are known to be right, so that a misspelt one is told at once.
"""

import os
import sys
from pathlib import Path
from typing import Any

if __package__ in (
    None,
    "",
):  # run as a file: the rooms lie one folder up, and this folder's names must not hide others
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from training.config import EVALUATION, RESUMABLE, Config, check
from training.errors import TrainingError
from training.settings import from_dict, load_config, parse_overrides, settings, type_name, with_overrides
from training.world import check_processes, leave, start_processes


def usage() -> str:
    """The help text: the module's head and every setting with its type and default."""

    def default(name: str) -> object:
        value: object = Config()
        for part in name.split("."):
            value = getattr(value, part)
        return value

    lines = [f"  --{name:<26} {type_name(kind)} (default {default(name)})" for name, kind in settings().items()]
    return f"{__doc__}\nSettings, in the YAML of --config or here:\n" + "\n".join(lines)


def _split_config(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(the files of --config, the other words)"""
    rest, paths = [], []
    words = iter(arguments)
    for word in words:
        if word == "--config" or word.startswith("--config="):
            path = word.partition("=")[2] or next(words, None)
            if path is None:
                raise TrainingError("--config needs the path of a YAML file")
            paths.append(path)
        else:
            rest.append(word)
    return paths, rest


def read_settings(arguments: list[str]) -> tuple[Config, str, Path | None]:
    """(configuration, name for a new run, checkpoint to continue from or to evaluate) of the command line's words.

    Raises TrainingError for whatever cannot be meant.
    """
    paths, rest = _split_config(arguments)
    overrides = parse_overrides(rest)
    source = overrides.get("resume") or overrides.get("evaluate")
    if not source:
        if not paths:
            raise TrainingError("give --config FILE.yaml (training/configs/ has some), or --resume or --evaluate a run")
        config = load_config(paths, overrides)
        if config.resume or config.evaluate:
            raise TrainingError("resume and evaluate belong on the command line, not in a configuration")
        if not config.train:
            raise TrainingError("give --train a pinned split or a .sql file")
        return config, Path(paths[0]).stem, None

    if paths:
        raise TrainingError("--resume and --evaluate take the configuration from the checkpoint: leave --config away")
    if overrides.get("resume") and overrides.get("evaluate"):
        raise TrainingError("--resume continues training, --evaluate only scores: give one of them")
    return _from_checkpoint(source, overrides)


def _from_checkpoint(source: str, overrides: dict[str, Any]) -> tuple[Config, str, Path]:
    from training.checkpoint import find_checkpoint, read_weights, run_folder

    evaluating = bool(overrides.get("evaluate"))
    if wrong := sorted(set(overrides) - (EVALUATION if evaluating else RESUMABLE)):
        raise TrainingError(
            f"{', '.join(wrong)} cannot change {'in an evaluation' if evaluating else 'when a run is resumed'}: "
            + ("it takes the checkpoint as it is" if evaluating else "start a new run for that")
        )
    checkpoint = find_checkpoint(source, Path(overrides.get("store", "store")), selected=evaluating)
    card = read_weights(checkpoint)[1]
    places: dict[str, Any] = {"name": card["run_id"], "processes": None}
    folder = run_folder(checkpoint)
    if folder is not None and folder.parent.name == "runs":
        places["store"] = str(folder.parent.parent)
    if evaluating and not overrides.get("test"):
        raise TrainingError("--evaluate needs --test: a pinned split or a .sql file")
    if not evaluating:
        if folder is None:
            raise TrainingError(f"{checkpoint} is not in a run's folder: --resume takes a run, or its last checkpoint")
        for split in card["splits"]:
            name = f"{split['name']}@{split['hash'][:12]}"
            places[split["role"]] = [*places.get("test", []), name] if split["role"] == "test" else name
    config = with_overrides(from_dict(card["config"]), {**places, **overrides})
    check(config)
    return config, card["run_id"], checkpoint


def main(arguments: list[str] | None = None) -> int:
    """Run the command line's words; the exit code: 0, or 2 for what the user can mend (told in one line)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(arguments):
        print(usage())
        return 0
    try:
        config, name, checkpoint = read_settings(arguments)
        if check_processes(config.processes, os.environ):
            return start_processes(config.processes, arguments)
        from training.experiment import run_experiment

        run_experiment(config, name, checkpoint)
    except Exception as error:
        if not getattr(type(error), "deepshard_error", False):
            raise
        if type(error).__name__ != "ToldByRank0":
            rank = int(os.environ.get("RANK", 0))
            print(f"error{f' in process {rank}' if rank else ''}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    leave(main())
