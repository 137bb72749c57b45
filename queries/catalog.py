"""The catalog file: who may open it, how, and for how long.

DuckDB lets one process open a file for writing or many for reading, never both. So a writer opens, does one transaction
and closes; everyone else waits with growing pauses, and after a time says who is in the way. Tables belong to a schema
version; views and macros are renewed by whoever writes next. Locks are not to be trusted on network file systems: keep
the catalog on a local disk, it can be rebuilt from the store.
"""

import csv
import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import duckdb

from queries.errors import CatalogBusy, CatalogError, NoCatalog

SCHEMA_VERSION = 5
TIMEOUT_S = 60.0

# How many times, at its end, a transaction joins row groups of any table that are not full. All of those that a large
# ingest leaves cost 12 s and 2.3 GB, whoever writes next, were it one pinned split. Were none ever joined, every small
# transaction would leave a row group of its own for good. Once is enough: a table stays as dense as without a limit.
JOINS = "SET max_vacuum_tasks = {}"

_HERE = Path(__file__).parent
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 1.0
_HOLDER = re.compile(r"lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


@contextmanager
def connect_read(
    path: str | Path, timeout_s: float = TIMEOUT_S, config: dict[str, str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, closed at the end. ``config``: settings of DuckDB.

    Raises NoCatalog, CatalogError if it is of another version or no catalog at all, CatalogBusy if a writer holds it
    for longer than ``timeout_s`` seconds.
    """
    if not Path(path).exists():
        raise NoCatalog(f"there is no catalog {path}: `deepshard scan` makes one, `deepshard catalog rebuild` too")
    db = _open(path, True, timeout_s, config or {})
    try:
        if not _is_current(db, path):
            raise CatalogError(f"the views and macros of {path} are another version's: run `deepshard catalog rebuild`")
        yield db
    finally:
        db.close()


@contextmanager
def connect_write(path: str | Path, timeout_s: float = TIMEOUT_S) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in a transaction, which is committed at the end and rolled back by an exception; then closed.

    Read and check everything that goes in before: nobody else can open the catalog meanwhile. Makes the catalog where
    there is none. Raises CatalogError (another version, no catalog), CatalogBusy.
    """
    db = _open(path, False, timeout_s, {})
    try:
        db.execute(JOINS.format(1))
        prepare = _preparation(db, path)
        db.execute("BEGIN")
        prepare(db)
        yield db
        db.execute("COMMIT")
    finally:
        db.close()  # rolls back what is not committed


def create(path: str | Path, timeout_s: float = TIMEOUT_S) -> Path:
    """Make an empty catalog; one that is there is left as it is, if it is of this version. Raises CatalogError."""
    path = Path(path)
    with suppress(NoCatalog), connect_read(path, timeout_s):
        return path
    with connect_write(path, timeout_s):
        return path


def replace(path: str | Path, new: Path, timeout_s: float = TIMEOUT_S) -> None:
    """Put the finished catalog ``new`` in the place of ``path``, once nobody holds that. Raises CatalogBusy."""
    path = Path(path)
    held = _hold(path, timeout_s) if path.exists() else None
    try:
        # a log left by a killed writer belongs to the old file and would be replayed into the new one
        _log(path).unlink(missing_ok=True)
        _sync(new)
        os.replace(new, path)
        _sync(path.parent)
    finally:
        if held is not None:
            held.close()


def remove(path: Path) -> None:
    """Remove a catalog that nobody uses, and its log."""
    _log(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def columns(table: str) -> tuple[str, ...]:
    """The columns of a table or view of the schema, in order."""
    return _schema()[table]


@cache
def script(name: str) -> str:
    """The text of ``queries/<name>.sql``."""
    return (_HERE / f"{name}.sql").read_text(encoding="utf-8")


def check_version(path: str | Path, timeout_s: float = TIMEOUT_S) -> None:
    """Raises CatalogError if ``path`` is a catalog of a newer deepshard; whatever else it is may be replaced."""
    try:
        with connect_read(path, timeout_s):
            pass
    except _Newer:
        raise
    except CatalogBusy:
        raise
    except CatalogError:
        pass


class _Newer(CatalogError):
    """A catalog made by a later version."""


def _open(path: str | Path, read_only: bool, timeout_s: float, config: dict[str, str]) -> duckdb.DuckDBPyConnection:
    if "?" in str(path):
        raise CatalogError(f"{path} contains '?', behind which DuckDB would look for its log: name another file")
    give_up = time.monotonic() + timeout_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            db = duckdb.connect(str(path), read_only=read_only, config=config)
            db.execute("SET GLOBAL TimeZone = 'UTC'")  # its cursors, too
            return db
        except (duckdb.IOException, duckdb.ConnectionException) as error:
            holder = _holder(str(error))
            if holder is None:
                raise CatalogError(f"{path} cannot be opened: {_first_line(error)}") from error
            if time.monotonic() >= give_up:
                raise CatalogBusy(
                    f"{path} is held by {holder} and was not let go in {timeout_s:g} s. Wait for it or end it, then "
                    "run the same command again"
                ) from error
        except duckdb.Error as error:
            raise CatalogError(f"{path} cannot be opened: {_first_line(error)}") from error
        time.sleep(min(pause * random.uniform(0.5, 1.0), max(0.0, give_up - time.monotonic())))
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def _holder(message: str) -> str | None:
    """Who holds the file, read from DuckDB's message; None if that is not what is wrong."""
    if found := _HOLDER.search(message):
        return f"process {found['pid']} ({Path(found['program']).name}{_command(int(found['pid']))})"
    if "Could not set lock" in message:
        return "another process"
    if "different configuration" in message:
        return f"this process itself ({os.getpid()}), which has it open in the other mode"
    return None


def _command(pid: int) -> str:
    """The process's command line, where the system tells it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:]
    except OSError:
        return ""
    return ": " + b" ".join(words).decode(errors="replace").strip()[:100] if any(words) else ""


def _hold(path: Path, timeout_s: float) -> duckdb.DuckDBPyConnection | None:
    """Keep everyone off a catalog that is about to be replaced; None where it is no database that could be held."""
    try:
        return _open(path, False, timeout_s, {})
    except CatalogBusy:
        raise
    except CatalogError:
        return None


def _preparation(db: duckdb.DuckDBPyConnection, path: str | Path) -> Callable[[duckdb.DuckDBPyConnection], None]:
    """What a writer has to do before anything else: make the tables, renew views and macros, or nothing."""
    try:
        return (lambda _: None) if _is_current(db, path) else _define
    except NoCatalog:
        return _make


def _is_current(db: duckdb.DuckDBPyConnection, path: str | Path) -> bool:
    """False if only views and macros are another version's. Raises CatalogError for all that cannot be used."""
    try:
        meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
    except duckdb.CatalogException as error:
        if db.execute("SELECT count(*) FROM duckdb_tables() WHERE NOT internal").fetchall()[0][0]:
            raise CatalogError(
                f"{path} is a DuckDB database, but no catalog of deepshard: name another file"
            ) from error
        raise NoCatalog(f"{path} is empty: `deepshard scan` fills it, `deepshard catalog rebuild` too") from error
    version = int(meta["schema_version"])
    if version > SCHEMA_VERSION:
        raise _Newer(
            f"{path} is of schema version {version}, this deepshard knows {SCHEMA_VERSION}: update deepshard, or name "
            "another catalog and fill it with `deepshard catalog rebuild`"
        )
    if version < SCHEMA_VERSION:
        raise CatalogError(
            f"{path} is of schema version {version}, this deepshard needs {SCHEMA_VERSION}: run "
            "`deepshard catalog rebuild` (the catalog is only an index, nothing is lost)"
        )
    return meta["definitions"] == _definitions()


def _make(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(script("schema"))
    db.execute("INSERT INTO meta VALUES ('schema_version', ?), ('definitions', '')", [str(SCHEMA_VERSION)])
    _define(db)


@cache
def _schema() -> dict[str, tuple[str, ...]]:
    with duckdb.connect() as db:
        db.execute(script("schema"))
        db.execute(script("views"))
        rows = db.execute(
            "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
            "WHERE NOT internal GROUP BY ALL"
        ).fetchall()
    return {table: tuple(names) for table, names in rows}


def _define(db: duckdb.DuckDBPyConnection) -> None:
    """Views, macros and what is known of published datasets, as this version has them."""
    for name in ("views", "macros"):
        db.execute(script(name))
    db.execute("DELETE FROM aliases WHERE file IS NULL")
    db.executemany("INSERT INTO aliases VALUES ($kind, $one, $other, $said_by, NULL)", _aliases())
    db.execute("UPDATE meta SET value = ? WHERE key = 'definitions'", [_definitions()])


@cache
def _definitions() -> str:
    return hashlib.sha256((script("views") + script("macros") + repr(_aliases())).encode()).hexdigest()


@cache
def _aliases() -> list[dict[str, str]]:
    with (_HERE / "aliases.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _log(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
