"""Which frames of a clip to visit: pure functions of a policy and of the frames there are.

``evenly n``          n frames from the first to the last, evenly spaced (all, where there are fewer)
``every k``           every k-th frame from the first
``all``               every frame
``at least n``        evenly spaced frames until n have a face, then denser, up to 8 n visited
``at least n in m``   the same, up to m visited
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

VISITED_PER_WANTED = 8


class SamplingError(ValueError):
    """A sampling policy that cannot be read; the message lists the ones there are."""

    deepshard_error = True


@dataclass(frozen=True)
class Sampling:
    """A policy: ``n`` frames or faces, or every ``n``-th frame; ``limit`` bounds how many frames are visited."""

    policy: Literal["evenly", "every", "all", "at least"]
    n: int = 0
    limit: int = 0

    @classmethod
    def parse(cls, text: str) -> "Sampling":
        """Reads ``evenly 32``, ``every 10``, ``all``, ``at least 16``, ``at least 16 in 200``. Raises SamplingError."""
        words = " ".join(str(text).split())
        if words == "all":
            return cls("all")
        if match := re.fullmatch(r"(evenly|every) ([1-9]\d*)", words):
            return cls(match[1], int(match[2]))
        if match := re.fullmatch(r"at least ([1-9]\d*)(?: in ([1-9]\d*))?", words):
            n, limit = int(match[1]), int(match[2] or VISITED_PER_WANTED * int(match[1]))
            if limit >= n:
                return cls("at least", n, limit)
        raise SamplingError(
            f"sampling {text!r} is none of: 'evenly 32', 'every 10', 'all', 'at least 16', 'at least 16 in 200' "
            "(with a second number no smaller than the first)"
        )

    def rounds(self, there: Sequence[int], found: Callable[[], int]) -> Iterator[list[int]]:
        """Yields lists of ascending frame indices to visit, one list a round; only ``at least`` has several.

        ``there`` are the frame indices of the clip, ascending; ``found()`` tells, after each round, how many visited
        frames had a face.
        """
        there = np.asarray(there)
        if self.policy == "all":
            yield there.tolist()
        elif self.policy == "every":
            yield there[:: self.n].tolist()
        elif self.policy == "evenly":
            yield spread(there, self.n).tolist()
        else:
            visited = 0
            while len(there) and found() < self.n and visited < self.limit:
                # at least as many as before, so that a clip without faces costs few passes over the file
                step = min(max(self.n - found(), visited), self.limit - visited)
                chosen = spread(there, step)
                yield chosen.tolist()
                visited += len(chosen)
                there = np.setdiff1d(there, chosen, assume_unique=True)


def spread(there: np.ndarray, n: int) -> np.ndarray:
    """``n`` of the given ascending indices, evenly spaced with both ends; all of them if there are no more than n."""
    if n >= len(there):
        return there
    return there[np.linspace(0, len(there) - 1, n).round().astype(int)]
