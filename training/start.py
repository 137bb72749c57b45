"""Starting from the weights of another run, as fine-tuning does, and not from nothing."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shards.split import Split
from training.checkpoint import read_weights
from training.config import Config
from training.detectors import build_detector
from training.errors import TrainingError
from training.splits import Splits, label, shared_videos


def check_start(config: Config, model: nn.Module, checkpoint: Path) -> None:
    """Raise TrainingError unless the weights of ``checkpoint`` are of this detector (``model``) and saw such pixels."""
    weights, card = read_weights(checkpoint)
    theirs, ours = card["detector"], {"name": config.detector.name, "options": config.detector.options}
    where = f"--init_from {config.init_from}"
    if theirs["name"] != ours["name"]:
        raise TrainingError(f"{where} has weights of detector {theirs['name']}, and this run trains {ours['name']}")
    if theirs["options"] != ours["options"]:
        trained = build_detector(theirs["name"], theirs["options"])
        for name in ("input_size", "normalise"):
            was, now = getattr(trained, name, None), getattr(model, name, None)
            if was != now:
                raise TrainingError(
                    f"{where} was trained on faces with {name} {was}, and this run has {now}: give the detector's "
                    f"options that it had, {theirs['options']} (here {ours['options']})"
                )
    load(model, weights, where)


def load(model: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Put weights into a model; raises TrainingError, saying ``where`` they are from, if they are of another shape."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(f"the weights of {where} do not fit: {' '.join(str(error).split())}") from error


def start_notes(card: dict[str, Any], chosen: Splits, store: Path) -> list[str]:
    """What is dubious about starting from the weights of this card, a sentence each: other crops, and videos of --val
    and --test that they were trained on."""
    run, notes = f"run {card['run_id']}, from which this one starts,", []
    crops = [{recipe["hash"] for recipe in recipes} for recipes in (card["recipes"], chosen.train.recipes)]
    if crops[0] != crops[1]:
        notes.append(f"{run} was trained on faces of another recipe: other crops")
    trained_on = next(split for split in card["splits"] if split["role"] == "train")
    if trained_on["hash"] == chosen.train.hash:
        return notes  # what they share is told of this run's own training set
    name = f"{trained_on['name']}@{trained_on['hash'][:12]}"
    manifest = store / "splits" / f"{name}.arrow"
    if not manifest.is_file():
        return [*notes, f"{run} was trained on {name}, which is not in {store}: whether it shares videos is not known"]
    trained = Split.open(manifest)
    for _, other in Splits(None, chosen.val, chosen.tests).all():
        if both := shared_videos(trained, other):
            shared = f"{label(other)} shares {len(both)} videos with it, for example {both[0]}"
            notes.append(f"{run} was trained on {name}, and {shared}")
    return notes
