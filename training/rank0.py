"""What only one process may do (pinning, naming a run, joining predictions), with its outcome told to all.

If it fails, every rank raises: the others do not wait at a barrier for a process that is gone, and only rank 0, which
knows the whole story, prints it.
"""

from collections.abc import Callable
from typing import Any

import torch

from training.errors import TrainingError


class ToldByRank0(TrainingError):
    """Rank 0 failed and says why; this rank only stops."""


def on_rank0(function: Callable[[], Any]) -> Any:
    """Call `function` on rank 0 and return its result, which must be picklable, on every rank."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return function()
    told: list[Any] = [None, None]
    failure: Exception | None = None
    if torch.distributed.get_rank() == 0:
        try:
            told[0] = function()
        except Exception as error:  # raised again below, once the others know
            failure = error
            told[1] = f"{type(error).__name__}: {error}"
    torch.distributed.broadcast_object_list(told, src=0)
    if failure is not None:
        raise failure
    if told[1] is not None:
        raise ToldByRank0(told[1])
    return told[0]
