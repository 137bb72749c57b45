"""Runs one statement from a stranger in a child process that can be killed, and hands its answer back as Arrow.

The child opens the catalog read-only, shuts files, network, extensions and its own configuration, and is held to limits
by DuckDB (memory, no spilling to disk) and by the kernel (address space, processor time, size of what it writes). It
writes the answer into a nameless temporary file that the parent then maps: nothing is copied twice. `deepshard sql` and
pinning both come through here.
"""

import contextlib
import ctypes
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from queries import statement as statements
from queries.catalog import connect_read
from queries.errors import CatalogBusy, CatalogError, QueryError, SplitError, SqlError
from queries.locate import locate, read_stems

_ANSWER = ("sample_id", "video_id", "partner_id", "role", "weight", "stream", "label")
# what is asked of a used split's answer; _1: DuckDB's name for the second column of a name
_OF_USED = "(?i)^(sample_id|video_id)(_1)?$"
_FEW = 50_000  # faces of a used split that are kept with all their columns
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
    """A split to run. ``uses``: alias -> the split that stands behind it; ``file`` is what messages call it."""

    file: str
    sql: str
    params: Mapping[str, Any] = field(default_factory=dict)
    uses: Mapping[str, "Query"] = field(default_factory=dict)


def run(catalog: str | Path, sql: str, limits: Limits | None = None) -> pa.Table:
    """The answer of one SELECT. Raises SqlError, CatalogError, CatalogBusy."""
    return _run({"kind": "select", "query": {"sql": sql}}, catalog, limits or Limits())


def run_split(
    catalog: str | Path, query: Query, recipe_hash: str | None = None, limits: Limits | None = None
) -> pa.Table:
    """The answer of a split: sample_id, and video_id, partner_id, role, weight, stream, label where it returns them.

    ``recipe_hash``: `faces` and the other views hold this recipe's rows alone. Statements that could answer otherwise
    tomorrow are refused. Raises SplitError, which names file and line, CatalogError, CatalogBusy.
    """
    request = {"kind": "split", "query": asdict(query), "recipe_hash": recipe_hash}
    try:
        return _run(request, catalog, limits or Limits())
    except SqlError as error:
        raise SplitError(f"{query.file}: {error}") from error


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
        mapped = mmap.mmap(
            answer.fileno(), 0, access=mmap.ACCESS_READ
        )  # lives as long as the table that points into it
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


class _WithoutPandas:
    """For pyarrow, which imports pandas where it finds it: that takes longer than most queries."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _main() -> None:
    """The child: a request on standard input, the answer's Arrow stream on standard output, an error as JSON."""
    sys.meta_path.insert(0, _WithoutPandas)
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
    known = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS)
    print(json.dumps({"error": known, "message": str(error), "line": line}), file=sys.stderr, flush=True)
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
        "temp_directory": "",  # no spilling; the size below alone does not prevent it (DuckDB 2.0)
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


class _Kept:
    """What the parts of a split have in common: the tables of those that were run, by what was run; the stems."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self.tables: dict[str, str] = {}
        self._db = db

    @cached_property
    def stems(self) -> pa.Table:
        return read_stems(self._db)


def _split(
    db: duckdb.DuckDBPyConnection, query: dict[str, Any], words: statements.Vocabulary
) -> tuple[str, dict[str, Any]]:
    """A split's query for the columns that count, with its parameters; what it uses is at hand under its aliases."""
    sql, values = _checked(db, query, words, _Kept(db))
    with _naming(query["file"]):
        columns = _columns(_names(db, sql, values))
    return f"SELECT {', '.join(columns)} FROM ({sql}\n)", values


def _checked(
    db: duckdb.DuckDBPyConnection, query: dict[str, Any], words: statements.Vocabulary, kept: "_Kept"
) -> tuple[str, dict[str, Any]]:
    """A split's query as it was written, with its parameters; what it uses is at hand under its aliases."""
    tables = {alias: _keep(db, used, words, kept) for alias, used in query["uses"].items()}
    for alias, table in tables.items():
        db.execute(f"CREATE OR REPLACE TEMP VIEW {alias} AS FROM {table}")
    with _naming(query["file"]):
        checked = statements.check(db, query["sql"], words, repeatable=True)
        for name in checked.parameters - query["params"].keys():
            raise SqlError(f"${name} is not declared: add `-- param {name}: DEFAULT  (what it is)` to the file's head")
    return checked.sql, {name: query["params"][name] for name in checked.parameters}


def _keep(db: duckdb.DuckDBPyConnection, used: dict[str, Any], words: statements.Vocabulary, kept: "_Kept") -> str:
    """Runs a split that another one uses: a table of its faces, and of its videos without one, as in `faces_or_none`.

    Macros mention what they are given several times, and a view is joined anew at each mention. Many faces are a view
    nevertheless: to join them once with all columns costs more than several times with those that are asked for.
    """
    known = json.dumps(used, sort_keys=True)
    if known in kept.tables:
        return kept.tables[known]
    sql, values = _checked(db, used, words, kept)
    table = f"_kept_{len(kept.tables)}"
    with _naming(used["file"]):
        try:  # at once, as planning takes about as long as a draw
            db.execute(f"CREATE TEMP TABLE _answer AS SELECT COLUMNS('{_OF_USED}') FROM ({sql}\n)", values)
        except duckdb.BinderException:
            _columns(_names(db, sql, values))  # none of these columns? Then this says which there are
            raise
        answer = db.sql("FROM _answer").to_arrow_table()
        given = _columns(answer.column_names)
    answer = answer.rename_columns([name.lower() for name in answer.column_names])
    (located,) = locate(kept.stems, answer["sample_id"])
    # a split without a column video_id names no video without a face
    videos = answer["video_id"] if "video_id" in given else pa.nulls(len(answer), pa.string())
    db.register("_arriving", located.append_column("video_id", videos))
    db.execute(f"CREATE TEMP TABLE {table}_located AS FROM _arriving")
    db.unregister("_arriving")
    without = f"UNION ALL FROM faceless WHERE video_id IN (SELECT video_id FROM {table}_located WHERE attempt IS NULL)"
    db.execute(
        f"""
        CREATE TEMP {"TABLE" if len(answer) <= _FEW else "VIEW"} {table} AS
        SELECT faces.* FROM faces
        SEMI JOIN {table}_located USING (attempt, frame_index, track)
        WHERE attempt IN (SELECT attempt FROM {table}_located)  -- follows; with it other attempts' rows are not read
        {without if videos.null_count < len(videos) and located["attempt"].null_count else ""}
        """
    )
    db.execute("DROP TABLE _answer")
    for alias in used["uses"]:
        db.execute(f"DROP VIEW temp.main.{alias}")
    kept.tables[known] = table
    return table


def _names(db: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]) -> list[str]:
    """The columns of a query."""
    db.execute(f"FROM ({sql}\n) LIMIT 0", values)
    names = [column[0] for column in db.description]
    db.fetchall()
    return names


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


if __name__ == "__main__":
    _main()
