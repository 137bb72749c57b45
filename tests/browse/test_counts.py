"""Counts are those of the whole answer, and an area is what scikit-learn says of the same bins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from browse import counts
from browse.place import BrowseError, Place
from queries.catalog import connect_read


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_the_area_is_that_of_the_roc_curve(bins):
    labels = np.repeat(np.tile([0, 1], len(bins)), [count for pair in bins for count in pair])
    values = np.repeat(np.repeat(np.arange(len(bins)), 2), [count for pair in bins for count in pair])
    found = counts.area_of(bins)
    if len(set(labels.tolist())) < 2:
        assert found is None
    else:
        area = roc_auc_score(labels, values)
        assert found == pytest.approx(max(area, 1 - area))


@pytest.fixture(scope="module")
def place(trained) -> Place:
    return Place(trained.folder / "catalog.duckdb", trained.folder / "store")


def test_every_face_is_in_one_bar_of_each_distribution(place):
    with connect_read(place.catalog) as db:
        (reals, fakes), *_ = db.execute("SELECT count(*) FILTER (label = 0), sum(label) FROM faces").fetchall()
        methods = db.execute("SELECT method, count(*) FROM faces GROUP BY ALL").fetchall()
    for sql in ("SELECT sample_id FROM faces", "SELECT * FROM faces", "SELECT DISTINCT sample_id, 1 AS x FROM faces"):
        found = counts.counts(place, sql)
        assert (found.faces, found.real, found.fake) == (reals + fakes, reals, fakes)
        for one in found.distributions:
            if not one.hidden:
                assert sum(real + fake for _, real, fake in one.bars) + one.unknown == found.faces, one.name
        (method,) = (one for one in found.distributions if one.name == "method")
        assert {name: real + fake for name, real, fake in method.bars} == dict(methods)


def test_of_what_names_no_face_there_are_no_counts(place):
    with pytest.raises(BrowseError, match="let the query return sample_id"):
        counts.counts(place, "SELECT video_id FROM videos")


def test_a_split_is_counted_with_the_labels_that_it_has_pinned(place):
    found = counts.counts_of_split(place.catalog, place.store, "f2f_train")
    assert (found.faces, found.real, found.fake) == (24, 12, 12)
