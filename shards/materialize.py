"""A split's members once more, in the split's own order, in one file each: as stored, or decoded to raw pixels.

The copy lies in the local cache under the split's hash, goes when room is needed (least recently used first) and is
made again from the shards. Whoever reads the split finds it there and gets the same tensors; each member is checked
when it is read, and a damaged one is read from its shard instead. A file is whole when it has its name.

    MEMBERS       one after the other, in the order of the rows
    starts        int64 [n], first byte of each row's member; a row without one takes no bytes
    checksums     uint64 [n], xxh3_64 of each
    card          JSON: what it is, and of which bytes it was made
    length, MAGIC the length of the card, uint64, and eight bytes
"""

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from shards import durable
from shards.cache import Cache, CacheError, create_locked, open_locked, touch
from shards.errors import ReadError, SplitError
from shards.reader import GAP, Ranges, ShardReader
from shards.remote import Remote

if TYPE_CHECKING:
    from shards.split import Split

MAGIC = b"dsplit01"
CHANNELS = {"image": 3, "partner": 3, "mask": 1}  # of the members that can be raw
_BATCH = 256  # rows written at a time
_FORMS = ("raw", "stored")

Progress = Callable[[int, int], None]  # rows done, rows in all


@dataclass(frozen=True)
class Made:
    """One member of a split, materialised. ``bytes``: of the file; ``new``: made now and not there before."""

    member: str
    form: str
    path: Path
    bytes: int
    new: bool


class Copy:
    """A materialised member of a split, opened. While it is open it is in use, and not evicted.

    Raises FileNotFoundError if there is none, ValueError if it is no whole one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = open_locked(path, os.O_RDWR)
        touch(self.descriptor)
        size = os.fstat(self.descriptor).st_size
        end = os.pread(self.descriptor, 16, max(0, size - 16))
        length = int.from_bytes(end[:8], "little")
        if end[8:] != MAGIC or not 0 < length <= size - 16:
            raise ValueError("it does not end as a materialised split does")
        self.card: dict[str, Any] = json.loads(os.pread(self.descriptor, length, size - 16 - length))
        rows, table = self.card["rows"], self.card["table"]
        if table + 16 * rows > size:
            raise ValueError("its table is cut off")
        empty = np.empty(0, np.int64), np.empty(0, np.uint64)
        kinds = (np.int64, np.uint64)
        self.starts, self.checksums = (
            (np.memmap(path, kind, "r", table + 8 * rows * i, rows) for i, kind in enumerate(kinds)) if rows else empty
        )

    def __del__(self) -> None:
        if (descriptor := self.__dict__.pop("descriptor", None)) is not None:
            os.close(descriptor)

    @property
    def raw(self) -> bool:
        return self.card["form"] == "raw"

    def ranges(self, stored: Ranges) -> Ranges:
        """Where the members of all rows lie in this file. ``stored``: where they lie in the shards."""
        absent = stored.offsets < 0
        starts = np.where(absent, -1, self.starts) if absent.any() else self.starts
        sizes, checksums = stored.sizes, stored.checksums
        if self.raw:
            sizes, checksums = np.broadcast_to(np.int64(self.card["row_bytes"]), len(starts)), self.checksums
        shards = np.broadcast_to(np.int32(0), len(starts))
        return Ranges([str(self.path)], shards, starts, sizes, checksums, raw=self.raw)

    def row(self, start: int) -> int:
        """The row whose member begins there."""
        return int(np.searchsorted(self.starts, start, "right")) - 1


class CopyReader(ShardReader):
    """Reads materialised members, by the paths of their files, and everything else as ``shards`` does.

    What is damaged in a copy is read from its shard instead: the same sample, as it was pinned.
    """

    def __init__(self, shards: ShardReader, copies: dict[str, Copy], stored: dict[str, Ranges]) -> None:
        super().__init__(shards.folder)
        self.far = shards.far and any(member not in {c.card["member"] for c in copies.values()} for member in stored)
        self._shards, self._copies, self._stored = shards, copies, stored
        self._told: set[str] = set()

    def fetch(self, ranges: Ranges, gap: int = GAP) -> tuple[list[np.ndarray | None], dict[int, str]]:
        """As ``ShardReader.fetch``."""
        found: list[np.ndarray | None] = [None] * len(ranges.offsets)
        faults: dict[int, str] = {}
        own = self._own(ranges)
        for mine, fetch in ((True, super().fetch), (False, self._shards.fetch)):
            places = np.flatnonzero(own == mine)
            if len(places):
                members, wrong = fetch(ranges.take(places), gap)
                for place, member in zip(places.tolist(), members, strict=True):
                    found[place] = member
                faults.update((int(places[i]), why) for i, why in wrong.items())
        for place in [place for place in faults if own[place]]:
            found[place], fault = self._from_shard(ranges, place)
            if fault is None:
                del faults[place]
            else:
                faults[place] = fault
        return found, faults

    def fill(self, ranges: Ranges, targets: Sequence[np.ndarray], gap: int = GAP) -> dict[int, str]:
        """As ``ShardReader.fill``; every range is of a raw copy."""
        from shards.image import decode_into

        faults = super().fill(ranges, targets, gap)
        for place in list(faults):
            member, fault = self._from_shard(ranges, place)
            if fault is None:
                try:
                    copy = self._copies[ranges.names[ranges.shards[place]]]
                    height, width, channels = copy.card["shape"]
                    shape = (height, width) if channels == 1 else (height, width, channels)
                    decode_into(member, targets[place].reshape(shape))
                    del faults[place]
                    continue
                except ReadError as error:
                    fault = str(error)
            faults[place] = fault
        return faults

    def bring(self, ranges: Iterable[Ranges], rows: np.ndarray, wait: bool = True) -> None:
        """As ``ShardReader.bring``, for the members that are not in a copy."""
        elsewhere = [member for member in ranges if not len(rows) or not self._own(member.take(rows[:1])).any()]
        if elsewhere:
            self._shards.bring(elsewhere, rows, wait)

    def _own(self, ranges: Ranges) -> np.ndarray:
        return np.array([name in self._copies for name in ranges.names], bool)[ranges.shards]

    def _file(self, name: str) -> Copy:
        return self._copies[name]

    def _from_shard(self, ranges: Ranges, place: int) -> tuple[np.ndarray | None, str | None]:
        name = ranges.names[ranges.shards[place]]
        copy = self._copies[name]
        stored = self._stored[copy.card["member"]]
        if name not in self._told:
            self._told.add(name)
            warnings.warn(
                f"the materialised split {copy.path} is damaged: those faces are read from their shards. Delete the "
                "file and run `deepshard materialize` again",
                stacklevel=2,
            )
        (member,), faults = self._shards.fetch(stored.take(np.array([copy.row(int(ranges.offsets[place]))])))
        return member, faults.get(0)


def materialize(
    split: "Split",
    cache: Cache,
    members: Sequence[str] = ("image",),
    raw: bool = False,
    workers: int = 0,
    progress: Progress | None = None,
) -> list[Made]:
    """Write members of a split into the cache, those that are not there yet.

    ``members``: of image, mask, json, partner. ``raw``: images and masks as pixels, uint8 [H,W,C], decoded by
    ``workers`` processes. Raises CacheError if the cache has no room, ReadError for a face that cannot be read.
    """
    made = []
    cache.shrink(cache.limit)  # what killed runs left goes first
    for member in dict.fromkeys(members):
        stored = split.ranges(member)
        form = "raw" if raw and member in CHANNELS else "stored"
        path = _path(cache.folder, split, member, form)
        there = _open(path, split, stored)
        if there is None:
            absent = int((stored.offsets < 0).sum())
            if absent and member != "partner":
                raise SplitError(
                    f"{absent} of {len(split)} samples of split {split.name} have no {member}: leave it out"
                )
            if form == "raw":
                height, width = split.dataset((member,)).size()
                shape, pieces = (height, width, CHANNELS[member]), _decoded(split, member, workers)
            else:
                shape, pieces = None, _stored(split, stored)
            _write(path, split, member, stored, shape, pieces, cache, progress)
        made.append(Made(member, form, path, path.stat().st_size, there is None))
    return made


def placed(split: "Split", members: Iterable[str]) -> tuple[ShardReader, dict[str, Ranges]]:
    """How to read these members of a split, and where they lie: in copies where there are any, else in shards."""
    stored = {member: split.ranges(member) for member in members}
    copies = {member: copy for member in stored if (copy := find(split, member)) is not None}
    if not copies:
        return split.reader, stored
    reader = CopyReader(split.reader, {str(copy.path): copy for copy in copies.values()}, stored)
    return reader, {m: copies[m].ranges(stored[m]) if m in copies else stored[m] for m in stored}


def find(split: "Split", member: str) -> Copy | None:
    """The materialised copy of a member that fits the split as it is pinned now, raw before stored; None if none is."""
    folder = Path(split.cache).expanduser()
    for form in _FORMS:
        copy = _open(_path(folder, split, member, form), split, split.ranges(member))
        if copy is not None:
            return copy
    return None


def describe(split: "Split", members: Iterable[str]) -> str:
    """Where these members of a split are read, for people. ``members``: as a dataset is asked for them."""
    copies, shards = [], False
    for member in dict.fromkeys("json" if member == "landmarks" else member for member in members):
        copy = find(split, member)
        shards |= copy is None
        if copy is not None:
            copies.append(f"{member} materialised ({copy.card['form']}) in {split.cache}")
    through = f" through the cache {split.cache}" if isinstance(split.shards_dir, Remote) else ""
    return ", ".join([*copies, *([f"{split.shards_dir}{through}"] if shards else [])])


def _path(folder: Path, split: "Split", member: str, form: str) -> Path:
    return folder.absolute() / "materialized" / f"{split.hash}.{member}.{form}.bytes"


def _open(path: Path, split: "Split", stored: Ranges) -> Copy | None:
    try:
        copy = Copy(path)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path} is not used: {error}. Delete it and run `deepshard materialize` again", stacklevel=2)
        return None
    return copy if copy.card["made_of"] == _made_of(split, stored) else None


def _made_of(split: "Split", stored: Ranges) -> dict[str, Any]:
    """What decides the bytes of a copy. A split pinned again keeps its hash even if other bytes hold its faces now."""
    lossy = "jpg" in split.words("image_ext")[1]
    return {
        "rows": len(split),
        "checksums": xxhash.xxh3_64_hexdigest(np.ascontiguousarray(stored.checksums)),
        "decoders": _decoders() if lossy else None,  # of lossless images every decoder makes the same pixels
    }


def _decoders() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("opencv-python", "simplejpeg")}


def _stored(split: "Split", stored: Ranges) -> Iterator[list[np.ndarray]]:
    """The members' bytes as the shards have them, for ``_BATCH`` rows at a time."""
    for begin in range(0, len(split), _BATCH):
        rows = np.arange(begin, min(begin + _BATCH, len(split)))
        rows = rows[stored.offsets[rows] >= 0]
        split.reader.bring([stored], rows)
        found, faults = split.reader.fetch(stored.take(rows))
        if faults:
            place, why = min(faults.items())
            raise ReadError(f"{split.sample_ids([int(rows[place])])[0]}: {why}")
        yield found


def _decoded(split: "Split", member: str, workers: int) -> Iterator[list[np.ndarray]]:
    """The members' pixels, as a dataset gives them, for ``_BATCH`` rows at a time."""
    from shards.loader import loader  # torch: not needed to look for a copy
    from shards.sampler import GlobalBatchSampler

    sampler = GlobalBatchSampler(split, min(_BATCH, max(1, len(split))), kind="sequential", tail="pad")
    for batch in loader(split.dataset((member,)), sampler, workers=workers):
        pixels = batch[member].permute(0, 2, 3, 1).numpy()
        there = batch["partner_valid" if member == "partner" else "valid"].numpy()
        yield [pixels[slot].reshape(-1) for slot in np.flatnonzero(there)]


def _write(
    path: Path,
    split: "Split",
    member: str,
    stored: Ranges,
    shape: tuple[int, int, int] | None,
    pieces: Iterator[list[np.ndarray]],
    cache: Cache,
    progress: Progress | None,
) -> None:
    present = stored.offsets >= 0
    sizes = np.where(present, stored.sizes if shape is None else np.prod(shape), 0).astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(sizes)))
    table = -(-int(starts[-1]) // 8) * 8
    card = {"format": 1, "split": split.hash, "name": split.name, "member": member}
    card |= {"form": "stored" if shape is None else "raw", "rows": len(split), "table": table}
    card |= {"shape": shape, "row_bytes": None if shape is None else int(np.prod(shape))}
    card["made_of"] = _made_of(split, stored)
    text = json.dumps(card).encode()
    end = text + len(text).to_bytes(8, "little") + MAGIC
    total = table + 16 * len(split) + len(end)
    with create_locked(path) as file:
        try:
            if not cache.allocate(file.fileno(), 0, total):
                raise CacheError(
                    f"{split.name} needs {total / 1e9:,.3g} GB, and the cache {cache.folder} may take "
                    f"{cache.limit / 1e9:,.3g} GB, what is in use there included: raise its limit, or name another"
                )
            sums, rows, done = np.zeros(len(split), np.uint64), np.flatnonzero(present), 0
            for piece in pieces:
                for data in piece:
                    sums[rows[done]] = xxhash.xxh3_64_intdigest(data)
                    durable.write(file, data)
                    done += 1
                if progress:
                    progress(done, len(rows))
            durable.write(file, bytes(table - int(starts[-1])))
            for part in (starts[:-1].tobytes(), sums.tobytes(), end):
                durable.write(file, part)
            durable.fsync(file)
            with create_locked(path.with_suffix(".origin")) as origin:
                durable.write(origin, _origin(split))
                durable.fsync(origin)
                durable.rename(Path(origin.name), path.with_suffix(".origin"))
            durable.rename(Path(file.name), path)
            durable.sync_folder(path.parent)
        except BaseException:
            durable.remove(Path(file.name))
            raise


def _origin(split: "Split") -> bytes:
    """What must be there so that a copy may be deleted, see cache.py."""
    names = {*split.ranges("image").names, *split.ranges("partner").names}
    place = split.shards_dir.address if isinstance(split.shards_dir, Remote) else str(split.shards_dir.absolute())
    return json.dumps({"shards": place, "names": sorted(names)}).encode()
