"""Faces by their names: where their bytes lie, and all that is known of one.

A sample_id says the attempt, frame and track by which the catalog finds a row among ten million (queries/locate.py), so
a page of faces costs one small look-up, and its pictures none: their addresses hold place and checksum.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from browse.pictures import Member, read
from browse.place import BrowseError, Place
from shards.errors import ReadError

_ID = re.compile(r"(.+)/(\d{6,12})-(\d{1,4})", re.DOTALL | re.ASCII)
_MOST = 400  # cells of a strip
_WHO = re.compile(r"[\w-]+:[\w\-+=@,%~.]+", re.ASCII)  # an identity
_NAMED = re.compile(r"[\w\-+=@,%~]+(?:/[\w\-+=@,%~]+){3,}", re.ASCII)  # a video_id or sample_id in a sentence
_PLACES = ", ".join(f"s.{member}_{part}" for member in ("image", "json", "mask") for part in ("offset", "size", "xxh3"))
_FACE = f"""s.sample_id, v.video_id, v.dataset, v.method, v.quality, v.label, s.frame_index, s.time_s, s.track,
       v.recipe_hash, v.pack AS shard, v.tar, s.image_ext, {_PLACES}"""


@dataclass(frozen=True)
class Face:
    """A face as a page shows it. ``tar``: there, missing or short; ``more``: what a query returned beside it."""

    sample_id: str
    video_id: str
    dataset: str
    method: str
    quality: str
    label: int
    frame_index: int
    time_s: float | None
    track: int
    recipe_hash: str
    tar: str
    image: Member
    json: Member
    mask: Member | None
    score: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def word(self) -> str:
        return ("real", "fake")[self.label]

    @property
    def wrong(self) -> bool:
        """Whether a score above 0.5 means fake and this one says the other thing."""
        return self.score is not None and (self.score > 0.5) != bool(self.label)


@dataclass(frozen=True)
class Cell:
    """A frame of a video's strip: its faces, or why there is none."""

    frame_index: int
    faces: list[Face]
    reason: str | None = None


@dataclass(frozen=True)
class Whole:
    """All that is known of a face.

    ``facts``: its row of `faces`; ``size``: of the crop, pixels; ``pair``: the original, or forgeries, of this
    frame; ``fault``: why there are no landmarks; ``cut``: frames that the strip leaves out.
    """

    face: Face
    facts: dict[str, Any]
    size: int
    landmarks: list[tuple[float, float]]
    fault: str | None
    strip: list[Cell]
    cut: int
    pair: list[Face]
    predictions: list[dict[str, Any]]


def by_id(db: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> dict[str, Face]:
    """Those of these sample_ids that are faces of the catalog."""
    parts = [found.groups() for found in map(_ID.fullmatch, ids) if found]
    if not parts:
        return {}
    stems, frames, tracks = ([part[i] for part in parts] for i in range(3))
    rows = _rows(
        db,
        f"""
        WITH wanted AS (
            SELECT unnest($stems::VARCHAR[]) AS stem, unnest($frames::BIGINT[]) AS frame_index,
                   unnest($tracks::SMALLINT[]) AS track
        ), attempts AS (
            SELECT v.*, stem FROM current_attempts v JOIN (SELECT DISTINCT stem FROM wanted) w
            ON stem = v.recipe_hash[:8] || '/' || v.content[:8] || '/' || v.video_id
            WHERE v.video_id IN (SELECT regexp_extract(stem, '^[^/]*/[^/]*/(.*)$', 1) FROM wanted)
        )
        SELECT {_FACE}
        FROM sample_rows s
        JOIN (SELECT v.*, w.frame_index, w.track FROM attempts v JOIN wanted w USING (stem)) v
        ON s.attempt = v.attempt AND s.frame_index = v.frame_index AND s.track = v.track
        """,
        stems=stems,
        frames=[int(frame) for frame in frames],
        tracks=[int(track) for track in tracks],
    )
    return {row["sample_id"]: _face(row) for row in rows}


def of_videos(db: duckdb.DuckDBPyConnection, videos: Sequence[str], each: int = _MOST) -> list[Face]:
    """At most ``each`` faces of each of these videos, in time."""
    rows = _rows(
        db,
        f"""
        SELECT {_FACE} FROM sample_rows s JOIN current_attempts v USING (attempt)
        WHERE v.video_id IN (SELECT unnest($videos::VARCHAR[]))
        QUALIFY row_number() OVER (PARTITION BY attempt ORDER BY s.frame_index, s.track) <= $each
        ORDER BY v.video_id, v.recipe_hash, s.frame_index, s.track
        """,
        videos=list(videos),
        each=each,
    )
    return [_face(row) for row in rows]


def named_in(db: duckdb.DuckDBPyConnection, sentences: Sequence[str]) -> list[tuple[str, Face | None]]:
    """Each sentence with the face that it names, or the first one of the video or person that it names."""
    words = [next(iter(_NAMED.findall(sentence)), "") for sentence in sentences]
    people = ["" if word else next(iter(_WHO.findall(text)), "") for word, text in zip(words, sentences, strict=True)]
    shows = _videos_of(db, [who for who in people if who])
    words = [word or shows.get(who, "") for word, who in zip(words, people, strict=True)]
    samples = by_id(db, [word for word in words if word])
    frames: dict[str, list[Face]] = {}
    for face in of_videos(db, [word for word in words if word and word not in samples]):
        frames.setdefault(face.video_id, []).append(face)
    found: list[tuple[str, Face | None]] = []
    for sentence, word in zip(sentences, words, strict=True):
        faces = frames.get(word, [])
        frame = re.search(r"\bframe (\d+)", sentence)
        exact = [face for face in faces if frame and face.frame_index == int(frame[1])]
        found.append((sentence, samples.get(word) or next(iter([*exact, *faces]), None)))
    return found


def _videos_of(db: duckdb.DuckDBPyConnection, people: Sequence[str]) -> dict[str, str]:
    """A video that shows each of these people, or is theirs."""
    if not people:
        return {}
    return dict(
        db.execute(
            """
            WITH asked AS (SELECT DISTINCT unnest(?::VARCHAR[]) AS who)
            SELECT who, coalesce(min(video_id) FILTER (visible_id = who), min(video_id))
            FROM asked JOIN current_attempts ON who IN (visible_id, target_id) WHERE faces > 0 GROUP BY who
            """,
            [list(people)],
        ).fetchall()
    )


def whole(place: Place, sample_id: str) -> Whole:
    """All about one face. Raises BrowseError where there is none of this name, CatalogError, CatalogBusy."""
    with place.look() as db:
        face = by_id(db, [sample_id]).get(sample_id)
        if face is None:
            raise BrowseError(
                f"there is no face {sample_id} in this catalog; perhaps its video was curated again since"
            )
        facts = _rows(
            db,
            "SELECT * FROM faces WHERE video_id = $video AND recipe_hash = $recipe AND frame_index = $frame "
            "AND track = $track",
            video=face.video_id,
            recipe=face.recipe_hash,
            frame=face.frame_index,
            track=face.track,
        )[0]
        strip, cut = _strip(db, face)
        pair = _pair(db, face, facts)
        predictions = _rows(
            db,
            "SELECT run_id, split, checkpoint, score, label FROM predictions WHERE sample_id = $id ORDER BY ALL",
            id=sample_id,
        )
        known = db.execute("SELECT recipe ->> 'size' FROM recipes WHERE recipe_hash = ?", [face.recipe_hash]).fetchall()
    size = int(known[0][0]) if known and known[0][0] else 256
    landmarks, fault = _landmarks(place, face)
    return Whole(face, facts, size, landmarks, fault, strip, cut, pair, predictions)


def _strip(db: duckdb.DuckDBPyConnection, face: Face) -> tuple[list[Cell], int]:
    """The frames of the face's video, those without a face with the reason, around the face where they are too many."""
    mine = [one for one in of_videos(db, [face.video_id], 1 << 20) if one.recipe_hash == face.recipe_hash]
    cells: dict[int, Cell] = {}
    for one in mine:
        cells.setdefault(one.frame_index, Cell(one.frame_index, [])).faces.append(one)
    lost = db.execute(
        "SELECT unnest(missing, recursive := true) FROM current_attempts WHERE video_id = ? AND recipe_hash = ?",
        [face.video_id, face.recipe_hash],
    ).fetchall()
    for frame, reason in lost:
        cells.setdefault(frame, Cell(frame, [], reason))
    ordered = [cells[frame] for frame in sorted(cells)]
    at = next(i for i, cell in enumerate(ordered) if cell.frame_index == face.frame_index)
    first = max(0, min(at - _MOST // 2, len(ordered) - _MOST))
    return ordered[first : first + _MOST], len(ordered) - min(_MOST, len(ordered))


def _pair(db: duckdb.DuckDBPyConnection, face: Face, facts: dict[str, Any]) -> list[Face]:
    """Of a fake the original, of a real face its forgeries, at the same frame under the same recipe."""
    if facts["original_video"]:
        condition = "v.video_id = $video"
    else:
        condition = "v.original_video = $video"
    rows = _rows(
        db,
        f"""
        SELECT {_FACE} FROM sample_rows s JOIN current_attempts v USING (attempt)
        WHERE {condition} AND v.recipe_hash = $recipe AND s.frame_index = $frame
        QUALIFY row_number() OVER (PARTITION BY attempt ORDER BY abs(s.track - $track)) = 1
        ORDER BY v.dataset, v.method, v.video_id LIMIT 24
        """,
        video=facts["original_video"] or face.video_id,
        recipe=face.recipe_hash,
        frame=face.frame_index,
        track=face.track,
    )
    return [_face(row) for row in rows]


def _landmarks(place: Place, face: Face) -> tuple[list[tuple[float, float]], str | None]:
    """From the JSON in the shard: points in pixels of the crop, or why they cannot be had."""
    if face.tar != "there":
        return [], f"the shard {face.image.shard}.tar is {face.tar}"
    try:
        card = json.loads(read(place.shards, face.json))
    except ReadError as error:
        return [], str(error)
    return [(float(x), float(y)) for x, y in card.get("landmarks") or ()], None


def _face(row: dict[str, Any]) -> Face:
    def member(name: str, extension: str) -> Member | None:
        if row[f"{name}_offset"] is None:
            return None
        return Member(row["shard"], extension, row[f"{name}_offset"], row[f"{name}_size"], row[f"{name}_xxh3"])

    kept = {
        name: row[name] for name in Face.__dataclass_fields__ if name in row and name not in ("image", "json", "mask")
    }
    image, card = member("image", row["image_ext"]), member("json", "json")
    assert image is not None and card is not None
    return Face(**kept, image=image, json=card, mask=member("mask", "png"))


def _rows(db: duckdb.DuckDBPyConnection, sql: str, **values: Any) -> list[dict[str, Any]]:
    found = db.execute(sql, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
