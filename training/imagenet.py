"""Nets of timm with one logit, from random weights or from ImageNet's.

ImageNet's weights are fetched once, when training starts from nothing. Where they cannot be had a run stops and says
how to get them: it never starts from random weights instead.
"""

from typing import Any

import timm
import torch
from huggingface_hub import constants
from timm.models import load_pretrained
from torch import Tensor, nn

from training.errors import TrainingError
from training.keras import set_batch_norm


class TimmDetector(nn.Module):
    """The net ``name`` of timm as a detector; ``options`` go to ``timm.create_model``.

    ``pretrained``: to start from ImageNet's weights. They saw pixels that were normalised, which ``normalise`` then
    asks for; without them it is None: RGB in [0, 1].
    """

    def __init__(self, name: str, pretrained: bool, bn_momentum: float, bn_eps: float, **options: Any):
        super().__init__()
        self.net = timm.create_model(name, num_classes=1, **options)
        self.name, self.pretrained = name, pretrained
        about = self.net.pretrained_cfg
        self.normalise = (tuple(about["mean"]), tuple(about["std"])) if pretrained else None
        set_batch_norm(self, bn_momentum, bn_eps)

    def initialise(self) -> None:
        """Load the ImageNet weights, if asked for; raises TrainingError, saying where they go, if there are none."""
        if not self.pretrained:
            return
        try:
            load_pretrained(self.net, num_classes=1)
        except (OSError, RuntimeError) as error:  # the Hub's client and torch.hub raise OSErrors for want of a network
            about = self.net.pretrained_cfg
            if about.get("hf_hub_id"):
                how = f"fetch {about['hf_hub_id']} with `hf download` where there is a network, and copy it into "
                how += constants.HF_HUB_CACHE
            else:
                how = f"put {about['url']} into {torch.hub.get_dir()}/checkpoints"
            raise TrainingError(
                f"the ImageNet weights of {self.name} could not be fetched ({error}): {how}; or train from random "
                "weights with --detector.options.pretrained false"
            ) from error

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """batch["image"] float [B, 3, H, W], RGB -> logits [B], above 0 = fake."""
        return self.net(batch["image"]).squeeze(1)
