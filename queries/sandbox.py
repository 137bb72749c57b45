"""Runs one statement from a stranger in a child process that can be killed, and hands its answer back as Arrow.

The child opens the catalog read-only, shuts files, network, extensions and its own configuration, and is held to limits
by DuckDB (memory, no spilling to disk) and by the kernel (address space, processor time, size of what it writes). It
writes the answer into a nameless temporary file that the parent then maps: nothing is copied twice. `deepshard sql` and
pinning both come through here.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from queries import statement as statements
from queries.catalog import connect_read
from queries.errors import CatalogBusy, CatalogError, QueryError, SplitError, SqlError

_ANSWER = ("sample_id", "video_id", "partner_id", "role", "weight", "label")
_OWN_MEMORY = 3 << 30  # address space of Python, Arrow and DuckDB before any query, bytes
_ROWS_PER_BATCH = 1 << 16
_ERRORS = {error.__name__: error for error in (QueryError, CatalogError, CatalogBusy, SqlError, SplitError)}
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LC_ALL", "LANG")
_KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Limits:
    """What a statement may use: seconds on the clock, MiB of memory, MiB of answer, threads."""

    time_s: float = 300.0
    memory_mb: int = 4096
    answer_mb: int = 4096
    threads: int = field(default_factory=lambda: min(8, len(os.sched_getaffinity(0))))


@dataclass(frozen=True)
class Query:
    """A statement with its parameters. ``uses``: alias -> the split that stands behind it; ``file`` is for messages."""

    sql: str
    params: Mapping[str, Any] = field(default_factory=dict)
    uses: Mapping[str, "Query"] = field(default_factory=dict)
    file: str | None = None


def run(catalog: str | Path, sql: str, limits: Limits | None = None) -> pa.Table:
    """The answer of one SELECT. Raises SqlError, CatalogError, CatalogBusy."""
    return _run({"kind": "select", "query": asdict(Query(sql))}, catalog, limits or Limits())


def run_split(catalog: str | Path, query: Query, recipe_hash: str | None = None, limits: Limits | None = None) -> pa.Table:
    """The answer of a split: sample_id, and video_id, partner_id, role, weight, label where it returns them.

    ``recipe_hash``: `faces` and the other views hold this recipe's rows alone. Statements that could answer otherwise
    tomorrow are refused. Raises SqlError, SplitError (no column sample_id), CatalogError, CatalogBusy.
    """
    return _run({"kind": "split", "query": asdict(query), "recipe_hash": recipe_hash}, catalog, limits or Limits())


def _run(request: dict[str, Any], catalog: str | Path, limits: Limits) -> pa.Table:
    request |= {"catalog": os.path.abspath(catalog), "limits": asdict(limits)}
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    with tempfile.TemporaryFile() as answer:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "queries.sandbox"],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
        )
        try:
            _, said = child.communicate(json.dumps(request).encode(), timeout=limits.time_s)
        except subprocess.TimeoutExpired:
            raise SqlError(
                f"the query was stopped after {limits.time_s:g} s: ask for less, or allow it more time"
            ) from None
        finally:
            child.kill()
            child.communicate()
        _raise_for(child.returncode, said.decode(errors="replace"), limits)
        mapped = mmap.mmap(answer.fileno(), 0, access=mmap.ACCESS_READ)  # lives as long as the table that points into it
        return pa.ipc.open_stream(pa.py_buffer(mapped)).read_all()


def _raise_for(status: int, said: str, limits: Limits) -> None:
    if status == 0:
        return
    last = said.strip().rpartition("\n")[2]
    if last.startswith("{"):
        error = json.loads(last)
        kind = _ERRORS[error["error"]]
        raise kind(error["message"], error["line"]) if kind is SqlError else kind(error["message"])
    if status == -signal.SIGXCPU:
        raise SqlError(f"the query was stopped: it used its {limits.time_s:g} s on {limits.threads} threads")
    if status < 0 or "MemoryError" in said or "bad_alloc" in said:
        raise SqlError(f"the query broke down at its limit of {limits.memory_mb} MiB of memory: ask for less")
    raise RuntimeError(f"the sandbox ended with status {status}:\n{said}")


def _main() -> None:
    """The child: a request on standard input, the answer's Arrow stream on standard output, an error as JSON."""
    request = json.loads(sys.stdin.buffer.read())
    limits = Limits(**request["limits"])
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        _confine(limits)
        _serve(request, limits, output)
    except QueryError as error:
        _say(error)
    except duckdb.Error as error:
        _say(statements.from_duckdb(error))
    except (MemoryError, pa.ArrowMemoryError):
        _say(SqlError(f"the query needs more than its {limits.memory_mb} MiB of memory: ask for less"))
    except OSError:  # the answer's file may grow no further
        _say(SqlError(f"the answer is larger than {limits.answer_mb} MiB: ask for fewer columns or rows"))


def _say(error: QueryError) -> None:
    line = getattr(error, "line", None)
    print(json.dumps({"error": type(error).__name__, "message": str(error), "line": line}), file=sys.stderr, flush=True)
    os._exit(1)  # no flush of a half written answer, no tidying up by a database that is out of memory


def _confine(limits: Limits) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_KILL_WITH_PARENT, signal.SIGKILL)
    seconds = int(limits.time_s * limits.threads) + 1
    for what, value in (
        (resource.RLIMIT_AS, (limits.memory_mb << 20) + _OWN_MEMORY),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, limits.answer_mb << 20),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(what)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def _serve(request: dict[str, Any], limits: Limits, output: Any) -> None:
    config = {
        "threads": str(limits.threads),
        "memory_limit": f"{limits.memory_mb}MiB",
        "max_temp_directory_size": "0GB",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
    }
    with connect_read(request["catalog"], timeout_s=limits.time_s / 2, config=config) as db:
        words = statements.vocabulary(db)
        if request.get("recipe_hash"):
            _keep_recipe(db, request["recipe_hash"])
        db.execute("SET enable_external_access = false")
        db.execute("SET lock_configuration = true")
        query = request["query"]
        if request["kind"] == "select":
            checked = statements.check(db, query["sql"], words)
            if checked.parameters:
                raise SqlError(f"${min(checked.parameters)} has no value: parameters belong in split files")
            answer = db.sql(checked.sql)
        else:
            sql, values = _split(db, query, words)
            answer = db.sql(sql, params=values)
        reader = answer.to_arrow_reader(_ROWS_PER_BATCH)
        with pa.ipc.new_stream(output, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        output.close()


def _keep_recipe(db: duckdb.DuckDBPyConnection, recipe_hash: str) -> None:
    """Views of the same names, found first, with one recipe's rows."""
    ((own,),) = db.execute("SELECT current_database()").fetchall()
    for view in ("faces", "faceless"):
        db.execute(
            f"""CREATE TEMP VIEW {view} AS FROM "{own.replace('"', '""')}".main.{view} """
            f"WHERE recipe_hash = '{recipe_hash.replace(chr(39), '')}'"
        )
    db.execute("CREATE TEMP VIEW faces_or_none AS FROM faces UNION ALL FROM faceless")


def _split(
    db: duckdb.DuckDBPyConnection, query: dict[str, Any], words: statements.Vocabulary
) -> tuple[str, dict[str, Any]]:
    """A split's query for the columns that count, with its parameters; what it uses is at hand under its aliases."""
    try:
        for alias, used in query["uses"].items():
            _define(db, alias, used, words)
        checked = statements.check(db, query["sql"], words, repeatable=True)
        values = {name: query["params"][name] for name in checked.parameters}
        try:
            db.execute(f"FROM ({checked.sql}\n) LIMIT 0", values)
        except duckdb.Error as error:
            raise statements.from_duckdb(error) from error
        columns = _columns([column[0] for column in db.description])
        db.fetchall()
    except SqlError as error:
        if query["file"] is None:
            raise
        where = query["file"] if error.line is None else f"{query['file']}:{error.line}"
        raise SplitError(f"{where}: {error}") from error
    return f"SELECT {columns} FROM ({checked.sql}\n)", values


def _columns(given: list[str]) -> str:
    lower = [name.lower() for name in given]
    if "sample_id" not in lower:
        raise SqlError(f"a split selects sample_id from faces; this one returns {', '.join(given)}")
    twice = [name for name in _ANSWER if f"{name}_1" in lower]  # how DuckDB calls the second one
    if twice:
        raise SqlError(f"the query returns two columns {twice[0]}: return the one that is meant")
    return ", ".join(name for name in _ANSWER if name in lower)


def _define(db: duckdb.DuckDBPyConnection, alias: str, used: dict[str, Any], words: statements.Vocabulary) -> None:
    """``alias`` as a view: the rows of `faces_or_none` that the used split selects."""
    sql, values = _split(db, used, words)
    kept = f"_answer_{alias}"
    db.execute(f"DROP VIEW IF EXISTS temp.main.{alias}")
    db.execute(f"DROP TABLE IF EXISTS temp.main.{kept}")
    db.execute(f"CREATE TEMP TABLE {kept} AS {sql}", values)
    video = "video_id" if "video_id" in sql.partition(" FROM ")[0] else "NULL"
    db.execute(
        f"CREATE TEMP VIEW {alias} AS "
        f"SELECT faces.* FROM faces WHERE sample_id IN (SELECT sample_id FROM {kept}) UNION ALL "
        f"SELECT faceless.* FROM faceless WHERE video_id IN (SELECT {video} FROM {kept} WHERE sample_id IS NULL)"
    )


if __name__ == "__main__":
    _main()
