"""Counts and distributions of an answer, real beside fake, so that what tells them apart without looking is seen.

One pass over the faces, into fixed bins: ten million rows need no more memory than ten. How well a column alone tells
the label is the area under its ROC curve, from these bins (Mann-Whitney, ties count half), either way round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browse.place import BrowseError, Place
from queries import manifest
from queries.catalog import connect_read
from queries.locate import locate, read_stems
from queries.pinned import find_pinned

_TOLD = 0.6  # from this area on a column is marked


@dataclass(frozen=True)
class Measure:
    """A column in bins: number ``i`` begins at ``edge(i)``; ``bin`` is SQL."""

    name: str
    bin: str
    edge: Callable[[int], float]
    unit: str = ""


MEASURES = [
    Measure("sharpness", "floor(4 * log2(1 + greatest(sharpness, 0)))", lambda i: 2 ** (i / 4) - 1),
    Measure("face size", "floor(6 * log2(greatest(face_px, 1)))", lambda i: 2 ** (i / 6), "px"),
    Measure("brightness", "floor(brightness / 8)", lambda i: 8 * i),
    Measure("yaw", "floor(greatest(least(yaw, 87), -90) / 3)", lambda i: 3 * i, "°"),
    Measure("pitch", "floor(greatest(least(pitch, 87), -90) / 3)", lambda i: 3 * i, "°"),
    Measure("roll", "floor(greatest(least(roll, 87), -90) / 3)", lambda i: 3 * i, "°"),
]
WORDS = ["dataset", "method", "quality", "official_split", "target_id"]
_FIGURES = ["sharpness", "face_px", "brightness", "yaw", "pitch", "roll"]
NEEDED = ["label", *WORDS, *_FIGURES]
_SHOWN = 14  # words of a column, the most frequent ones


@dataclass(frozen=True)
class Distribution:
    """``bars``: (what, real faces, fake faces); ``area``: 0.5 to 1, None with one class; ``hidden``: bars not shown.

    Where they are ``ordered`` a bar is a bin that begins at its name, and the last one ends at ``end``.
    """

    name: str
    unit: str
    ordered: bool
    bars: list[tuple[str, int, int]]
    area: float | None
    hidden: int
    unknown: int
    end: str = ""

    @property
    def tells(self) -> bool:
        return self.area is not None and self.area >= _TOLD


@dataclass(frozen=True)
class Counts:
    """Of a whole answer."""

    faces: int
    real: int
    fake: int
    distributions: list[Distribution]


def counts(place: Place, sql: str) -> Counts:
    """Of a query's answer: of its own columns if they are enough, else of those of the faces that it names.

    Raises SqlError, CatalogError, CatalogBusy.
    """
    columns = place.page(sql, 0, 0).table.column_names
    if set(NEEDED) <= set(columns):
        return _counted(place.ask(sql, _question("FROM answer")).to_pylist())
    if "sample_id" not in columns:
        raise BrowseError("counts are of faces: let the query return sample_id")
    relation = f"SELECT {', '.join(NEEDED)} FROM faces SEMI JOIN answer USING (sample_id)"
    return _counted(place.ask(sql, _question(relation)).to_pylist())


def counts_of_filters(place: Place, sql: str) -> Counts:
    """The same of a query that returns NEEDED."""
    return _counted(place.ask(sql, _question("FROM answer")).to_pylist())


def counts_of_split(catalog: Path, store: Path, ref: str) -> Counts:
    """Of a pinned split's faces, with the labels that it has pinned. Raises PinnedError, CatalogError, CatalogBusy.

    A split may be large: ask in a process aside.
    """
    table, _ = manifest.read(find_pinned(store, ref))
    with connect_read(catalog, config={"threads": "2", "memory_limit": "512MiB"}) as db:
        (numbers,) = locate(read_stems(db), table["sample_id"])
        db.register("members", numbers.append_column("label", table["label"]))
        relation = (
            f"SELECT m.label, {', '.join(f'v.{word}' for word in WORDS)}, {', '.join(_FIGURES)} FROM members m "
            "JOIN sample_rows s USING (attempt, frame_index, track) JOIN current_attempts v USING (attempt)"
        )
        return _counted(db.sql(_question(relation)).to_arrow_table().to_pylist())


def _question(relation: str) -> str:
    binned = [f"({measure.bin})::INTEGER AS bin_{i}" for i, measure in enumerate(MEASURES)]
    keys = _keys()
    which = " ".join(f"WHEN grouping({key}) = 0 THEN '{key}'" for key in keys)
    value = " ".join(f"WHEN grouping({key}) = 0 THEN {key}::VARCHAR" for key in keys)
    return f"""
        SELECT CASE {which} END AS key, CASE {value} END AS value,
               count(*) FILTER (label = 0) AS reals, count(*) FILTER (label = 1) AS fakes
        FROM (SELECT label, {", ".join(WORDS)}, {", ".join(binned)} FROM ({relation}))
        GROUP BY GROUPING SETS ({", ".join(f"({key})" for key in keys)})
        """


def _keys() -> list[str]:
    return [*WORDS, *(f"bin_{i}" for i in range(len(MEASURES)))]


def _counted(rows: list[dict[str, Any]]) -> Counts:
    found: dict[str, dict[str | None, tuple[int, int]]] = {key: {} for key in _keys()}
    for row in rows:
        found[row["key"]][row["value"]] = (row["reals"], row["fakes"])
    real, fake = (sum(pair[i] for pair in found["dataset"].values()) for i in range(2))
    shown = [_of_bins(measure, found[f"bin_{i}"]) for i, measure in enumerate(MEASURES)]
    shown += [_of_words(name, found[name]) for name in WORDS]
    return Counts(real + fake, real, fake, shown)


def _of_words(name: str, found: dict[str | None, tuple[int, int]]) -> Distribution:
    known = {word: pair for word, pair in found.items() if word is not None}
    by_share = sorted(found.values(), key=lambda pair: pair[1] / max(1, sum(pair)))
    often = sorted(known, key=lambda word: (-sum(known[word]), word))
    bars = [(word, *known[word]) for word in often[:_SHOWN]]
    # method says what a face is, and a person of one video has one label: only few and mixed words can be a shortcut
    area = area_of(by_share) if name in ("dataset", "quality", "official_split") else None
    title = {"official_split": "official split", "target_id": "target identity"}.get(name, name)
    return Distribution(title, "", False, bars, area, len(known) - len(bars), sum(found.get(None, (0, 0))))


def _of_bins(measure: Measure, found: dict[str | None, tuple[int, int]]) -> Distribution:
    known = {int(value): pair for value, pair in found.items() if value is not None}
    span = range(min(known), max(known) + 1) if known else range(0)
    edges = [f"{measure.edge(i):.0f}" for i in (*span, span.stop)]
    bars = [(edge, *known.get(i, (0, 0))) for edge, i in zip(edges, span, strict=False)]
    area = area_of([pair for _, *pair in bars])
    unknown = sum(found.get(None, (0, 0)))
    return Distribution(measure.name, measure.unit, True, bars, area, 0, unknown, edges[-1])


def area_of(pairs: Sequence[Sequence[int]]) -> float | None:
    """The area under the ROC curve of (reals, fakes) in order, at least 0.5; None where one class is missing."""
    reals, fakes = (sum(pair[i] for pair in pairs) for i in range(2))
    if not reals or not fakes:
        return None
    below = won = 0
    for real, fake in pairs:
        won += fake * (2 * below + real)
        below += real
    area = won / (2 * reals * fakes)
    return max(area, 1 - area)
