"""Tables from accuracies that are made up: means and deviations over seeds, what is missing, and the three formats."""

import csv
import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from training.studies import measure
from training.studies.config import Detector, SplitOf, Study, Tables, TrainingSet
from training.studies.formats import as_csv, latex, markdown, write_tables
from training.studies.measure import Measured
from training.studies.plan import plan, planned_table, sets_table
from training.studies.tables import Cell, Table, make_tables


@pytest.fixture
def study(tmp_path) -> Study:
    sets = {"One & all": TrainingSet(1, "t", "v", "o", "t", "v", {"S_1": "s", "S_2": "s"})}
    detectors = {"Net": Detector(runs={1: ["net-0", "net-1"], 2: ["tuned-0", "tuned-1"]})}
    splits = {name: SplitOf(pinned=name) for name in "tvous"}
    published = tmp_path / "published.csv"
    published.write_text("detector,rank,specialised_rank,original,degradation\nNet1,2,1,80,30\nNet2,1,2,70,35\n")
    return Study(
        tmp_path / "x.yaml", "made", splits, sets, {"U": "u"}, detectors, seeds=[0, 1], published=published,
        tables=Tables(over=25.0),
    )  # fmt: skip


def measured(study: Study, accuracies: dict) -> Measured:
    """`accuracies`: (detector, test) -> one value a seed; two draws of a bootstrap lie 1 below and above."""
    runs = plan(study)
    rows = [
        {"detector": detector, "seed": seed, "draw": draw, "test": test, "accuracy": value + shift}
        for (detector, test), values in accuracies.items()
        for seed, value in enumerate(values)
        for draw, shift in enumerate((0.0, -1.0, 1.0))
    ]
    tests = sets_table(study, {})
    figures = measure.figures_of(pa.Table.from_pylist(rows), planned_table(runs), tests)
    published = measure.published_figures(study.published)
    summary = measure.summarise(figures, published, 0.5)
    cells = pa.Table.from_pylist(
        [{"detector": d, "test": t, "seed": s} for (d, t), v in accuracies.items() for s in range(len(v))]
    )
    return Measured(cells, figures, summary, published, planned_table(runs))


NET1 = {
    ("Net1", "original"): (80.0, 90.0),
    ("Net1", "U"): (50.0, 56.0),
    ("Net1", "S_1"): (60.0, 60.0),
    ("Net1", "S_2"): (70.0, 80.0),
}
NET2 = {("Net2", "original"): (60.0, 60.0), ("Net2", "U"): (50.0, 50.0)}


def by_name(study: Study, accuracies: dict) -> dict[str, Table]:
    return {table.name: table for table in make_tables(study, measured(study, accuracies))}


def test_seeds_give_mean_deviation_and_an_interval_of_the_mean(study):
    (row,) = [row for row in by_name(study, NET1 | NET2)["table5"].rows if row[2] == "Net1"]
    original, degradation = row[3], row[-1]
    assert (original.value, original.paper, original.distance) == (85.0, 80.0, 5.0)
    assert original.deviation == pytest.approx(np.std([80, 90], ddof=1))
    assert (original.low, original.high) == (84.5, 85.5)  # the 50 % interval of draws 84 and 86
    assert degradation.value == 32.0 and degradation.deviation == pytest.approx(np.std([30, 34], ddof=1))
    assert (degradation.low, degradation.high) == (32.0, 32.0)  # both test sets rise and fall together


def test_the_specialised_table_has_who_loses_more_and_says_who_does_not(study):
    table = by_name(study, NET1 | NET2)["table6"]
    ((rank, papers, detector, *_, difference),) = table.rows
    assert (rank, papers, detector, difference.value) == (1, 1, "Net1", 67.5 - 53.0)
    assert "Net2, rank 2 of the paper's table, has a degradation of 10.00." in table.notes
    assert "Not scored: Net2 (seed 0) on S_1, " in " ".join(table.notes)


def test_without_published_figures_there_is_no_column_of_them(study):
    table = by_name(replace(study, published=None), NET1)["table5"]
    assert table.columns[:2] == ["Rank", "Detector"] and "paper" not in markdown(table)


def test_a_detector_without_any_score_has_no_rank(study):
    rows = by_name(study, NET1)["table5"].rows
    assert [(row[0], row[2]) for row in rows] == [(1, "Net1"), (None, "Net2")]


TABLE = Table(
    "t", "50 % of A_B", ["Rank", "Detector", "Here & there"],
    [[1, "A_1", Cell(54.554, 50.0, 59.04, 1.25, 51.15, 3.404)], [2, "B|2", None]], ["± of 5 %"],
)  # fmt: skip


def test_markdown_has_interval_deviation_and_the_papers_figure():
    text = markdown(TABLE)
    assert "| 1 | A_1 | 54.55 ± 1.25 [50.0, 59.0]<br>paper 51.15, +3.40 |" in text
    assert r"| 2 | B\|2 |  |" in text and text.endswith("± of 5 %\n")


def test_csv_has_every_number_unrounded_in_a_column_of_its_own():
    rows = list(csv.DictReader(io.StringIO(as_csv(TABLE))))
    assert rows[0] == {
        "Rank": "1", "Detector": "A_1", "Here & there": "54.554", "Here & there low": "50.0",
        "Here & there high": "59.04", "Here & there deviation": "1.25", "Here & there paper": "51.15",
        "Here & there distance": "3.404",
    }  # fmt: skip
    assert rows[1]["Here & there"] == ""


def test_latex_escapes_what_is_special_there():
    text = latex(TABLE)
    assert r"\caption{50 \% of A\_B}" in text and r"Here \& there" in text
    assert r"1 & A\_1 & 54.55 $\pm$ 1.25 [50.0, 59.0] \\" in text and r" &  & \textit{51.15, +3.40} \\" in text
    assert text.count("{") == text.count("}")


def test_each_table_is_three_files(tmp_path):
    assert [file.name for file in write_tables([TABLE], tmp_path / "new")] == ["t.md", "t.csv", "t.tex"]
