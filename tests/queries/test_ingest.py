"""Ingest takes in what is new in a store, once; a rebuild ends with the same rows; nothing is left out in silence."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from queries.catalog import connect_read, connect_write
from queries.errors import CatalogBusy, CatalogError, IngestError
from queries.ingest import ingest_source, ingest_store, rebuild
from queries.records import licences
from shards import schema
from tests.queries import fabricate
from tests.queries.fabricate import NOON, OTHER_RECIPE, RECIPE, attempt, video, write_pack, write_recipe, write_scan

TABLES = ["sources", "expectations", "completeness", "scanned", "packed", "videos", "attempts", "samples", "shards"]
TABLES += ["current_attempts", "recipes", "splits", "runs", "predictions", "corrections", "ingested"]


def rows(place, query):
    with connect_read(place.catalog) as db:
        return db.sql(query).to_arrow_table().to_pylist()


def everything(place):
    """All rows of all tables, but for the numbers that only this catalog gives them."""
    kept = "SELECT COLUMNS(lambda name: name <> 'attempt')"
    return {table: rows(place, f"{kept} FROM {table} ORDER BY ALL") for table in TABLES}


def faces(place, where="true"):
    return rows(place, f"FROM faces WHERE {where} ORDER BY sample_id")


def problems(report):
    return [str(problem) for problem in report.problems]


def full_store(place):
    """A store with something of every kind."""
    fabricate.make_store(place.store, faces=3)
    videos = fabricate.celebdf_videos("v2", test=["id0_0000", "id0_id1_0000"])
    fabricate.make_store(place.store, videos, faces=2, recipe=OTHER_RECIPE, prefix="celeb")
    fabricate.write_corrections(place.store, [("ffpp/original/c23/071", "target_id", "ffpp:999", 1)])
    run = place.store / "runs" / "run-1"
    (run / "predictions").mkdir(parents=True)
    metric = {"split": "s", "level": "frame", "aggregation": "none", "faceless": "none", "auc": 0.75, "frames": 3}
    record = {
        "run_id": "run-1",
        "status": "finished",
        "detector": "mesonet4",
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    (run / "run.json").write_text(json.dumps({**record, "finished_at": None, "metrics": [metric]}))
    scored = [
        {"run_id": "run-1", "checkpoint": "best", "split": "s", "split_hash": "0" * 64, "sample_id": f"x{i}"}
        | {"video_id": "v", "label": i % 2, "score": i / 10}
        for i in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(scored, schema=schema.PREDICTIONS), run / "predictions" / "s@0.parquet")
    place.ingest()
    place.pin("-- All of it\nSELECT sample_id FROM faces WHERE recipe = 'default'")


def test_every_sample_of_every_pack_is_a_face_with_its_videos_columns(place):
    made = fabricate.make_store(place.store, faces=4)
    report = place.ingest()
    assert (report.packs, report.videos, report.samples, report.problems) == (2, len(made), 4 * len(made), [])
    assert report.files == {"source": 1, "recipe": 1}
    found = faces(place, "video_id = 'ffpp/FaceSwap/c23/054_071'")
    assert [row["frame_index"] for row in found] == [0, 10, 20, 30]
    row = found[0]
    assert (row["target_id"], row["source_id"], row["visible_id"]) == ("ffpp:054", "ffpp:071", "ffpp:071")
    assert (row["label"], row["recipe"], row["codec"], row["official_split"]) == (1, "default", "h264", "train")
    assert (row["offset"], row["size"]) == (row["offset"], 700) and row["tar"] == "there"
    assert row["draw_key"] == schema.draw_key(row["sample_id"])


def test_ingesting_again_changes_nothing_and_opens_nothing_for_writing(place):
    full_store(place)
    before = everything(place)
    with connect_read(place.catalog):  # would keep a writer out
        report = ingest_store(place.catalog, place.store)
    assert not report.changed and not report.problems
    assert everything(place) == before


def test_a_rebuild_ends_with_the_same_rows(place):
    full_store(place)
    before = everything(place)
    assert all(before.values()) or [name for name in TABLES if not before[name]] == ["expectations", "completeness"]
    place.catalog.unlink()
    rebuild(place.catalog, place.store)
    assert everything(place) == before
    rebuild(place.catalog, place.store)
    assert everything(place) == before
    assert sorted(path.name for path in place.folder.iterdir()) == ["catalog.duckdb", "split.sql", "store"]


def test_packs_ingested_one_by_one_in_any_order_give_what_a_rebuild_gives(place):
    fabricate.make_store(place.store, faces=3, packs=4)
    hidden = place.folder / "hidden"
    (place.store / "shards").rename(hidden)
    (place.store / "shards").mkdir()
    for number in (2, 0, 3, 1):
        for path in hidden.glob(f"*{number:06d}*"):
            shutil.copy2(path, place.store / "shards")
        place.ingest()
    before = everything(place)
    rebuild(place.catalog, place.store)
    assert everything(place) == before


def test_a_video_without_a_face_is_in_faceless_with_its_reason(place):
    fabricate.make_store(place.store, faces=2, faceless=["ffpp/FaceSwap/c23/071_054"])
    place.ingest()
    (row,) = rows(place, "FROM faceless")
    assert (row["video_id"], row["sample_id"]) == ("ffpp/FaceSwap/c23/071_054", None)
    assert row["reason"] == "no face in any of 10 frames"
    assert not faces(place, "video_id = 'ffpp/FaceSwap/c23/071_054'")
    assert len(rows(place, "FROM faces_or_none")) == len(faces(place)) + 1


def test_a_pack_without_any_face_has_neither_tar_nor_rows_and_is_no_problem(place):
    write_pack(place.store, "none-000000", [attempt(video("FaceSwap", "071_054", 1), 0)])
    write_recipe(place.store)
    report = place.ingest()
    assert (report.packs, report.samples, report.problems) == (1, 0, [])
    assert rows(place, "SELECT tar FROM shards") == [{"tar": "none"}]


def test_a_pack_that_is_not_finished_is_not_there(place):
    fabricate.make_store(place.store, faces=2, packs=1)
    next((place.store / "shards").glob("*.videos.parquet")).unlink()
    assert place.ingest().packs == 0
    assert not faces(place)


def test_of_two_contents_of_a_video_the_newer_counts(place):
    row = video("FaceSwap", "071_054", 1)
    write_pack(place.store, "p-000000", [attempt(row, 3)])
    new = attempt(row, 2, content="f" * 64, attempted_at=NOON + timedelta(hours=1))
    write_pack(place.store, "p-000001", [new])
    place.ingest()
    assert {face["content"] for face in faces(place)} == {"f" * 64}
    assert len(faces(place)) == 2
    assert len(rows(place, "FROM samples")) == 5


def test_a_video_whose_new_content_has_no_face_has_none(place):
    row = video("FaceSwap", "071_054", 1)
    write_pack(place.store, "p-000000", [attempt(row, 3)])
    write_pack(place.store, "p-000001", [attempt(row, 0, content="f" * 64, attempted_at=NOON + timedelta(hours=1))])
    place.ingest()
    assert not faces(place)
    assert len(rows(place, "FROM faceless")) == 1


@pytest.mark.parametrize("content", ["same", None])
def test_a_later_failure_does_not_take_away_faces_of_the_same_file(place, content):
    row = video("FaceSwap", "071_054", 1)
    write_pack(place.store, "p-000000", [attempt(row, 3)])
    later = {"attempted_at": NOON + timedelta(hours=1), "status": "failed", "reason": "hung"}
    if content is None:
        later["content"] = None
    write_pack(place.store, "p-000001", [attempt(row, 0, **later)])
    place.ingest()
    assert len(faces(place)) == 3
    assert not rows(place, "FROM faceless")


def test_a_failed_video_that_is_done_later_has_its_faces(place):
    row = video("FaceSwap", "071_054", 1)
    write_pack(place.store, "p-000000", [attempt(row, 0, status="failed", reason="hung")])
    place.ingest()
    write_pack(place.store, "p-000001", [attempt(row, 3, attempted_at=NOON + timedelta(hours=1))])
    place.ingest()
    assert len(faces(place)) == 3
    assert not rows(place, "FROM faceless")


def test_one_video_in_two_packs_with_one_content_is_counted_once(place):
    row = video("FaceSwap", "071_054", 1)
    write_pack(place.store, "p-000000", [attempt(row, 3)])
    write_pack(place.store, "p-000001", [attempt(row, 3)])
    place.ingest()
    assert len({face["sample_id"] for face in faces(place)}) == len(faces(place)) == 3


def test_two_recipes_of_one_video_live_side_by_side(place):
    row = video("FaceSwap", "071_054", 1)
    write_pack(place.store, "p-000000", [attempt(row, 3)])
    write_pack(place.store, "p-000001", [attempt(row, 0, OTHER_RECIPE)])
    write_recipe(place.store)
    write_recipe(place.store, OTHER_RECIPE, "other")
    place.ingest()
    assert rows(place, "SELECT recipe, count(sample_id) AS n FROM faces_or_none GROUP BY ALL ORDER BY ALL") == [
        {"recipe": "default", "n": 3},
        {"recipe": "other", "n": 0},
    ]


def test_a_deleted_tar_is_reported_and_its_faces_are_marked_until_it_is_back(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    tar = sorted((place.store / "shards").glob("*.tar"))[0]
    kept = tar.rename(place.folder / "kept.tar")
    report = place.ingest()
    assert f"shards/{tar.name}: the tar is gone: its 84 faces" in problems(report)[0]
    assert len(faces(place, "tar = 'missing'")) == 84
    assert len(problems(place.ingest())) == 1, "it is said every time"
    assert len(problems(rebuild(place.catalog, place.store))) == 1
    assert len(faces(place, "tar = 'missing'")) == 84
    kept.rename(tar)
    assert not place.ingest().problems
    assert not faces(place, "tar <> 'there'")


def test_a_tar_that_was_cut_short_is_reported(place):
    fabricate.make_store(place.store, faces=2, packs=1)
    (tar,) = (place.store / "shards").glob("*.tar")
    os.truncate(tar, 5000)
    assert "is shorter than its rows say" in problems(place.ingest())[0]
    assert rows(place, "SELECT DISTINCT tar FROM faces") == [{"tar": "short"}]


def test_of_two_copies_of_a_video_the_one_that_can_be_read_counts(place):
    row = video("FaceSwap", "071_054", 1)
    write_pack(place.store, "p-000000", [attempt(row, 3)])
    write_pack(place.store, "p-000001", [attempt(row, 3, attempted_at=NOON + timedelta(hours=1))])
    place.ingest()
    assert {face["shard"] for face in faces(place)} == {"p-000001"}
    (place.store / "shards" / "p-000001.tar").unlink()
    place.ingest()
    assert {face["shard"] for face in faces(place)} == {"p-000000"}


def test_a_pack_whose_files_are_all_gone_leaves_the_catalog(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    for path in (place.store / "shards").glob("*-000000.*"):
        path.unlink()
    report = place.ingest()
    assert report.packs_removed == 1
    assert len(faces(place)) == 84
    before = everything(place)
    rebuild(place.catalog, place.store)
    assert everything(place) == before


def test_a_store_that_seems_unmounted_is_an_error_and_takes_nothing_away(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    (place.store / "shards").rename(place.folder / "elsewhere")
    with pytest.raises(IngestError, match=r"holds no shard, the catalog knows 2: is the disk mounted"):
        place.ingest()
    assert len(faces(place)) == 168


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)


def drop_column(path):
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["draw_key"]), path)


def add_column(path):
    table = pq.read_table(path)
    pq.write_table(table.append_column("hue", pa.nulls(len(table), pa.int8())), path)


def lose_row(path):
    pq.write_table(pq.read_table(path).slice(1), path)


def other(column, change):
    """A sidecar whose first row has ``change`` of what was in the column."""

    def spoil(path):
        rows = pq.read_table(path).to_pylist()
        rows[0][column] = change(rows[0][column])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.SAMPLES), path)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: os.truncate(path, 100), "cannot be read"),
        (damage, "cannot be read|has a sample twice|is not this pack's"),
        (drop_column, "has no column draw_key"),
        (add_column, r"has columns that this deepshard does not know \(hue\): update it"),
        (lose_row, "has 83 faces, .* says 84"),
        (other("shard", lambda _: "other"), "shard 'other' is not this pack's"),
        (other("video_id", lambda _: "a/b/c/d"), "video_id 'a/b/c/d' is not this pack's"),
        (other("recipe_hash", lambda _: "f" * 64), "recipe_hash 'f{64}' is not this pack's"),
        (other("content", lambda _: "f" * 64), "content 'f{64}' is not this pack's"),
        (other("key", lambda key: key + "0"), "key 'ffpp/.*' is not this pack's"),
        (other("sample_id", lambda name: "0" + name[1:]), "sample_id '0.*' is not this pack's"),
        (other("frame_index", lambda frame: frame + 1), "sample_id '.*' is not this pack's"),
        (other("track", lambda track: track + 1), "sample_id '.*' is not this pack's"),
        (os.unlink, "is gone, though its videos have 84 faces"),
    ],
)
def test_a_spoiled_sidecar_is_reported_and_keeps_out_its_own_pack_alone(place, spoil, said):
    fabricate.make_store(place.store, faces=2)
    path = sorted(path for path in (place.store / "shards").glob("*.parquet") if "videos" not in path.name)[0]
    good = path.read_bytes()
    spoil(path)
    report = place.ingest()
    (problem,) = report.problems
    assert problem.path == f"shards/{path.stem}"
    assert re.search(said, problem.what)
    assert (report.packs, len(faces(place))) == (1, 84)
    path.write_bytes(good)
    assert place.ingest().packs == 1
    assert len(faces(place)) == 168


def test_a_scan_lists_what_is_missing_and_unexpected_by_name(place):
    told = {"dataset": "ffpp", "method": "FaceSwap", "quality": "c23", "expected": 1000, "found": 14}
    path = write_scan(
        place.store, fabricate.ffpp_videos(), completeness=[{**told, "missing": ["001_002"], "unexpected": ["x", "y"]}]
    )
    assert ingest_source(place.catalog, path) == 84
    (folder,) = rows(place, "FROM expectations")
    assert (folder["missing"], folder["unexpected"], folder["unnamed"], folder["surplus"]) == (1, 2, 985, 0)
    assert [(row["name"], row["state"]) for row in rows(place, "FROM completeness ORDER BY name")] == [
        ("001_002", "missing"),
        ("x", "unexpected"),
        ("y", "unexpected"),
    ]


def test_scanning_again_replaces_the_earlier_scan_and_videos_that_are_gone_go(place):
    videos = fabricate.ffpp_videos()
    ingest_source(place.catalog, write_scan(place.store, videos))
    ingest_source(place.catalog, write_scan(place.store, videos[:10]))
    assert len(rows(place, "FROM videos")) == 10
    assert rows(place, "SELECT videos FROM sources") == [{"videos": 10}]
    assert not place.ingest().changed


def test_a_video_that_is_gone_from_disk_keeps_its_faces(place):
    made = fabricate.make_store(place.store, faces=2)
    place.ingest()
    ingest_source(place.catalog, write_scan(place.store, made[:1], scanned_at=(NOON + timedelta(1)).isoformat()))
    assert len(faces(place)) == 168
    assert rows(place, "SELECT count(*) AS n FROM videos WHERE in_scan") == [{"n": 1}]


def test_a_newer_scan_describes_videos_that_are_packed_already(place):
    made = fabricate.make_store(place.store, faces=1)
    place.ingest()
    again = [{**row, "official_split": "test"} for row in fabricate.ffpp_videos()]
    ingest_source(place.catalog, write_scan(place.store, again))
    assert len(faces(place, "official_split = 'test'")) == len(made)


def test_what_is_no_scan_is_refused(place):
    path = place.folder / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(IngestError, match="has no column video_id"):
        ingest_source(place.catalog, path)
    pq.write_table(pa.Table.from_pylist(fabricate.ffpp_videos(), schema=schema.VIDEOS), path)
    with pytest.raises(IngestError, match="holds no scan"):
        ingest_source(place.catalog, path)


def test_the_latest_correction_of_a_column_counts(place):
    fabricate.make_store(place.store, faces=1)
    video_id = "ffpp/FaceSwap/c23/071_054"
    fabricate.write_corrections(place.store, [(video_id, "label", "0", 5), (video_id, "visible_id", None, 1)])
    fabricate.write_corrections(place.store, [(video_id, "label", "1", 1), (video_id, "source_id", "ffpp:1", 2)], "two")
    place.ingest()
    (face,) = faces(place, f"video_id = '{video_id}'")
    assert (face["label"], face["visible_id"], face["source_id"]) == (0, None, "ffpp:1")
    assert (face["target_id"], face["raw_label"]) == ("ffpp:071", "manipulated"), "the rest is as it was"
    (row,) = rows(place, f"FROM videos WHERE video_id = '{video_id}'")
    assert row["label"] == 1, "the table keeps what the dataset said"


def test_a_correction_and_a_recipes_name_reach_the_faces_of_packs_that_were_there_before_and_leave_with_their_file(
    place,
):
    fabricate.make_store(place.store, faces=1)
    recipe = place.store / "recipes" / f"{RECIPE[:16]}.json"
    kept = recipe.read_text()
    recipe.unlink()
    video_id = "ffpp/FaceSwap/c23/071_054"
    place.ingest()

    def now():
        (face,) = faces(place, f"video_id = '{video_id}'")
        return face["label"], face["recipe"]

    assert now() == (1, RECIPE[:8])
    recipe.write_text(kept)
    place.ingest()
    assert now() == (1, "default")
    written = fabricate.write_corrections(place.store, [(video_id, "label", "0", 5)])
    place.ingest()
    assert now() == (0, "default")
    written.unlink()
    recipe.unlink()
    place.ingest()
    assert now() == (1, RECIPE[:8])


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("label", "fake", "a label is 0 or 1"),
        ("methode", "x", "cannot be corrected; these can: label"),
        ("category", None, "null"),
    ],
)
def test_a_correction_that_cannot_be_applied_is_reported_and_the_others_are(place, column, value, said):
    fabricate.make_store(place.store, faces=1)
    video_id = "ffpp/FaceSwap/c23/071_054"
    fabricate.write_corrections(place.store, [(video_id, column, value, 1), (video_id, "target_id", "ffpp:5", 1)])
    (problem,) = place.ingest().problems
    assert problem.path == "corrections/one.parquet" and "row 1" in problem.what and said in problem.what
    assert faces(place, f"video_id = '{video_id}'")[0]["target_id"] == "ffpp:5"


def test_files_that_were_removed_or_changed_leave_no_rows_behind(place):
    full_store(place)
    shutil.rmtree(place.store / "runs" / "run-1")
    next((place.store / "splits").iterdir()).unlink()
    report = place.ingest()
    assert report.removed == {"run": 1, "predictions": 1, "split": 1}
    for table in ("runs", "predictions", "splits", "metrics"):
        assert not rows(place, f"FROM {table}")


def test_figures_of_a_run_are_rows(place):
    full_store(place)
    (row,) = rows(place, "FROM metrics")
    assert (row["run_id"], row["level"], row["auc"], row["frames"], row["eer"]) == ("run-1", "frame", 0.75, 3, None)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("runs/r/run.json", "{"),
        ("recipes/0000000000000000.json", "{}"),
        ("splits/a@0.arrow", "x"),
        ("sources/s.parquet", "x"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_and_the_others_are_ingested(place, path, text):
    fabricate.make_store(place.store, faces=1)
    bad = place.store / path
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.write_text(text)
    report = place.ingest()
    assert [problem.path for problem in report.problems] == [path]
    assert "left out" in report.problems[0].what
    assert len(faces(place)) == 84


def test_shards_of_a_recipe_that_is_missing_are_reported(place):
    fabricate.make_store(place.store, faces=1)
    (place.store / "recipes" / f"{RECIPE[:16]}.json").unlink()
    assert "the recipe of some shards has no name" in problems(place.ingest())[0]
    assert {face["recipe"] for face in faces(place)} == {RECIPE[:8]}


def test_names_with_signs_that_mean_something_to_globs_are_names(place):
    place.folder = place.folder / "a [b] *{c}"
    fabricate.make_store(place.store, faces=1)
    assert place.ingest().packs == 2
    assert len(faces(place)) == 84


def test_a_catalog_whose_path_duckdb_would_cut_apart_is_refused(tmp_path):
    with pytest.raises(CatalogError, match=r"contains '\?'"), connect_write(tmp_path / "what?.duckdb"):
        pass


def test_two_processes_that_ingest_one_store_count_nothing_twice(place):
    fabricate.make_store(place.store, faces=3, packs=6)
    code = "import sys\nfrom queries.ingest import ingest_store\ningest_store(sys.argv[1], sys.argv[2])\n"
    command = [sys.executable, "-c", code, str(place.catalog), str(place.store)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    before = everything(place)
    rebuild(place.catalog, place.store)
    assert everything(place) == before


def test_a_rebuild_that_is_killed_leaves_the_old_catalog_and_the_next_one_clears_up(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    before = everything(place)
    code = (
        "import os, signal, sys\nfrom queries import catalog, ingest\n"
        "catalog.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ingest.rebuild(sys.argv[1], sys.argv[2])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(place.catalog), str(place.store)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any("rebuild" in path.name for path in place.folder.iterdir())
    assert everything(place) == before
    rebuild(place.catalog, place.store)
    assert everything(place) == before
    assert not any("rebuild" in path.name for path in place.folder.iterdir())


def test_a_rebuild_replaces_a_catalog_that_is_damaged_or_old_but_none_that_is_newer(place):
    fabricate.make_store(place.store, faces=2)
    place.catalog.write_text("no database" * 1000)
    rebuild(place.catalog, place.store)
    assert len(faces(place)) == 168
    with connect_write(place.catalog) as db:
        db.execute("UPDATE meta SET value = '0' WHERE key = 'schema_version'")
    rebuild(place.catalog, place.store)
    assert len(faces(place)) == 168
    with connect_write(place.catalog) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(CatalogError, match="99"):
        rebuild(place.catalog, place.store)


def test_a_log_of_a_killed_writer_is_not_replayed_into_a_rebuilt_catalog(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    code = (
        "import os, signal, sys\nfrom queries.catalog import connect_write\n"
        "with connect_write(sys.argv[1]) as db:\n"
        "    db.execute('SET checkpoint_threshold = \\'1GB\\'')\n    db.execute('DELETE FROM sample_rows')\n"
        "    db.execute('COMMIT')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(place.catalog)], check=False)
    log = place.catalog.with_name("catalog.duckdb.wal")
    assert log.exists()
    rebuild(place.catalog, place.store)
    assert not log.exists()
    assert len(faces(place)) == 168


def test_a_rebuild_waits_for_readers_and_says_whom_it_waits_for(place, monkeypatch):
    fabricate.make_store(place.store, faces=1)
    place.ingest()
    new = place.folder / "new.duckdb"
    shutil.copy(place.catalog, new)
    from queries.catalog import replace

    with connect_read(place.catalog), pytest.raises(CatalogBusy, match="held by"):
        replace(place.catalog, new, timeout_s=0.2)
    replace(place.catalog, new, timeout_s=5)
    assert len(faces(place)) == 84


def test_a_store_that_is_not_there_cannot_be_rebuilt_from(place):
    with pytest.raises(IngestError, match="there is no store"):
        rebuild(place.catalog, place.store)


def test_the_strictest_of_what_scans_tell_of_a_dataset_is_its_licence(tmp_path):
    for source, licence, passed_on in (
        ("one", "CC-BY-4.0", True),
        ("two", "private", False),
        ("three", "CC-BY-4.0", True),
    ):
        write_scan(tmp_path, [], source, datasets=["campus", source], licence=licence, redistributable=passed_on)
    (tmp_path / "sources" / "broken.parquet").write_bytes(b"not Parquet")
    told = {licence.dataset: (licence.licence, licence.redistributable) for licence in licences(tmp_path)}
    free = ("CC-BY-4.0", True)
    assert told == {"campus": ("private", False), "one": free, "three": free, "two": ("private", False)}
    assert licences(tmp_path / "nothing") == []
