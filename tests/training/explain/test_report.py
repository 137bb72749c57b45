"""The two commands: their files, and figures that agree with the functions behind them."""

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from deepshard import main
from training.explain import neurons
from training.explain.report import explain_heatmaps, explain_neurons


def test_heat_maps_of_runs_leave_a_table_and_pictures_and_are_summed_up(runs, tmp_path):
    names = list(runs.models)
    (found,) = explain_heatmaps(runs.root, names, [runs.split], tmp_path, images=6, shown=2)
    (table,) = [pq.read_table(path) for path in tmp_path.glob("*.parquet")]
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet", ".png"}
    assert (tmp_path / "similarities.png").is_file()
    assert found.fakes == table.num_rows == 6
    assert found.mean == pytest.approx(pc.mean(table["mean"]).as_py())
    assert sum(found.bands.values()) == pytest.approx(1)
    assert found.inside == {name: pytest.approx(pc.mean(table[f"inside_{name}"]).as_py()) for name in names}


def test_one_run_alone_has_shares_of_heat_but_no_similarity(runs, tmp_path):
    (found,) = explain_heatmaps(runs.root, ["merge"], [runs.split], tmp_path, images=3, guided=True, shown=1)
    assert (found.mean, found.bands, found.fakes) == (None, {}, 3)
    assert 0 < found.inside["merge"] < 1
    assert all("-guided." in path.name for path in tmp_path.iterdir())


def test_neurons_of_a_run_leave_their_effects_and_overlaps(runs, tmp_path):
    table = explain_neurons(runs.root, "original", [runs.split], tmp_path, images=12)
    effects = pq.read_table(tmp_path / "effects.parquet")
    assert effects["neuron"].to_pylist() == list(range(16))
    expected = neurons.effects(runs.models["original"], runs.split, 12)
    assert np.allclose(effects.column(1).to_numpy(), expected)
    written = pyarrow.csv.read_csv(tmp_path / "overlaps.csv")
    assert written.to_pylist() == table.to_pylist()
    assert table["neurons"].to_pylist() == [8]  # half of the sixteen, in the one set
    assert (tmp_path / "overlaps.png").is_file()


def test_the_commands_say_what_they_found_and_what_they_cannot(runs, tmp_path, capsys):
    places = ["--store", str(runs.root), "--split", "demo", "--out", str(tmp_path)]
    assert main(["explain", "heatmaps", "original", "merge", *places, "--images", "4", "--examples", "1"]) == 0
    said = capsys.readouterr().out
    assert "mean SSIM" in said
    assert "inside, merge" in said
    assert main(["explain", "neurons", "original", *places, "--images", "4"]) == 0
    assert "by chance" in capsys.readouterr().out
    assert main(["explain", "neurons", "nothing", *places]) == 2
    assert "merge, original, transfer" in capsys.readouterr().err
    assert main(["explain", "heatmaps", "merge", "merge", *places]) == 2
    assert "run merge is given more than once" in capsys.readouterr().err
