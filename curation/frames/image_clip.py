"""Loose images as clips of one frame, and folders of images (WildDeepfake, DF40, old FF++ copies) as clips.

In a folder of images the number in a file's name is its frame index where every name holds a unique one, since pairing
a fake with its original needs the absolute index; else the position in natural order is.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from curation.frames.clip import ClipInfo, DecodeError, Frame

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


class ImageClip:
    """Images read by OpenCV, RGB, EXIF orientation honoured."""

    def __init__(self, path: Path, *, folder: bool):
        if folder and not path.is_dir():
            raise DecodeError("is not a folder of images")
        self.lost: dict[int, str] = {}
        self._files = dict(_indexed(path)) if folder else {0: path}
        if not self._files:
            raise DecodeError(f"holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        first = self._read(next(iter(self._files)))
        height, width = first.shape[:2]
        suffix = next(iter(self._files.values())).suffix.lower().lstrip(".")
        codec = {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
        self.info = ClipInfo(f"opencv {cv2.__version__}", codec, width, height, None, len(self._files), 0)

    @property
    def indices(self) -> list[int]:
        """The frame indices there are, ascending: folders of images have gaps."""
        return sorted(self._files)

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        for index in indices:
            if index in self._files:
                yield Frame(index, None, self._read(index))

    def times(self, indices: Sequence[int]) -> list[float | None]:
        return [None] * len(indices)

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, index: int) -> np.ndarray:
        path = self._files[index]
        if path.exists() and not path.is_file():  # a pipe would be read for ever
            raise DecodeError(f"image {path.name!r} is not a file")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DecodeError(f"image {path.name!r} cannot be read: {error.strerror}") from error
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            raise DecodeError(f"image {path.name!r} cannot be decoded ({len(data)} bytes)")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order (2 before 10), subfolders left out."""
    files = [entry for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
    return sorted(files, key=lambda file: [int(part) if part.isdigit() else part for part in _parts(file.name)])


def _parts(name: str) -> list[str]:
    # a leading "" keeps text and numbers at alternating places, so that they never meet in a comparison
    return re.split(r"(\d+)", name)


def _indexed(folder: Path) -> list[tuple[int, Path]]:
    files = image_files(folder)
    numbers = [re.findall(r"\d+", file.stem) for file in files]
    last = [int(found[-1]) if found else None for found in numbers]
    if None not in last and len(set(last)) == len(last):
        return sorted(zip(last, files, strict=True))
    return list(enumerate(files))
