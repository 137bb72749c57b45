"""Shards against their sidecars: every header, every byte of data, every file that should or should not be there.

A header depends on name and size alone and members are adjacent, so a shard's whole content is known from its sidecar
but for the data, whose checksums are; nothing can hide in between. Findings are returned, never repaired: what is wrong
with data is for a person to decide. The sidecar's checksum is in the mark, whose Parquet pages carry their own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from shards import schema, tar
from shards.errors import TarError

_ENDS = (".videos.parquet", ".parquet", ".tar")
_CHUNK = 8 << 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``offset`` is in the tar, in bytes, where there is a place.

    ``kind``: missing (a file or member), stray (a file or member nobody knows), header, data, padding, end, layout
    (a member not where the sidecar says), sidecar (unreadable or contradicting itself), duplicate (a sample twice).
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
    names, strays = set(), []
    for path in sorted(folder.iterdir()):
        end = next((end for end in _ENDS if path.name.endswith(end)), None)
        if end is None:
            why = "an unfinished file of a killed run; delete it" if path.suffix == ".tmp" else "not part of any shard"
            strays.append(Finding("stray", path.name, f"{path.name} is {why}"))
        else:
            names.add(path.name.removesuffix(end))
    findings, seen = strays, {}
    for name in sorted(names):
        found, samples = _verify(folder, name, data)
        findings += found
        for sample in samples:
            if seen.setdefault(sample, name) != name:
                findings.append(Finding("duplicate", name, f"{sample} is also in shard {seen[sample]}", sample))
    return findings


def verify_shard(shards_dir: Path | str, name: str, data: bool = True) -> list[Finding]:
    """Check one pack: ``name`` without an ending."""
    return _verify(Path(shards_dir), name, data)[0]


def _verify(folder: Path, name: str, data: bool) -> tuple[list[Finding], list[str]]:
    videos_path, samples_path, tar_path = (folder / f"{name}{end}" for end in _ENDS)
    if not videos_path.exists():
        there = [path.name for path in (samples_path, tar_path) if path.exists()]
        advice = "its pack was interrupted or lost its mark: run curation again, or restore the mark"
        return [Finding("stray", name, f"{' and '.join(there)} without {videos_path.name}; {advice}")], []
    videos, findings = _read(videos_path, schema.PACKED_VIDEOS, name)
    if videos is None:
        return findings, []
    faces = {row["video_id"]: row["faces"] or 0 for row in videos.select(["video_id", "faces"]).to_pylist()}
    if len(faces) != videos.num_rows:
        findings.append(Finding("sidecar", name, f"{videos_path.name} lists a video twice"))
    total = sum(faces.values())
    for path in (samples_path, tar_path):
        if path.exists() != bool(total):
            kind, what = ("missing", "is missing") if total else ("stray", "should not be there")
            findings.append(Finding(kind, name, f"{path.name} {what}: {videos_path.name} tells of {total} faces"))
    if not samples_path.exists():
        return findings, []
    samples, unreadable = _read(samples_path, schema.SAMPLES, name)
    findings += unreadable
    if _told_checksum(videos) != xxhash.xxh3_64_hexdigest(samples_path.read_bytes()):
        why = f"{samples_path.name} is not the file that was packed (its checksum differs): restore it from a copy"
        findings.append(Finding("sidecar", name, why))
    if samples is None:
        return findings, []
    findings += _verify_rows(name, samples, faces)
    if tar_path.exists():
        with open(tar_path, "rb") as file:
            findings += _verify_tar(name, file, list(_members(samples)), data)
    return findings, samples["sample_id"].to_pylist()


def _read(path: Path, expected: pa.Schema, name: str) -> tuple[pa.Table | None, list[Finding]]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        return None, [Finding("sidecar", name, f"{path.name} cannot be read ({reason}): restore it from a copy")]
    if not table.schema.equals(expected):
        return None, [Finding("sidecar", name, f"{path.name} has other columns than this version of deepshard writes")]
    return table, []


def _told_checksum(videos: pa.Table) -> str | None:
    try:
        return json.loads(videos.schema.metadata[b"deepshard"])["sidecar_xxh3"]
    except (ValueError, KeyError, TypeError):  # a damaged mark vouches for nothing
        return None


def _verify_rows(name: str, samples: pa.Table, faces: dict[str, int]) -> Iterator[Finding]:
    counted = dict.fromkeys(faces, 0)
    columns = ["sample_id", "key", "video_id", "recipe_hash", "content", "frame_index", "track", "draw_key", "shard"]
    seen = set()
    for row in samples.select(columns).to_pylist():
        sample = row["sample_id"]
        key = schema.sample_key(row["video_id"], row["frame_index"], row["track"])
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


def _members(samples: pa.Table) -> Iterator[_Member]:
    extensions = {"json": "json", "mask": "mask.png"}
    for row in samples.to_pylist():
        members = [
            _Member(f"{row['key']}.{extensions.get(kind, row['image_ext'])}", *place, row["sample_id"])
            for kind in ("json", "mask", "image")
            if None not in (place := tuple(row[f"{kind}_{field}"] for field in ("offset", "size", "xxh3")))
        ]
        yield from sorted(members)


def _verify_tar(name: str, file: BinaryIO, members: list[_Member], data: bool) -> Iterator[Finding]:
    end = file.seek(0, 2)
    position = 0
    for member in members:
        start = member.offset - tar.BLOCK
        if start > position:
            yield from _between(name, file, position, start)
        elif start < position:
            yield _finding("layout", name, member, f"its place at {member.offset} overlaps the member before it")
        if start < 0 or start + tar.span(member.size) > end:
            yield _finding("missing", name, member, f"the tar ends at {end}, before the end of {member.name}")
            continue
        file.seek(start)
        if file.read(tar.BLOCK) != _header(member):
            yield _finding("header", name, member, f"the header of {member.name} at {start} is not as written")
        if data and _checksum(file, member.offset, member.size) != member.checksum:
            yield _finding("data", name, member, f"the bytes of {member.name} at {member.offset} differ from their sum")
        position = start + tar.span(member.size)
        file.seek(member.offset + member.size)
        if any(file.read(position - member.offset - member.size)):
            yield _finding("padding", name, member, f"the padding after {member.name} is not zero")
    file.seek(position)
    if file.read(len(tar.END) + 1) != tar.END:
        yield from _between(name, file, position, end - len(tar.END))
        yield Finding("end", name, f"the tar does not end with two zero blocks at {position}", offset=position)


def _header(member: _Member) -> bytes | None:
    try:
        return tar.header(member.name, member.size)
    except TarError:
        return None


def _between(name: str, file: BinaryIO, start: int, stop: int) -> Iterator[Finding]:
    """What lies between two known members: whole members by name, else bytes."""
    while start < stop:
        file.seek(start)
        try:
            found, size = tar.parse(file.read(tar.BLOCK))
        except TarError:
            yield Finding("stray", name, f"{stop - start} bytes at {start} belong to no sample", offset=start)
            return
        yield Finding("stray", name, f"member {found} at {start + tar.BLOCK} is in no row", offset=start + tar.BLOCK)
        start += tar.span(size)


def _checksum(file: BinaryIO, offset: int, size: int) -> int:
    file.seek(offset)
    checksum = xxhash.xxh3_64()
    while size and (chunk := file.read(min(size, _CHUNK))):
        checksum.update(chunk)
        size -= len(chunk)
    return checksum.intdigest()


def _finding(kind: str, name: str, member: _Member, message: str) -> Finding:
    advice = "restore the shard from a copy, or curate its videos again"
    return Finding(kind, name, f"{member.sample_id}: {message}; {advice}", member.sample_id, member.offset)
