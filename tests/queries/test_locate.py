"""Sample ids are taken apart into what they were made of, and nothing else is taken for one."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.locate import locate, take_apart
from shards.schema import sample_id, sample_key, video_id

CONTENT, RECIPE = "c" * 64, "ab" * 32
part = st.text(min_size=1, max_size=12)
stem = st.builds(lambda *parts: f"{RECIPE[:8]}/{CONTENT[:8]}/{video_id(*parts)}", part, part, part, part)
place = st.tuples(st.integers(0, 10**9), st.integers(0, 9999)) | st.tuples(st.integers(0, 999_999), st.integers(0, 9))


@settings(deadline=None)
@given(st.lists(stem, min_size=1, max_size=5, unique=True), st.lists(place, max_size=20), st.data())
def test_ids_are_taken_apart_into_what_they_were_made_of_wherever_they_lie(stems, places, data):
    made = [(data.draw(st.integers(0, len(stems) - 1)), *numbers) for numbers in places]
    ids = [sample_key(stems[number], frame, track) for number, frame, track in made]
    holes = sorted(data.draw(st.sets(st.integers(0, len(ids) - 1)))) if ids else []
    given_ids = [None if i in holes else text for i, text in enumerate(ids)]
    padded = pa.array(["some/other/thing", None, *given_ids, "x"], pa.string()).slice(2, len(ids))
    found, frame, track = (column.to_pylist() for column in take_apart(padded, pa.array(stems)))
    for i, numbers in enumerate(made):
        assert found[i] is None if i in holes else (found[i], frame[i], track[i]) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/000001-0",
        "000001-0",
        "a/b/1-0",
        "a/b/00001-0",
        "a/b/0000001-0",  # seven digits, but no million
        "a/b/000001-00",
        "a/b/000001_0",
        "a/b-000001-0",
        "a/b/ 00001-0",
        "a/b/+00001-0",
        "a/b/00000１-0",
        "a/b/000001-0 ",
        "A/B/000001-0",
        "a/b/c/000001-0",
        "a/bé/000001-0",
    ],
)
def test_what_is_not_exactly_an_id_is_none(text):
    found, _, _ = take_apart(pa.array(["a/b/000001-0", text]), pa.array(["a/b", ""]))
    assert found.to_pylist() == [0, None]


def test_columns_in_pieces_are_located_by_the_attempts_that_are_current():
    stems = pa.table({"stem": ["a/b", "a/c"], "attempt": pa.array([7, 3], pa.int32())})
    ids = pa.chunked_array([["a/c/000002-1", None], [], ["a/b/1234567-12", "a/d/000000-0"]], pa.string())
    located, nothing = locate(stems, ids, pa.chunked_array([], pa.string()))
    assert located["attempt"].to_pylist() == [3, None, 7, None] and len(nothing) == 0
    assert [located[name].to_pylist()[::2] for name in ("frame_index", "track")] == [[2, 1234567], [1, 12]]


def test_the_stem_is_that_of_sample_ids():
    text = sample_id(RECIPE, CONTENT, sample_key(video_id("ffpp", "original", "c23", "000"), 5, 0))
    found, frame, track = take_apart(pa.array([text]), pa.array([f"{RECIPE[:8]}/{CONTENT[:8]}/ffpp/original/c23/000"]))
    assert (found.to_pylist(), frame.to_pylist(), track.to_pylist()) == ([0], [5], [0])
