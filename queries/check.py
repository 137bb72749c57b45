"""Several pinned splits side by side: what is on both sides that must not be.

One SQL file in ``checks/`` each. A file reads the temporary tables ``sides`` (one row per split), ``members`` (a row
per face or video without one) and ``side_videos`` (a row per split and video, with what the catalog knows of it), and
returns rows of (a, b, severity, message, count, examples); b is null where it is about one split alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from queries import manifest
from queries.catalog import connect_read
from queries.errors import PinnedError
from queries.lints import SEVERITIES


@dataclass(frozen=True)
class Finding:
    """``splits``: the one or two (NAME@HASH12) it is about; else as a Lint."""

    rule: str
    severity: str
    splits: tuple[str, ...]
    message: str
    count: int
    examples: list[str] = field(default_factory=list)


def check(catalog: str | Path, manifests: Sequence[str | Path]) -> list[Finding]:
    """What the pinned splits share, errors first.

    Faces, videos, original clips or files on two sides are errors; people are warnings, since some protocols (FF++'s
    FS-I, NT-I) share them on purpose. Raises PinnedError (a manifest cannot be read, fewer than two), CatalogError.
    """
    if len(manifests) < 2:
        raise PinnedError("give at least two pinned splits to compare")
    with connect_read(catalog) as db:
        _load(db, [Path(path) for path in manifests])
        found = [
            Finding(file.stem, severity, (a,) if b is None else (a, b), message, count, list(examples or ()))
            for file in sorted((Path(__file__).parent / "checks").glob("*.sql"))
            for a, b, severity, message, count, examples in db.execute(file.read_text(encoding="utf-8")).fetchall()
        ]
    return sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.splits, finding.rule))


def _load(db: duckdb.DuckDBPyConnection, paths: list[Path]) -> None:
    db.execute(
        "CREATE TEMP TABLE sides "
        "(place INTEGER, side VARCHAR, hash VARCHAR, faces BIGINT, recipe VARCHAR, recipe_hash VARCHAR)"
    )
    db.execute(
        "CREATE TEMP TABLE members (place INTEGER, side VARCHAR, sample_id VARCHAR, video_id VARCHAR, pixels UBIGINT)"
    )
    for place, path in enumerate(paths):
        try:
            table, card = manifest.read(path)
        except (OSError, ValueError) as error:
            raise PinnedError(f"{path} cannot be read: {error}. Pin the split again") from error
        side, recipe = f"{card['name']}@{card['hash'][:12]}", card["recipes"][0]
        db.execute(
            "INSERT INTO sides VALUES (?, ?, ?, ?, ?, ?)",
            [place, side, card["hash"], len(table), recipe["name"], recipe["hash"]],
        )
        faceless = [row["video_id"] for row in card["faceless"]]
        arriving = pa.table(
            {
                "sample_id": pa.concat_arrays([*table["sample_id"].chunks, pa.nulls(len(faceless), pa.string())]),
                "video_id": pa.chunked_array(
                    [*table["video_id"].cast(pa.string()).chunks, pa.array(faceless, pa.string())]
                ),
                "pixels": pa.concat_arrays([*table["image_xxh3"].chunks, pa.nulls(len(faceless), pa.uint64())]),
            }
        )
        db.register("arriving", arriving)
        db.execute("INSERT INTO members SELECT ?, ?, sample_id, video_id, pixels FROM arriving", [place, side])
        db.unregister("arriving")
    twice = db.execute("SELECT side FROM sides GROUP BY side HAVING count(*) > 1").fetchall()
    if twice:
        raise PinnedError(f"{twice[0][0]} is given twice")
    db.execute(
        """
        CREATE TEMP TABLE side_videos AS
        SELECT m.place, m.side, m.video_id, v.video_id IS NOT NULL AS known, v.dataset, v.method, v.official_split,
               v.original_video, v.target_id, v.source_id, v.visible_id, v.content
        FROM (SELECT DISTINCT place, side, video_id FROM members) m
        JOIN sides USING (place)
        LEFT JOIN current_attempts v ON v.video_id = m.video_id AND v.recipe_hash = sides.recipe_hash
        """
    )
