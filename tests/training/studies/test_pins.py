"""A study's splits: pinned once and kept, refused where another query is behind them, checked in pairs."""

from dataclasses import replace

import pytest

from queries.ingest import ingest_store
from tests.training.conftest import make_sets
from training.studies.config import Detector, Meant, SplitOf, Study, StudyError, TrainingSet
from training.studies.pins import check_splits, find_pin, pin_splits
from training.studies.plan import plan

QUERY = """-- Some videos
-- param name: '003'  (of the videos)

SELECT sample_id FROM faces WHERE contains(video_id, $name)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pins")
    sets = make_sets(folder / "store")
    sets.pin("other", ["003"], methods=("swapped",))
    ingest_store(folder / "catalog.duckdb", folder / "store")
    (folder / "some.sql").write_text(QUERY)
    (folder / "toy.yaml").write_text("detector: {name: toy}\n")
    return folder


@pytest.fixture
def study(place) -> Study:
    pinned = {name: SplitOf(pinned=name) for name in ("train", "val", "test", "other")}
    return Study(
        place / "study.yaml", "s", {**pinned, "some": SplitOf("some.sql", {"name": "002"})},
        {"Demo": TrainingSet(1, "train", "other", "test")}, {"Some": "some"}, {"Toy": Detector(place / "toy.yaml")},
        modes=["base"],
    )  # fmt: skip


def test_a_split_is_pinned_once_then_kept_and_another_query_is_refused(place, study):
    said: list[str] = []
    first = pin_splits(study, ["some"], place / "catalog.duckdb", place / "store", said.append)
    again = pin_splits(study, ["some"], place / "none.duckdb", place / "store", said.append)  # asks no catalog
    assert first == again and first["some"].label.startswith("s-some@")
    assert said[0].startswith("pinned s-some@") and said[-1].startswith("kept s-some@")

    other = replace(study, splits={**study.splits, "some": SplitOf("some.sql", {"name": "001"})})
    with pytest.raises(
        StudyError, match="name was '002', is '001'.*give the study another name, or move this file away"
    ):
        find_pin(other, "some", place / "store")
    (place / "some.sql").write_text(QUERY.replace("contains", "starts_with"))
    try:
        with pytest.raises(StudyError, match="its SQL is another text"):
            find_pin(study, "some", place / "store")
    finally:
        (place / "some.sql").write_text(QUERY)


def test_parameters_of_the_study_reach_the_queries_that_take_them(place, study):
    common = replace(study, splits={"some": SplitOf("some.sql")}, params={"name": "003", "seed": 1}, name="common")
    pins = pin_splits(common, ["some"], place / "catalog.duckdb", place / "store", lambda line: None)
    assert pins["some"].faces == find_pin(study, "test", place / "store").faces


def test_what_splits_share_is_told_and_what_is_meant_is_named_so(place, study):
    pins = {name: find_pin(study, name, place / "store") for name in ("train", "other", "test")}
    runs = [replace(run, tests={"original": "test"}) for run in plan(study)]
    found = check_splits(study, runs, place / "catalog.duckdb", pins)
    shared = [one for one in found if one.finding.rule == "shared_videos"]
    assert [one.why for one in shared] == [None] and shared[0].finding.severity == "error"
    assert {pins["train"].label} & {side for one in shared for side in one.finding.splits} == set()

    meant = replace(study, meant=[Meant(["test"], ["other"], ["shared_videos"], "they are one")])
    found = check_splits(meant, runs, place / "catalog.duckdb", pins)
    assert {one.finding.rule for one in found if one.why == "they are one"} == {"shared_videos"}
