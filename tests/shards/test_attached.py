"""A store that is attached to an address: what says so, and who must not work on it."""

import pytest

from curation.recipe import load
from curation.repair import repair_store, verify_all
from curation.run import curate
from shards.attached import Attached, AttachedError, Place, read_attached, require_tars, write_attached
from shards.features import compute

THERE = Attached("hf://datasets/me/faces@0a1b", "me/faces", {"mine-000000": Place("data/mine/train", "aa", 1024)})


@pytest.fixture
def attached(tmp_path):
    (tmp_path / "shards").mkdir()
    write_attached(tmp_path / "shards", THERE)
    return tmp_path


def test_what_is_written_is_read_and_a_store_with_tars_is_not_attached(attached, tmp_path_factory):
    assert read_attached(attached / "shards") == THERE
    own = tmp_path_factory.mktemp("own")
    assert read_attached(own / "shards") is None
    require_tars(own)


def test_a_file_that_says_nothing_is_an_error_that_says_what_to_do(attached):
    (attached / "shards/remote.json").write_text('{"address": "x"}')
    with pytest.raises(AttachedError, match="run `deepshard attach` again"):
        read_attached(attached / "shards")


@pytest.mark.parametrize(
    "work",
    [
        lambda store: list(compute(store)),
        lambda store: verify_all(store / "catalog.duckdb", store),
        lambda store: repair_store(store / "catalog.duckdb", store),
        lambda store: curate(store / "catalog.duckdb", store, load("default", aligner="dlib")),
    ],
    ids=["features", "verify", "repair", "curate"],
)
def test_whoever_needs_the_tars_themselves_says_how_to_have_them(attached, work):
    before = sorted(attached.rglob("*"))
    with pytest.raises(AttachedError, match="deepshard pull me/faces --store FOLDER"):
        work(attached)
    assert sorted(attached.rglob("*")) == before
