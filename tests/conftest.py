"""The tiny demo, made once per session and walked as far as a test needs: scanned and curated, pinned, trained on.

Tests that write get a copy: `copy_of`. Everything goes through the command line, as a user's would. Where pytest-xdist
runs several workers, the first that wants a stage makes it for all; every worker has a copy of its own of stores and
catalogs, since a catalog that one process writes is closed to the others.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.soak import scale

# Properties are judged by what holds, not by how fast a busy machine finds out; with the same examples every time, and
# with new ones in `make soak`.
SLOW = [HealthCheck.too_slow]
settings.register_profile("ours", deadline=None, derandomize=not scale(0, 1), suppress_health_check=SLOW)
settings.load_profile("ours")

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
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=900
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
    for room in ("browse", "commands", "curation", "hub", "shards", "queries", "deepshard.py"):
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
def made_once(tmp_path_factory, request) -> Callable[[str, Callable[[Path], object]], Path]:
    """``made_once(name, make)``: the folder of that name, which ``make(folder)`` fills once for all workers."""
    ours = tmp_path_factory.getbasetemp()
    root = (ours.parent if hasattr(request.config, "workerinput") else ours) / "made-once"
    root.mkdir(exist_ok=True)

    def folder_of(name: str, make: Callable[[Path], object]) -> Path:
        folder, whole = root / name, root / f"{name}.whole"
        with FileLock(root / f"{name}.lock"):
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
                make(folder)
                whole.touch()
        return folder

    return folder_of


@pytest.fixture
def memory():
    """fsspec's memory://, which all of a process shares: empty before a test and after it, of folders too."""
    fs = fsspec.filesystem("memory")

    def empty() -> None:
        fs.store.clear()
        fs.pseudo_dirs[:] = [""]

    empty()
    yield fs
    empty()


@pytest.fixture(scope="session")
def demo_tree(made_once) -> Path:
    """The videos of the tiny demo. Do not change them: all workers have the same ones."""
    from curation.demo import make_demo

    return made_once("videos", lambda root: make_demo(root, "tiny", processes=2))


@pytest.fixture(scope="session")
def curated(demo_tree, made_once, tmp_path_factory) -> Place:
    """Scanned and curated, nothing pinned."""

    def make(folder: Path) -> None:
        place = new_place(folder, demo_tree)
        place.ok("scan", "faceforensics", FFPP)
        place.ok("scan", "dfd", FFPP)
        place.ok("scan", "celebdf", CELEB)
        place.ok("curate", *RECIPE)

    return copy_of(Place(made_once("curated", make)), tmp_path_factory.mktemp("curated") / "place")


@pytest.fixture(scope="session")
def pinned(curated, made_once, tmp_path_factory) -> Place:
    """Curated, with the splits of a Face2Face detector; its training set leaves half of the frames to FS-I and NT-I."""

    def make(folder: Path) -> None:
        place = copy_of(curated, folder)
        place.ok("split", "pin", "ffpp/f2f_train", "paper1/fs_i", "paper1/nt_i", "--param", "frames_per_video=3")
        place.ok("split", "pin", "ffpp/f2f_val", "ffpp/f2f_test")

    return copy_of(Place(made_once("pinned", make)), tmp_path_factory.mktemp("pinned") / "place")


@pytest.fixture(scope="session")
def trained(pinned, made_once, tmp_path_factory) -> Place:
    """Pinned, with the run `first`."""

    def make(folder: Path) -> None:
        place = copy_of(pinned, folder)
        words = ["--config", "training/configs/demo.yaml", "--name", "first", "--epochs", "1", "--batch_size", "8"]
        words += ["--train", "f2f_train", "--val", "f2f_val", "--test", "f2f_test", "--tracker", "none"]
        done = place.train(*words)
        assert done.returncode == 0, done.stderr

    return copy_of(Place(made_once("trained", make)), tmp_path_factory.mktemp("trained") / "place")
