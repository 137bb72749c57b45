"""A small real store with three pinned splits, a detector that trains in milliseconds, and runs in this process."""

import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn

from tests.fabricate import Store, make_store, write_manifest
from training import detectors
from training.run import main

SIZE = 32
ROOT = Path(__file__).parents[2]


class Toy(nn.Module):
    """A linear detector on colour: no batch statistics, so that its steps can be compared over batch shapes."""

    def __init__(self, dropout: float, one_class: bool):
        super().__init__()
        self.hidden = nn.Linear(3, 4)
        self.head = nn.Linear(4, 1)
        self.dropout = nn.Dropout(dropout)
        self.one_class = one_class

    def forward(self, batch):
        return self.head(self.dropout(torch.tanh(self.hidden(batch["image"].mean((2, 3)))))).squeeze(1)


def add_toy():
    """Make the detector `toy` known, as if training/detectors/toy.py existed; returns what undoes it."""
    module = types.ModuleType("training.detectors.toy")

    def build(dropout: float = 0.5, one_class: bool = False) -> Toy:
        return Toy(dropout, one_class)

    module.build = build
    sys.modules["training.detectors.toy"] = module
    known = detectors.names
    detectors.names = lambda: sorted([*known(), "toy"])

    def remove() -> None:
        detectors.names = known
        del sys.modules["training.detectors.toy"]

    return remove


@pytest.fixture(scope="session", autouse=True)
def toy():
    """Tests know the detector `toy`."""
    remove = add_toy()
    yield
    remove()


@pytest.fixture(autouse=True)
def fresh_process():
    """Each test finds torch and Accelerate as a new process would."""
    threads = torch.get_num_threads()
    yield
    AcceleratorState._reset_state(True)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@dataclass
class Sets:
    """``train`` (4 videos, 16 real and 16 fake faces), ``val`` and ``test`` (2 videos and one without a face each)."""

    store: Store
    root: Path

    def pin(self, name: str, videos: list[str], methods=("original", "swapped"), faceless=()) -> Path:
        """Pin all faces of some videos."""
        known = [video for video in self.store.videos if video["name"] in {*videos, *faceless}]
        known = [video for video in known if video["method"] in methods]
        ids = {video["video_id"] for video in known}
        rows = [row for row in self.store.rows if row["video_id"] in ids]
        return write_manifest(self.root / "splits", rows, known, SIZE, name=name)


def make_sets(root: Path, size: int = SIZE) -> Sets:
    store = make_store(root, videos=8, faces_per_video=8, size=size, masks=False, faceless=2)
    sets = Sets(store, root)
    sets.pin("train", ["000", "001"])
    sets.pin("val", ["002"], faceless=["empty0"])
    sets.pin("test", ["003"], faceless=["empty1"])
    return sets


@pytest.fixture(scope="session")
def sets(tmp_path_factory) -> Sets:
    return make_sets(tmp_path_factory.mktemp("training") / "store")


@pytest.fixture
def config(tmp_path) -> Path:
    """A configuration for the toy detector: two epochs of four steps."""
    path = tmp_path / "toy.yaml"
    path.write_text(
        "detector: {name: toy}\noptimiser: {lr: 0.05}\nepochs: 2\nbatch_size: 8\nworkers: 0\nthreads: 1\n"
        "log_every: 1\ntracker: none\ndeterministic: true\ntrace: true\n"
    )
    return path


@pytest.fixture
def run(sets, config, capsys):
    """Call training with words, in this process, on `sets`; gives (exit code, what it printed)."""

    def call(*words: str, config: Path | None = config, splits: bool = True) -> tuple[int, str]:
        given = ["--store", str(sets.root), "--catalog", str(sets.root / "none.duckdb")]
        given += ["--config", str(config)] if config is not None else []
        given += ["--train", "train", "--val", "val", "--test", "test"] if splits else []
        code = main([*given, *words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call
