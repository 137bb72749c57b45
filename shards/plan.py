"""The plan of a folder of parts: which video goes into which pack, as one sealed Parquet file.

It is written before the first part and read by whoever continues, so a flipped bit in it is found like one in a shard.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from shards import durable, schema, sidecar
from shards.errors import PlanError

PLAN = "plan.parquet"
_PLANNED = schema.VIDEOS.append(pa.field("pack", pa.string(), nullable=False))

Packs = dict[str, list[dict[str, Any]]]  # a shard's name -> rows of its videos (VIDEO_FIELDS)


def write_plan(folder: Path, packs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Writes the plan of a folder, durably, and makes the folder where it is missing."""
    rows = [{**video, "pack": name} for name, videos in packs.items() for video in videos]
    durable.make_folder(folder)
    durable.write_file(folder / PLAN, [sidecar.sealed(pa.Table.from_pylist(rows, schema=_PLANNED))])
    durable.sync_folder(folder)


def read_plan(folder: Path) -> Packs:
    """The packs of a folder of parts. Raises PlanError if the plan is damaged."""
    try:
        data = sidecar.read_file(folder / PLAN)
        sidecar.check_seal(data)
        rows = sidecar.read(data, _PLANNED).to_pylist()
    except sidecar.Damaged as damage:
        raise PlanError(
            f"{folder / PLAN} is damaged ({damage}): `deepshard verify --repair` sets it aside, and its videos are "
            "curated again"
        ) from None
    packs: Packs = {}
    for row in rows:
        packs.setdefault(row.pop("pack"), []).append(row)
    return packs
