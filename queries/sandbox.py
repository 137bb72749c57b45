"""Runs one statement from a stranger in a child process that can be killed, and hands its answer back as Arrow.

Three walls: the statement's syntax tree is read, and whatever is more than one SELECT over the catalog is refused
(statement.py); DuckDB is told to keep files, network and configuration shut and the kernel to limit the process
(child.py); and every question has a process of its own (children.py), so that nothing is left for the next one.
`deepshard sql`, pinning and whoever shows answers on a page come through here.
"""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from queries import statement as statements
from queries.children import UNTRUSTED, Child, Children, Limits, Reply
from queries.errors import CatalogBusy, CatalogError, NoCatalog, QueryError, SplitError, SqlError
from queries.locate import locate, read_stems

__all__ = ["UNTRUSTED", "Children", "Limits", "Page", "Query", "ask", "count", "page", "run", "run_split"]

_ANSWER = ("sample_id", "video_id", "partner_id", "role", "weight", "stream", "label")
_ERRORS = {error.__name__: error for error in (QueryError, CatalogError, CatalogBusy, NoCatalog, SqlError, SplitError)}


@dataclass(frozen=True)
class Query:
    """A split to run. ``uses``: alias -> the split that stands behind it; ``file`` is what messages call it."""

    file: str
    sql: str
    params: Mapping[str, Any] = field(default_factory=dict)
    uses: Mapping[str, "Query"] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Some rows of an answer. ``more``: there are rows behind them; ask again from ``offset + table.num_rows``."""

    table: pa.Table
    more: bool


def run(catalog: str | Path, sql: str, limits: Limits | None = None, children: Children | None = None) -> pa.Table:
    """The answer of one SELECT. ``children``: to take a process from that is there already.

    Raises SqlError, also where the answer has more than ``limits.rows`` rows, CatalogError, CatalogBusy. Their messages
    hold nothing of this machine but the catalog's name, and unless ``limits.trusted`` neither do answers.
    """
    return _select(catalog, sql, [_asked()], limits, children)[0].table


def page(
    catalog: str | Path,
    sql: str,
    offset: int,
    rows: int,
    limits: Limits = UNTRUSTED,
    children: Children | None = None,
) -> Page:
    """At most ``rows`` rows of the answer of one SELECT, from ``offset`` on; fewer where half of ``answer_mb`` is full.

    The rest is neither kept nor sent, and where no order is asked for, not computed either. Pages of a statement
    without ORDER BY need not fit together. Raises as ``run`` does.
    """
    return _select(catalog, sql, [_asked(rows=rows, offset=offset)], limits, children)[0]


def count(catalog: str | Path, sql: str, limits: Limits = UNTRUSTED, children: Children | None = None) -> int:
    """How many rows the answer of one SELECT has. Raises as ``run`` does."""
    (found,) = ask(catalog, sql, ["SELECT count(*) AS rows FROM answer"], limits, children)
    return found["rows"][0].as_py()


def ask(
    catalog: str | Path,
    sql: str,
    questions: Sequence[str],
    limits: Limits = UNTRUSTED,
    children: Children | None = None,
) -> list[pa.Table]:
    """What our own ``questions``, SELECTs from the table ``answer``, find in the answer of one SELECT, in one process.

    Questions are trusted: never make them of what somebody typed. Raises as ``run`` does.
    """
    return [found.table for found in _select(catalog, sql, [_asked(one) for one in questions], limits, children)]


def run_split(
    catalog: str | Path, query: Query, recipe_hash: str | None = None, limits: Limits | None = None
) -> pa.Table:
    """The answer of a split: sample_id, and video_id, partner_id, role, weight, stream, label where it returns them.

    ``recipe_hash``: `faces` and the other views hold this recipe's rows alone. Statements that could answer otherwise
    tomorrow are refused. Raises SplitError, which names file and line, CatalogError, CatalogBusy.
    """
    request = {"kind": "split", "query": asdict(query), "recipe_hash": recipe_hash}
    try:
        return _run(request, catalog, limits or Limits(), Child(bare=False))[0].table
    except SqlError as error:
        raise SplitError(f"{query.file}: {error}") from error


def _asked(question: str | None = None, rows: int | None = None, offset: int = 0) -> dict[str, Any]:
    return {"question": question, "rows": rows, "offset": offset}


def _select(
    catalog: str | Path, sql: str, asked: list[dict[str, Any]], limits: Limits | None, children: Children | None
) -> list[Page]:
    child = children.take() if children else Child()
    return _run({"kind": "select", "sql": sql, "asked": asked}, catalog, limits or Limits(), child)


def _run(request: dict[str, Any], catalog: str | Path, limits: Limits, child: Child) -> list[Page]:
    request |= {"catalog": str(Path(catalog).absolute()), "called": str(catalog), "limits": asdict(limits)}
    try:
        reply = child.ask(request, limits.time_s)
    except subprocess.TimeoutExpired:
        raise SqlError(
            f"the query was stopped after {limits.time_s:g} s: ask for less, or allow it more time"
        ) from None
    if reply.status != 0:
        raise _error(reply, limits)
    answers = pa.BufferReader(pa.py_buffer(reply.answer))
    return [Page(pa.ipc.open_stream(answers).read_all(), more) for more in json.loads(reply.said)["more"]]


def _error(reply: Reply, limits: Limits) -> Exception:
    last = reply.said.strip().rpartition("\n")[2]
    if last.startswith("{"):
        error = json.loads(last)
        kind = next(_ERRORS[name] for name in error["error"] if name in _ERRORS)
        return kind(error["message"], error["line"]) if kind is SqlError else kind(error["message"])
    if reply.status == -signal.SIGXCPU:
        return SqlError(f"the query was stopped: it used its {limits.time_s:g} s on {limits.threads} threads")
    if reply.status < 0 or "MemoryError" in reply.said or "bad_alloc" in reply.said:
        return SqlError(f"the query broke down at its limit of {limits.memory_mb} MiB of memory: ask for less")
    return RuntimeError(f"the sandbox ended with status {reply.status}:\n{reply.said}")  # tells paths: for a log alone


class _Kept:
    """What the parts of a split have in common: the tables of those that were run, by what was run; the stems."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self.tables: dict[str, tuple[str, bool]] = {}
        self._db = db

    @cached_property
    def stems(self) -> pa.Table:
        return read_stems(self._db)


def _split(
    db: duckdb.DuckDBPyConnection,
    query: dict[str, Any],
    words: statements.Vocabulary,
    kept: "_Kept | None" = None,
) -> tuple[str, dict[str, Any]]:
    """A split's query for the columns that count, with its parameters; what it uses is at hand under its aliases."""
    kept = _Kept(db) if kept is None else kept
    tables = {alias: _keep(db, used, words, kept) for alias, used in query["uses"].items()}
    for alias, (table, faceless) in tables.items():
        without = f"SELECT * FROM faceless WHERE video_id IN (SELECT video_id FROM {table} WHERE attempt IS NULL)"
        db.execute(
            f"""
            CREATE OR REPLACE TEMP VIEW {alias} AS
            SELECT faces.* FROM faces
            SEMI JOIN {table} USING (attempt, frame_index, track)
            WHERE attempt IN (SELECT attempt FROM {table})  -- follows; with it other attempts' rows are not read
            {f"UNION ALL {without}" if faceless else ""}
            """
        )
    with _naming(query["file"]):
        checked = statements.check(db, query["sql"], words, repeatable=True)
        for name in checked.parameters - query["params"].keys():
            raise SqlError(f"${name} is not declared: add `-- param {name}: DEFAULT  (what it is)` to the file's head")
        values = {name: query["params"][name] for name in checked.parameters}
        db.execute(f"FROM ({checked.sql}\n) LIMIT 0", values)
        columns = _columns([column[0] for column in db.description])
        db.fetchall()
    return f"SELECT {', '.join(columns)} FROM ({checked.sql}\n)", values


def _keep(
    db: duckdb.DuckDBPyConnection, used: dict[str, Any], words: statements.Vocabulary, kept: "_Kept"
) -> tuple[str, bool]:
    """Runs a split that another one uses: (table of its answer, located; does it list videos without a face)."""
    known = json.dumps(used, sort_keys=True)
    if known in kept.tables:
        return kept.tables[known]
    sql, values = _split(db, used, words, kept)
    with _naming(used["file"]):
        # a split without a column video_id names no video without a face
        answer = db.sql(f"SELECT NULL::VARCHAR AS video_id WHERE false UNION ALL BY NAME {sql}", params=values)
        rows = answer.to_arrow_table()
    table = f"_kept_{len(kept.tables)}"
    (numbers,) = locate(kept.stems, rows["sample_id"])
    db.register("_arriving", pa.table({"video_id": rows["video_id"], **{n: numbers[n] for n in numbers.column_names}}))
    db.execute(f"CREATE TEMP TABLE {table} AS FROM _arriving")
    db.unregister("_arriving")
    for alias in used["uses"]:
        db.execute(f"DROP VIEW temp.main.{alias}")
    kept.tables[known] = table, numbers["attempt"].null_count > 0
    return kept.tables[known]


@contextlib.contextmanager
def _naming(file: str) -> Iterator[None]:
    """Errors of DuckDB and ours as SplitError with the file and the line."""
    try:
        yield
    except (duckdb.Error, SqlError) as raised:
        error = statements.from_duckdb(raised) if isinstance(raised, duckdb.Error) else raised
        where = file if error.line is None else f"{file}:{error.line}"
        raise SplitError(f"{where}: {error}") from raised


def _columns(given: list[str]) -> list[str]:
    lower = [name.lower() for name in given]
    if "sample_id" not in lower:
        raise SqlError(f"a split selects sample_id from faces; this one returns {', '.join(given)}")
    twice = [name for name in _ANSWER if f"{name}_1" in lower]  # how DuckDB calls the second one
    if twice:
        raise SqlError(f"the query returns two columns {twice[0]}: return the one that is meant")
    return [name for name in _ANSWER if name in lower]
