"""A column of a pinned split that has nulls, looked up row by row where it lies in the mapped file.

Filling its nulls would copy it in every worker, eight bytes for every row of the split; this copies only what is asked
for. Given up: arithmetic. Comparing it, or giving it to NumPy, makes an array of all of it.
"""

from typing import Any

import numpy as np
import pyarrow as pa


class Column:
    """Numbers of an Arrow array, ``absent`` where it is null; ``words[number]`` instead, where words are given.

    Indexed as an array is, with rows, a slice, a mask or one row.
    """

    def __init__(self, array: pa.Array, absent: int, words: np.ndarray | None = None) -> None:
        bits, values = array.buffers()
        self._values = np.frombuffer(values, array.type.to_pandas_dtype())[array.offset : array.offset + len(array)]
        self._bits = np.frombuffer(bits, np.uint8) if array.null_count else None
        self._first_bit, self._absent, self._words = array.offset, absent, words

    def renamed(self, words: np.ndarray) -> "Column":
        """The same column with other words for its numbers."""
        other = object.__new__(Column)
        other.__dict__.update(self.__dict__, _words=words if self._words is None else words[self._words])
        return other

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: Any) -> np.ndarray:
        place = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        if place.dtype == bool:
            place = np.flatnonzero(place)
        place = np.where(place < 0, place + len(self), place)
        found = self._values[place]
        present = True
        if self._bits is not None:
            bit = place + self._first_bit
            present = self._bits[bit >> 3] >> (bit & 7).astype(np.uint8) & 1 == 1
        if self._words is not None:
            found = self._words[np.where(present, found, 0)]
        return np.where(present, found, np.asarray(self._absent, found.dtype))[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self[:0].dtype, copy=False)

    def __lt__(self, other: Any) -> np.ndarray:
        return np.asarray(self) < other

    def __ge__(self, other: Any) -> np.ndarray:
        return np.asarray(self) >= other
