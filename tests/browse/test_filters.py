"""Filters say in SQL what they mean, whatever names hold."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browse.filters import ORDERS, Filters, filled, literal
from browse.place import BrowseError
from queries import manifest, sandbox
from queries.pinned import find_pinned


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_itself_in_sql(text):
    with duckdb.connect() as db:
        assert db.sql(f"SELECT {literal(text)}").fetchall() == [(text,)]


def test_values_take_the_places_of_parameters_but_not_in_texts_and_comments():
    sql = "SELECT 'é $n', $n, $name -- $n\nFROM t WHERE x = $nothing AND y < $n"
    assert filled(sql, {"n": 3, "name": "o'clock"}, {}) == (
        "SELECT 'é $n', 3, 'o''clock' -- $n\nFROM t WHERE x = $nothing AND y < 3"
    )
    assert filled("SELECT $a, $b, $c;", {"a": None, "b": True, "c": 1.5}, {}) == "SELECT NULL, true, 1.5"


@pytest.mark.parametrize("split", ["f2f_train", "f2f_test", "fs_i", "nt_i"])
def test_the_faces_of_a_pinned_split_are_found_by_its_query(trained, split):
    table, card = manifest.read(find_pinned(trained.folder / "store", split))
    sql = Filters(split=split).sql(card)
    found = sandbox.run(trained.folder / "catalog.duckdb", sql)["sample_id"].to_pylist()
    assert sorted(found) == table["sample_id"].to_pylist()


def test_every_filter_narrows_and_every_order_runs(trained):
    chosen = [
        ("dataset", "ffpp"),
        ("method", "Face2Face"),
        ("label", "1"),
        ("identity", "ffpp:953"),
    ]
    chosen += [("run", "first"), ("least", "0.1"), ("most", "0.9"), ("official_split", "test"), ("quality", "c23")]
    catalog = trained.folder / "catalog.duckdb"
    before = None
    for count in range(len(chosen) + 1):
        rows = set(sandbox.run(catalog, Filters.read(chosen[:count]).sql())["sample_id"].to_pylist())
        assert rows and (before is None or rows <= before)
        before = rows
    for order in ORDERS:
        sql = Filters.read([*chosen, ("order", order)]).sql()
        assert set(sandbox.run(catalog, sql)["sample_id"].to_pylist()) == before


@pytest.mark.parametrize(
    "words",
    [[("label", "2")], [("least", "x"), ("run", "r")], [("most", "1.5"), ("run", "r")],
     [("least", "nan"), ("run", "r")], [("least", "0.5")], [("order", "highest score")], [("order", "draw_key; DROP")]],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(words):
    with pytest.raises(BrowseError):
        Filters.read(words)


def test_what_is_chosen_is_said_in_words():
    words = [("dataset", "ffpp"), ("dataset", "dfd"), ("label", "0"), ("run", "r"), ("least", "0.25"), ("nothing", "x")]
    assert Filters.read(words).words() == "dataset ffpp or dfd, real, run r, score 0.25 to 1"
    assert Filters.read([("dataset", " ")]).words() == "all faces"
