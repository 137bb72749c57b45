"""One video in, one part out: decode, find faces, choose, align, measure, write.

Which face is the right one is known only after the last frame (the track that is largest over the clip), so the crops
of all faces wait in a scratch file; memory holds a few frames, whatever the clip's length. Everything that yields
nothing leaves a reason in the row of its attempt.
"""

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from curation.faces.align import Crop, align, resize
from curation.faces.backend import Face, FaceBackend
from curation.faces.choose import choose
from curation.faces.measure import Measures, measure
from curation.faces.track import tracks
from curation.files import content_hash, fingerprint, is_there
from curation.frames import Clip, DecodeError, Frame, open_clip
from curation.frames.image_clip import IMAGE_SUFFIXES, ImageClip
from curation.frames.sampling import Sampling
from curation.recipe import Recipe
from curation.sources.remote import place_of
from curation.sources.tree import unspell
from shards.part import PartWriter
from shards.schema import sample_id, sample_key

_CHUNK_BYTES = 48 << 20  # of frames in memory at once: eight of 1920x1080
_SCRATCH_MEMORY = 32 << 20

Beat = Callable[[], None]


class SourceGone(RuntimeError):
    """A source's root is not there any more (an unmounted disk, say): a reason to stop, not to fail its videos."""

    deepshard_error = True


@dataclass(frozen=True)
class Task:
    """A video to curate: its catalog row, the root of its source and where its part goes.

    ``decoder`` insists on one; ``tries`` counts from 1. ``fetched``: ``root`` is a folder with copies for now, and the
    video's size and time are those of the original.
    """

    video: dict[str, Any]
    root: str
    part: str
    decoder: str | None = None
    tries: int = 1
    fetched: bool = False


@dataclass
class _Kept:
    """A face found in a frame, and where its crop lies in the scratch file."""

    face: Face | None
    crop: Crop  # without its pixels
    place: int


@dataclass
class _Visit:
    """What was seen in the frames visited so far."""

    wanted: list[int] = field(default_factory=list)
    seen: dict[int, list[_Kept]] = field(default_factory=dict)  # frame index -> faces, in the backend's order
    times: dict[int, float | None] = field(default_factory=dict)
    overlaps: dict[int, list[float]] = field(default_factory=dict)  # share of each face's box that the mask covers
    missing: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)  # frame index -> (height, width)

    @property
    def with_face(self) -> int:
        return sum(bool(kept) for kept in self.seen.values())


def curate_video(task: Task, recipe: Recipe, backend: FaceBackend | None, beat: Beat) -> dict[str, Any]:
    """Writes the part of one video and returns the row of the attempt (see ``shards.schema.ATTEMPT_FIELDS``).

    ``backend`` may be None for videos of already aligned faces. Bad input ends in a part without samples whose row
    has the reason. Raises SourceGone, and OSError where the part cannot be written.
    """
    path, kind = Path(task.root, unspell(task.video["path"])), task.video["kind"]
    attempt = _blank_attempt(recipe)
    try:
        task = _as_found(task)
        attempt["content"] = content_hash(path, kind, beat)
    except OSError as error:
        require_root(task)
        return fail(task, recipe, f"cannot be read: {error.strerror or error}")
    with PartWriter(Path(task.part), task.video) as part, _scratch() as scratch:
        try:
            clip = open_clip(path, kind, integrity=recipe.integrity, decoder=task.decoder, beat=beat)
            attempt |= _facts(clip)
            visit = _visit(clip, task, recipe, backend, scratch, beat)
        except DecodeError as error:
            require_root(task)
            attempt |= {"status": "failed", "reason": str(error)}
        else:
            faces = _write_samples(part, visit, task, recipe, attempt, scratch, beat)
            attempt |= _outcome(visit, faces)
        part.finish(attempt)
    return attempt


def fail(task: Task, recipe: Recipe, reason: str) -> dict[str, Any]:
    """Writes the part of a video that could not be curated, with the reason; returns the row of the attempt."""
    attempt = _blank_attempt(recipe) | {"status": "failed", "reason": reason}
    with suppress(OSError):
        task = _as_found(task)
    with PartWriter(Path(task.part), task.video) as part:
        part.finish(attempt)
    return attempt


def keeps_mask(video: dict[str, Any], recipe: Recipe) -> bool:
    """Whether the samples of a video have a mask member: a real face has an empty one, a fake needs a mask video."""
    return recipe.masks and (video["label"] == 0 or video["mask_path"] is not None)


def _visit(
    clip: Clip, task: Task, recipe: Recipe, backend: FaceBackend | None, scratch: BinaryIO, beat: Beat
) -> _Visit:
    visit = _Visit()
    mask_clip = None
    if task.video["mask_path"] and (recipe.masks or recipe.faces == "one"):
        try:
            mask_path = Path(task.root, unspell(task.video["mask_path"]))
            kind = "image" if mask_path.suffix.lower() in IMAGE_SUFFIXES else "video"
            mask_clip = open_clip(mask_path, "frames" if mask_path.is_dir() else kind, beat=beat)
        except DecodeError as error:
            raise DecodeError(f"its mask {task.video['mask_path']!r} {error}") from error
    there = clip.indices if isinstance(clip, ImageClip) else range(clip.info.frame_count)
    for indices in Sampling.parse(recipe.sampling).rounds(there, lambda: visit.with_face):
        visit.wanted.extend(indices)
        if backend is not None:
            backend.reset(recipe.thorough)
        masks = _masks(mask_clip, indices)
        for chunk in _chunks(_frames(clip, indices, visit), backend.batch if backend else 1):
            intact = []
            for frame in chunk:
                visit.times[frame.index] = frame.time_s
                visit.sizes[frame.index] = frame.rgb.shape[:2]
                if frame.corrupt and recipe.integrity:
                    visit.missing[frame.index] = "the decoder marks the frame as damaged"
                else:
                    intact.append(frame)
            found = _find(intact, task, backend)
            for frame, faces in zip(intact, found, strict=True):
                mask = _mask_of(frame, masks, mask_clip, visit) if mask_clip else None
                if frame.index in visit.missing:
                    continue
                _keep(visit, frame, faces, mask, task, recipe, scratch)
                beat()
            beat()
    clip.close()
    return visit


def _frames(clip: Clip, indices: list[int], visit: _Visit) -> Iterator[Frame]:
    """The frames asked for; whatever does not come is written down with what the decoder said."""
    got, reason = set(), "the stream ends before this frame"
    try:
        for frame in clip.frames(indices):
            got.add(frame.index)
            yield frame
    except DecodeError as error:
        reason = str(error)
    visit.missing.update((index, clip.lost.get(index, reason)) for index in indices if index not in got)


def _chunks(frames: Iterator[Frame], batch: int) -> Iterator[list[Frame]]:
    """Frames in lists of ``batch``, of fewer where frames are large: a function of the clip alone, as crops must be."""
    chunk, size = [], 0
    for frame in frames:
        chunk.append(frame)
        size += frame.rgb.nbytes
        if len(chunk) >= batch or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _find(frames: list[Frame], task: Task, backend: FaceBackend | None) -> list[list[Face | None]]:
    if task.video["aligned"]:
        return [[None] for _ in frames]  # the whole frame is the face
    if backend is None:
        raise ValueError("only aligned videos can be curated without a face backend")
    return backend.find([frame.rgb for frame in frames])


def _masks(mask_clip: Clip | None, indices: list[int]) -> Iterator[Frame]:
    if mask_clip is not None:
        yield from mask_clip.frames(indices)


def _mask_of(frame: Frame, masks: Iterator[Frame], mask_clip: Clip, visit: _Visit) -> np.ndarray | None:
    """The mask of a frame, bool [height, width]; where there is none the frame is written down as missing."""
    try:
        mask = next((mask for mask in masks if mask.index >= frame.index), None)
    except DecodeError as error:
        visit.missing[frame.index] = f"its mask: {error}"
        return None
    if mask is None or mask.index != frame.index:
        visit.missing[frame.index] = "the mask video has no such frame"
        return None
    gray = cv2.cvtColor(mask.rgb, cv2.COLOR_RGB2GRAY)
    height, width = frame.rgb.shape[:2]
    if gray.shape != (height, width):
        if abs(gray.shape[0] / gray.shape[1] - height / width) > 0.02 * height / width:
            visit.missing[frame.index] = (
                f"the mask is {gray.shape[1]}x{gray.shape[0]}, the frame {width}x{height}: not the same picture"
            )
            return None
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_NEAREST)
    return gray > 127  # mask videos are lossy: black and white come back as greys


def _keep(
    visit: _Visit,
    frame: Frame,
    faces: list[Face | None],
    mask: np.ndarray | None,
    task: Task,
    recipe: Recipe,
    scratch: BinaryIO,
) -> None:
    kept, overlaps = [], []
    pixels = mask if keeps_mask(task.video, recipe) else None  # a real face has none: its empty mask is made at the end
    for face in faces:
        if face is None:
            crop = resize(frame.rgb, recipe.size, recipe.interpolation, pixels)
        else:
            crop = align(frame.rgb, face, recipe.size, recipe.margin, recipe.template, recipe.interpolation, pixels)
        overlaps.append(_overlap(face, mask))
        place = scratch.seek(0, 2)
        scratch.write(crop.image.tobytes())
        if crop.mask is not None:
            scratch.write(crop.mask.tobytes())
        kept.append(_Kept(face, dataclasses.replace(crop, image=None, mask=None), place))
    visit.seen[frame.index] = kept
    visit.overlaps[frame.index] = overlaps
    if not kept:
        visit.missing[frame.index] = "no face found"


def _overlap(face: Face | None, mask: np.ndarray | None) -> float:
    if face is None or mask is None:
        return 0.0
    height, width = mask.shape
    x0, y0, x1, y1 = np.clip(np.round(face.box), 0, [width, height, width, height]).astype(int)
    return float(mask[y0:y1, x0:x1].mean()) if x1 > x0 and y1 > y0 else 0.0


def _write_samples(
    part: PartWriter,
    visit: _Visit,
    task: Task,
    recipe: Recipe,
    attempt: dict[str, Any],
    scratch: BinaryIO,
    beat: Beat,
) -> int:
    """Encodes and writes the chosen faces in order of time; returns how many."""
    indices = sorted(visit.seen)
    if task.video["aligned"]:
        numbers = chosen = [[0] for _ in indices]
    else:
        found = [[kept.face for kept in visit.seen[index]] for index in indices]
        numbers = tracks(found)
        overlaps = [visit.overlaps[index] for index in indices] if task.video["mask_path"] else None
        chosen = choose(found, numbers, recipe.faces, overlaps)
    count = 0
    with_mask = keeps_mask(task.video, recipe)
    side = recipe.size
    for position, index in enumerate(indices):
        picked = sorted(chosen[position], key=lambda face: numbers[position][face])
        if visit.seen[index] and not picked:
            nobody, other = "the mask covers none of the faces found", "a face was found, but not the chosen one"
            visit.missing[index] = other if any(chosen) else nobody
        for pick in picked:
            kept = visit.seen[index][pick]
            scratch.seek(kept.place)
            image = np.frombuffer(scratch.read(side * side * 3), np.uint8).reshape(side, side, 3)
            measures = measure(kept.face, dataclasses.replace(kept.crop, image=image), visit.sizes[index])
            row = _row(kept, measures, index, numbers[position][pick], visit, task, recipe, attempt)
            shown = "none" if not with_mask else "video" if task.video["mask_path"] else "empty"
            members = {
                recipe.codec: encode_image(image, recipe),
                "json": _json(row, kept, visit.sizes[index], task, shown),
            }
            if shown == "video":
                mask = np.frombuffer(scratch.read(side * side), np.uint8).reshape(side, side)
                members["mask.png"] = _encode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 6])
            elif shown == "empty":
                members["mask.png"] = _empty_mask(side)
            part.add(row, members)
            count += 1
            beat()
    return count


def encode_image(rgb: np.ndarray, recipe: Recipe) -> bytes:
    """A face crop, uint8 [size, size, 3] RGB, as bytes of the recipe's codec."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if recipe.codec == "jpg":
        # 4:4:4: subsampled colour would blur the very traces that detectors look for
        flags = [cv2.IMWRITE_JPEG_QUALITY, recipe.jpeg_quality]
        flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        return _encode(".jpg", bgr, flags)
    if recipe.codec == "webp":
        return _encode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, 101])  # over 100 means lossless
    # of all filters and strategies the fastest to write and to read, and smaller than zlib's own at level 1
    flags = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return _encode(".png", bgr, [*flags, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP])


@cache
def _empty_mask(side: int) -> bytes:
    return _encode(".png", np.zeros((side, side), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 6])


def _encode(suffix: str, image: np.ndarray, flags: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, image, flags)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a {image.shape} image as {suffix}")
    return data.tobytes()


def _row(
    kept: _Kept,
    measures: Measures,
    index: int,
    track: int,
    visit: _Visit,
    task: Task,
    recipe: Recipe,
    attempt: dict[str, Any],
) -> dict[str, Any]:
    key = sample_key(task.video["video_id"], index, track)
    if kept.face is None:
        height, width = visit.sizes[index]
        x0, y0, x1, y1 = 0.0, 0.0, float(width), float(height)
    else:
        x0, y0, x1, y1 = (float(value) for value in kept.face.box)
    return {
        "sample_id": sample_id(attempt["recipe_hash"], attempt["content"], key),
        "key": key,
        "video_id": task.video["video_id"],
        "recipe_hash": attempt["recipe_hash"],
        "content": attempt["content"],
        "frame_index": index,
        "time_s": visit.times[index],
        "track": track,
        "box_x": x0,
        "box_y": y0,
        "box_w": x1 - x0,
        "box_h": y1 - y0,
        "landmark_scheme": kept.face.scheme if kept.face else None,
        "image_ext": recipe.codec,
        **{name: _finite(value) for name, value in vars(measures).items()},
    }


_JSON_VIDEO = (
    *("dataset", "method", "category", "label", "raw_label", "quality"),
    *("target_id", "source_id", "visible_id", "original_video", "official_split"),
)


def _json(row: dict[str, Any], kept: _Kept, frame_size: tuple[int, int], task: Task, mask: str) -> bytes:
    """The sample's JSON member: the same fields for every sample. mask: "none", "empty" or "video".

    Text that is not known is empty, an unknown time -1: `datasets` infers a column's type from the first few samples
    and stops at the first value after nulls. Landmarks and pose are null in shards of faces that came already cropped.
    """
    landmarks = kept.crop.landmarks
    facts = {name: "" if task.video[name] is None else task.video[name] for name in _JSON_VIDEO}
    facts |= {name: _rounded(value) for name, value in row.items()}
    facts |= {
        "time_s": -1.0 if row["time_s"] is None else _rounded(row["time_s"]),
        "frame_height": frame_size[0],
        "frame_width": frame_size[1],
        "landmarks": None if landmarks is None else np.round(landmarks.astype(np.float64), 2).tolist(),
        "warp": np.round(kept.crop.matrix, 6).tolist(),
        "mask": mask,
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rounded(value: Any, digits: int = 4) -> Any:
    return round(float(value), digits) if isinstance(value, float | np.floating) else value


def _outcome(visit: _Visit, faces: int) -> dict[str, Any]:
    read = len(visit.times)
    missing = [{"frame_index": index, "reason": reason} for index, reason in sorted(visit.missing.items())]
    outcome = {
        "status": "done" if faces else "no_face" if read else "failed",
        "reason": None,
        "frames_wanted": len(visit.wanted),
        "frames_read": read,
        "frames_with_face": visit.with_face,
        "faces": faces,
        "missing": missing,
    }
    if not faces:
        other = sorted({reason for reason in visit.missing.values() if reason != "no face found"})
        said = [f"no face in the {read} frames read"] if read and not visit.with_face else []
        outcome["reason"] = "; ".join(said + other[:3]) or "the clip has no frame"
    return outcome


def _facts(clip: Clip) -> dict[str, Any]:
    info = dataclasses.asdict(clip.info)
    return {name: info[name] for name in ("decoder", "codec", "width", "height", "fps", "frame_count", "rotation")}


def _blank_attempt(recipe: Recipe) -> dict[str, Any]:
    counts = dict.fromkeys(("frames_wanted", "frames_read", "frames_with_face", "faces"), 0)
    facts = dict.fromkeys(
        ("content", "reason", "decoder", "codec", "width", "height", "fps", "frame_count", "rotation")
    )
    return (
        facts
        | counts
        | {
            "recipe_hash": recipe.hash,
            "missing": [],
            "versions": versions(recipe.aligner),
            "attempted_at": datetime.now(UTC),
        }
    )


@cache
def versions(aligner: str) -> str:
    """JSON of the versions of what touches pixels: provenance, not part of the recipe."""
    packages = ["deepshard", "opencv-python", "numpy", "av", "decord"]
    packages += {"dlib": ["dlib-bin", "face_recognition_models"], "face_alignment": ["face-alignment", "torch"]}[
        aligner
    ]
    return json.dumps({package: metadata.version(package) for package in packages})


def _as_found(task: Task) -> Task:
    """With the file's size and time as they are, which may be others than when it was scanned. Raises OSError."""
    if task.fetched:
        return task
    size, mtime = fingerprint(place_of(task.root) / unspell(task.video["path"]), task.video["kind"])
    return dataclasses.replace(task, video=task.video | {"bytes": size, "mtime_ns": mtime})


def require_root(task: Task) -> None:
    """Raises SourceGone where the root of a task cannot be listed, or is empty."""
    if not is_there(place_of(task.root)):
        raise SourceGone(
            f"the source {task.video['source']!r} is not at {task.root} any more. Mount or restore it and run the same "
            "command again: everything finished is kept"
        )


def _scratch() -> BinaryIO:
    return tempfile.SpooledTemporaryFile(max_size=_SCRATCH_MEMORY)
