"""The paper's own accuracies through our queries: its averages, degradations, differences and ranks come out."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from training.studies import measure
from training.studies.config import Detector, read_study
from training.studies.measure import Measured
from training.studies.plan import plan, planned_table, sets_table
from training.studies.tables import Cell, make_tables

STUDIES = Path(measure.__file__).parent
FAMILIES = ("XceptionNet", "MesoInception", "MesoNet", "EfficientNet", "ShallowNet")
DERIVED = ("average", "degradation", "specialised", "specialised_degradation", "difference", "family_average")


@pytest.fixture(scope="module")
def published():
    return measure.published_figures(STUDIES / "paper1.csv")


@pytest.fixture(scope="module")
def study():
    """The paper's study, its thirty detectors as runs that exist."""
    runs = {name: Detector(runs={k: [f"{name}{k}"] for k in range(1, 7)}) for name in FAMILIES}
    return replace(read_study(STUDIES / "paper1.yaml"), detectors=runs)


@pytest.fixture(scope="module")
def measured(study, published) -> Measured:
    runs = plan(study)
    tests = sets_table(study, {})
    of = {run.detector: run.training_set for run in runs}
    known = {(row["training_set"], row["test"]) for row in tests.to_pylist()}
    accuracies = [
        {"detector": row["detector"], "seed": 0, "draw": 0, "test": row["figure"], "accuracy": row["value"]}
        for row in published.to_pylist()
        if (of[row["detector"]], row["figure"]) in known
    ]
    figures = measure.figures_of(pa.Table.from_pylist(accuracies), planned_table(runs), tests)
    summary = measure.summarise(figures, published, 0.95)
    return Measured(
        pa.table({"detector": [], "test": [], "seed": []}), figures, summary, published, planned_table(runs)
    )


def test_the_published_figures_are_all_there(published):
    rows = published.to_pylist()
    counted = {name: sum(row["figure"] == name for row in rows) for name in {row["figure"] for row in rows}}
    every = ("rank", "original", "FS", "NT", "DF", "DFD", "average", "degradation")
    assert {name: counted[name] for name in every} == dict.fromkeys(every, 30)
    assert (counted["CELEB-M"], counted["FS-I"], counted["NT-I"], counted["specialised_rank"]) == (9, 7, 7, 16)
    assert counted["specialised"] == counted["specialised_degradation"] == counted["difference"] == 16
    assert counted["family_average"] == 5


def test_published_accuracies_give_every_published_column(measured):
    compared = [row for row in measured.summary.to_pylist() if row["figure"] in DERIVED and row["paper"] is not None]
    assert len(compared) == 30 + 30 + 16 * 3 + 5
    assert {(row["detector"], row["figure"]): row["distance"] for row in compared if abs(row["distance"]) > 0.01} == {}


def test_published_accuracies_give_the_published_ranks_and_rows(study, measured):
    tables = {table.name: table for table in make_tables(study, measured)}
    assert sorted(tables) == ["table4", "table5", "table6", "table7"]
    for name, rows in (("table5", 30), ("table6", 9), ("table7", 7)):
        assert len(tables[name].rows) == rows
        assert (
            [row[0] for row in tables[name].rows] == [row[1] for row in tables[name].rows] == list(range(1, rows + 1))
        )
    assert [row[0] for row in tables["table4"].rows[::6]] == [f"{family}1" for family in FAMILIES]


def test_a_mean_of_which_a_part_is_missing_is_not_given(study, published):
    runs = plan(study)
    tests = sets_table(study, {})
    rows = [("original", 90.0), ("FS", 60.0), ("NT", 60.0), ("DF", 60.0)]  # DFD is missing
    accuracies = [
        {"detector": "MesoNet4", "seed": 0, "draw": 0, "test": test, "accuracy": value} for test, value in rows
    ]
    figures = measure.figures_of(pa.Table.from_pylist(accuracies), planned_table(runs), tests)
    assert {row["figure"] for row in figures.to_pylist()} == {test for test, _ in rows}


def test_a_cell_of_the_tables_has_the_papers_figure_beside_it(study, measured):
    (table,) = [table for table in make_tables(study, measured) if table.name == "table7"]
    row = next(row for row in table.rows if row[2] == "MesoNet4")
    cell = row[table.columns.index("Degradation difference")]
    assert isinstance(cell, Cell) and cell.paper == -0.48 and cell.value == pytest.approx(-0.475)
