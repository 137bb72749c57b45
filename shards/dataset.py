"""A pinned split as a map-style torch dataset that answers with whole batches.

``__getitems__`` fetches a batch in few reads, checks every member, and decodes into one preallocated array, because
Python's work per face must stay small beside the decoder's. It travels to a worker as a path and opens its files there,
so it survives fork, forkserver and spawn. An unreadable sample stops the run or keeps its slot, marked: never another
sample in its place.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from shards.ahead import Ahead
from shards.column import Column
from shards.errors import ReadError, SplitError
from shards.image import decode_image, decode_into
from shards.materialize import placed
from shards.order import SLOT
from shards.reader import GAP, Ranges
from shards.split import Split

_STORED = {"image": "image", "mask": "mask", "landmarks": "json", "json": "json", "partner": "partner"}
_PROBED = 64  # rows tried for the size of images where no recipe tells it

Transform = Callable[[dict[str, Any]], dict[str, Any]]
Allocate = Callable[[tuple[int, ...]], torch.Tensor]  # shape to uint8 memory


class SplitDataset(Dataset):
    """Batches of a split. ``dataset[i]`` is a batch of one, ``dataset.__getitems__(rows)`` a batch (B slots):

    ``image`` uint8 [B,3,H,W] RGB, channels last in memory; ``label`` int64 [B], 0 real, 1 fake; ``weight`` float32 [B];
    ``index`` int64 [B], row of the split; ``valid`` bool [B]; ``draw`` int64 [B], random bits for augmentations from
    (split hash, seed, epoch, place in the order), 0 where plain rows are asked for; ``errors``, a list of dicts with
    index, sample_id and message. If asked for: ``mask`` uint8 [B,1,H,W]; ``landmarks`` float32 [B,K,2], x right and y
    down in pixels of the crop; ``json``, a list of dicts; ``partner`` uint8 [B,3,H,W] with ``partner_valid`` bool [B],
    False where a row has no partner.

    Row -1 is a padded slot: zeros, label -1, index -1, weight 0, not valid. With ``on_error="record"`` an unreadable
    sample keeps its slot, index, label and weight, is not valid, has zeros for pixels and an entry in ``errors``; with
    ``"raise"`` it raises ReadError, which names sample, shard and what to do. ``transform`` is called with each batch.
    """

    def __init__(
        self,
        split: Split,
        members: Sequence[str] = ("image",),
        on_error: str = "raise",
        transform: Transform | None = None,
        gap: int = GAP,
    ) -> None:
        unknown = sorted(set(members) - set(_STORED))
        if unknown or not members:
            raise SplitError(f"members {list(members)}: choose from {', '.join(_STORED)}")
        if on_error not in ("raise", "record"):
            raise SplitError(f"on_error is {on_error!r}: choose 'raise' or 'record'")
        self.members, self.on_error, self.transform, self.gap = tuple(members), on_error, transform, gap
        self._open(split)
        if "mask" in self._ranges and (absent := int((self._ranges["mask"].offsets < 0).sum())):
            raise SplitError(
                f"{absent} of {len(split)} samples of split {split.name} have no mask: curate them with a recipe that "
                "keeps masks, or do without the member 'mask'"
            )

    def _open(self, split: Split) -> None:
        self.split = split
        self._reader, places = placed(split, dict.fromkeys(_STORED[member] for member in self.members))
        self._ranges = _one_list_of_names(places)
        self._size = _recipe_size(split)
        self._points: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in ("members", "on_error", "transform", "gap")}
        place = {name: getattr(self.split, name) for name in ("path", "shards_dir", "cache", "hash")}
        return settings | place

    def __setstate__(self, state: dict[str, Any]) -> None:
        path, shards_dir, cache, expected = (state.pop(name) for name in ("path", "shards_dir", "cache", "hash"))
        self.__dict__.update(state)
        self._open(Split.open(path, shards_dir, cache))
        if self.split.hash != expected:
            raise SplitError(f"{path} was replaced while it was in use: start again")

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self.__getitems__([index])

    @property
    def far(self) -> bool:
        """Whether the shards lie at an address, so that it helps to tell early what will be read."""
        return self._reader.far

    def __getitems__(self, slots: Sequence[int] | np.ndarray | Ahead) -> dict[str, Any]:
        """A batch of these rows: ints, an array of SLOT as the sampler gives it, or Ahead."""
        return self.batch(slots, fresh)

    def batch(self, slots: Sequence[int] | np.ndarray | Ahead, allocate: Allocate) -> dict[str, Any]:
        """The same, with its pixels where ``allocate`` puts them."""
        if isinstance(slots, Ahead):
            self._reader.bring(self._files().values(), slots.later, wait=False)
            slots = slots.slots
        slots = np.asarray(slots)
        if slots.dtype == SLOT:
            rows, draw = np.ascontiguousarray(slots["row"]), np.ascontiguousarray(slots["draw"])
        else:
            rows, draw = slots.astype(np.int64), np.zeros(len(slots), np.int64)
        if len(rows) and not (rows.min() >= -1 and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        state = _Slots(self, rows, rows >= 0, [])
        stored = self._fetch(state)
        pixels: dict[str, Any] = {}
        for kind in ("image", "mask", "partner"):
            if kind in self.members:
                pixels[kind] = self._pixels(kind, stored.get(kind), state, allocate)
        if "json" in stored:
            parsed = self._parse(stored["json"], state)
            if "landmarks" in self.members:
                pixels["landmarks"] = self._landmarks(parsed, state)
        return self._finish(state, draw, pixels, parsed if "json" in self.members else None)

    def _finish(self, state: "_Slots", draw: np.ndarray, pixels: dict[str, torch.Tensor], parsed) -> dict[str, Any]:
        rows, valid, real = state.rows, state.valid, state.rows >= 0
        for tensor in pixels.values():
            tensor.numpy()[~valid] = 0
        batch = dict(pixels)
        if "partner" in pixels:
            has_partner = valid & (self._ranges["partner"].offsets[rows] >= 0)
            pixels["partner"].numpy()[~has_partner] = 0
            batch["partner_valid"] = torch.from_numpy(has_partner)
        for name in ("image", "mask", "partner"):
            if name in batch:
                batch[name] = batch[name].permute(0, 3, 1, 2)
        if parsed is not None:
            batch["json"] = [fields if ok else None for fields, ok in zip(parsed, valid.tolist(), strict=True)]
        batch["label"] = torch.from_numpy(np.where(real, self.split.labels[rows], -1).astype(np.int64))
        batch["weight"] = torch.from_numpy(np.where(real, self.split.weights[rows], 0).astype(np.float32))
        batch["index"] = torch.from_numpy(rows)
        batch["draw"] = torch.from_numpy(draw)
        batch["valid"] = torch.from_numpy(valid)
        batch["errors"] = state.errors
        return self.transform(batch) if self.transform else batch

    def _files(self) -> dict[str, Ranges]:
        """The members that are files to be decoded, not pixels."""
        return {kind: ranges for kind, ranges in self._ranges.items() if not ranges.raw}

    def _fetch(self, state: "_Slots") -> dict[str, list[np.ndarray | None]]:
        """The bytes of every file asked for, slot by slot, in one pass over the shards."""
        files = self._files()
        if not files:
            return {}
        self._reader.bring(files.values(), state.rows[state.valid])
        places, pieces = [], []
        for ranges in files.values():
            place = state.present(ranges)
            places.append(place.tolist())
            pieces.append(ranges.take(state.rows[place]))
        columns = (
            np.concatenate([getattr(piece, column) for piece in pieces])
            for column in ("shards", "offsets", "sizes", "checksums")
        )
        wanted = Ranges(pieces[0].names, *columns)
        found, faults = self._reader.fetch(wanted, self.gap)
        stored, data = {}, iter(enumerate(found))
        for kind, place in zip(files, places, strict=True):
            stored[kind] = [None] * len(state.rows)
            for slot, (i, member) in zip(place, data, strict=False):
                stored[kind][slot] = member
                if member is None:
                    state.fail(slot, faults[i])
        return stored

    def _pixels(
        self, kind: str, stored: list[np.ndarray | None] | None, state: "_Slots", allocate: Allocate
    ) -> torch.Tensor:
        """Pixels of every slot, uint8 [B,H,W,C]; slots without bytes are left as they are."""
        height, width = self.size()
        tensor = allocate((len(state.rows), height, width, 1 if kind == "mask" else 3))
        pixels = tensor.numpy()[..., 0] if kind == "mask" else tensor.numpy()
        if stored is None:
            self._fill(kind, pixels, state)
            return tensor
        for slot, member in enumerate(stored):
            if member is not None:
                try:
                    decode_into(member, pixels[slot])
                except ReadError as error:
                    state.fail(slot, self._at(kind, state.rows[slot], str(error)))
        return tensor

    def _fill(self, kind: str, pixels: np.ndarray, state: "_Slots") -> None:
        """Pixels that are stored as such, read into their slots."""
        ranges = self._ranges[kind]
        place = state.present(ranges)
        wanted, slots = ranges.take(state.rows[place]), place.tolist()
        if (wanted.sizes != pixels[:1].nbytes).any():
            raise SplitError(f"{self.split.name} holds raw pixels of another size than its recipe's: make it again")
        faults = self._reader.fill(wanted, [pixels[slot].reshape(-1) for slot in slots], self.gap)
        for i, message in sorted(faults.items()):
            state.fail(slots[i], message)

    def _parse(self, stored: list[np.ndarray | None], state: "_Slots") -> list[dict[str, Any] | None]:
        parsed: list[dict[str, Any] | None] = [None] * len(stored)
        for slot, member in enumerate(stored):
            if member is not None:
                try:
                    parsed[slot] = json.loads(member.tobytes())
                except ValueError as error:
                    state.fail(slot, self._at("json", state.rows[slot], f"not JSON ({error})"))
        return parsed

    def _landmarks(self, parsed: list[dict[str, Any] | None], state: "_Slots") -> torch.Tensor:
        """Landmarks of every slot, float32 [B,K,2]."""
        arrays: list[np.ndarray | None] = [None] * len(parsed)
        for slot, fields in enumerate(parsed):
            if fields is not None and state.valid[slot]:
                array = np.asarray(fields.get("landmarks") or [], np.float32).reshape(-1, 2)
                self._points = self._points or len(array)
                if 0 < len(array) == self._points:
                    arrays[slot] = array
                else:
                    why = f"it has {len(array)} landmarks, others {self._points}; pin samples of one landmark scheme"
                    state.fail(slot, self._at("json", state.rows[slot], why))
        if self._points is None:
            self._points = self._probe_points()
        tensor = torch.zeros((len(parsed), self._points, 2))
        for slot, array in enumerate(arrays):
            if array is not None:
                tensor.numpy()[slot] = array
        return tensor

    def size(self) -> tuple[int, int]:
        """Height and width of every image: the recipe's, or where none tells it that of the first readable one."""
        if self._size is None:
            self._size = decode_image(self._first("image")).shape[:2]
        return self._size

    def pixel_bytes(self) -> int:
        """Bytes of one sample's decoded image, mask and partner, as far as they were asked for."""
        channels = sum({"image": 3, "mask": 1, "partner": 3}.get(member, 0) for member in self.members)
        return channels * self.size()[0] * self.size()[1]

    def _probe_points(self) -> int:
        return len(json.loads(self._first("json"))["landmarks"])

    def _first(self, kind: str) -> bytes:
        rows = range(min(len(self), _PROBED))
        for row in rows:
            try:
                return self.split.read(row, kind)
            except ReadError as error:
                last = error
        raise ReadError(f"none of the first {len(rows)} samples of {self.split.name} can be read; the last: {last}")

    def _at(self, kind: str, row: int, why: str) -> str:
        ranges = self._ranges[kind]
        return f"{kind} at offset {ranges.offsets[row]} of shard {ranges.names[ranges.shards[row]]}.tar: {why}"


@dataclass
class _Slots:
    """The slots of one batch while it is read: which rows, which still hold a whole sample, what went wrong."""

    dataset: SplitDataset
    rows: np.ndarray
    valid: np.ndarray
    errors: list[dict[str, Any]]

    def present(self, ranges: Ranges) -> np.ndarray:
        """Slots that are whole so far and have such a member: int64."""
        return np.flatnonzero(self.valid & (ranges.offsets[self.rows] >= 0))

    def fail(self, slot: int, message: str) -> None:
        row = int(self.rows[slot])
        sample = self.dataset.split.sample_ids([row])[0]
        if self.dataset.on_error == "raise":
            raise ReadError(f"{sample}: {message}")
        if self.valid[slot]:
            self.errors.append({"index": row, "sample_id": sample, "message": message})
        self.valid[slot] = False


def _one_list_of_names(by_kind: dict[str, Ranges]) -> dict[str, Ranges]:
    """The same ranges, all with codes into one list of shards, so that they can be fetched together."""
    places: dict[str, int] = {}
    for ranges in by_kind.values():
        for name in ranges.names:
            places.setdefault(name, len(places))
    names = list(places)
    unified = {}
    for kind, ranges in by_kind.items():
        code = np.array([places[name] for name in ranges.names] + [-1], np.int32)  # code -1, no partner, stays -1
        same = np.array_equal(code[:-1], np.arange(len(ranges.names)))
        shards = ranges.shards
        if not same:
            shards = shards.renamed(code) if isinstance(shards, Column) else code[shards]
        unified[kind] = replace(ranges, names=names, shards=shards)
    return unified


def _recipe_size(split: Split) -> tuple[int, int] | None:
    sizes = {(recipe.get("recipe") or {}).get("size") for recipe in split.recipes}
    if len(sizes) > 1:
        raise SplitError(
            f"split {split.name} mixes recipes with crops of {', '.join(map(str, sizes))} pixels, which do not fit one "
            "batch: select one recipe and pin again"
        )
    size = sizes.pop() if sizes else None
    return (size, size) if size else None


def fresh(shape: tuple[int, ...]) -> torch.Tensor:
    """Memory of its own for pixels, uint8, to be filled."""
    return torch.empty(shape, dtype=torch.uint8)
