"""One Hub for the session, with the pinned demo in it; in-process clients find it, and none of them waits."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import HfFileSystem, constants
from huggingface_hub.utils import _http

from hub.push import push
from hub.repository import Repository
from tests.conftest import REPOSITORY, Place
from tests.hub.server import WRITER, Hub, hub

FACES = "somebody/faces"
_OURS = ("commands", "curation", "hub", "shards", "queries", "training", "deepshard", "tests")


@dataclass(frozen=True)
class Online(Place):
    """A place whose commands find the Hub."""

    server: Hub | None = None
    token: str | None = WRITER

    def environment(self) -> dict[str, str]:
        home = {"HF_HOME": str(self.folder / "hf"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        return super().environment() | self.server.environment(self.token) | home


@pytest.fixture(scope="session")
def server():
    with hub() as there:
        yield there


@pytest.fixture
def online(server, monkeypatch, tmp_path):
    """The session's Hub, as it is found from this process; its counters begin at zero, and clients retry at once."""
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    told = {"ENDPOINT": server.url, "HUGGINGFACE_CO_URL_TEMPLATE": template}
    for name, value in (told | {"HF_HUB_DISABLE_XET": True, "HF_HUB_OFFLINE": False}).items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None, time=_http.time.time))
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    HfFileSystem.clear_instance_cache()
    server.clear()
    yield server
    server.clear()
    HfFileSystem.clear_instance_cache()
    LocalFileSystem.clear_instance_cache()


def repository(name: str = FACES, tries: int = 3) -> Repository:
    return Repository(name, tries=tries, pause_s=0)


@pytest.fixture(scope="session")
def pushed(server, pinned) -> Hub:
    """The Hub with all faces of the pinned demo in somebody/faces, private, sent by the command line."""
    place = Online(pinned.folder, server)
    said = place.ok("push", FACES, "--yes-i-may")
    assert "(private)" in said and WRITER not in said
    server.clear()
    return server


def push_from(place: Place, name: str, **asked):
    """A push of a place's store in this process; ``said_so`` unless told otherwise."""
    return push(place.folder / "catalog.duckdb", place.folder / "store", repository(name), **{"said_so": True, **asked})


@dataclass(frozen=True)
class Stranger:
    """A Python that has the libraries and none of our code."""

    folder: Path
    server: Hub

    def run(self, program: str, token: str | None = WRITER) -> str:
        """What a program prints, which must end well."""
        packages = [path for path in sys.path if path.endswith("site-packages")]
        head = f"import sys; sys.path += {packages}\n"
        head += "import importlib.util\n"
        head += f"assert not [name for name in {_OURS} if importlib.util.find_spec(name)], 'our code is here'\n"
        place = replace(Online(self.folder, self.server), token=token)
        environment = place.environment()
        environment.pop("PYTHONPATH")
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", head + program],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert str(REPOSITORY) not in done.stdout
        return done.stdout


@pytest.fixture
def stranger(server, tmp_path) -> Stranger:
    return Stranger(tmp_path, server)
