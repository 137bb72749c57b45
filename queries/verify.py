"""The catalog against the store: rebuilt aside and compared, table by table, row by row; nothing is changed.

The catalog is an index that can always be made again from the store, so making it again is the whole of the check: what
differs in any table is wrong in the catalog, and what the store cannot give is said by ingest. Costs a rebuild: the
catalog's size on its disk for as long as it lasts. Also what the catalog remembers of a pack that was damaged.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from queries import catalog as catalogs
from queries.catalog import columns, connect_read
from queries.errors import CatalogBusy, CatalogError
from queries.ingest import Problem, ingest_store

# table -> the file of the store that its rows are from; None: derived from all of them. The view
# samples stands for the table sample_rows.
PLACES = {
    "samples": "'shards/' || shard",
    "packed": "'shards/' || pack",
    "shards": "'shards/' || shard",
    "sources": "'sources/' || source || '.parquet'",
    "expectations": "'sources/' || source || '.parquet'",
    "completeness": "'sources/' || source || '.parquet'",
    "scanned": "'sources/' || source || '.parquet'",
    "recipes": "'recipes/' || recipe_hash[:16] || '.json'",
    "splits": "path",
    "split_parts": "file",
    "aliases": "coalesce(file, '')",  # those that come with deepshard are of no file
    "runs": "file",
    "predictions": "file",
    "corrections": "file",
    "seen": "file",
    "features": "file",
    "embeddings": "file",
    "persons": "file",
    "duplicate_groups": "file",
    "duplicate_matches": "file",
    "ingested": "path",
    "videos": None,
    "attempts": None,
    "current_attempts": None,
}
# of a copy, or of another order of ingesting, these are others, and the rows the same
_PASSING = {
    "shards": ("files",),
    "ingested": ("bytes", "mtime_ns"),
    **dict.fromkeys(("packed", "attempts", "current_attempts"), ("attempt",)),
}


@dataclass(frozen=True)
class Comparison:
    """``files``: what the store has and cannot be read or used; ``rows``: where the catalog differs from the store."""

    files: list[Problem] = field(default_factory=list)
    rows: list[Problem] = field(default_factory=list)


def compare(catalog: str | Path, store: str | Path) -> Comparison:
    """Compare a catalog with its store; where there is no catalog there is nothing to compare.

    Raises CatalogBusy. A catalog that cannot be read is itself one of the ``rows``.
    """
    catalog = Path(catalog)
    if not catalog.exists():
        return Comparison()
    new = catalog.with_name(f".{catalog.name}.rebuild-{os.getpid()}")  # removed by the next rebuild if this is killed
    catalogs.remove(new)
    try:
        files = ingest_store(new, store).problems
        with connect_read(catalog) as db:
            db.execute(f"ATTACH '{str(new).replace(chr(39), chr(39) * 2)}' AS rebuilt (READ_ONLY)")
            return Comparison(files, _differences(db, catalog.name))
    except CatalogBusy:
        raise
    except (CatalogError, duckdb.Error) as error:
        return Comparison(files, [Problem(catalog.name, str(error).strip().split("\n")[0])])
    finally:
        catalogs.remove(new)


def remembered(catalog: str | Path, pack: str) -> tuple[pa.Table, pa.Table]:
    """A pack's rows as the catalog has them: of its mark and of its sidecar, with their columns, in their order."""
    with connect_read(catalog) as db:
        videos = ", ".join(name for name in columns("packed") if name not in ("pack", "attempt"))
        return (
            db.sql(f"SELECT {videos} FROM packed WHERE pack = ? ORDER BY video_id", params=[pack]).to_arrow_table(),
            db.sql("FROM samples WHERE shard = ? ORDER BY json_offset", params=[pack]).to_arrow_table(),
        )


def scanned(catalog: str | Path, videos: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of those videos that are in a scan, with the ``root`` of their source, by video_id."""
    names = ", ".join(f"v.{name}" for name in columns("videos") if name != "in_scan")
    query = f"""
        SELECT {names}, root FROM videos v JOIN sources s ON s.source = v.source
        WHERE in_scan AND video_id IN (SELECT unnest(?)) ORDER BY video_id
    """
    with connect_read(catalog) as db:
        return db.sql(query, params=[list(videos)]).to_arrow_table().to_pylist()


def _differences(db: duckdb.DuckDBPyConnection, name: str) -> list[Problem]:
    found: dict[str, list[str]] = {}
    for table, place in PLACES.items():
        if place is None and found:
            continue  # follows from the others
        for where, phrase in _differing(db, table, place):
            found.setdefault(where or name, []).append(phrase)
    return [Problem(place, f"the catalog differs: {'; '.join(phrases)}") for place, phrases in found.items()]


def _differing(db: duckdb.DuckDBPyConnection, table: str, place: str | None) -> Iterable[tuple[str, str]]:
    """(place, what differs there) of a table. Hashes of rows are summed up first, so that memory holds places only."""
    kept = ", ".join(f'"{name}"' for name in columns(table) if name not in _PASSING.get(table, ()))
    place = place or "''"
    one, other = (
        f"(SELECT {place} AS place, count(*) AS rows, sum(hash(t)::HUGEINT) AS hashes "
        f"FROM (SELECT {kept} FROM {base}.{table}) AS t GROUP BY 1)"
        for base in ("main", "rebuilt.main")
    )
    differing = db.execute(f"""
        SELECT place, a.rows, b.rows FROM {one} AS a FULL JOIN {other} AS b USING (place)
        WHERE (a.rows, a.hashes) IS DISTINCT FROM (b.rows, b.hashes) ORDER BY place
    """).fetchall()
    for where, there, right in differing:
        if there is None:
            yield where, f"{right:,} rows are missing in table {table}"
        elif right is None:
            yield where, f"{there:,} rows of table {table} are of nothing in the store"
        else:
            first = columns(table)[0]
            odd = db.execute(
                f"""
                SELECT count(*), min({first}) FROM (
                    SELECT {kept} FROM {table} WHERE {place} = $place
                    EXCEPT ALL SELECT {kept} FROM rebuilt.{table} WHERE {place} = $place)
                """,
                {"place": where},
            ).fetchall()[0]
            example = f", the first {odd[1]}" if odd[0] else ""
            yield where, f"{odd[0]:,} of {there:,} rows of table {table} are not the store's {right:,}{example}"
