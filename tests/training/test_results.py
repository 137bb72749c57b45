"""Figures from prediction rows: by run, by dataset and method, and alike from the store and from the catalog."""

import json

import numpy as np
import pyarrow as pa
import pytest

from queries.catalog import connect_read
from queries.ingest import ingest_store
from shards.schema import PREDICTIONS
from tests.training.conftest import SIZE
from training.errors import TrainingError
from training.metrics import binary_figures
from training.results import prediction_figures, results
from training.run import main


def predictions(rows, run="run"):
    """rows: (video id, label, scores; none for a video without a face)."""
    lines = []
    for video, label, scores in rows:
        base = {
            "run_id": run,
            "checkpoint": "step-1",
            "split": "s",
            "split_hash": "ab",
            "video_id": video,
            "label": label,
        }
        lines += [{**base, "sample_id": f"{video}/{i:06d}-0", "score": score} for i, score in enumerate(scores)]
        if not scores:
            lines.append({**base, "sample_id": None, "score": 0.5})
    return pa.Table.from_pylist(lines, schema=PREDICTIONS)


TABLE = predictions(
    [
        ("ffpp/original/c23/000", 0, [0.1, 0.3]),
        ("ffpp/original/c23/001", 0, [0.6]),
        ("ffpp/Deepfakes/c23/000_001", 1, [0.9, 0.8]),
        ("ffpp/FaceSwap/c23/000_001", 1, [0.2, 0.4]),
        ("ffpp/FaceSwap/c23/001_000", 1, []),
        ("celebdf-v2/Celeb-real/native/id0_0000", 0, [0.7]),
        ("celebdf-v2/Celeb-synthesis/native/id0_id1_0000", 1, [0.75]),
    ]
)


def frame(rows, group):
    return next(row for row in rows if row["group"] == group and row["level"] == "frame")


def test_a_methods_figures_are_its_fakes_against_the_reals_of_its_dataset():
    rows = prediction_figures(TABLE, by="method")
    assert {row["group"] for row in rows} == {"Deepfakes", "FaceSwap", "Celeb-synthesis"}
    reals = [0.1, 0.3, 0.6]
    for method, fakes in (("Deepfakes", [0.9, 0.8]), ("FaceSwap", [0.2, 0.4])):
        expected = binary_figures([0] * 3 + [1] * len(fakes), reals + fakes)
        row = frame(rows, method)
        assert (row["auc"], row["accuracy"]) == pytest.approx((expected["auc"], expected["accuracy"]))
        assert (row["real"], row["fake"]) == (3, len(fakes))
    swapped = [row for row in rows if row["group"] == "FaceSwap" and row["level"] == "video"]
    assert [(row["faceless"], row["fake"]) for row in swapped] == [("counted", 2), ("left out", 1)]


def test_a_datasets_figures_are_those_of_its_rows():
    rows = prediction_figures(TABLE, by="dataset")
    assert {row["group"] for row in rows} == {"ffpp", "celebdf-v2"}
    assert (frame(rows, "celebdf-v2")["real"], frame(rows, "celebdf-v2")["fake"]) == (1, 1)
    assert frame(rows, "celebdf-v2")["auc"] == 1.0


METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")


def test_000_003_in_five_methods_is_five_videos_in_the_figures_of_a_runs_rows():
    reals = [(f"ffpp/original/c23/{name}", 0, [0.2, 0.4]) for name in ("000", "003")]
    table = predictions([*((f"ffpp/{method}/c23/000_003", 1, [0.9, 0.5]) for method in METHODS), *reals])
    (video,) = [row for row in prediction_figures(table) if row["level"] == "video"]
    assert (video["videos"], video["fake"], video["real"]) == (7, 5, 2)
    by_method = [row for row in prediction_figures(table, by="method") if row["level"] == "video"]
    assert {row["group"]: (row["fake"], row["real"]) for row in by_method} == dict.fromkeys(METHODS, (1, 2))


def test_a_nan_among_a_runs_rows_is_an_error_that_names_its_face():
    table = predictions([("d/original/c23/a", 0, [0.1]), ("d/swap/c23/a", 1, [0.8, float("nan")])])
    with pytest.raises(TrainingError, match="d/swap/c23/a/000001-0 = nan"):
        prediction_figures(table)


def test_another_breakdown_is_refused_with_those_there_are():
    with pytest.raises(TrainingError, match="dataset, method, quality"):
        prediction_figures(TABLE, by="identity")


def test_a_store_without_predictions_says_how_to_get_some(tmp_path):
    with pytest.raises(TrainingError, match="--evaluate"):
        results(tmp_path)
    with pytest.raises(TrainingError, match="name one"):
        results()


def test_a_sql_split_is_pinned_before_and_predictions_are_ingested_after_a_run(sets, config, tmp_path):
    catalog, query = tmp_path / "catalog.duckdb", tmp_path / "two_videos.sql"
    recipe = {"name": "demo", "hash": sets.store.recipe_hash, "recipe": {"name": "demo", "size": SIZE}}
    (sets.root / "recipes").mkdir()
    (sets.root / "recipes" / f"{recipe['hash'][:16]}.json").write_text(json.dumps(recipe))
    ingest_store(catalog, sets.root)
    query.write_text("-- The first two pairs of videos.\nSELECT sample_id FROM faces WHERE video_id NOT LIKE '%/003'\n")
    words = ["--store", str(sets.root), "--train", str(query), "--test", "test", "--name", "from-sql"]
    assert main([*words, "--catalog", str(catalog), "--config", str(config)]) == 0
    (manifest,) = (sets.root / "splits").glob("two_videos@*.arrow")
    from_catalog, from_store = results(catalog=catalog, run="from-sql"), results(sets.root, run="from-sql")
    assert from_catalog == from_store
    assert [row["level"] for row in from_store] == ["frame", "video", "video"]
    with connect_read(catalog) as db:
        assert db.execute("SELECT status FROM runs WHERE run_id = 'from-sql'").fetchone() == ("finished",)
        (rows,) = db.execute("SELECT count(*) FROM predictions WHERE run_id = 'from-sql'").fetchone()
        (auc,) = db.execute("SELECT auc FROM metrics WHERE run_id = 'from-sql' AND level = 'frame'").fetchone()
    assert rows == 17
    assert auc == pytest.approx(from_store[0]["auc"])
    assert np.isfinite(auc)
