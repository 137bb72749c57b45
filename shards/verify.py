"""Shards against their sidecars: every header, every byte of data, every file that should or should not be there.

A header depends on name and size alone and members are adjacent, so a shard's whole content is known from its sidecar
but for the data, whose checksums are; nothing can hide in between. The sidecar's checksum is in the mark, the mark's in
the mark. Nothing is changed here; findings are returned, and ``repair`` mends some of them. Memory: the rows of one
shard, eight bytes for every face of the store, and 8 MiB.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from shards import schema, sidecar, tar
from shards.errors import PartError, PlanError, ShardError, TarError
from shards.part import read_part
from shards.plan import PLAN, read_plan

ENDS = (".videos.parquet", ".parquet", ".tar")
_CHUNK = 8 << 20
_REPAIR = "run `deepshard verify --repair`"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``offset`` is in the tar, in bytes, where there is a place.

    ``kind``: missing (a file or member), stray (a file or member nobody knows), header, data, padding, end, layout
    (a member not where the sidecar says), sidecar (a sidecar or mark that is unreadable, not as written or contradicts
    itself), duplicate (a sample twice), part (damaged), plan (of parts: missing or unreadable), unfinished (what a run
    that was killed, or one that is at work, has not finished). ``shard``: the pack's name, or the file's or folder's
    where it is of no pack.
    """

    kind: str
    shard: str
    message: str
    sample_id: str | None = None
    offset: int | None = None


class _Member(NamedTuple):
    name: str
    offset: int  # of the data
    size: int
    checksum: int
    sample_id: str


def verify_store(shards_dir: Path | str, data: bool = True) -> list[Finding]:
    """Check every pack of a folder. ``data=False`` skips the samples' bytes and checks headers and rows only.

    Reads only. Raises FileNotFoundError if the folder is missing.
    """
    folder = Path(shards_dir)
    names, findings = set(), []
    for path in sorted(folder.iterdir()):
        end = next((end for end in ENDS if path.name.endswith(end)), None)
        if end and path.is_file():
            names.add(path.name.removesuffix(end))
        elif path.suffix == ".tmp":
            findings.append(Finding("unfinished", path.name, f"{path.name} is what a killed run left of a file"))
        else:
            findings.append(Finding("stray", path.name, f"{path.name} is not part of any shard"))
    hashes = {}
    for name in sorted(names):
        found, samples = _verify(folder, name, data)
        findings += found
        hashes[name] = np.fromiter(map(xxhash.xxh3_64_intdigest, map(str.encode, samples)), np.uint64, len(samples))
    return findings + list(_duplicates(folder, hashes))


def verify_shard(shards_dir: Path | str, name: str, data: bool = True) -> list[Finding]:
    """Check one pack: ``name`` without an ending."""
    return _verify(Path(shards_dir), name, data)[0]


def verify_parts(parts_dir: Path | str, shards_dir: Path | str, data: bool = True) -> list[Finding]:
    """Check what is on its way to a shard: folders of parts, each with its plan. A plan with packs to be written is no
    finding. ``data=False`` skips the samples' bytes. Reads only.
    """
    parts, shards = Path(parts_dir), Path(shards_dir)
    findings = []
    for path in sorted(parts.iterdir()) if parts.is_dir() else []:
        if path.is_dir():
            findings += _verify_folder(path, shards, data)
        elif path.name != "lock":
            findings.append(Finding("stray", f"parts/{path.name}", f"{path.name} belongs to no plan of a curation"))
    return findings


def _verify_folder(folder: Path, shards: Path, data: bool) -> Iterator[Finding]:
    place = f"parts/{folder.name}"
    files = sorted(folder.iterdir())
    videos: set[str] | None = None
    if (folder / PLAN).exists():
        try:
            packs = read_plan(folder)
            videos = {video["video_id"] for members in packs.values() for video in members}
            if all((shards / f"{name}{ENDS[0]}").exists() for name in packs):
                yield Finding("unfinished", place, f"all {len(packs)} packs of its plan are written: it can go")
        except PlanError as damage:
            yield Finding("plan", place, str(damage))
    elif any(path.suffix == ".part" for path in files):
        yield Finding(
            "plan", place, f"finished videos without a plan, which said to which pack they go: {PLAN} is gone"
        )
    else:
        yield Finding("unfinished", place, "a folder of parts without parts or plan: it can go")
    for path in files:
        name = f"{place}/{path.name}"
        if path.suffix == ".tmp":
            yield Finding("unfinished", name, f"{path.name} is what a killed run left of a file")
        elif path.suffix == ".part":
            try:
                part = read_part(path)
                if data:
                    part.check()
            except (PartError, OSError) as error:
                yield Finding("part", name, str(error))
                continue
            if videos is not None and part.video_row()["video_id"] not in videos:
                yield Finding(
                    "stray", name, f"{path.name} is a part of {part.video_row()['video_id']}: not in its plan"
                )
        elif path.name != PLAN:
            yield Finding("stray", name, f"{path.name} is neither a part nor a plan")


def _verify(folder: Path, name: str, data: bool) -> tuple[list[Finding], list[str]]:
    videos_path, samples_path, tar_path = (folder / f"{name}{end}" for end in ENDS)
    if not videos_path.exists():
        there = [path.name for path in (samples_path, tar_path) if path.exists()]
        advice = "its pack was interrupted or lost its mark: run curation again, or restore the mark"
        return [Finding("unfinished", name, f"{' and '.join(there)} without {videos_path.name}; {advice}")], []
    findings: list[Finding] = []
    mark = _read(videos_path, name, findings)
    if mark is None:
        return findings, []
    try:
        sidecar.check_seal(mark)
    except sidecar.Damaged as damage:
        findings.append(_wrong(name, videos_path, damage))
    videos = _rows(videos_path, mark, schema.PACKED_VIDEOS, name, findings)
    if videos is None:
        return findings, []
    faces = {row["video_id"]: row["faces"] or 0 for row in videos.select(["video_id", "faces"]).to_pylist()}
    if len(faces) != videos.num_rows:
        findings.append(Finding("sidecar", name, f"{videos_path.name} lists a video twice"))
    total = sum(faces.values())
    for path in (samples_path, tar_path):
        if path.exists() != bool(total):
            kind, what = ("missing", "is missing") if total else ("stray", "should not be there")
            findings.append(Finding(kind, name, f"{path.name} {what}: {videos_path.name} tells of {total:,} faces"))
    if not samples_path.exists() or (rows := _read(samples_path, name, findings)) is None:
        return findings, []
    if sidecar.sidecar_sum(videos) != xxhash.xxh3_64_hexdigest(rows):
        findings.append(_wrong(name, samples_path, "it is not the file that was packed, its checksum differs"))
    samples = _rows(samples_path, rows, schema.SAMPLES, name, findings)
    if samples is None:
        return findings, []
    findings += _verify_rows(name, samples, faces)
    if tar_path.exists():
        try:
            with open(tar_path, "rb", buffering=0) as file:
                findings += _verify_tar(name, _Window(file.fileno(), _CHUNK if data else tar.BLOCK), samples, data)
        except OSError as error:
            findings.append(Finding("missing", name, f"{tar_path.name} cannot be opened ({error.strerror})"))
    return findings, samples["sample_id"].to_pylist()


def _read(path: Path, name: str, findings: list[Finding]) -> bytes | None:
    try:
        return sidecar.read_file(path)
    except sidecar.Damaged as damage:
        findings.append(_wrong(name, path, damage))
        return None


def _rows(path: Path, data: bytes, expected: pa.Schema, name: str, findings: list[Finding]) -> pa.Table | None:
    try:
        return sidecar.read(data, expected)
    except sidecar.Damaged as damage:
        findings.append(_wrong(name, path, damage))
        return None


def _wrong(name: str, path: Path, why: object) -> Finding:
    return Finding("sidecar", name, f"{path.name} is damaged ({why}): restore it from a copy, or {_REPAIR}")


def _duplicates(folder: Path, hashes: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Samples that are in two packs; names are read again only where two hashes (uint64) of them are the same."""
    every = np.sort(np.concatenate([np.empty(0, np.uint64), *hashes.values()]))
    twice = every[1:][every[1:] == every[:-1]]
    seen: dict[str, str] = {}
    for name, own in hashes.items():
        places = np.flatnonzero(np.isin(own, twice))
        if not len(places):
            continue
        samples = pq.read_table(folder / f"{name}{ENDS[1]}", columns=["sample_id"])["sample_id"]
        for sample in samples.take(places).to_pylist():
            if seen.setdefault(sample, name) != name:
                yield Finding("duplicate", name, f"{sample} is also in shard {seen[sample]}", sample)


def _verify_rows(name: str, samples: pa.Table, faces: dict[str, int]) -> Iterator[Finding]:
    counted = dict.fromkeys(faces, 0)
    columns = ["sample_id", "key", "video_id", "recipe_hash", "content", "frame_index", "track", "draw_key", "shard"]
    seen = set()
    for row in samples.select(columns).to_pylist():
        sample = row["sample_id"]
        try:
            key = schema.sample_key(row["video_id"], row["frame_index"], row["track"])
        except ShardError as error:
            yield Finding("sidecar", name, f"row of {sample}: {error}", sample)
            continue
        right = schema.sample_id(row["recipe_hash"], row["content"], key)
        if (row["key"], sample, row["draw_key"], row["shard"]) != (key, right, schema.draw_key(right), name):
            yield Finding("sidecar", name, f"row of {sample}: key, sample_id, draw_key or shard is not its own", sample)
        if sample in seen:
            yield Finding("duplicate", name, f"{sample} is listed twice", sample)
        seen.add(sample)
        counted[row["video_id"]] = counted.get(row["video_id"], 0) + 1
    for video, count in counted.items():
        if count != faces.get(video):
            told = faces.get(video, "nothing")
            yield Finding("sidecar", name, f"video {video} has {count} samples; its row in videos.parquet tells {told}")


def members(samples: pa.Table) -> Iterator[_Member]:
    """The members of a tar in their order, as its sidecar (SAMPLES) tells them."""
    extensions = {"json": "json", "mask": "mask.png"}
    places = {kind: [f"{kind}_{field}" for field in ("offset", "size", "xxh3")] for kind in ("json", "mask", "image")}
    columns = ["sample_id", "key", "image_ext", *(name for names in places.values() for name in names)]
    for row in samples.select(columns).to_pylist():
        yield from sorted(
            _Member(f"{row['key']}.{extensions.get(kind, row['image_ext'])}", *place, row["sample_id"])
            for kind, names in places.items()
            if None not in (place := [row[name] for name in names])
        )


class _Window:
    """Bytes of a file by their place, read in pieces of ``size`` bytes or what is asked for, whichever is more."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.end = os.fstat(descriptor).st_size
        self._descriptor, self._size = descriptor, size
        self._start, self._data = 0, memoryview(b"")

    def read(self, offset: int, size: int) -> memoryview:
        """Fewer bytes at the end of the file. Raises OSError."""
        if not self._start <= offset <= offset + size <= self._start + len(self._data):
            pieces, wanted = [], max(size, self._size)
            while wanted and (piece := os.pread(self._descriptor, wanted, offset + sum(map(len, pieces)))):
                pieces.append(piece)
                wanted -= len(piece)
            self._start, self._data = offset, memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return self._data[offset - self._start :][:size]


def _verify_tar(name: str, window: _Window, samples: pa.Table, data: bool) -> Iterator[Finding]:
    position = 0
    for member in members(samples):
        start = member.offset - tar.BLOCK
        if start > position:
            yield from _between(name, window, position, start)
        elif start < position:
            yield _finding("layout", name, member, f"its place at {member.offset} overlaps the member before it")
        if start < 0 or member.size < 0 or start + tar.span(member.size) > window.end:
            yield _finding("missing", name, member, f"the tar ends at {window.end}, before the end of {member.name}")
            continue
        position = start + tar.span(member.size)
        try:
            yield from _verify_member(name, window, member, data)
        except OSError as error:
            why = f"the disk does not give the bytes of {member.name} at {member.offset} ({error.strerror})"
            yield _finding("data", name, member, why)
    try:
        end = window.read(position, len(tar.END) + 1)
    except OSError:
        end = memoryview(b"")
    if end != tar.END:
        yield from _between(name, window, position, window.end - len(tar.END))
        yield Finding("end", name, f"the tar does not end with two zero blocks at {position}", offset=position)


def _verify_member(name: str, window: _Window, member: _Member, data: bool) -> Iterator[Finding]:
    start, stop = member.offset - tar.BLOCK, member.offset + member.size
    if window.read(start, tar.span(member.size) if data else tar.BLOCK)[: tar.BLOCK] != _header(member):
        yield _finding("header", name, member, f"the header of {member.name} at {start} is not as written")
    if data and xxhash.xxh3_64_intdigest(window.read(member.offset, member.size)) != member.checksum:
        yield _finding("data", name, member, f"the bytes of {member.name} at {member.offset} differ from their sum")
    if any(window.read(stop, -member.size % tar.BLOCK)):
        yield _finding("padding", name, member, f"the padding after {member.name} is not zero")


def _header(member: _Member) -> bytes | None:
    try:
        return tar.header(member.name, member.size)
    except TarError:
        return None


def _between(name: str, window: _Window, start: int, stop: int) -> Iterator[Finding]:
    """What lies between two known members: whole members by name, else bytes."""
    while start < stop:
        try:
            found, size = tar.parse(bytes(window.read(start, tar.BLOCK)))
        except (TarError, OSError):
            yield Finding("stray", name, f"{stop - start} bytes at {start} belong to no sample", offset=start)
            return
        yield Finding("stray", name, f"member {found} at {start + tar.BLOCK} is in no row", offset=start + tar.BLOCK)
        start += tar.span(size)


def _finding(kind: str, name: str, member: _Member, message: str) -> Finding:
    advice = f"restore the shard from a copy, or {_REPAIR}"
    return Finding(kind, name, f"{member.sample_id}: {message}; {advice}", member.sample_id, member.offset)
