"""Xception (Chollet 2017, Xception: deep learning with depthwise separable convolutions) with one logit, from timm.

20,809,001 trainable parameters. It starts from random weights, as paper protocols that say `weights=None` demand;
`pretrained: true` starts from ImageNet's, which timm fetches once, and refuses to start without them if it cannot.
"""

import timm
import torch
from timm.models import load_pretrained
from torch import Tensor, nn

from training.errors import TrainingError


class Xception(nn.Module):
    def __init__(self, pretrained: bool, dropout: float, bn_momentum: float, bn_eps: float):
        super().__init__()
        self.net = timm.create_model("legacy_xception", num_classes=1, drop_rate=dropout)
        self.pretrained = pretrained
        # ImageNet's weights saw pixels in [-1, 1]; without them, [0, 1]
        self.normalise = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)) if pretrained else None
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum, module.eps = bn_momentum, bn_eps

    def initialise(self) -> None:
        """Load the ImageNet weights, if asked for; raises TrainingError, saying where they go, if there are none."""
        if not self.pretrained:
            return
        url = self.net.pretrained_cfg["url"]
        try:
            load_pretrained(self.net, num_classes=1)
        except (OSError, RuntimeError) as error:
            folder = f"{torch.hub.get_dir()}/checkpoints"
            raise TrainingError(
                f"the ImageNet weights of Xception could not be fetched ({error}): put {url} into {folder}, "
                "or train from random weights with --detector.options.pretrained false"
            ) from error

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """batch["image"] float [B, 3, H, W], RGB -> logits [B], above 0 = fake."""
        return self.net(batch["image"]).squeeze(1)


def build(pretrained: bool = False, dropout: float = 0.0, bn_momentum: float = 0.1, bn_eps: float = 1e-5) -> Xception:
    """`dropout` before the classifier; batch normalisation as PyTorch counts momentum (Keras's 0.99 is 0.01 here)."""
    return Xception(pretrained, dropout, bn_momentum, bn_eps)
