"""A pinned split: the memory-mapped manifest of which samples, with which labels, at which bytes of which shards.

The manifest is one Arrow file, mapped and not read, so a split of ten million faces opens at once and every worker
shares its pages. It names its shards, not paths: a store can be moved, and a manifest finds them beside itself.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shards import schema
from shards.cache import DEFAULT_FOLDER
from shards.column import Column
from shards.errors import ReadError, SplitError
from shards.reader import GAP, Ranges
from shards.remote import Remote, attached_to, open_reader
from shards.uri import is_address

if TYPE_CHECKING:
    import datasets
    import webdataset

    from shards.dataset import SplitDataset
    from shards.interop import Samples

_PREFIX = {"image": "", "json": "", "mask": "", "partner": "partner_"}


class Split:
    """A pinned split, sorted by sample id. Open one with ``Split.open``; row i is sample i everywhere.

    ``path``, ``shards_dir``: where it is. ``name``, ``hash`` (64 hex digits), ``meta``: what it is. ``table``: its rows
    (MANIFEST). ``labels`` int8 [n], 0 real, 1 fake. ``weights`` float32 [n]. ``faceless``: videos that count in an
    evaluation though no face was found in them, each a dict with video_id, dataset, method, label. ``reader`` reads
    its shards.
    """

    def __init__(
        self, path: Path, shards_dir: Path | Remote, table: pa.Table, meta: dict[str, Any], cache: Path | str | None
    ) -> None:
        self.path, self.shards_dir, self.table, self.meta = path, shards_dir, table, meta
        self.cache = shards_dir.cache if isinstance(shards_dir, Remote) else cache or DEFAULT_FOLDER
        self.name: str = meta["name"]
        self.hash: str = meta["hash"]
        self.faceless: list[dict[str, Any]] = meta["faceless"]
        self.recipes: list[dict[str, Any]] = meta["recipes"]
        self.labels = self.numbers("label")
        self.weights = self.numbers("weight")
        self._ranges: dict[str, Ranges] = {}
        self.reader = open_reader(shards_dir, meta.get("created_at"))

    @classmethod
    def open(
        cls, path: Path | str, shards_dir: Path | str | Remote | None = None, cache: Path | str | None = None
    ) -> "Split":
        """Map a manifest. ``shards_dir``: a folder, an address such as ``hf://datasets/me/faces/shards``, or a Remote;
        by default ``shards`` in the store that holds the manifest, or what that is attached to. ``cache``: the folder
        of this machine where bytes from an address are kept and materialised splits are looked for, by default
        ``~/.cache/deepshard``.

        Raises SplitError if there is none, if it is not one this version reads, or if it was renamed to another hash.
        """
        path = Path(path)
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except FileNotFoundError:
            raise SplitError(f"{path} does not exist: pin the split first (`deepshard split pin`)") from None
        except (OSError, pa.ArrowException) as error:
            raise SplitError(f"{path} is not a pinned split ({error}): pin it again") from None
        meta = json.loads((table.schema.metadata or {}).get(b"deepshard", b"null"))
        if meta is None or "hash" not in meta:
            raise SplitError(f"{path} is an Arrow file but not a pinned split: pin one with `deepshard split pin`")
        version = meta.get("manifest_version")
        if version != schema.MANIFEST_VERSION:
            raise SplitError(
                f"{path} has manifest version {version}, this deepshard reads {schema.MANIFEST_VERSION}: "
                "pin the split again"
            )
        wrong = [
            f.name
            for f in schema.MANIFEST_FIELDS
            if f.name not in table.schema.names or table.schema.field(f.name).type != f.type
        ]
        if wrong:
            raise SplitError(f"{path} lacks columns {', '.join(wrong)}, or they have other types: pin the split again")
        _, at, digits = path.stem.partition("@")
        if at and not meta["hash"].startswith(digits):
            raise SplitError(f"{path} holds the split {meta['name']}@{meta['hash'][:12]}: give it its own name back")
        if shards_dir is None:
            folder = path.absolute().parent.parent / "shards"
            shards_dir = attached_to(folder, cache) or folder
        elif is_address(shards_dir):
            shards_dir = Remote(shards_dir, cache or DEFAULT_FOLDER)
        elif not isinstance(shards_dir, Remote):
            shards_dir = Path(shards_dir)
        return cls(path, shards_dir, table.unify_dictionaries(), meta, cache)

    def __len__(self) -> int:
        return self.table.num_rows

    def __repr__(self) -> str:
        return f"Split({self.name}@{self.hash[:12]}, {len(self)} samples)"

    def _array(self, column: str) -> pa.Array:
        """A column in one piece; a manifest of one batch is not copied."""
        chunked = self.table[column]
        return (
            chunked.chunk(0) if chunked.num_chunks == 1 else pa.concat_arrays(chunked.chunks or [_none(chunked.type)])
        )

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers as an array [n], not copied where it has no nulls; nulls become -1, or 0 if unsigned."""
        array = self._array(column)
        if array.null_count:
            array = array.fill_null(0 if pa.types.is_unsigned_integer(array.type) else -1)
        return array.to_numpy(zero_copy_only=False)

    def words(self, column: str) -> tuple[np.ndarray, list[str]]:
        """A column of words as codes int32 [n] and the words they stand for; null is -1."""
        return self.codes(column), self.vocabulary(column)

    def vocabulary(self, column: str) -> list[str]:
        """The words that a column of words may have."""
        return self._array(column).dictionary.to_pylist()

    def codes(self, column: str) -> np.ndarray:
        """A column of words as codes int32 [n] alone: there may be ten million different videos; null is -1."""
        array = self._array(column)
        codes = array.indices.fill_null(-1) if array.null_count else array.indices
        return codes.to_numpy(zero_copy_only=False)

    def sample_ids(self, indices: Iterable[int] | None = None) -> list[str]:
        """The ids of these rows, or of all."""
        column = self.table["sample_id"]
        return (column if indices is None else column.take(pa.array(indices, pa.int64()))).to_pylist()

    def rows(self, indices: Iterable[int]) -> list[dict[str, Any]]:
        """Whole rows of the manifest as dicts."""
        return self.table.take(pa.array(indices, pa.int64())).to_pylist()

    def ranges(self, member: str) -> Ranges:
        """Where ``image``, ``json``, ``mask`` or ``partner`` (the partner's image) of every row lies.

        Rows without that member have offset -1.
        """
        if member not in self._ranges:
            if member not in _PREFIX:
                raise SplitError(f"there is no member {member!r}: ask for one of {', '.join(_PREFIX)}")
            prefix = _PREFIX[member]
            part = f"{prefix}image" if prefix else member
            shard = self._array(f"{prefix}shard")
            place = [self._array(f"{part}_{field}") for field in ("offset", "size", "xxh3")]
            columns = (_where_it_lies(array) for array in (shard.indices, *place))
            self._ranges[member] = Ranges(shard.dictionary.to_pylist(), *columns)
        return self._ranges[member]

    def check_shards(self) -> None:
        """Raises ReadError if a shard of this split is missing or shorter than its faces reach: a look, no reading."""
        codes, names = self.words("shard")
        ends = np.zeros(len(names), np.int64)
        for member in ("image", "json", "mask"):
            np.maximum.at(ends, codes, self.numbers(f"{member}_offset") + self.numbers(f"{member}_size"))
        self.reader.check({names[code]: int(ends[code]) for code in np.unique(codes)})

    def read(self, index: int, member: str = "image") -> bytes:
        """The stored bytes of one member of row ``index``, checked. Raises ReadError, IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        ranges = self.ranges(member)
        if ranges.offsets[index] < 0:
            raise ReadError(f"{self.sample_ids([index])[0]} has no {member}: its recipe or its split gives none")
        found, faults = self.reader.fetch(ranges.take(np.array([index])))
        if found[0] is None:
            raise ReadError(f"{self.sample_ids([index])[0]}: {faults[0]}")
        return found[0].tobytes()

    def dataset(
        self,
        members: Sequence[str] = ("image",),
        on_error: str = "raise",
        transform: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        gap: int = GAP,
    ) -> "SplitDataset":
        """The split as a map-style torch dataset of decoded batches; see ``SplitDataset``."""
        from shards.dataset import SplitDataset  # torch: not needed to look at a split

        return SplitDataset(self, members, on_error, transform, gap)

    def as_torch(self, members: Sequence[str] = ("image",)) -> "Samples":
        """The split sample by sample, for a DataLoader of one's own; see ``interop.Samples``."""
        from shards.interop import Samples

        return Samples(self, members)

    def as_webdataset(
        self, members: Sequence[str] = ("image", "json"), seed: int | None = None, epoch: int = 0
    ) -> "webdataset.DataPipeline":
        """The split as a webdataset pipeline; see ``interop.as_webdataset``."""
        from shards.interop import as_webdataset

        return as_webdataset(self, members, seed, epoch)

    def as_hf(
        self, members: Sequence[str] = ("image",), streaming: bool = False
    ) -> "datasets.Dataset | datasets.IterableDataset":
        """The split for the library ``datasets``; see ``interop.as_hf``."""
        from shards.interop import as_hf

        return as_hf(self, members, streaming)


def _where_it_lies(array: pa.Array) -> np.ndarray | Column:
    """Numbers of which none is copied: an array, or, with nulls, a column that has -1 there, or 0 if unsigned."""
    if array.null_count:
        return Column(array, 0 if pa.types.is_unsigned_integer(array.type) else -1)
    return array.to_numpy(zero_copy_only=False)


def _none(kind: pa.DataType) -> pa.Array:
    return pa.array([], kind)
