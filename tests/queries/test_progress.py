"""How far a curation is: every video counted once, the newest word counts, and faces missed in one class are said."""

from datetime import timedelta

import pyarrow as pa
import pytest

from queries.progress import FINISHED, Progress, progress, recipes
from tests.queries import fabricate
from tests.queries.fabricate import NOON, RECIPE, ffpp_videos


def row(video: dict, with_face: int, minute: int = 0, wanted: int = 10, reason: str | None = None) -> dict:
    return {
        "video_id": video["video_id"],
        "status": "done" if with_face else "no_face",
        "reason": None if with_face else reason or "no face",
        "frames_wanted": wanted,
        "frames_with_face": with_face,
        "faces": with_face,
        "attempted_at": NOON + timedelta(minutes=minute),
    }


def ask(place, rows: list[dict]) -> Progress:
    return progress(place.catalog, RECIPE, pa.Table.from_pylist(rows, schema=FINISHED))


@pytest.fixture
def scanned(place):
    """Videos that nobody has curated."""
    fabricate.write_scan(place.store, ffpp_videos())
    fabricate.write_recipe(place.store)
    place.ingest()
    return place


def test_of_the_catalog_alone(ffpp):
    found = ask(ffpp, [])
    assert recipes(ffpp.catalog) == {RECIPE: "default"}
    videos = len(ffpp_videos())
    assert found.count("videos") == videos
    assert [found.count(column) for column in ("done", "no_face", "failed", "left")] == [videos - 2, 2, 0, 0]
    assert found.count("faces") == (videos - 2) * 20
    assert [(line.status, line.videos) for line in found.failures] == [("no_face", 2)]


@pytest.mark.parametrize("finished", [0, 1, 30])
def test_what_is_finished_on_disk_counts_as_if_it_were_in_the_catalog(scanned, finished):
    videos = ffpp_videos()
    found = ask(scanned, [row(video, 5, minute) for minute, video in enumerate(videos[:finished])])
    assert found.count("left") == len(videos) - finished
    assert found.count("done") == finished
    assert found.count("faces") == 5 * finished
    if finished > 1:  # one a minute, of the last quarter of an hour
        assert found.per_hour == pytest.approx(15 / 14 * 60)
        assert found.hours_left == pytest.approx(found.count("left") / found.per_hour)
    else:
        assert found.per_hour is None and found.hours_left is None


def test_a_video_in_both_is_counted_once_by_its_newest_word(ffpp):
    video = ffpp_videos()[0]
    before = ask(ffpp, []).count("no_face")
    found = ask(ffpp, [row(video, 0, minute=5)])
    assert found.count("no_face") == before + 1
    assert found.count("videos") == len(ffpp_videos())
    assert ask(ffpp, [row(video, 0, minute=-5)]).count("no_face") == before


@pytest.mark.parametrize(("real", "fake", "told"), [(10, 10, False), (10, 7, True), (7, 10, True), (7, 7, False)])
def test_faces_missed_in_one_class_only_are_said(scanned, real, fake, told):
    videos = ffpp_videos()
    found = ask(scanned, [row(video, fake if video["label"] else real) for video in videos])
    methods = {video["method"] for video in videos if video["label"]}
    assert {line.method for line in found.misses} == (methods if told else set())
    for line in found.misses:
        assert (line.missed, line.missed_real) == pytest.approx((1 - fake / 10, 1 - real / 10))


def test_a_difference_within_chance_is_not_said(scanned):
    rows = [row(video, 10 - number % 5) for number, video in enumerate(ffpp_videos())]
    assert ask(scanned, rows).misses == []
