"""From the store into the catalog: packs of shards, scans, recipes, pinned splits, runs, predictions, corrections.

Ingest compares the files that lie in the store with what the catalog remembers of them and takes in the difference, so
that running it again does nothing and a rebuild, which starts from an empty catalog, ends with the same rows. Files are
read and checked before the catalog is opened; each batch is one short transaction. Packs whose tar is gone keep their
rows, marked in ``shards.tar``: predictions made from them stay readable, the report says so and pinning warns.
"""

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from queries import catalog as catalogs
from queries.catalog import JOINS, connect_read, connect_write, script
from queries.errors import IngestError, NoCatalog
from queries.packs import Pack, PackProblem, PackRows, find_packs, read_pack, tar_state
from queries.records import READERS, FileProblem, Rows

# Faces in one transaction, in row groups of DuckDB's: in half a million together a row costs half as much as in single
# row groups. A slow machine gets fewer: a transaction should last a second or little more, and never two.
_LEAST_FACES, _FIRST_FACES, _MOST_FACES = 122_880, 2 * 122_880, 4 * 122_880
_LONG_S = 1.2
_VIDEO_FACES = 10  # a video costs as much as so many faces, which tells where videos are single images
# Threads write row groups of their own. To join these at a checkpoint costs as much as to write them, so that happens a
# little at a time, beside small batches.
_UNORDERED = "SET preserve_insertion_order = false"
_BATCH_PACKS = 500
# the videos that a file of a kind tells something of, by the file's name without its ending or by its path
_OF_NAMED = {
    "source": "SELECT video_id FROM scanned WHERE source = ?",
    "recipe": "SELECT video_id FROM attempts WHERE starts_with(recipe_hash, ?)",
}
_OF_FILE = {
    "seen": "SELECT video_id FROM seen WHERE file = ?",
    "correction": "SELECT video_id FROM corrections WHERE file = ?",
}
_READ_AHEAD = 160  # packs of a few thousand faces: what is read while a transaction runs


@dataclass(frozen=True)
class Problem:
    """A file of the store (path relative to it) and what is wrong with it."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass
class IngestReport:
    """What an ingest took in and left out. ``files``: kind -> files taken in; ``removed``: kind -> files gone since."""

    packs: int = 0
    videos: int = 0  # attempts of videos in those packs
    samples: int = 0
    packs_removed: int = 0
    tars: int = 0  # tars that appeared, went or changed their size
    files: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.packs or self.packs_removed or self.tars or self.files or self.removed)


@dataclass(frozen=True)
class _Known:
    """What the catalog remembers. ``files``: path -> (kind, bytes, mtime_ns); ``shards``: name -> its row."""

    files: dict[str, tuple[str, int, int]]
    shards: dict[str, dict[str, Any]]
    recipes: set[str]


def ingest_source(catalog: str | Path, parquet: str | Path) -> int:
    """Take in one scan, ``store/sources/NAME.parquet``, in the place of an earlier one of the same name.

    Returns its number of videos. Videos that this scan does not list any more go, unless a pack has them. Raises
    IngestError if the file is no scan, CatalogBusy.
    """
    path = Path(parquet)
    try:
        rows = READERS["source"][1](path)
    except FileProblem as problem:
        raise IngestError(f"{path}: {problem}") from problem
    with connect_write(catalog) as db:
        _take_file(db, f"sources/{path.name}", "source", rows, path)
        _derive(db)
    return len(rows.tables["scanned"])


def ingest_file(catalog: str | Path, store: str | Path, file: Path) -> None:
    """Take in one of a store's smaller files, such as a split that was just pinned. Raises IngestError, CatalogBusy."""
    path = file.relative_to(store).as_posix()
    kind = next(kind for kind, (pattern, _) in READERS.items() if file.relative_to(store).match(pattern))
    try:
        rows = READERS[kind][1](file)
    except FileProblem as problem:
        raise IngestError(f"{file}: {problem}") from problem
    with connect_write(catalog) as db:
        db.execute(JOINS.format(0))  # who pins does not wait a second for what the last ingest left
        _take_file(db, path, kind, rows, file)
        _derive(db)


def ingest_store(catalog: str | Path, store: str | Path) -> IngestReport:
    """Take in all that is new, changed or gone in ``store``. Does nothing, and locks nobody out, if nothing is.

    What cannot be read or contradicts itself is left out and named in the report's problems. Raises CatalogBusy, and
    IngestError if the store's shards are all gone at once, which is a disk that is not mounted.
    """
    store = Path(store)
    report = IngestReport()
    try:
        known = _read_known(catalog)
    except NoCatalog:
        catalogs.create(catalog)
        known = _Known({}, {}, set())
    _ingest_files(catalog, store, known, report)
    _ingest_packs(catalog, store, known, report)
    if report.changed:
        known = _read_known(catalog)
    _report_shards(known, report)
    return report


def rebuild(catalog: str | Path, store: str | Path) -> IngestReport:
    """Make the catalog anew from the store, beside the old one, and put it in its place when it is finished.

    The old one serves readers meanwhile; killed at any moment, it is still there. Raises CatalogError if the old
    catalog is of a newer version, CatalogBusy if somebody holds it at the end.
    """
    catalog, store = Path(catalog), Path(store)
    if not store.is_dir():
        raise IngestError(f"there is no store {store} to rebuild {catalog} from")
    catalogs.check_version(catalog)
    _remove_leftovers(catalog)
    new = catalog.with_name(f".{catalog.name}.rebuild-{os.getpid()}")
    catalogs.remove(new)
    try:
        report = ingest_store(new, store)
        catalogs.replace(catalog, new)
    finally:
        catalogs.remove(new)
    return report


def _read_known(catalog: str | Path) -> _Known:
    with connect_read(catalog) as db:
        files = db.execute("SELECT path, kind, bytes, mtime_ns FROM ingested").fetchall()
        shards = db.sql("FROM shards ORDER BY shard").to_arrow_table().to_pylist()
        recipes = db.execute("SELECT recipe_hash FROM recipes").fetchall()
    return _Known(
        {row[0]: row[1:] for row in files}, {row["shard"]: row for row in shards}, {row[0] for row in recipes}
    )


def _ingest_files(catalog: str | Path, store: Path, known: _Known, report: IngestReport) -> None:
    there = {
        path.relative_to(store).as_posix(): (kind, path)
        for kind, (pattern, _) in READERS.items()
        for path in sorted(store.glob(pattern))
        if not path.name.startswith(".")
    }
    new = [path for path, (kind, file) in there.items() if known.files.get(path) != (kind, *_signature(file))]
    gone = [path for path in known.files if path not in there and (store / path.split("/")[0]).is_dir()]
    taken: dict[str, tuple[str, Rows]] = {}
    for path in new:
        kind, file = there[path]
        try:
            taken[path] = (kind, READERS[kind][1](file))
        except FileProblem as problem:
            report.problems.append(Problem(path, f"left out: {problem}"))
    if not taken and not gone:
        return
    with connect_write(catalog) as db:
        for path in gone:
            kind = known.files[path][0]
            _drop_file(db, path, kind)
            report.removed[kind] = report.removed.get(kind, 0) + 1
        for path, (kind, rows) in taken.items():
            _take_file(db, path, kind, rows, there[path][1])
            report.files[kind] = report.files.get(kind, 0) + 1
            report.problems += [Problem(path, problem) for problem in rows.problems]
        _derive(db)


def _take_file(db: duckdb.DuckDBPyConnection, path: str, kind: str, rows: Rows, file: Path) -> None:
    _drop_file(db, path, kind)
    for table, content in rows.tables.items():
        if not isinstance(content, pa.Table):
            if not content:
                continue
            content = pa.table({name: [row[name] for row in content] for name in content[0]})
        if "file" in db.table(table).columns:
            content = content.append_column("file", pa.array([path] * len(content), pa.string()))
        _insert(db, table, content)
    _touch_told(db, path, kind)
    db.execute("INSERT INTO ingested VALUES (?, ?, ?, ?)", [path, kind, *_signature(file)])


def _drop_file(db: duckdb.DuckDBPyConnection, path: str, kind: str) -> None:
    _touch_told(db, path, kind)
    if kind == "source":
        for table in ("sources", "expectations", "completeness", "scanned"):
            db.execute(f"DELETE FROM {table} WHERE source = ?", [Path(path).stem])
        db.execute("DELETE FROM aliases WHERE file = ?", [path])
    elif kind == "recipe":
        db.execute("DELETE FROM recipes WHERE starts_with(recipe_hash, ?)", [Path(path).stem])
    elif kind == "split":
        db.execute("DELETE FROM splits WHERE path = ?", [path])
        db.execute("DELETE FROM split_parts WHERE file = ?", [path])
    else:
        table = {"run": "runs", "correction": "corrections"}.get(kind, kind)
        db.execute(f"DELETE FROM {table} WHERE file = ?", [path])
    db.execute("DELETE FROM ingested WHERE path = ?", [path])


def _touch_told(db: duckdb.DuckDBPyConnection, path: str, kind: str) -> None:
    """Touch the videos that a file of the store tells something of, as the catalog has it."""
    if kind in _OF_NAMED:
        _touch(db, _OF_NAMED[kind], [Path(path).stem])
    elif kind in _OF_FILE:
        _touch(db, _OF_FILE[kind], [path])


def _ingest_packs(catalog: str | Path, store: Path, known: _Known, report: IngestReport) -> None:
    packs, shards = find_packs(store / "shards"), known.shards
    if shards and not packs:
        raise IngestError(
            f"{store / 'shards'} holds no shard, the catalog knows {len(shards):,}: is the disk mounted, the store's "
            "name right? If they are gone for good, `deepshard catalog rebuild` forgets them"
        )
    gone = sorted(shards.keys() - packs.keys())
    if gone:
        with connect_write(catalog) as db:
            _drop_packs(db, gone)
            _derive(db)
        report.packs_removed = len(gone)
    new = [pack for name, pack in packs.items() if name not in shards or shards[name]["files"] != pack.files]
    wanted = _FIRST_FACES
    reading = _read_packs(new, report)
    while batch := _batch(reading, wanted):
        faces, size, gathered = sum(rows.faces for rows in batch), sum(map(_size, batch)), _gather(batch)
        began = time.monotonic()
        with connect_write(catalog) as db:
            db.execute(_UNORDERED)
            if faces >= _LEAST_FACES:
                db.execute(JOINS.format(0))
            _drop_packs(db, [rows.pack.name for rows in batch])
            _take_packs(db, gathered)
            _derive(db)
        took = time.monotonic() - began
        wanted = int(min(_MOST_FACES, max(_LEAST_FACES, size * _LONG_S / took)))
        report.packs += len(batch)
        report.videos += sum(len(rows.videos) for rows in batch)
        report.samples += faces
    moved = [
        (pack.tar_bytes, tar_state(pack, row["samples"], row["tar_end"]), name)
        for name, row in shards.items()
        if (pack := packs.get(name)) and pack not in new
    ]
    moved = [row for row in moved if row[:2] != (shards[row[2]]["tar_bytes"], shards[row[2]]["tar"])]
    if moved:
        with connect_write(catalog) as db:
            db.executemany("UPDATE shards SET tar_bytes = ?, tar = ? WHERE shard = ?", moved)
            _touch(db, "SELECT video_id FROM packed WHERE pack IN (SELECT unnest(?))", [[name for *_, name in moved]])
            _derive(db)
        report.tars = len(moved)


def _read_packs(packs: list[Pack], report: IngestReport) -> Iterator[PackRows]:
    """The packs' rows, read and checked, some ahead of whoever takes them."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        reading: deque[tuple[Pack, Future]] = deque()
        for pack in [*packs, *[None] * _READ_AHEAD]:
            if pack is not None:
                reading.append((pack, pool.submit(read_pack, pack)))
            if reading and (pack is None or len(reading) >= _READ_AHEAD):
                read, rows = reading.popleft()
                try:
                    yield rows.result()
                except PackProblem as problem:
                    report.problems.append(Problem(f"shards/{read.name}", f"left out: {problem}"))


def _size(rows: PackRows) -> int:
    """What a pack costs, in faces."""
    return rows.faces + _VIDEO_FACES * len(rows.videos)


def _batch(reading: Iterator[PackRows], faces: int) -> list[PackRows]:
    """As many packs as cost so many ``faces`` together, or what is left."""
    batch: list[PackRows] = []
    count = 0
    for rows in reading:
        batch.append(rows)
        count += _size(rows)
        if count >= faces or len(batch) >= _BATCH_PACKS:
            break
    return batch


@dataclass(frozen=True)
class _Gathered:
    """Packs' rows as they go into the tables, but that attempts are numbered from 0."""

    packed: pa.Table
    sample_rows: pa.Table | None
    shards: pa.Table


def _gather(batch: list[PackRows]) -> _Gathered:
    """Before the transaction, which it would make longer by a sixth."""
    videos, samples, shards, first = [], [], [], 0
    for rows in batch:
        attempts = pa.array(range(first, first + len(rows.videos)), pa.int32())
        pack = pa.repeat(rows.pack.name, len(rows.videos))
        videos.append(rows.videos.append_column("pack", pack).append_column("attempt", attempts))
        if rows.samples is not None:
            attempt = pc.add(rows.samples["place"], pa.scalar(first, pa.int32()))
            samples.append(rows.samples.drop(["place"]).append_column("attempt", attempt))
        first += len(rows.videos)
        shards.append(
            {
                "shard": rows.pack.name,
                "recipe_hash": rows.recipe_hash,
                "videos": len(rows.videos),
                "samples": rows.faces,
                "tar_end": rows.tar_end,
                "tar_bytes": rows.pack.tar_bytes,
                "tar": tar_state(rows.pack, rows.faces, rows.tar_end),
                "files": rows.pack.files,
            }
        )
    return _Gathered(
        pa.concat_tables(videos, promote_options="permissive"),
        pa.concat_tables(samples, promote_options="permissive").combine_chunks() if samples else None,
        pa.Table.from_pylist(shards),
    )


def _take_packs(db: duckdb.DuckDBPyConnection, rows: _Gathered) -> None:
    ((free,),) = db.execute("SELECT coalesce(max(attempt) + 1, 0) FROM packed").fetchall()

    def numbered(table: pa.Table) -> pa.Table:
        attempt = pc.add(table["attempt"], pa.scalar(free, pa.int32()))
        return table.set_column(table.column_names.index("attempt"), "attempt", attempt)

    _insert(db, "packed", numbered(rows.packed))
    if rows.sample_rows is not None:
        # few pieces, a row group each: for every piece DuckDB waits for the interpreter, in which packs are being read
        pieces = numbered(rows.sample_rows).to_batches(max_chunksize=_LEAST_FACES)
        _insert(db, "sample_rows", pa.Table.from_batches(pieces))
    _insert(db, "shards", rows.shards)
    names = [rows.shards["shard"].to_pylist()]
    _touch(db, "SELECT video_id FROM packed WHERE pack IN (SELECT unnest(?))", names)


def _drop_packs(db: duckdb.DuckDBPyConnection, names: list[str]) -> None:
    there = db.execute("SELECT shard FROM shards WHERE shard IN (SELECT unnest(?))", [names]).fetchall()
    if not there:  # as a rule: to look through all rows for those of new packs is dear
        return
    names = [name for (name,) in there]
    _touch(db, "SELECT video_id FROM packed WHERE pack IN (SELECT unnest(?))", [names])
    attempts = "SELECT attempt FROM packed WHERE pack IN (SELECT unnest(?))"
    db.execute(f"DELETE FROM sample_rows WHERE attempt IN ({attempts})", [names])
    for table, column in (("packed", "pack"), ("shards", "shard")):
        db.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT unnest(?))", [names])


def _report_shards(known: _Known, report: IngestReport) -> None:
    for name, row in known.shards.items():
        if row["tar"] in ("missing", "short"):
            wrong = "is gone" if row["tar"] == "missing" else "is shorter than its rows say"
            what = f"the tar {wrong}: its {row['samples']:,} faces are in the catalog but cannot be read. Bring it back"
            report.problems.append(Problem(f"shards/{name}.tar", what))
    for recipe in sorted({row["recipe_hash"] for row in known.shards.values()} - known.recipes):
        what = f"is missing, so the recipe of some shards has no name but {recipe[:8]}. Bring it back"
        report.problems.append(Problem(f"recipes/{recipe[:16]}.json", what))


def _insert(db: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    db.register("arriving", rows)
    db.execute(f"INSERT INTO {table} BY NAME FROM arriving")
    db.unregister("arriving")


def _touch(db: duckdb.DuckDBPyConnection, query: str, values: list) -> None:
    """Remember the videos of ``query`` for the next ``_derive``."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS touched (video_id VARCHAR)")
    db.execute(f"INSERT INTO touched {query}", values)


def _derive(db: duckdb.DuckDBPyConnection) -> None:
    """What is derived, anew for every touched video."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS touched (video_id VARCHAR)")
    if db.execute("FROM touched LIMIT 1").fetchall():
        db.execute(script("derive"))
        db.execute("DELETE FROM touched")


def _signature(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _remove_leftovers(catalog: Path) -> None:
    """Half a catalog that a killed rebuild left; one whose process is alive is somebody's work."""
    for path in catalog.parent.glob(f".{catalog.name}.rebuild-*"):
        pid = re.search(r"rebuild-(\d+)", path.name)
        if pid and not Path(f"/proc/{pid[1]}").exists():
            path.unlink(missing_ok=True)
