"""Research question 4: which neurons decide, and are they the same ones on every test set?

Li et al., How generalizable are deepfake image detectors, section 4.4. The average causal effect of a neuron: it is
fixed, do(y = gamma), at four values over the range that it has on the set, and its score is how far the mean
probability of the true class moves between them (the classes alone, which the paper's text counts, hardly move and
would leave the order to ties). Only what lies behind the neurons is computed again, for all faces and values at once.
Beyond the paper: what overlap chance would give stands beside every count.
"""

import hashlib
from collections.abc import Callable, Mapping
from math import comb

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from shards.split import Split
from training.detectors import logits_of
from training.errors import TrainingError
from training.explain.load import batches, drawn
from training.inputs import model_inputs

IMAGES = 1920  # 60 batches of 32, as the authors' program takes
GAMMAS = 4  # values at which a neuron is fixed, the least and the most that were observed among them
TOPS = (64, 128, 256, 512)
_BATCH = 32  # faces that go through the whole detector at a time
_BLOCK = 512  # faces whose neurons are intervened on at a time; four copies of 1,024 neurons each are 8 MB


def effects(
    model: nn.Module,
    split: Split,
    images: int = IMAGES,
    *,
    gammas: int = GAMMAS,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The average causal effect of every neuron on at most `images` drawn faces of `split`, float64 [N], 0 to 1.

    `model`, in evaluation mode, gives its neurons, ``neurons(batch) -> [B, N]``, and what becomes of them,
    ``after_neurons(values [B, N]) -> logits [B]``. Raises TrainingError for a detector that does not.
    """
    values, labels = observed(model, split, drawn(split, images), progress)
    return causal_effects(model.after_neurons, values, labels, gammas)


def observed(
    model: nn.Module, split: Split, rows: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> tuple[Tensor, Tensor]:
    """(neurons float32 [M, N], labels int64 [M]) of these rows of the split, on the detector's device."""
    if not hasattr(model, "neurons") or not hasattr(model, "after_neurons"):
        raise TrainingError(
            f"{type(model).__name__} does not tell its neurons: give the detector neurons(batch) -> [B, N] and "
            "after_neurons(values) -> logits [B]; one with a single dense layer has none to compare"
        )
    if model.training:
        raise TrainingError(f"{type(model).__name__} is in training mode: call eval() before it is explained")
    device = next(model.parameters()).device
    values, labels, done = [], [], 0
    with torch.inference_mode():
        for batch in batches(split, [model], rows, _BATCH):
            inputs = model_inputs(batch, model, device, channels_last=True)  # the faster order on CPUs
            values.append(model.neurons(inputs).float())
            labels.append(batch["label"].to(device))
            done += len(batch["label"])
            if progress is not None:
                progress(done, len(rows))
    return torch.cat(values), torch.cat(labels)


def causal_effects(
    after_neurons: Callable[[Tensor], Tensor], values: Tensor, labels: Tensor, gammas: int = GAMMAS
) -> np.ndarray:
    """The effect of each neuron, float64 [N]: max - min over gamma of the mean probability of the true class under
    do(y = gamma), for `gammas` values evenly over the neuron's range in `values` float [M, N]; `labels` [M], 0 or 1.

    Raises TrainingError where a neuron is no number, and where `after_neurons` writes into what it is given.
    """
    if not torch.isfinite(values).all():
        raise TrainingError(f"{int((~torch.isfinite(values)).sum())} values of neurons are no numbers: it diverged")
    faces, count = values.shape
    with torch.inference_mode():
        least, most = values.aminmax(dim=0)
        share = torch.linspace(0, 1, gammas, device=values.device)[:, None]
        fixed = least + share * (most - least)  # [gammas, N]
        sign = (labels * 2 - 1).to(torch.float64)  # the probability of real is the sigmoid of the negative logit
        total = torch.zeros((count, gammas), dtype=torch.float64, device=values.device)
        for first in range(0, faces, _BLOCK):
            block, signs = values[first : first + _BLOCK], sign[first : first + _BLOCK]
            copies = block.repeat(gammas, 1)  # [gammas * m, N], value by value
            given = fixed.repeat_interleave(len(block), dim=0)
            for neuron in range(count):
                natural = copies[:, neuron].clone()
                copies[:, neuron] = given[:, neuron]
                logits = logits_of(after_neurons(copies)).double().view(gammas, -1)
                total[neuron] += torch.sigmoid(logits * signs).sum(1)
                copies[:, neuron] = natural
            if not torch.equal(copies, block.repeat(gammas, 1)):
                raise TrainingError("after_neurons changes the values it is given: have it work on a copy")
    means = (total / faces).cpu().numpy()
    return means.max(1) - means.min(1)


def top(effect: np.ndarray, k: int, name: str) -> tuple[np.ndarray, int]:
    """(the `k` neurons of largest effect, int64 [k], ascending; how many are tied for the last places, else 0).

    Ties are broken by a hash of the set's `name` and the neuron: were they broken by number, neurons without any
    effect would be the same ones on every set and pass for an overlap. Raises TrainingError for too few neurons.
    """
    if not 0 < k <= len(effect):
        raise TrainingError(f"there is no top {k} of {len(effect)} neurons")
    hashes = [hashlib.sha256(f"{name}\n{neuron}".encode()).digest() for neuron in range(len(effect))]
    order = sorted(range(len(effect)), key=lambda neuron: (-effect[neuron], hashes[neuron]))
    last = effect[order[k - 1]]
    tied = int((effect == last).sum())
    return np.sort(np.array(order[:k])), 0 if (effect >= last).sum() == k else tied


def by_chance(neurons: int, k: int, sets: int, times: int) -> float:
    """How many of `neurons` are expected to be in exactly `times` of `sets` tops of `k`, drawn independently."""
    share = k / neurons
    return neurons * comb(sets, times) * share**times * (1 - share) ** (sets - times)


def overlaps(effects: Mapping[str, np.ndarray], tops: tuple[int, ...] = TOPS) -> pa.Table:
    """In how many of the sets each neuron is in the top: one row for each `top` and each number of `times` from 1.

    `effects`: set -> effect [N], as `effects` gives it. Columns: top int32; times int32; neurons int32, that are in the
    top of exactly so many sets; expected double, how many chance would give; tied int32, how many neurons, summed over
    the sets, have the effect of the last place where not all of them fit. Raises TrainingError for unequal lengths.
    """
    lengths = {name: len(effect) for name, effect in effects.items()}
    if len(set(lengths.values())) != 1:
        raise TrainingError(f"effects must be of the same neurons on every set, these are {lengths or 'none'}")
    count, sets = next(iter(lengths.values())), len(effects)
    rows = []
    for k in tops:
        found = [top(np.asarray(effect), k, name) for name, effect in effects.items()]
        often = np.bincount(np.concatenate([neurons for neurons, _ in found]), minlength=count)
        tied = sum(ties for _, ties in found)
        for times in range(1, sets + 1):
            expected = by_chance(count, k, sets, times)
            rows.append((k, times, int((often == times).sum()), expected, tied))
    names = ("top", "times", "neurons", "expected", "tied")
    kinds = (pa.int32(), pa.int32(), pa.int32(), pa.float64(), pa.int32())
    return pa.table(
        {name: pa.array(column, kind) for name, column, kind in zip(names, zip(*rows, strict=True), kinds, strict=True)}
    )
