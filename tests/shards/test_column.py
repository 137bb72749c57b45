"""Columns with nulls: every way of looking gives what filling the nulls would have given, and nothing is copied."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.column import Column

VALUES = st.lists(st.none() | st.integers(0, 2**31 - 1), min_size=1, max_size=60).filter(lambda some: None in some)


@given(VALUES, st.data())
def test_any_rows_are_those_of_the_filled_column(values, data):
    cut = data.draw(st.integers(0, len(values) - 1))
    array = pa.array(values, pa.int64())[cut:]
    filled = array.fill_null(-1).to_numpy()
    column = Column(array, -1)
    rows = np.array(data.draw(st.lists(st.integers(-len(filled), len(filled) - 1))), np.int64)
    assert len(column) == len(filled) and np.array_equal(column[rows], filled[rows])
    assert np.array_equal(column[1:-1], filled[1:-1]) and np.array_equal(column[filled > 5], filled[filled > 5])
    assert column[len(filled) - 1] == filled[-1] and np.array_equal(np.asarray(column), filled)
    assert np.array_equal(column < 0, filled < 0) and np.array_equal(column >= 3, filled >= 3)


@given(st.lists(st.none() | st.integers(0, 4), min_size=1).filter(lambda some: None in some))
def test_numbers_of_words_may_be_given_anew(values):
    array, words = pa.array(values, pa.int32()), np.array([7, 3, 9, 1, 0, -1], np.int32)
    renamed = Column(array, -1).renamed(words)
    assert renamed[:].tolist() == [-1 if value is None else words[value] for value in values]
    assert renamed.renamed(np.arange(10, dtype=np.int32))[:].tolist() == renamed[:].tolist()
    assert renamed[:].dtype == np.int32


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.uint64()])
def test_a_column_keeps_its_type_and_takes_no_memory_of_its_own(kind):
    array = pa.array([None, *range(100_000)], kind)
    before = pa.total_allocated_bytes()
    column = Column(array, 0)
    assert pa.total_allocated_bytes() == before and column._values.base is not None
    assert column[np.array([0, 3])].dtype == kind.to_pandas_dtype()
