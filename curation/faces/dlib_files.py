"""dlib's weight files, from the package face_recognition_models; importing that would need an old setuptools."""

import importlib.util
from pathlib import Path

from curation.faces.backend import FacesError


def dlib_file(name: str) -> Path:
    """Where a file of that package lies. Raises FacesError, which says how to get it."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise FacesError("dlib's weight files are missing: pip install face_recognition_models, or another aligner")
    path = Path(spec.submodule_search_locations[0]) / "models" / name
    if not path.is_file():
        raise FacesError(f"{path} is missing: pip install --force-reinstall face_recognition_models")
    return path
