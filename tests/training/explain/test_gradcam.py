"""Grad-CAM against its definition computed the long way, in batches, and without a trace in the detector."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.training.explain.conftest import tiny
from training.detectors import build_detector
from training.errors import TrainingError
from training.explain.gradcam import grad_cam, guided_gradients, heat, last_convolution


@pytest.fixture
def faces():
    return {"image": torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))}


def long_way(model, image):
    """Equations 1 and 2 of Grad-CAM on the output of the second convolution, the layers written out one by one."""
    layers = list(model.features)
    maps = layers[4](layers[3](layers[2](layers[1](layers[0](image)))))
    maps.retain_grad()
    rest = nn.Sequential(layers[6], layers[7])
    model.after_neurons(rest(torch.relu(maps)).flatten(1)).sum().backward()
    alpha = maps.grad.sum((2, 3)) / (maps.shape[2] * maps.shape[3])
    return torch.einsum("bk,bkhw->bhw", alpha, maps.detach()).clamp(min=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_map_is_the_rectified_sum_of_maps_weighted_by_their_mean_gradients(faces, seed):
    model = tiny(seed)
    assert torch.allclose(grad_cam(model, faces), long_way(model, faces["image"]), atol=1e-6)


def test_maps_of_a_batch_are_those_of_each_face_alone(faces):
    model = tiny(0)
    alone = torch.cat([grad_cam(model, {"image": image[None]}) for image in faces["image"]])
    assert torch.allclose(grad_cam(model, faces), alone, atol=1e-6)


def test_the_detector_is_left_as_it_was(faces):
    model = tiny(0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    heat(model, faces, (32, 32), guided=True)
    with torch.no_grad():
        heat(model, faces, (32, 32))  # whatever the caller's mode
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(
        module._forward_hooks or module._backward_hooks or module._forward_pre_hooks for module in model.modules()
    )
    assert faces["image"].requires_grad is False


def test_no_hook_is_left_where_the_detector_fails(faces):
    model = tiny(0)
    model.head = nn.Linear(7, 1)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        grad_cam(model, faces)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_detector_names_its_layer_itself_and_else_it_is_the_last_convolution():
    model = tiny(0)
    assert last_convolution(model) is model.features[4]
    model.last_convolution = model.features[5]
    assert last_convolution(model) is model.features[5]


class Odd(nn.Module):
    """One of the detectors for which there is no map."""

    def __init__(self, kind):
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 1)
        self.head = nn.Linear(2, 1)
        self.kind = kind

    def forward(self, batch):
        maps = self.convolution(batch["image"])
        if self.kind == "twice":
            maps = maps + self.convolution(batch["image"] / 2)
        if self.kind == "unused":
            maps = batch["image"][:, :2] * batch["image"].requires_grad_()[:, :2]
        return self.head(maps.mean((2, 3))).squeeze(1)


@pytest.mark.parametrize(("kind", "words"), [("twice", "needs one map"), ("unused", "does not depend")])
def test_a_layer_that_gives_no_map_is_refused(faces, kind, words):
    with pytest.raises(TrainingError, match=words):
        grad_cam(Odd(kind).eval(), faces)


def test_training_mode_and_a_detector_without_convolutions_are_refused(faces):
    for explain in (grad_cam, guided_gradients):
        with pytest.raises(TrainingError, match="training mode"):
            explain(tiny(0).train(), faces)
    with pytest.raises(TrainingError, match="no convolution"):
        last_convolution(nn.Linear(1, 1))


class Written(nn.Module):
    """x -> sum of v * relu(W x + b), the ReLU written in one of the ways there are."""

    def __init__(self, relu):
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.first = nn.Parameter(torch.randn(9, 12, generator=generator))
        self.second = nn.Parameter(torch.randn(9, generator=generator))
        self.relu = relu

    def forward(self, batch):
        return self.relu(batch["image"].flatten(1) @ self.first.T - 0.1) @ self.second


WAYS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "function": functional.relu,
    "function in place": functional.relu_,
    "torch": torch.relu,
    "method": torch.Tensor.relu,
    "method in place": lambda values: values.relu_(),
}


@pytest.mark.parametrize("way", WAYS)
def test_guided_backpropagation_stops_negative_gradients_at_every_relu_however_it_is_written(way):
    image = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(3))
    model = Written(WAYS[way]).eval()
    before = image.flatten(1) @ model.first.T - 0.1
    expected = ((before > 0) * model.second.clamp(min=0)) @ model.first
    assert torch.allclose(guided_gradients(model, {"image": image}).flatten(1), expected, atol=1e-6)
    plain = ((before > 0) * model.second) @ model.first
    assert not torch.allclose(plain, expected, atol=1e-3)


def test_outside_of_guided_backpropagation_relus_are_plain_again():
    model = Written(functional.relu).eval()
    image = torch.randn(2, 3, 2, 2, requires_grad=True)
    guided_gradients(model, {"image": image})
    (gradient,) = torch.autograd.grad(model({"image": image}).sum(), image)
    expected = ((image.flatten(1) @ model.first.T - 0.1 > 0) * model.second) @ model.first
    assert torch.allclose(gradient.flatten(1), expected, atol=1e-6)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (50, 40)])
def test_heat_has_the_size_asked_for_and_is_never_negative(faces, guided, size):
    found = heat(tiny(1), faces, size, guided)
    assert found.shape == (5, *size)
    assert found.min() >= 0
    assert found.max() > 0


@pytest.mark.parametrize(
    ("name", "size", "side"), [("mesonet4", 256, 32), ("mesoinception4", 256, 32), ("xception", 64, 2),
                               ("efficientnet_b0", 64, 2)],
)  # fmt: skip
def test_the_detectors_have_maps_of_the_size_they_tell(name, size, side):
    model = build_detector(name, {}).eval()
    found = grad_cam(model, {"image": torch.rand(1, 3, size, size)})
    assert found.shape == (1, side, side)
    assert torch.isfinite(found).all()
