"""What a push is about: the faces of a catalog that were asked for, with their videos, as rows of sidecars.

Only current attempts leave, of one recipe: faces of two recipes are not comparable, and who loads a repository takes
all of it. Rows come as the packs have them; what people corrected travels as corrections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from hub.errors import HubError
from queries import manifest, sandbox
from queries.catalog import connect_read
from queries.pinned import find_pinned, list_pinned
from shards import schema

NO_SPLIT = "unsplit"  # of videos that no official split names: not `train`, which others would train on
_SPLITS = {"train": "train", "val": "validation", "test": "test"}  # as the Hub calls them

_WHERE = """
SELECT sample_id, NULL AS video_id FROM faces WHERE ({0})
UNION ALL SELECT NULL, video_id FROM faceless WHERE ({0})
"""
_ATTEMPTS = """
SELECT a.attempt, a.pack, v.official_split AS corrected_split
FROM attempts a JOIN corrected_videos v USING (video_id)
WHERE a.current AND a.recipe_hash = ?
"""


@dataclass(frozen=True)
class Pinned:
    """A pinned split whose faces all leave: its rows (MANIFEST) and its card."""

    rows: pa.Table
    card: dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """``samples``: SAMPLES, sorted by (shard, video_id, frame, track). ``videos``: PACKED_VIDEOS with ``pack`` and
    ``part`` (train, validation, test or NO_SPLIT), ``faces`` being how many of each are among the samples.
    ``recipe``: name, hash, recipe. ``sources``: rows of the table, by name; ``scanned``: what their scans say of these
    videos (VIDEOS); ``aliases``: what they say of identities; ``corrections``: of these videos. ``splits``: the pinned
    splits that go along."""

    samples: pa.Table
    videos: pa.Table
    recipe: dict[str, Any]
    sources: dict[str, dict[str, Any]]
    scanned: pa.Table
    aliases: list[dict[str, Any]]
    corrections: pa.Table
    splits: list[Pinned]


def select(
    catalog: Path, store: Path, splits: Sequence[str] = (), where: str | None = None, recipe: str | None = None
) -> Selection:
    """The faces of these pinned splits (with their partners), or those of which ``where`` is true, or all.

    ``recipe``: a name or the beginning of a hash, needed where there are several. Raises HubError where nothing is
    selected or recipes would mix, and the errors of queries.
    """
    if splits and where:
        raise HubError("--split and --where are two ways to say which faces: give one of them")
    asked = [Pinned(*manifest.read(find_pinned(store, ref))) for ref in splits]
    faces = faceless = None
    if where:
        chosen = sandbox.run(catalog, _WHERE.format(where))
        faces, faceless = (pc.drop_null(chosen[name]) for name in ("sample_id", "video_id"))
    elif asked:
        ids = [column for one in asked for column in (one.rows["sample_id"], pc.drop_null(one.rows["partner_id"]))]
        faces = pc.unique(pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string()))
        faceless = pa.array(sorted({row["video_id"] for one in asked for row in one.card["faceless"]}), pa.string())
    with connect_read(catalog) as db:
        chosen = _recipe(db, recipe, [one.card["recipes"][0]["hash"] for one in asked])
        samples, videos = _rows(db, chosen["hash"], faces, faceless)
        _check_whole(samples, faces, asked)
        names = pc.unique(videos["source"]).to_pylist()
        known = db.sql("FROM sources WHERE source IN (SELECT unnest(?))", params=[names]).to_arrow_table().to_pylist()
        db.register("leaving", videos.select(["video_id"]))
        columns = ", ".join(f'"{name}"' for name in schema.VIDEOS.names)
        scanned = db.sql(
            f"SELECT {columns} FROM scanned WHERE video_id IN (SELECT video_id FROM leaving) ORDER BY source, video_id"
        ).to_arrow_table()
        files = [f"sources/{name}.parquet" for name in names]
        query = "FROM aliases WHERE file IN (SELECT unnest(?)) ORDER BY ALL"
        aliases = db.sql(query, params=[files]).to_arrow_table()
        corrections = db.sql(
            'SELECT video_id, "column", value, who, "at", why FROM corrections '
            "WHERE video_id IN (SELECT video_id FROM leaving) ORDER BY ALL"
        ).to_arrow_table()
    if not asked:
        pinned = (Pinned(*manifest.read(one.path)) for one in list_pinned(store))
        asked = [one for one in pinned if _contained(one, samples, chosen["hash"])]
    sources = {row["source"]: row for row in known}
    scanned = scanned.cast(schema.VIDEOS)
    return Selection(samples, videos, chosen, sources, scanned, aliases.to_pylist(), corrections, asked)


def _recipe(db: duckdb.DuckDBPyConnection, wanted: str | None, of_splits: list[str]) -> dict[str, Any]:
    rows = db.execute(
        "SELECT DISTINCT a.recipe_hash AS hash, coalesce(r.name, a.recipe_hash[:8]) AS name, r.recipe "
        "FROM attempts a LEFT JOIN recipes r USING (recipe_hash) WHERE a.current ORDER BY name, hash"
    ).fetchall()
    fitting = [row for row in rows if wanted is None or row[1] == wanted or row[0].startswith(wanted)]
    if wanted is None and of_splits:
        fitting = [row for row in rows if row[0] in of_splits]
    if len(fitting) == 1:
        digest, name, recipe = fitting[0]
        return {"hash": digest, "name": name, "recipe": recipe}
    listed = ", ".join(f"{name} ({digest[:8]})" for digest, name, _ in fitting or rows) or "none at all"
    if not fitting:
        raise HubError(f"there is nothing to push with that recipe; the catalog has {listed}")
    raise HubError(f"faces of several recipes do not go into one repository: choose one with --recipe, of {listed}")


def _rows(db: duckdb.DuckDBPyConnection, recipe: str, faces, faceless) -> tuple[pa.Table, pa.Table]:
    db.execute(f"CREATE TEMP TABLE going AS {_ATTEMPTS}", [recipe])
    chosen = without = ""
    if faces is not None:
        db.register("chosen", pa.table({"sample_id": faces}))
        db.register("without", pa.table({"video_id": faceless}))
        chosen = "WHERE s.sample_id IN (SELECT sample_id FROM chosen)"
        without = "AND p.video_id IN (SELECT video_id FROM without)"
    names = ", ".join(f's."{name}"' for name in schema.SAMPLES.names if name not in _OF_PACKS)
    samples = db.sql(
        f"SELECT p.video_id, p.recipe_hash, p.content, substr(s.sample_id, 19) AS key, p.pack AS shard, {names} "
        f"FROM sample_rows s JOIN going USING (attempt) JOIN packed p USING (attempt) {chosen} "
        "ORDER BY p.pack, p.video_id, s.frame_index, s.track"
    ).to_arrow_table()
    counted = samples.group_by("video_id").aggregate([([], "count_all")]).rename_columns(["video_id", "taken"])
    db.register("counted", counted)
    names = ", ".join(f'p."{name}"' for name in schema.PACKED_VIDEOS.names if name != "faces")
    videos = db.sql(
        f"SELECT {names}, coalesce(counted.taken, 0)::INTEGER AS faces, p.pack, going.corrected_split "
        "FROM packed p JOIN going USING (attempt) LEFT JOIN counted USING (video_id) "
        f"WHERE counted.taken > 0 OR ((p.status <> 'done' OR coalesce(p.faces, 0) = 0) {without}) "
        "ORDER BY p.pack, p.video_id"
    ).to_arrow_table()
    if not len(videos):
        raise HubError('nothing is selected: see what there is with `deepshard sql "FROM faces"`')
    parts = pa.array([_SPLITS.get(word, NO_SPLIT) for word in videos["corrected_split"].to_pylist()], pa.string())
    rest = videos.select(["pack"]).append_column("part", parts)
    videos = videos.select(schema.PACKED_VIDEOS.names).cast(schema.PACKED_VIDEOS)
    for column in rest.column_names:
        videos = videos.append_column(column, rest[column])
    return samples.select(schema.SAMPLES.names).cast(schema.SAMPLES), videos


_OF_PACKS = ("video_id", "recipe_hash", "content", "key", "shard")


def _check_whole(samples: pa.Table, faces, asked: list[Pinned]) -> None:
    """A pinned split leaves whole or not at all."""
    if asked and (lost := len(faces) - len(samples)):
        raise HubError(
            f"{lost:,} faces of {', '.join(one.card['name'] for one in asked)} are not in the catalog any more: "
            "run `deepshard catalog rebuild`, or pin the splits again"
        )


def _contained(one: Pinned, samples: pa.Table, recipe: str) -> bool:
    if [known["hash"] for known in one.card["recipes"]] != [recipe]:
        return False
    there = samples["sample_id"].combine_chunks()
    ids = (one.rows["sample_id"], pc.drop_null(one.rows["partner_id"]))
    return all(pc.all(pc.is_in(column, there)).as_py() is not False for column in ids)
