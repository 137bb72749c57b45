"""A store of FF++ in miniature with its catalog, made once and only read; and fresh ones for tests that change them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from queries.catalog import connect_read
from queries.ingest import ingest_store
from queries.pin import Pinned, pin
from tests.queries import fabricate
from tests.queries.world import make_world, run_here


@dataclass
class Place:
    """A folder with a store and its catalog."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.duckdb"

    def ingest(self):
        report = ingest_store(self.catalog, self.store)
        with connect_read(self.catalog) as db:  # what is kept joined is what joining gives, after whatever happened
            for one, other in (("joined", "current"), ("current", "joined")):
                odd = f"FROM {one}_attempts EXCEPT ALL FROM {other}_attempts"
                assert not db.execute(odd).fetchall()
        return report

    def pin(self, sql: str, name: str = "split", **how) -> Pinned:
        """Pin the text of a split file; the file is ``name``.sql."""
        path = self.folder / f"{name}.sql"
        path.write_text(sql)
        return pin(self.catalog, self.store, path, **how)


@pytest.fixture
def no_child(monkeypatch):
    """Splits are run in this process, for tests of what comes after: starting a child takes half of a pin's time."""
    monkeypatch.setattr("queries.pin.run_split", run_here)


@pytest.fixture
def place(tmp_path) -> Place:
    """An empty folder."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def ffpp(tmp_path_factory) -> Place:
    """FF++ in miniature, 7 pairs, 20 faces a video; one fake and one real test video have none. Do not change it."""
    made = Place(tmp_path_factory.mktemp("ffpp"))
    fabricate.make_store(made.store, faceless=["ffpp/Face2Face/c23/953_974", "ffpp/original/c23/026"])
    made.ingest()
    return made


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Place:
    """The datasets of the shipped splits in miniature. Do not change it."""
    return make_world(Place(tmp_path_factory.mktemp("world")))
