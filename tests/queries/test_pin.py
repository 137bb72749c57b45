"""A pinned split says which faces and where, under a hash of what it says; a wrong answer is refused in words."""

import json
import shutil
import subprocess
import sys

import pyarrow as pa
import pytest

from queries import manifest
from queries.catalog import SCHEMA_VERSION, connect_read, connect_write
from queries.errors import CatalogBusy, SplitError
from queries.ingest import ingest_store, rebuild
from queries.pin import pin
from queries.sandbox import Limits
from shards import schema
from tests.queries import fabricate
from tests.queries.fabricate import OTHER_RECIPE, RECIPE, attempt, video, write_pack

TEST_SIDE = """-- Face2Face, test side
-- param n: 4  (frames per video)
WITH test AS (
    SELECT * FROM faces_or_none WHERE official_split = 'test' AND method IN ('Face2Face', 'original')
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $n)
"""


def read(pinned):
    return manifest.read(pinned.path)


def lints(pinned):
    return {lint.rule: lint for lint in pinned.lints}


def splits(place):
    with connect_read(place.catalog) as db:
        return db.sql("FROM splits").to_arrow_table().to_pylist()


@pytest.mark.usefixtures("no_child")
def test_a_manifest_holds_every_face_with_its_bytes_sorted_by_id(ffpp):
    pinned = ffpp.pin(TEST_SIDE, "f2f")
    table, card = read(pinned)
    assert table.schema.remove_metadata() == schema.MANIFEST
    ids = table["sample_id"].to_pylist()
    assert ids == sorted(ids) and len(ids) == pinned.rows == 6 * 4
    assert (pinned.real, pinned.fake, pinned.videos, pinned.faceless) == (12, 12, 6, 2)
    with connect_read(ffpp.catalog) as db:
        known = {row["sample_id"]: row for row in db.sql("FROM samples").to_arrow_table().to_pylist()}
        labels = dict(db.execute("SELECT sample_id, label FROM faces").fetchall())
    for row in table.to_pylist():
        for name in (
            "video_id",
            "frame_index",
            "shard",
            "image_ext",
            "image_offset",
            "image_size",
            "image_xxh3",
            "json_xxh3",
        ):
            assert row[name] == known[row["sample_id"]][name]
        assert (row["label"], row["weight"], row["role"]) == (labels[row["sample_id"]], 1.0, None)
    assert pinned.path == ffpp.store / "splits" / f"f2f@{pinned.hash[:12]}.arrow"


@pytest.mark.usefixtures("no_child")
def test_the_card_says_where_a_split_comes_from(ffpp):
    pinned = ffpp.pin(TEST_SIDE, "card", params={"n": "3"})
    _, card = read(pinned)
    assert (card["name"], card["hash"], card["sql"], card["manifest_version"]) == ("card", pinned.hash, TEST_SIDE, 1)
    assert (card["title"], card["params"]) == ("Face2Face, test side", {"n": 3})
    assert card["recipes"] == [{"name": "default", "hash": RECIPE, "recipe": {"name": "default", "size": 256}}]
    assert card["catalog"] | {"samples": 1640, "videos": 84, "schema_version": SCHEMA_VERSION} == card["catalog"]
    assert [row["video_id"] for row in card["faceless"]] == ["ffpp/Face2Face/c23/953_974", "ffpp/original/c23/026"]
    assert card["faceless"][0] == {
        "video_id": "ffpp/Face2Face/c23/953_974",
        "dataset": "ffpp",
        "method": "Face2Face",
        "label": 1,
    }
    assert card["lints"] == [lint.as_dict() for lint in pinned.lints]
    assert card["created_at"].endswith("+00:00") and card["deepshard_version"]


@pytest.mark.usefixtures("no_child")
def test_a_pinned_split_is_a_row_of_the_catalog_at_once_and_again_after_a_rebuild(place):
    fabricate.make_store(place.store, faces=4)
    place.ingest()
    pinned = place.pin(TEST_SIDE)
    (row,) = splits(place)
    assert (row["name"], row["hash"], row["faces"], row["real"], row["fake"]) == ("split", pinned.hash, 32, 16, 16)
    assert row["path"] == f"splits/split@{pinned.hash[:12]}.arrow"
    assert not place.ingest().changed, "nothing is left to ingest"
    rebuild(place.catalog, place.store)
    assert splits(place) == [row]


@pytest.mark.usefixtures("no_child")
def test_pinning_again_gives_the_same_file_and_one_row(place):
    fabricate.make_store(place.store, faces=4)
    place.ingest()
    first, second = place.pin(TEST_SIDE), place.pin(TEST_SIDE)
    assert (first.hash, first.path) == (second.hash, second.path)
    assert len(splits(place)) == 1
    assert not list((place.store / "splits").glob(".*"))


DRAWN = """-- A draw
WITH few AS (FROM frames_per_video(faces, n := 3))
SELECT sample_id FROM balanced(few, n := 30, seed := 7)
"""


def test_the_hash_is_the_same_after_a_rebuild_with_other_threads_and_on_another_catalog(place):
    fabricate.make_store(place.store, faces=5, packs=3)
    place.ingest()
    first = place.pin(DRAWN)
    assert first.rows == 60
    rebuild(place.catalog, place.store)
    hashes = {place.pin(DRAWN, limits=Limits(threads=threads)).hash for threads in (1, 2, 4)}
    elsewhere = place.folder / "other.duckdb"
    ingest_store(elsewhere, place.store)
    hashes.add(pin(elsewhere, place.store, place.folder / "split.sql").hash)
    assert hashes == {first.hash}


def test_the_hash_is_the_same_after_repacking_and_the_manifest_has_the_new_places(place):
    fabricate.make_store(place.store, faces=5, packs=3)
    place.ingest()
    first = place.pin(DRAWN)
    before = read(first)[0].combine_chunks().to_pylist()
    shutil.rmtree(place.store / "shards")
    fabricate.make_store(place.store, faces=5, packs=2, prefix="again")
    place.ingest()
    second = place.pin(DRAWN)
    after = read(second)[0].to_pylist()
    assert (first.hash, first.path) == (second.hash, second.path)
    assert [row["sample_id"] for row in before] == [row["sample_id"] for row in after]
    assert all(row["shard"].startswith("again") for row in after)


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize(
    "changed",
    [
        DRAWN.replace("seed := 7", "seed := 8"),
        DRAWN.replace("SELECT sample_id", "SELECT sample_id, 2.0 AS weight"),
        DRAWN.replace("SELECT sample_id", "SELECT sample_id, 'source' AS role"),
    ],
)
def test_the_hash_changes_with_what_the_split_says(ffpp, changed):
    assert ffpp.pin(changed, "changed").hash != ffpp.pin(DRAWN, "drawn").hash


@pytest.mark.usefixtures("no_child")
def test_the_hash_is_that_of_the_lines_that_it_is_said_to_be_of(ffpp):
    import hashlib

    pinned = ffpp.pin(TEST_SIDE, "lines")
    table, card = read(pinned)
    lines = [f"{row['sample_id']}\t{row['label']}\t{0x3F800000}\t\t\n" for row in table.to_pylist()]
    lines += [f"faceless\t{row['video_id']}\n" for row in card["faceless"]]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == pinned.hash


@pytest.mark.usefixtures("no_child")
def test_corrected_labels_are_the_labels_and_give_another_hash(place):
    fabricate.make_store(place.store, faces=3)
    place.ingest()
    sql = "-- One video\nSELECT sample_id FROM faces WHERE video_id = 'ffpp/FaceSwap/c23/071_054'"
    first = place.pin(sql)
    fabricate.write_corrections(place.store, [("ffpp/FaceSwap/c23/071_054", "label", "0", 1)])
    place.ingest()
    second = place.pin(sql)
    assert (first.fake, second.fake, second.real) == (3, 0, 3)
    assert first.hash != second.hash


@pytest.mark.usefixtures("no_child")
def test_weights_and_roles_are_kept(ffpp):
    pinned = ffpp.pin(
        "-- Two domains\nSELECT sample_id, CASE method WHEN 'FaceSwap' THEN 'target' ELSE 'source' END AS role, "
        "1 + label AS weight FROM faces WHERE frame_index = 0 AND method IN ('FaceSwap', 'original')"
    )
    rows = read(pinned)[0].to_pylist()
    assert {(row["label"], row["role"], row["weight"]) for row in rows} == {(1, "target", 2.0), (0, "source", 1.0)}


@pytest.mark.usefixtures("no_child")
def test_partners_are_the_originals_faces_in_the_same_frame_with_their_bytes(ffpp):
    pinned = ffpp.pin(
        "-- Pairs\nWITH fakes AS (SELECT * FROM faces WHERE method = 'FaceSwap' AND official_split = 'train')\n"
        "SELECT sample_id, partner_id FROM with_partner(fakes)"
    )
    rows = read(pinned)[0].to_pylist()
    assert len(rows) == 160 and not any(row["partner_id"] is None for row in rows)
    with connect_read(ffpp.catalog) as db:
        known = {row["sample_id"]: row for row in db.sql("FROM samples").to_arrow_table().to_pylist()}
    for row in rows:
        partner = known[row["partner_id"]]
        assert partner["frame_index"] == row["frame_index"]
        assert partner["video_id"] == f"ffpp/original/c23/{row['video_id'].split('/')[-1][:3]}"
        assert partner["shard"] == row["partner_shard"]
        for name in ("image_ext", "image_offset", "image_size", "image_xxh3"):
            assert partner[name] == row[f"partner_{name}"]
    assert "missing_partner" not in lints(pinned)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT sample_id\nFROM faces\nWHERE methode = 'x'", r"bad.sql:3: Binder Error: .*methode.*\n.*LINE 3"),
        ("SELECT sample_id\nFORM faces", "bad.sql:(1|2): "),
        ("SELECT video_id FROM faces", "bad.sql: a split selects sample_id from faces; this one returns video_id"),
        (
            "SELECT 'x' || sample_id AS sample_id FROM faces",
            r"returns 1,640 sample_ids that are not in faces.*\(such as xe",
        ),
        ("SELECT sample_id FROM faces UNION ALL SELECT sample_id FROM faces", "1,640 faces more than once"),
        ("SELECT a.sample_id, b.sample_id FROM faces a JOIN faces b USING (key_)", "key_"),
        ("SELECT NULL::VARCHAR AS sample_id, video_id FROM faces WHERE frame_index = 0", "82 rows without a sample_id"),
        ("SELECT sample_id FROM faces_or_none", r"2 rows without a sample_id .*\(no video_id\)"),
        ("SELECT sample_id, video_id FROM faceless", "videos without a face and no face at all"),
        ("SELECT sample_id, 'left' AS role FROM faces", "neither 'source' nor 'target'.*left"),
        ("SELECT sample_id, -1 AS weight FROM faces", "1,640 weights that are no numbers from 0 up"),
        ("SELECT sample_id, 'inf'::DOUBLE AS weight FROM faces", "weights"),
        ("SELECT sample_id, 1 - label AS label FROM faces", "another label than the catalog's"),
        ("SELECT sample_id, 'x' AS partner_id FROM faces", "1,640 partner_ids that are not in faces"),
        ("SELECT sample_id FROM faces WHERE dataset = $dataset", r"\$dataset is not declared: add `-- param dataset:"),
        ("INSERT INTO meta VALUES ('a', 'b')", "this is INSERT"),
    ],
)
def test_a_query_that_cannot_be_a_split_says_why(ffpp, sql, said):
    with pytest.raises(SplitError, match=f"(?s){said}"):
        ffpp.pin(sql, "bad")


def test_a_split_that_selects_nothing_says_what_there_is_and_what_was_asked(ffpp):
    with pytest.raises(SplitError) as raised:
        ffpp.pin("-- None\n-- param quality: c40\nSELECT sample_id FROM faces WHERE quality = $quality", "none")
    said = str(raised.value)
    assert "selects nothing (parameters: quality=c40)" in said
    assert "videos 84, faces 1,640, faceless 2" in said
    assert "ffpp/Deepfakes/c23 280, ffpp/Face2Face/c23 260" in said


def test_on_an_empty_catalog_it_says_that_nothing_was_curated(place):
    place.store.mkdir()
    place.ingest()
    with pytest.raises(SplitError, match="no face at all: run `deepshard curate`"):
        place.pin("SELECT sample_id FROM faces")


@pytest.fixture
def two_recipes(place):
    fabricate.make_store(place.store, faces=3)
    fabricate.make_store(place.store, faces=2, recipe=OTHER_RECIPE, prefix="other")
    place.ingest()
    return place


@pytest.mark.usefixtures("no_child")
def test_faces_of_two_recipes_do_not_go_into_one_split(two_recipes):
    sql = "SELECT sample_id FROM faces WHERE method = 'FaceSwap'"
    with pytest.raises(
        SplitError, match=r"mixes recipes, default \(\w{8}: 42\), other \(\w{8}: 28\): .*--param recipe=default"
    ):
        two_recipes.pin(sql)
    by_name = two_recipes.pin(sql, params={"recipe": "other"})
    assert read(by_name)[1]["params"] == {"recipe": "other"}
    by_hash = two_recipes.pin(sql, params={"recipe": OTHER_RECIPE[:8]})
    assert by_name.hash == by_hash.hash and (by_name.rows, by_name.recipe) == (28, "other")
    assert two_recipes.pin(sql, params={"recipe": "default"}).rows == 42
    with pytest.raises(SplitError, match=r"there is no recipe 'fast'; the catalog has default \(\w{8}\), other"):
        two_recipes.pin(sql, params={"recipe": "fast"})


def test_a_recipe_holds_for_videos_without_a_face_partners_and_used_splits_too(two_recipes):
    row = video("FaceSwap", "new_new", 1)
    write_pack(two_recipes.store, "none-000000", [attempt(row, 0, OTHER_RECIPE)])
    two_recipes.ingest()
    (two_recipes.folder / "swaps.sql").write_text("SELECT sample_id FROM faces WHERE method = 'FaceSwap'")
    sql = "-- uses: swaps = swaps.sql\nSELECT sample_id, video_id, partner_id FROM with_partner(swaps)"
    assert two_recipes.pin(sql, params={"recipe": "default"}).rows == 42
    sql = (
        "SELECT sample_id, video_id FROM faces_or_none WHERE method = 'FaceSwap' AND recipe = 'default' OR size IS NULL"
    )
    with pytest.raises(SplitError, match="mixes recipes"):
        two_recipes.pin(sql)
    assert two_recipes.pin(sql, params={"recipe": "default"}).faceless == 0


@pytest.mark.usefixtures("no_child")
def test_two_recipes_of_one_name_are_told_apart_by_hash(two_recipes):
    fabricate.write_recipe(two_recipes.store, OTHER_RECIPE, "default")
    two_recipes.ingest()
    sql = "SELECT sample_id FROM faces"
    with pytest.raises(SplitError, match=f"--param recipe={min(RECIPE, OTHER_RECIPE)[:8]}"):
        two_recipes.pin(sql)
    with pytest.raises(SplitError, match="several recipes are called 'default', give the hash"):
        two_recipes.pin(sql, params={"recipe": "default"})
    assert two_recipes.pin(sql, params={"recipe": RECIPE[:8]}).rows == 252


@pytest.mark.parametrize("name", ["a/b", "a@b", "", ".hidden", "a b"])
def test_a_name_that_cannot_be_a_file_is_refused(ffpp, name):
    with pytest.raises(SplitError, match="cannot name a split"):
        pin(ffpp.catalog, ffpp.store, ffpp.folder / "fine.sql", name=name)


@pytest.mark.usefixtures("no_child")
def test_a_catalog_that_is_held_at_the_end_leaves_a_split_that_the_next_ingest_finds(place, monkeypatch):
    fabricate.make_store(place.store, faces=2)
    place.ingest()

    def busy(*_):
        raise CatalogBusy("held by process 1")

    monkeypatch.setattr("queries.pin.ingest_file", busy)
    with pytest.raises(
        CatalogBusy, match="is written, but the catalog does not list it yet, the next ingest will: held"
    ):
        place.pin(DRAWN)
    assert not splits(place)
    assert place.ingest().files == {"split": 1}
    assert len(splits(place)) == 1


def test_a_pin_that_is_killed_while_writing_leaves_no_manifest(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    (place.folder / "split.sql").write_text(DRAWN)
    code = (
        "import os, signal, sys\nfrom queries import pin, whole\n"
        "whole.os.fsync = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "pin.pin(sys.argv[1], sys.argv[2], sys.argv[3])\n"
    )
    command = [sys.executable, "-c", code, *map(str, (place.catalog, place.store, place.folder / "split.sql"))]
    assert subprocess.run(command, check=False).returncode == -9
    assert not list((place.store / "splits").glob("*.arrow"))
    assert place.pin(DRAWN).path.exists()


def test_a_manifest_is_sorted_by_id_and_its_words_are_one_sorted_dictionary():
    n = 5
    columns = {name: pa.array([1] * n) for name in manifest.PLACES}
    columns |= {name: pa.array(["png", "jpg", "png", "jpg", "png"]) for name in ("image_ext", "partner_image_ext")}
    columns |= {"sample_id": pa.array(["v/999999-0", "v/1000000-0", "w/000001-0", "w/000002-0", "w/000003-0"])}
    columns |= {"frame_index": pa.array([999_999, 1_000_000, 1, 2, 3]), "weight": pa.array([1.0] * n)}
    columns |= {"place": pa.array([2, 2, 0, 0, 0]), "partner_place": pa.array([None, 0, 1, None, 0], pa.int64())}
    columns |= {"role": pa.array(["target", None, "source", None, None]), "partner_id": pa.nulls(n, pa.string())}
    columns |= {"stream": pa.nulls(n, pa.string())}
    videos = pa.table({name: ["c", "b", "a"] for name in ("video_id", "dataset", "method", "shard")})
    videos = videos.append_column("label", pa.array([1, 1, 0], pa.int8()))
    table = manifest.assemble(pa.table(columns), videos)
    assert table.schema == manifest.MANIFEST
    assert table["sample_id"].to_pylist() == sorted(table["sample_id"].to_pylist()), "a million frames sort as text"
    assert table["shard"].to_pylist() == ["a", "a", "c", "c", "c"] and table["label"].to_pylist() == [0, 0, 1, 1, 1]
    assert table["partner_shard"].to_pylist() == ["c", None, "b", None, "c"]
    assert table["role"].to_pylist() == [None, "target", "source", None, None]
    for name, words in (("shard", ["a", "c"]), ("image_ext", ["jpg", "png"]), ("partner_shard", ["b", "c"])):
        assert table[name].combine_chunks().dictionary.to_pylist() == words
    columns["stream"] = pa.array(["b", "a", None, "a", "b"])
    streams = manifest.assemble(pa.table(columns), videos)
    assert streams["stream"].to_pylist() == ["a", "b", None, "a", "b"]
    assert streams.drop(["stream"]) == table


@pytest.mark.usefixtures("no_child")
def test_a_stream_is_part_of_what_a_split_says_and_its_absence_is_not(ffpp):
    plain, without, one, other = (
        ffpp.pin(f"SELECT sample_id{column} FROM faces", "s")
        for column in ("", ", NULL AS stream", ", method AS stream", ", 'same' AS stream")
    )
    assert plain.hash == without.hash and len({plain.hash, one.hash, other.hash}) == 3
    assert "stream" not in read(without)[0].column_names
    rows = read(one)[0].to_pylist()
    assert [row["stream"] for row in rows] == [row["method"] for row in rows]


@pytest.mark.usefixtures("no_child")
def test_the_card_is_json_that_other_programs_read(ffpp):
    pinned = ffpp.pin(TEST_SIDE, "json")
    with pa.memory_map(str(pinned.path)) as file:
        metadata = pa.ipc.open_file(file).schema.metadata
    assert json.loads(metadata[b"deepshard"])["hash"] == pinned.hash


@pytest.mark.usefixtures("no_child")
def test_writing_is_not_blocked_by_a_pin_that_is_over(ffpp):
    ffpp.pin(DRAWN, "over")
    with connect_write(ffpp.catalog, timeout_s=1):
        pass
