"""MesoNet-4: four small convolutions and two dense layers, 27,977 trainable parameters on a 256x256 face.

Afchar, Nozick, Yamagishi, Echizen 2018, MesoNet: a compact facial video forgery detection network, figure 4. With what
Keras, in which the authors trained it, adds silently: ReLU before batch normalisation, momentum 0.99 and epsilon 1e-3
(PyTorch counts momentum the other way round: 0.01), Glorot-uniform kernels, zero biases.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class MesoNet4(nn.Module):
    input_size = 256  # the first dense layer reads 16 maps of 8x8

    def __init__(self, dropout: float, loss: str, bn_momentum: float, bn_eps: float):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, pool in ((3, 8, 3, 2), (8, 8, 5, 2), (8, 16, 5, 2), (16, 16, 5, 4)):
            layers += [
                nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(outputs, eps=bn_eps, momentum=bn_momentum),
                nn.MaxPool2d(pool),
            ]
        self.features = nn.Sequential(*layers)
        self.hidden = nn.Linear(1024, 16)
        self.head = nn.Linear(16, 1)
        self.dropout = dropout
        self.squared = loss == "mse"
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """batch["image"] float [B, 3, 256, 256], RGB in [0, 1] -> logits [B], above 0 = fake."""
        hidden = functional.dropout(self.features(batch["image"]).flatten(1), self.dropout, self.training)
        hidden = functional.leaky_relu(self.hidden(hidden), 0.1)
        return self.head(functional.dropout(hidden, self.dropout, self.training)).squeeze(1)

    def loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Squared error of the sigmoid (the authors'), or binary cross-entropy; weighted by batch["weight"], mean."""
        label = batch["label"].to(logits.dtype)
        if self.squared:
            return (batch["weight"] * (torch.sigmoid(logits) - label).square()).mean()
        return functional.binary_cross_entropy_with_logits(logits, label, weight=batch["weight"])


def build(dropout: float = 0.5, loss: str = "mse", bn_momentum: float = 0.01, bn_eps: float = 1e-3) -> MesoNet4:
    """`dropout` before each dense layer; `loss` mse or bce; batch normalisation as PyTorch counts momentum."""
    if loss not in ("mse", "bce"):
        raise ValueError(f"MesoNet-4's loss is mse or bce, not {loss!r}")
    return MesoNet4(dropout, loss, bn_momentum, bn_eps)
