"""A split's query made ready to run in the sandbox: checked, and with what it uses at hand.

A split may use others (`-- uses:`), whose faces stand under their aliases, as tables with the columns of `faces`.
All of it runs in the child process.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import Any

import duckdb
import pyarrow as pa

from queries import statement as statements
from queries.errors import SplitError, SqlError

_ANSWER = ("sample_id", "video_id", "partner_id", "role", "weight", "stream", "label")
_OF_USED = ("sample_id", "video_id")  # what is asked of a used split's answer
_FEW = 50_000  # faces of a used split that are kept with all their columns
_AT_ONCE = 2  # used splits that run beside each other: one is planned, by one thread, while the other one is computed

Ready = Callable[[duckdb.DuckDBPyConnection], None]


def prepare(
    db: duckdb.DuckDBPyConnection, query: dict[str, Any], words: statements.Vocabulary, ready: Ready = lambda _: None
) -> duckdb.DuckDBPyRelation:
    """A split's query for the columns that count, in whatever case; what it uses has been run.

    Used splits run in connections of their own, for which ``ready`` does what was done to ``db`` itself.
    """
    with ThreadPoolExecutor(1 + 2 * _count(query)) as pool:  # whoever waits for another one has a thread, too
        used = _Used(db, words, ready, pool)
        sql, values = used.check(db, query)
    with _naming(query["file"]):
        return _narrow(db, sql, values, _ANSWER)


@dataclass(frozen=True)
class _Wide:
    """A used split's faces with all columns. ``located``: the numbers of each, or a faceless video's video_id."""

    located: pa.Table
    select: str
    rows: pa.Table | None  # None: they are many

    def stand_as(self, alias: str, db: duckdb.DuckDBPyConnection) -> None:
        """Macros mention what they are given several times, and a view is joined anew at each mention. Many faces are
        a view nevertheless: to join them once with all columns costs more than several times with those asked for."""
        if self.rows is None:
            located = f"_located_of_{alias}"
            db.register(located, self.located)
            db.execute(f"CREATE TEMP VIEW {alias} AS {self.select.format(located=located)}")
        else:
            db.register(alias, self.rows)


class _Used:
    """The splits that a query uses, directly or over others: each is run once, whoever uses it."""

    def __init__(
        self, db: duckdb.DuckDBPyConnection, words: statements.Vocabulary, ready: Ready, pool: ThreadPoolExecutor
    ) -> None:
        self._db, self._words, self._ready, self._pool = db, words, ready, pool
        self._answers: dict[str, Future[pa.Table]] = {}
        self._wide: dict[str, Future[_Wide]] = {}
        self._stems: Future[pa.Table] | None = None
        self._turns, self._lock = Semaphore(_AT_ONCE), Lock()

    def check(self, db: duckdb.DuckDBPyConnection, query: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A split's query as it was written, with its parameters; in ``db`` what it uses stands under its aliases."""
        with _naming(query["file"]):
            checked = statements.check(db, query["sql"], self._words, repeatable=True)
            for name in checked.parameters - query["params"].keys():
                raise SqlError(
                    f"${name} is not declared: add `-- param {name}: DEFAULT  (what it is)` to the file's head"
                )
        ids = {alias for alias in query["uses"] if checked.asks_ids_alone(alias)}
        answers = {alias: self._start(used) for alias, used in query["uses"].items()}
        wide = {alias: self._widened(used) for alias, used in query["uses"].items() if alias not in ids}
        for alias, answer in answers.items():
            if alias in ids:
                _stand_as_ids(answer.result(), alias, db)
            else:
                wide[alias].result().stand_as(alias, db)
        return checked.sql, {name: query["params"][name] for name in checked.parameters}

    def _start(self, query: dict[str, Any]) -> "Future[pa.Table]":
        """The answer of a used split. The first to ask is the query itself, so all are started before any one runs."""
        for used in query["uses"].values():
            self._start(used)
        known = json.dumps(query, sort_keys=True)
        if known not in self._answers:
            self._answers[known] = self._pool.submit(self._run, query)
        return self._answers[known]

    def _run(self, query: dict[str, Any]) -> pa.Table:
        with self._db.cursor() as db:
            self._ready(db)
            sql, values = self.check(db, query)
            with self._turns, _naming(query["file"]):
                answer = _narrow(db, sql, values, _OF_USED).to_arrow_table()
        answer = answer.rename_columns([name.lower() for name in answer.column_names])
        if "video_id" not in answer.column_names:  # it names no video without a face
            answer = answer.append_column("video_id", pa.nulls(len(answer), pa.string()))
        return answer

    def _widened(self, query: dict[str, Any]) -> "Future[_Wide]":
        from queries.locate import read_stems  # brings NumPy, a third of what it costs to start: not for every split

        with self._lock:
            if self._stems is None:
                self._stems = self._pool.submit(read_stems, self._db.cursor())
            known = json.dumps(query, sort_keys=True)
            if known not in self._wide:
                self._wide[known] = self._pool.submit(self._widen, self._start(query))
            return self._wide[known]

    def _widen(self, answered: "Future[pa.Table]") -> _Wide:
        from queries.locate import locate

        answer = answered.result()
        with self._turns, self._db.cursor() as db:
            self._ready(db)
            (located,) = locate(self._stems.result(), answer["sample_id"])
            located = located.append_column("video_id", answer["video_id"])
            select = _rows_of(located)
            if len(located) > _FEW:
                return _Wide(located, select, None)
            db.register("_located", located)
            return _Wide(located, select, db.sql(select.format(located="_located")).to_arrow_table())


def _count(query: dict[str, Any]) -> int:
    return 1 + sum(map(_count, query["uses"].values()))


def _stand_as_ids(answer: pa.Table, alias: str, db: duckdb.DuckDBPyConnection) -> None:
    """What is asked for sample_id and video_id alone need not be looked up among all faces. As there, each face is
    there once, with the video that its sample_id names."""
    db.register(f"_answer_of_{alias}", answer)
    db.execute(
        f"""
        CREATE TEMP VIEW {alias} AS
        SELECT sample_id, coalesce(faceless, regexp_extract(sample_id, '^[^/]*/[^/]*/(.*)/[^/]*$', 1, 's')) AS video_id
        FROM (
            SELECT DISTINCT sample_id, CASE WHEN sample_id IS NULL THEN video_id END AS faceless FROM _answer_of_{alias}
        )
        """
    )


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
