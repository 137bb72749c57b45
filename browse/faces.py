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
_PAIRS = 24  # forgeries of one frame
_WHO = re.compile(r"[\w-]+:[\w\-+=@,%~.]+", re.ASCII)  # an identity
_NAMED = re.compile(r"[\w\-+=@,%~]+(?:/[\w\-+=@,%~]+){3,}", re.ASCII)  # a video_id or sample_id in a sentence
_PLACES = ", ".join(f"{member}_{part}" for member in ("image", "json", "mask") for part in ("offset", "size", "xxh3"))
_ATTEMPT = "attempt, video_id, dataset, method, quality, label, recipe_hash, content, pack AS shard, tar"
_SAMPLE = f"attempt, sample_id, frame_index, time_s, track, image_ext, {_PLACES}"


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
    stems = {stem for stem, _, _ in parts}
    videos = sorted({stem.split("/", 2)[-1] for stem in stems})
    attempts = _attempts(db, "video_id IN (SELECT unnest($videos::VARCHAR[]))", videos=videos)
    wanted = [
        one for one in attempts if f"{one['recipe_hash'][:8]}/{(one['content'] or '')[:8]}/{one['video_id']}" in stems
    ]
    numbers = {f"{one['recipe_hash'][:8]}/{one['content'][:8]}/{one['video_id']}": one for one in wanted}
    # a look-up for each: its row group is found by the attempt; all together would read every group's columns
    sought = [
        f"SELECT {_SAMPLE} FROM sample_rows WHERE attempt = {numbers[stem]['attempt']} "
        f"AND frame_index = {int(frame)} AND track = {int(track)}"
        for stem, frame, track in dict.fromkeys(parts)
        if stem in numbers
    ]
    known = {one["attempt"]: one for one in wanted}
    rows = _rows(db, " UNION ALL ".join(sought)) if sought else []
    asked = set(ids)
    return {row["sample_id"]: _face(known[row["attempt"]] | row) for row in rows if row["sample_id"] in asked}


def of_videos(db: duckdb.DuckDBPyConnection, videos: Sequence[str], each: int = _MOST) -> list[Face]:
    """At most ``each`` faces of each of these videos, in time."""
    attempts = _attempts(db, "video_id IN (SELECT unnest($videos::VARCHAR[]))", videos=list(videos))
    first = "QUALIFY row_number() OVER (PARTITION BY attempt ORDER BY frame_index, track) <= $each"
    found = _samples(db, attempts, first, each=each)
    return sorted(found, key=lambda face: (face.video_id, face.recipe_hash, face.frame_index, face.track))


def _attempts(db: duckdb.DuckDBPyConnection, condition: str, **values: Any) -> list[dict[str, Any]]:
    """What the faces of some attempts have in common."""
    return _rows(db, f"SELECT {_ATTEMPT} FROM current_attempts WHERE {condition}", **values)


def _samples(
    db: duckdb.DuckDBPyConnection, attempts: Sequence[dict[str, Any]], rest: str = "", **values: Any
) -> list[Face]:
    """Faces of these attempts. Their numbers stand in the query: so only where they lie is read, and not ten million
    rows for a join."""
    if not attempts:
        return []
    known = {one["attempt"]: one for one in attempts}
    numbers = ", ".join(map(str, known))
    rows = _rows(db, f"SELECT {_SAMPLE} FROM sample_rows WHERE attempt IN ({numbers}) {rest}", **values)
    return [_face(known[row["attempt"]] | row) for row in rows]


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
    which = "video_id" if facts["original_video"] else "original_video"
    attempts = _attempts(
        db,
        f"{which} = $video AND recipe_hash = $recipe",
        video=facts["original_video"] or face.video_id,
        recipe=face.recipe_hash,
    )
    nearest = (
        "AND frame_index = $frame "
        "QUALIFY row_number() OVER (PARTITION BY attempt ORDER BY abs(track - $track), track) = 1"
    )
    found = _samples(db, attempts, nearest, frame=face.frame_index, track=face.track)
    return sorted(found, key=lambda one: (one.dataset, one.method, one.video_id))[:_PAIRS]


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
