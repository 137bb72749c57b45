"""The paper's tables 4 to 7 as rows of cells, each with the paper's figure: queries say which rows in which order.

Tables 6 and 7 are one for each training set that has specialised sets. What a table lacks (a detector that was not
trained, one that the paper lists and that loses less here) is said under it.
"""

from dataclasses import dataclass, field
from typing import Any

import duckdb

from training.studies.config import Study
from training.studies.measure import Measured, query

_NAMES = {
    "original": "Original accuracy",
    "average": "Average",
    "degradation": "Degradation",
    "specialised": "Average of both",
    "specialised_degradation": "Specialised degradation",
    "difference": "Degradation difference",
    "family_average": "Average accuracy",
}


@dataclass(frozen=True)
class Cell:
    """A figure with what there is beside it: all in percent or points. `deviation`: over seeds, null for one."""

    value: float
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    paper: float | None = None
    distance: float | None = None  # from the paper's


@dataclass(frozen=True)
class Table:
    """`name`: of its files; `columns`: heads; `rows`: text, numbers, Cells, or None where there is nothing."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[Any]]
    notes: list[str] = field(default_factory=list)


def make_tables(study: Study, measured: Measured) -> list[Table]:
    """Tables 4 and 5, and from 6 on one for each training set that has specialised sets."""
    with duckdb.connect() as db:
        db.register("summary", measured.summary)
        db.register("published", measured.published)
        db.register("planned", measured.planned)
        db.execute("CREATE VIEW detectors AS SELECT DISTINCT detector, family, number, training_set, mode FROM planned")
        db.execute(f"SET VARIABLE over = {study.tables.over:f}")
        cells = {
            (row["detector"], row["figure"]): Cell(
                *(row[name] for name in ("value", "low", "high", "deviation", "paper", "distance"))
            )
            for row in measured.summary.to_pylist()
        }
        tables = [_table4(db, cells), _table5(db, study, cells)]
        for name, chosen in study.training_sets.items():
            if chosen.specialised:
                tables.append(_specialised(db, study, cells, name, 4 + len(tables)))
    return [_with_notes(table, study, measured) for table in tables]


def _rows(db: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    return db.sql(query(name)).to_arrow_table().to_pylist()


def _table4(db: duckdb.DuckDBPyConnection, cells: dict[tuple[str, str], Cell]) -> Table:
    columns = ["Detector", "Training set", "Fine-tuning", _NAMES["original"], _NAMES["family_average"]]
    rows, told = [], set()
    for row in _rows(db, "table4"):
        average = None if row["family"] in told else cells.get((row["detector"], "family_average"))
        told.add(row["family"])
        mode = "-" if row["mode"] == "base" else row["mode"]
        original = cells.get((row["detector"], "original"))
        rows.append([row["detector"], row["training_set"], mode, original, average])
    return Table("table4", "Table 4: implemented detectors (accuracy, %)", columns, rows)


def _rank_heads(study: Study) -> list[str]:
    return ["Rank", "Paper's"] if study.published else ["Rank"]


def _ranks(study: Study, row: dict[str, Any]) -> list[int | None]:
    return [row["rank"], row["paper_rank"]] if study.published else [row["rank"]]


def _table5(db: duckdb.DuckDBPyConnection, study: Study, cells: dict[tuple[str, str], Cell]) -> Table:
    figures = ["original", *study.unseen, "average", "degradation"]
    rows = [
        [*_ranks(study, row), row["detector"], *(cells.get((row["detector"], figure)) for figure in figures)]
        for row in _rows(db, "table5")
    ]
    heads = [*_rank_heads(study), "Detector", *(_NAMES.get(figure, figure) for figure in figures)]
    title = "Table 5: generalizability of detectors to unseen datasets (accuracy, %; degradation, % points)"
    return Table("table5", title, heads, rows)


def _specialised(
    db: duckdb.DuckDBPyConnection, study: Study, cells: dict[tuple[str, str], Cell], training_set: str, number: int
) -> Table:
    own = list(study.training_sets[training_set].specialised)
    figures = ["original", *study.unseen, "average", "degradation", *own]
    figures += ["specialised"] if len(own) > 1 else []
    figures += ["specialised_degradation", "difference"]
    escaped = training_set.replace("'", "''")
    db.execute(f"SET VARIABLE training_set = '{escaped}'")
    rows, notes = [], []
    for row in _rows(db, "specialised"):
        if row["chosen"]:
            known = (cells.get((row["detector"], figure)) for figure in figures)
            rows.append([*_ranks(study, row), row["detector"], *known])
        else:
            lost = f"{row['degradation']:.2f}" if row["degradation"] is not None else "not known"
            notes.append(
                f"{row['detector']}, rank {row['paper_rank']} of the paper's table, has a degradation of {lost}."
            )
    over = f"{study.tables.over:g}"
    notes.insert(0, f"Detectors trained on {training_set} with a degradation of more than {over} points"
                 + ("." if rows else ": there is none."))  # fmt: skip
    heads = [*_rank_heads(study), "Detector", *(_NAMES.get(figure, figure) for figure in figures)]
    title = (
        f"Table {number}: detectors trained on {training_set} on specialised datasets ({', '.join(own)}; accuracy, %)"
    )
    return Table(f"table{number}", title, heads, rows, notes)


def _with_notes(table: Table, study: Study, measured: Measured) -> Table:
    """The table with what holds for all of them: how to read a cell, and which trainings are not in it."""
    beside = "; then the paper's figure and the distance from it" if study.published else ""
    notes = [
        f"In brackets the {study.tables.level:.0%} interval of a bootstrap over test videos ({study.tables.draws:,} "
        f"draws, all test sets and detectors resampled together, stratified by label){beside}."
    ]
    if len(study.seeds) > 1:
        notes.append(f"Means over {len(study.seeds)} seeds, ± their standard deviation.")
    there = {(row["detector"], row["test"], row["seed"]) for row in measured.cells.to_pylist()}
    missing = [
        f"{row['detector']} (seed {row['seed']}) on {test}"
        for row in measured.planned.to_pylist()
        for test in study.tests(row["training_set"])
        if (row["detector"], test, row["seed"]) not in there
    ]
    if missing:
        listed = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        notes.append(f"Not scored: {listed}.")
    if study.note:
        notes.append(study.note)
    return Table(table.name, table.title, table.columns, table.rows, [*table.notes, *notes])
