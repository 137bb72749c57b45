"""How much of a long test is done: a share of it in the ordinary suite, all of it with DEEPSHARD_SOAK=1."""

import os


def scale(short: int, full: int) -> int:
    """``full`` if DEEPSHARD_SOAK is 1, else ``short``."""
    return full if os.environ.get("DEEPSHARD_SOAK") == "1" else short
