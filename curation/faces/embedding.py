"""Who a face shows, as a point: dlib's ResNet gives one person's faces points near each other, 128 numbers each.

The network (29 layers, D. King, "High quality face recognition with deep metric learning", dlib.net, 2017; public
domain) wants a chip of 150 x 150 pixels, upright, with a quarter of the face around it. dlib's own mapping from
landmarks makes it (``get_face_chip``, as in its examples/dnn_face_recognition_ex.cpp), out of the aligned crop instead
of the frame: the crop's landmarks lie beside it in the shard. 80 ms of one CPU core per face, so a few of each person
in a video are enough. Crops that came aligned have no landmarks and get no embedding.

Embeddings are biometric data: they tell who a person is, and laws and datasets' licences may say who may keep them.
"""

from functools import cache
from typing import Any

import dlib
import numpy as np
import pyarrow as pa

from curation.faces.backend import FacesError
from curation.faces.dlib_files import dlib_file
from shards.features import Kind

CHIP, PADDING = 150, 0.25
LENGTH = 128
PER_TRACK = 4
_WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
_POINTS = {"ibug68": 68, "81": 68, "dlib5": 5}  # of each scheme's landmarks, the first that dlib knows


def embedding(crop: np.ndarray, facts: dict[str, Any]) -> np.ndarray | None:
    """float32 [128] of a crop, uint8 [H,W,3] RGB; None where it has no landmarks.

    ``facts``: the face's JSON, with ``landmarks`` [K,2] in the crop and their ``landmark_scheme``. dlib's landmarks are
    whole pixels, which at the usual size of a crop is under a hundredth of the face. Raises FacesError for an unknown
    scheme, and where the weights are missing.
    """
    if facts["landmarks"] is None:
        return None
    return np.array(_network().compute_face_descriptor(chip(crop, facts["landmarks"], facts["landmark_scheme"])), "f4")


def chip(crop: np.ndarray, landmarks: list[list[float]], scheme: str) -> np.ndarray:
    """What the network looks at, uint8 [150,150,3] RGB; black where the crop ends. Raises FacesError."""
    if scheme not in _POINTS:
        raise FacesError(f"no landmarks are called {scheme!r}: embeddings need one of {', '.join(_POINTS)}")
    points = [dlib.point(round(x), round(y)) for x, y in landmarks[: _POINTS[scheme]]]
    height, width = crop.shape[:2]
    face = dlib.full_object_detection(dlib.rectangle(0, 0, width - 1, height - 1), points)
    return dlib.get_face_chip(crop, face, size=CHIP, padding=PADDING)


EMBEDDING = Kind("embedding", 1, pa.list_(pa.float32(), LENGTH), embedding, facts=True, per_track=PER_TRACK)


@cache
def _network() -> dlib.face_recognition_model_v1:
    return dlib.face_recognition_model_v1(str(dlib_file(_WEIGHTS)))
