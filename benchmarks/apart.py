"""A measurement in a process of its own, whose memory and imports nobody else has touched."""

import multiprocessing
from collections.abc import Callable
from typing import Any


def apart(measured: Callable[..., None], *arguments: Any) -> Any:
    """What ``measured(*arguments, answer)`` sends through ``answer``, run in a spawned process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measured, args=(*arguments, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        told = ", ".join(map(str, arguments))
        raise SystemExit(f"{measured.__name__} of {told} ended with {process.exitcode}") from None
    finally:
        process.join()
