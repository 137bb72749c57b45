"""USTAR members as bytes: a header that depends on name and size alone, the data, the padding.

Written by hand rather than with ``tarfile`` because the same sample must give the same bytes for ever, and because the
offset of the data must be known while writing. Only regular files, only what USTAR holds: no extension records, so that
every reader understands a shard and a member's data always starts 512 bytes after its header.
Format: POSIX.1-2017, pax, section "ustar Interchange Format".
"""

import struct

from shards.errors import TarError

BLOCK = 512
END = bytes(2 * BLOCK)  # end-of-archive: two blocks of zeros
MAX_SIZE = 8**11 - 1  # eleven octal digits, one byte short of 8 GiB
_NAME_BYTES, _PREFIX_BYTES = 100, 155
# name mode uid gid size mtime chksum typeflag linkname magic version uname gname devmajor devminor prefix
_FIELDS = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 100s 6s 2s 32s 32s 8s 8s 155s 12x")


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a member: mode 0644, owner 0/0 without names, time 0.

    Raises TarError if the name is not plain relative ASCII, if it does not fit (100 bytes, or 155 + 100 bytes split at
    a slash), or if the size is negative or does not fit (8 GiB).
    """
    prefix, base = _split(name)
    if not 0 <= size <= MAX_SIZE:
        raise TarError(f"{name}: {size} bytes do not fit a USTAR member, which holds up to 8 GiB; write a smaller file")
    zero8, zero12, empty8 = b"0000000\0", b"00000000000\0", bytes(8)
    octal = b"%011o\0" % size
    values = [base, b"0000644\0", zero8, zero8, octal, zero12, b" " * 8, b"0", b"", b"ustar\0", b"00"]
    values += [b"", b"", empty8, empty8, prefix]
    # the checksum is the sum of all bytes with its own field read as spaces
    values[6] = b"%06o\0 " % sum(_FIELDS.pack(*values))
    return _FIELDS.pack(*values)


def padding(size: int) -> bytes:
    """Zeros from the end of the data to the next block."""
    return bytes(-size % BLOCK)


def padded(size: int) -> int:
    """Bytes up to the next block."""
    return size + -size % BLOCK


def span(size: int) -> int:
    """Bytes a member of ``size`` bytes takes in the archive: header, data and padding."""
    return BLOCK + size + -size % BLOCK


def member(name: str, data: bytes) -> bytes:
    """A whole member: header, data and padding."""
    return b"".join((header(name, len(data)), data, padding(len(data))))


def parse(block: bytes) -> tuple[str, int]:
    """Name and size from a header block. Raises TarError if it is not an intact USTAR header."""
    if len(block) != BLOCK:
        raise TarError(f"a header has {BLOCK} bytes, the archive ends after {len(block)}")
    try:
        base, _, _, _, size, _, checksum, _, _, magic, _, _, _, _, _, prefix = _FIELDS.unpack(block)
        if magic != b"ustar\0" or _octal(checksum) != sum(block) - sum(checksum) + 8 * ord(" "):
            raise ValueError
        names = [part.split(b"\0")[0].decode("ascii") for part in (prefix, base)]
        return "/".join(filter(None, names)), _octal(size)
    except ValueError:
        raise TarError("not an intact USTAR header (wrong magic or checksum)") from None


def _split(name: str) -> tuple[bytes, bytes]:
    parts = name.split("/")
    if not name.isascii() or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise TarError(f"{name!r} is not a member name: use a relative ASCII path without '.', '..' or empty parts")
    raw = name.encode("ascii")
    if len(raw) <= _NAME_BYTES:
        return b"", raw
    slash = raw.find(b"/", len(raw) - _NAME_BYTES - 1)
    if slash < 0 or slash > _PREFIX_BYTES:
        raise TarError(
            f"{name!r} ({len(raw)} bytes) does not fit USTAR, which holds 155 bytes of folder and 100 bytes of name: "
            "shorten the dataset's, method's or quality's name"
        )
    return raw[:slash], raw[slash + 1 :]


def _octal(field: bytes) -> int:
    return int(field.split(b"\0")[0].strip() or b"0", 8)
