"""A server over the trained demo, as a user starts it, whose catalog holds names with HTML in them."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from queries.catalog import connect_write
from tests.browse import chromium
from tests.conftest import Place, copy_of

EVIL = """<img src=x onerror="document.title='owned'">'"&<script>document.title='owned'</script>"""


@dataclass(frozen=True)
class Site:
    """A running server: its address without a slash at the end, and the place that it shows."""

    url: str
    place: Place

    @property
    def netloc(self) -> str:
        return urlsplit(self.url).netloc

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> "Answer":
        """One request; ``Host_`` and so on are headers, _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.url).port, timeout=120)
        try:
            named = {name.rstrip("_").replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def sql(self, path: str, sql: str, **headers: str) -> "Answer":
        return self.ask(f"{path}?sql={quote(sql)}", **headers)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@contextmanager
def serving(place: Place, *words: str) -> Iterator[tuple[Site, str]]:
    """`deepshard browse` on a free port; the site, and the address that it printed."""
    command = [sys.executable, "-m", "deepshard", "browse", "--port", "0", *words]
    running = subprocess.Popen(
        command, cwd=place.folder, env=place.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line.startswith("open http://"), f"{line}{running.stderr and running.stderr.read()}"
        address = line.split()[1]
        yield Site(f"http://127.0.0.1:{urlsplit(address).port}", place), address
    finally:
        running.terminate()
        _, said = running.communicate(timeout=60)
    assert "Traceback" not in said, said


@pytest.fixture(scope="session")
def shown(trained, tmp_path_factory) -> Place:
    """The trained demo; one video's name and target are HTML. Saving writes into it."""
    place = copy_of(trained, tmp_path_factory.mktemp("browse") / "place")
    with connect_write(place.folder / "catalog.duckdb") as db:
        for table in ("videos", "packed", "current_attempts"):
            db.execute(
                f"UPDATE {table} SET name = $evil, target_id = $evil WHERE video_id = 'ffpp/Face2Face/c23/953_974'",
                {"evil": EVIL},
            )
    return place


@pytest.fixture(scope="session")
def site(shown) -> Iterator[Site]:
    with serving(shown) as (found, _):
        yield found


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[chromium.Browser]:
    """A real Chromium; without one tests are skipped, loudly, but never where everything is checked."""
    program = chromium.find()
    if program is None:
        said = f"there is no browser ({', '.join(chromium.NAMES)}): apt-get install chromium"
        assert not os.environ.get("CI"), said
        pytest.skip(said)
    with chromium.browser(program, tmp_path_factory.mktemp("chromium") / "profile") as found:
        yield found


@pytest.fixture(scope="session")
def shots(tmp_path_factory) -> Path:
    """Where screenshots go: the folder that DEEPSHARD_SHOTS names, else one of pytest's."""
    return Path(os.environ.get("DEEPSHARD_SHOTS") or tmp_path_factory.mktemp("shots"))
