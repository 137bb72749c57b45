"""Pages of an answer, questions about it, and processes that are there before they are asked."""

import os
import signal
import threading

import pytest

from queries import sandbox
from queries.catalog import connect_write
from queries.errors import SqlError
from queries.sandbox import UNTRUSTED, Children, Limits

ORDERED = "SELECT sample_id, method FROM faces -- all of them\nORDER BY sample_id;"


@pytest.fixture(scope="module")
def children():
    with Children() as made:
        yield made


@pytest.mark.parametrize("rows", [1, 700])
def test_pages_one_after_the_other_are_the_whole_answer(ffpp, children, rows):
    whole = sandbox.run(ffpp.catalog, ORDERED, children=children)
    start, ids = whole.num_rows - min(whole.num_rows, 2 * rows + rows // 2), []
    offset, more = start, True
    while more:
        page = sandbox.page(ffpp.catalog, ORDERED, offset, rows, children=children)
        ids += page.table["sample_id"].to_pylist()
        offset, more = offset + page.table.num_rows, page.more
        assert page.table.num_rows == rows or not more
    assert ids == whole["sample_id"].to_pylist()[start:]
    assert sandbox.count(ffpp.catalog, ORDERED, children=children) == whole.num_rows


def test_a_page_of_wide_rows_ends_before_it_is_too_large(ffpp, children):
    limits = Limits(answer_mb=4, trusted=False)
    sql = "SELECT range AS a, repeat('x', 1000) AS b FROM range(20000) ORDER BY a"
    page = sandbox.page(ffpp.catalog, sql, 0, 20000, limits, children)
    assert page.more and 0 < page.table.num_rows < 20000 and page.table.nbytes <= 2 << 20
    following = sandbox.page(ffpp.catalog, sql, page.table.num_rows, 10, limits, children)
    assert following.table["a"][0].as_py() == page.table.num_rows


def test_a_page_of_an_endless_answer_comes_without_the_rest(ffpp, children):
    sql = "SELECT a.range + b.range AS n FROM range(10000000000) a, range(1000000) b"
    page = sandbox.page(ffpp.catalog, sql, 0, 50, children=children)
    assert page.more and page.table.num_rows == 50


def test_a_page_beyond_the_end_is_empty(ffpp, children):
    page = sandbox.page(ffpp.catalog, "SELECT 1 AS a", 5, 10, children=children)
    assert page.table.column_names == ["a"] and page.table.num_rows == 0 and not page.more


@pytest.mark.parametrize(
    "sql", ["DESCRIBE faces", "SHOW TABLES", "VALUES (1), (2), (3) -- so", "SELECT 1 AS a, 2 AS a"]
)
def test_whatever_can_be_asked_has_pages_and_a_count(ffpp, children, sql):
    whole = sandbox.run(ffpp.catalog, sql, UNTRUSTED, children)
    page = sandbox.page(ffpp.catalog, sql, 0, 2, children=children)
    assert (page.table.num_rows, page.more) == (min(2, whole.num_rows), whole.num_rows > 2)
    assert sandbox.count(ffpp.catalog, sql, children=children) == whole.num_rows


def test_several_questions_about_one_answer_take_one_process(ffpp, children):
    by_label, largest = sandbox.ask(
        ffpp.catalog,
        "SELECT label, face_px FROM faces WHERE method IN ('original', 'FaceSwap')",
        ["SELECT label, count(*) AS n FROM answer GROUP BY ALL ORDER BY ALL", "SELECT max(face_px) AS px FROM answer"],
        children=children,
    )
    counted = sandbox.run(
        ffpp.catalog,
        "SELECT label, count(*) AS n FROM faces WHERE method IN ('original', 'FaceSwap') GROUP BY ALL ORDER BY ALL",
        children=children,
    )
    assert by_label.to_pylist() == counted.to_pylist()
    assert largest["px"][0].as_py() > 0


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1) UNION ALL (SELECT 2", "syntax error"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("FROM answer", "answer"),
        ("FROM duckdb_settings()", "duckdb_settings"),
    ],
)
def test_what_is_asked_about_is_one_statement_by_itself(ffpp, children, sql, said):
    with pytest.raises(SqlError, match=said):
        sandbox.page(ffpp.catalog, sql, 0, 10, children=children)
    with pytest.raises(SqlError, match=said):
        sandbox.count(ffpp.catalog, sql, children=children)


def test_an_answer_with_more_rows_than_it_may_have_is_an_error(ffpp, children):
    with pytest.raises(SqlError, match="more than 10 rows"):
        sandbox.run(ffpp.catalog, "FROM range(11)", Limits(rows=10), children)
    assert sandbox.run(ffpp.catalog, "FROM range(10)", Limits(rows=10), children).num_rows == 10


def test_every_question_has_a_process_of_its_own_and_holds_nothing_afterwards(ffpp):
    with Children(ahead=1) as made:
        first, second = made.take(), made.take()
        assert first._process.pid != second._process.pid
        first.close()
        second.close()
        sandbox.run(ffpp.catalog, "SELECT 1", children=made)
        with connect_write(ffpp.catalog, timeout_s=0):
            pass  # those that wait have not opened the catalog


def test_a_process_that_died_waiting_is_replaced(ffpp):
    with Children(ahead=1) as made:
        waiting = made.take()
        os.kill(waiting._process.pid, signal.SIGKILL)
        waiting._process.wait()
        made._ready.put(waiting)
        for _ in range(3):
            assert sandbox.run(ffpp.catalog, "SELECT 1 AS a", children=made)["a"][0].as_py() == 1


def test_many_threads_may_ask_at_once(ffpp, children):
    found = []

    def ask(n):
        found.append(sandbox.count(ffpp.catalog, f"FROM range({n})", children=children))

    asking = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert sorted(found) == list(range(4))


def test_those_that_wait_end_when_nobody_wants_them_any_more():
    made = Children(ahead=1)
    waiting = made._ready.get()
    made._ready.put(waiting)
    made.close()
    assert waiting._process.returncode == -signal.SIGKILL
