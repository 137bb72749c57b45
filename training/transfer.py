"""Transfer learning: only what the detector names is trained, the rest stays as it is to the last bit.

That takes more than parameters without gradients: the batch normalisation of a frozen part keeps its running statistics
and normalises by them, in training too.
"""

import types

from torch import nn

from training.errors import TrainingError


def check_transfer(model: nn.Module, detector: str) -> None:
    """Raise TrainingError for a detector that does not say what transfer learning trains."""
    if not getattr(model, "transfer_modules", None):
        raise TrainingError(
            f"detector {detector} does not say what transfer learning trains: give it the property transfer_modules "
            "(training/detectors/__init__.py), or train everything with --trains all"
        )


def freeze(model: nn.Module) -> None:
    """Freeze all of ``model`` but its ``transfer_modules``. Modules put in their place afterwards are not frozen."""
    trained = {module for chosen in model.transfer_modules for module in chosen.modules()}
    model.requires_grad_(False)
    for chosen in model.transfer_modules:
        chosen.requires_grad_(True)
    for module in model.modules():
        if getattr(module, "track_running_stats", False) and module not in trained:
            module.eval()
            module.train = types.MethodType(_stay, module)  # model.train() asks every module


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def trained_share(model: nn.Module) -> str:
    """How many parameters learn, for a person."""
    parameters = list(model.parameters())
    learning = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return f"{learning:,} of {sum(parameter.numel() for parameter in parameters):,} parameters"
