"""What Keras does without being told, for detectors whose authors trained them in it.

Glorot-uniform kernels with zero biases (Glorot, Bengio 2010), and batch normalisation with momentum 0.99 and epsilon
1e-3. PyTorch counts momentum from the other end: 0.01.
"""

from torch import nn

BN_MOMENTUM, BN_EPS = 0.01, 1e-3


def draw_kernels(model: nn.Module) -> None:
    """Glorot-uniform kernels and zero biases in every convolution and dense layer.

    Of a depthwise kernel Keras counts 9 C inputs and 9 outputs, PyTorch the other way round: the sum, and so the range
    that is drawn from, is the same.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def set_batch_norm(model: nn.Module, momentum: float, eps: float) -> None:
    """Momentum (as PyTorch counts it) and epsilon of every batch normalisation."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum, module.eps = momentum, eps
