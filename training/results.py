"""Figures of all runs, computed from their prediction rows: what `deepshard results` shows.

One way leads over the Parquets in the store (the truth), the other over the catalog's table `predictions`, which holds
the same rows; both give the same figures by the same functions. A method's figures are its fakes against the real
videos of the same dataset, because one class alone has no AUC.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.schema import PREDICTION_FIELDS
from training.errors import TrainingError
from training.metrics import metric_rows

BREAKDOWNS = ("dataset", "method", "quality")
_NAMES = ("run_id", "checkpoint", "split", "split_hash")


def prediction_figures(predictions: pa.Table, by: str | None = None) -> list[dict[str, Any]]:
    """Metric rows of the predictions (schema PREDICTIONS) of one run, checkpoint and split.

    `by`: dataset, method or quality, read from the video ids; each row then has the key ``group``. Method groups hold
    the method's fakes and all real videos of its dataset and quality. Raises TrainingError for another `by`.
    """
    if by is None:
        return [row.as_dict() for row in _rows(predictions)]
    if by not in BREAKDOWNS:
        raise TrainingError(f"results can be broken down by {', '.join(BREAKDOWNS)}, not by {by!r}")
    videos = predictions["video_id"].combine_chunks().dictionary_encode()
    parts = [video.split("/") for video in videos.dictionary.to_pylist()]  # dataset/method/quality/name
    codes = videos.indices.to_numpy()
    fake = predictions["label"].to_numpy() == 1
    groups = {part[BREAKDOWNS.index(by)] for part in parts}
    if by == "method":
        groups = {parts[code][1] for code in np.unique(codes[fake])}
    found = []
    for group in sorted(groups):
        inside = np.array([part[BREAKDOWNS.index(by)] == group for part in parts])[codes]
        if by == "method":
            families = {(parts[code][0], parts[code][2]) for code in np.unique(codes[inside & fake])}
            family = np.array([(part[0], part[2]) in families for part in parts])[codes]
            inside = (inside & fake) | (family & ~fake)
        chosen = predictions.filter(pa.array(inside))
        found += [{"group": group, **row.as_dict()} for row in _rows(chosen)]
    return found


def _rows(predictions: pa.Table):
    faces = predictions.filter(pc.is_valid(predictions["sample_id"]))
    faceless = predictions.filter(pc.is_null(predictions["sample_id"]))["label"].to_pylist()
    names = faces["sample_id"]
    return metric_rows(
        faces["video_id"].combine_chunks().dictionary_encode(), faces["label"], faces["score"], faceless, _Names(names)
    )


class _Names:
    """Sample ids by row, looked up only when an error names them."""

    def __init__(self, column: pa.ChunkedArray):
        self.column = column

    def __getitem__(self, row: int) -> str:
        return self.column[row].as_py()


def _by_checkpoint(table: pa.Table) -> Iterator[tuple[dict[str, str], pa.Table]]:
    """({run_id, checkpoint, split, split_hash}, its rows) of each evaluated checkpoint in `table`."""
    names = table.group_by(list(_NAMES)).aggregate([]).sort_by([(name, "ascending") for name in _NAMES])
    for key in names.to_pylist():
        chosen = pc.scalar(True)
        for name in _NAMES:
            chosen = chosen & (pc.field(name) == key[name])
        yield key, table.filter(chosen)


def _predictions_of_store(store: Path, run: str | None) -> Iterator[tuple[dict[str, str], pa.Table]]:
    for path in sorted((store / "runs").glob(f"{run or '*'}/predictions/*.parquet")):
        yield from _by_checkpoint(pq.read_table(path, columns=[field.name for field in PREDICTION_FIELDS]))


def _predictions_of_catalog(catalog: Path, run: str | None) -> Iterator[tuple[dict[str, str], pa.Table]]:
    from queries.catalog import connect_read

    names = ", ".join(_NAMES)
    where = "" if run is None else " WHERE run_id = ?"
    with connect_read(catalog) as connection:
        keys = connection.execute(
            f"SELECT DISTINCT {names} FROM predictions{where} ORDER BY {names}", [] if run is None else [run]
        ).fetchall()
        for key in keys:
            columns = ", ".join(field.name for field in PREDICTION_FIELDS)
            equal = " AND ".join(f"{name} = ?" for name in _NAMES)
            query = f"SELECT {columns} FROM predictions WHERE {equal}"
            rows = connection.sql(query, params=list(key)).to_arrow_table()
            yield dict(zip(_NAMES, key, strict=True)), rows


def results(
    store: str | Path | None = None, catalog: str | Path | None = None, run: str | None = None, by: str | None = None
) -> list[dict[str, Any]]:
    """Metric rows of every run (or of `run`) on every split it was tested on, from the store's Parquets, or from the
    `catalog` where that is given instead.

    Each row has run_id, checkpoint, split, split_hash, where asked group (see `prediction_figures`), and the fields of
    MetricRow. Raises TrainingError where there are no predictions.
    """
    if (store is None) == (catalog is None):
        raise TrainingError("results are read from a store or from a catalog: name one of them")
    found = (
        _predictions_of_store(Path(store), run) if store is not None else _predictions_of_catalog(Path(catalog), run)
    )
    rows = [{**key, **figures} for key, table in found for figures in prediction_figures(table, by)]
    if not rows:
        what = f"run {run}" if run else "any run"
        raise TrainingError(
            f"there are no predictions of {what} in {store or catalog}: train with --test, or --evaluate"
        )
    return rows
