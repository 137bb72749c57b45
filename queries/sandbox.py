"""Runs one statement from a stranger in a child process that can be killed, and hands its answer back as Arrow.

Three walls: the statement's syntax tree is read, and whatever is more than one SELECT over the catalog is refused
(statement.py); DuckDB is told to keep files, network and configuration shut and the kernel to limit the process
(child.py); and every question has a process of its own (children.py), so that nothing is left for the next one.
`deepshard sql`, pinning and whoever shows answers on a page come through here.
"""

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from queries.children import UNTRUSTED, Child, Children, Limits, Reply
from queries.errors import CatalogBusy, CatalogError, NoCatalog, QueryError, SplitError, SqlError

__all__ = ["UNTRUSTED", "Children", "Limits", "Page", "Query", "ask", "count", "page", "run", "run_split"]

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
        answer = _run(request, catalog, limits or Limits(), Child(bare=not query.uses))[0].table
        return answer.rename_columns([name.lower() for name in answer.column_names])
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
