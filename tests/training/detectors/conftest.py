"""Each detector is built once: ShallowNet-V3's 118 million weights take a second to draw."""

from functools import cache

import pytest
import torch
from torch import nn

from training.detectors import build_detector


@pytest.fixture(autouse=True)
def one_thread():
    """Steps this small are no faster on two, and threads that wait for a busy core burn the other one."""
    torch.set_num_threads(1)  # set back by the fixture fresh_process


@pytest.fixture(scope="session")
def built():
    """name -> the detector with its own options, whose weights no test changes."""
    return cache(lambda name: build_detector(name, {}))


def outline(name: str, **options) -> nn.Module:
    """The detector without any weights."""
    with torch.device("meta"):
        return build_detector(name, options)


def faces(count: int, size: int) -> dict[str, torch.Tensor]:
    """What forward and loss get: different blurs of colour, alternately real and fake."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    image = nn.functional.interpolate(coarse, (size, size), mode="bilinear").to(memory_format=torch.channels_last)
    return {"image": image, "label": torch.arange(count) % 2, "weight": torch.ones(count)}


def side_of(model: nn.Module, else_: int = 64) -> int:
    return getattr(model, "input_size", else_)
