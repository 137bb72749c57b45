"""A store that a disk, a kill or a hand has damaged: what can be mended is, what cannot is curated again.

A pack beyond repair is set aside, and a plan is left for the next curation of its recipe that makes it again: the same
videos under the same name, so the same bytes, and pinned splits that read it stay true. That is done only where all of
its videos are still there; otherwise the pack stays where it is, for whoever has a copy of it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.changes import fingerprint
from curation.run import holder_of, holding
from curation.sources.remote import place_of
from curation.sources.tree import unspell
from queries.catalog import connect_read
from queries.errors import CatalogBusy, CatalogError
from queries.ingest import Problem, ingest_store, rebuild
from queries.verify import Comparison, compare, remembered, scanned
from shards import durable, repair, schema, sidecar
from shards.attached import require_tars
from shards.errors import PlanError, ShardError
from shards.pack import pack, remove_parts
from shards.part import read_part
from shards.plan import PLAN, read_plan, write_plan
from shards.verify import ENDS, Finding, verify_parts, verify_shard, verify_store

_IN_THE_TAR = {"header", "padding", "end", "stray", "layout", "missing"}


@dataclass(frozen=True)
class Repair:
    """What was done about something, or (``left``) why nothing was. ``samples``: ids of the faces concerned."""

    place: str
    message: str
    left: bool = False
    samples: tuple[str, ...] = ()


def verify_all(catalog: Path, store: Path, data: bool = True) -> tuple[list[tuple[str, str]], str | None]:
    """All that is wrong with a store and its catalog, as (place, message), and who curates into it at this moment.

    While somebody does, unfinished files are no finding, and parts and the catalog are not looked at. Reads only.
    Raises CatalogBusy, AttachedError.
    """
    require_tars(store)
    busy = holder_of(store)
    found = [
        (finding.shard, finding.message)
        for finding in verify_store(store / "shards", data)
        if not (busy and finding.kind == "unfinished")
    ]
    if not busy:
        found += [(bad.shard, bad.message) for bad in verify_parts(store / "parts", store / "shards", data)]
        differs = compare(catalog, store)
        found += [(problem.path, problem.what) for problem in differs.files + differs.rows]
    return found, busy


def repair_store(catalog: Path, store: Path, data: bool = True) -> list[Repair]:
    """Verify a store and mend it. ``data=False``: damage to the samples' bytes is not looked for.

    Raises CurationError if somebody curates the store, CatalogBusy, AttachedError, OSError. Killed anywhere, it can be
    run again.
    """
    require_tars(store)
    with holding(store):
        return list(_Mender(Path(catalog), Path(store)).all(data))


class _Mender:
    """One repair while it lasts. ``moved`` and ``kept``: names of packs set aside and of those left damaged."""

    def __init__(self, catalog: Path, store: Path) -> None:
        self.catalog, self.store = catalog, store
        self.shards, self.parts = store / "shards", store / "parts"
        self.moved: set[str] = set()
        self.kept: set[str] = set()

    def all(self, data: bool) -> Iterator[Repair]:
        yield from self._open_catalog()
        for folder in (self.shards, self.store / "recipes", *sorted(self.parts.glob("*/"))):
            for path in repair.remove_unfinished(folder):
                yield Repair(self._place(path), "removed: what a killed run left of a file")
        found: dict[str, list[Finding]] = {}
        for finding in verify_store(self.shards, data):
            found.setdefault(finding.shard, []).append(finding)
        for name, findings in found.items():
            yield from self._pack(name, findings, data)
        for finding in verify_parts(self.parts, self.shards, data):
            yield from self._part(finding)
        yield from self._compare()

    def _open_catalog(self) -> Iterator[Repair]:
        """A catalog that cannot be read is made again first: it knows where the videos are."""
        if not self.catalog.exists():
            return
        try:
            with connect_read(self.catalog):
                pass
        except CatalogBusy:
            raise
        except CatalogError as error:
            rebuild(self.catalog, self.store)
            yield Repair(self.catalog.name, f"made again from the store: {error}")

    def _pack(self, name: str, found: list[Finding], data: bool) -> Iterator[Repair]:
        files = [self.shards / f"{name}{end}" for end in ENDS]
        if not any(file.exists() for file in files) or all(finding.kind == "duplicate" for finding in found):
            for finding in found:
                yield Repair(name, f"left as it is: {finding.message}. Move away what does not belong there", True)
            return
        mark, rows, tar = files
        if not mark.exists() and name in self._planned():
            yield Repair(name, "left as it is: the next `deepshard curate` of its recipe writes it again", True)
            return
        written = repair.rewrite_rows(self.store, name, *([table] for table in self._remembered(name)))
        for file in written:
            yield Repair(file, "written anew: the checksums prove that it is as before")
        found = verify_shard(self.shards, name, data) if written else found
        if found and all(finding.kind == "stray" and finding.offset is None for finding in found):
            folder = repair.set_aside(self.store, [tar, rows], name)
            yield Repair(name, f"{tar.name} and {rows.name} are set aside in {folder}: its videos have no face")
            return
        if found and tar.exists() and {finding.kind for finding in found} <= _IN_THE_TAR:
            strays = any(finding.kind == "stray" for finding in found)
            try:
                repair.rewrite_tar(self.store, name, keep=strays)
            except sidecar.Damaged:
                pass  # a member's data is damaged too: below
            else:
                samples = _samples(found)
                old = f"; the old file is kept in {self.store / repair.DAMAGED}" if strays else ""
                what = f"headers, padding and end written anew, no face was lost{old}"
                yield Repair(tar.name, what + _listed(samples, "; they stood at"), samples=samples)
                found = verify_shard(self.shards, name, data)
        if found:
            yield self._again(name, found)

    def _again(self, name: str, found: list[Finding]) -> Repair:
        """Sets a pack aside and plans it anew, if its videos are there."""
        recipe, videos, faces = self._content(name)
        samples = _samples(found)
        which = _listed(samples, "; damaged are") or _listed(list(videos), ":")
        what = f"{faces:,} faces of {len(videos):,} videos{which}"
        rows = {row["video_id"]: row for row in (scanned(self.catalog, videos) if self.catalog.exists() else [])}
        gone = [video for video, size in videos.items() if video not in rows or not _is_there(rows[video], size)]
        if gone or not videos:
            self.kept.add(name)
            lacks = (
                _listed(gone, "the videos it was made from are not there as they were:") or "no row tells its videos"
            )
            advice = f"Restore {name}.tar, .parquet and .videos.parquet from a copy, or the videos, and run this again"
            return Repair(name, f"left as it is, with {what}. {lacks.strip()}. {advice}", True, samples)
        if name not in self._planned():
            self._plan(name, recipe, [rows[video] for video in videos])
        folder = repair.set_aside(self.store, [self.shards / f"{name}{end}" for end in reversed(ENDS)], name)
        self.moved.add(name)
        advice = f"`deepshard curate` with recipe {self._recipe_name(recipe)} makes them again"
        return Repair(name, f"set aside in {folder}, with {what}. {advice}", samples=samples)

    def _content(self, name: str) -> tuple[str, dict[str, int | None], int]:
        """Recipe hash, videos (id -> bytes, where that is known) and number of faces of a pack, from whoever knows."""
        tables = [self._remembered(name)[0]]
        for end, columns in ((ENDS[0], schema.PACKED_VIDEOS), (ENDS[1], schema.SAMPLES)):
            with suppress(sidecar.Damaged):
                tables.append(sidecar.read(sidecar.read_file(self.shards / f"{name}{end}"), columns))
        table = next((table for table in tables if table.num_rows), None)
        if table is None:
            return "", {}, 0
        recipe, videos = table["recipe_hash"][0].as_py(), table["video_id"].to_pylist()
        if "faces" not in table.column_names:  # a sidecar
            return recipe, dict.fromkeys(sorted(videos)), table.num_rows
        return recipe, dict(zip(videos, table["bytes"].to_pylist(), strict=True)), pc.sum(table["faces"]).as_py() or 0

    def _remembered(self, name: str) -> tuple[pa.Table, pa.Table]:
        if not self.catalog.exists():
            return schema.PACKED_VIDEOS.empty_table(), schema.SAMPLES.empty_table()
        return remembered(self.catalog, name)

    def _recipe_name(self, recipe: str) -> str:
        with connect_read(self.catalog) as db:
            names = db.execute("SELECT name FROM recipes WHERE recipe_hash = ?", [recipe]).fetchall()
        return f"{names[0][0]} ({recipe[:8]})" if names else recipe[:8]

    def _planned(self) -> set[str]:
        """Packs of the plans that are left."""
        names: set[str] = set()
        for file in self.parts.glob(f"*/{PLAN}"):
            with suppress(PlanError):
                names |= read_plan(file.parent).keys()
        return names

    def _plan(self, name: str, recipe: str, videos: list[dict[str, Any]]) -> None:
        folder = self.parts / f"{recipe[:8]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        write_plan(folder, {name: [{key: row[key] for key in schema.VIDEOS.names} for row in videos]})

    def _part(self, finding: Finding) -> Iterator[Repair]:
        path = self.store / finding.shard
        if not path.exists():
            return  # went with its folder
        if finding.kind == "unfinished":
            try:
                self._end(path)
                yield Repair(finding.shard, f"removed: {finding.message}")
            except (ShardError, OSError) as error:
                yield Repair(finding.shard, f"left as it is: {error}", True)
        elif finding.kind in ("part", "plan") or path.suffix == ".part":
            folder = repair.set_aside(self.store, [path], path.parent.relative_to(self.store).as_posix())
            what = "its video is" if path.suffix == ".part" else f"its {len(list(folder.glob('*/*.part')))} videos are"
            yield Repair(finding.shard, f"set aside in {folder}: {finding.message}; {what} curated again")
        else:
            yield Repair(finding.shard, f"left as it is: {finding.message}. Move it away", True)

    def _end(self, folder: Path) -> None:
        """Removes a folder of parts whose packs are all written. Raises PackError where a part is not in its pack."""
        if (folder / PLAN).exists():
            parts = {read_part(path).video_row()["video_id"]: path for path in folder.glob("*.part")}
            for name, videos in read_plan(folder).items():
                if left := [parts[video["video_id"]] for video in videos if video["video_id"] in parts]:
                    remove_parts(left, pack(left, self.shards, name))
            durable.remove(folder / PLAN)
        folder.rmdir()

    def _compare(self) -> Iterator[Repair]:
        told = compare(self.catalog, self.store)
        for problem in told.files:
            if problem.path.removeprefix("shards/").removesuffix(".tar") not in self.kept:
                yield Repair(problem.path, f"left as it is: {problem.what}", True)
        wrong = self._wrong(told)
        if not wrong:
            return
        if not (self.moved or any(self.shards.glob(f"*{ENDS[0]}"))):
            message = f"left as it is: {self.shards} holds no pack, the catalog knows some: is the disk mounted?"
            yield Repair(self.catalog.name, message, True)
            return
        # a rebuild forgets the packs that are left damaged; ingest keeps what the catalog remembers of them
        if self.kept:
            ingest_store(self.catalog, self.store)
            left = {problem.path for problem in self._wrong(compare(self.catalog, self.store))}
        else:
            rebuild(self.catalog, self.store)
            left = set()
        for problem in wrong:
            if problem.path in left:
                yield Repair(
                    problem.path, f"left as it is, until the packs that are damaged are back: {problem.what}", True
                )
            else:
                yield Repair(problem.path, f"the catalog was brought in line with the store: {problem.what}")

    def _wrong(self, told: Comparison) -> list[Problem]:
        """Where the catalog differs, but for the packs that are left damaged and what follows from them."""
        excused = {f"shards/{name}" for name in self.kept} | ({self.catalog.name} if self.kept else set())
        return [problem for problem in told.rows if problem.path not in excused]

    def _place(self, path: Path) -> str:
        return path.relative_to(self.store).as_posix()


def _is_there(row: dict[str, Any], size: int | None) -> bool:
    """Whether a video lies where it was scanned, ``size`` bytes long as when it was curated, and its mask too."""
    try:
        root = place_of(unspell(row["root"]))
        now, _ = fingerprint(root / unspell(row["path"]), row["kind"])
    except OSError:
        return False
    return now == (row["bytes"] if size is None else size) and (
        row["mask_path"] is None or (root / unspell(row["mask_path"])).exists()
    )


def _samples(found: list[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.sample_id for finding in found if finding.sample_id))


def _listed(names: Sequence[str], before: str, most: int = 20) -> str:
    """`` BEFORE a, b and 7 more``; nothing for no names."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{before} {', '.join(names[:most])}{more}" if names else ""
