"""Xception (Chollet 2017, Xception: deep learning with depthwise separable convolutions) with one logit, from timm.

20,809,001 trainable parameters. It starts from random weights, as paper protocols that say `weights=None` demand, drawn
and normalised as Keras does, from which the paper's net comes; `pretrained: true` starts from ImageNet's.
"""

from torch import nn

from training.imagenet import TimmDetector
from training.keras import BN_EPS, BN_MOMENTUM, draw_kernels


class Xception(TimmDetector):
    @property
    def transfer_modules(self) -> list[nn.Module]:
        return [self.net.conv4, self.net.bn4, self.net.fc]

    @property
    def last_convolution(self) -> nn.Module:
        """The last separable convolution, 2,048 maps of 8x8 from a 256x256 face: the layer as Keras has it, before its
        batch normalisation and ReLU, which are layers of their own there."""
        return self.net.conv4


def build(
    pretrained: bool = False, dropout: float = 0.0, bn_momentum: float = BN_MOMENTUM, bn_eps: float = BN_EPS
) -> Xception:
    """`dropout` before the classifier; batch normalisation as PyTorch counts momentum (Keras's 0.99 is 0.01 here)."""
    model = Xception("legacy_xception", pretrained, bn_momentum, bn_eps, drop_rate=dropout)
    draw_kernels(model)
    return model
