"""Names of samples: what may stand in a key, and that no two samples share one."""

import os
import re
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shards import schema, tar
from shards.errors import ShardError

FILE_NAMES = st.one_of(st.binary(min_size=1, max_size=120).map(os.fsdecode), st.text(min_size=1, max_size=120)).filter(
    lambda name: not re.search("[\ud800-\udc7f\udd00-\udfff]", name)
)


@given(FILE_NAMES)
@example("a.b/c")
@example("..")
@example("Ünï—çödé 視頻")
@example("\udcff.mp4")
@example("~" * 80)
def test_an_escaped_name_ends_no_key_and_leaves_no_folder(name):
    escaped = schema.escape(name)
    assert re.fullmatch(r"[A-Za-z0-9_\-+=@,%~]{1,64}", escaped)
    if "~" not in escaped:
        assert urllib.parse.unquote_to_bytes(escaped) == os.fsencode(name)


@given(st.binary(min_size=1, max_size=120), st.binary(min_size=1, max_size=120))
@example(b"a" * 100 + b"1", b"a" * 100 + b"2")
@example("é".encode(), b"\xc3\xa9 ")
def test_two_names_never_share_a_key(one, other):
    assert (schema.escape(os.fsdecode(one)) == schema.escape(os.fsdecode(other))) == (one == other)


@given(st.lists(FILE_NAMES, min_size=1, max_size=1), st.integers(0, 10**7), st.integers(0, 32767))
def test_every_member_of_a_sample_fits_ustar(name, frame, track):
    key = schema.sample_key(schema.video_id("faceforensics-plus-plus", "NeuralTextures", "c23", name[0]), frame, track)
    assert tar.parse(tar.header(f"{key}.mask.png", 0))[0] == f"{key}.mask.png"


@given(st.lists(st.integers(0, 999_999), min_size=2, max_size=9))
def test_keys_of_a_video_sort_by_time(frames):
    keys = [schema.sample_key("a/b/c/d", frame, 0) for frame in frames]
    assert sorted(keys) == [schema.sample_key("a/b/c/d", frame, 0) for frame in sorted(frames)]


def test_names_that_cannot_be_keys_are_refused():
    for name in ("", "\ud800"):
        with pytest.raises(ShardError):
            schema.escape(name)
    with pytest.raises(ShardError, match="count from 0"):
        schema.sample_key("a/b/c/d", -1, 0)


def test_ids_and_draw_keys_never_change():
    key = schema.sample_key(schema.video_id("ffpp", "Deepfakes", "c23", "000_003"), 42, 0)
    sample = schema.sample_id("0123456789abcdef", "fedcba9876543210", key)
    assert sample == "01234567/fedcba98/ffpp/Deepfakes/c23/000_003/000042-0"
    assert schema.draw_key(sample) == 1053915288380640305
    assert schema.escape("x" * 70) == "x" * 51 + "~c71bd109227e"
