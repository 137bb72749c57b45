"""Predictions: every face exactly once, in the manifest's order, and errors that name the face at fault."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.schema import PREDICTIONS
from shards.split import Split
from training import evaluate
from training.errors import TrainingError
from training.evaluate import Scored, Settings, figures, prediction_batches, write_predictions


@pytest.fixture(scope="module")
def split(sets):
    return Split.open(next((sets.root / "splits").glob("test@*")))


def write_part(path, rows, scores):
    table = pa.table({"index": pa.array(rows, pa.int64()), "score": pa.array(scores, pa.float32())})
    pq.write_table(table, path)
    return path


def parts_of(tmp_path, slices):
    return [write_part(tmp_path / f"part-{i}", rows, [row / 100 for row in rows]) for i, rows in enumerate(slices)]


def test_the_ranks_parts_are_joined_by_row_and_deleted(tmp_path, split):
    parts = parts_of(tmp_path, [[3, 1, 0, 7], [2, 5, 4, 6], [], list(range(8, 16))])
    scores = Scored(parts, 0.5).join(split)
    assert scores.tolist() == pytest.approx([row / 100 for row in range(16)])
    assert not any(part.exists() for part in parts)


@pytest.mark.parametrize(
    ("slices", "row", "times"), [([[0, 1], list(range(3, 16))], 2, 0), ([list(range(16)), [5]], 5, 2)]
)
def test_a_face_that_was_scored_never_or_twice_is_an_error_that_names_it(tmp_path, split, slices, row, times):
    with pytest.raises(TrainingError) as caught:
        Scored(parts_of(tmp_path, slices), 0.5).join(split)
    assert split.sample_ids([row])[0] in str(caught.value)
    assert f"({times} times)" in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error_that_names_the_face(split, bad):
    scores = np.full(16, 0.5, np.float32)
    scores[11] = bad
    with pytest.raises(TrainingError, match=split.sample_ids([11])[0]):
        figures(split, scores)


@given(length=st.integers(1, 10_000), batch=st.integers(1, 5_000), world=st.integers(1, 64))
def test_the_evaluation_batch_divides_over_ranks_and_is_no_larger_than_needed(length, batch, world):
    class Sized:
        def __len__(self):
            return length

    size = evaluate._batch_for(Sized(), Settings(batch), world)
    assert size % world == 0
    assert size >= min(batch, length) > size - world


def test_predictions_are_written_in_pieces_and_are_the_same_in_any(split, monkeypatch):
    scores = np.linspace(0, 1, 16, dtype=np.float32)
    whole = pa.concat_tables(prediction_batches(split, scores, "run", "step-1"))
    monkeypatch.setattr(evaluate, "_ROWS", 5)
    pieces = list(prediction_batches(split, scores, "run", "step-1"))
    assert [len(piece) for piece in pieces] == [5, 5, 5, 1, 1]
    assert pa.concat_tables(pieces).equals(whole)
    assert whole.schema.equals(PREDICTIONS)
    assert whole["label"].to_pylist()[:16] == split.labels.tolist()


def test_predictions_of_one_checkpoint_are_replaced_and_of_others_kept(tmp_path, split):
    for checkpoint, value in (("step-1", 0.1), ("step-2", 0.2), ("step-1", 0.3)):
        path = write_predictions(tmp_path, split, np.full(16, value, np.float32), "run", checkpoint)
    table = pq.read_table(path)
    found = {(row["checkpoint"], round(row["score"], 3)) for row in table.to_pylist() if row["sample_id"]}
    assert found == {("step-1", 0.3), ("step-2", 0.2)}
    assert len(table) == 2 * 17
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_fault_while_writing_leaves_the_old_predictions(tmp_path, split, monkeypatch):
    path = write_predictions(tmp_path, split, np.full(16, 0.1, np.float32), "run", "step-1")
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(evaluate, "prediction_batches", full)
    with pytest.raises(OSError, match="No space"):
        write_predictions(tmp_path, split, np.full(16, 0.2, np.float32), "run", "step-2")
    assert path.read_bytes() == before
