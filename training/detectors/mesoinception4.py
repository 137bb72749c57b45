"""MesoInception-4: MesoNet-4 with inception modules for its first two convolutions, 28,615 trainable parameters.

Afchar, Nozick, Yamagishi, Echizen 2018, MesoNet, figures 5 and 6: 1x1 convolutions, and 3x3 ones with dilations 1, 2
and 3 behind 1x1 ones, side by side. Of the widths that section 3.B tries the authors' program has (1, 4, 4, 2) and
(2, 4, 4, 2), which also give the count. Each convolution of a module has its own ReLU there; the rest is mesonet4's.
"""

import torch
from torch import Tensor, nn

from training.detectors.mesonet4 import Meso, block, convolution
from training.keras import BN_EPS, BN_MOMENTUM


class Inception(nn.Module):
    """``widths``: maps of the 1x1 branch, and of the 3x3 branches with dilations 1, 2 and 3."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int]):
        super().__init__()
        self.pointwise = convolution(inputs, widths[0], 1)
        self.dilated = nn.ModuleList(
            nn.Sequential(convolution(inputs, width, 1), nn.ReLU(inplace=True), convolution(width, width, 3, dilation))
            for dilation, width in enumerate(widths[1:], start=1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, sum of the widths, H, W], before the last ReLU of each branch."""
        return torch.cat([self.pointwise(maps), *(branch(maps) for branch in self.dilated)], dim=1)


def build(dropout: float = 0.5, loss: str = "mse", bn_momentum: float = BN_MOMENTUM, bn_eps: float = BN_EPS) -> Meso:
    """`dropout` before each dense layer; `loss` mse or bce; batch normalisation as PyTorch counts momentum."""
    features = [
        *block(Inception(3, (1, 4, 4, 2)), 11, 2),
        *block(Inception(11, (2, 4, 4, 2)), 12, 2),
        *block(convolution(12, 16, 5), 16, 2),
        *block(convolution(16, 16, 5), 16, 4),
    ]
    return Meso(features, dropout, loss, bn_momentum, bn_eps)
