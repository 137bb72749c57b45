"""Heat maps of real faces with masks: colours, similarities and shares of heat, against their definitions."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import structural_similarity
from torch import nn

from shards.image import decode_image
from shards.schema import draw_key
from shards.split import Split
from tests.fabricate import make_store
from tests.training.explain.conftest import SIZE, tiny, write_run
from training.errors import TrainingError
from training.explain import heatmaps
from training.explain.heatmaps import bands, coloured, compare, congenetic, examples, levels, similarity
from training.explain.load import drawn, load_run


@given(arrays(np.float32, (3, 5, 4), elements=st.floats(0, 1e6, width=32)))
def test_levels_stretch_every_map_from_0_to_255_and_leave_flat_ones_at_0(heats):
    found = levels(heats)
    assert found.dtype == np.uint8
    for heat, level in zip(heats, found, strict=True):
        assert level[np.unravel_index(heat.argmin(), heat.shape)] == 0
        assert level.max() == (255 if heat.max() > heat.min() else 0)
        order = heat.ravel().argsort(kind="stable")
        assert (np.diff(level.ravel()[order].astype(int)) >= 0).all()


def test_no_heat_is_blue_and_the_most_is_red():
    maps = coloured(np.array([[[0, 255]]], np.uint8))
    (cold, hot) = maps[0, 0].tolist()
    assert maps.shape == (1, 1, 2, 3)
    assert cold[2] > 100 > cold[0] + cold[1]
    assert hot[0] > 100 > hot[1] + hot[2]


def test_similarity_is_that_of_scikit_image_in_double_precision():
    generator = np.random.default_rng(3)
    maps = coloured(generator.integers(0, 256, (6, 40, 40), np.uint8))
    for one, other in zip(maps, maps[1:], strict=False):
        expected = structural_similarity(one, other, channel_axis=2)
        assert similarity(one, other) == pytest.approx(expected, abs=1e-5)
        assert similarity(one, other) == similarity(other, one)
        assert similarity(one, one) == 1.0


def test_the_bands_are_the_papers_with_their_ends_in_the_middle_one():
    assert bands([0.1, 0.69, 0.7, 0.8, 0.9, 0.91, 1.0, -0.1]) == {
        "dissimilar": 3 / 8, "between": 3 / 8, "similar": 2 / 8,
    }  # fmt: skip


def test_fakes_are_drawn_by_their_id_alone_and_more_of_them_hold_the_fewer(runs):
    split = runs.split
    everything = drawn(split, 1000, fakes=True)
    assert everything.tolist() == np.flatnonzero(split.labels == 1).tolist()
    ids = split.sample_ids(everything)
    first = set(split.sample_ids(drawn(split, 5, fakes=True)))
    assert first == set(sorted(ids, key=draw_key)[:5])
    assert first < set(split.sample_ids(drawn(split, 9, fakes=True)))
    with pytest.raises(TrainingError, match="at least one"):
        drawn(split, 0)


def test_a_split_without_fakes_says_so(tmp_path):
    store = make_store(tmp_path, videos=1, faces_per_video=2, size=SIZE, shards=1, faceless=0)
    with pytest.raises(TrainingError, match="no fake"):
        drawn(Split.open(store.manifest), 5, fakes=True)


def test_congenetic_detectors_have_a_row_for_every_fake_with_all_pairs(runs, tmp_path):
    names = {name: name for name in runs.models}
    table = congenetic(runs.root, names, runs.split, tmp_path, images=7)
    rows = drawn(runs.split, 7, fakes=True)
    assert table["sample_id"].to_pylist() == runs.split.sample_ids(rows)
    assert set(table["split_hash"].to_pylist()) == {runs.split.hash}
    shown = examples(runs.models, runs.split, rows)
    for row, example in zip(table.to_pylist(), shown, strict=True):
        assert (row["sample_id"], row["method"]) == (example.sample_id, example.method)
        pairs = [("original", "transfer"), ("original", "merge"), ("transfer", "merge")]
        expected = [structural_similarity(example.maps[a], example.maps[b], channel_axis=2) for a, b in pairs]
        assert [row[f"ssim_{a}_{b}"] for a, b in pairs] == pytest.approx(expected, abs=1e-5)
        assert row["mean"] == pytest.approx(np.mean(expected), abs=1e-5)
        assert example.face.shape == example.maps["merge"].shape == (SIZE, SIZE, 3)
        assert example.landmarks.shape == (5, 2)
    assert table["mean"].to_numpy().max() < 0.999


class Redness(nn.Module):
    """Its only map is the red channel less `least`, its logit the map's mean times `sign`."""

    def __init__(self, sign, least=0.0):
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 1)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))
            self.convolution.bias.fill_(-least)
        self.sign = sign

    def forward(self, batch):
        return self.sign * self.convolution(batch["image"]).mean((1, 2, 3))


def test_the_share_of_heat_inside_the_mask_is_that_of_the_maps_own_values(runs):
    table = compare({"red": Redness(1.0).eval()}, runs.split, drawn(runs.split, 6, fakes=True))
    assert table["mean"].null_count == 6  # one detector has nothing to be like
    for row in table.to_pylist():
        (at,) = np.flatnonzero([sample == row["sample_id"] for sample in runs.split.sample_ids()])
        red = decode_image(runs.split.read(at)).astype(float)[..., 0]
        mask = decode_image(runs.split.read(at, "mask"))[..., 0] > 0
        assert row["inside_red"] == pytest.approx(red[mask].sum() / red.sum(), abs=1e-5)
        assert row["mask_area"] == pytest.approx(mask.mean())
        assert 0 < row["mask_area"] < 0.5


def test_maps_without_heat_are_alike_counted_and_have_no_share(runs):
    models = {"a": Redness(-1.0).eval(), "b": Redness(-2.0).eval(), "c": Redness(1.0, 0.1).eval()}
    table = compare(models, runs.split, drawn(runs.split, 4, fakes=True)).to_pylist()
    for row in table:
        assert row["ssim_a_b"] == 1.0
        assert row["ssim_a_c"] < 0.9
        assert row["zero_maps"] == 2
        assert row["inside_a"] is row["inside_b"] is None
        assert row["inside_c"] is not None


def test_without_masks_shares_are_null_and_the_rest_is_there(tmp_path):
    split = Split.open(make_store(tmp_path, videos=2, faces_per_video=3, size=SIZE, masks=False, faceless=0).manifest)
    table = compare({"a": tiny(0), "b": tiny(1)}, split, drawn(split, 10, fakes=True))
    assert table.num_rows == 3
    assert table["inside_a"].null_count == table["mask_area"].null_count == 3
    assert table["mean"].null_count == 0


@pytest.mark.parametrize("guided", [False, True])
def test_a_table_of_the_same_weights_is_read_and_of_others_made_again(runs, tmp_path, monkeypatch, guided):
    store = tmp_path / "store"
    write_run(store, "one", tiny(0))
    write_run(store, "two", tiny(1))
    names = {"a": "one", "b": "two"}
    first = congenetic(store, names, runs.split, tmp_path / "out", images=3, guided=guided)
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.endswith("-guided.parquet") == guided
    assert json.loads(pq.read_schema(path).metadata[b"deepshard"])["runs"]["b"]["run"] == "two"
    with monkeypatch.context() as patch:
        patch.setattr(heatmaps, "load_run", None)  # no detector is loaded for it either
        again = congenetic(store, names, runs.split, tmp_path / "out", images=3, guided=guided)
    assert again.equals(first)
    write_run(store, "two", tiny(7), step=2)
    other = congenetic(store, names, runs.split, tmp_path / "out", images=3, guided=guided)
    assert other["mean"].to_pylist() != first["mean"].to_pylist()


def test_a_run_that_is_not_there_is_named_with_those_that_are(runs):
    with pytest.raises(TrainingError, match="merge, original, transfer"):
        load_run(runs.root, "nothing")


def test_a_loaded_run_is_the_model_that_was_saved_in_evaluation_mode(runs):
    model, card = load_run(runs.root, "transfer", "cpu")
    assert card["run_id"] == "transfer"
    assert not model.training
    image = {"image": torch.rand(2, 3, SIZE, SIZE)}
    assert torch.equal(model(image), runs.models["transfer"](image))
