"""Real streams for tests: every frame carries its own number in its pixels, so a test can tell which one it got."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 12


def numbered(index: int, height: int = 96, width: int = 192) -> np.ndarray:
    """A frame, uint8 [height, width, 3] RGB, whose top half spells ``index`` in black and white bars.

    The lower half is red on the left and blue on the right, so that turning and colour order can be seen.
    """
    frame = np.zeros((height, width, 3), np.uint8)
    bar = width // BITS
    for bit in range(BITS):
        frame[: height // 2, bit * bar : (bit + 1) * bar] = 235 if index >> bit & 1 else 20
    frame[height // 2 :, : width // 2] = (220, 30, 30)
    frame[height // 2 :, width // 2 :] = (30, 30, 220)
    return frame


def number(frame: np.ndarray) -> int:
    """Reads the number back from an upright frame of any codec."""
    height, width = frame.shape[:2]
    bar = width // BITS
    bars = [frame[4 : height // 2 - 4, bit * bar + 4 : (bit + 1) * bar - 4].mean() > 127 for bit in range(BITS)]
    return sum(1 << bit for bit, on in enumerate(bars) if on)


def write_clip(
    path: Path,
    frames: int = 40,
    *,
    codec: str = "libx264",
    fps: int = 25,
    size: tuple[int, int] = (96, 192),
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_format: str | None = None,
    times: list[int] | None = None,
    rotate: bool = False,
    noise: bool = False,
) -> Path:
    """Encodes ``frames`` numbered frames; ``times`` are presentation times in 1/1000 s (variable frame rate)."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(frames):
            rgb = numbered(index, *size)
            if noise:  # large packets: damage then hits pictures, not headers
                rgb[size[0] // 2 :] = np.random.default_rng(index).integers(0, 256, rgb[size[0] // 2 :].shape)
            if rotate:
                rgb = np.ascontiguousarray(np.rot90(numbered(index, size[1], size[0])))
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = times[index] if times else index
            frame.time_base = Fraction(1, 1000) if times else Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, packets: range, seed: int = 0) -> Path:
    """Overwrites a stretch in the middle of the given video packets, as a bad sector would; headers stay whole."""
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for index in packets:
        start, size = places[index]
        first, count = start + size // 2, size // 4
        data[first : first + count] = rng.bytes(count)
    path.write_bytes(data)
    return path


def blank_film(path: Path, frames: int, *, height: int, width: int, group: int = 25, fps: int = 25) -> Path:
    """A long H.264 film, quickly: the packets of one encoded group of pictures again and again, with B-frames.

    Each group shows the numbers 0 to ``group - 1`` (see ``number``), so frame i shows ``i % group``.
    """
    seed = path.with_name(f".{path.stem}.seed.mp4")
    options = {"g": str(group), "bf": "2", "preset": "veryfast", "x264-params": f"scenecut=0:keyint={group}"}
    write_clip(seed, group, size=(height, width), fps=fps, options=options)
    with av.open(str(seed)) as inside, av.open(str(path), "w") as outside:
        stream = outside.add_stream_from_template(inside.streams.video[0])
        base = inside.streams.video[0].time_base
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in inside.demux(video=0) if p.size]
        step = round(1 / (fps * base))
        for start in range(0, frames, group):
            for data, pts, dts, key in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = stream, base, key
                packet.pts, packet.dts = pts + start * step, dts + start * step
                outside.mux(packet)
    seed.unlink()
    return path
