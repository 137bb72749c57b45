"""USTAR bytes against the standard library's own, for any name and size that fits."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards import tar
from shards.errors import TarError

PARTS = st.text("abcXYZ0189_-+=@,%~.", min_size=1, max_size=70).filter(lambda part: part not in (".", ".."))
NAMES = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


def archive(members: list[tuple[str, bytes]]) -> bytes:
    return b"".join(tar.member(name, data) for name, data in members) + tar.END


def fits(name: str) -> bool:
    return len(name) <= 100 or any(i <= 155 and len(name) - i - 1 <= 100 for i, c in enumerate(name) if c == "/")


@given(NAMES, st.integers(0, tar.MAX_SIZE))
def test_a_header_is_what_tarfile_writes(name, size):
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    if fits(name):
        assert tar.header(name, size) == info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
        assert tar.parse(tar.header(name, size)) == (name, size)
    else:
        with pytest.raises(TarError, match="does not fit USTAR"):
            tar.header(name, size)


@given(st.lists(st.tuples(NAMES.filter(fits), st.binary(max_size=1500)), max_size=6))
def test_tarfile_reads_back_every_member(members):
    data = archive(members)
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        read = [(info.name, file.extractfile(info).read()) for info in file]
    assert read == members
    assert len(data) == sum(tar.span(len(content)) for _, content in members) + len(tar.END)


@given(NAMES.filter(fits), st.integers(0, 2**33 - 1), st.integers(0, tar.BLOCK * 8 - 1))
def test_a_flipped_bit_in_a_header_is_seen(name, size, bit):
    damaged = bytearray(tar.header(name, size))
    damaged[bit // 8] ^= 1 << bit % 8
    if bit // 8 == 155:  # the space behind the checksum's digits carries nothing
        assert tar.parse(bytes(damaged)) == (name, size)
    else:
        with pytest.raises(TarError):
            tar.parse(bytes(damaged))


@pytest.mark.parametrize("name", ["", "/a", "a//b", "a/", "../a", "a/./b", "ä.png", "a\0b", "a/" + "b" * 101])
def test_a_name_that_is_no_safe_member_name_is_refused(name):
    with pytest.raises(TarError):
        tar.header(name, 0)


def test_members_reach_up_to_eight_gib():
    assert tar.parse(tar.header("a.png", 8 * 2**30 - 1)) == ("a.png", 8 * 2**30 - 1)
    for size in (8 * 2**30, -1):
        with pytest.raises(TarError, match="8 GiB"):
            tar.header("a.png", size)


def test_a_block_cut_short_is_no_header():
    with pytest.raises(TarError, match="ends after 100"):
        tar.parse(tar.header("a.png", 1)[:100])
