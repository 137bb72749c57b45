"""What goes by two ids is one for splits too: shipped aliases, those of scans, and both together."""

import pytest

from queries.catalog import connect_read
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack


@pytest.fixture
def mine(place):
    """Three people of a set of one's own, of whom p12 is FF++'s 179, and 826, who is 179 as everybody knows."""
    rows = [video("swap", f"{n}", 1, "mine", target_id=f"mine:p{n}") for n in (12, 13, 14)]
    said = [
        {"kind": "person", "one": "mine:p12", "other": "ffpp:179", "said_by": "mine.yaml"},
        {"kind": "recording", "one": "mine:p13", "other": "mine:p14", "said_by": "mine.yaml: filmed at once"},
        {"kind": "footage", "one": "mine", "other": "ffpp/original", "said_by": "mine.yaml"},
    ]
    fabricate.write_scan(place.store, rows, "mine", aliases=said)
    rows += [video("original", name, 0, target_id=f"ffpp:{name}") for name in ("826", "001")]
    write_pack(place.store, "p-000000", [attempt(row, 1) for row in rows])
    fabricate.write_recipe(place.store)
    place.ingest()
    return place


def ask(place, sql):
    with connect_read(place.catalog) as db:
        return db.execute(sql).fetchall()


def test_relatives_are_reached_both_ways_and_over_others_and_footage_makes_nobody_one(mine):
    found = dict(ask(mine, "SELECT one, list(other ORDER BY other) FROM relatives GROUP BY one"))
    assert found["mine:p12"] == ["ffpp:179", "ffpp:183", "ffpp:826"]
    assert found["ffpp:826"] == ["ffpp:179", "ffpp:183", "mine:p12"]
    assert found["mine:p14"] == ["mine:p13"]
    assert not {"mine", "ffpp/original"} & set(found)


def test_the_shipped_ones_name_their_source_and_go_with_nobody(mine):
    rows = ask(mine, "SELECT kind, one, other, said_by, file FROM aliases")
    assert all(said_by for *_, said_by, _ in rows)
    assert {(kind, file) for kind, one, *_, file in rows if one.startswith("mine")} == {
        (kind, "sources/mine.parquet") for kind in ("person", "recording", "footage")
    }
    assert {file for _, one, *_, file in rows if not one.startswith("mine")} == {None}
    (mine.store / "sources" / "mine.parquet").unlink()
    mine.ingest()
    left = ask(mine, "SELECT kind, one, other, said_by, file FROM aliases")
    assert sorted(left) == sorted(row for row in rows if row[-1] is None)


def test_groups_that_share_nobody_hold_a_person_under_all_names(mine):
    groups = dict(ask(mine, "SELECT video_id, component FROM video_components(faces)"))
    assert groups["mine/swap/c23/12"] == groups["ffpp/original/c23/826"]
    assert groups["mine/swap/c23/13"] == groups["mine/swap/c23/14"]
    assert len(set(groups.values())) == 3


def test_a_disjoint_set_has_nobody_of_the_other_under_another_name(mine):
    disjoint = (
        "WITH mine AS (FROM faces WHERE dataset = 'mine'), ff AS (FROM faces WHERE dataset = 'ffpp') "
        "SELECT name FROM identity_disjoint({}, {}) ORDER BY name"
    )
    assert ask(mine, disjoint.format("mine", "ff")) == [("13",), ("14",)]
    assert ask(mine, disjoint.format("ff", "mine")) == [("001",)]
