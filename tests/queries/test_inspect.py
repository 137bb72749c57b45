"""The summary of a catalog counts what is there, by method and label."""

import pytest

from queries import inspect
from queries.ingest import ingest_source
from tests.queries import fabricate
from tests.queries.fabricate import attempt, video, write_pack


def test_videos_and_yield_are_counted_by_method_quality_and_label(ffpp):
    found = inspect.summary(ffpp.catalog)
    (source,) = found.sources
    assert (source.source, source.adapter, source.videos, source.redistributable) == (
        "ffpp",
        "faceforensics",
        84,
        False,
    )
    assert source.scanned_at == "2026-01-01 12:00 UTC"
    videos = {(line.method, line.quality, line.label): line for line in found.videos}
    swaps = videos["FaceSwap", "c23", 1]
    assert (swaps.videos, swaps.in_scan, swaps.train, swaps.val, swaps.test) == (14, 14, 8, 2, 4)
    yields = {line.method: line for line in found.yields}
    face2face = yields["Face2Face"]
    assert (face2face.done, face2face.no_face, face2face.failed, face2face.faces) == (13, 1, 0, 260)
    assert face2face.face_yield == pytest.approx(260 / 270)
    assert yields["FaceSwap"].face_yield == 1.0
    assert [(line.reason, line.videos) for line in found.reasons] == [("no face in any of 10 frames", 2)]
    (recipe,) = found.recipes
    assert (recipe.recipe, recipe.faces, recipe.shards, recipe.lost) == ("default", 1640, 2, 0)
    (people,) = found.identities
    assert (people.identities, people.components, people.largest, people.videos_of_nobody) == (14, 7, 2, 0)
    assert found.counts["samples"] == 1640


def test_videos_that_were_not_tried_yet_are_counted(place):
    path = fabricate.write_scan(place.store, fabricate.ffpp_videos())
    ingest_source(place.catalog, path)
    assert inspect.summary(place.catalog).yields == []
    write_pack(place.store, "p-000000", [attempt(video("FaceSwap", "071_054", 1), 0, status="failed", reason="hung")])
    place.ingest()
    lines = {line.method: line for line in inspect.summary(place.catalog).yields}
    assert (lines["FaceSwap"].untried, lines["FaceSwap"].failed) == (13, 1)
    assert lines["Face2Face"].untried == 14


def test_people_who_all_meet_are_one_component(place):
    fabricate.make_store(place.store, fabricate.celebdf_videos("v2", people=5), faces=1)
    place.ingest()
    (people,) = inspect.summary(place.catalog).identities
    assert (people.identities, people.components, people.largest, people.videos_of_nobody) == (5, 1, 5, 3)


def test_completeness_has_names_and_counts(place):
    folder = {"dataset": "ffpp", "method": "FaceSwap", "quality": "c23", "expected": 16, "found": 14}
    scenes = {"dataset": "dfd", "method": "original", "quality": "c23", "expected": 28, "found": 20, "part": "podium"}
    completeness = [{**folder, "missing": ["b", "a"], "unexpected": []}, {**scenes, "missing": [], "unexpected": ["x"]}]
    ingest_source(place.catalog, fabricate.write_scan(place.store, fabricate.ffpp_videos(), completeness=completeness))
    dfd, ffpp = inspect.completeness(place.catalog)
    assert (ffpp.missing, ffpp.unexpected, ffpp.unnamed, ffpp.expected, ffpp.found) == (["a", "b"], [], 0, 16, 14)
    assert (dfd.part, dfd.missing, dfd.unexpected, dfd.unnamed) == ("podium", [], ["x"], 8)


def test_an_empty_catalog_has_an_empty_summary(place):
    place.store.mkdir()
    place.ingest()
    found = inspect.summary(place.catalog)
    assert (found.sources, found.videos, found.yields, found.identities) == ([], [], [], [])
    assert inspect.figures(place.catalog) == [] == inspect.completeness(place.catalog)
