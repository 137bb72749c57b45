"""Decoding with decord, the usual reader of this field.

decord 0.6 carries FFmpeg 4.1 and dates from 2021: it cannot open some containers (raw H.264, GIF), and it may hang or
crash where a header over-reports frames, so it runs in a process that can be killed. It turns frames upright itself.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import decord
import numpy as np

from curation.frames.clip import ClipInfo, DecodeError, Frame
from curation.frames.pyav_clip import Header

decord.logging.set_level(decord.logging.QUIET)


class DecordClip:
    """A clip decoded by decord on one thread. decord conceals damage silently: ``Frame.corrupt`` is always False."""

    def __init__(self, path: Path, header: Header):
        try:
            self._reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
            count = len(self._reader)
        except (decord.DECORDError, RuntimeError) as error:
            raise DecodeError(f"decord cannot open it: {_said(error)}") from error
        if count < 1:
            raise DecodeError("decord finds no frame in it")
        self._header = header
        self._count = min(count, header.packets)  # decord trusts some headers; the packets are what is there
        first = self._read(0)
        height, width = first.shape[:2]
        decoder = f"decord {decord.__version__}"
        self.info = ClipInfo(decoder, header.codec, width, height, header.fps, self._count, header.rotation)

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            if index >= self._count:
                return
            yield Frame(index, self.times([index])[0], self._read(index))

    def times(self, indices: Sequence[int]) -> list[float | None]:
        if self._header.times is None:
            return [None] * len(indices)
        return [self._header.times[index] if index < len(self._header.times) else None for index in indices]

    def close(self) -> None:
        self._reader = None

    def _read(self, index: int) -> np.ndarray:
        try:
            return self._reader[index].asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise DecodeError(f"decord cannot read frame {index}: {_said(error)}") from error


def _said(error: Exception) -> str:
    """What decord's report says failed, without times, source files of its build and local paths."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return re.sub(r"\[[^]]*\]\s*|/\S+:\d+: ", "", lines[-1])[:200]
