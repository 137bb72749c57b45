"""Scores made elsewhere: a run like any other when they fit the split, an error that names the faces when not."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from deepshard import main
from queries.catalog import connect_read
from queries.ingest import ingest_store
from shards.split import Split
from tests.fabricate import make_store
from tests.training.conftest import SIZE
from training.checkpoint import find_checkpoint
from training.errors import TrainingError
from training.evaluate import figures
from training.foreign import import_scores
from training.results import results


@pytest.fixture
def store(tmp_path):
    """A store of 2 real and 2 fake videos, 3 faces each, and one without a face."""
    return make_store(tmp_path / "store", videos=4, faces_per_video=3, size=SIZE, masks=False)


@pytest.fixture
def split(store):
    return Split.open(store.manifest)


def lines_of(split, by="sample_id"):
    """A line for each face in another order than the manifest's, and the scores in the manifest's."""
    scores = np.random.default_rng(1).random(len(split)).round(4).astype(np.float32)
    names = split.sample_ids() if by == "sample_id" else [name.split("/", 2)[2] for name in split.sample_ids()]
    lines = [f"{name},{score:.4f},something" for name, score in zip(names, scores, strict=True)]
    return lines[::-1], scores


def write(tmp_path, lines, head="sample_id,score,other"):
    path = tmp_path / "foreign.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


@pytest.mark.parametrize("by", ["sample_id", "key"])
def test_scores_in_any_order_become_predictions_with_the_same_figures_everywhere(tmp_path, store, split, by):
    lines, scores = lines_of(split, by)
    file = write(tmp_path, lines, f"{by},p,other")
    record = import_scores(store.root, split, file, "theirs", column="p", detector="CLIP")
    assert (record["status"], record["detector"], record["imported"][0]["faces_by"]) == ("imported", "CLIP", by)
    (written,) = (store.root / "runs/theirs/predictions").iterdir()
    rows = pq.read_table(written).to_pylist()
    faces, faceless = rows[:-1], rows[-1]
    assert [row["sample_id"] for row in faces] == split.sample_ids()
    assert [row["score"] for row in faces] == scores.tolist()
    assert (faceless["sample_id"], faceless["score"]) == (None, 0.5)
    expected = [row.as_dict() for row in figures(split, scores)]
    catalog = tmp_path / "catalog.duckdb"
    ingest_store(catalog, store.root)
    for found in (results(store.root, run="theirs"), results(catalog=catalog, run="theirs")):
        assert [{name: row[name] for name in expected[0]} for row in found] == expected
    with connect_read(catalog) as db:
        assert db.execute("SELECT status, detector FROM runs").fetchall() == [("imported", "CLIP")]
        assert db.execute("SELECT count(*), max(auc) FROM metrics WHERE level = 'frame'").fetchone() == (
            1,
            pytest.approx(expected[0]["auc"]),
        )


def test_a_run_takes_each_split_once_and_several_of_them(tmp_path, store, split):
    file = write(tmp_path, lines_of(split)[0])
    import_scores(store.root, split, file, "theirs")
    with pytest.raises(TrainingError, match="already"):
        import_scores(store.root, split, file, "theirs")
    other = make_store(tmp_path / "other", videos=4, faces_per_video=2, size=SIZE, masks=False, name="second")
    second = Split.open(other.manifest)
    with pytest.raises(TrainingError, match="not of CLIP"):
        import_scores(store.root, second, write(tmp_path, lines_of(second)[0]), "theirs", detector="CLIP")
    record = import_scores(store.root, second, write(tmp_path, lines_of(second)[0]), "theirs")
    assert [known["name"] for known in record["splits"]] == ["demo", "second"]
    assert {row["split"] for row in results(store.root, run="theirs")} == {"demo", "second"}
    assert json.loads((store.root / "runs/theirs/run.json").read_text()) == record


def drop(lines):
    return lines[:4] + lines[5:], lines[4]


def double(lines):
    return [*lines, lines[4]], lines[4]


def stranger(lines):
    return [*lines, "aa/bb/nobody/x/c23/1/000000-0,0.5,x"], "nobody/x/c23/1/000000-0 (line 14)"


def score(text):
    def change(lines):
        name = lines[4].split(",")[0]
        return [*lines[:4], f"{name},{text},x", *lines[5:]], f"{text or 'nothing'} of {name} (line 6)"

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop, "without a score (1)"),
        (double, "with several scores (1)"),
        (stranger, "no face of the split (1)"),
        *((score(text), "no probabilities between 0 and 1 (1)") for text in ("nan", "", "1.2", "-0.1", "inf", "fake")),
    ],
)
def test_whatever_does_not_fit_is_named_and_nothing_is_written(tmp_path, store, split, spoil, words):
    lines, culprit = spoil(lines_of(split)[0])
    with pytest.raises(TrainingError) as caught:
        import_scores(store.root, split, write(tmp_path, lines), "theirs")
    assert words in str(caught.value)
    assert (culprit if "(line" in culprit else culprit.split(",")[0]) in str(caught.value)
    assert not (store.root / "runs").exists()


def test_all_faults_are_told_at_once_a_few_of_each(tmp_path, store, split):
    lines = [line.replace("/0", "/1") for line in lines_of(split)[0][:9]]
    with pytest.raises(TrainingError, match=r"without a score \(12\).*no face of the split \(9\).*line 4\), \.\.\."):
        import_scores(store.root, split, write(tmp_path, lines), "theirs")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("face,score,other", r"one column sample_id \(or key\) and has 0, its columns are face, score, other"),
        ("sample_id,probability,other", "one column score and has 0.*--column"),
        ("sample_id,score,score", "one column score and has 2"),
    ],
)
def test_a_file_without_the_columns_tells_those_it_has(tmp_path, store, split, head, words):
    with pytest.raises(TrainingError, match=words):
        import_scores(store.root, split, write(tmp_path, lines_of(split)[0], head), "theirs")


def test_files_that_are_none_and_names_that_are_none_are_refused(tmp_path, store, split):
    with pytest.raises(TrainingError, match="there is no file"):
        import_scores(store.root, split, tmp_path / "none.csv", "theirs")
    (tmp_path / "ragged.csv").write_text("sample_id,score\na,b,c\n")
    with pytest.raises(TrainingError, match="cannot be read as CSV"):
        import_scores(store.root, split, tmp_path / "ragged.csv", "theirs")
    for name in ("", "../theirs", "a/b", ".hidden"):
        with pytest.raises(TrainingError, match="name of a run"):
            import_scores(store.root, split, tmp_path / "none.csv", name)


def test_imported_scores_have_no_weights_to_go_on_with(tmp_path, store, split):
    import_scores(store.root, split, write(tmp_path, lines_of(split)[0]), "theirs")
    with pytest.raises(TrainingError, match="theirs is of imported scores: there are no weights"):
        find_checkpoint("theirs", store.root, selected=True)


def test_a_run_that_was_trained_here_takes_no_scores(tmp_path, store, split):
    (store.root / "runs/mine/checkpoints").mkdir(parents=True)
    with pytest.raises(TrainingError, match="was trained here"):
        import_scores(store.root, split, write(tmp_path, lines_of(split)[0]), "mine")


def test_the_command_imports_and_shows_the_figures_and_refuses_half_a_request(tmp_path, store, split, capsys):
    file = write(tmp_path, lines_of(split)[0])
    places = ["--store", str(store.root), "--catalog", str(tmp_path / "catalog.duckdb")]
    assert main(["results", "import", str(file), "--split", "demo", "--name", "theirs", *places, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["run_id"] for row in rows} == {"theirs"}
    for words in (["import", str(file), "--split", "demo"], ["import"], ["--split", "demo"], ["--column", "p"]):
        assert main(["results", *words, *places]) == 2
        assert "results import FILE.csv" in capsys.readouterr().err
    assert main(["results", *places]) == 0
