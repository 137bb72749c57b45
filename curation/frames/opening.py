"""Which decoder opens a file.

PyAV (FFmpeg, current) reads every video: its frames have the right index in every container, it tells damaged ones,
its memory does not grow with a film, and on real clips it takes a fifth less time than decord, the field's usual reader
(docs/faces.md). decord gets a file that PyAV crashed or hung on, where it can be trusted to count its frames. On files
both can read they return the same pixels, so which one ran is provenance and not part of a recipe.

Nothing here guards against a decoder that hangs in native code: that needs a process which can be killed, see
``curation.engines``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from curation.frames.clip import Clip, DecodeError
from curation.frames.image_clip import ImageClip
from curation.frames.pyav_clip import PyAVClip, probe

DecoderName = Literal["decord", "pyav"]


def open_clip(
    path: str | Path,
    kind: str = "video",
    *,
    integrity: bool = False,
    decoder: DecoderName | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Clip:
    """Opens a video, a loose image (one frame) or a folder of images (its frames in natural order).

    ``kind`` is ``video``, ``image`` or ``frames``. With ``integrity`` a frame built on a damaged one is damaged too,
    which only PyAV can tell. ``decoder`` is PyAV if not given. ``beat`` is called again and again while packets are
    read and frames decoded, wanted or not. Raises DecodeError, which says what is wrong.
    """
    path = Path(path)
    if kind in ("image", "frames"):
        return ImageClip(path, folder=kind == "frames")
    if kind != "video":
        raise ValueError(f"kind must be video, image or frames, not {kind!r}")
    header = probe(path, beat)
    if decoder != "decord":
        return PyAVClip(path, header, integrity=integrity, beat=beat)
    from curation.frames.decord_clip import DecordClip, trusts  # seldom wanted, and it brings an FFmpeg of its own

    if integrity:
        raise DecodeError("decord cannot tell damaged frames, and PyAV did not get through")
    if not trusts(header):
        raise DecodeError("decord would count its frames wrongly or take too long, and PyAV did not get through")
    return DecordClip(path, header, beat=beat)
