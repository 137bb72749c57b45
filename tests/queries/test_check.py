"""What two splits must not share is found, by face, video, footage, file and person."""

import pytest

from queries.check import check
from queries.errors import PinnedError
from tests.queries import fabricate
from tests.queries.fabricate import OTHER_RECIPE, attempt, video, write_pack

pytestmark = pytest.mark.usefixtures("no_child")

FAKES = "method IN ('FaceSwap', 'original')"


def found(place, *pins):
    return {finding.rule: finding for finding in check(place.catalog, [pinned.path for pinned in pins])}


def side(place, name, where):
    return place.pin(f"SELECT sample_id, video_id FROM faces_or_none WHERE {where}", name)


def test_the_official_sides_share_nothing(ffpp):
    train, val, test = (side(ffpp, name, f"{FAKES} AND official_split = '{name}'") for name in ("train", "val", "test"))
    assert check(ffpp.catalog, [train.path, val.path, test.path]) == []


def test_the_same_faces_are_found_and_so_is_all_that_follows(ffpp):
    val = side(ffpp, "val", f"{FAKES} AND official_split = 'val'")
    test = side(ffpp, "copy", f"{FAKES} AND official_split = 'val' AND frame_index < 50")
    rules = found(ffpp, val, test)
    assert rules.keys() == {"shared_faces", "shared_videos", "shared_footage", "shared_identities"}
    faces = rules["shared_faces"]
    assert (faces.severity, faces.count, faces.splits[0]) == ("error", 20, f"val@{val.hash[:12]}")
    assert faces.message == "20 of 80 and 20 faces are the same"


def test_other_frames_of_one_video_are_found(ffpp):
    early = side(ffpp, "early", "video_id = 'ffpp/FaceSwap/c23/071_054' AND frame_index < 50")
    late = side(ffpp, "late", "video_id = 'ffpp/FaceSwap/c23/071_054' AND frame_index >= 50")
    rules = found(ffpp, early, late)
    assert "shared_faces" not in rules
    assert rules["shared_videos"].examples == ["ffpp/FaceSwap/c23/071_054"]


def test_a_video_without_a_face_on_both_sides_is_found(ffpp):
    where = "video_id IN ('ffpp/original/c23/026', '{}')"
    one = side(ffpp, "one", where.format("ffpp/FaceSwap/c23/071_054"))
    other = side(ffpp, "other", where.format("ffpp/FaceSwap/c23/720_672"))
    assert found(ffpp, one, other)["shared_videos"].examples == ["ffpp/original/c23/026"]


def test_an_original_behind_a_fake_is_found(ffpp):
    fakes = side(ffpp, "fakes", "method = 'FaceSwap' AND official_split = 'train'")
    originals = side(ffpp, "originals", "method = 'original' AND official_split = 'train'")
    rules = found(ffpp, fakes, originals)
    assert "shared_videos" not in rules
    assert (rules["shared_footage"].severity, rules["shared_footage"].count) == ("error", 8)


@pytest.mark.parametrize("part", ["target_id", "source_id", "visible_id"])
def test_a_person_is_found_in_every_part(place, part):
    rows = [
        video("FaceSwap", name, 1, target_id=f"t{name}", source_id=f"s{name}", visible_id=f"v{name}") for name in "ab"
    ]
    rows[1] |= {part: "ta"}
    write_pack(place.store, "p-000000", [attempt(row, 2) for row in rows])
    place.ingest()
    rules = found(place, side(place, "a", "name = 'a'"), side(place, "b", "name = 'b'"))
    assert rules.keys() == {"shared_identities"}
    assert (rules["shared_identities"].severity, rules["shared_identities"].examples) == ("warning", ["ta"])


def test_one_file_under_two_names_is_found(place):
    rows = fabricate.celebdf_videos("v1", clips=1) + fabricate.celebdf_videos("v2", clips=1)
    same = {name: name[-1] * 64 for name in ("id0_0000", "id1_id2_0000")}
    made = [attempt(row, 2, **({"content": same[row["name"]]} if row["name"] in same else {})) for row in rows]
    write_pack(place.store, "p-000000", made)
    place.ingest()
    v1, v2 = side(place, "v1", "dataset = 'celebdf-v1'"), side(place, "v2", "dataset = 'celebdf-v2'")
    content = found(place, v1, v2)["shared_content"]
    assert (content.severity, content.count) == ("error", 1 if same["id0_0000"] == same["id1_id2_0000"] else 2)
    assert "celebdf-v1/Celeb-real/native/id0_0000 = celebdf-v2/Celeb-real/native/id0_0000" in content.examples
    assert found(place, v1, v2)["unknown_identities"].count == 3  # YouTube-real


def test_two_clips_of_one_youtube_video_are_found(place):
    rows = [video("original", name, 0, target_id=f"ffpp:{name}") for name in ("755", "756", "001")]
    write_pack(place.store, "p-000000", [attempt(row, 2) for row in rows])
    place.ingest()
    rules = found(place, side(place, "a", "name IN ('755', '001')"), side(place, "b", "name = '756'"))
    assert rules.keys() == {"known_relatives"}
    assert rules["known_relatives"].examples == ["ffpp:755 and ffpp:756"]


def test_two_recipes_are_said(place):
    fabricate.make_store(place.store, faces=1)
    fabricate.make_store(place.store, faces=1, recipe=OTHER_RECIPE, prefix="other")
    place.ingest()
    train = side(place, "train", "recipe = 'default' AND official_split = 'train'")
    test = side(place, "test", "recipe = 'other' AND official_split = 'test'")
    rules = found(place, train, test)
    assert rules.keys() == {"other_recipe"}
    assert "recipe default there and other here" in rules["other_recipe"].message


def test_videos_that_the_catalog_does_not_know_are_an_error(place, ffpp):
    fabricate.make_store(place.store, fabricate.celebdf_videos("v2"), faces=1)
    place.ingest()
    known = side(place, "known", "true")
    unknown = side(ffpp, "unknown", "method = 'FaceSwap'")
    rules = found(place, known, unknown)
    assert (rules["unknown_videos"].severity, rules["unknown_videos"].count) == ("error", 14)
    assert rules["unknown_videos"].splits == (f"unknown@{unknown.hash[:12]}",)


def test_fewer_than_two_or_twice_the_same_is_an_error(ffpp):
    pinned = side(ffpp, "one", "method = 'FaceSwap'")
    with pytest.raises(PinnedError, match="at least two"):
        check(ffpp.catalog, [pinned.path])
    with pytest.raises(PinnedError, match="given twice"):
        check(ffpp.catalog, [pinned.path, pinned.path])
    with pytest.raises(PinnedError, match="cannot be read"):
        check(ffpp.catalog, [pinned.path, ffpp.folder / "one.sql"])
