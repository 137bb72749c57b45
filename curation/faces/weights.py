"""Weight files that come from the network: found in torch's hub cache or downloaded into it, and never trusted by name.

A file is read once; its SHA-256 is compared with the one written down here, and only then are the same bytes given to
``torch.load(weights_only=True)``, which makes tensors and refuses every other pickled object. face_alignment itself
would take whatever lies in the cache under the right name.
"""

import hashlib
import io
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch

from curation.faces.backend import FacesError

_TIMEOUT = 30  # seconds without a byte
_WAY_OUT = "or take the other aligner: --aligner dlib"


@dataclass(frozen=True)
class WeightFile:
    """A file of tensors: its name in ``<torch hub>/checkpoints``, where it comes from, its SHA-256 (64 hex digits)."""

    name: str
    url: str
    sha256: str

    @property
    def path(self) -> Path:
        return Path(torch.hub.get_dir(), "checkpoints", self.name)


def load(file: WeightFile, download: bool = True) -> dict[str, torch.Tensor]:
    """The tensors of a file, on the CPU; downloads it first if it is not in the cache.

    Raises FacesError, which names the ways out, if it is not there and cannot be downloaded, if its bytes are others
    than expected, or if it holds anything but tensors by name.
    """
    if not file.path.is_file():
        if not download:
            raise FacesError(f"{file.path} is missing: put {file.url} there, {_WAY_OUT}")
        _download(file)
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise FacesError(f"{file.path} cannot be read ({error.strerror}): make it readable, {_WAY_OUT}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        raise FacesError(
            f"{file.path} is not the file it should be (SHA-256 {digest}, expected {file.sha256}): delete it and put "
            f"{file.url} there, {_WAY_OUT}"
        )
    try:
        tensors = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler's errors are of many kinds
        raise FacesError(f"{file.path} holds more than tensors, or is damaged, and was not loaded: {error}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise FacesError(f"{file.path} does not hold tensors by name: put {file.url} there, {_WAY_OUT}")
    return tensors


def _download(file: WeightFile) -> None:
    """Fetches a file into the cache under a temporary name, checks it, and only then gives it its name."""
    digest = hashlib.sha256()
    temporary = None
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(file.url, timeout=_TIMEOUT) as answer,
            tempfile.NamedTemporaryFile(dir=file.path.parent, suffix=".tmp", delete=False) as stream,
        ):
            temporary = stream.name
            while block := answer.read(1 << 20):
                digest.update(block)
                stream.write(block)
            stream.flush()
            os.fsync(stream.fileno())
        if digest.hexdigest() != file.sha256:
            raise FacesError(f"{file.url} gives another file than it did: put the right one at {file.path}, {_WAY_OUT}")
        os.replace(temporary, file.path)
        temporary = None
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise FacesError(
            f"{file.path} is missing and cannot be downloaded ({reason}): fetch {file.url} on another machine and put "
            f"it there, {_WAY_OUT}"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
