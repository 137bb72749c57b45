"""Every detector gives gradients in both precisions, learns a tiny set by heart, and keeps what transfer freezes."""

import copy

import pytest
import torch
from torch import nn

from tests.soak import scale
from tests.training.detectors.conftest import faces, outline, side_of
from training.detectors import build_detector, in_float32, loss_of, names, needs
from training.errors import TrainingError
from training.transfer import check_transfer, freeze

CALM = {  # no dropout, and batch statistics that settle within a few steps
    "mesonet4": {"dropout": 0.0, "bn_momentum": 0.8},
    "mesoinception4": {"dropout": 0.0, "bn_momentum": 0.8},
    "shallownet_v3": {"dropout": 0.0, "bn_momentum": 0.8},
    "xception": {"bn_momentum": 0.8},
    "efficientnet_b0": {"dropout": 0.0, "drop_path": 0.0, "bn_momentum": 0.8},
}
TRANSFER = {  # what is trained; parameters
    "mesonet4": ({"hidden", "head"}, 1024 * 16 + 16 + 17),
    "mesoinception4": ({"hidden", "head"}, 1024 * 16 + 16 + 17),
    "shallownet_v3": ({"hidden", "norm", "head"}, 115_200 * 1024 + 1024 + 2 * 1024 + 1025),
    "xception": ({"net.conv4", "net.bn4", "net.fc"}, 1536 * 9 + 1536 * 2048 + 2 * 2048 + 2049),
    "efficientnet_b0": ({"net.conv_head", "net.bn2", "net.classifier"}, 320 * 1280 + 2 * 1280 + 1281),
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", names())
def test_one_logit_per_face_and_gradients_everywhere(built, name, precision):
    model = built(name).train()
    assert set(needs(model)) <= {"image"}
    kept = copy.deepcopy(list(model.buffers()))
    batch = faces(2, side_of(model))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        output = model(batch)
    assert output.shape == (2,) and output.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    loss = loss_of(model, in_float32(output), batch)
    assert loss.ndim == 0 and loss.dtype == torch.float32 and torch.isfinite(loss)
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad.dtype == torch.float32 and torch.isfinite(parameter.grad).all()
        parameter.grad = None
    for buffer, before in zip(model.buffers(), kept, strict=True):
        buffer.copy_(before)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(CALM))
def test_a_tiny_set_is_learnt_by_heart(name):
    """More than 99 % of so few faces are all of them. A step of ShallowNet-V3 takes seconds: it gets two faces."""
    torch.manual_seed(0)
    model = build_detector(name, CALM[name]).to(memory_format=torch.channels_last)
    heavy = name == "shallownet_v3"
    batch = faces(scale(2, 4) if heavy else scale(8, 16), side_of(model))
    kind = torch.optim.SGD if heavy else torch.optim.Adam
    optimiser = kind(model.parameters(), 1e-3)
    for _ in range(scale(4, 12) if heavy else scale(8, 40)):
        model.train()
        loss_of(model, model(batch), batch).backward()
        optimiser.step()
        optimiser.zero_grad()
    with torch.no_grad():
        fake = model.eval()(batch) > 0
    assert (fake == (batch["label"] == 1)).float().mean() > 0.99


def under(modules: set[str], name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


@pytest.mark.parametrize("name", sorted(TRANSFER))
def test_transfer_trains_the_end_of_a_detector(name):
    model, (modules, count) = outline(name), TRANSFER[name]
    freeze(model)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert sum(parameter.numel() for parameter in trained.values()) == count
    assert {name for name, _ in model.named_parameters() if under(modules, name)} == trained.keys()


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("name", sorted(set(TRANSFER) - {"shallownet_v3"}))
def test_what_is_frozen_stays_to_the_last_bit_and_the_rest_learns(name, sync):
    torch.manual_seed(0)
    model, (modules, _) = build_detector(name, {"bn_momentum": 0.3}), TRANSFER[name]
    if sync:  # a frozen one needs no process group
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    freeze(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    batch = faces(4, side_of(model))
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    model.eval()
    model.train()  # whoever asks for it
    norms = {key: module for key, module in model.named_modules() if hasattr(module, "running_mean")}
    assert {key for key, norm in norms.items() if norm.training} == {key for key in norms if under(modules, key)}
    if sync and any(norm.training for norm in norms.values()):
        return  # that one would exchange its statistics
    loss_of(model, model(batch), batch).backward()
    optimiser.step()
    after = model.state_dict()
    changed = {key for key in after if not torch.equal(after[key], before[key])}
    assert changed == {key for key in after if under(modules, key)}


def test_a_frozen_part_normalises_by_what_it_learnt_before():
    torch.manual_seed(0)
    model = build_detector("mesonet4", {"dropout": 0.0, "bn_momentum": 0.3})
    model.train()(faces(4, 256))  # statistics that are not those of one batch
    batch = faces(2, 256)
    with torch.no_grad():
        evaluated = model.eval()(batch)
        assert not torch.allclose(model.train()(batch), evaluated, atol=1e-3)
        model.eval()
        freeze(model)
        assert torch.equal(model.train()(batch), model.eval()(batch))


def test_a_detector_that_does_not_say_what_transfer_trains_is_refused():
    with pytest.raises(TrainingError, match="detector plain does not say what transfer learning trains"):
        check_transfer(nn.Linear(1, 1), "plain")


def test_mesonets_losses_are_what_they_are_called():
    inputs = {"label": torch.tensor([0, 1]), "weight": torch.tensor([1.0, 3.0])}
    logits = torch.tensor([0.3, -0.7])
    probability = torch.sigmoid(logits)
    for name in ("mesonet4", "mesoinception4"):
        squared = outline(name).loss(logits, inputs)
        assert squared == pytest.approx(float((probability[0] ** 2 + 3 * (1 - probability[1]) ** 2) / 2))
        entropy = outline(name, loss="bce").loss(logits, inputs)
        assert entropy == pytest.approx(float((-torch.log(1 - probability[0]) - 3 * torch.log(probability[1])) / 2))


def test_shallownet_adds_the_squares_of_every_kernel_that_learns_but_the_last(built):
    model, logits = built("shallownet_v3"), torch.tensor([0.3, -0.7])
    batch = {"label": torch.tensor([0, 1]), "weight": torch.ones(2)}
    convolutions = [layer.weight for layer in model.features if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        squares = [float(kernel.double().square().sum()) for kernel in [model.hidden.weight, *convolutions]]
        data = model.eval().loss(logits, batch)
        assert float(model.train().loss(logits, batch) - data) == pytest.approx(1e-4 * sum(squares), rel=1e-3)
        for kernel in convolutions:
            kernel.requires_grad_(False)
        assert float(model.loss(logits, batch) - data) == pytest.approx(1e-4 * squares[0], rel=1e-3)
    for kernel in convolutions:
        kernel.requires_grad_(True)
    assert len(convolutions) == 8


def test_the_study_and_this_test_have_the_same_detectors():
    assert set(CALM) == set(TRANSFER) <= set(names())
