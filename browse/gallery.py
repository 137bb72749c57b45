"""The answer of a query, a page at a time: as faces where it names them, as rows where it does not."""

import datetime
import decimal
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from browse import faces
from browse.faces import Face
from browse.filters import Filters
from browse.place import Place

SIZE = 60  # of a page
_KEYS = 1 << 63  # draw_keys there are
_SPARE = 64  # as many faces as a page needs are looked at first, so that filters may keep one of them
_WIDEST = 300  # characters of a cell


@dataclass(frozen=True)
class Page:
    """Rows ``offset`` and on. ``faces``: as many as rows, None where no face of the catalog has that name."""

    columns: list[str]
    rows: list[list[str]]
    faces: list[Face | None] | None
    offset: int
    more: bool

    @property
    def after(self) -> int:
        """Where the next page begins."""
        return self.offset + len(self.rows)


def page_of_filters(
    place: Place, chosen: Filters, card: dict[str, Any] | None, offset: int = 0, size: int = SIZE
) -> Page:
    """The same of what filters stand for. ``card``: that of their pinned split. Raises as ``page`` does.

    Shuffled faces are in the order of their draw_keys, which are as random as a hash: those with the smallest ones are
    asked for first, so that a page does not sort ten million.
    """
    if chosen.order == "shuffled":
        with place.look() as db:
            ((all_faces,),) = db.execute("SELECT count(*) FROM sample_rows").fetchall()
        if (looked_at := _SPARE * (offset + size + 1)) < all_faces:
            found = page(place, chosen.sql(card, below=_KEYS * looked_at // all_faces), offset, size)
            if found.more:
                return found
    return page(place, chosen.sql(card), offset, size)


def page(place: Place, sql: str, offset: int = 0, size: int = SIZE) -> Page:
    """A page of the answer of one SELECT. Raises SqlError, CatalogError, CatalogBusy."""
    found = place.page(sql, offset, size)
    answer = found.table
    named = "sample_id" in answer.column_names and pa.types.is_string(answer.schema.field("sample_id").type)
    rows = [list(row.values()) for row in answer.to_pylist()]
    return Page(
        columns=answer.column_names,
        rows=[[cell(value) for value in row] for row in rows],
        faces=_faces(place, answer) if named else None,
        offset=offset,
        more=found.more,
    )


def _faces(place: Place, answer: pa.Table) -> list[Face | None]:
    ids = answer["sample_id"].to_pylist()
    with place.look() as db:
        known = faces.by_id(db, [one for one in ids if one is not None])
    beside = [name for name in answer.column_names if name not in ("sample_id", "score")]
    scores = answer["score"].to_pylist() if "score" in answer.column_names else [None] * len(ids)
    others: list[dict[str, Any]] = answer.select(beside).to_pylist() if beside else [{} for _ in ids]
    found: list[Face | None] = []
    for one, score, other in zip(ids, scores, others, strict=True):
        face = known.get(one)
        if face is not None:
            score = float(score) if isinstance(score, int | float | decimal.Decimal) else None
            face = Face(**{**vars(face), "score": score, "more": {name: cell(value) for name, value in other.items()}})
        found.append(face)
    return found


def cell(value: Any) -> str:
    """A value as a page shows it, cut where it is long."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, list):
        value = ", ".join(map(cell, value[:50]))
    text = str(value)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"
