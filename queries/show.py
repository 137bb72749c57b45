"""All that is known of one video, or of one face of it: from the catalog, and from the pinned splits that hold it.

A face is named by its sample_id or key, a video by its video_id, both by a part that means one only. A face is found by
its video, frame and track, so that no list of ten million names is read.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.compute as pc

from queries import manifest
from queries.catalog import connect_read
from queries.errors import QueryError

_FACE = re.compile(r"(?P<head>.+)/(?P<frame>\d{6,12})-(?P<track>\d{1,4})", re.DOTALL | re.ASCII)
_HASHES = re.compile(r"(?P<recipe>[0-9a-f]{8})/(?P<content>[0-9a-f]{8})/(?P<video>.+)", re.DOTALL)
_CANDIDATES = 20


class ShowError(QueryError):
    """A name that means nothing, or several things."""


@dataclass(frozen=True)
class Known:
    """What is known of a video, and of one face of it. Rows are dicts with the columns of the catalog.

    ``video``: with corrections applied; ``face``: of `faces`, or None where a video was asked for; ``attempts``: what
    became of the video, newest first, with why frames are missing; ``original``, ``fakes``, ``qualities``: its real
    clip, what was made of it, the same clip in other qualities; ``splits``: pinned ones that hold the face, or faces of
    the video; ``predictions``: a row per run, checkpoint and split; ``duplicates``; ``persons``: by their faces;
    ``relatives``: (identity, its other name); ``corrections``.
    """

    video: dict[str, Any]
    face: dict[str, Any] | None
    attempts: list[dict[str, Any]]
    original: dict[str, Any] | None
    fakes: list[dict[str, Any]]
    qualities: list[dict[str, Any]]
    splits: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]
    persons: list[dict[str, Any]]
    relatives: list[dict[str, Any]]
    corrections: list[dict[str, Any]]


_FACE_ROWS = """
FROM faces WHERE attempt IN (SELECT attempt FROM current_attempts WHERE video_id = $video)
AND frame_index = $frame AND track = $track ORDER BY attempt DESC
"""

_ATTEMPTS = """
SELECT coalesce(r.name, a.recipe_hash[:8]) AS recipe, a.* EXCLUDE (video_id), shards.tar
FROM attempts a JOIN shards ON shards.shard = a.pack LEFT JOIN recipes r ON r.recipe_hash = a.recipe_hash
WHERE a.video_id = $video ORDER BY a.current DESC, a.attempted_at DESC, a.attempt DESC
"""

_BRIEF = """
SELECT v.video_id, v.method, v.quality, v.label, v.official_split, coalesce(max(a.faces), 0)::BIGINT AS faces
FROM corrected_videos v LEFT JOIN attempts a ON a.video_id = v.video_id AND a.current
WHERE {condition} GROUP BY ALL ORDER BY ALL
"""

_PREDICTIONS = """
SELECT run_id, checkpoint, split, split_hash, count(sample_id) AS faces, avg(score) AS score,
       min(score) AS lowest, max(score) AS highest
FROM predictions WHERE {condition} GROUP BY ALL ORDER BY ALL
"""

_DUPLICATES = """
SELECT CASE WHEN one = $video THEN other ELSE one END AS video_id, relation, told, matching, faces, least, median
FROM duplicate_matches WHERE $video IN (one, other) ORDER BY ALL
"""

_PERSONS = """
SELECT track, person, faces, away,
       (SELECT count(DISTINCT p.video_id) FROM persons p WHERE p.person = persons.person) AS videos
FROM persons WHERE video_id = $video ORDER BY ALL
"""

_RELATIVES = """
SELECT r.one AS identity, r.other, any_value(a.kind) AS kind, any_value(a.said_by) AS said_by
FROM relatives r LEFT JOIN aliases a ON (a.one, a.other) IN ((r.one, r.other), (r.other, r.one))
WHERE list_contains($identities, r.one) GROUP BY ALL ORDER BY ALL
"""


def known(catalog: str | Path, store: str | Path, name: str) -> Known:
    """What is known of what ``name`` means. Raises ShowError, with candidates, for nothing or several; CatalogError,
    CatalogBusy."""
    with connect_read(catalog) as db:
        video_id, face = _find(db, name)
        at = {"video": video_id}
        (video,) = _rows(db, "FROM corrected_videos WHERE video_id = $video", at)
        one = {"sample": face["sample_id"]} if face else at
        identities = [video[name] for name in ("target_id", "source_id", "visible_id") if video[name]]
        same = {name: video[name] for name in ("dataset", "method", "name", "quality")}
        original = video["original_video"]
        return Known(
            video=video,
            face=face,
            attempts=_rows(db, _ATTEMPTS, at),
            original=next(iter(_brief(db, "v.video_id = $video", {"video": original})), None) if original else None,
            fakes=_brief(db, "v.original_video = $video", at),
            qualities=_brief(
                db, "v.dataset = $dataset AND v.method = $method AND v.name = $name AND v.quality <> $quality", same
            ),
            splits=_splits(Path(store), video_id, face),
            predictions=_rows(
                db, _PREDICTIONS.format(condition="sample_id = $sample" if face else "video_id = $video"), one
            ),
            duplicates=_rows(db, _DUPLICATES, at),
            persons=_rows(db, _PERSONS, at),
            relatives=_rows(db, _RELATIVES, {"identities": sorted(set(identities))}),
            corrections=_rows(db, 'FROM corrections WHERE video_id = $video ORDER BY "at", who', at),
        )


def faces_of(catalog: str | Path, video_id: str, recipe_hash: str | None = None) -> list[dict[str, Any]]:
    """The faces of a video in order of time, of one recipe: of this, or of the newest attempt's. With the places of
    their members, as `faces` and `samples` have them. Raises CatalogError, CatalogBusy."""
    with connect_read(catalog) as db:
        found = _rows(
            db,
            """SELECT attempt, recipe_hash FROM current_attempts WHERE video_id = $video
            AND coalesce(faces, 0) > 0 AND ($recipe IS NULL OR recipe_hash = $recipe)
            ORDER BY attempted_at DESC, attempt DESC LIMIT 1""",
            {"video": video_id, "recipe": recipe_hash},
        )
        if not found:
            return []
        return _rows(
            db,
            """SELECT s.*, p.pack AS shard, p.video_id, p.recipe_hash, p.label FROM sample_rows s
            JOIN packed p USING (attempt) WHERE attempt = $attempt ORDER BY frame_index, track""",
            {"attempt": found[0]["attempt"]},
        )


def _find(db: duckdb.DuckDBPyConnection, name: str) -> tuple[str, dict[str, Any] | None]:
    """The video that ``name`` means, and the face of it where it means one."""
    name = name.strip("/ ")
    if videos := _videos(db, name):
        return _only(name, "videos", videos), None
    named = _FACE.fullmatch(name)
    if named is None:
        raise ShowError(
            f"nothing in the catalog is called {name}: give a sample_id, a key, a video_id or a part of one"
        )
    hashes = _HASHES.fullmatch(named["head"])
    videos = _videos(db, hashes["video"] if hashes else named["head"])
    if not videos:
        raise ShowError(f"no video in the catalog is called {named['head']}: give a video_id or a part of one")
    video_id = _only(named["head"], "videos", videos)
    faces = _rows(db, _FACE_ROWS, {"video": video_id, "frame": int(named["frame"]), "track": int(named["track"])})
    if hashes:
        faces = [face for face in faces if face["sample_id"].startswith(f"{hashes['recipe']}/{hashes['content']}/")]
    if not faces:
        raise ShowError(
            f"{video_id} has no face {named['frame']}-{named['track']} that is current: `deepshard show {video_id}` "
            "says which frames it has, and why others are missing"
        )
    _only(name, "faces, of several recipes", [face["sample_id"] for face in faces])
    return video_id, faces[0]


def _videos(db: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Videos of this id, or else those whose id ends with it, or else those that contain it."""
    for condition in ("video_id = $name", "ends_with(video_id, '/' || $name)", "contains(video_id, $name)"):
        query = f"SELECT video_id FROM videos WHERE {condition} ORDER BY ALL LIMIT {_CANDIDATES + 1}"
        if found := db.execute(query, {"name": name}).fetchall():
            return [row[0] for row in found]
    return []


def _only(name: str, what: str, found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    more = ", ..." if len(found) > _CANDIDATES else ""
    raise ShowError(f"{name} means several {what}, say which: {', '.join(found[:_CANDIDATES])}{more}")


def _brief(db: duckdb.DuckDBPyConnection, condition: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    return _rows(db, _BRIEF.format(condition=condition), values)


def _splits(store: Path, video_id: str, face: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Pinned splits with this face, or with faces of this video, or that list it as one without a face."""
    found = []
    for path in sorted((store / "splits").glob("*.arrow")):
        table, card = manifest.read(path)
        column, wanted = ("video_id", video_id) if face is None else ("sample_id", face["sample_id"])
        rows = table.filter(pc.equal(table[column], wanted)) if table.num_rows else table
        faceless = face is None and any(row["video_id"] == video_id for row in card["faceless"])
        if rows.num_rows or faceless:
            roles = sorted(set(rows["role"].to_pylist()) - {None})
            found.append(
                {
                    "split": f"{card['name']}@{card['hash'][:12]}",
                    "faces": rows.num_rows,
                    "faceless": faceless,
                    "labels": sorted(set(rows["label"].to_pylist())),
                    "roles": roles,
                }
            )
    return found


def _rows(db: duckdb.DuckDBPyConnection, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = db.execute(query, values)
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def as_json(facts: Known) -> str:
    """One object; times as text."""
    return json.dumps(facts.__dict__, default=str)
