"""MesoNet-4: four small convolutions and two dense layers, 27,977 trainable parameters on a 256x256 face.

Afchar, Nozick, Yamagishi, Echizen 2018, MesoNet: a compact facial video forgery detection network, figure 4. With what
Keras, in which the authors trained it, adds silently (training/keras.py), ReLU before batch normalisation, and mean
squared error of the sigmoid as their programs have it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detectors import cross_entropy, mean_of_labelled
from training.keras import BN_EPS, BN_MOMENTUM, draw_kernels, set_batch_norm


def block(convolution: nn.Module, channels: int, pool: int) -> list[nn.Module]:
    """A convolution to ``channels`` maps, its ReLU, batch normalisation and max-pooling."""
    return [convolution, nn.ReLU(inplace=True), nn.BatchNorm2d(channels), nn.MaxPool2d(pool)]


def convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size of its maps."""
    return nn.Conv2d(inputs, outputs, kernel, padding=dilation * (kernel // 2), dilation=dilation)


class Meso(nn.Module):
    """``features`` (16 maps of 8x8 at the end), then two dense layers: what the two nets of the paper share."""

    input_size = 256  # the first dense layer reads 16 maps of 8x8

    def __init__(self, features: list[nn.Module], dropout: float, loss: str, bn_momentum: float, bn_eps: float):
        if loss not in ("mse", "bce"):
            raise ValueError(f"the loss is mse or bce, not {loss!r}")
        super().__init__()
        self.features = nn.Sequential(*features)
        self.hidden = nn.Linear(1024, 16)
        self.head = nn.Linear(16, 1)
        self.dropout = dropout
        self.squared = loss == "mse"
        draw_kernels(self)
        set_batch_norm(self, bn_momentum, bn_eps)

    @property
    def transfer_modules(self) -> list[nn.Module]:
        return [self.hidden, self.head]

    @property
    def last_convolution(self) -> nn.Module:
        """The last convolution with its ReLU, as Keras has it in one layer, before batch normalisation: 16 maps of
        32x32."""
        return self.features[-3]

    def neurons(self, batch: dict[str, Tensor]) -> Tensor:
        """batch["image"] float [B, 3, 256, 256], RGB in [0, 1] -> the inputs of the first dense layer, [B, 1024]."""
        return self.features(batch["image"]).flatten(1)

    def after_neurons(self, values: Tensor) -> Tensor:
        """What `neurons` gave, or other values [B, 1024] -> logits [B]."""
        hidden = self.hidden(functional.dropout(values, self.dropout, self.training))
        hidden = functional.dropout(functional.leaky_relu(hidden, 0.1), self.dropout, self.training)
        return self.head(hidden).squeeze(1)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """batch["image"] float [B, 3, 256, 256], RGB in [0, 1] -> logits [B], above 0 = fake."""
        return self.after_neurons(self.neurons(batch))

    def loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Squared error of the sigmoid (the authors'), or binary cross-entropy; weighted by batch["weight"], mean."""
        if not self.squared:
            return cross_entropy(logits, batch)
        return mean_of_labelled((torch.sigmoid(logits) - batch["label"]).square(), batch)


def build(dropout: float = 0.5, loss: str = "mse", bn_momentum: float = BN_MOMENTUM, bn_eps: float = BN_EPS) -> Meso:
    """`dropout` before each dense layer; `loss` mse or bce; batch normalisation as PyTorch counts momentum."""
    features: list[nn.Module] = []
    for inputs, outputs, kernel, pool in ((3, 8, 3, 2), (8, 8, 5, 2), (8, 16, 5, 2), (16, 16, 5, 4)):
        features += block(convolution(inputs, outputs, kernel), outputs, pool)
    return Meso(features, dropout, loss, bn_momentum, bn_eps)
