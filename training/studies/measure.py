"""From the catalog's rows to every figure of the tables: queries, with the bootstrap between them.

    predictions --videos.sql--> faces told right per video --bootstrap--> accuracies of each draw --figures.sql-->
    averages, degradations, differences of each draw --summary.sql--> value, interval, deviation, the paper's value

Nothing is read but the catalog, so that tables can be made again where the runs' folders are gone.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from queries.catalog import connect_read
from training.studies.bootstrap import draw_accuracies
from training.studies.config import Study, StudyError
from training.studies.plan import Run, planned_table, sets_table

_ONE_THREAD = {"threads": 1}  # sums of several threads differ in the last digit from one time to the next


@dataclass(frozen=True)
class Measured:
    """What a study came to: the relations of cells.sql (with `low` and `high`), figures.sql, summary.sql,
    published.sql, and `planned`, one row a run."""

    cells: pa.Table
    figures: pa.Table
    summary: pa.Table
    published: pa.Table
    planned: pa.Table


@cache
def query(name: str) -> str:
    """The text of `training/studies/NAME.sql`."""
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")


def measure(study: Study, runs: list[Run], catalog: Path) -> Measured:
    """Every figure of the study from the catalog alone. Raises StudyError where there is no prediction at all."""
    planned = planned_table(runs)
    with connect_read(catalog) as db:
        tests = sets_table(study, _hashes(db, study, runs))
        db.register("planned", planned)
        db.register("tests", tests)
        observed = db.sql(query("videos")).to_arrow_table()
        recipes = db.sql(
            "SELECT hash AS split_hash, any_value(card->>'$.recipes[0].hash') AS recipe_hash FROM splits GROUP BY hash"
        ).to_arrow_table()
    if not observed.num_rows:
        raise StudyError(f"{catalog} has no prediction of any run of the study: train it first (without --only)")
    _check_one_checkpoint(observed)
    with duckdb.connect() as db:
        db.register("observed", observed)
        db.register("recipe_of", recipes)
        cells = db.sql(query("cells")).to_arrow_table()
    accuracies = bootstrap(observed, cells, study.tables.draws, study.tables.seed)
    published = published_figures(study.published)
    figures = figures_of(accuracies, planned, tests)
    summary = summarise(figures, published, study.tables.level)
    return Measured(_with_intervals(cells, accuracies, study.tables.level), figures, summary, published, planned)


def _hashes(db: duckdb.DuckDBPyConnection, study: Study, runs: list[Run]) -> dict[str, str]:
    """Split of the study -> the hash of its pin, from the catalog. Raises StudyError for none or several."""
    found = {}
    for split in dict.fromkeys(split for run in runs for split in run.tests.values()):
        name, _, digits = (study.splits[split].pinned or study.pinned_name(split)).partition("@")
        rows = db.execute(
            "SELECT DISTINCT hash FROM splits WHERE name = ? AND starts_with(hash, ?)", [name, digits]
        ).fetchall()
        if len(rows) != 1:
            raise StudyError(
                f"the catalog lists {len(rows) or 'no'} pins of {name}, which should be the study's {split}: "
                + ("move all but one away" if rows else "run the study's stage pin first")
            )
        found[split] = rows[0][0]
    return found


def _check_one_checkpoint(observed: pa.Table) -> None:
    with duckdb.connect() as db:
        db.register("observed", observed)
        several = db.sql(
            "SELECT run_id, split, list(DISTINCT checkpoint ORDER BY checkpoint) FROM observed GROUP BY ALL "
            "HAVING count(DISTINCT checkpoint) > 1"
        ).fetchall()
    if several:
        run, split, checkpoints = several[0]
        raise StudyError(
            f"run {run} scored {split} with several checkpoints ({', '.join(checkpoints)}) and its record does not say "
            "which one it selected"
        )


def bootstrap(observed: pa.Table, cells: pa.Table, draws: int, seed: int) -> pa.Table:
    """The relation `accuracies` (detector, seed, test, draw, accuracy): draw 0 is measured, 1 to `draws` resampled.

    `observed` as videos.sql gives it, `cells` as cells.sql does.
    """
    with duckdb.connect() as db:
        db.register("observed", observed)
        db.register("cells", cells)
        coded = db.sql(
            """
            SELECT dense_rank() OVER (ORDER BY video_id) - 1 AS video,
                   dense_rank() OVER (ORDER BY detector, test, seed) - 1 AS cell, label, images, correct
            FROM observed ORDER BY cell, video
            """
        ).fetchnumpy()
        places = db.sql(
            """
            SELECT detector, test, seed, accuracy, dense_rank() OVER (ORDER BY split_hash) - 1 AS split FROM cells
            ORDER BY detector, test, seed
            """
        ).to_arrow_table()
    drawn = draw_accuracies(
        coded["video"], coded["cell"], coded["label"], coded["images"], coded["correct"],
        places["split"].to_numpy(), draws, seed,
    )  # fmt: skip
    values = np.vstack([places["accuracy"].to_numpy(), drawn])  # [1 + draws, C]
    cell = np.tile(np.arange(len(places)), 1 + draws)
    table = places.select(["detector", "seed", "test"]).take(pa.array(cell))
    table = table.append_column("draw", pa.array(np.repeat(np.arange(1 + draws), len(places))))
    return table.append_column("accuracy", pa.array(values.ravel()))


def published_figures(path: Path | None) -> pa.Table:
    """The relation `published` (detector, figure, value) of a CSV, empty without one. Raises StudyError."""
    if path is None:
        return pa.table(
            {"detector": pa.array([], "string"), "figure": pa.array([], "string"), "value": pa.array([], "double")}
        )
    try:
        wide = pyarrow.csv.read_csv(path)
        numbers = {name: pa.float64() for name in wide.column_names if name != "detector"}
        options = pyarrow.csv.ConvertOptions(column_types={**numbers, "detector": pa.string()})
        wide = pyarrow.csv.read_csv(path, convert_options=options)
    except (OSError, pa.ArrowException) as error:
        raise StudyError(f"{path} cannot be read as published figures: {error}") from error
    if "detector" not in wide.column_names:
        raise StudyError(f"{path} has no column detector: its first line names the columns, detector and figures")
    with duckdb.connect() as db:
        db.register("published_wide", wide)
        return db.sql(query("published")).to_arrow_table()


def figures_of(accuracies: pa.Table, planned: pa.Table, tests: pa.Table) -> pa.Table:
    """figures.sql over these relations."""
    with duckdb.connect(config=_ONE_THREAD) as db:
        for name, table in (("accuracies", accuracies), ("planned", planned), ("tests", tests)):
            db.register(name, table)
        return db.sql(query("figures")).to_arrow_table()


def summarise(figures: pa.Table, published: pa.Table, level: float) -> pa.Table:
    """summary.sql over these relations; `level` of the intervals, as 0.95."""
    with duckdb.connect(config=_ONE_THREAD) as db:
        db.register("figures", figures)
        db.register("published", published)
        db.execute(f"SET VARIABLE level = {level:f}")
        return db.sql(query("summary")).to_arrow_table()


def _with_intervals(cells: pa.Table, accuracies: pa.Table, level: float) -> pa.Table:
    with duckdb.connect() as db:
        db.register("cells", cells)
        db.register("accuracies", accuracies)
        db.execute(f"SET VARIABLE level = {level:f}")
        return db.sql(
            """
            SELECT cells.*, low, high FROM cells JOIN (
                SELECT detector, test, seed,
                       quantile_cont(accuracy, (1 - getvariable('level')) / 2) AS low,
                       quantile_cont(accuracy, (1 + getvariable('level')) / 2) AS high
                FROM accuracies WHERE draw > 0 GROUP BY ALL
            ) USING (detector, test, seed) ORDER BY detector, test, seed
            """
        ).to_arrow_table()


def write(measured: Measured, folder: Path) -> None:
    """Write `cells` and `figures` (the measured ones and their intervals) as Parquet and CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("cells", measured.cells), ("figures", measured.summary)):
        pq.write_table(table, folder / f"{name}.parquet")
        pyarrow.csv.write_csv(table, folder / f"{name}.csv")
