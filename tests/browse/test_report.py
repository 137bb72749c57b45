"""A report holds everything in itself, and is no larger than it may be."""

import re

import pytest

from browse import report
from browse.place import Place
from queries.errors import PinnedError


@pytest.fixture(scope="module")
def place(trained) -> Place:
    return Place(trained.folder / "catalog.duckdb", trained.folder / "store", explained=trained.folder / "explained")


@pytest.mark.parametrize(("name", "said"), [("f2f_train", "Composition"), ("first", "The mistakes it is surest of")])
def test_a_report_asks_for_nothing(place, tmp_path, name, said):
    path = report.report(place, name, tmp_path / "deep" / "report.html")
    text = path.read_text()
    assert said in text and "data:image/jpeg;base64," in text and "<svg" in text
    assert all(source.startswith("data:image/") for source in re.findall(r'(?:src|href)="([^"]*)"', text))
    assert not re.search(r"<script|https?://|@import|url\(", text)
    assert "default-src 'none'" in text
    assert str(place.catalog.parent) not in text


def test_pictures_end_where_the_file_has_its_size(place, tmp_path, monkeypatch):
    whole = report.report(place, "f2f_train", tmp_path / "whole.html").read_text()
    monkeypatch.setattr(report, "_BYTES", 100_000)
    small = report.report(place, "f2f_train", tmp_path / "small.html").read_text()
    assert len(small) < len(whole)
    assert sum(map(len, re.findall(r'src="(data:[^"]*)"', small))) <= 100_000
    assert "further pictures had no room" in small and "had no room" not in whole


def test_a_name_of_nothing_is_told(place, tmp_path):
    with pytest.raises(PinnedError, match="no run nonsense .* no pinned split nonsense"):
        report.report(place, "nonsense", tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
