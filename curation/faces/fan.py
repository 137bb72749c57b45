"""Faces by neural networks: boxes by S3FD, 68 landmarks by FAN (package face_alignment), in batches on a GPU.

Only the two network definitions are the package's: it loads its files without looking at them, detects at full size,
runs FAN face by face and truncates landmarks to whole pixels. Here files are checked (see ``weights``), frames are
reduced for the detector, and landmarks stay fractional. Nothing is compiled: curation would wait for it once per
process. What was given up: following faces over time; every frame is searched in full.

Licence: FAN was trained on 300-W-LP, which is for research use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torchvision.ops import nms

from curation.faces.align import warp
from curation.faces.backend import Face, FacesError, check_frames
from curation.faces.weights import WeightFile, load

_SITE = "https://www.adrianbulat.com/downloads/python-fan/"
S3FD = WeightFile(
    "s3fd-619a316812.pth",
    _SITE + "s3fd-619a316812.pth",
    "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
)
FAN = WeightFile(
    "2DFAN4-11f355bf06.pth.tar",
    _SITE + "2DFAN4-11f355bf06.pth.tar",
    "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

LONGEST = 960  # pixels: frames with a longer side are reduced to it for the detector, which finds faces of 16 and more
CONFIDENT = 0.5  # S3FD's probability
SAME = 0.3  # intersection over union from which two boxes are one face
_PIXELS = 8 * 960 * 540  # for the detector at once
_FACES = 16  # for FAN at once
_MEAN = (104.0, 117.0, 123.0)  # of blue, green, red: what S3FD was trained with

# Bulat & Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?", ICCV 2017, as in their code:
# the square FAN sees has 200 / 195 of the sum of the box's sides, its middle an eighth of the box's height up.
_SQUARE = 200 / 195
_UP = 0.12
_INPUT, _MAP = 256, 64
# Each of the 68 points and what it is in a mirror.
_MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
]  # fmt: skip


class FanBackend:
    """The two networks on one device. Make one with ``open_fan``. It keeps no state between calls."""

    name = "face_alignment"
    scheme = "ibug68"
    batch = 16

    def __init__(
        self,
        detector: torch.nn.Module,
        landmarker: torch.nn.Module,
        device: torch.device,
        dtype: torch.dtype,
        flip: bool,
        hashes: dict[str, str],
    ):
        self._detector = detector
        self._landmarker = landmarker
        self._device = device
        self._dtype = dtype
        self._flip = flip
        self._hashes = hashes

    def weights(self) -> dict[str, str]:
        return dict(self._hashes)

    def load(self) -> None:
        """Nothing: weights must be checked before any work, so they are loaded when the backend is opened."""

    def reset(self, thorough: bool = False) -> None:
        """Nothing to forget: every frame is searched in full, whatever is asked for."""

    @torch.inference_mode()
    def find(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces per frame, largest first; see ``FaceBackend.find``. Scores are S3FD's probabilities."""
        check_frames(frames)
        boxes: list[np.ndarray] = []
        for group in _groups(frames):
            boxes += self._detect(group)
        seen = [(frame, *square(box)) for frame, found in zip(frames, boxes, strict=True) for box in found]
        rows = iter(
            [row for start in range(0, len(seen), _FACES) for row in self._landmarks(seen[start : start + _FACES])]
        )
        faces: list[list[Face]] = [[] for _ in frames]
        for index, found in enumerate(boxes):
            for box in found:
                landmarks = next(rows).astype(np.float32)
                faces[index].append(Face((box[:4] - 0.5).astype(np.float32), float(box[4]), landmarks, self.scheme))
            faces[index].sort(key=lambda face: (-face.size, *face.box.tolist()))
        return faces

    def _detect(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """Per frame (all of one size), float64 [N, 5]: x0, y0, x1, y1 from the frame's edge, probability."""
        height, width = frames[0].shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            frames = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
        small = np.array([frames[0].shape[1] / width, frames[0].shape[0] / height] * 2)
        pixels = torch.from_numpy(np.stack(frames)).to(self._device).permute(0, 3, 1, 2).flip(1)
        mean = torch.tensor(_MEAN, device=self._device).view(1, 3, 1, 1)
        maps = self._detector((pixels.float() - mean).to(self._dtype))
        found = boxes_of([one.float() for one in maps], len(frames))
        return [np.column_stack([one[:, :4] / small, one[:, 4]]) for one in found]

    def _landmarks(self, faces: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
        """Landmarks float64 [N, 68, 2] (pixel centres at integers) of faces given as (frame, *square(box))."""
        crops = np.stack([warp(frame, into(middle, side), _INPUT, "linear") for frame, middle, side in faces])
        pixels = (torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2).float() / 255).to(self._dtype)
        maps = self._landmarker(pixels)[-1]
        if self._flip:
            maps = maps + self._landmarker(pixels.flip(3))[-1].flip(3)[:, _MIRRORED]
        points = peaks(maps.float().cpu().numpy()) / _MAP
        return np.stack(
            [at * side + middle - side / 2 - 0.5 for at, (_, middle, side) in zip(points, faces, strict=True)]
        )


def _groups(frames: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Consecutive frames of one size, as many as the detector takes at once."""
    groups: list[list[np.ndarray]] = []
    for frame in frames:
        height, width = frame.shape[:2]
        reduced = height * width * min(1.0, LONGEST / max(height, width)) ** 2
        if groups and groups[-1][0].shape == frame.shape and (len(groups[-1]) + 1) * reduced <= _PIXELS:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return groups


def boxes_of(maps: Sequence[torch.Tensor], count: int) -> list[np.ndarray]:
    """S3FD's output as boxes: per image float64 [N, 5] (x0, y0, x1, y1 in pixels from the edge, probability).

    maps: for each of six levels the logits [count, 2, h, w] of background and face and the offsets [count, 4, h, w]
    from a prior whose side is 4 strides (4, 8, ... 128) and whose centre is the cell's: Zhang et al., "S3FD", ICCV
    2017, section 3, with SSD's box coding and variances 0.1 and 0.2 (Liu et al., ECCV 2016).
    """
    per_image: list[list[torch.Tensor]] = [[] for _ in range(count)]
    for level, (logits, offsets) in enumerate(zip(maps[::2], maps[1::2], strict=True)):
        stride = 4.0 * 2**level
        face = logits.softmax(dim=1)[:, 1]
        image, row, column = torch.nonzero(face > CONFIDENT, as_tuple=True)
        offset = offsets[image, :, row, column]
        middle = torch.stack([column, row], dim=1) * stride + stride / 2 + offset[:, :2] * 0.1 * 4 * stride
        half = 4 * stride * torch.exp(offset[:, 2:] * 0.2) / 2
        found = torch.cat([middle - half, middle + half, face[image, row, column, None]], dim=1)
        for index in range(count):
            per_image[index].append(found[image == index])
    boxes = []
    for found in per_image:
        one = torch.cat(found).float()
        kept = one[nms(one[:, :4], one[:, 4], SAME)]
        boxes.append(kept.cpu().numpy().astype(np.float64))
    return boxes


def square(box: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle (x, y) and side of the square of the frame that FAN sees for a box (x0, y0, x1, y1, ...)."""
    width, height = box[2] - box[0], box[3] - box[1]
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2 - _UP * height])
    return middle, float(_SQUARE * (width + height))


def into(middle: np.ndarray, side: float) -> np.ndarray:
    """The matrix [2, 3] from the frame (pixel centres at integers) to FAN's input, for a square given from the edge."""
    scale = _INPUT / side
    shift = (0.5 - middle + side / 2) * scale - 0.5
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def peaks(maps: np.ndarray) -> np.ndarray:
    """Where heatmaps [N, K, H, W] are highest: float64 [N, K, 2], x and y in cells from the edge.

    A quarter of a cell towards the higher neighbour, as in Newell et al., "Stacked Hourglass Networks", ECCV 2016.
    """
    count, points, height, width = maps.shape
    flat = maps.reshape(count, points, -1).argmax(axis=2)
    row, column = np.divmod(flat, width)
    one, two = np.ogrid[:count, :points]
    inner = (row > 0) & (row < height - 1) & (column > 0) & (column < width - 1)
    low, high = np.clip(row - 1, 0, None), np.clip(row + 1, None, height - 1)
    left, right = np.clip(column - 1, 0, None), np.clip(column + 1, None, width - 1)
    across = np.sign(maps[one, two, row, right] - maps[one, two, row, left]) * inner
    down = np.sign(maps[one, two, high, column] - maps[one, two, low, column]) * inner
    return np.stack([column + 0.5 + 0.25 * across, row + 0.5 + 0.25 * down], axis=2)


def open_fan(
    device: str | None = None,
    dtype: str = "float32",
    flip: bool = True,
    download: bool = True,
    expected: Mapping[str, str] | None = None,
) -> FanBackend:
    """The face_alignment backend with its weights loaded and checked.

    device: None for the first GPU, or the CPU where there is none. dtype: "float32", "float16" or "bfloat16"; the
    last two move landmarks a little. flip: add the landmarks of the mirrored face, as the package does; half the time
    without. download: fetch files that are not in torch's hub cache. expected: SHA-256 by file name instead of those
    written down here, for weights of your own. Raises FacesError if the package, the device or a file cannot be had.
    """
    if dtype not in DTYPES:
        raise FacesError(f"dtype is {dtype!r}: take one of {', '.join(DTYPES)}")
    where = _device(device)
    try:
        from face_alignment.detection.sfd.net_s3fd import s3fd
        from face_alignment.models import FAN as Hourglasses
    except ImportError as error:
        raise FacesError(
            f"the package face_alignment cannot be imported ({error}): pip install face-alignment, or --aligner dlib"
        ) from error
    hashes, networks = {}, []
    for file, network in ((S3FD, s3fd), (FAN, lambda: Hourglasses(4))):
        file = replace(file, sha256=(expected or {}).get(file.name, file.sha256))
        tensors = load(file, download)
        model = network()
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise FacesError(
                f"{file.path} does not fit the network of face_alignment 1.5: install that version, or --aligner dlib"
            ) from error
        networks.append(model.to(where, dtype=DTYPES[dtype]).eval().requires_grad_(False))
        hashes[file.name] = file.sha256
    return FanBackend(networks[0], networks[1], where, DTYPES[dtype], flip, hashes)


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise FacesError(f"there is no device {name!r} here: leave it out, or take cpu") from error
    return device
