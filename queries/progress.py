"""How far a curation is: what became of videos, how fast, and whether faces are missed in one class more than another.

A detector can learn from what is missing: where real videos lose more frames than forged ones, a blank is a hint.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from queries.catalog import connect_read

RECENT = "15 minutes"  # before the last video, what the rate is taken from

# rows of videos that are finished on disk and not in the catalog yet
FINISHED = pa.schema(
    [
        pa.field("video_id", pa.string()),
        pa.field("status", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("frames_wanted", pa.int64()),
        pa.field("frames_with_face", pa.int64()),
        pa.field("faces", pa.int64()),
        pa.field("attempted_at", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True)
class GroupLine:
    """Videos of one kind; ``face_yield``: frames with a face / frames wanted, null where none was."""

    dataset: str
    method: str
    quality: str
    label: int
    videos: int
    done: int
    no_face: int
    failed: int
    left: int
    faces: int
    face_yield: float | None


@dataclass(frozen=True)
class FailureLine:
    """Why videos gave no face; ``example`` is one of them."""

    status: str
    reason: str
    videos: int
    example: str


@dataclass(frozen=True)
class MissLine:
    """A method whose frames lack a face more or less often than those of the real videos beside them.

    ``missed``, ``missed_real``: mean share of a video's frames without a face (0 to 1). ``errors``: their difference in
    standard errors over videos.
    """

    dataset: str
    method: str
    quality: str
    missed: float
    missed_real: float
    errors: float


@dataclass(frozen=True)
class Progress:
    """Where the curation with one recipe stands. ``per_hour``: videos, over the last quarter of an hour of work."""

    groups: list[GroupLine]
    failures: list[FailureLine]
    misses: list[MissLine]
    per_hour: float | None

    def count(self, column: str) -> int:
        """The sum of a column of counts over all groups: videos, done, no_face, failed, left, faces."""
        return sum(getattr(line, column) for line in self.groups)

    @property
    def hours_left(self) -> float | None:
        return self.count("left") / self.per_hour if self.per_hour else None


_ATTEMPTED = """
CREATE TEMP TABLE attempted AS
SELECT v.dataset, v.method, v.quality, v.label, v.video_id, a.* EXCLUDE (video_id)
FROM corrected_videos v LEFT JOIN (
    SELECT video_id, status, reason, frames_wanted, frames_with_face, faces, attempted_at
    FROM (FROM finished UNION ALL BY NAME
          SELECT video_id, status, reason, frames_wanted, frames_with_face, faces, attempted_at
          FROM attempts WHERE recipe_hash = $recipe AND current)
    QUALIFY row_number() OVER (PARTITION BY video_id ORDER BY attempted_at DESC) = 1
) a USING (video_id)
WHERE v.in_scan
"""

_GROUPS = """
SELECT dataset, method, quality, label, count(*), count(*) FILTER (status = 'done'),
       count(*) FILTER (status = 'no_face'), count(*) FILTER (status = 'failed'), count(*) FILTER (status IS NULL),
       coalesce(sum(faces), 0)::BIGINT, sum(frames_with_face) / nullif(sum(frames_wanted), 0)
FROM attempted GROUP BY ALL ORDER BY dataset, label, method, quality
"""

_FAILURES = """
SELECT status, coalesce(reason, 'no reason given') AS why, count(*) AS videos, min(video_id)
FROM attempted WHERE status <> 'done' GROUP BY ALL ORDER BY status, videos DESC, why
"""

# the mean over videos, because frames of one video are missed together; more than a point and three standard errors
_MISSES = """
WITH shares AS (
    SELECT dataset, method, quality, label, 1 - frames_with_face / frames_wanted AS missed
    FROM attempted WHERE frames_wanted > 0
), means AS (
    SELECT dataset, method, quality, label, avg(missed) AS missed, coalesce(var_samp(missed), 0) / count(*) AS spread
    FROM shares GROUP BY ALL
), reals AS (
    SELECT dataset, quality, avg(missed) AS missed, coalesce(var_samp(missed), 0) / count(*) AS spread
    FROM shares WHERE label = 0 GROUP BY ALL
)
SELECT f.dataset, f.method, f.quality, f.missed, r.missed,
       abs(f.missed - r.missed) / sqrt(greatest(f.spread + r.spread, 1e-12)) AS errors
FROM means f JOIN reals r USING (dataset, quality)
WHERE f.label = 1 AND abs(f.missed - r.missed) > 0.01 AND errors > 3
ORDER BY errors DESC
"""

_RATE = f"""
SELECT count(*) / nullif(date_diff('millisecond', min(attempted_at), max(attempted_at)) / 3.6e6, 0)
FROM attempted
WHERE attempted_at > (SELECT max(attempted_at) FROM attempted) - INTERVAL '{RECENT}'
"""


def progress(catalog: str | Path, recipe_hash: str, finished: pa.Table) -> Progress:
    """Where the curation with a recipe stands; ``finished``: rows of FINISHED. Raises CatalogError, CatalogBusy."""
    with connect_read(catalog) as db:
        db.register("finished", finished)
        db.execute(_ATTEMPTED, {"recipe": recipe_hash})

        def lines(query: str, kind: type) -> list[Any]:
            rows = db.execute(query).fetchall()
            assert len(db.description) == len(fields(kind))
            return [kind(*row) for row in rows]

        [(rate,)] = db.execute(_RATE).fetchall()
        return Progress(lines(_GROUPS, GroupLine), lines(_FAILURES, FailureLine), lines(_MISSES, MissLine), rate)


def recipes(catalog: str | Path) -> dict[str, str]:
    """Recipe hash -> name, of every recipe the catalog knows. Raises CatalogError, CatalogBusy."""
    with connect_read(catalog) as db:
        return dict(db.execute("SELECT recipe_hash, name FROM recipes ORDER BY name, recipe_hash").fetchall())
