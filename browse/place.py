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
from queries.shadow import hide_machine

_HERE = {"threads": "2", "memory_limit": "256MiB", "temp_directory": ""}
_BUSY_S = 10.0  # what a reader of a page may wait for a writer
# two questions at once and the server take less than 1 GiB
_LIMITS = sandbox.Limits(time_s=60, memory_mb=352, own_mb=1280, answer_mb=64, rows=100_000, threads=2, trusted=False)


class BrowseError(ValueError):
    """What a page was asked for and cannot show; the message says what to do."""

    deepshard_error = True


@dataclass(frozen=True)
class Place:
    """``to``: folder of the splits that are saved; ``explained``: that of `deepshard explain`; ``children``: processes
    that wait for a question, where there are any."""

    catalog: Path
    store: Path
    to: Path = Path(".")
    explained: Path = Path("explained")
    limits: sandbox.Limits = _LIMITS
    children: sandbox.Children | None = field(default=None, compare=False)

    @property
    def shards(self) -> Path:
        return self.store / "shards"

    def run(self, sql: str) -> pa.Table:
        """The answer of one SELECT, from the sandbox. Raises SqlError, CatalogError, CatalogBusy."""
        return sandbox.run(self.catalog, sql, self.limits, self.children)

    def page(self, sql: str, offset: int, rows: int) -> sandbox.Page:
        """``rows`` rows of that from ``offset`` on, and whether there are more. Raises as ``run`` does."""
        return sandbox.page(self.catalog, sql, offset, rows, self.limits, self.children)

    def ask(self, sql: str, question: str) -> pa.Table:
        """What our own ``question`` finds in the answer of one SELECT, its table ``answer``. Raises as ``run`` does."""
        return sandbox.ask(self.catalog, sql, [question], self.limits, self.children)[0]

    @contextmanager
    def look(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The catalog without what tells of this machine, for a small question of our own.

        Raises CatalogError, CatalogBusy.
        """
        with connect_read(self.catalog, _BUSY_S, _HERE) as db:
            hide_machine(db)
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
