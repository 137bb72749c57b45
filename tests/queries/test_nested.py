"""Splits that use others: what stands under an alias, and how faults in a used split are told."""

from dataclasses import asdict

import pytest

from queries import nested, sandbox, statement
from queries.catalog import connect_read
from queries.errors import SplitError
from queries.sandbox import Query


def test_aliases_of_used_splits_belong_to_the_split_that_names_them(ffpp):
    def split(method, **uses):
        return Query(f"{method}.sql", f"SELECT sample_id FROM faces WHERE method = '{method}'", uses=uses)

    inner = Query("inner.sql", "SELECT sample_id FROM base WHERE frame_index = 0", uses={"base": split("FaceSwap")})
    sql = "SELECT sample_id FROM base UNION ALL SELECT sample_id FROM few"
    outer = Query("outer.sql", sql, uses={"base": split("Deepfakes"), "few": inner})
    answer = sandbox.run_split(ffpp.catalog, outer).to_pylist()
    methods = [row["sample_id"].split("/")[3] for row in answer]
    assert (methods.count("Deepfakes"), methods.count("FaceSwap"), len(methods)) == (280, 14, 294)
    leaking = Query("leaking.sql", "SELECT sample_id FROM base", uses={"few": inner})
    with pytest.raises(SplitError, match="leaking.sql:1.*base does not exist"):
        sandbox.run_split(ffpp.catalog, leaking)


@pytest.mark.parametrize("few", [0, 1_000_000])
def test_a_used_split_has_all_columns_and_its_videos_without_a_face_however_many_faces_it_has(ffpp, few, monkeypatch):
    """Few faces are kept in a table, many are a view: what a query finds in them is the same."""
    monkeypatch.setattr(nested, "_FEW", few)
    where = "official_split = 'test' AND method IN ('Face2Face', 'original')"
    used = Query("used.sql", f"SELECT sample_id, video_id FROM faces_or_none WHERE {where}")
    outer = Query("outer.sql", "SELECT * FROM kept", uses={"kept": used})
    with connect_read(ffpp.catalog) as opened:
        words = statement.vocabulary(opened)
        nested.prepare(opened, asdict(outer), words)
        told = "SELECT * EXCLUDE (attempt) FROM {} ORDER BY video_id, sample_id"
        kept = opened.sql(told.format("kept")).to_arrow_table()
        assert kept.equals(opened.sql(told.format(f"(FROM faces_or_none WHERE {where})")).to_arrow_table())
    assert kept["sample_id"].null_count == 2


def test_an_error_in_a_used_split_names_its_file_and_what_it_returns(ffpp):
    for sql, said in (
        ("SELECT video_id FROM faces", "used.sql: a split selects sample_id from faces; this one returns video_id"),
        ("SELECT name FROM faces", "used.sql: a split selects sample_id from faces; this one returns name"),
        ("SELECT sample_id,\n  no_such_column FROM faces", "used.sql:2: .*no_such_column"),
        ("SELECT sample_id, sample_id FROM faces", "used.sql: the query returns two columns sample_id"),
    ):
        outer = Query("outer.sql", "SELECT sample_id FROM kept", uses={"kept": Query("used.sql", sql)})
        with pytest.raises(SplitError, match=said), connect_read(ffpp.catalog) as opened:
            nested.prepare(opened, asdict(outer), statement.vocabulary(opened))
