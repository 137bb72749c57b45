"""A contact sheet: the faces of a video over time, with landmarks, mask and the original at the same frame beside them.

Where the catalog and the pixels meet: `queries` says which bytes, `shards` reads and checks them, OpenCV draws. Frames
that gave no face have a cell too, because gaps are what one looks for. A member that cannot be read is a cell that says
so, and a fault that the caller is told of.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from queries.show import Known, faces_of
from shards.errors import ReadError
from shards.image import decode_image
from shards.reader import Ranges, ShardReader

CELL, LARGE, GAP, GUTTER, LINE = 128, 256, 6, 96, 18  # pixels
_PAPER, _INK, _PALE, _EMPTY = (255, 255, 255), (20, 20, 20), (110, 110, 110), (232, 232, 232)
_REAL, _FAKE, _POINT = (0, 110, 60), (185, 30, 30), (0, 230, 255)  # RGB
_MOST_TRACKS = 4


@dataclass(frozen=True)
class Sheet:
    """``pixels`` uint8 [H,W,3], RGB. ``faults``: what could not be read. ``frames``: that have a cell, in order."""

    pixels: np.ndarray
    frames: list[int]
    faults: list[str]

    def png(self) -> bytes:
        """The sheet as a file."""
        return cv2.imencode(".png", cv2.cvtColor(self.pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def draw(catalog: str | Path, store: str | Path, facts: Known, columns: int = 12) -> Sheet:
    """The sheet of a video, or of one face of it: that face large, then the strip, in which it is framed.

    ``columns``: at most so many frames, evenly spaced over those that were wanted. Raises CatalogError, CatalogBusy.
    """
    face, video = facts.face, facts.video
    attempt = next(
        (one for one in facts.attempts if one["current"] and (face is None or one["attempt"] == face["attempt"])),
        facts.attempts[0] if facts.attempts else None,
    )
    recipe = attempt["recipe_hash"] if attempt else None
    reader = _Reader(Path(store) / "shards")
    faces = faces_of(catalog, video["video_id"], recipe) if attempt else []
    originals = faces_of(catalog, video["original_video"], recipe) if video["original_video"] else []
    missing = {one["frame_index"]: one["reason"] for one in (attempt["missing"] or [])} if attempt else {}
    frames = _spread(
        sorted({one["frame_index"] for one in faces} | set(missing)), columns, face["frame_index"] if face else None
    )
    blocks = [_title(facts, attempt, face)]
    if face:
        asked = [one for one in faces if (one["frame_index"], one["track"]) == (face["frame_index"], face["track"])]
        blocks.append(_large(reader, asked[0], originals, video))
    for track in sorted({one["track"] for one in faces})[:_MOST_TRACKS] or [None]:
        followed = {one["frame_index"]: one for one in faces if one["track"] == track}
        blocks.append(_strip(reader, frames, followed, missing, originals, video, face))
    blocks += _closing(faces, missing, frames)
    width = max(block.shape[1] for block in blocks) + 2 * GAP
    return Sheet(np.vstack([_widen(block, width) for block in blocks]), frames, reader.faults)


class _Reader:
    """Members of faces, each as pixels or as what a JSON says; what cannot be read is None and a fault."""

    def __init__(self, folder: Path) -> None:
        self._shards = ShardReader(folder)
        self.faults: list[str] = []

    def bytes_of(self, face: dict[str, Any], member: str) -> bytes | None:
        """The bytes of ``image``, ``json`` or ``mask``; None also where a face has no mask."""
        place = [face[f"{member}_{part}"] for part in ("offset", "size", "xxh3")]
        if place[0] is None:
            return None
        kinds = (np.int64, np.int64, np.uint64)
        columns = (np.array([value], kind) for value, kind in zip(place, kinds, strict=True))
        found, faults = self._shards.fetch(Ranges([face["shard"]], np.zeros(1, np.int32), *columns))
        if faults:
            self.faults += [fault for fault in faults.values() if fault not in self.faults]
            return None
        return found[0].tobytes()

    def pixels(self, face: dict[str, Any] | None, member: str, side: int) -> np.ndarray:
        """A cell, uint8 [side,side,3]."""
        if face is None:
            return _empty(side, "no face of this frame")
        if face[f"{member}_offset"] is None:
            return _empty(side, f"no {member}")
        data = self.bytes_of(face, member)
        try:
            return _empty(side, "unreadable") if data is None else _resize(decode_image(data), side)
        except ReadError as error:
            self.faults.append(str(error))
            return _empty(side, "unreadable")

    def landmarks(self, face: dict[str, Any], side: int) -> np.ndarray:
        """The face with its landmarks, where they lie in the crop."""
        cell, data, image = self.pixels(face, "image", side), self.bytes_of(face, "json"), self.bytes_of(face, "image")
        if data is None or image is None:
            return cell
        points, size = json.loads(data)["landmarks"], decode_image(image).shape[0]
        if not points:
            return _empty(side, "no landmarks")
        for x, y in points:
            place = (round((x + 0.5) * side / size), round((y + 0.5) * side / size))
            cv2.circle(cell, place, max(1, side // 90), _POINT, -1, cv2.LINE_AA)
        return cell


def _strip(
    reader: _Reader,
    frames: list[int],
    followed: dict[int, dict[str, Any]],
    missing: dict[int, str],
    originals: list[dict[str, Any]],
    video: dict[str, Any],
    asked: dict[str, Any] | None,
) -> np.ndarray:
    """Columns of frames; rows: frame number, face, landmarks, and where there are any, the original and the mask."""
    # the mask of a real face is all zero
    masks = video["label"] == 1 and any(face["mask_offset"] is not None for face in followed.values())
    rows = ["face", "landmarks", *(["original"] if video["original_video"] else []), *(["mask"] if masks else [])]
    columns = [np.vstack([_text("", GUTTER), *[_cell_text(row, GUTTER, CELL) for row in rows]])]
    for frame in frames:
        face = followed.get(frame)
        if face is None:
            why = missing.get(frame, "another face")
            cells = [_empty(CELL, why), *[_empty(CELL, "")] * (len(rows) - 1)]
        else:
            cells = [reader.pixels(face, "image", CELL), reader.landmarks(face, CELL)]
            if "original" in rows:
                cells.append(reader.pixels(_same_frame(originals, face), "image", CELL))
            if "mask" in rows:
                cells.append(reader.pixels(face, "mask", CELL))
            if asked and (asked["frame_index"], asked["track"]) == (frame, face["track"]):
                cells[0] = cv2.rectangle(cells[0].copy(), (1, 1), (CELL - 2, CELL - 2), _FAKE, 3)
        time = f"  {face['time_s']:.2f} s" if face and face["time_s"] is not None and face["time_s"] >= 0 else ""
        head = _text(f"{frame}{time}" + (f"  #{face['track']}" if face and face["track"] else ""), CELL)
        columns.append(np.vstack([head, *[_framed(cell) for cell in cells]]))
    height = columns[0].shape[0]
    return np.hstack([_pad(column, height) for column in columns])


def _large(reader: _Reader, face: dict[str, Any], originals: list[dict[str, Any]], video: dict[str, Any]) -> np.ndarray:
    """The face that was asked for at twice the size: as it is, with landmarks, its original, its mask."""
    cells = {"face": reader.pixels(face, "image", LARGE), "landmarks": reader.landmarks(face, LARGE)}
    if video["original_video"]:
        cells["original, same frame"] = reader.pixels(_same_frame(originals, face), "image", LARGE)
    if face["mask_offset"] is not None and video["label"] == 1:
        cells["mask"] = reader.pixels(face, "mask", LARGE)
    return np.hstack([np.vstack([_text(name, LARGE), _framed(cell)]) for name, cell in cells.items()])


def _same_frame(originals: list[dict[str, Any]], face: dict[str, Any]) -> dict[str, Any] | None:
    """The original's face at this frame: of the same track, or the one whose box is nearest."""
    there = [one for one in originals if one["frame_index"] == face["frame_index"]]
    if not there:
        return None

    def away(one: dict[str, Any]) -> tuple[float, bool]:
        boxes = [(box["box_x"], box["box_y"]) for box in (one, face)]
        known = None not in boxes[0] + boxes[1]
        distance = abs(boxes[0][0] - boxes[1][0]) + abs(boxes[0][1] - boxes[1][1]) if known else 0.0
        return distance, one["track"] != face["track"]

    return min(there, key=away)


def _spread(frames: list[int], count: int, wanted: int | None) -> list[int]:
    """At most ``count`` of these frames, evenly spaced, ``wanted`` among them."""
    if len(frames) <= count:
        return frames
    chosen = {frames[round(i * (len(frames) - 1) / (count - 1))] for i in range(count)} if count > 1 else {frames[0]}
    if wanted is not None and wanted not in chosen:
        chosen = (chosen - {min(chosen, key=lambda frame: abs(frame - wanted))}) | {wanted}
    return sorted(chosen)


def _title(facts: Known, attempt: dict[str, Any] | None, face: dict[str, Any] | None) -> np.ndarray:
    video = facts.video
    label = "fake" if video["label"] else "real"
    of = f", made from {video['original_video']}" if video["original_video"] else ""
    lines = [
        _text(face["sample_id"] if face else video["video_id"], 0, _INK, 0.55),
        _text(f"{label}{of}", 0, _FAKE if video["label"] else _REAL, 0.45),
    ]
    if attempt:
        got = f"{attempt['frames_with_face'] or 0} of {attempt['frames_wanted'] or 0} frames have a face"
        lines.append(_text(f"recipe {attempt['recipe']}: {got}", 0, _PALE))
    else:
        lines.append(_text("not curated yet", 0, _PALE))
    return _stack(lines)


def _closing(faces: list[dict[str, Any]], missing: dict[int, str], frames: list[int]) -> list[np.ndarray]:
    """What the strip does not show."""
    wanted = len({face["frame_index"] for face in faces} | set(missing))
    lines = [f"{len(frames)} of {wanted} frames are shown"] if len(frames) < wanted else []
    reasons: dict[str, list[int]] = {}
    for frame, reason in missing.items():
        reasons.setdefault(reason or "no reason given", []).append(frame)
    for reason, of in sorted(reasons.items(), key=lambda item: -len(item[1]))[:5]:
        lines.append(
            f"{len(of)} without a face: {reason} (frames {', '.join(map(str, of[:12]))}{' ...' if of[12:] else ''})"
        )
    tracks = len({face["track"] for face in faces})
    if tracks > _MOST_TRACKS:
        lines.append(f"{_MOST_TRACKS} of {tracks} people are shown")
    return [_stack([_text(line, 0, _PALE) for line in lines])] if lines else []


def _text(words: str, width: int, colour: tuple[int, int, int] = _INK, scale: float = 0.4) -> np.ndarray:
    """A line of text; ``width`` 0: as wide as it needs."""
    words = words.encode("ascii", "replace").decode()
    needed = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] + 2 * GAP if words else 0
    line = np.full((LINE + GAP, (width or needed) + (GAP if width else 0), 3), _PAPER, np.uint8)
    cv2.putText(line, words, (0, LINE - 2), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return line


def _cell_text(words: str, width: int, height: int) -> np.ndarray:
    cell = np.full((height + GAP, width + GAP, 3), _PAPER, np.uint8)
    cv2.putText(cell, words, (0, height // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _PALE, 1, cv2.LINE_AA)
    return cell


def _empty(side: int, words: str) -> np.ndarray:
    """A cell without a picture, and why, in lines that fit."""
    cell, line = np.full((side, side, 3), _EMPTY, np.uint8), ""
    lines = []
    for word in words.encode("ascii", "replace").decode().split():
        if len(f"{line} {word}") * 7 > side and line:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    for i, text in enumerate([*lines, line][: side // 16]):
        cv2.putText(cell, text, (6, 18 + 16 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _PALE, 1, cv2.LINE_AA)
    return cell


def _resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """To fit a square cell, on the cell's ground where it is none."""
    scale = side / max(pixels.shape[:2])
    height, width = (max(1, round(edge * scale)) for edge in pixels.shape[:2])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    cell = np.full((side, side, 3), _EMPTY, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    cell[top : top + height, left : left + width] = cv2.resize(pixels, (width, height), interpolation=kind)
    return cell


def _framed(cell: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(cell, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=_PAPER)


def _stack(lines: list[np.ndarray]) -> np.ndarray:
    width = max(line.shape[1] for line in lines)
    return np.vstack([cv2.copyMakeBorder(one, 0, 0, 0, width - one.shape[1], 0, value=_PAPER) for one in lines])


def _pad(column: np.ndarray, height: int) -> np.ndarray:
    return cv2.copyMakeBorder(column, 0, height - column.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=_PAPER)


def _widen(block: np.ndarray, width: int) -> np.ndarray:
    return cv2.copyMakeBorder(block, GAP, 0, GAP, width - block.shape[1] - GAP, cv2.BORDER_CONSTANT, value=_PAPER)
