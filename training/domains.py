"""Training on two domains: the source with its labels, the target without.

A manifest has the labels of both, because the same rows may be a test set elsewhere. In training nothing after this
file sees those of the target, nor what would tell them: a mask is empty for a real face, and only fakes have partners.
"""

import torch

from shards.sequence import target_rows
from shards.split import Split

SOURCE, TARGET = 0, 1  # values of batch["domain"]


class TargetLabelsHidden:
    """Takes whatever tells a target face's label out of batches of ``split``."""

    def __init__(self, split: Split) -> None:
        self._target = target_rows(split)

    def __call__(self, batch: dict) -> dict:
        """A batch of the loader, with ``domain`` int64 [B] (0 source, 1 target), and in the slots of the target label
        -1, weight 0, no partner and an empty mask."""
        target = torch.from_numpy(self._target[batch["index"].numpy()])
        hidden = {
            "domain": torch.where(target, TARGET, SOURCE),
            "label": batch["label"].masked_fill(target, -1),
            "weight": batch["weight"].masked_fill(target, 0),
        }
        for name in ("mask", "partner"):
            if name in batch:
                hidden[name] = batch[name].masked_fill(target[:, None, None, None], 0)
        if "partner_valid" in batch:
            hidden["partner_valid"] = batch["partner_valid"] & ~target
        return {**batch, **hidden}
