"""What is counted as waiting: the loader's slowness, and on a GPU only what its work does not hide."""

import time

import pytest
import torch

from training.waiting import Waiting

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def batches(count: int, seconds: float):
    """A slow loader."""
    for _ in range(count):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        yield torch.zeros(1)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=on_gpu)])
def test_an_idle_device_waits_as_long_as_the_loader_takes(device):
    waiting, slow = Waiting(torch.device(device)), batches(4, 0.02)
    began = time.perf_counter()
    for _ in range(4):
        with waiting:
            next(slow)
    assert 0.08 <= waiting.take() <= time.perf_counter() - began
    assert waiting.take() == 0


@on_gpu
def test_a_gpu_that_still_works_does_not_wait():
    values = torch.rand(4096, 4096, device="cuda")
    torch.cuda.synchronize()
    waiting, slow = Waiting(values.device), batches(5, 0.005)
    began = time.perf_counter()
    for _ in range(5):
        with waiting:
            next(slow)
        for _ in range(40):  # far more than five milliseconds of work
            values = (values @ values).clamp(0, 1)
    torch.cuda.synchronize()
    assert waiting.take() < 0.5 * (time.perf_counter() - began)
