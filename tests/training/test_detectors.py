"""Detectors: sizes as published, the contract of a detector file, and errors for what it does not know."""

import numpy as np
import pytest
import torch
from torch import nn

from training.detectors import build_detector, in_float32, loss_of, names, needs
from training.errors import TrainingError
from training.inputs import keep_valid, model_inputs


def trainable(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize(("name", "count"), [("mesonet4", 27_977), ("xception", 20_809_001)])
def test_a_detector_has_as_many_trainable_parameters_as_published(name, count):
    assert trainable(build_detector(name, {})) == count


def batch_of(count, size=256):
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8),
        "label": torch.arange(count) % 2,
        "weight": torch.ones(count),
        "index": torch.arange(count),
        "valid": torch.ones(count, dtype=torch.bool),
    }


@pytest.mark.parametrize("name", names())
def test_every_detector_file_gives_one_logit_per_face_and_gradients_everywhere(name):
    model = build_detector(name, {})
    assert set(needs(model)) <= {"image"}
    inputs = model_inputs(batch_of(2, size=96), model, torch.device("cpu"))
    output = in_float32(model(inputs))
    assert output.shape == (2,)
    loss = loss_of(model, output, inputs)
    assert loss.ndim == 0
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_mesonets_losses_are_what_they_are_called():
    inputs = {"label": torch.tensor([0, 1]), "weight": torch.tensor([1.0, 3.0])}
    logits = torch.tensor([0.3, -0.7])
    probability = torch.sigmoid(logits)
    squared = build_detector("mesonet4", {}).loss(logits, inputs)
    assert squared == pytest.approx(float((probability[0] ** 2 + 3 * (1 - probability[1]) ** 2) / 2))
    entropy = build_detector("mesonet4", {"loss": "bce"}).loss(logits, inputs)
    assert entropy == pytest.approx(float((-torch.log(1 - probability[0]) - 3 * torch.log(probability[1])) / 2))


def test_mesonet_normalises_batches_as_keras_does():
    norms = [module for module in build_detector("mesonet4", {}).modules() if isinstance(module, nn.BatchNorm2d)]
    assert [(norm.momentum, norm.eps, norm.num_features) for norm in norms] == [(0.01, 1e-3, n) for n in (8, 8, 16, 16)]


def test_xception_asks_for_imagenets_pixels_only_with_imagenets_weights():
    assert build_detector("xception", {}).normalise is None
    assert build_detector("xception", {"pretrained": True}).normalise == ((0.5,) * 3, (0.5,) * 3)


def test_xception_refuses_to_start_from_weights_it_cannot_have(monkeypatch, tmp_path):
    model = build_detector("xception", {"pretrained": True})
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model.net.pretrained_cfg = (
        model.net.pretrained_cfg.__class__(
            **{**model.net.pretrained_cfg.to_dict(), "url": "http://127.0.0.1:9/xception.pth"}
        )
        if not isinstance(model.net.pretrained_cfg, dict)
        else {**model.net.pretrained_cfg, "url": "http://127.0.0.1:9/x.pth"}
    )
    with pytest.raises(TrainingError, match="pretrained false"):
        model.initialise()


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
