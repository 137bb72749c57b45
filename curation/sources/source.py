"""A scanned source: the videos of one copy of a dataset on this machine, and how complete that copy is.

A scan is written to ``store/sources/<source>.parquet``: one row per video, and in the file's metadata what is true of
the whole copy. The local root stands there only, so that rows mean the same on every machine. Completeness is data,
by name wherever names were published, because published totals are often misprinted.
"""

import json
import os
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.sources.error import SourceError, few
from curation.sources.remote import Place, RemotePath, place_of
from curation.sources.tree import spell, unspell
from curation.sources.video import Video, from_table, to_table
from shards import durable

METADATA_KEY = b"deepshard"

_SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class CompletenessRow:
    """Expected and found of one folder of videos (``quality`` "masks": of its mask videos).

    ``found`` counts what was read, ``unexpected`` names what was not read because the published naming has no place for
    it. ``expected`` is None where nobody published a count. Where a count is known but not every name, ``missing``
    holds those names that can be derived and ``unnamed`` counts the others.
    """

    dataset: str
    method: str
    quality: str
    expected: int | None
    found: int
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    part: str | None = None  # a part of the folder that has a count of its own: a scene of DFD

    @property
    def unnamed(self) -> int:
        """How many are missing without anybody knowing their names."""
        return max(0, (self.expected or 0) - self.found - len(self.missing))

    @property
    def surplus(self) -> int:
        """How many more were found than were published."""
        return 0 if self.expected is None else max(0, self.found + len(self.missing) - self.expected)

    @property
    def complete(self) -> bool | None:
        """Nothing missing and nothing too much; None where nothing is known to compare with."""
        if self.expected is None and not self.missing:
            return None
        return not (self.missing or self.unexpected or self.unnamed or self.surplus)


@dataclass(frozen=True)
class Alias:
    """Two ids of one thing. ``kind``: person (identities such as ``ffpp:043``), recording (identities whose clips were
    cut from one video) or footage (datasets, or ``dataset/method``). ``said_by``: where that is known from."""

    kind: str
    one: str
    other: str
    said_by: str


@dataclass
class Source:
    """What ``open_source`` of every adapter returns. ``videos`` are sorted by ``video_id`` and unique in it.

    ``notes`` say what was understood how, ``warnings`` what somebody should look at. Raises SourceError where two files
    would have one ``video_id`` and where the name cannot be a file name.
    """

    adapter: str
    source: str
    root: Place
    licence: str
    videos: list[Video]
    rows: list[CompletenessRow]
    redistributable: bool = False  # not unless somebody says so
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_source_name(self.source)
        if not isinstance(self.root, RemotePath):
            self.root = Path(os.path.abspath(self.root))
        self.videos = sorted(self.videos, key=lambda video: video.video_id)
        for one, other in zip(self.videos, self.videos[1:], strict=False):
            if one.video_id == other.video_id:
                files = few([one.path, other.path])
                raise SourceError(f"two files would both be {one.video_id}: {files}. Keep one of them in the tree.")
        empty = [video.path for video in self.videos if video.bytes == 0]
        warning = f"{len(empty):,} files are empty (0 bytes), fetch them again: {few(empty)}"
        if empty and warning not in self.warnings:
            self.warnings.append(warning)

    @property
    def datasets(self) -> list[str]:
        return sorted({video.dataset for video in self.videos})

    def completeness(self) -> list[CompletenessRow]:
        """One row per folder of videos, in the order of a table: dataset, method, quality, part."""
        return sorted(self.rows, key=lambda row: (row.dataset, row.method, row.quality, row.part or ""))


def check_source_name(name: str) -> None:
    """SourceError unless ``name`` can be a file name everywhere: letters, digits, ``._-``, at most 100."""
    if not _SOURCE_NAME.fullmatch(name):
        raise SourceError(f"{name!r} cannot name a source: use letters, digits and . _ - (it becomes a file name).")


def compare(
    found: dict[str, str] | set[str], expected: set[str], *, dataset: str, method: str, quality: str, **more: Any
) -> CompletenessRow:
    """The row of a folder whose every name is published; ``found`` holds names as the folder spells them."""
    known = set(found) & expected
    return CompletenessRow(
        dataset,
        method,
        quality,
        len(expected),
        len(known),
        sorted(expected - known),
        sorted(set(found) - known),
        **more,
    )


def write_source(source: Source, store: str | Path, *, replace: bool = False) -> Path:
    """Write ``store/sources/<source>.parquet`` (schema VIDEOS, metadata under b"deepshard") and return its path.

    The file appears whole or not at all: written beside, fsynced, renamed. A scan of another root may take the place of
    an earlier one only where it lost no video (the copy was moved, or grew), or with ``replace``; else SourceError,
    because two copies under one name would silently replace each other.
    """
    target = Path(store) / "sources" / f"{source.source}.parquet"
    if target.exists() and not replace:
        _check_replaces(source, target)
    table = to_table(source.videos).replace_schema_metadata({METADATA_KEY: json.dumps(_describe(source)).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    durable.make_folder(target.parent)
    durable.write_file(target, [sink.getvalue().to_pybytes()])
    durable.sync_folder(target.parent)
    return target


def read_source(path: str | Path) -> Source:
    """The scan that ``write_source`` wrote. Raises SourceError for a file that holds no scan."""
    table = pq.read_table(path)
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise SourceError(f"{path} holds no scan: only files that `deepshard scan` wrote belong into sources/.")
    described = json.loads(text)
    return Source(
        adapter=described["adapter"],
        source=described["source"],
        root=place_of(unspell(described["root"])),
        licence=described["licence"],
        redistributable=described["redistributable"],
        config=described["config"],
        videos=from_table(table),
        rows=[CompletenessRow(**row) for row in described["completeness"]],
        notes=described["notes"],
        warnings=described["warnings"],
        aliases=[Alias(**alias) for alias in described.get("aliases", [])],
    )


def _describe(source: Source) -> dict[str, Any]:
    return {
        "source": source.source,
        "adapter": source.adapter,
        "datasets": source.datasets,
        "root": spell(str(source.root)),
        "config": source.config,
        "licence": source.licence,
        "redistributable": source.redistributable,
        "scanned_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "videos": dict(sorted(Counter(video.dataset for video in source.videos).items())),
        "completeness": [asdict(row) for row in source.completeness()],
        "notes": source.notes,
        "warnings": source.warnings,
        "aliases": [asdict(alias) for alias in source.aliases],
    }


def _check_replaces(source: Source, target: Path) -> None:
    earlier = read_source(target)
    if earlier.root == source.root:
        return
    lost = {video.video_id for video in earlier.videos} - {video.video_id for video in source.videos}
    if lost:
        raise SourceError(
            f"the source {source.source!r} was scanned from {earlier.root} before, and {source.root} lacks "
            f"{len(lost):,} of its videos ({few(sorted(lost), 2)}). Two copies need two names: scan this one with "
            "another --name; or add --replace if that copy is gone."
        )
