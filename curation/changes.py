"""Whether a video is still the file that was curated: a stat tells for nearly all, a hash for the rest.

Size and time of modification are remembered with the content they belonged to. A file that has both as they were is
unchanged; one that has not is hashed, and where its content is known under the recipe (a copy that lost its times, a
file that came back), that is written down beside the shards, so that the next look costs a stat again.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.files import content_hash, fingerprint, is_there
from curation.sources.archive import ArchiveError
from curation.sources.remote import Place, RemotePath, place_of
from curation.sources.tree import unspell
from queries.catalog import connect_read
from shards import durable

SEEN = pa.schema(
    [
        pa.field("video_id", pa.string(), False),
        pa.field("content", pa.string(), False),
        pa.field("bytes", pa.int64(), False),
        pa.field("mtime_ns", pa.int64(), False),
        pa.field("seen_at", pa.timestamp("us", "UTC"), False),
    ]
)
_THREADS = 16  # a stat over a network is mostly waiting

_TRIED = """
WITH tried AS (
    SELECT video_id, list(content) AS contents, any_value(content) FILTER (current) AS current
    FROM attempts WHERE recipe_hash = $recipe GROUP BY video_id
), known AS (
    SELECT video_id, content, bytes, mtime_ns FROM packed UNION SELECT video_id, content, bytes, mtime_ns FROM seen
), stats AS (
    SELECT video_id, list({content: content, bytes: bytes, mtime_ns: mtime_ns}) AS stats FROM known GROUP BY video_id
)
SELECT v.video_id, v.source, v.path, v.kind, contents, current, stats
FROM tried JOIN stats USING (video_id) JOIN videos v USING (video_id)
WHERE v.in_scan
ORDER BY v.video_id
"""


@dataclass
class Look:
    """``changed``: ids of videos whose bytes the recipe was not tried on. ``seen``: rows of SEEN to write down.

    ``gone``: ids of videos whose file is not there any more. ``absent``: sources whose root is not.
    """

    changed: list[str] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def look(catalog: Path, recipe_hash: str, roots: dict[str, str]) -> Look:
    """Compares every video that the recipe was tried on with its file. Reads only; hashes what a stat cannot tell."""
    with connect_read(catalog) as db:
        rows = db.sql(_TRIED, params={"recipe": recipe_hash}).to_arrow_table().to_pylist()
    looked = {row["source"] for row in rows} & roots.keys()
    there = {source: root for source in looked if is_there(root := place_of(roots[source]))}
    found = Look(absent=sorted({row["source"] for row in rows} - there.keys()))
    with ThreadPoolExecutor(_THREADS) as threads:
        rows = [row for row in rows if row["source"] in there]
        places = [there[row["source"]] / unspell(row["path"]) for row in rows]
        stores = _listed(threads, [place for place in places if isinstance(place, RemotePath)])
        for row, told in zip(
            rows, threads.map(lambda row, place: _compare(row, stores.get(place, place)), rows, places), strict=True
        ):
            if told is None:
                found.gone.append(row["video_id"])
            elif isinstance(told, dict):
                found.seen.append(told)
            elif told:
                found.changed.append(row["video_id"])
    return found


def _listed(threads: ThreadPoolExecutor, places: list[RemotePath]) -> dict[RemotePath, RemotePath]:
    """Places of stores with what one listing per folder tells of them: it answers for a thousand files at once."""
    folders = {place.parent for place in places}
    return {item: item for items in threads.map(_list, folders) for item in items}


def _list(folder: RemotePath) -> list[RemotePath]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []  # whoever asks for one of its files will hear why


def _compare(row: dict[str, Any], path: Place) -> bool | dict[str, Any] | None:
    """Whether the bytes are new; None: the file is gone; a row of SEEN: known bytes under another size or time."""
    try:
        size, mtime = fingerprint(path, row["kind"])
    except OSError:
        return None
    known = {(stat["bytes"], stat["mtime_ns"]): stat["content"] for stat in row["stats"]}
    if (size, mtime) in known and known[size, mtime] == row["current"]:
        return False
    try:
        content = content_hash(path, row["kind"])
    except (OSError, ArchiveError):  # whoever tries it next will say why
        return (size, mtime) not in known
    if content not in row["contents"]:
        return True
    return {
        "video_id": row["video_id"],
        "content": content,
        "bytes": size,
        "mtime_ns": mtime,
        "seen_at": datetime.now(UTC),
    }


def write_seen(store: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes rows of SEEN as ``store/seen/HASH.parquet``, durably."""
    table = pa.Table.from_pylist(rows, schema=SEEN)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data = sink.getvalue().to_pybytes()
    path = store / "seen" / f"{hashlib.sha256(data).hexdigest()[:16]}.parquet"
    durable.make_folder(path.parent)
    durable.write_file(path, [data])
    durable.sync_folder(path.parent)
    return path
