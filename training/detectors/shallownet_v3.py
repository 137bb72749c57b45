"""ShallowNet-V3: eight convolutions without padding and two dense layers, 118,078,241 trainable parameters.

Tariq, Lee, Kim, Shin, Woo 2018, Detecting both machine and human created fake face images in the wild, in the form in
which the programs of Li, Sun, Poskitt, Wang (How generalizable are deepfake image detectors?) train it in Keras: ReLU
and dropout after each convolution (behind the pooling where there is one), batch normalisation behind the first dense
layer, and 1e-4 times the squares of every kernel but the last, added to the loss. Its first dense layer reads 115,200
values and has all but 112,000 of the parameters.
"""

import torch
from torch import Tensor, nn

from training.detectors import cross_entropy
from training.keras import BN_EPS, BN_MOMENTUM, draw_kernels, set_batch_norm


class ShallowNetV3(nn.Module):
    input_size = 256  # the first dense layer reads 32 maps of 60x60

    def __init__(self, dropout: float, l2: float, bn_momentum: float, bn_eps: float):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, pool in (
            (3, 32, 5, 1), (32, 32, 1, 1), (32, 32, 1, 2),
            (32, 64, 3, 1), (64, 64, 1, 1), (64, 64, 1, 2),
            (64, 128, 3, 1), (128, 32, 1, 1),
        ):  # fmt: skip
            layers += [nn.Conv2d(inputs, outputs, kernel), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(pool)] if pool > 1 else []
            layers += [nn.Dropout(dropout)]
        self.features = nn.Sequential(*layers)
        self.hidden = nn.Linear(32 * 60 * 60, 1024)
        self.relu = nn.ReLU()
        self.norm = nn.BatchNorm1d(1024)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(1024, 1)
        self.l2 = l2
        draw_kernels(self)
        set_batch_norm(self, bn_momentum, bn_eps)

    @property
    def transfer_modules(self) -> list[nn.Module]:
        return [self.hidden, self.norm, self.head]

    @property
    def last_convolution(self) -> nn.Module:
        """The last convolution with its ReLU, as Keras has it in one layer: 32 maps of 60x60."""
        return self.features[-2]

    def neurons(self, batch: dict[str, Tensor]) -> Tensor:
        """batch["image"] float [B, 3, 256, 256], RGB in [0, 1] -> the outputs of the first dense layer, [B, 1024]."""
        return self.relu(self.hidden(self.features(batch["image"]).flatten(1)))

    def after_neurons(self, values: Tensor) -> Tensor:
        """What `neurons` gave, or other values [B, 1024] -> logits [B]."""
        return self.head(self.dropout(self.norm(values))).squeeze(1)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """batch["image"] float [B, 3, 256, 256], RGB in [0, 1] -> logits [B], above 0 = fake."""
        return self.after_neurons(self.neurons(batch))

    def loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Weighted binary cross-entropy; in training plus the squares of the kernels that learn, times ``l2``."""
        loss = cross_entropy(logits, batch)
        return loss + self.l2 * self._squares() if self.training and self.l2 else loss

    def _squares(self) -> Tensor:
        layers = [self.hidden, *(layer for layer in self.features if isinstance(layer, nn.Conv2d))]
        kernels = [layer.weight for layer in layers if layer.weight.requires_grad]
        # not kernel.square().sum(), which would write 472 MB for the first dense layer; by rows, for precision
        return sum(torch.linalg.vector_norm(kernel.flatten(1), dim=1).square().sum() for kernel in kernels)


def build(
    dropout: float = 0.25, l2: float = 1e-4, bn_momentum: float = BN_MOMENTUM, bn_eps: float = BN_EPS
) -> ShallowNetV3:
    """`dropout` behind each layer but the last; `l2` times the squares of the kernels is added to the loss; batch
    normalisation as PyTorch counts momentum."""
    return ShallowNetV3(dropout, l2, bn_momentum, bn_eps)
