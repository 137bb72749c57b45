"""Frames out of files: videos, loose images and folders of images, all as clips with absolute frame indices."""

from curation.frames.clip import Clip, ClipInfo, DecodeError, Frame
from curation.frames.opening import open_clip

__all__ = ["Clip", "ClipInfo", "DecodeError", "Frame", "open_clip"]
