"""Statements that are one SELECT and mean harm all the same: what they may use up, and what they may learn."""

import getpass
import json
import re
import subprocess
import sys

import duckdb
import pytest

from queries import sandbox, statement
from queries.catalog import connect_read, connect_write, create
from queries.errors import CatalogError, QueryError, SqlError
from queries.sandbox import UNTRUSTED, Limits
from queries.shadow import hide_machine
from tests.conftest import REPOSITORY

STOPPED = "memory|stopped|depth limit"
# each would take more memory, time or disk than a machine has
GREEDY = {
    "SELECT len(range(200000000))": STOPPED,
    "SELECT list_sum(range(2000000000))": STOPPED,
    "SELECT unnest(range(1000000000))": STOPPED,
    "SELECT levenshtein(repeat('a', 2000000), repeat('b', 2000000))": STOPPED,
    "SELECT repeat('x', 2000000000)": STOPPED,
    "SELECT repeat(repeat('x', 100000000), 100)": STOPPED,
    "SELECT lpad('', 2000000000, 'x')": STOPPED,
    "SELECT printf('%2000000000d', 1)": STOPPED,
    "SELECT format('{:2000000000}', 1)": STOPPED,
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)": STOPPED,
    "SELECT list(range) FROM range(1000000000)": STOPPED,
    "SELECT histogram(range) FROM range(1000000000)": STOPPED,
    "SELECT json_group_array(a) FROM (SELECT repeat('x', 1000000) AS a FROM range(10000))": STOPPED,
    "SELECT json_extract(repeat('[', 10000000) || repeat(']', 10000000), '$[0][0]')": STOPPED,
    "SELECT repeat('{\"a\":', 1000000)::JSON": STOPPED + "|Malformed JSON",
    "SELECT regexp_extract_all(repeat('a', 50000000), '.')": STOPPED,
    "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r) SELECT count(*) FROM r": STOPPED,
    "WITH RECURSIVE r AS (SELECT 'x' AS a UNION ALL SELECT a || a FROM r) SELECT max(len(a)) FROM r": STOPPED,
    "SELECT count(*) FROM faces a, faces b, faces c, faces d, faces e": STOPPED,
    "SELECT range AS a FROM range(100000000) ORDER BY md5(a::VARCHAR)": STOPPED,
    "SELECT range FROM range(100000)": STOPPED + "|more than 1,000 rows",
    "SELECT repeat('x', 1000000) FROM range(100)": STOPPED + "|larger than 8 MiB",
    "SELECT " + "(" * 20000 + "1" + ")" * 20000: STOPPED,
    "SELECT " + "+".join(["1"] * 100000): STOPPED,
}
ASK_ALL = """
import json, resource, sys
from concurrent.futures import ThreadPoolExecutor
from queries.errors import SqlError
from queries.sandbox import Limits, run

limits = Limits(time_s=2, memory_mb=256, own_mb=1280, answer_mb=8, rows=1000, threads=1, trusted=False)

def said(sql):
    try:
        return f"answered with {run(sys.argv[1], sql, limits).num_rows} rows"
    except SqlError as error:
        return str(error)

with ThreadPoolExecutor(2) as pool:
    found = list(pool.map(said, json.load(sys.stdin)))
print(json.dumps({"said": found, "peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10}))
"""
# what a statement may read of a table, and must not find the machine in
TELLING = [
    "FROM sources",
    "SELECT error(root) FROM sources",
    "SELECT root::INTEGER FROM sources",
    "SELECT md5(root) FROM sources",
    "FROM runs",
    "SELECT record::INTEGER FROM runs",
    "FROM splits",
    "FROM attempts",
    "FROM packed",
    "SELECT reason FROM faceless",
    "SELECT missing FROM current_attempts",
    "FROM faces_or_none WHERE sample_id IS NULL",
    "FROM corrections",
    "FROM ingested",
    "FROM meta",
    "FROM metrics",
    "SHOW TABLES",
    "FROM nowhere",
    "FROM '/etc/passwd'",
    "SELECT nothing FROM faces",
]


@pytest.fixture
def telling(tmp_path):
    """A catalog that tells where things lie, in a folder whose name nobody may learn; and that name."""
    folder = tmp_path / "alice-secret"
    folder.mkdir()
    catalog = create(folder / "catalog.duckdb")
    path = f"{folder}/videos/a.mp4"
    attempt = f"'v', 'r', 'c', 'failed', 'cannot open {path}: gone', [{{frame_index: 1, reason: '{path} ends'}}]"
    columns = "video_id, recipe_hash, content, status, reason, missing, pack, attempt"
    with connect_write(catalog) as db:
        db.execute(
            f"INSERT INTO sources (source, adapter, datasets, root, videos) VALUES ('s', 'a', [], '{folder}', 1)"
        )
        db.execute(f"""INSERT INTO runs (run_id, record, file) VALUES ('r', '{{"store": "{folder}"}}', 'r')""")
        db.execute(
            "INSERT INTO videos (video_id, dataset, method, category, quality, name, label, kind, aligned, source, "
            "path, in_scan) VALUES ('v', 'd', 'm', 'c', 'q', 'n', 1, 'video', false, 's', 'a.mp4', true)"
        )
        db.execute(f"INSERT INTO attempts ({columns}, current) VALUES ({attempt}, 'p', 1, true)")
        db.execute("INSERT INTO shards VALUES ('p', 'r', 1, 0, 0, NULL, 'none', '')")
        db.execute(
            f"INSERT INTO corrections VALUES ('v', 'label', '1', '{getpass.getuser()}', NULL, 'seen', 'corrections/a')"
        )
        db.execute("INSERT INTO current_attempts FROM joined_attempts")
    return catalog, folder.name


def test_no_statement_takes_more_than_it_may(ffpp):
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL, str(ffpp.catalog)],
        input=json.dumps(list(GREEDY)),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    for sql, said in zip(GREEDY, told["said"], strict=True):
        assert re.search(GREEDY[sql], said), f"{sql[:80]}: {said}"
    assert told["peak_mb"] < 256 + 1280
    assert not list(ffpp.folder.glob("*.tmp")), "nothing was spilled beside the catalog"


def test_no_table_tells_an_untrusted_statement_of_the_machine(telling):
    catalog, secret = telling
    with connect_read(catalog) as db:
        words = statement.vocabulary(db)
        hide_machine(db)
        for sql in TELLING:
            try:
                said = str(db.sql(statement.check(db, sql, words).sql).fetchall())
            except duckdb.Error as error:
                said = str(error)
            assert secret not in said and str(catalog.parent.parent) not in said, sql
            assert f"'{getpass.getuser()}'" not in said, sql


def test_the_owner_sees_where_things_lie_and_a_stranger_does_not(telling):
    catalog, secret = telling
    sql = "SELECT root AS told FROM sources UNION ALL SELECT reason FROM faceless"
    assert str(sandbox.run(catalog, sql).to_pylist()).count(secret) == 2
    stranger = sandbox.run(catalog, sql, UNTRUSTED)["told"].to_pylist()
    assert stranger == [None, "cannot open .../a.mp4: gone"]


def test_an_error_about_the_catalog_names_the_file_and_not_the_folder(telling, tmp_path):
    catalog, secret = telling
    with connect_write(catalog), pytest.raises(QueryError, match="^catalog.duckdb is being written") as raised:
        sandbox.run(catalog, "SELECT 1", Limits(time_s=8, trusted=False))
    assert secret not in str(raised.value)
    with pytest.raises(CatalogError, match="there is no catalog none.duckdb"):
        sandbox.run(tmp_path / "none.duckdb", "SELECT 1", UNTRUSTED)
    catalog.write_bytes(b"nothing")
    with pytest.raises(CatalogError, match="catalog.duckdb cannot be opened") as raised:
        sandbox.run(catalog, "SELECT 1", UNTRUSTED)
    assert secret not in str(raised.value)


def test_no_statement_changes_what_later_ones_see(ffpp):
    with sandbox.Children() as children:
        before = sandbox.count(ffpp.catalog, "FROM faces", children=children)
        for sql in (
            "CREATE TEMP VIEW faces AS SELECT 1 AS sample_id",
            "CREATE TEMP MACRO count(x) AS 0",
            "WITH faces AS (SELECT 1 AS sample_id) SELECT 1; CREATE TEMP TABLE faces AS SELECT 1",
        ):
            with pytest.raises(SqlError):
                sandbox.run(ffpp.catalog, sql, UNTRUSTED, children)
        assert sandbox.run(ffpp.catalog, "WITH faces AS (SELECT 1) FROM faces", UNTRUSTED, children).num_rows == 1
        assert sandbox.count(ffpp.catalog, "FROM faces", children=children) == before > 1000


def test_markup_in_identities_and_names_passes_through_as_data(telling):
    catalog, _ = telling
    markup = """<img src=x onerror="alert('1')"> & </script><script>alert(2)</script>"""
    with connect_write(catalog) as db:
        db.execute("UPDATE videos SET target_id = $m, name = $m, path = $m, original_video = $m", {"m": markup})
    (row,) = sandbox.run(catalog, "SELECT target_id, name, path, original_video FROM videos", UNTRUSTED).to_pylist()
    assert set(row.values()) == {markup}
