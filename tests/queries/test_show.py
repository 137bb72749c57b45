"""What is known of a video or a face is found by any name that means only one."""

import json

import pytest

from queries.catalog import connect_read
from queries.show import ShowError, as_json, faces_of, known

FAKE = "ffpp/Face2Face/c23/071_054"


@pytest.fixture(scope="module")
def sample_id(ffpp):
    with connect_read(ffpp.catalog) as db:
        return db.execute(
            "SELECT sample_id FROM faces WHERE video_id = ? ORDER BY frame_index LIMIT 1 OFFSET 3", [FAKE]
        ).fetchone()[0]


@pytest.mark.parametrize("name", [FAKE, "Face2Face/c23/071_054", "ce2Face/c23/071_05", FAKE + "/"])
def test_a_video_is_found_by_its_id_or_a_part_that_means_one(ffpp, name):
    found = known(ffpp.catalog, ffpp.store, name)
    assert found.video["video_id"] == FAKE and found.face is None


def test_a_face_is_found_by_its_id_its_key_and_a_part(ffpp, sample_id):
    for name in (sample_id, sample_id[18:], sample_id.partition("ffpp/")[2]):
        found = known(ffpp.catalog, ffpp.store, name)
        assert found.face["sample_id"] == sample_id and found.video["video_id"] == FAKE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("071_054", "071_054 means several videos, say which: ffpp/Deepfakes/c23/071_054, ffpp/Face2Face"),
        ("ffpp", "means several videos.*, \\.\\.\\.$"),
        ("nobody", "nothing in the catalog is called nobody"),
        ("nobody/000000-0", "no video in the catalog is called nobody"),
        (FAKE + "/999999-0", "has no face 999999-0"),
        ("00000000/00000000/" + FAKE + "/000000-0", "has no face 000000-0"),
        ("'; DROP TABLE videos; --", "nothing in the catalog"),
    ],
)
def test_a_name_that_means_none_or_several_is_an_error_with_candidates(ffpp, name, said):
    with pytest.raises(ShowError, match=said):
        known(ffpp.catalog, ffpp.store, name)


def test_a_fake_has_its_original_and_an_original_its_fakes(ffpp):
    fake = known(ffpp.catalog, ffpp.store, FAKE)
    assert fake.original["video_id"] == "ffpp/original/c23/071" and fake.original["faces"] == 20
    real = known(ffpp.catalog, ffpp.store, "ffpp/original/c23/071")
    assert FAKE in [one["video_id"] for one in real.fakes] and real.original is None
    assert all(one["label"] == 1 for one in real.fakes)


def test_a_video_without_a_face_says_why(ffpp):
    found = known(ffpp.catalog, ffpp.store, "ffpp/original/c23/026")
    (attempt,) = found.attempts
    assert attempt["status"] == "no_face" and attempt["reason"]
    assert faces_of(ffpp.catalog, "ffpp/original/c23/026") == []


def test_faces_come_in_order_of_time_with_their_bytes(ffpp):
    faces = faces_of(ffpp.catalog, FAKE)
    assert len(faces) == 20 == len({one["sample_id"] for one in faces})
    assert [one["frame_index"] for one in faces] == sorted(one["frame_index"] for one in faces)
    assert all(one["image_size"] > 0 and one["shard"] for one in faces)
    assert faces_of(ffpp.catalog, FAKE, "0" * 64) == []


def test_what_is_known_is_json(ffpp, sample_id):
    told = json.loads(as_json(known(ffpp.catalog, ffpp.store, sample_id)))
    assert told["face"]["sample_id"] == sample_id and told["attempts"][0]["current"]
