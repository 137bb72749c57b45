"""A split's query made ready to run in the sandbox: checked, and with what it uses at hand.

A split may use others (`-- uses:`), whose faces stand under their aliases, as tables with the columns of `faces`.
All of it runs in the child process.
"""

import contextlib
import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from queries import statement as statements
from queries.errors import SplitError, SqlError
from queries.locate import locate, read_stems

_ANSWER = ("sample_id", "video_id", "partner_id", "role", "weight", "stream", "label")
# what is asked of a used split's answer; _1: DuckDB's name for the second column of a name
_OF_USED = "(?i)^(sample_id|video_id)(_1)?$"
_FEW = 50_000  # faces of a used split that are kept with all their columns


def prepare(
    db: duckdb.DuckDBPyConnection, query: dict[str, Any], words: statements.Vocabulary
) -> tuple[str, dict[str, Any]]:
    """A split's query for the columns that count, with its parameters; what it uses is at hand under its aliases."""
    sql, values = _checked(db, query, words, _Kept(db))
    with _naming(query["file"]):
        columns = _columns(_names(db, sql, values))
    return f"SELECT {', '.join(columns)} FROM ({sql}\n)", values


class _Kept:
    """What the parts of a split have in common: the tables of those that were run, by what was run; the stems."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self.tables: dict[str, str] = {}
        self._db = db

    @cached_property
    def stems(self) -> pa.Table:
        return read_stems(self._db)


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
