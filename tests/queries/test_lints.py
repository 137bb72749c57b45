"""Pinning says what a split may trip over: each lint finds its fault, and is silent where there is none."""

import pytest

from queries.errors import SplitError
from tests.queries import fabricate
from tests.queries.fabricate import attempt, write_pack

TEST_SIDE = """-- Face2Face, test side
-- param n: 4  (frames per video)
WITH test AS (
    SELECT * FROM faces_or_none WHERE official_split = 'test' AND method IN ('Face2Face', 'original')
)
SELECT sample_id, video_id FROM frames_per_video(test, n := $n)
"""

pytestmark = pytest.mark.usefixtures("no_child")


def lints(pinned):
    return {lint.rule: lint for lint in pinned.lints}


def test_a_split_without_a_fault_has_no_errors_and_no_warnings(place):
    pairs = {"train": [(f"{2 * i:03d}", f"{2 * i + 1:03d}") for i in range(20)]}
    videos = [{**row, "bytes": 1000 + i // 2} for i, row in enumerate(fabricate.ffpp_videos(pairs, ["FaceSwap"]))]
    fabricate.make_store(place.store, videos, faces=6)
    place.ingest()
    pinned = place.pin("SELECT sample_id FROM faces", strict=True)
    assert [lint for lint in pinned.lints if lint.severity != "note"] == []


def test_strict_refuses_warnings_and_pins_nothing(ffpp):
    with pytest.raises(
        SplitError, match="is not pinned, strict finds .*warning label_balance: there is only one class"
    ):
        ffpp.pin("SELECT sample_id FROM faces WHERE method = 'FaceSwap'", "strict", strict=True)
    assert not list((ffpp.store / "splits").glob("strict@*"))


@pytest.mark.parametrize(
    ("fakes", "severity", "said"),
    [
        (1, "warning", "280 real and 1,400|260 real and 1,360"),
        (0, "warning", "there is only one class: 260 real and 0 fake"),
    ],
)
def test_unequal_classes_are_said(ffpp, fakes, severity, said):
    pinned = ffpp.pin(f"SELECT sample_id FROM faces WHERE label = 0 OR {fakes}", "unequal")
    lint = lints(pinned)["label_balance"]
    assert lint.severity == severity
    assert lint.message.startswith("there is only one class" if not fakes else "260 real and 1380 fake")


def test_videos_without_a_face_that_are_not_listed_are_said(ffpp):
    sql = "SELECT sample_id FROM faces WHERE official_split = 'test' AND method IN ('Face2Face', 'original')"
    lint = lints(ffpp.pin(sql, "unlisted"))["unlisted_faceless"]
    assert (lint.severity, lint.count) == ("warning", 2)
    assert lint.examples[0] == "ffpp/Face2Face/c23/953_974: no face in any of 10 frames"
    assert "unlisted_faceless" not in lints(ffpp.pin(TEST_SIDE, "listed"))
    other = "SELECT sample_id FROM faces WHERE official_split = 'test' AND method = 'FaceSwap'"
    assert "unlisted_faceless" not in lints(ffpp.pin(other, "other"))


def test_a_deleted_shard_is_an_error_even_before_the_next_ingest(place):
    fabricate.make_store(place.store, faces=2)
    place.ingest()
    gone = sorted((place.store / "shards").glob("*.tar"))[0]
    gone.unlink()
    lint = lints(place.pin("SELECT sample_id FROM faces"))["missing_shard"]
    assert (lint.severity, lint.count, lint.examples) == ("error", 84, [f"{gone.name}: missing"])


def test_unequal_faces_per_video_are_said_and_weigh_more_if_the_label_decides(ffpp):
    even = ffpp.pin("SELECT sample_id FROM faces WHERE method = 'FaceSwap' OR label = 0", "even")
    assert "faces_per_video" not in lints(even)
    sql = "SELECT sample_id FROM faces WHERE (method = 'FaceSwap' AND frame_index < 100) OR label = 0"
    assert lints(ffpp.pin(sql, "by_label"))["faces_per_video"].severity == "warning"
    sql = "SELECT sample_id FROM faces WHERE method = 'FaceSwap' AND (frame_index > 0 OR target_id = 'ffpp:071')"
    assert lints(ffpp.pin(sql, "one"))["faces_per_video"].severity == "note"


def test_a_yield_that_depends_on_the_label_is_said_by_method(place):
    rows = fabricate.ffpp_videos(methods=["FaceSwap"])
    made = [attempt(row, 8, frames_wanted=8 if row["label"] else 10) for row in rows]
    write_pack(place.store, "p-000000", made)
    place.ingest()
    lint = lints(place.pin("SELECT sample_id FROM faces"))["face_yield"]
    assert lint.severity == "warning"
    assert "80.0% of the frames of real and 100.0% of fake" in lint.message
    assert lint.examples == ["ffpp/original: 80.0%", "ffpp/FaceSwap: 100.0%"]


@pytest.mark.parametrize(
    ("column", "real", "fake", "called"),
    [
        ("codec", "h264", "vp9", "codec"),
        ("codec", None, "vp9", "codec"),
        ("width", 640, 320, "width"),
        ("fps", 25.0, 29.97, "fps"),
        ("fps", 30.0, None, "fps"),
        ("bytes", 1000, 900, "bytes of the file"),
    ],
)
def test_metadata_that_tells_the_label_is_said_with_its_area_under_the_curve(place, column, real, fake, called):
    rows = fabricate.ffpp_videos(methods=["FaceSwap"])
    made = [attempt({**row, "bytes": 5}, 3) | {column: fake if row["label"] else real} for row in rows]
    write_pack(place.store, "p-000000", made)
    place.ingest()
    lint = lints(place.pin("SELECT sample_id FROM faces"))["telling_metadata"]
    assert lint.severity == "warning"
    assert lint.message.startswith(f"{called} alone tells real from fake with an area under the curve of 1.0")


def test_the_area_under_the_curve_is_that_of_scikit_learn(place):
    from sklearn.metrics import roc_auc_score

    rows = fabricate.ffpp_videos(methods=["FaceSwap"])
    made = [attempt(row, 4) | {"width": 600 + (i * 7) % 5 * 10 + 20 * row["label"]} for i, row in enumerate(rows)]
    write_pack(place.store, "p-000000", made)
    place.ingest()
    expected = roc_auc_score([row["label"] for row in made], [row["width"] for row in made])
    assert expected > 0.6
    lint = lints(place.pin("SELECT sample_id FROM faces"))["telling_metadata"]
    assert f"width: {round(expected, 3)}" in lint.examples


def test_one_file_under_two_names_is_said_and_is_an_error_if_the_labels_differ(place):
    rows = fabricate.ffpp_videos(methods=["FaceSwap"])
    same = "a" * 64
    doubled = {"ffpp/FaceSwap/c23/071_054", "ffpp/FaceSwap/c23/054_071"}
    made = [attempt(row, 2) | ({"content": same} if row["video_id"] in doubled else {}) for row in rows]
    write_pack(place.store, "p-000000", made)
    place.ingest()
    lint = lints(place.pin("SELECT sample_id FROM faces"))["same_content"]
    assert (lint.severity, lint.count) == ("warning", 1)
    assert lint.examples == ["ffpp/FaceSwap/c23/054_071 = ffpp/FaceSwap/c23/071_054"]
    fabricate.write_corrections(place.store, [("ffpp/FaceSwap/c23/071_054", "label", "0", 1)])
    place.ingest()
    assert lints(place.pin("SELECT sample_id FROM faces"))["same_content"].severity == "error"


def test_fakes_without_a_partner_beside_others_with_one_are_said(ffpp):
    sql = """WITH fakes AS (SELECT * FROM faces WHERE method = 'FaceSwap' AND official_split = 'test')
        SELECT sample_id, partner_id FROM with_partner(fakes)"""
    lint = lints(ffpp.pin(sql, "pairs"))["missing_partner"]
    assert (lint.severity, lint.count) == ("warning", 20)  # the original 026 has no face
