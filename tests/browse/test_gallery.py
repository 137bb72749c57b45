"""Pages of an answer: what is looked at first changes no page."""

import pytest

from browse import gallery
from browse.filters import Filters
from browse.place import Place


@pytest.fixture(scope="module")
def place(trained) -> Place:
    return Place(trained.folder / "catalog.duckdb", trained.folder / "store")


@pytest.mark.parametrize("chosen", [Filters(), Filters(method=("Face2Face",), label=1), Filters(dataset=("nowhere",))])
def test_shuffled_pages_are_those_of_the_query_however_few_faces_are_looked_at_first(place, chosen, monkeypatch):
    asked = []
    real = gallery.page

    def counting(place, sql, offset, size):
        asked.append("draw_key <" in sql)
        return real(place, sql, offset, size)

    monkeypatch.setattr(gallery, "page", counting)
    for spare in (1, 4, 1 << 40):
        monkeypatch.setattr(gallery, "_SPARE", spare)
        for offset in (0, 7, 95):
            found = gallery.page_of_filters(place, chosen, None, offset, 12)
            assert found == real(place, chosen.sql(), offset, 12)
    assert True in asked and False in asked
