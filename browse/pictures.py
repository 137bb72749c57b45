"""Members of shards as they are stored, by byte range: what an <img> loads.

The address of a picture says shard, place and checksum, so that serving one asks no catalog and never waits for a
writer; and because the bytes must have that checksum, nothing but members that somebody knows can be read this way.
"""

import base64
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shards.errors import ReadError
from shards.reader import Ranges, ShardReader

TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
_MOST = 32 << 20  # bytes of one picture
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@,%~-]*")
_PLACE = re.compile(r"(\d{1,15})-(\d{1,9})-([0-9a-f]{16})\.(png|jpg|webp)")


@dataclass(frozen=True)
class Member:
    """A file inside ``shard``.tar: its extension, place, size in bytes and xxh3_64."""

    shard: str
    extension: str
    offset: int
    size: int
    xxh3: int

    @property
    def address(self) -> str:
        """The path of its picture, below the root."""
        return f"/picture/{self.shard}/{self.offset}-{self.size}-{self.xxh3:016x}.{self.extension}"


def at(shard: str, place: str) -> Member | None:
    """The member that an address names, or None."""
    found = _PLACE.fullmatch(place)
    if not found or not _SHARD.fullmatch(shard) or int(found[2]) > _MOST:
        return None
    return Member(shard, found[4], int(found[1]), int(found[2]), int(found[3], 16))


def read(folder: Path, member: Member) -> bytes:
    """Its bytes. Raises ReadError if they are not there or not those of the checksum."""
    return read_all(folder, [member])[0]


def read_all(folder: Path, members: list[Member]) -> list[bytes]:
    """The bytes of all, in few reads. Raises ReadError."""
    names = sorted({member.shard for member in members})
    ranges = Ranges(
        names,
        np.array([names.index(member.shard) for member in members], np.int32),
        np.array([member.offset for member in members], np.int64),
        np.array([member.size for member in members], np.int64),
        np.array([member.xxh3 for member in members], np.uint64),
    )
    found, faults = ShardReader(folder).fetch(ranges)
    if faults:
        raise ReadError(faults[min(faults)])
    return [each.tobytes() for each in found]


def inline(folder: Path, member: Member) -> str:
    """The picture as a data URI for a report: JPEG of quality 90, at most 256 pixels wide; masks as PNG.

    Raises ReadError.
    """
    import cv2  # takes longer to import than a server to start, and that needs none

    pixels = cv2.imdecode(np.frombuffer(read(folder, member), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ReadError(f"the {member.size} bytes at offset {member.offset} of shard {member.shard}.tar are no picture")
    if pixels.shape[1] > 256:
        height = round(256 * pixels.shape[0] / pixels.shape[1])
        pixels = cv2.resize(pixels, (256, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
