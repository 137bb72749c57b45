"""What a decoder must offer: frames at given absolute indices, and their times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class DecodeError(RuntimeError):
    """A file, or the rest of it, cannot be read; the message says what the decoder said."""

    deepshard_error = True


@dataclass(frozen=True)
class ClipInfo:
    """Facts about a clip. ``frame_count`` counts what the container holds, not what its header claims."""

    decoder: str  # name and version
    codec: str
    width: int  # of the upright frame, pixels
    height: int
    fps: float | None
    frame_count: int
    rotation: (
        int | None
    )  # degrees clockwise by which frames were turned to stand upright (0, 90, 180, 270); None: untold


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame; ``rgb`` is uint8 [height, width, 3], upright; ``corrupt``: the decoder concealed damage."""

    index: int  # absolute, from 0
    time_s: float | None  # presentation time, None where the stream has no timestamps
    rgb: np.ndarray
    corrupt: bool = False


class Clip(Protocol):
    """The two things a decoder does: frames at given absolute indices, and their times."""

    info: ClipInfo
    lost: dict[int, str]  # frames asked for that the decoder passed over: index -> reason in words

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Yields the frames at ``indices`` (ascending, unique) in that order, reading no further than the last one.

        An index beyond the end of the stream is not yielded, nor is one that goes to ``lost``; the caller compares what
        it asked for with what it got.
        Raises DecodeError where the stream cannot be read on.
        """
        ...

    def times(self, indices: Sequence[int]) -> list[float | None]:
        """Presentation times in seconds of ``indices``, without decoding where the container allows it."""
        ...

    def close(self) -> None: ...
