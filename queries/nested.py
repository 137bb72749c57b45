"""A split's query made ready to run in the sandbox: checked, and with what it uses at hand.

A split may use others (`-- uses:`), whose faces stand under their aliases, as tables with the columns of `faces`.
All of it runs in the child process.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore
from typing import Any

import duckdb
import pyarrow as pa

from queries import statement as statements
from queries.errors import SplitError, SqlError

_ANSWER = ("sample_id", "video_id", "partner_id", "role", "weight", "stream", "label")
_OF_USED = ("sample_id", "video_id")  # what is asked of a used split's answer
_FEW = 50_000  # faces of a used split that are kept with all their columns
_AT_ONCE = 2  # used splits that run beside each other: one is planned, by one thread, while the other one is computed
_MOST_WAIT = 64  # and that wait for what they use themselves, which has been started before them

Ready = Callable[[duckdb.DuckDBPyConnection], None]


def prepare(
    db: duckdb.DuckDBPyConnection, query: dict[str, Any], words: statements.Vocabulary, ready: Ready = lambda _: None
) -> duckdb.DuckDBPyRelation:
    """A split's query for the columns that count, in whatever case; what it uses has been run.

    Used splits run in connections of their own, for which ``ready`` does what was done to ``db`` itself.
    """
    with ThreadPoolExecutor(_MOST_WAIT) as pool:
        used = _Used(db, words, ready, pool)
        sql, values = used.check(db, query)
    with _naming(query["file"]):
        return _narrow(db, sql, values, _ANSWER)


@dataclass(frozen=True)
class _Faces:
    """A used split's answer. ``located``: the numbers of each face, or the video_id of a video without one.

    ``rows``: with all columns of `faces_or_none`, where they are few.
    """

    located: pa.Table
    select: str
    rows: pa.Table | None

    def stand_as(self, alias: str, db: duckdb.DuckDBPyConnection) -> None:
        """Macros mention what they are given several times, and a view is joined anew at each mention. Many faces are
        a view nevertheless: to join them once with all columns costs more than several times with those asked for."""
        if self.rows is None:
            db.register(f"{alias}_located", self.located)
            db.execute(f"CREATE TEMP VIEW {alias} AS {self.select.format(located=f'{alias}_located')}")
        else:
            db.register(alias, self.rows)


class _Used:
    """The splits that a query uses, directly or over others: each is run once, whoever uses it."""

    def __init__(
        self, db: duckdb.DuckDBPyConnection, words: statements.Vocabulary, ready: Ready, pool: ThreadPoolExecutor
    ) -> None:
        self._db, self._words, self._ready, self._pool = db, words, ready, pool
        self._stems: Future[pa.Table] | None = None
        self._answers: dict[str, Future[_Faces]] = {}
        self._turns = Semaphore(_AT_ONCE)

    def check(self, db: duckdb.DuckDBPyConnection, query: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A split's query as it was written, with its parameters; in ``db`` what it uses stands under its aliases."""
        for alias, answer in [(alias, self._start(used)) for alias, used in query["uses"].items()]:
            answer.result().stand_as(alias, db)
        with _naming(query["file"]):
            checked = statements.check(db, query["sql"], self._words, repeatable=True)
            for name in checked.parameters - query["params"].keys():
                raise SqlError(
                    f"${name} is not declared: add `-- param {name}: DEFAULT  (what it is)` to the file's head"
                )
        return checked.sql, {name: query["params"][name] for name in checked.parameters}

    def _start(self, query: dict[str, Any]) -> "Future[_Faces]":
        """What it uses comes first, so nobody waits for one that has no thread yet."""
        from queries.locate import read_stems  # brings NumPy, a third of what it costs to start: for used splits alone

        if self._stems is None:
            self._stems = self._pool.submit(read_stems, self._db.cursor())
        for used in query["uses"].values():
            self._start(used)
        known = json.dumps(query, sort_keys=True)
        if known not in self._answers:
            self._answers[known] = self._pool.submit(self._run, query)
        return self._answers[known]

    def _run(self, query: dict[str, Any]) -> _Faces:
        from queries.locate import locate

        with self._db.cursor() as db:
            self._ready(db)
            sql, values = self.check(db, query)
            with self._turns:
                with _naming(query["file"]):
                    answer = _narrow(db, sql, values, _OF_USED).to_arrow_table()
                answer = answer.rename_columns([name.lower() for name in answer.column_names])
                (located,) = locate(self._stems.result(), answer["sample_id"])
                # a split without a column video_id names no video without a face
                named = "video_id" in answer.column_names
                videos = answer["video_id"] if named else pa.nulls(len(answer), pa.string())
                located = located.append_column("video_id", videos)
                select = _rows_of(located)
                rows = None
                if len(located) <= _FEW:
                    db.register("_located", located)
                    rows = db.sql(select.format(located="_located")).to_arrow_table()
        return _Faces(located, select, rows)


def _rows_of(located: pa.Table) -> str:
    """The rows of `faces_or_none` that the table {located} has the numbers of."""
    faceless = located["attempt"].null_count and located["video_id"].null_count < len(located)
    return f"""
        SELECT faces.* FROM faces
        SEMI JOIN {{located}} USING (attempt, frame_index, track)
        WHERE attempt IN (SELECT attempt FROM {{located}})  -- follows; with it other attempts' rows are not read
        {
        "UNION ALL FROM faceless WHERE video_id IN (SELECT video_id FROM {located} WHERE attempt IS NULL)"
        if faceless
        else ""
    }
        """


def _narrow(
    db: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any], wanted: tuple[str, ...]
) -> duckdb.DuckDBPyRelation:
    """The query with those of the wanted columns that it returns. It is bound here and planned when it is run: to ask
    for its columns first would plan it twice, and planning takes about as long as a draw."""
    pattern = f"(?i)^({'|'.join(wanted)})(_1)?$"  # _1: DuckDB's name for the second column of a name
    try:
        narrow = db.sql(f"SELECT COLUMNS('{pattern}') FROM ({sql}\n)", params=values)
    except duckdb.Error:
        db.execute(f"EXPLAIN FROM ({sql}\n)", values)  # with the line, which sql() does not tell
        _check_columns(db.sql(f"FROM ({sql}\n)", params=values).columns)  # none of these? This says what there is
        raise
    _check_columns(narrow.columns)
    return narrow


@contextlib.contextmanager
def _naming(file: str) -> Iterator[None]:
    """Errors of DuckDB and ours as SplitError with the file and the line."""
    try:
        yield
    except (duckdb.Error, SqlError) as raised:
        error = statements.from_duckdb(raised) if isinstance(raised, duckdb.Error) else raised
        where = file if error.line is None else f"{file}:{error.line}"
        raise SplitError(f"{where}: {error}") from raised


def _check_columns(given: list[str]) -> None:
    lower = [name.lower() for name in given]
    if "sample_id" not in lower:
        raise SqlError(f"a split selects sample_id from faces; this one returns {', '.join(given)}")
    twice = [name for name in _ANSWER if f"{name}_1" in lower]
    if twice:
        raise SqlError(f"the query returns two columns {twice[0]}: return the one that is meant")
