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


USED = "SELECT sample_id, video_id FROM faces_or_none WHERE official_split = 'test' AND method = 'Face2Face'"
ASKED = {  # of a table `kept`: does it surely ask for ids alone?
    "SELECT sample_id FROM kept": True,
    "SELECT sample_id, kept.video_id, 'x' AS stream FROM kept": True,
    "SELECT k.sample_id FROM KEPT AS k": True,
    "SELECT sample_id FROM kept UNION SELECT sample_id FROM kept": True,
    "WITH t AS (FROM faces) SELECT sample_id FROM without(t, kept)": True,
    "WITH t AS (FROM faces), u AS (FROM without(t, Kept)) SELECT sample_id, video_id FROM u": True,
    "WITH kept AS (FROM faces) SELECT sample_id FROM kept": True,  # another table: it makes no difference
    "SELECT sample_id FROM kept WHERE label = 1": False,
    "SELECT sample_id, label FROM kept": False,
    "SELECT * FROM kept": False,
    "FROM kept": False,
    "SELECT sample_id FROM (FROM kept)": False,
    "SELECT sample_id FROM faces SEMI JOIN kept USING (video_id, frame_index)": False,
    "SELECT sample_id FROM faces SEMI JOIN (SELECT DISTINCT video_id FROM kept) USING (video_id)": False,
    "SELECT sample_id FROM KEPT k(sample_id)": False,
    "WITH t AS (SELECT kept FROM kept) SELECT kept.sample_id FROM t": False,
    "WITH t AS (FROM faces) SELECT sample_id FROM same_identities(t, KEPT)": False,
    "WITH t AS (FROM faces) SELECT sample_id FROM without(kept, t)": False,
    "SELECT sample_id FROM without(kept, kept) UNION ALL SELECT sample_id FROM faces": False,
    "WITH t AS (FROM faces) SELECT sample_id FROM without(other := t, t := kept)": False,
    "SELECT sample_id FROM kept UNION ALL SELECT sample_id FROM frames_per_video(kept, n := 2)": False,
    "WITH t AS (SELECT sample_id FROM kept) SELECT sample_id FROM faces JOIN t USING (sample_id)": True,
}


@pytest.mark.parametrize("sql", ASKED)
def test_where_ids_alone_are_asked_for_the_answer_is_the_same_without_looking_up_the_rest(ffpp, sql, monkeypatch):
    outer = asdict(Query("outer.sql", sql, uses={"kept": Query("used.sql", USED)}))

    def answer():
        with connect_read(ffpp.catalog) as opened:
            found = nested.prepare(opened, outer, statement.vocabulary(opened)).to_arrow_table()
        names = [name for name in found.column_names if name in ("sample_id", "video_id")]
        return sorted(map(str, found.select(names).to_pylist()))

    with connect_read(ffpp.catalog) as opened:
        assert statement.check(opened, sql, statement.vocabulary(opened)).asks_ids_alone("kept") is ASKED[sql]
    found = answer()
    assert found
    monkeypatch.setattr(statement.Statement, "asks_ids_alone", lambda *_: False)
    monkeypatch.setattr(nested, "_stand_as_ids", lambda *_: pytest.fail("the rest is looked up now"))
    assert answer() == found


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
