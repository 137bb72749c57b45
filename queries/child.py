"""The process that a question runs in: confined first, then it opens the catalog, answers, and ends.

The catalog is opened read-only; files, network, extensions and the configuration are shut; DuckDB limits memory and
does not spill; the kernel limits address space, processor time and what is written. It is started by children.py alone.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from queries import statement as statements
from queries.catalog import connect_read
from queries.children import Limits
from queries.errors import CatalogBusy, QueryError, SqlError
from queries.nested import prepare
from queries.shadow import hide_machine, keep_recipe

_ROWS_PER_BATCH = 1 << 16
_KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """A request on standard input; on standard output an Arrow stream for each thing asked, and on standard error, as
    JSON, what else is to be said of them, or the error."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_KILL_WITH_PARENT, signal.SIGKILL)
    request = sys.stdin.buffer.read()
    if not request:
        return  # nobody asked
    request = json.loads(request)
    limits = Limits(**request["limits"])
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # DuckDB shows there how far a long query is
    try:
        _confine(limits)
        print(json.dumps({"more": _serve(request, limits, output)}), file=sys.stderr, flush=True)
        os._exit(0)
    except CatalogBusy as error:
        held = CatalogBusy(f"{Path(request['catalog']).name} is being written, and was not free in time: try again")
        _say(error if limits.trusted else held, request)
    except QueryError as error:
        _say(error, request)
    except duckdb.Error as error:
        _say(statements.from_duckdb(error), request)
    except (MemoryError, pa.ArrowMemoryError):
        _say(SqlError(f"the query needs more than its {limits.memory_mb} MiB of memory: ask for less"), request)
    except OSError as error:
        if error.errno != errno.EFBIG:  # the answer's file may grow no further
            raise
        _say(SqlError(f"the answer is larger than {limits.answer_mb} MiB: ask for fewer columns or rows"), request)
    except (pa.ArrowException, ValueError, OverflowError, RecursionError) as error:
        _say(SqlError(f"this cannot be asked or answered: {str(error).partition(chr(10))[0]}"), request)


def _say(error: QueryError, request: dict[str, Any]) -> None:
    """Tell the asker, who knows the catalog by the name that it gave, and end."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    name = request["called"] if request["limits"]["trusted"] else Path(request["catalog"]).name
    message = str(error).replace(request["catalog"], name)
    said = {"error": kinds, "message": message, "line": getattr(error, "line", None)}
    print(json.dumps(said), file=sys.stderr, flush=True)
    os._exit(1)  # no flush of a half written answer, no tidying up by a database that is out of memory


def _confine(limits: Limits) -> None:
    with contextlib.suppress(
        OSError
    ):  # where the machine's memory runs out, this process goes first, if that can be said
        Path("/proc/self/oom_score_adj").write_text("1000")
    seconds = int(limits.time_s * limits.threads) + 1
    for what, soft, hard in (
        (resource.RLIMIT_AS, *[(limits.memory_mb + limits.own_mb) << 20] * 2),
        (resource.RLIMIT_CPU, seconds, seconds + 5),  # both at once would be SIGKILL, which does not say why
        (resource.RLIMIT_FSIZE, *[limits.answer_mb << 20] * 2),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
    ):
        _, now = resource.getrlimit(what)
        if now != resource.RLIM_INFINITY:
            soft, hard = min(soft, now), min(hard, now)
        resource.setrlimit(what, (soft, hard))


def _serve(request: dict[str, Any], limits: Limits, output: Any) -> list[bool]:
    """Writes an answer to everything asked; whether there is more of each than was written."""
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

        def make_ready(connection: duckdb.DuckDBPyConnection) -> None:
            if not limits.trusted:
                hide_machine(connection)
            if request.get("recipe_hash"):
                keep_recipe(connection, request["recipe_hash"], hidden=not limits.trusted)

        make_ready(db)
        db.execute("SET enable_external_access = false")
        db.execute("SET lock_configuration = true")
        if request["kind"] == "split":
            more = [_write(prepare(db, request["query"], words, make_ready), limits, output)]
        else:
            checked = statements.check(db, request["sql"], words)
            if checked.parameters:
                raise SqlError(f"${min(checked.parameters)} has no value: parameters belong in split files")
            more = [_write(db.sql(_about(checked.sql, one)), limits, output, one) for one in request["asked"]]
        output.close()
    return more


def _about(sql: str, asked: dict[str, Any]) -> str:
    """What is asked of a statement's answer, its lines where they were."""
    if asked["rows"] is not None:
        return f"FROM ({sql}\n) LIMIT {asked['rows'] + 1:d} OFFSET {asked['offset']:d}"
    return sql if asked["question"] is None else f"WITH answer AS ({sql}\n) {asked['question']}"


def _write(answer: duckdb.DuckDBPyRelation, limits: Limits, output: Any, asked: dict[str, Any] | None = None) -> bool:
    """An answer as one Arrow stream. A page ends at its last row, or before it would be too large; is there more?"""
    page = asked["rows"] if asked else None
    most = limits.rows if page is None else page
    reader = answer.to_arrow_reader(_ROWS_PER_BATCH if page is None else 1024)
    rows = written = 0
    with pa.ipc.new_stream(output, reader.schema) as writer:
        for batch in reader:
            rows += batch.num_rows
            if page is not None and written and written + batch.nbytes > limits.answer_mb << 19:
                return True
            if most is not None and rows > most:
                if page is None:
                    raise SqlError(f"the answer has more than {most:,} rows, which is all that it may have: LIMIT it")
                batch = batch.slice(0, batch.num_rows - (rows - most))
            writer.write_batch(batch)
            written += batch.nbytes
            if most is not None and rows > most:
                return True
    return False
