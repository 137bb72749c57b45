"""Decoding with PyAV: frame-accurate, in bounded memory, and telling which frames are damaged.

A frame's index is the place of its presentation time among those of all packets, so it means the same for a fake and
for its original, and stays right behind a damaged packet. Streams whose packets carry no such times are counted from
the start. Only wanted frames are converted to RGB. Far frames are reached by seeking to the second keyframe before
them: frames just behind one keyframe may be built on the stretch before it (open groups of pictures, intra refresh).
With the usual group of 250 frames seeking gains nothing for 10 to 32 frames of a short clip, and is not done.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from curation.frames.clip import ClipInfo, DecodeError, Frame

Beat = Callable[[], None]

_SEEK_GAIN = 256  # frames that seeking must spare before it is done
_MAX_REORDER = 64  # places by which decoding and presentation order may differ; codecs hold back 16 frames at most
_CHECKED = 5  # frames that tell whether packets and frames are one to one
_BEAT_PACKETS = 16
_SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # containers with an index of keyframes that can be relied on
_MISSING = "the decoder gives no such frame: its data, or data it is built on, is damaged or missing"


@dataclass(frozen=True, eq=False)
class Header:
    """What the container says, checked: ``packets`` counts the packets of the best video stream.

    ``times``: presentation times in seconds, float64, sorted; None where packets carry none. ``stamps``: the same in
    the stream's time base, int64, unique, in a plausible order; else None. ``needs[i]``: the last frame, in order of
    presentation, that is decoded before or with frame i. ``keys``: indices of keyframes, ascending. ``closed``: every
    keyframe begins a group of frames that can be decoded by itself.
    """

    container: str
    codec: str
    width: int  # as stored, before rotation
    height: int
    fps: float | None
    packets: int
    times: np.ndarray | None
    stamps: np.ndarray | None = None
    needs: np.ndarray | None = None
    keys: np.ndarray | None = None
    closed: bool = False

    def times_of(self, indices: Sequence[int]) -> list[float | None]:
        """Presentation times in seconds; None where there are none and beyond the end."""
        times = () if self.times is None else self.times
        return [float(times[index]) if index < len(times) else None for index in indices]

    @property
    def longest_group(self) -> int:
        """Frames of the longest stretch that can only be decoded from its start."""
        if self.keys is None or not len(self.keys):
            return self.packets
        return int(np.diff(self.keys, prepend=0, append=self.packets).max())


def probe(path: Path, beat: Beat = lambda: None) -> Header:
    """Reads a file's header and walks its packets without decoding them.

    Headers lie about the number of frames (one too many, hugely negative, none); packets do not. Raises DecodeError.
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
        packets, stamps, keys, closed = 0, array("q"), array("q"), True
        try:
            for number, packet in enumerate(container.demux(stream)):
                if number % _BEAT_PACKETS == 0:
                    beat()
                if not packet.size or not _shown(packet, context.name):
                    continue
                packets += 1
                if packet.pts is not None:
                    stamps.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
                        closed = closed and _starts_afresh(packet, context)
        except (av.FFmpegError, ValueError) as error:
            if not packets:
                raise DecodeError(f"cannot be read: {_said(error)}") from error
        if not packets:
            raise DecodeError("has a video stream without a single frame")
        base = stream.time_base or Fraction(1, 1)
        order = np.array(stamps, np.int64)
        times = np.sort(order) * float(base) if len(order) == packets else None
        name, width, height = context.name, context.width, context.height
        reorders, kind = context.has_b_frames, container.format.name
    facts = (kind, name, width, height, float(rate) if rate else None, packets, times)
    if times is None or not _plausible(order, reorders):
        return Header(*facts)
    sorted_ = np.sort(order)
    places = np.searchsorted(sorted_, order)  # of each packet, in order of decoding
    latest = np.maximum.accumulate(places)
    needs = np.empty_like(latest)
    needs[places] = latest
    starts = np.searchsorted(sorted_, np.sort(np.array(keys, np.int64)))
    # a frame that comes after a keyframe in the file and before it on the screen is built on the stretch before
    furthest = np.maximum.accumulate(needs)
    closed = closed and starts[:1].tolist() == [0] and all(furthest[start - 1] < start for start in starts[1:])
    return Header(*facts, sorted_, needs, starts, closed)


class PyAVClip:
    """A clip decoded by PyAV.

    ``Frame.corrupt`` is FFmpeg's own mark of a frame that it concealed; with ``integrity`` also of the frames built on
    one: all up to the next keyframe, and those that come before it on the screen but after it in the file. FFmpeg
    notices damage to H.264 and MPEG-4 where the syntax of a picture breaks, and hardly ever in HEVC and VP9.
    """

    def __init__(self, path: Path, header: Header, *, integrity: bool = False, beat: Beat = lambda: None):
        self._path = path
        self._header = header
        self._integrity = integrity
        self._beat = beat
        self.lost: dict[int, str] = {}
        self._wanted: frozenset[int] | None = None  # the frames to decode, with those they are built on; None: all
        self._indexed = header.stamps is not None  # else frames are counted
        self._damage: dict[int, str] = {}
        self._first, self._going = self._begin()
        # side data of decoded frames tells how they stand: FFmpeg's display matrix, in degrees counter-clockwise
        rotation = -round(self._first[0][1].rotation / 90) * 90 % 360
        width, height = (header.width, header.height)[:: -1 if rotation in (90, 270) else 1]
        decoder = f"pyav {av.__version__}"
        self.info = ClipInfo(decoder, header.codec, width, height, header.fps, header.packets, rotation)

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        # H.264 marks frames that no other is built on (nal_ref_idc 0); leaving those out spares a fifth of the time
        self._wanted = frozenset(indices) if self._indexed and self._header.codec == "h264" else None
        damage, decoded = self._damage, self._judged(self._from_start(), self._damage)
        index, frame, corrupt = -1, None, False  # the last one decoded
        for target in indices:
            if target >= self._header.packets:
                break
            if start := self._jump(target, index):
                decoded.close()
                damage.clear()
                decoded = self._judged(self._decoded(start, damage), damage)
            while index < target:
                try:
                    index, frame, corrupt = next(decoded, (self._header.packets, None, False))
                except DecodeError as error:
                    raise DecodeError(f"decoding stopped before frame {target}: {error}") from error
            if index == target and frame is not None:
                yield Frame(index, frame.time, _upright_rgb(frame), corrupt)
            elif frame is not None or self._indexed:  # its packet is there
                self.lost[target] = damage.get(target, _MISSING)
        decoded.close()

    def times(self, indices: Sequence[int]) -> list[float | None]:
        return self._header.times_of(indices)

    def close(self) -> None:
        self._first = []
        self._going.close()

    def _begin(self) -> tuple[list[tuple[int, av.VideoFrame]], Iterator[tuple[int, av.VideoFrame]]]:
        """The first frames, which tell how frames stand and are counted, and what goes on behind them."""
        going, first = self._decoded(0, self._damage), []
        try:
            for found in going:
                first.append(found)
                if len(first) == _CHECKED:
                    break
        except DecodeError as error:
            if not first:
                raise DecodeError(f"no frame can be decoded: {error}") from error
            going = _failing(error)  # behind these frames: whoever wants one there will meet it
        if not first:
            said = next(iter(self._damage.values()), f"although the container holds {self._header.packets} packets")
            raise DecodeError(f"no frame can be decoded: {said}")
        # packets and frames are one to one, or else their times do not tell frames apart: a packet may hold a field
        steps = np.diff([index for index, _ in first])
        if self._indexed and np.count_nonzero(steps == 1) * 2 < len(steps):
            going.close()
            self._indexed = False
            self._damage.clear()
            return self._begin()
        return first, going

    def _from_start(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames, from the first; what was decoded when the clip was opened is not decoded again."""
        first, self._first = self._first, []
        if not first:
            self._damage.clear()
            yield from self._decoded(0, self._damage)
            return
        yield from first
        yield from self._going

    def _jump(self, target: int, here: int) -> int:
        """The keyframe to decode from towards ``target`` after frame ``here``; 0 where going on is as good."""
        keys = self._header.keys
        if not self._indexed or self._header.container not in _SEEKABLE:
            return 0
        place = int(np.searchsorted(keys, target, side="right")) - 2
        return int(keys[place]) if place > 0 and keys[place] - max(here, 0) >= _SEEK_GAIN else 0

    def _judged(
        self, frames: Iterator[tuple[int, av.VideoFrame]], damage: dict[int, str]
    ) -> Iterator[tuple[int, av.VideoFrame, bool]]:
        """Frames with their indices and whether they are damaged. ``damage`` tells what is known near by."""
        if not self._integrity:
            for index, frame in frames:
                yield index, frame, frame.is_corrupt
            return
        waiting: deque[tuple[int, int, av.VideoFrame, bool]] = deque()  # frames that a later one may prove damaged
        earlier = key = 0
        for index, frame in frames:
            if frame.is_corrupt:
                damage[index] = "damaged"
            if frame.key_frame:
                earlier, key = key, index
                for place in [place for place in damage if place < earlier]:
                    del damage[place]
            needs = int(self._header.needs[index]) if self._indexed else index
            waiting.append((needs, index, frame, any(key <= place <= index for place in damage)))
            while waiting and waiting[0][0] <= index:
                yield _verdict(waiting.popleft(), damage)
        while waiting:
            yield _verdict(waiting.popleft(), damage)

    def _decoded(self, start: int, damage: dict[int, str]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their indices, ascending, from the keyframe ``start`` at the latest.

        A packet that cannot be decoded goes to ``damage`` where indices come from times; else it raises DecodeError.
        """
        last, count, read, broken = -1, 0, 0, None
        with _open(self._path) as container:
            stream = _stream(container)
            if start:
                container.seek(int(self._header.stamps[start]), stream=stream)
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                except (av.FFmpegError, ValueError) as error:
                    packet, broken = None, _said(error)
                if start and packet is not None and packet.pts is not None:
                    if packet.pts > self._header.stamps[start]:  # the container's own index leads too far
                        yield from self._decoded(0, damage)
                        return
                    start = 0
                if read % _BEAT_PACKETS == 0:
                    self._beat()
                read += 1
                if self._wanted is not None and packet is not None:
                    skip = "DEFAULT" if self._index(packet.pts) in self._wanted else "NONREF"
                    stream.codec_context.skip_frame = skip
                try:
                    frames = packet.decode() if packet is not None else stream.codec_context.decode(None)
                except av.EOFError:
                    frames = []  # the last packet of the demuxer has ended the decoder already
                except av.InvalidDataError as error:
                    index = self._index(packet.pts) if packet is not None else None
                    if not self._indexed:
                        raise DecodeError(_said(error)) from error
                    if index is not None:
                        damage[index] = f"its data cannot be decoded: {_said(error)}"
                    frames = []
                except (av.FFmpegError, ValueError) as error:
                    raise DecodeError(_said(error)) from error
                for frame in frames:
                    index = self._index(frame.pts) if self._indexed else count
                    count += 1
                    if index is not None and index > last:
                        last = index
                        yield index, frame
                if packet is None:
                    break
        if broken:
            raise DecodeError(broken)

    def _index(self, stamp: int | None) -> int | None:
        """The index of a presentation time, None where no packet has it."""
        if stamp is None or not self._indexed:
            return None
        stamps = self._header.stamps
        place = int(np.searchsorted(stamps, stamp))
        return place if place < len(stamps) and stamps[place] == stamp else None


def _failing(error: DecodeError) -> Iterator[tuple[int, av.VideoFrame]]:
    raise error
    yield


def _verdict(held: tuple[int, int, av.VideoFrame, bool], damage: dict[int, str]) -> tuple[int, av.VideoFrame, bool]:
    needs, index, frame, corrupt = held
    return index, frame, corrupt or any(index < place <= needs for place in damage)


def _plausible(order: np.ndarray, reorders: bool) -> bool:
    """Whether presentation times, in order of decoding, can tell frames apart: unique, and shuffled no more than a
    codec does."""
    if not reorders:
        return bool((np.diff(order) > 0).all())
    places = np.argsort(np.argsort(order))
    near = np.abs(places - np.arange(len(order))).max() <= _MAX_REORDER
    return bool(near) and len(np.unique(order)) == len(order)


def _starts_afresh(packet: av.Packet, context: av.VideoCodecContext) -> bool:
    """Whether nothing behind a keyframe is built on what is before it: H.264 has keyframes that only begin a refresh.

    H.264 (ITU-T H.264, 7.4.1): a coded picture that resets the decoder consists of units of type 5.
    """
    if context.name != "h264":
        return True
    data, extra = bytes(packet), context.extradata
    if not extra or extra[0] != 1:  # units between start codes (annex B), else with their lengths (ISO/IEC 14496-15)
        return any(unit[:1] and unit[0] & 31 == 5 for unit in data.split(b"\0\0\1")[1:])
    place, width = 0, (extra[4] & 3) + 1
    while place + width < len(data):
        if data[place + width] & 31 == 5:
            return True
        place += width + int.from_bytes(data[place : place + width], "big")
    return False


def _shown(packet: av.Packet, codec: str) -> bool:
    """Whether a packet is presented: not outside of an edit list, nor where VP8 hides a reference (RFC 6386, 9.1)."""
    return not packet.is_discard and (codec != "vp8" or bool(memoryview(packet)[0] >> 4 & 1))


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
