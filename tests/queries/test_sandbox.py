"""A stranger's statement reads the catalog and nothing else, and can be stopped."""

import os
import subprocess
import sys
import time

import pytest

from queries import children, sandbox, statement
from queries.catalog import connect_read, connect_write, create
from queries.errors import CatalogBusy, CatalogError, SqlError
from queries.sandbox import Limits

REFUSED = {  # statement -> what is said of it
    # more than one, or no SELECT
    "": "there is no statement",
    "-- only a comment": "there is no statement",
    "SELECT 1; SELECT 2": "2 statements",
    "SELECT 1; DROP TABLE samples": "2 statements",
    "INSERT INTO meta VALUES ('a', 'b')": "INSERT",
    "UPDATE videos SET label = 0": "UPDATE",
    "DELETE FROM samples": "DELETE",
    "DROP TABLE samples": "DROP",
    "CREATE TABLE t AS SELECT 1": "CREATE",
    "CREATE OR REPLACE MACRO draw(a, b) AS 1": "CREATE",
    "ALTER TABLE videos ADD COLUMN x INTEGER": "ALTER",
    "ATTACH 'other.duckdb'": "ATTACH",
    "DETACH catalog": "DETACH",
    "COPY faces TO 'faces.csv'": "COPY",
    "EXPORT DATABASE 'folder'": "EXPORT",
    "INSTALL httpfs": "LOAD",
    "LOAD httpfs": "LOAD",
    "SET memory_limit = '100GB'": "SET",
    "SET enable_external_access = true": "SET",
    "RESET lock_configuration": "SET|RESET",
    "PRAGMA database_list": "PRAGMA",
    "PRAGMA enable_external_access": "PRAGMA|SET",
    "CALL pragma_version()": "CALL",
    "CHECKPOINT": "CALL|CHECKPOINT",
    "VACUUM": "VACUUM",
    "BEGIN": "TRANSACTION",
    "PREPARE p AS SELECT 1": "PREPARE",
    "EXPLAIN ANALYZE SELECT 1": "EXPLAIN",
    "PIVOT faces ON label": "PIVOT",
    # writing inside a SELECT
    "WITH x AS (INSERT INTO meta VALUES ('a', 'b') RETURNING key) FROM x": "inside a SELECT",
    "WITH x AS (DELETE FROM meta RETURNING key) FROM x": "inside a SELECT",
    "WITH x AS (UPDATE meta SET value = 'x' RETURNING key) FROM x": "inside a SELECT",
    # files and network
    "FROM read_csv('/etc/passwd')": "read_csv",
    "FROM read_text('/etc/passwd')": "read_text",
    "FROM read_parquet('https://example.org/x.parquet')": "read_parquet",
    "FROM glob('/*')": "glob",
    "FROM sniff_csv('/etc/passwd')": "sniff_csv",
    "FROM parquet_metadata('x')": "parquet_metadata",
    "SELECT (SELECT count(*) FROM read_blob('/etc/passwd'))": "read_blob",
    # SQL that is text
    "FROM query('SELECT 1')": "query",
    "FROM query_table('pg_settings')": "query_table",
    "FROM json_execute_serialized_sql('{}')": "json_execute_serialized_sql",
    # what tells of the machine
    "FROM duckdb_settings()": "duckdb_settings",
    "FROM duckdb_databases()": "duckdb_databases",
    "FROM duckdb_secrets()": "duckdb_secrets",
    "FROM duckdb_databases": "table of the system",
    "FROM pg_settings": "table of the system",
    "FROM pragma_database_list": "table of the system",
    "FROM sqlite_master": "table of the system",
    "FROM information_schema.tables": "without a database",
    "FROM system.main.pragma_database_list": "without a database",
    "FROM pg_catalog.pg_settings": "without a database",
    "WITH pg_settings AS (SELECT 1) FROM pg_settings": "table of the system",
    "FROM PG_Settings": "table of the system",
    "SELECT * FROM (WITH x AS (FROM pragma_database_list) FROM x)": "table of the system",
    "SHOW DATABASES": "databases",
    "FROM (SHOW DATABASES)": "databases",
    "SELECT current_setting('temp_directory')": "current_setting",
    "SELECT @@temp_directory": "@@",
    "SELECT current_user": "current_user",
    "SELECT current_database()": "current_database",
    "SELECT getvariable('x')": "getvariable",
    "SELECT current_query()": "current_query",
    "SELECT main.current_setting('memory_limit')": "current_setting|without a database",
    # through our own macros
    "FROM balanced('pg_settings', seed := 1)": "bare name",
    "FROM balanced(pg_settings, seed := 1)": "table of the system",
    "FROM balanced(t := pg_settings, seed := 1)": "table of the system",
    "FROM without(faces, pg_settings)": "table of the system",
    "FROM without(faces, other := 'pg_settings')": "bare name",
    "FROM balanced(information_schema.tables, seed := 1)": "bare name",
    "FROM main.balanced(faces, seed := 1)": "without a database",
    # holding a process
    "SELECT sleep_ms(100000)": "sleep_ms",
    "SELECT pg_sleep(1000)": "pg_sleep",
    "SELECT nextval('s')": "nextval",
    "SELECT write_log('x')": "write_log",
    # poison for later answers
    "CREATE TEMP VIEW faces AS SELECT 1 AS sample_id": "CREATE",
    "CREATE TEMP MACRO count(x) AS 0": "CREATE",
    "CREATE OR REPLACE TEMP TABLE videos AS SELECT 1": "CREATE",
    "SET VARIABLE x = 1": "SET|VARIABLE",
    "USE temp": "SET|USE",
    # insides of DuckDB
    "SELECT __internal_decompress_string(1::UTINYINT)": "__internal_decompress_string",
    "SELECT setseed(0.5)": "setseed",
    "SELECT '\ud800'": "no text",
}

ALLOWED = [
    "SELECT count(*) FROM faces;",
    "-- a comment; with a semicolon\nSELECT ';' AS s, \"label\" FROM videos /* ; */ ; -- and at the end;",
    "WITH train AS (FROM faces WHERE label = 1) FROM balanced(train, seed := 1)",
    "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r WHERE a < 3) FROM r",
    "DESCRIBE faces",
    "SUMMARIZE videos",
    "SHOW TABLES",
    "FROM faces ORDER BY random() LIMIT 3",
    "SELECT now(), unnest([1, 2]) FROM range(3)",
    "SELECT list_transform([1], lambda x: x + 1), {'a': 1}.a, 'x' LIKE 'y', 1::VARCHAR",
    "(SELECT 1) UNION ALL (SELECT 2) EXCEPT SELECT 3",
    "VALUES (1), (2)",
]

UNREPEATABLE = {
    "SELECT sample_id FROM faces ORDER BY random() LIMIT 3": "random is refused in a split",
    "SELECT sample_id FROM faces WHERE hash(sample_id) % 2 = 0": "hash is refused",
    "SELECT sample_id FROM faces WHERE now() > '2026-01-01'": "now is refused",
    "SELECT sample_id FROM faces WHERE current_date > '2026-01-01'": "current_date is refused",
    "SELECT sample_id FROM faces WHERE uuid() > 'a'": "uuid is refused",
    "SELECT sample_id FROM faces f WHERE f.attempt < 5": "attempt is refused",
    "SELECT sample_id FROM faces USING SAMPLE 10": "SAMPLE is refused",
    "SELECT sample_id FROM faces TABLESAMPLE 10%": "SAMPLE is refused",
    "SELECT sample_id FROM faces LIMIT 10": "LIMIT without ORDER BY",
    "SELECT sample_id FROM faces WHERE sample_id IN (SELECT sample_id FROM faces LIMIT 5)": "LIMIT without ORDER BY",
    "SELECT DISTINCT ON (video_id) sample_id FROM faces": "DISTINCT ON without ORDER BY",
    "SELECT sample_id FROM faces QUALIFY row_number() OVER (PARTITION BY video_id) = 1": "row_number",
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return create(tmp_path_factory.mktemp("sandbox") / "catalog.duckdb")


@pytest.fixture(scope="module")
def db(catalog):
    with connect_read(catalog) as opened:
        yield opened


@pytest.mark.parametrize("sql", REFUSED)
def test_a_statement_that_does_more_than_read_the_catalog_is_refused(db, sql):
    with pytest.raises(SqlError, match=REFUSED[sql]):
        statement.check(db, sql, statement.vocabulary(db))


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_question_about_the_catalog_is_allowed_and_still_runs_in_brackets(db, sql):
    checked = statement.check(db, sql, statement.vocabulary(db))
    assert checked.sql.count("\n") == sql.count("\n")
    if not sql.startswith(("DESCRIBE", "SUMMARIZE", "SHOW")):
        db.sql(f"FROM ({checked.sql}\n)").to_arrow_table()


@pytest.mark.parametrize("sql", UNREPEATABLE)
def test_a_split_that_could_answer_otherwise_tomorrow_is_refused(db, sql):
    with pytest.raises(SqlError, match=UNREPEATABLE[sql]):
        statement.check(db, sql, statement.vocabulary(db), repeatable=True)


def test_every_function_of_duckdb_that_varies_or_tells_is_known_here(db):
    """A new version of DuckDB brings new ones: they are refused, and this fails until somebody has looked at them."""
    looked_at = {"format_type", "json_copy_strftime_if_date", "json_copy_strftime_if_timestamp"}
    looked_at |= {"format_pg_type", "map_to_pg_oid", "map_type_id_to_pg_oid", "shobj_description"}
    unknown = statement.vocabulary(db).unknown
    assert {name for name in unknown if not statement._TELLING.fullmatch(name)} == looked_at


def test_a_function_that_nobody_has_looked_at_is_refused(db):
    words = statement.vocabulary(db)
    newer = statement.Vocabulary(words.system, words.unknown | {"weather"}, words.macros)
    with pytest.raises(SqlError, match="weather is refused"):
        statement.check(db, "SELECT Weather('here') FROM faces", newer)


def test_an_error_names_the_line_that_is_wrong(db):
    words = statement.vocabulary(db)
    with pytest.raises(SqlError) as raised:
        statement.check(db, "SELECT *\nFROM faces\nWHERE label = = 1", words)
    assert raised.value.line == 3
    with pytest.raises(SqlError) as raised:
        statement.check(db, "SELECT *\nFROM faces,\n\n read_csv('x')", words)
    assert raised.value.line == 4


def test_a_deeply_nested_statement_is_an_error_and_no_crash(catalog):
    deep = "SELECT " + "(" * 3000 + "1" + ")" * 3000
    with pytest.raises(SqlError):
        sandbox.run(catalog, deep, Limits(time_s=20))


def test_an_answer_comes_back_as_arrow_with_its_types(ffpp):
    table = sandbox.run(
        ffpp.catalog, "SELECT method, count(*) AS n, max(fps) AS fps FROM faces GROUP BY ALL ORDER BY ALL;"
    )
    assert table.to_pylist()[0] == {"method": "Deepfakes", "n": 280, "fps": 25.0}
    assert sandbox.run(ffpp.catalog, "SELECT 1 AS a WHERE false").num_rows == 0


def test_two_hundred_thousand_rows_come_back_whole(ffpp):
    table = sandbox.run(ffpp.catalog, "SELECT range AS a, 'x' || range AS b FROM range(200000)")
    assert table.num_rows == 200_000
    assert table["b"][199_999].as_py() == "x199999"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO meta VALUES ('a', 'b')",
        "ATTACH '{folder}/new.duckdb'",
        "COPY faces TO '{folder}/out.csv'",
        "FROM read_text('/etc/passwd')",
        "FROM '/etc/passwd'",
        "FROM '{folder}/secret.csv'",
        "FROM duckdb_settings()",
        "FROM request",
        "WITH x AS (INSERT INTO meta VALUES ('a', 'b') RETURNING key) FROM x",
    ],
)
def test_hostile_statements_leave_no_trace(tmp_path, sql):
    catalog = create(tmp_path / "catalog.duckdb")
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SqlError) as raised:
        sandbox.run(catalog, sql.format(folder=tmp_path))
    assert "root:" not in str(raised.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_duckdb_itself_keeps_files_shut_where_the_reading_of_the_statement_would_not(ffpp, monkeypatch, tmp_path):
    """The second wall: with the first one out of the way nothing is read, written or attached either."""
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    opener = (
        "from queries import child, statement\n"
        "statement.check = lambda db, sql, *_, **__: statement.Statement(sql, frozenset(), {})\n"
        "child.main()\n"
    )
    real = subprocess.Popen
    monkeypatch.setattr(
        children.subprocess, "Popen", lambda command, **how: real([sys.executable, "-P", "-c", opener], **how)
    )
    assert sandbox.run(ffpp.catalog, "SELECT 1 AS a").to_pylist() == [{"a": 1}]
    for sql in (
        f"FROM read_csv('{tmp_path}/secret.csv')",
        f"FROM '{tmp_path}/secret.csv'",
        f"COPY faces TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/new.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "DELETE FROM meta",
    ):
        with pytest.raises(SqlError, match="disabled|locked|read-only|Cannot|does not exist"):
            sandbox.run(ffpp.catalog, sql)
    assert os.listdir(tmp_path) == ["secret.csv"]


def test_a_statement_that_takes_too_long_is_stopped(ffpp):
    start = time.monotonic()
    with pytest.raises(SqlError, match="stopped after 1 s"):
        sandbox.run(ffpp.catalog, "SELECT count(*) FROM range(10000000000) a, range(1000000) b", Limits(time_s=1))
    assert time.monotonic() - start < 10


def test_a_statement_that_wants_too_much_memory_is_stopped_and_does_not_go_to_disk(ffpp):
    sql = "SELECT range AS a, 'x' || range AS b FROM range(5000000) ORDER BY b DESC"
    with pytest.raises(SqlError, match="needs more memory than it may have"):
        sandbox.run(ffpp.catalog, sql, Limits(memory_mb=60))
    assert not list(ffpp.folder.glob("*.tmp"))


def test_an_answer_that_is_too_large_is_stopped(ffpp):
    with pytest.raises(SqlError, match="larger than 2 MiB"):
        sandbox.run(ffpp.catalog, "SELECT range AS a FROM range(10000000)", Limits(answer_mb=2))


def test_no_child_outlives_its_question(ffpp):
    with pytest.raises(SqlError):
        sandbox.run(ffpp.catalog, "SELECT count(*) FROM range(10000000000) a, range(1000000) b", Limits(time_s=1))
    with connect_write(ffpp.catalog, timeout_s=5):
        pass  # a child that is alive would hold the catalog


def test_a_child_dies_with_its_parent(ffpp, tmp_path):
    code = (
        "import sys\nfrom queries import sandbox\n"
        "sandbox.run(sys.argv[1], 'SELECT count(*) FROM range(10000000000) a, range(1000000) b')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(ffpp.catalog)])
    for _ in range(100):
        with connect_read(ffpp.catalog):
            held = _holds(ffpp.catalog)
        if held:
            break
        time.sleep(0.1)
    assert held, "the child has opened the catalog"
    parent.kill()
    parent.wait()
    with connect_write(ffpp.catalog, timeout_s=20):
        pass


def _holds(catalog):
    """Whether another process than this one has the catalog open, as the system tells it."""
    for process in os.listdir("/proc"):
        if process.isdigit() and int(process) != os.getpid():
            try:
                names = [os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")]
            except OSError:
                continue
            if str(catalog) in names:
                return True
    return False


def test_a_catalog_that_is_held_or_not_there_is_said(tmp_path):
    with pytest.raises(CatalogError, match="there is no catalog"):
        sandbox.run(tmp_path / "none.duckdb", "SELECT 1")
    catalog = create(tmp_path / "catalog.duckdb")
    with connect_write(catalog), pytest.raises(CatalogBusy, match=f"process {os.getpid()}"):
        sandbox.run(catalog, "SELECT 1", Limits(time_s=16))  # half of them for the catalog, half to start in


def test_a_parameter_has_no_value_outside_a_split(ffpp):
    with pytest.raises(SqlError, match=r"\$x has no value"):
        sandbox.run(ffpp.catalog, "SELECT $x")
