"""In-domain and out-of-distribution: a property of a run, told by what its training split is made of."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from queries.catalog import connect_read
from shards import schema
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack

pytestmark = pytest.mark.usefixtures("no_child")


@pytest.fixture
def tested(place):
    """FF++, a set of fakes and a real set; every face scored by each of the runs that ``train`` makes."""
    rows = fabricate.ffpp_videos(methods=["Face2Face", "FaceSwap"])
    rows += [video("gan", f"{n}", 1, "TPDNE", "native") for n in range(2)]
    rows += [video("original", f"{n}", 0, "tedx", "native") for n in range(2)]
    write_pack(place.store, "p-000000", [attempt(row, 2) for row in rows])
    fabricate.write_recipe(place.store)
    place.ingest()
    return place


def train(place, run_id, pinned):
    folder = place.store / "runs" / run_id
    (folder / "predictions").mkdir(parents=True)
    splits = [{"role": role, "name": pinned.name, "hash": pinned.hash} for role in ("train", "val")]
    (folder / "run.json").write_text(json.dumps({"run_id": run_id, "splits": splits if pinned else []}))
    with connect_read(place.catalog) as db:
        faces = db.execute("SELECT sample_id, video_id, label FROM faces").fetchall()
    scored = [
        {"run_id": run_id, "checkpoint": "last", "split": "all", "split_hash": "0", "sample_id": sample}
        | {"video_id": video_id, "label": label, "score": 0.9}
        for sample, video_id, label in faces
    ]
    pq.write_table(pa.Table.from_pylist(scored, schema=schema.PREDICTIONS), folder / "predictions" / "all@0.parquet")
    place.ingest()


def domains(place, run_id):
    with connect_read(place.catalog) as db:
        rows = db.execute(
            "SELECT DISTINCT dataset || '/' || method, domain FROM domain_predictions WHERE run_id = ?", [run_id]
        ).fetchall()
    return dict(rows)


def test_what_a_run_was_trained_on_is_in_its_domain_and_all_else_out_of_it(tested):
    ff = "dataset = 'ffpp' AND method <> 'FaceSwap' AND official_split = 'train'"
    train(tested, "on-ff", tested.pin(f"SELECT sample_id FROM faces WHERE {ff}", "ff"))
    train(tested, "on-tedx", tested.pin("SELECT sample_id FROM faces WHERE dataset = 'tedx'", "tedx"))
    inside = {"ffpp/original", "ffpp/Face2Face"}
    outside = {"ffpp/FaceSwap", "TPDNE/gan", "tedx/original"}
    assert domains(tested, "on-ff") == {**dict.fromkeys(inside, "in"), **dict.fromkeys(outside, "out")}
    assert {part for part, domain in domains(tested, "on-tedx").items() if domain == "in"} == {"tedx/original"}


def test_a_domain_that_is_only_adapted_to_is_a_third_one(tested):
    pinned = tested.pin(
        "SELECT sample_id, CASE WHEN method = 'FaceSwap' THEN 'target' ELSE 'source' END AS role FROM faces "
        "WHERE dataset = 'ffpp' AND official_split = 'train'",
        "adapted",
    )
    train(tested, "adapted", pinned)
    found = domains(tested, "adapted")
    assert (found["ffpp/FaceSwap"], found["ffpp/Face2Face"], found["tedx/original"]) == ("target", "in", "out")


def test_nothing_is_said_of_a_run_whose_training_split_is_not_there(tested):
    pinned = tested.pin("SELECT sample_id FROM faces WHERE dataset = 'ffpp'", "ff")
    train(tested, "lost", pinned)
    assert set(domains(tested, "lost").values()) == {"in", "out"}
    pinned.path.unlink()
    tested.ingest()
    assert set(domains(tested, "lost").values()) == {None}
