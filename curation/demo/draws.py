"""Random draws that depend on names, never on the order in which things are made.

Every person, motion and scene has a generator of its own, seeded by the SHA-256 of its name, so that one process or
four, a whole tree or one video of it, give the same pixels. What could become a shortcut if chance were unkind (size
of the frame, size of the face, exposure, noise) is not drawn but taken in turn from a sequence that fills its range
evenly.
"""

import hashlib

import numpy as np

GOLDEN = 0.6180339887498949  # fractional part of the golden ratio; its multiples fill [0, 1) evenly (Weyl's sequence)


def generator(*names: object) -> np.random.Generator:
    """Random generator of its own for a tuple of names (anything with a str()); equal names give equal draws."""
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def evenly(index: int, *names: object) -> float:
    """Number `index` of an evenly filling sequence in [0, 1) that starts at a place drawn for `names`."""
    return float((generator("evenly", *names).random() + index * GOLDEN) % 1.0)
