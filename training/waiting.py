"""How long the device stood still because the next batch was not there.

On a CPU that is the time in which the loop waits for its loader. A GPU works on while the loop waits, so there it is
what the GPU's own clock says to have passed between the end of the work it had and the arrival of the batch.
"""

import time

import torch


class Waiting:
    """A context around each request for a batch; ``take`` gives the seconds since it was last asked."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._spans: list[tuple] = []

    def _now(self) -> "float | torch.cuda.Event":
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()  # behind all work that the GPU has been given so far
        return event

    def __enter__(self) -> None:
        self._begun = self._now()

    def __exit__(self, *_: object) -> None:
        self._spans.append((self._begun, self._now()))

    def take(self) -> float:
        """Seconds waited since the last call; on a GPU, waits for the work before the last batch to be done."""
        spans, self._spans = self._spans, []
        if not self._on_gpu:
            return sum(end - begun for begun, end in spans)
        if spans:
            spans[-1][1].synchronize()
        return sum(begun.elapsed_time(end) for begun, end in spans) / 1000
