"""EfficientNet-B0 (Tan, Le 2019, EfficientNet: rethinking model scaling, table 1) with one logit, from timm.

4,008,829 trainable parameters. Its kernels are drawn as the authors' program does, which Keras repeats and timm too
(He-normal over the outputs); dropout 0.2 before the classifier and stochastic depth 0.2 (section 5.2) are also the
defaults of Keras's. The classifier alone is drawn as any dense layer of Keras, Glorot-uniform: the authors' rule, a
range of 1 / sqrt(outputs), is meant for a thousand classes and gives one logit weights up to 1. Random weights unless
`pretrained: true`.
"""

from torch import nn

from training.imagenet import TimmDetector
from training.keras import BN_EPS, BN_MOMENTUM, draw_kernels


class EfficientNetB0(TimmDetector):
    @property
    def transfer_modules(self) -> list[nn.Module]:
        return [self.net.conv_head, self.net.bn2, self.net.classifier]

    @property
    def last_convolution(self) -> nn.Module:
        """The top convolution, 1,280 maps of 8x8 from a 256x256 face: the layer as Keras has it, before its batch
        normalisation and SiLU, which are layers of their own there."""
        return self.net.conv_head


def build(
    pretrained: bool = False,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    bn_momentum: float = BN_MOMENTUM,
    bn_eps: float = BN_EPS,
) -> EfficientNetB0:
    """`dropout` before the classifier; `drop_path`: of the last block, growing from 0 at the first; batch normalisation
    as PyTorch counts momentum (Keras's 0.99 is 0.01 here)."""
    options = {"drop_rate": dropout, "drop_path_rate": drop_path}
    model = EfficientNetB0("efficientnet_b0", pretrained, bn_momentum, bn_eps, **options)
    draw_kernels(model.net.classifier)
    return model
