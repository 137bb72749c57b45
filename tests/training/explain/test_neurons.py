"""Average causal effects against the loop over faces, neurons and values that they stand for; overlaps and chance."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.explain.conftest import tiny
from training.errors import TrainingError
from training.explain import neurons
from training.explain.load import drawn
from training.explain.neurons import by_chance, causal_effects, effects, overlaps, top
from training.inputs import model_inputs


def one_by_one(model, values, labels, gammas):
    """The definition, a face, a neuron and a value at a time."""
    found = []
    for neuron in range(values.shape[1]):
        means = []
        for gamma in np.linspace(float(values[:, neuron].min()), float(values[:, neuron].max()), gammas):
            right = []
            for face, label in zip(values, labels, strict=True):
                fixed = face.clone()
                fixed[neuron] = float(gamma)
                fake = torch.sigmoid(model.after_neurons(fixed[None]))[0].item()
                right.append(fake if label else 1 - fake)
            means.append(np.mean(right))
        found.append(max(means) - min(means))
    return np.array(found)


@pytest.mark.parametrize(("seed", "gammas", "block"), [(0, 4, 512), (1, 4, 3), (2, 2, 7), (3, 5, 1)])
def test_effects_are_those_of_the_loop_over_faces_neurons_and_values(monkeypatch, seed, gammas, block):
    monkeypatch.setattr(neurons, "_BLOCK", block)
    model = tiny(seed)
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(11, 16, generator=generator).relu() * 3
    labels = torch.randint(0, 2, (11,), generator=generator)
    found = causal_effects(model.after_neurons, values, labels, gammas)
    with torch.no_grad():
        expected = one_by_one(model, values, labels, gammas)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.max() > 1e-3


def test_the_effects_of_a_split_are_those_of_its_faces_through_the_whole_detector(runs):
    model = runs.models["merge"]
    rows = drawn(runs.split, 10)
    batch = runs.split.dataset().__getitems__(rows)
    with torch.no_grad():
        values = model.neurons(model_inputs(batch, model, torch.device("cpu")))
        expected = one_by_one(model, values, batch["label"], 4)
    assert effects(model, runs.split, 10) == pytest.approx(expected, abs=1e-6)


def test_a_neuron_that_never_moves_or_leads_nowhere_has_no_effect():
    weights = torch.tensor([1.0, 0.0, 2.0])
    values = torch.tensor([[0.0, 1.0, 5.0], [1.0, 3.0, 5.0]])
    found = causal_effects(lambda given: given @ weights, values, torch.tensor([0, 0]))
    assert found[0] > 1e-6
    assert found[1:].tolist() == [0.0, 0.0]


def test_faces_of_both_classes_that_gain_and_lose_alike_leave_no_effect():
    values = torch.tensor([[-1.0], [1.0]])
    assert causal_effects(lambda given: given[:, 0], values, torch.tensor([0, 1]))[0] == pytest.approx(0, abs=1e-12)
    assert causal_effects(lambda given: given[:, 0], values, torch.tensor([1, 1]))[0] == pytest.approx(
        1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(1))
    )


def test_what_cannot_be_measured_is_refused(runs):
    with pytest.raises(TrainingError, match="does not tell its neurons"):
        effects(torch.nn.Linear(1, 1).eval(), runs.split)
    with pytest.raises(TrainingError, match="training mode"):
        effects(tiny(0).train(), runs.split)
    values = torch.rand(3, 2)
    with pytest.raises(TrainingError, match="changes the values"):
        causal_effects(lambda given: given.mul_(2)[:, 0], values, torch.tensor([0, 1, 0]))
    values[1, 1] = float("nan")
    with pytest.raises(TrainingError, match="no numbers"):
        causal_effects(lambda given: given[:, 0], values, torch.tensor([0, 1, 0]))


@given(
    st.integers(1, 6).flatmap(
        lambda sets: st.lists(
            st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), min_size=12, max_size=12), min_size=sets, max_size=sets
        )
    ),
    st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_every_set_gives_a_top_of_the_right_size_of_the_largest_effects(lists, k):
    given_effects = {f"set{number}": np.array(values) for number, values in enumerate(lists)}
    for name, effect in given_effects.items():
        chosen, tied = top(effect, k, name)
        assert len(set(chosen.tolist())) == k
        left = np.delete(effect, chosen)
        assert not left.size or effect[chosen].min() >= left.max()
        assert (tied > 0) == bool(left.size and effect[chosen].min() == left.max())
        assert tied == (0 if not tied else (effect == effect[chosen].min()).sum())
    table = overlaps(given_effects, (k,)).to_pylist()
    assert [row["times"] for row in table] == list(range(1, len(lists) + 1))
    assert sum(row["times"] * row["neurons"] for row in table) == k * len(lists)
    assert sum(row["times"] * row["expected"] for row in table) == pytest.approx(k * len(lists))


def test_of_512_of_1024_neurons_in_five_sets_32_are_in_all_by_chance():
    assert by_chance(1024, 512, 5, 5) == 32
    assert sum(by_chance(1024, 512, 5, times) for times in range(6)) == pytest.approx(1024)
    generator = np.random.default_rng(0)
    table = overlaps({f"set{i}": generator.random(1024) for i in range(5)}, (64, 512)).to_pylist()
    for row in table:
        assert abs(row["neurons"] - row["expected"]) < 5 * np.sqrt(row["expected"] + 1), row
        assert row["tied"] == 0


def test_neurons_without_any_effect_overlap_by_chance_alone_and_are_told():
    table = overlaps({name: np.zeros(1024) for name in ("f2f", "fs", "nt", "df", "dfd")}, (512,)).to_pylist()
    assert abs(table[-1]["neurons"] - 32) < 25
    assert table[-1]["tied"] == 5 * 1024


def test_the_same_effects_everywhere_overlap_wholly_and_the_answer_is_always_the_same():
    effect = np.random.default_rng(1).random(100)
    one = overlaps({"a": effect, "b": effect, "c": effect}, (10,))
    assert one["neurons"].to_pylist() == [0, 0, 10]
    assert one.equals(overlaps({"a": effect, "b": effect, "c": effect}, (10,)))


def test_effects_of_different_detectors_are_not_compared():
    with pytest.raises(TrainingError, match="same neurons"):
        overlaps({"a": np.zeros(3), "b": np.zeros(4)})
    with pytest.raises(TrainingError, match="top 5 of 3"):
        overlaps({"a": np.zeros(3)}, (5,))
