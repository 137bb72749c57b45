"""Frames become H.264 files, the same way for every label: x264 through PyAV, one thread, so the same bytes each time.

The constant rate factors are those FaceForensics++ names its qualities after (c23, c40). Files are written under
another name and renamed, so that what bears its name is whole even if the process is killed (not if the power
fails).
"""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS = 25
PRESET = "veryfast"  # x264: half the time of its default
CRF = {"c23": 23, "c40": 40, "native": 23, "mask": 18}


def encode(frames: np.ndarray, crf: int, preset: str = PRESET) -> bytes:
    """An MP4 with one H.264 stream (yuv420p, 25 frames/s) of uint8 RGB frames [n, height, width, 3], sides even."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        # Without cpu-independent x264's choices depend on the processor and, now and then, on what memory held before.
        stream.options = {"crf": str(crf), "preset": preset, "x264-params": "cpu-independent=1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def encode_masks(masks: np.ndarray) -> bytes:
    """An MP4 of bool masks [n, height, width]: white where True, black elsewhere."""
    grey = masks.astype(np.uint8) * np.uint8(255)
    return encode(np.repeat(grey[..., None], 3, -1), CRF["mask"], "ultrafast")


def write(path: Path, content: bytes) -> None:
    """Put bytes at a path, whole or not at all; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(content)
    unfinished.replace(path)
