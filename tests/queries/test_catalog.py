"""Who may open a catalog: one writer or many readers, this version alone, and whoever is in the way is named."""

import os
import signal
import subprocess
import sys
import threading
import time

import duckdb
import pytest

from queries import catalog as catalogs
from queries.catalog import connect_read, connect_write, create
from queries.errors import CatalogBusy, CatalogError

HOLD = """
import sys
from queries.catalog import connect_read, connect_write
with (connect_write if sys.argv[2] == "write" else connect_read)(sys.argv[1]) as db:
    if sys.argv[2] == "write":
        db.execute("INSERT INTO meta VALUES ('half', 'done')")
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def catalog(tmp_path):
    return create(tmp_path / "catalog.duckdb")


class Other:
    """Another process that has the catalog open until it is told to let go."""

    def __init__(self, catalog, mode):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(catalog), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "open\n"

    def let_go(self):
        self.process.communicate("\n", timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def put(db, key):
    db.execute("INSERT INTO meta VALUES (?, '')", [key])


def keys(catalog):
    with connect_read(catalog) as db:
        return {row[0] for row in db.execute("SELECT key FROM meta").fetchall()}


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_writer_that_waits_in_vain_names_the_process_that_holds_the_catalog(catalog, mode):
    with (
        Other(catalog, mode) as other,
        pytest.raises(CatalogBusy, match=rf"held by process {other.process.pid} \(python"),
        connect_write(catalog, timeout_s=0.3),
    ):
        pass


def test_a_reader_that_waits_in_vain_names_the_writer(catalog):
    with (
        Other(catalog, "write") as other,
        pytest.raises(CatalogBusy, match=f"process {other.process.pid}"),
        connect_read(catalog, timeout_s=0.3),
    ):
        pass


def test_readers_do_not_keep_readers_out(catalog):
    with Other(catalog, "read"), connect_read(catalog, timeout_s=0) as db:
        assert db.execute("SELECT count(*) FROM faces").fetchall() == [(0,)]


@pytest.mark.parametrize("mode", ["write", "read"])
def test_a_writer_gets_its_turn_when_the_other_lets_go(catalog, mode):
    with Other(catalog, mode) as other:
        timer = threading.Timer(0.3, other.let_go)
        timer.start()
        with connect_write(catalog, timeout_s=30) as db:
            put(db, "mine")
        timer.join()
    assert "mine" in keys(catalog)


def test_this_process_in_its_own_way_is_said_too(catalog):
    with (
        connect_read(catalog),
        pytest.raises(CatalogBusy, match=f"this process itself \\({os.getpid()}\\)"),
        connect_write(catalog, timeout_s=0.1),
    ):
        pass


def test_waiting_ends_when_the_time_is_over(catalog):
    with Other(catalog, "write"):
        start = time.monotonic()
        with pytest.raises(CatalogBusy), connect_read(catalog, timeout_s=0.5):
            pass
        assert time.monotonic() - start > 0.4


def test_an_exception_undoes_the_transaction(catalog):
    with pytest.raises(KeyError), connect_write(catalog) as db:
        put(db, "lost")
        raise KeyError
    assert "lost" not in keys(catalog)


def test_a_killed_writer_leaves_neither_its_rows_nor_its_lock(catalog):
    with Other(catalog, "write") as other:
        other.process.send_signal(signal.SIGKILL)
        other.process.wait()
        with connect_write(catalog, timeout_s=10) as db:
            put(db, "after")
    assert keys(catalog) == {"schema_version", "definitions", "after"}


def test_many_writers_at_once_all_get_their_row(catalog):
    code = "import sys\nfrom queries.catalog import connect_write\n" + (
        "with connect_write(sys.argv[1]) as db:\n    db.execute('INSERT INTO meta VALUES (?, ?)', [sys.argv[2], ''])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(catalog), f"w{i}"]) for i in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    assert {f"w{i}" for i in range(4)} <= keys(catalog)


def test_two_processes_that_create_one_catalog_make_one(tmp_path):
    path = tmp_path / "catalog.duckdb"
    code = "import sys\nfrom queries.catalog import create\ncreate(sys.argv[1])\n"
    makers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [maker.wait(60) for maker in makers] == [0] * 3
    assert keys(path) == {"schema_version", "definitions"}


def test_create_leaves_a_catalog_that_is_there_as_it_is(catalog):
    with connect_write(catalog) as db:
        put(db, "kept")
    create(catalog)
    assert "kept" in keys(catalog)


def set_version(catalog, version):
    with connect_write(catalog) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(version)])


@pytest.mark.parametrize("connect", [connect_read, connect_write])
def test_a_newer_catalog_is_refused(catalog, connect):
    ours = catalogs.SCHEMA_VERSION
    set_version(catalog, ours + 1)
    newer = f"schema version {ours + 1}, this deepshard knows {ours}: update deepshard"
    with (
        pytest.raises(CatalogError, match=newer),
        connect(catalog),
    ):
        pass


@pytest.mark.parametrize("connect", [connect_read, connect_write])
def test_an_older_catalog_says_how_to_rebuild_it(catalog, connect):
    set_version(catalog, catalogs.SCHEMA_VERSION - 1)
    with pytest.raises(CatalogError, match="deepshard catalog rebuild"), connect(catalog):
        pass


def test_views_of_another_version_are_refused_by_readers_and_renewed_by_writers(catalog):
    with connect_write(catalog) as db:
        db.execute("CREATE OR REPLACE VIEW faces AS SELECT 1 AS old")
        db.execute("UPDATE meta SET value = 'old' WHERE key = 'definitions'")
    with pytest.raises(CatalogError, match="rebuild"), connect_read(catalog):
        pass
    with connect_write(catalog):
        pass
    with connect_read(catalog) as db:
        assert "sample_id" in db.sql("FROM faces").columns


def test_no_catalog_some_other_database_and_some_other_file_are_told_apart(tmp_path):
    with (
        pytest.raises(CatalogError, match="there is no catalog .*deepshard scan"),
        connect_read(tmp_path / "none.duckdb"),
    ):
        pass
    with duckdb.connect(str(tmp_path / "other.duckdb")) as db:
        db.execute("CREATE TABLE t (a INTEGER)")
    for connect in (connect_read, connect_write):
        with pytest.raises(CatalogError, match="no catalog of deepshard"), connect(tmp_path / "other.duckdb"):
            pass
    (tmp_path / "text").write_text("hello" * 10_000)
    with pytest.raises(CatalogError, match="not a valid DuckDB database"), connect_write(tmp_path / "text"):
        pass
    with duckdb.connect(str(tmp_path / "empty.duckdb")):
        pass
    with pytest.raises(CatalogError, match="is empty"), connect_read(tmp_path / "empty.duckdb"):
        pass


def test_errors_are_those_that_the_command_line_prints_in_one_line():
    assert CatalogBusy.deepshard_error
    assert CatalogError.deepshard_error
