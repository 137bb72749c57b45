"""Decoding with decord, the usual reader of this field, where PyAV did not get through.

decord 0.6 carries FFmpeg 4.1 and dates from 2021: it cannot open some containers (raw H.264, GIF), and it may hang or
crash where a header over-reports frames, so it runs in a process that can be killed. It turns frames upright itself.

It reaches a frame by seeking to the keyframe before it and counting from there, which gives the wrong frame, silently,
where groups of pictures are open (the default of x265, MPEG-4 with B-frames, MPEG-2), where H.264 refreshes a picture
bit by bit, and in MPEG-TS. So it reads only what ``trusts`` lets pass.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2  # noqa: F401  before decord, whose zlib would else be found by OpenCV's libpng: it then reads no PNG
import decord
import numpy as np

from curation.frames.clip import ClipInfo, DecodeError, Frame
from curation.frames.pyav_clip import Beat, Header

decord.logging.set_level(decord.logging.QUIET)

_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")
_LONGEST_GROUP = 2000  # frames that one native call may decode, in which no heart beats
_MOST_FRAMES = 30_000  # of a two-hour film it keeps 130 MB more than of a minute, PyAV 13


def trusts(header: Header) -> bool:
    """Whether decord gives the frames asked for, in bounded steps and memory."""
    short = header.packets <= _MOST_FRAMES and header.longest_group <= _LONGEST_GROUP
    return short and header.closed and header.container in _CONTAINERS


class DecordClip:
    """A clip decoded by decord on one thread. decord conceals damage silently: ``Frame.corrupt`` is always False."""

    def __init__(self, path: Path, header: Header, *, beat: Beat = lambda: None):
        self._beat = beat
        self.lost: dict[int, str] = {}
        try:
            self._reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
            count = len(self._reader)
        except (decord.DECORDError, RuntimeError, UnicodeEncodeError) as error:  # it takes no name but in UTF-8
            raise DecodeError(f"decord cannot open it: {_said(error)}") from error
        if count < 1:
            raise DecodeError("decord finds no frame in it")
        self._header = header
        self._count = min(count, header.packets)  # decord trusts some headers; the packets are what is there
        first = self._read(0)
        height, width = first.shape[:2]
        decoder = f"decord {decord.__version__}"
        self.info = ClipInfo(decoder, header.codec, width, height, header.fps, self._count, None)

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            if index >= self._count:
                return
            yield Frame(index, self.times([index])[0], self._read(index))
            self._beat()

    def times(self, indices: Sequence[int]) -> list[float | None]:
        return self._header.times_of(indices)

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
