"""Runs: their figures, ROC curves, score histograms, the mistakes that they are surest of, and their heat maps.

Figures are those of run.json. Curves and histograms are counted from the predictions in the catalog, thinned to what a
picture shows; the exact area is the figure beside it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from browse import faces
from browse.counts import Distribution
from browse.faces import Face
from browse.filters import literal
from browse.place import BrowseError, Place

_STEPS = 200  # of a curve, along each axis
_BINS = 40
_MISTAKES = 18  # of each class
_WHICH = "split, split_hash, checkpoint"


@dataclass(frozen=True)
class Scores:
    """What a run says of one split. ``frame``, ``video``: points of ROC curves; ``histogram``: of faces' scores;
    ``areas``: AUC by level, from run.json.
    """

    ref: str
    checkpoint: str
    histogram: Distribution
    frame: list[tuple[float, float]] = field(default_factory=list)
    video: list[tuple[float, float]] = field(default_factory=list)
    areas: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class HeatMap:
    """A picture that `deepshard explain heatmaps` made of this run."""

    split: str
    file: str
    images: int


@dataclass(frozen=True)
class OneRun:
    """``splits``: of run.json, each with role, name and hash; ``figures``: its rows of the view metrics."""

    run_id: str
    status: str
    detector: str
    splits: list[dict[str, Any]]
    figures: list[dict[str, Any]]
    heat_maps: list[HeatMap]


def listed(place: Place) -> list[dict[str, Any]]:
    """All runs, the newest first, each with its figures per frame. Raises CatalogError, CatalogBusy."""
    with place.look() as db:
        runs = _rows(
            db,
            "SELECT run_id, status, detector, strftime(created_at, '%Y-%m-%d %H:%M') AS created FROM runs "
            "ORDER BY created_at DESC NULLS LAST, run_id",
        )
        figures = _rows(
            db, "SELECT run_id, split, auc, eer FROM metrics WHERE level = 'frame' ORDER BY run_id, split, checkpoint"
        )
    return [run | {"figures": [one for one in figures if one["run_id"] == run["run_id"]]} for run in runs]


def run(place: Place, run_id: str) -> OneRun:
    """Raises BrowseError where there is none, CatalogError, CatalogBusy."""
    with place.look() as db:
        found = _rows(db, "SELECT status, detector, record FROM runs WHERE run_id = $id", id=run_id)
        if not found:
            raise BrowseError(f"there is no run {run_id} in this catalog")
        figures = _rows(
            db,
            "SELECT * EXCLUDE (run_id, detector, created_at) FROM metrics WHERE run_id = $id "
            "ORDER BY split, checkpoint, level, faceless",
            id=run_id,
        )
    (one,) = found
    used = json.loads(one["record"])["splits"] or []
    return OneRun(run_id, one["status"] or "", one["detector"] or "", used, figures, heat_maps(place, run_id))


def scores(place: Place, run_id: str) -> list[Scores]:
    """Histograms and ROC curves for each split that the run has scored. Raises SqlError, CatalogError, CatalogBusy."""
    predictions = f"FROM predictions WHERE run_id = {literal(run_id)}"
    bins = place.run(
        f"SELECT {_WHICH}, least(floor(score * {_BINS}), {_BINS - 1})::INTEGER AS bin, "
        f"count(*) FILTER (label = 0) AS reals, count(*) FILTER (label = 1) AS fakes {predictions} "
        "AND sample_id IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).to_pylist()
    curves = {
        "frame": _curves(place, f"SELECT {_WHICH}, label, score {predictions} AND sample_id IS NOT NULL"),
        "video": _curves(
            place, f"SELECT {_WHICH}, label, avg(score) AS score {predictions} GROUP BY {_WHICH}, video_id, label"
        ),
    }
    found: dict[tuple[str, ...], dict[int, tuple[int, int]]] = {}
    for row in bins:
        which = (row["split"], row["split_hash"], row["checkpoint"])
        found.setdefault(which, {})[row["bin"]] = (row["reals"], row["fakes"])
    areas: dict[tuple[str, ...], dict[str, float]] = {}
    with place.look() as db:
        told = "WHERE run_id = $id AND auc IS NOT NULL ORDER BY faceless"  # counted before left out
        for row in _rows(db, f"SELECT {_WHICH}, level, auc FROM metrics {told}", id=run_id):
            which = (row["split"], row["split_hash"], row["checkpoint"])
            areas.setdefault(which, {}).setdefault(row["level"], row["auc"])
    return [
        Scores(
            f"{which[0]}@{which[1][:12]}",
            which[2],
            _histogram(counted),
            *(curves[level].get(which, []) for level in ("frame", "video")),
            areas.get(which, {}),
        )
        for which, counted in found.items()
    ]


def _histogram(counted: dict[int, tuple[int, int]]) -> Distribution:
    bars = [(f"{i / _BINS:.3g}", *counted.get(i, (0, 0))) for i in range(_BINS)]
    return Distribution("score", "", True, bars, None, 0, 0, "1")


def _curves(place: Place, scored: str) -> dict[tuple[str, ...], list[tuple[float, float]]]:
    """Points of the ROC curves of ``scored`` (split, split_hash, checkpoint, label, score), equal ones in one step."""
    rows = place.run(
        f"""
        WITH steps AS (
            SELECT {_WHICH}, score, count(*) FILTER (label = 0) AS reals, count(*) FILTER (label = 1) AS fakes
            FROM ({scored}) GROUP BY ALL
        ), summed AS (
            SELECT {_WHICH}, score,
                   sum(reals) OVER down / nullif(sum(reals) OVER every, 0) AS x,
                   sum(fakes) OVER down / nullif(sum(fakes) OVER every, 0) AS y
            FROM steps
            WINDOW down AS (PARTITION BY {_WHICH} ORDER BY score DESC), every AS (PARTITION BY {_WHICH})
        )
        SELECT {_WHICH}, x, y FROM summed WHERE x IS NOT NULL AND y IS NOT NULL
        QUALIFY row_number() OVER (
            PARTITION BY {_WHICH}, floor({_STEPS} * x), floor({_STEPS} * y) ORDER BY score
        ) = 1
        ORDER BY {_WHICH}, x, y
        """
    ).to_pylist()
    found: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for row in rows:
        which = (row["split"], row["split_hash"], row["checkpoint"])
        found.setdefault(which, [(0.0, 0.0)]).append((row["x"], row["y"]))
    return found


def mistakes_sql(run_id: str, label: int) -> str:
    """The query of a run's mistakes in one class, the surest first."""
    order, side = ("DESC", ">") if label == 0 else ("ASC", "<=")
    return (
        "SELECT sample_id, avg(score) AS score\nFROM predictions\n"
        f"WHERE run_id = {literal(run_id)} AND label = {label} AND score {side} 0.5 AND sample_id IS NOT NULL\n"
        f"GROUP BY sample_id\nORDER BY score {order}, sample_id"
    )


def mistakes(place: Place, run_id: str) -> dict[str, list[Face]]:
    """{"real": taken for fake, "fake": taken for real}. Raises SqlError, CatalogError, CatalogBusy."""
    found: dict[str, list[Face]] = {}
    for label, word in enumerate(("real", "fake")):
        rows = place.run(f"FROM ({mistakes_sql(run_id, label)}) LIMIT {_MISTAKES}").to_pylist()
        with place.look() as db:
            known = faces.by_id(db, [row["sample_id"] for row in rows])
        scored = [(known.get(row["sample_id"]), row["score"]) for row in rows]
        found[word] = [Face(**{**vars(face), "score": score}) for face, score in scored if face is not None]
    return found


def heat_maps(place: Place, run_id: str) -> list[HeatMap]:
    """Pictures in the place's folder of explanations that show this run, by what the table beside each says."""
    found = []
    for table in sorted(place.explained.glob("*.parquet")):
        picture = table.with_suffix(".png")
        metadata = pq.read_schema(table).metadata or {}
        if b"deepshard" not in metadata or not picture.is_file():
            continue
        card = json.loads(metadata[b"deepshard"])
        if run_id in {str(one.get("run")) for one in card.get("runs", {}).values()}:
            found.append(HeatMap(table.stem, picture.name, int(card.get("images", 0))))
    return found


def heat_map_file(place: Place, name: str) -> Path:
    """A picture of that folder. Raises BrowseError where there is none of that name."""
    known = {file.name: file for file in place.explained.glob("*.png")}
    if name not in known:
        raise BrowseError("there is no such heat map")
    return known[name]


def _rows(db: Any, sql: str, **values: Any) -> list[dict[str, Any]]:
    found = db.execute(sql, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
