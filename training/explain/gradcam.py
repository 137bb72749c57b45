"""Grad-CAM on a detector's last convolution, plain and guided, for batches of any detector.

Selvaraju et al. 2017, Grad-CAM, equations 1 and 2. The explained class is *fake*: the score is the logit, which is
above 0 for a fake. Guided is the plain map times guided backpropagation (section 3.2; Springenberg et al. 2015,
Striving for simplicity, section 3.4).

Why not a package: `grad-cam` 1.5 takes an image tensor and class scores, not a detector's batch, lets its hooks live as
long as its object, guides one image at a time by exchanging the detector's layers, and installs a second OpenCV over
ours; `captum` 0.9 gives the same plain maps, from a graph of the whole detector where that behind the last convolution
is enough, and its guided backpropagation leaves out, without a word, every ReLU that is a function and no module.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from training.detectors import logits_of
from training.errors import TrainingError


def last_convolution(model: nn.Module) -> nn.Module:
    """The module whose output Grad-CAM reads: the detector's own ``last_convolution``, else its last nn.Conv2d.

    Raises TrainingError for a detector without a convolution.
    """
    own = getattr(model, "last_convolution", None)
    if own is not None:
        return own
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise TrainingError(
            f"{type(model).__name__} has no convolution to explain: give the detector a property last_convolution, "
            "the module whose maps [B, C, h, w] are to be read"
        )
    return convolutions[-1]


def grad_cam(model: nn.Module, inputs: dict[str, Tensor], layer: nn.Module | None = None) -> Tensor:
    """The rectified class activation maps of *fake*, float32 [B, h, w], h and w being those of the layer's output.

    `inputs` as the detector's forward takes them (`training.inputs.model_inputs`), `model` in evaluation mode; `layer`:
    `last_convolution(model)`. The detector is left as it was: no hook, no gradient. Raises TrainingError for a detector
    in training mode, and for a layer that does not give one map for each face.
    """
    _check_mode(model)
    layer = last_convolution(model) if layer is None else layer
    maps: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        # the graph begins here: what lies before needs no gradient. What follows may work in place, on a copy
        maps.append(output.detach().requires_grad_())
        return maps[-1].clone()

    handle = layer.register_forward_hook(cut)
    try:
        logits = _logits(model, inputs)
    finally:
        handle.remove()
    if len(maps) != 1 or maps[0].ndim != 4 or len(maps[0]) != len(logits):
        shapes = ", ".join(str(list(each.shape)) for each in maps) or "nothing"
        raise TrainingError(
            f"Grad-CAM needs one map [{len(logits)}, C, h, w] of {type(layer).__name__} in {type(model).__name__}, "
            f"which gave {shapes}: name another module as last_convolution"
        )
    # of the sum: faces do not meet in evaluation mode
    (gradient,) = torch.autograd.grad(logits, maps, torch.ones_like(logits), allow_unused=True)
    if gradient is None:
        raise TrainingError(
            f"the logit of {type(model).__name__} does not depend on its last_convolution: name another module"
        )
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * maps[0].detach()).sum(1).relu()


def guided_gradients(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Guided backpropagation of the logit to the image, float32 [B, 3, H, W].

    At every ReLU, module or function, a negative gradient ends too. Other activations (LeakyReLU, SiLU) keep their own
    gradient: for them the method is not defined, and in a detector without ReLUs this is the plain gradient.
    """
    _check_mode(model)
    image = inputs["image"].detach().requires_grad_()
    with _GuidedReLUs():
        logits = _logits(model, {**inputs, "image": image})
    return torch.autograd.grad(logits, image, torch.ones_like(logits))[0]


def heat(model: nn.Module, inputs: dict[str, Tensor], size: tuple[int, int], guided: bool = False) -> Tensor:
    """Grad-CAM at the size of the face, float32 [B, *size], not negative, not scaled; bilinear.

    `guided`: times guided backpropagation, of whose three colours the one that is largest in magnitude counts
    (Simonyan et al. 2014, Deep inside convolutional networks, section 3.1).
    """
    maps = _resized(grad_cam(model, inputs), size)
    if guided:
        maps = maps * _resized(guided_gradients(model, inputs).abs().amax(1), size)
    return maps


def _check_mode(model: nn.Module) -> None:
    if model.training:
        raise TrainingError(f"{type(model).__name__} is in training mode: call eval() before it is explained")


def _logits(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Logits [B] whose graph has no parameter of the detector in it."""
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    with torch.enable_grad():
        return logits_of(functional_call(model, parameters, (inputs,)))


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, inplace: bool) -> Tensor:
        positive = values > 0
        context.save_for_backward(positive)
        if inplace:
            context.mark_dirty(values)
            return values.mul_(positive)
        return values * positive

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (positive,) = context.saved_tensors
        return gradient.clamp(min=0) * positive, None


class _GuidedReLUs(TorchFunctionMode):
    """Within it every ReLU is a guided one; no module is touched."""

    _PLAIN = frozenset([functional.relu, torch.relu, Tensor.relu])
    _INPLACE = frozenset([functional.relu_, torch.relu_, Tensor.relu_])

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in self._PLAIN or function in self._INPLACE:
            values = args[0] if args else kwargs["input"]
            inplace = function in self._INPLACE or (args[1] if len(args) > 1 else kwargs.get("inplace", False))
            return _GuidedReLU.apply(values, inplace)
        return function(*args, **kwargs)
