"""A small convolutional detector with neurons, and runs of it in a store of faces with masks."""

import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from shards.split import Split
from tests.fabricate import Store, make_store
from training import detectors
from training.checkpoint import Progress, save_checkpoint

SIZE = 32


class Tiny(nn.Module):
    """Two convolutions with an in-place ReLU behind each, sixteen neurons, and a dense layer before the logit."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(4),
            nn.AdaptiveAvgPool2d(2),
        )
        self.hidden = nn.Linear(16, 5)
        self.head = nn.Linear(5, 1)

    def neurons(self, batch):
        return self.features(batch["image"]).flatten(1)

    def after_neurons(self, values):
        return self.head(nn.functional.leaky_relu(self.hidden(values), 0.1)).squeeze(1)

    def forward(self, batch):
        return self.after_neurons(self.neurons(batch))


def tiny(seed: int) -> Tiny:
    """A detector with random weights and statistics, in evaluation mode."""
    torch.manual_seed(seed)
    model = Tiny()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.fixture(scope="session", autouse=True)
def tiny_detector():
    """The detector `tiny`, as if training/detectors/tiny.py existed."""
    module = types.ModuleType("training.detectors.tiny")
    module.build = lambda: Tiny()
    sys.modules["training.detectors.tiny"] = module
    known = detectors.names
    detectors.names = lambda: sorted([*known(), "tiny"])
    yield
    detectors.names = known
    del sys.modules["training.detectors.tiny"]


def write_run(store: Path, run: str, model: nn.Module, step: int = 1) -> None:
    """A run with one checkpoint of `model`."""
    card = {"format": 1, "run_id": run, "step": step, "detector": {"name": "tiny", "options": {}}, "recipes": []}
    progress = Progress(seed=1, train_hash="", step=step)
    save_checkpoint(store / "runs" / run / "checkpoints", model.state_dict(), {}, progress, card)


@dataclass
class Runs:
    """Three runs, `original`, `transfer` and `merge`, of `models`; `split` has 12 real and 12 fake faces with masks."""

    store: Store
    root: Path
    split: Split
    models: dict[str, Tiny]


@pytest.fixture(scope="session")
def runs(tmp_path_factory, tiny_detector) -> Runs:
    root = tmp_path_factory.mktemp("explain") / "store"
    store = make_store(root, videos=6, faces_per_video=4, size=SIZE, masks=True, faceless=0)
    models = {name: tiny(seed) for seed, name in enumerate(("original", "transfer", "merge"))}
    for name, model in models.items():
        write_run(root, name, model)
    return Runs(store, root, Split.open(store.manifest), models)
