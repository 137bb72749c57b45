"""The tiny demo, made once per session and walked as far as a test needs: scanned and curated, pinned, trained on.

Tests that write get a copy: `copy_of`. Everything goes through the command line, as a user's would.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
RECIPE = ("--aligner", "dlib", "--sampling", "evenly 6")
FFPP, CELEB = "videos/FaceForensics++", "videos/Celeb-DF-v2"


@dataclass(frozen=True)
class Place:
    """A working folder: videos, queries and training beside a store and a catalog, as in a checkout."""

    folder: Path

    def environment(self) -> dict[str, str]:
        here = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
        }
        return {**os.environ, **here, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def run(self, *words: str | Path, program: tuple[str, ...] = ("deepshard",)) -> subprocess.CompletedProcess:
        """A command in this folder, to its end."""
        command = [*program, *map(str, words)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=300
        )

    def ok(self, *words: str | Path, program: tuple[str, ...] = ("deepshard",)) -> str:
        """What a command prints, which must end well."""
        done = self.run(*words, program=program)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def train(self, *words: str) -> subprocess.CompletedProcess:
        return self.run("training/run.py", *words, program=("python",))


def new_place(folder: Path, tree: Path) -> Place:
    """A working folder without a store: links to the videos and to the rooms, and a copy of training/ to write in."""
    folder.mkdir(parents=True)
    (folder / "videos").symlink_to(tree)
    for room in ("browse", "commands", "curation", "shards", "queries", "deepshard.py"):
        (folder / room).symlink_to(REPOSITORY / room)
    shutil.copytree(REPOSITORY / "training", folder / "training", ignore=shutil.ignore_patterns("__pycache__"))
    return Place(folder)


def copy_of(place: Place, folder: Path) -> Place:
    """A folder of its own with the same videos, store and catalog."""
    new = new_place(folder, (place.folder / "videos").resolve())
    shutil.copytree(place.folder / "store", folder / "store")
    shutil.copy(place.folder / "catalog.duckdb", folder)
    return new


@pytest.fixture(scope="session")
def demo_tree(tmp_path_factory) -> Path:
    """The videos of the tiny demo."""
    from curation.demo import make_demo

    root = tmp_path_factory.mktemp("demo") / "videos"
    make_demo(root, "tiny", processes=2)
    return root


@pytest.fixture(scope="session")
def curated(demo_tree, tmp_path_factory) -> Place:
    """Scanned and curated, nothing pinned."""
    place = new_place(tmp_path_factory.mktemp("curated") / "place", demo_tree)
    place.ok("scan", "faceforensics", FFPP)
    place.ok("scan", "dfd", FFPP)
    place.ok("scan", "celebdf", CELEB)
    place.ok("curate", *RECIPE)
    return place


@pytest.fixture(scope="session")
def pinned(curated, tmp_path_factory) -> Place:
    """Curated, with the splits of a Face2Face detector; its training set leaves half of the frames to FS-I and NT-I."""
    place = copy_of(curated, tmp_path_factory.mktemp("pinned") / "place")
    place.ok("split", "pin", "ffpp/f2f_train", "paper1/fs_i", "paper1/nt_i", "--param", "frames_per_video=3")
    place.ok("split", "pin", "ffpp/f2f_val", "ffpp/f2f_test")
    return place


@pytest.fixture(scope="session")
def trained(pinned, tmp_path_factory) -> Place:
    """Pinned, with the run `first`."""
    place = copy_of(pinned, tmp_path_factory.mktemp("trained") / "place")
    words = ["--config", "training/configs/demo.yaml", "--name", "first", "--epochs", "1", "--batch_size", "8"]
    done = place.train(*words, "--train", "f2f_train", "--val", "f2f_val", "--test", "f2f_test", "--tracker", "none")
    assert done.returncode == 0, done.stderr
    return place
