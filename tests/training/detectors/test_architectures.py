"""The detectors' layers, sizes and first weights, against what their papers and Keras have."""

import math

import pytest
import torch
from torch import nn

from tests.training.detectors.conftest import faces, outline, side_of
from training.detectors import names
from training.errors import TrainingError

COUNTS = {
    "mesonet4": 27_977,
    "mesoinception4": 28_615,
    "shallownet_v3": 118_078_241,
    "xception": 20_809_001,
    "efficientnet_b0": 4_008_829,
}
FROM_KERAS = ["mesonet4", "mesoinception4", "shallownet_v3", "xception"]  # all their weights, as Keras draws them
MAPS = {  # what Grad-CAM reads
    "mesonet4": (16, 32, 32),
    "mesoinception4": (16, 32, 32),
    "shallownet_v3": (32, 60, 60),
    "xception": (2048, 2, 2),
    "efficientnet_b0": (1280, 2, 2),
}


def kernels(model):
    return [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_a_detector_has_as_many_trainable_parameters_as_published(name, count):
    assert sum(parameter.numel() for parameter in outline(name).parameters() if parameter.requires_grad) == count


@pytest.mark.parametrize(
    ("name", "convolutions", "dense"),
    [("mesonet4", 4, 2), ("mesoinception4", 16, 2), ("shallownet_v3", 8, 2), ("xception", 74, 1)],
)
def test_a_detector_has_as_many_layers_as_published(name, convolutions, dense):
    """Xception's 36 convolutions are two plain and 34 separable ones, of two each, beside four 1x1 shortcuts."""
    layers = kernels(outline(name))
    assert [sum(isinstance(layer, kind) for layer in layers) for kind in (nn.Conv2d, nn.Linear)] == [
        convolutions,
        dense,
    ]


def test_an_inception_module_sees_four_fields_side_by_side():
    module = outline("mesoinception4").features[0]
    branches = [module.pointwise, *module.dilated]
    last = [branch if isinstance(branch, nn.Conv2d) else branch[-1] for branch in branches]
    assert [layer.out_channels for layer in last] == [1, 4, 4, 2]
    assert [(layer.kernel_size[0] - 1) * layer.dilation[0] + 1 for layer in last] == [1, 3, 5, 7]


@pytest.mark.parametrize("name", COUNTS)
def test_batches_are_normalised_as_keras_does(name):
    norms = [module for module in outline(name).modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}
    changed = [module for module in outline(name, bn_momentum=0.5, bn_eps=0.1).modules() if hasattr(module, "momentum")]
    assert {(norm.momentum, norm.eps) for norm in changed} == {(0.5, 0.1)}


@pytest.mark.parametrize("name", FROM_KERAS)
def test_first_weights_are_glorot_uniform_with_zero_biases(built, name):
    for layer in kernels(built(name)):
        area = math.prod(layer.weight.shape[2:])
        limit = math.sqrt(6 / (area * (layer.weight.shape[0] + layer.weight.shape[1])))
        largest = float(layer.weight.detach().abs().max())
        assert largest <= limit * (1 + 1e-6)
        if layer.weight.numel() > 300:
            assert largest > 0.95 * limit
        assert layer.bias is None or not layer.bias.any()


def test_efficientnets_convolutions_are_drawn_as_its_authors_do_and_its_one_logit_is_not(built):
    model = built("efficientnet_b0")
    for layer in kernels(model):
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 5000:
            outputs = layer.out_channels * math.prod(layer.kernel_size) // layer.groups
            assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / outputs), rel=0.1)
    assert float(model.net.classifier.weight.detach().abs().max()) <= math.sqrt(6 / 1281)


@pytest.mark.parametrize("name", COUNTS)
def test_gradcam_reads_the_last_convolution(built, name):
    model, seen = built(name), []
    last = [layer for layer in kernels(model) if isinstance(layer, nn.Conv2d)][-1]
    watched = model.last_convolution
    hooks = [
        last.register_forward_hook(lambda *call: seen.append(call[2])),
        watched.register_forward_hook(lambda *call: seen.append(call[2])),
    ]
    with torch.no_grad():
        model.eval()(faces(1, side_of(model)))
    for hook in hooks:
        hook.remove()
    assert tuple(seen[1].shape[1:]) == MAPS[name]
    # itself, or with the ReLU that Keras has inside the layer, but neither normalised nor pooled
    assert torch.equal(seen[1], seen[0]) or torch.equal(seen[1], seen[0].relu())
    if name not in ("xception", "efficientnet_b0"):
        assert (seen[1] >= 0).all()


@pytest.mark.parametrize("name", ["mesonet4", "mesoinception4", "shallownet_v3"])
def test_logits_are_a_function_of_the_1024_neurons(built, name):
    model, batch = built(name).eval(), faces(2, 256)
    with torch.no_grad():
        neurons, logits = model.neurons(batch), model(batch)
        assert neurons.shape == (2, 1024)
        assert torch.equal(model.after_neurons(neurons), logits)
        assert not torch.equal(model.after_neurons(neurons + 1), logits)
    if name == "shallownet_v3":
        assert (neurons >= 0).all(), "behind the ReLU, before batch normalisation"


@pytest.mark.parametrize(("name", "mean"), [("xception", 0.5), ("efficientnet_b0", 0.485)])
def test_imagenets_pixels_are_asked_for_only_with_imagenets_weights(name, mean):
    assert outline(name).normalise is None
    (first, _, _), _ = outline(name, pretrained=True).normalise
    assert first == mean


@pytest.mark.parametrize("name", ["xception", "efficientnet_b0"])
def test_a_net_refuses_to_start_from_weights_it_cannot_have(monkeypatch, tmp_path, name):
    def nothing(*args, **kwargs):
        raise OSError("no network here")

    monkeypatch.setattr("training.imagenet.load_pretrained", nothing)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("training.imagenet.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TrainingError, match=f"no network here.*{tmp_path}.*pretrained false"):
        outline(name, pretrained=True).initialise()
    outline(name).initialise()


def test_torch_hubs_own_error_without_a_network_is_told_too(monkeypatch, tmp_path):
    model = outline("xception", pretrained=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model.net.pretrained_cfg = {**model.net.pretrained_cfg, "url": "http://127.0.0.1:9/xception.pth"}
    with pytest.raises(TrainingError, match=r"put http://127.0.0.1:9/xception.pth into"):
        model.initialise()


def test_every_detector_of_the_study_is_a_file():
    assert set(COUNTS) <= set(names())
