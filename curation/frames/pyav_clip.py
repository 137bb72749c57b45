"""Decoding with PyAV: the fallback, and the way to keep damaged frames out.

Frames are decoded in order from the start up to the last one wanted; only wanted ones are converted to RGB. With the
usual GOP of 250 frames seeking would gain nothing for 10 to 32 frames a clip, and counting from the start is the one
way in which a frame index means the same for a fake and for its original.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from curation.frames.clip import ClipInfo, DecodeError, Frame


@dataclass(frozen=True)
class Header:
    """What the container says, checked: ``packets`` counts the packets of the best video stream."""

    codec: str
    width: int  # as stored, before rotation
    height: int
    fps: float | None
    packets: int
    times: tuple[float, ...] | None  # presentation times, sorted; None where packets carry none
    rotation: int  # degrees clockwise that turn a stored frame upright: 0, 90, 180, 270


def probe(path: Path) -> Header:
    """Reads a file's header, walks its packets without decoding them, and decodes the first frame.

    Headers lie about the number of frames (one too many, hugely negative, none); packets do not. Rotation is side data
    of decoded frames. Raises DecodeError.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DecodeError(f"cannot be opened: {error.strerror or error}") from error
    if not path.is_file():
        raise DecodeError("is not a file")
    if size == 0:
        raise DecodeError("is empty (0 bytes); copy it again from where it came")
    with _open(path) as container:
        stream = container.streams.best("video")
        if stream is None:
            raise DecodeError("holds no video stream")
        context = stream.codec_context
        if context is None:
            raise DecodeError("has a video stream in a codec that FFmpeg does not know")
        if not context.width or not context.height:
            raise DecodeError(f"has a {context.name} stream without a frame size ({context.width}x{context.height})")
        rate = stream.average_rate or stream.guessed_rate
        packets, stamps = 0, []
        try:
            for packet in container.demux(stream):
                if packet.size:
                    packets += 1
                    if packet.pts is not None:
                        stamps.append(packet.pts)
        except (av.FFmpegError, ValueError) as error:
            if not packets:
                raise DecodeError(f"cannot be read: {_said(error)}") from error
        if not packets:
            raise DecodeError("has a video stream without a single frame")
        base = stream.time_base or Fraction(1, 1)
        times = tuple(float(stamp * base) for stamp in sorted(stamps)) if len(stamps) == packets else None
        name, width, height = context.name, context.width, context.height
    rotation = _first_rotation(path, packets)
    return Header(name, width, height, float(rate) if rate else None, packets, times, rotation)


class PyAVClip:
    """A clip decoded by PyAV; ``Frame.corrupt`` is FFmpeg's own mark of a frame it concealed."""

    def __init__(self, path: Path, header: Header):
        self._path = path
        self._header = header
        turned = header.rotation in (90, 270)
        width, height = (header.height, header.width) if turned else (header.width, header.height)
        decoder = f"pyav {av.__version__}"
        self.info = ClipInfo(decoder, header.codec, width, height, header.fps, header.packets, header.rotation)

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        wanted = iter(indices)
        target = next(wanted, None)
        with _open(self._path) as container:
            stream = _stream(container)
            if target is None:
                return
            try:
                for index, frame in enumerate(container.decode(stream)):
                    if index < target:
                        continue
                    yield Frame(index, frame.time, _upright_rgb(frame), frame.is_corrupt)
                    target = next(wanted, None)
                    if target is None:
                        return
            except (av.FFmpegError, ValueError) as error:
                raise DecodeError(f"decoding stopped before frame {target}: {_said(error)}") from error

    def times(self, indices: Sequence[int]) -> list[float | None]:
        times = self._header.times
        return [times[index] if times and index < len(times) else None for index in indices]

    def close(self) -> None:
        """Nothing is held open between calls."""


def _first_rotation(path: Path, packets: int) -> int:
    with _open(path) as container:
        try:
            for frame in container.decode(_stream(container)):
                return -round(frame.rotation / 90) * 90 % 360
        except (av.FFmpegError, ValueError) as error:
            raise DecodeError(f"no frame can be decoded: {_said(error)}") from error
    raise DecodeError(f"no frame can be decoded although the container holds {packets} packets")


def _stream(container):
    stream = container.streams.best("video")
    stream.codec_context.thread_count = 1  # the lever is processes, one decoder thread each
    return stream


def _upright_rgb(frame: av.VideoFrame) -> np.ndarray:
    rgb = frame.to_ndarray(format="rgb24")
    # FFmpeg's display matrix gives degrees counter-clockwise, and so turns rot90
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90) % 4)) if frame.rotation else rgb


def _open(path: Path):
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodeError(f"cannot be opened as a video: {_said(error)}") from error


def _said(error: Exception) -> str:
    """FFmpeg's message without the path: messages end up in files that travel."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
