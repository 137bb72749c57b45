"""DeepFakeDetection: counts per scene where names are unknown, and the names that follow all the same."""

import random
import string

import pytest

from curation.sources import LayoutError, open_source
from tests.curation.sources.trees import rows, touch

PUBLISHED = """
exit_phone_room 28/218, hugging_happy 16/164, kitchen_pan 27/236, kitchen_still 26/199,
meeting_serious 4/53, outside_talking_pan_laughing 28/263, outside_talking_still_laughing 27/241,
podium_speech_happy 28/229, secret_conversation 18/164, talking_against_wall 27/233, talking_angry_couch 22/176,
walk_down_hall_angry 28/248, walking_and_outside_surprised 15/124, walking_down_indoor_hall_disgust 15/106,
walking_down_street_outside_angry 28/201, walking_outside_cafe_disgusted 26/213
"""
COUNTS = {
    scene: tuple(int(count) for count in counts.split("/"))
    for scene, counts in (entry.split() for entry in PUBLISHED.split(","))
}


def dfd(root, quality="c23", masks=True, scenes=tuple(COUNTS)):
    """A copy with as many names per scene as were published, every fake with an original."""
    draw = random.Random(7)
    originals, fakes = [], []
    for scene in scenes:
        real, fake = COUNTS[scene]
        actors = [f"{number:02d}" for number in sorted(draw.sample(range(1, 29), real))]
        originals += [f"{actor}__{scene}.mp4" for actor in actors]
        for number in range(fake):
            target = actors[number % real]
            source = draw.choice([f"{other:02d}" for other in range(1, 29) if f"{other:02d}" != target])
            suffix = "".join(draw.choices(string.ascii_uppercase + string.digits, k=8))
            fakes.append(f"{target}_{source}__{scene}__{suffix}.mp4")
    touch(root / "original_sequences" / "actors" / quality / "videos", originals)
    touch(root / "manipulated_sequences" / "DeepFakeDetection" / quality / "videos", fakes)
    if masks:
        touch(root / "manipulated_sequences" / "DeepFakeDetection" / "masks" / "videos", fakes)
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return open_source("dfd", dfd(tmp_path_factory.mktemp("whole")))


@pytest.fixture
def tree(tmp_path):
    """Three of the scenes: one with few actors, one with most, one with all."""
    return dfd(tmp_path, masks=False, scenes=("meeting_serious", "kitchen_pan", "podium_speech_happy"))


VIDEOS = 4 + 53 + 27 + 236 + 28 + 229  # in the three scenes


def test_a_whole_copy_is_complete(whole):
    source = whole
    assert sum(video.label == 0 for video in source.videos) == 363
    assert sum(video.label == 1 for video in source.videos) == 3068
    table = rows(source)
    for scene, counts in COUNTS.items():
        for method, count in zip(("original", "DeepFakeDetection"), counts, strict=True):
            row = table[method, "c23", scene]
            assert (row.expected, row.found, row.complete) == (count, count, True)
    assert len(table) == 2 * 16 + 1
    assert table["DeepFakeDetection", "masks"].complete


def test_labels_identities_and_originals(whole):
    for video in whole.videos:
        assert (video.dataset, video.official_split) == ("dfd", None)
        if video.label == 0:
            assert (video.method, video.category) == ("original", "real")
            assert video.target_id == video.visible_id == f"dfd:{video.name[:2]}"
            continue
        target, source = video.name[:2], video.name[3:5]
        scene = video.name.split("__")[1]
        assert (video.method, video.category) == ("DeepFakeDetection", "swap")
        assert (video.target_id, video.source_id, video.visible_id) == (
            f"dfd:{target}",
            f"dfd:{source}",
            f"dfd:{source}",
        )
        assert video.original_video == f"dfd/original/c23/{target}__{scene}"
        assert video.mask_path == f"manipulated_sequences/DeepFakeDetection/masks/videos/{video.name}.mp4"


def test_a_removed_fake_is_missed_by_count_and_nobody_knows_its_name(tree):
    folder = tree / "manipulated_sequences" / "DeepFakeDetection" / "c23" / "videos"
    next(folder.glob("*__meeting_serious__*")).unlink()
    row = rows(open_source("dfd", tree))["DeepFakeDetection", "c23", "meeting_serious"]
    assert (row.expected, row.found, row.missing, row.unnamed, row.complete) == (53, 52, [], 1, False)


@pytest.mark.parametrize("scene", ["podium_speech_happy", "meeting_serious"])
def test_a_removed_original_is_missed_by_name(tree, scene):
    folder = tree / "original_sequences" / "actors" / "c23" / "videos"
    victim = next(folder.glob(f"*__{scene}.mp4"))
    victim.unlink()
    row = rows(open_source("dfd", tree))["original", "c23", scene]
    assert (row.missing, row.unnamed, row.complete) == ([victim.name], 0, False)


def test_a_scene_with_all_actors_needs_every_name_even_without_fakes(tree):
    folder = tree / "original_sequences" / "actors" / "c23" / "videos"
    (folder / "28__podium_speech_happy.mp4").unlink()
    for fake in (tree / "manipulated_sequences" / "DeepFakeDetection").rglob("*.mp4"):
        fake.unlink()
    table = rows(open_source("dfd", tree))
    assert table["original", "c23", "podium_speech_happy"].missing == ["28__podium_speech_happy.mp4"]
    assert table["original", "c23", "kitchen_pan"].missing == []


def test_more_fakes_than_published_are_a_surplus(tree):
    folder = tree / "manipulated_sequences" / "DeepFakeDetection" / "c23" / "videos"
    touch(folder, ["01_02__kitchen_pan__AAAAAAAA.mp4"])
    row = rows(open_source("dfd", tree))["DeepFakeDetection", "c23", "kitchen_pan"]
    assert (row.found, row.surplus, row.complete) == (237, 1, False)


@pytest.mark.parametrize(
    "name",
    [
        "01_02__kitchen_pan__short.mp4",
        "01_29__kitchen_pan__ABCDEFGH.mp4",
        "01_01__kitchen_pan__ABCDEFGH.mp4",
        "01_02__kitchen_pen__ABCDEFGH.mp4",
        "01_02__kitchen_pan__ABCDEFGH.avi",
        "01__kitchen_pan.mp4",
    ],
)
def test_names_outside_the_published_naming_are_named_and_not_read(tree, name):
    touch(tree / "manipulated_sequences" / "DeepFakeDetection" / "c23" / "videos", [name])
    source = open_source("dfd", tree)
    assert rows(source)["DeepFakeDetection", "c23", "no scene"].unexpected == [name]
    assert len(source.videos) == VIDEOS


def test_without_masks_a_note_says_what_that_means(tree, whole):
    assert any("no masks" in note for note in open_source("dfd", tree).notes)
    assert not any("no masks" in note for note in whole.notes)


def test_it_shares_the_tree_of_ffpp(tree):
    touch(tree / "original_sequences" / "youtube" / "c23" / "videos", ["000.mp4"])
    source = open_source("dfd", tree)
    assert source.datasets == ["dfd"]
    assert len(source.videos) == VIDEOS
    assert source.warnings == [warning for warning in source.warnings if "empty" in warning]
    assert open_source("faceforensics", tree).datasets == ["ffpp"]


def test_only_one_of_its_folders_is_read_with_a_warning(tmp_path):
    touch(tmp_path / "original_sequences" / "actors" / "c40" / "videos", ["01__kitchen_pan.mp4"])
    source = open_source("dfd", tmp_path)
    assert [video.video_id for video in source.videos] == ["dfd/original/c40/01__kitchen_pan"]
    assert "no folder manipulated_sequences/DeepFakeDetection" in source.warnings


def test_an_ffpp_tree_without_dfd_is_an_error_that_names_the_adapter(tmp_path):
    touch(tmp_path / "original_sequences" / "youtube" / "c23" / "videos", ["000.mp4"])
    with pytest.raises(LayoutError, match="deepshard scan faceforensics"):
        open_source("dfd", tmp_path)
