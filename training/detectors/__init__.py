"""Detectors by file name: `detectors/<name>.py` is all there is to adding one.

Such a file has `build(**options) -> nn.Module`. The module's `forward(batch)` gives logits [B], above 0 = fake (or a
dict with "logits" and whatever its loss needs). Whatever is trained must take part in `forward`: only there do several
processes exchange gradients. For training the module may have

    loss(output, batch) -> scalar   instead of cross-entropy
    initialise()                    called once, when training starts from nothing
    needs                           members of a sample: image, mask, landmarks, partner
    one_class                       True: can learn from one class
    two_domains                     True: learns from a target domain too; in training batch["domain"] [B] is 0 for the
                                    source and 1 for the target, which has label -1 and weight 0
    input_size                      side in pixels; other sizes are resampled
    normalise                       mean and std of RGB in [0, 1]
    transfer_modules                the modules that transfer learning trains (training/transfer.py)
    pretrained                      True: initialise() loads weights that were trained before

and for explanations

    last_convolution                the module whose output Grad-CAM reads: the last convolution, as a layer of the
                                    library the detector comes from (so with its activation where that has it inside)
    neurons(batch) -> [B, N]        the values whose causal effects are measured, and
    after_neurons([B, N]) -> [B]    the logits they lead to: forward(batch) == after_neurons(neurons(batch))
"""

import difflib
import importlib
import inspect
import typing
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from training.errors import TrainingError

MEMBERS = ("image", "mask", "landmarks", "partner")


def names() -> list[str]:
    """The detectors there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def build_detector(name: str, options: dict[str, Any]) -> nn.Module:
    """The detector `name` with random weights. Raises TrainingError for a name or an option it does not know."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise TrainingError(f"there is no detector {name!r}: {hint} (a detector is a file in training/detectors/)")
    build = importlib.import_module(f"training.detectors.{name}").build
    parameters = inspect.signature(build).parameters
    for option, value in options.items():
        if option not in parameters:
            near = difflib.get_close_matches(option, parameters, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(parameters) or 'none'}"
            raise TrainingError(f"detector {name} has no option {option!r}: {hint}")
        kind = parameters[option].annotation
        wrong = kind in (bool, int, float, str) and not _fits(value, kind)
        if wrong:
            raise TrainingError(f"detector.options.{option} must be {kind.__name__}, not {value!r}")
    try:
        model = build(**options)
    except ValueError as error:
        raise TrainingError(f"detector {name}: {error}") from error
    unknown = set(needs(model)) - set(MEMBERS)
    if unknown:
        raise TrainingError(f"detector {name} needs {sorted(unknown)}, a sample has {', '.join(MEMBERS)}")
    return model


def _fits(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def needs(model: nn.Module) -> tuple[str, ...]:
    """The members of a sample the detector reads; the image alone where it does not say."""
    return tuple(getattr(model, "needs", ("image",)))


def logits_of(output: Tensor | dict[str, Tensor]) -> Tensor:
    """The logits [B] in what a detector's forward returned."""
    return typing.cast(Tensor, output["logits"] if isinstance(output, dict) else output)


def in_float32(output: Tensor | dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
    """A detector's output after mixed precision, with every floating tensor as float32: losses are computed in it."""
    if isinstance(output, dict):
        return {name: value.float() if value.is_floating_point() else value for name, value in output.items()}
    return output.float()


def mean_of_labelled(losses: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """The losses [B] times batch["weight"], as mean over the faces that have a label (not -1, as those of a target
    domain in training): a scalar.
    """
    labelled = batch["label"] >= 0
    return (losses * batch["weight"] * labelled).sum() / labelled.sum().clamp(min=1)


def cross_entropy(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Binary cross-entropy of logits [B], weighted, as mean over the faces that have a label."""
    label = batch["label"].clamp(min=0).to(logits.dtype)
    return mean_of_labelled(functional.binary_cross_entropy_with_logits(logits, label, reduction="none"), batch)


def loss_of(model: nn.Module, output: Tensor | dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    """The detector's own loss, or weighted binary cross-entropy of its logits; a scalar."""
    own = getattr(model, "loss", None)
    return cross_entropy(logits_of(output), batch) if own is None else own(output, batch)
