"""What a catalog holds, as plain rows for whoever prints them.

Yield is reported by method and by label, because faces that were missed in one class only are a shortcut to the answer.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from queries.catalog import connect_read

_Line = TypeVar("_Line")


@dataclass(frozen=True)
class SourceLine:
    """A scanned copy of a dataset; ``videos`` as of its last scan."""

    source: str
    adapter: str
    datasets: list[str]
    root: str
    videos: int
    licence: str | None
    redistributable: bool | None
    scanned_at: str | None


@dataclass(frozen=True)
class VideoLine:
    """Videos of one dataset, method, quality and label; ``in_scan``: those of them in the last scan of their source."""

    dataset: str
    method: str
    quality: str
    label: int
    videos: int
    in_scan: int
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class YieldLine:
    """What a recipe made of such videos. ``face_yield``: frames with a face / frames wanted, null where none was."""

    recipe: str
    recipe_hash: str
    dataset: str
    method: str
    quality: str
    label: int
    untried: int
    done: int
    no_face: int
    failed: int
    faces: int
    face_yield: float | None


@dataclass(frozen=True)
class ReasonLine:
    """Why videos gave no face; ``example`` is one of them."""

    recipe: str
    status: str
    reason: str
    videos: int
    example: str


@dataclass(frozen=True)
class RecipeLine:
    """A recipe and its shards; ``gigabytes``: of tars that are there, ``lost``: shards whose tar is gone or short."""

    recipe: str
    recipe_hash: str
    videos: int
    faces: int
    shards: int
    gigabytes: float
    lost: int


@dataclass(frozen=True)
class IdentityLine:
    """The people of a dataset; ``components``: groups that never meet in a video. One: no identity-disjoint split."""

    dataset: str
    identities: int
    components: int
    largest: int
    videos_of_nobody: int


@dataclass(frozen=True)
class SizeLine:
    """Files of one kind in the store, or the catalog itself: how many, and their bytes as `ls -l` counts them."""

    what: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """All of the above, and how many rows the other tables have. ``sizes``: where a store was named."""

    sources: list[SourceLine]
    videos: list[VideoLine]
    yields: list[YieldLine]
    reasons: list[ReasonLine]
    recipes: list[RecipeLine]
    identities: list[IdentityLine]
    sizes: list[SizeLine]
    counts: dict[str, int]


@dataclass(frozen=True)
class CompletenessLine:
    """A folder of the last scan of a source against what was published; names where they are known.

    ``unnamed``: missing beyond ``missing``, ``surplus``: found beyond the published count.
    """

    source: str
    dataset: str
    method: str
    quality: str
    part: str | None
    expected: int | None
    found: int
    missing: list[str]
    unexpected: list[str]
    unnamed: int
    surplus: int


@dataclass(frozen=True)
class FigureLine:
    """A figure of a run, from its run.json; see the view `metrics`."""

    run_id: str
    detector: str | None
    created_at: str | None
    split: str
    split_hash: str
    checkpoint: str
    level: str
    aggregation: str
    faceless: str
    frames: int
    videos: int
    faceless_videos: int
    real: int
    fake: int
    auc: float | None
    eer: float | None
    ap: float | None
    accuracy: float | None
    reason: str | None


_SOURCES = """
SELECT source, adapter, datasets, root, videos, licence, redistributable, strftime(scanned_at, '%Y-%m-%d %H:%M UTC')
FROM sources ORDER BY source
"""

_VIDEOS = """
SELECT dataset, method, quality, label, count(*), count(*) FILTER (in_scan),
       count(*) FILTER (official_split = 'train'), count(*) FILTER (official_split = 'val'),
       count(*) FILTER (official_split = 'test')
FROM corrected_videos GROUP BY ALL ORDER BY dataset, label, method, quality
"""

_YIELDS = """
WITH used AS (
    SELECT DISTINCT recipe, recipe_hash FROM current_attempts
)
SELECT u.recipe, u.recipe_hash, v.dataset, v.method, v.quality, v.label,
       count(*) FILTER (a.status IS NULL AND v.in_scan), count(*) FILTER (a.status = 'done'),
       count(*) FILTER (a.status = 'no_face'), count(*) FILTER (a.status = 'failed'),
       coalesce(sum(a.faces), 0)::BIGINT, sum(a.frames_with_face) / nullif(sum(a.frames_wanted), 0)
FROM used u CROSS JOIN corrected_videos v
LEFT JOIN current_attempts a ON a.video_id = v.video_id AND a.recipe_hash = u.recipe_hash
GROUP BY ALL ORDER BY u.recipe, u.recipe_hash, v.dataset, v.label, v.method, v.quality
"""

_REASONS = """
SELECT recipe, status, coalesce(reason, 'no reason given') AS why, count(*) AS videos, min(video_id)
FROM current_attempts WHERE status <> 'done' GROUP BY ALL ORDER BY recipe, status, videos DESC, why
"""

_RECIPES = """
SELECT coalesce(any_value(name), recipe_hash[:8]), recipe_hash, sum(videos)::BIGINT, sum(samples)::BIGINT, count(*),
       round(coalesce(sum(tar_bytes), 0) / 1e9, 3), count(*) FILTER (tar IN ('missing', 'short'))
FROM shards LEFT JOIN recipes USING (recipe_hash) GROUP BY recipe_hash ORDER BY ALL
"""

_COMPLETENESS = """
WITH names AS (
    SELECT source, dataset, method, quality, part,
           list(name ORDER BY name) FILTER (state = 'missing') AS missing,
           list(name ORDER BY name) FILTER (state = 'unexpected') AS unexpected
    FROM completeness GROUP BY ALL
)
SELECT e.source, e.dataset, e.method, e.quality, e.part, e.expected, e.found, coalesce(n.missing, []),
       coalesce(n.unexpected, []), e.unnamed, e.surplus
FROM expectations e LEFT JOIN names n
ON n.source = e.source AND n.dataset = e.dataset AND n.method = e.method AND n.quality = e.quality
   AND n.part IS NOT DISTINCT FROM e.part
ORDER BY ALL
"""

_FIGURES = """
SELECT * REPLACE (strftime(created_at, '%Y-%m-%d %H:%M UTC') AS created_at) FROM metrics
ORDER BY metrics.created_at, run_id, split, level, faceless
"""

_COUNTED = ("videos", "attempts", "samples", "shards", "splits", "runs", "predictions", "corrections")


def summary(catalog: str | Path, store: str | Path | None = None) -> Summary:
    """What the catalog holds, and what the files of ``store`` take on the disk. Raises CatalogError, CatalogBusy."""
    with connect_read(catalog) as db:
        return Summary(
            sources=_lines(db, _SOURCES, SourceLine),
            videos=_lines(db, _VIDEOS, VideoLine),
            yields=_lines(db, _YIELDS, YieldLine),
            reasons=_lines(db, _REASONS, ReasonLine),
            recipes=_lines(db, _RECIPES, RecipeLine),
            identities=_identities(db),
            sizes=[] if store is None else _sizes(Path(catalog), Path(store)),
            counts={name: db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in _COUNTED},
        )


def completeness(catalog: str | Path) -> list[CompletenessLine]:
    """What the last scan of each source found against what was published. Raises CatalogError, CatalogBusy."""
    with connect_read(catalog) as db:
        return _lines(db, _COMPLETENESS, CompletenessLine)


def figures(catalog: str | Path) -> list[FigureLine]:
    """All figures of all runs, oldest run first. Raises CatalogError, CatalogBusy."""
    with connect_read(catalog) as db:
        return _lines(db, _FIGURES, FigureLine)


def _identities(db: duckdb.DuckDBPyConnection) -> list[IdentityLine]:
    lines = []
    for (dataset,) in db.execute("SELECT DISTINCT dataset FROM videos ORDER BY ALL").fetchall():
        db.execute("CREATE OR REPLACE TEMP TABLE people AS FROM corrected_videos WHERE dataset = ?", [dataset])
        people, components = db.execute(
            "SELECT count(*), count(DISTINCT component) FROM identity_components(people)"
        ).fetchall()[0]
        largest = db.execute(
            "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM identity_components(people) GROUP BY component)"
        ).fetchall()[0][0]
        nobody = db.execute(
            "SELECT count(*) FROM people WHERE len(identities(target_id, source_id, visible_id)) = 0"
        ).fetchall()[0][0]
        lines.append(IdentityLine(dataset, people, components, largest, nobody))
    return lines


def _sizes(catalog: Path, store: Path) -> list[SizeLine]:
    """The largest first; of shards tars and sidecars apart. A file that goes meanwhile is not counted."""
    found: dict[str, list[int]] = {}
    for folder, _, names in os.walk(store):
        kind = Path(folder).relative_to(store).parts[:1] or ("other",)
        for name in names:
            what = "sidecars" if kind[0] == "shards" and not name.endswith(".tar") else kind[0]
            with suppress(FileNotFoundError):
                found.setdefault(what, []).append(os.lstat(os.path.join(folder, name)).st_size)
    found["catalog"] = [catalog.stat().st_size]
    lines = [SizeLine(what, len(sizes), sum(sizes)) for what, sizes in found.items()]
    return sorted(lines, key=lambda line: (-line.bytes, line.what))


def _lines(db: duckdb.DuckDBPyConnection, query: str, kind: type[_Line]) -> list[_Line]:
    """Rows as ``kind``, column by column in its order."""
    rows: list[tuple[Any, ...]] = db.execute(query).fetchall()
    width = len(fields(kind))
    assert len(db.description) == width, f"{kind.__name__} has {width} fields, the query {len(db.description)}"
    return [kind(*row) for row in rows]
