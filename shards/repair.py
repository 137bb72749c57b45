"""What can be mended of a pack without its videos, and where goes what cannot.

Headers, padding and end of a tar follow from its sidecar; a sidecar or mark is written anew where a checksum proves
that the new file is the one that was lost. Nothing is changed in place: a new file is written, fsynced and given the
name. What is damaged beyond that is moved into ``damaged/``, never deleted. Call all of this while nobody curates.
"""

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import xxhash

from shards import durable, schema, sidecar, tar
from shards.sidecar import Damaged
from shards.verify import ENDS, members

DAMAGED = "damaged"  # folder of a store
_UNFINISHED = re.compile(r".+\.[0-9a-f]{8}\.tmp")
_COPY = 8 << 20


def remove_unfinished(folder: Path) -> list[Path]:
    """Remove what killed writers left of files in a folder; returns their paths."""
    left = [path for path in sorted(folder.glob("*.tmp")) if _UNFINISHED.fullmatch(path.name)]
    for path in left:
        durable.remove(path)
    return left


def set_aside(store: Path, files: Iterable[Path], name: str) -> Path | None:
    """Move files or folders into ``store/damaged/NAME``, in the order given; returns that folder, None if none was
    there. What lies there from before stays. Raises OSError."""
    target = None
    for file in (file for file in files if file.exists()):
        target = _free(store / DAMAGED / name, file.name)
        durable.make_folder(target)
        durable.rename(file, target / file.name)
        durable.sync_folder(target)
        durable.sync_folder(file.parent)
    return target


def rewrite_tar(store: Path, name: str, keep: bool) -> None:
    """Write ``NAME.tar`` anew as it follows from its sidecar and the data in it.

    ``keep``: the old one stays as ``store/damaged/NAME/NAME.tar``, for what it holds besides. Raises Damaged if the
    data of a member is not as its row tells, OSError; then the tar is as it was.
    """
    path = store / "shards" / f"{name}.tar"
    samples = sidecar.read(sidecar.read_file(path.with_suffix(".parquet")), schema.SAMPLES)
    if not path.exists():
        raise Damaged(f"{path.name} is gone")
    with open(path, "rb") as old:
        if keep:
            target = _free(store / DAMAGED / name, path.name)
            durable.make_folder(target)
            os.link(path, target / path.name)
            durable.sync_folder(target)
        durable.write_file(path, _tar_bytes(old, samples))
    durable.sync_folder(path.parent)


def rewrite_rows(store: Path, name: str, videos: list[pa.Table], samples: list[pa.Table]) -> list[str]:
    """Write the mark and the sidecar of a pack anew, where one of the tables given is what they held.

    ``videos`` and ``samples``: what they may have held, with the columns of PACKED_VIDEOS and SAMPLES; what can still
    be read of the files themselves is tried first. That a table is right is proven by the checksum in the damaged mark
    or, for the sidecar, in a sound mark. Returns the names of the files written. Raises OSError.
    """
    mark, rows = (store / "shards" / f"{name}{end}" for end in ENDS[:2])
    videos = [*_read(mark, schema.PACKED_VIDEOS), *_cast(videos, schema.PACKED_VIDEOS)]
    samples = [*_read(rows, schema.SAMPLES), *_cast(samples, schema.SAMPLES)]
    sidecars = [*_bytes(rows), *(sidecar.sidecar_bytes(table) for table in samples), None]
    written = []
    if (old := next(_bytes(mark), None)) is not None and not _is_sealed(old):
        made = (sidecar.mark_bytes(table, data) for table in videos for data in sidecars)
        if new := next((new for new in made if sidecar.same_but_for_damage(old, new)), None):
            written.append(_replace(mark, new))
    if old is not None and _is_sealed(mark.read_bytes()):
        told = sidecar.sidecar_sum(sidecar.read(mark.read_bytes(), schema.PACKED_VIDEOS))
        right = next((data for data in sidecars if data and xxhash.xxh3_64_hexdigest(data) == told), None)
        if right and right != next(_bytes(rows), None):
            written.append(_replace(rows, right))
    return written


def _replace(path: Path, data: bytes) -> str:
    durable.write_file(path, [data])
    durable.sync_folder(path.parent)
    return path.name


def _tar_bytes(old: BinaryIO, samples: pa.Table) -> Iterator[bytes]:
    for member in members(samples):
        yield tar.header(member.name, member.size)
        old.seek(member.offset)
        checksum, left = xxhash.xxh3_64(), member.size
        while left and (chunk := old.read(min(left, _COPY))):
            checksum.update(chunk)
            left -= len(chunk)
            yield chunk
        if left or checksum.intdigest() != member.checksum:
            raise Damaged(f"the bytes of {member.name} differ from their sum")
        yield tar.padding(member.size)
    yield tar.END


def _bytes(path: Path) -> Iterator[bytes]:
    """The bytes of a file, or nothing."""
    with suppress(Damaged):
        yield sidecar.read_file(path)


def _read(path: Path, expected: pa.Schema) -> Iterator[pa.Table]:
    for data in _bytes(path):
        with suppress(Damaged):
            yield sidecar.read(data, expected)


def _cast(tables: list[pa.Table], wanted: pa.Schema) -> Iterator[pa.Table]:
    for table in tables:
        if table.num_rows:
            yield table.select(wanted.names).cast(wanted)


def _is_sealed(data: bytes) -> bool:
    try:
        sidecar.check_seal(data)
    except Damaged:
        return False
    return True


def _free(folder: Path, name: str) -> Path:
    """``folder``, or the first of ``folder.1``, ``folder.2``, ... in which nothing is called ``name``."""
    numbered = itertools.chain([folder], (folder.with_name(f"{folder.name}.{n}") for n in itertools.count(1)))
    return next(path for path in numbered if not (path / name).exists())
