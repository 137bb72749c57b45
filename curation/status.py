"""Where the curations of a store stand, while they run and after: the catalog, and what it has not taken in yet.

Reads only and holds nothing, so it can be asked as often as one likes while a run is on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.plan import Plan, left_plans, mark_of
from curation.run import holder_of
from queries.progress import FINISHED, Progress, progress, recipes
from shards.errors import PartError
from shards.part import read_part


@dataclass(frozen=True)
class Status:
    """One recipe's. ``planned``: videos that a run has begun with and not finished; ``holder``: who runs now."""

    recipe: str
    recipe_hash: str
    planned: int
    holder: str | None
    progress: Progress


def status(catalog: Path, store: Path) -> list[Status]:
    """Of every recipe the catalog knows, by name. Raises CatalogError, CatalogBusy."""
    holder = holder_of(store)
    found = []
    for recipe_hash, name in recipes(catalog).items():
        plans = list(left_plans(store, recipe_hash))
        rows = [row for plan in plans for row in _finished(plan, store)]
        reached = progress(catalog, recipe_hash, pa.Table.from_pylist(rows, schema=FINISHED))
        planned = sum(plan.videos for plan in plans) - len(rows)
        found.append(Status(name, recipe_hash, planned, holder if plans else None, reached))
    return found


def _finished(plan: Plan, store: Path) -> Iterator[dict[str, Any]]:
    """The videos of a plan that are finished, from their pack or their part."""
    for name, videos in plan.packs.items():
        if (mark := mark_of(store, name)).exists():
            yield from pq.read_table(mark, columns=FINISHED.names).to_pylist()
            continue
        for video in videos:
            try:
                row = read_part(plan.part(video)).video_row()
            except (PartError, FileNotFoundError):
                continue  # not finished, or packed this very moment
            yield {column: row[column] for column in FINISHED.names}
