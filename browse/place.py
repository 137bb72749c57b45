"""Where a page's facts come from: the catalog, opened for each question and closed again, and the store beside it.

Whatever a user may have written goes through the sandbox's child process, and so do our own questions that read many
rows: the server stays small, and what takes too long is killed. Small look-ups are made here. Nobody keeps the catalog
open, so that curation can write while people look.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from queries import sandbox
from queries.catalog import connect_read

_HERE = {"threads": "2", "memory_limit": "256MiB", "temp_directory": ""}
_BUSY_S = 10.0  # what a reader of a page may wait for a writer


class BrowseError(ValueError):
    """What a page was asked for and cannot show; the message says what to do."""

    deepshard_error = True


@dataclass(frozen=True)
class Place:
    """``to``: folder of the splits that are saved; ``explained``: that of `deepshard explain`."""

    catalog: Path
    store: Path
    to: Path = Path(".")
    explained: Path = Path("explained")
    limits: sandbox.Limits = field(default_factory=lambda: sandbox.Limits(60.0, 384, 64, 2))

    @property
    def shards(self) -> Path:
        return self.store / "shards"

    def ask(self, sql: str) -> pa.Table:
        """The answer of one SELECT, from the sandbox. Raises SqlError, CatalogError, CatalogBusy."""
        return sandbox.run(self.catalog, sql, self.limits)

    def page(self, sql: str, offset: int, rows: int) -> tuple[pa.Table, bool]:
        """``rows`` rows of that from ``offset`` on, and whether there are more."""
        table = self.ask(f"SELECT * FROM (\n{sql}\n) LIMIT {rows + 1} OFFSET {offset}")
        return table.slice(0, rows), len(table) > rows

    @contextmanager
    def look(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The catalog, for a small question of our own. Raises CatalogError, CatalogBusy."""
        with connect_read(self.catalog, _BUSY_S, _HERE) as db:
            yield db

    def plain(self, message: str) -> str:
        """A message without the folders of this machine."""
        roots = [
            self.catalog.resolve().parent,
            self.store.resolve().parent,
            self.to.resolve(),
            Path(__file__).parents[1],
        ]
        for root in sorted({str(root) for root in roots}, key=len, reverse=True):
            message = message.replace(f"{root}/", "")
        return message
