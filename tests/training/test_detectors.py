"""Detectors: the contract of a detector file, and errors for what it does not know."""

import numpy as np
import pytest
import torch
from torch import nn

from training.detectors import build_detector, in_float32, loss_of
from training.errors import TrainingError
from training.inputs import keep_valid, model_inputs


def batch_of(count, size=256):
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8),
        "label": torch.arange(count) % 2,
        "weight": torch.ones(count),
        "index": torch.arange(count),
        "valid": torch.ones(count, dtype=torch.bool),
    }


@pytest.mark.parametrize(
    ("name", "options", "hint"),
    [
        ("mesonet", {}, "did you mean mesonet4"),
        ("../run", {}, "there is no detector"),
        ("mesonet4", {"droput": 0.1}, "did you mean dropout"),
        ("mesonet4", {"dropout": "much"}, "must be float"),
        ("mesonet4", {"loss": "hinge"}, "mse or bce"),
        ("xception", {"pretrained": 1}, "must be bool"),
    ],
)
def test_an_unknown_detector_or_option_is_told(name, options, hint):
    with pytest.raises(TrainingError, match=hint):
        build_detector(name, options)


class Sized(nn.Module):
    input_size = 16
    normalise = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_inputs_are_resized_and_normalised_as_the_detector_says():
    batch = batch_of(3, size=32)
    batch["image"][:] = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    batch["mask"] = torch.full((3, 1, 32, 32), 255, dtype=torch.uint8)
    batch["landmarks"] = torch.tensor([[[0.0, 31.0]]] * 3)
    inputs = model_inputs(batch, Sized(), torch.device("cpu"), channels_last=True)
    assert inputs["image"].shape == (3, 3, 16, 16)
    assert inputs["image"].is_contiguous(memory_format=torch.channels_last)
    assert inputs["image"][0, :, 3, 5].tolist() == pytest.approx([2.0, -2.0, -1.2], abs=1e-5)
    assert inputs["mask"].unique().tolist() == [1.0]
    assert inputs["landmarks"][0, 0].tolist() == [-0.25, 15.25]  # pixel centres at whole numbers
    assert np.array_equal(inputs["label"], batch["label"])


def test_padded_slots_are_dropped_before_a_detector_sees_them():
    batch = batch_of(4, size=8)
    batch["valid"][2:] = False
    kept = keep_valid(batch)
    assert kept["index"].tolist() == [0, 1]
    assert kept["image"].shape[0] == 2


def test_a_detector_may_return_more_than_logits_for_its_loss():
    class Two(nn.Module):
        def loss(self, output, batch):
            return output["extra"].sum() + batch["weight"].sum()

    output = in_float32(
        {"logits": torch.zeros(2, dtype=torch.bfloat16), "extra": torch.ones(2), "k": torch.ones(1).int()}
    )
    assert output["logits"].dtype == torch.float32
    assert loss_of(Two(), output, {"weight": torch.ones(2)}) == 4
