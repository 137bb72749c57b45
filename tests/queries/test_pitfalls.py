"""The ways in which this field fools itself: a split that has the fault is caught, and its repaired twin is not."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.sources import open_source, to_table
from queries.catalog import connect_read
from queries.check import check
from shards import schema
from tests.curation.sources.trees import DATA, touch
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack
from tests.queries.world import shipped

pytestmark = pytest.mark.usefixtures("no_child")

TWO = {"train": [("071", "054")], "test": [("953", "974")]}


def lints(pinned):
    return {lint.rule: lint for lint in pinned.lints}


def side(place, name, where):
    return place.pin(f"SELECT sample_id, video_id FROM faces_or_none WHERE {where}", name)


def between(place, one, other):
    """What check finds between the faces of two conditions, by rule."""
    pins = [side(place, "one", one), side(place, "other", other)]
    return {finding.rule: finding for finding in check(place.catalog, [pinned.path for pinned in pins])}


def filled(place, made):
    write_pack(place.store, "p-000000", made)
    fabricate.write_recipe(place.store)
    place.ingest()
    return place


def _write_samples(place, rows):
    """Another sidecar for the pack p-000000."""
    table = pa.Table.from_pylist(rows, schema=schema.SAMPLES)
    pq.write_table(table, place.store / "shards" / "p-000000.parquet")
    fabricate.write_recipe(place.store)
    place.ingest()


def pairs(**changes):
    """The attempts of FF++ in miniature with one method; ``changes`` of fakes."""
    rows = fabricate.ffpp_videos(methods=["FaceSwap"])
    return [attempt({**row, "bytes": 5}, 4) | (changes if row["label"] else {}) for row in rows]


def test_1_an_original_clip_on_both_sides(ffpp):
    train = "method = 'FaceSwap' AND official_split = 'train'"
    leak = between(ffpp, train, "name = '071'")["shared_footage"]
    assert (leak.severity, leak.examples) == ("error", ["ffpp/original/c23/071"])
    assert "shared_footage" not in between(ffpp, train, "name = '953'")


def test_1_an_original_clip_on_both_sides_in_another_quality(place):
    rows = fabricate.ffpp_videos(TWO, ["FaceSwap"], ["c23", "c40"])
    filled(place, [attempt(row, 2) for row in rows])
    train = "method = 'FaceSwap' AND quality = 'c23' AND official_split = 'train'"
    leak = between(place, train, "name = '071' AND quality = 'c40'")["shared_footage"]
    assert leak.examples == ["ffpp/original/c23/071 = ffpp/original/c40/071"]
    assert between(place, train, "official_split = 'test' AND quality = 'c40'") == {}


def test_2_a_person_on_both_sides(place):
    filled(place, [attempt(row, 2) for row in fabricate.celebdf_videos("v1", people=6, clips=1)])
    one = "target_id = 'celebdf:id0' AND label = 1"
    leak = between(place, one, "target_id = 'celebdf:id1'")["shared_identities"]
    assert (leak.severity, leak.examples) == ("warning", ["celebdf:id1"])
    assert between(place, one, "target_id = 'celebdf:id3'") == {}


def test_2_a_person_under_two_names_on_both_sides(place):
    """p12 is recorded as ffpp:179 by a description; that this is ffpp:826 too is shipped."""
    rows = [video("swap", "x", 1, "mine", target_id="mine:p12"), video("swap", "y", 1, "mine", target_id="mine:p13")]
    said = {"kind": "person", "one": "mine:p12", "other": "ffpp:179", "said_by": "mine.yaml"}
    fabricate.write_scan(place.store, rows, "mine", aliases=[said])
    rows.append(video("original", "826", 0, target_id="ffpp:826"))
    filled(place, [attempt(row, 2) for row in rows])
    leak = between(place, "target_id = 'mine:p12'", "name = '826'")["known_relatives"]
    assert (leak.severity, leak.examples) == ("warning", ["mine:p12 and ffpp:826"])
    assert between(place, "target_id = 'mine:p13'", "name = '826'") == {}
    (place.store / "sources" / "mine.parquet").unlink()
    place.ingest()
    assert between(place, "target_id = 'mine:p12'", "name = '826'") == {}


@pytest.mark.parametrize(
    ("dataset", "method"), [("ffpp", "FaceShifter"), ("deeperforensics", "end_to_end"), ("df40", "simswap")]
)
def test_3_the_footage_of_one_dataset_in_another(place, dataset, method):
    rows = fabricate.ffpp_videos(TWO, [])
    for row in [row for row in rows if row["official_split"]]:
        made_of = {"original_video": row["video_id"], "target_id": row["target_id"]}
        rows.append(video(method, f"{row['name']}_M001", 1, dataset, **made_of))
    filled(place, [attempt(row, 2) for row in rows])
    leak = between(place, "name = '071'", f"method = '{method}' AND target_id = 'ffpp:071'")["shared_footage"]
    assert leak.examples == ["ffpp/original/c23/071"]
    assert (f"(ffpp there, {dataset} here)" in leak.message) == (dataset != "ffpp")
    apart = between(place, "name = '071'", f"method = '{method}' AND target_id = 'ffpp:953'")
    assert {finding.severity for finding in apart.values()} <= {"note"}


def test_3_datasets_of_one_footage_are_named_where_neither_names_nor_files_tell(place):
    rows = [video("face-swap", "a", 1, "FaceForensics-Deepfakes"), video("gan", "b", 1, "TPDNE")]
    filled(place, [attempt(row, 2) for row in [*rows, *fabricate.ffpp_videos(TWO, ["Deepfakes"])]])
    note = between(place, "dataset = 'FaceForensics-Deepfakes'", "method = 'original'")["known_overlap"]
    assert note.severity == "note"
    assert note.examples[0].startswith("FaceForensics-Deepfakes and ffpp/original (")
    assert "known_overlap" not in between(place, "dataset = 'TPDNE'", "method = 'original'")


def test_3_celeb_df_v1_inside_v2(place):
    rows = fabricate.celebdf_videos("v1", clips=1) + fabricate.celebdf_videos("v2", clips=1)
    renamed = {"celebdf-v1/Celeb-real/native/id0_0000", "celebdf-v2/Celeb-real/native/id5_0000"}
    same = {"content": "a" * 64}
    filled(place, [attempt(row, 2) | (same if row["video_id"] in renamed else {}) for row in rows])
    v1 = "dataset = 'celebdf-v1' AND method = 'Celeb-{}' AND name LIKE 'id{}%'"
    v2 = "dataset = 'celebdf-v2' AND name LIKE 'id5%'"
    assert "shared_content" in between(place, v1.format("real", 0), v2)
    behind = between(place, v1.format("synthesis", 0), v2)["same_original"]
    assert behind.examples == [" = ".join(sorted(renamed))]
    assert not {"shared_content", "same_original"} & between(place, v1.format("synthesis", 2), v2).keys()


def test_3_the_leak_of_an_official_list_is_named_with_its_source_and_still_counted(place):
    rows = fabricate.celebdf_videos("v2", clips=1, test=["id0_id1_0000", "id3_0000", "id3_id4_0000"])
    filled(place, [attempt(row, 2) for row in rows])
    train = "official_split = 'train' AND method = 'Celeb-real'"
    rules = between(place, train, "official_split = 'test'")
    assert rules["shared_footage"].severity == "error"
    assert "List_of_testing_videos.txt" in rules["official_leak"].message
    assert rules["official_leak"].examples == ["celebdf-v2/Celeb-real/id0_0000"]
    assert "official_leak" not in between(place, train, "official_split = 'test' AND name LIKE 'id3%'")


def test_3_the_234_fakes_of_celeb_df_v2s_list_whose_original_is_trained_on_are_found_by_name(place, tmp_path):
    """On a scanned tree with the names of the published list, their originals, and a training fake of each original."""
    listed = json.loads((DATA / "celebdf_v2_test.json").read_text())
    made_from = {fake: "{0}_{2}".format(*fake.split("_")) for fake in listed["Celeb-synthesis"]}
    leaked = {fake: original for fake, original in made_from.items() if original not in listed["Celeb-real"]}
    assert (len(leaked), len(set(leaked.values()))) == (234, 164)
    names = {**listed, "Celeb-real": {*listed["Celeb-real"], *made_from.values()}}
    names["YouTube-real"] = {*listed["YouTube-real"], "00000"}
    for folder, clips in names.items():
        touch(tmp_path / "Celeb-DF-v2" / folder, [f"{name}.mp4" for name in clips], b"x")
    source = open_source("celebdf", tmp_path / "Celeb-DF-v2")
    filled(place, [attempt(row, 1) for row in to_table(source.videos).to_pylist()])
    pins = [shipped(place, "celebdf/v2_test.sql"), side(place, "train", "official_split = 'train'")]
    found = {finding.rule: finding for finding in check(place.catalog, [pinned.path for pinned in pins])}
    leak = found["official_leak"]
    assert "here 234 fakes for testing, made from 164 clips for training" in leak.message
    assert leak.examples == sorted(f"celebdf-v2/Celeb-real/{original}" for original in set(leaked.values()))
    assert (found["shared_footage"].severity, found["shared_footage"].count) == ("error", 164)
    listing = ", ".join(f"'{fake}'" for fake in leaked)
    clean = side(place, "clean", f"official_split = 'test' AND name NOT IN ({listing})")
    rules = {finding.rule for finding in check(place.catalog, [clean.path, pins[1].path])}
    assert not {"official_leak", "shared_footage"} & rules


def test_4_two_clips_of_one_youtube_video(place):
    splits = {"755": "test", "756": "train", "001": "train"}
    rows = [video("original", n, 0, target_id=f"ffpp:{n}", official_split=s) for n, s in splits.items()]
    filled(place, [attempt(row, 2) for row in rows])
    rules = between(place, "name = '756'", "name = '755'")
    assert rules["known_relatives"].severity == "warning"
    assert "977 YouTube videos" in rules["official_leak"].message
    assert between(place, "name = '001'", "name = '755'") == {}


def test_4_clips_of_one_video_that_the_official_split_keeps_together(place):
    rows = [
        video("original", n, 0, target_id=f"ffpp:{n}", official_split="train") for n in ("685", "686", "687", "688")
    ]
    filled(place, [attempt(row, 2) for row in rows])
    rules = between(place, "name = '685'", "name IN ('686', '687')")
    assert rules["known_relatives"].examples == ["ffpp:685 and ffpp:686", "ffpp:685 and ffpp:687"]
    assert between(place, "name = '685'", "name = '688'") == {}


def test_5_the_validation_set_is_the_test_set(ffpp):
    rules = between(
        ffpp,
        "method = 'FaceSwap' AND official_split = 'test'",
        "name IN (SELECT name FROM faces WHERE "
        "method = 'FaceSwap' AND official_split = 'test') AND method = 'FaceSwap'",
    )
    assert rules["same_split"].severity == "error"
    assert "same_split" not in between(ffpp, "official_split = 'val'", "official_split = 'test'")


def test_6_bystanders_labelled_fake(place):
    made = [attempt(row, 8) for row in fabricate.ffpp_videos(TWO, ["FaceSwap"])]
    rows = write_pack(place.store, "p-000000", made)
    for row in rows:  # a bystander in every frame of 071_054, and in the original's, where it is no fault
        if row["video_id"].endswith(("/071_054", "/071")) and row["frame_index"] >= 40:
            row |= {"frame_index": row["frame_index"] - 40, "track": 1}
            row["key"] = schema.sample_key(row["video_id"], row["frame_index"], 1)
            row["sample_id"] = schema.sample_id(row["recipe_hash"], row["content"], row["key"])
    _write_samples(place, rows)
    lint = lints(place.pin("SELECT sample_id FROM faces", "all"))["several_faces"]
    assert (lint.severity, lint.count) == ("warning", 4)
    assert lint.examples[0] == "ffpp/FaceSwap/c23/071_054 frame 0: 2 faces"
    assert "several_faces" not in lints(place.pin("SELECT sample_id FROM faces WHERE track = 0", "manipulated"))


def test_7_faces_are_missed_in_one_class(place):
    made = [row | {"frames_wanted": 4 if row["label"] else 8} for row in pairs()]
    lint = lints(filled(place, made).pin("SELECT sample_id FROM faces"))["face_yield"]
    assert lint.severity == "warning"
    assert lint.examples == ["ffpp/original: 50.0%", "ffpp/FaceSwap: 100.0%"]


def test_7_faces_are_found_equally_in_both_classes(place):
    made = [row | {"frames_wanted": 8} for row in pairs()]
    assert "face_yield" not in lints(filled(place, made).pin("SELECT sample_id FROM faces"))


def test_7_videos_without_a_face_leave_the_denominator(ffpp):
    where = "official_split = 'test' AND method IN ('Face2Face', 'original')"
    dropped = lints(ffpp.pin(f"SELECT sample_id FROM faces WHERE {where}", "dropped"))["unlisted_faceless"]
    assert dropped.count == 2
    assert "unlisted_faceless" not in lints(side(ffpp, "kept", where))


def test_8_figures_by_frame_and_by_video_part_where_videos_have_unequal_numbers_of_frames(ffpp):
    sql = "SELECT sample_id FROM faces WHERE method = 'FaceSwap' OR (label = 0 AND frame_index < {})"
    lint = lints(ffpp.pin(sql.format(100), "uneven"))["faces_per_video"]
    assert lint.severity == "warning"
    assert lint.message == "between 10 and 20 faces per video (real 10.0, fake 20.0 on average)"
    assert "faces_per_video" not in lints(ffpp.pin(sql.format(1000), "even"))


def test_8_every_figure_names_its_level_its_aggregation_and_its_number_of_frames(place):
    filled(place, pairs())
    with connect_read(place.catalog) as db:
        columns = {row[0] for row in db.execute("DESCRIBE metrics").fetchall()}
    assert {"level", "aggregation", "frames", "videos", "faceless"} <= columns


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"codec": "png"}, "codec"),
        ({"fps": 30.0}, "fps"),
        ({"width": 1920}, "width"),
        ({"frame_count": 100}, "frames of the video"),
        ({"bytes": 9}, "bytes of the file"),
        ({"quality": "raw"}, "quality"),
        ({"dataset": "elsewhere"}, "dataset"),
    ],
)
def test_9_real_and_fake_are_encoded_differently(place, change, column):
    lint = lints(filled(place, pairs(**change)).pin("SELECT sample_id FROM faces"))["telling_metadata"]
    assert lint.severity == "warning"
    assert f"{column}: 1.0" in lint.examples


def test_9_real_and_fake_are_encoded_alike(place):
    filled(place, pairs())
    found = lints(place.pin("SELECT sample_id FROM faces")).get("telling_metadata")
    assert found is None or found.severity == "note"


def test_10_fakes_are_paired_by_place_in_a_list(ffpp):
    where = "method = 'FaceSwap' AND target_id = 'ffpp:071'"
    listed = f"""
        WITH fakes AS (
            SELECT *, row_number() OVER (ORDER BY frame_index) AS n FROM faces WHERE {where} AND frame_index >= 50
        ), originals AS (
            SELECT *, row_number() OVER (ORDER BY frame_index) AS n FROM faces WHERE name = '071'
        )
        SELECT f.sample_id, o.sample_id AS partner_id FROM fakes f JOIN originals o USING (n)"""
    lint = lints(ffpp.pin(listed, "listed"))["other_frame"]
    assert (lint.severity, lint.count) == ("warning", 15)
    assert lint.examples[0] == "ffpp/FaceSwap/c23/071_054 frame 50 with frame 0"
    by_index = f"WITH fakes AS (FROM faces WHERE {where}) SELECT sample_id, partner_id FROM with_partner(fakes)"
    assert "other_frame" not in lints(ffpp.pin(by_index, "by_index"))


def test_11_a_sample_that_cannot_be_read(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    assert "missing_shard" not in lints(place.pin("SELECT sample_id FROM faces"))
    sorted((place.store / "shards").glob("*.tar"))[0].unlink()
    assert lints(place.pin("SELECT sample_id FROM faces"))["missing_shard"].severity == "error"


def test_12_the_same_frames_in_training_and_test(ffpp):
    early = "method = 'FaceSwap' AND official_split = 'train' AND frame_index < 100"
    assert between(ffpp, early, "video_id = 'ffpp/FaceSwap/c23/071_054'")["shared_faces"].count == 10
    assert between(ffpp, early, "official_split = 'test'") == {}


def test_12_the_same_pictures_under_other_names(place):
    made = [attempt(row, 2) for row in fabricate.ffpp_videos(TWO, [])]
    samples = write_pack(place.store, "p-000000", made)
    copied = next(row for row in samples if row["video_id"].endswith("/071"))
    next(row for row in samples if row["video_id"].endswith("/953"))["image_xxh3"] = copied["image_xxh3"]
    _write_samples(place, samples)
    leak = between(place, "official_split = 'train'", "official_split = 'test'")["shared_pixels"]
    assert (leak.severity, leak.count) == ("error", 1)
    assert between(place, "official_split = 'train'", "official_split = 'test' AND name <> '953'") == {}


def test_some_methods_have_more_faces(ffpp):
    sql = "SELECT sample_id FROM faces WHERE official_split = 'train' AND (method = 'FaceSwap' OR frame_index < {})"
    lint = lints(ffpp.pin(sql.format(50), "uneven"))["method_balance"]
    assert lint.severity == "warning"
    assert lint.examples[0] == "ffpp/FaceSwap: 160"
    assert "method_balance" not in lints(ffpp.pin(sql.format(1000), "even"))


def test_a_named_set_of_which_the_copy_lacks_videos(place):
    rows = fabricate.ffpp_videos(TWO, ["FaceSwap"])
    folder = {"dataset": "ffpp", "quality": "c23", "part": None, "unexpected": []}
    filled(place, [attempt(row, 2) for row in rows])
    short = {"method": "FaceSwap", "expected": 5, "found": 4, "missing": ["000_003.mp4"], **folder}
    whole = {"method": "original", "expected": 4, "found": 4, "missing": [], **folder}
    fabricate.write_scan(place.store, rows, completeness=[short, whole])
    place.ingest()
    lint = lints(place.pin("SELECT sample_id FROM faces", "both"))["incomplete_copy"]
    assert (lint.severity, lint.count) == ("warning", 1)
    assert lint.examples == ["ffpp/FaceSwap/c23: 1 of 5 are missing"]
    assert "incomplete_copy" not in lints(place.pin("SELECT sample_id FROM faces WHERE label = 0", "reals"))


def test_a_set_that_is_not_curated_to_its_end(place):
    rows = fabricate.ffpp_videos(TWO, ["FaceSwap"])
    fabricate.write_scan(place.store, rows)
    filled(place, [attempt(row, 2) for row in rows if row["name"] != "071_054"])
    lint = lints(place.pin("SELECT sample_id FROM faces", "part"))["not_curated"]
    assert (lint.severity, lint.examples) == ("warning", ["ffpp/FaceSwap/c23/071_054"])
    assert "not_curated" not in lints(place.pin("SELECT sample_id FROM faces WHERE official_split = 'test'", "rest"))
