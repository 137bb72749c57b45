"""Addresses of things elsewhere (``s3://bucket/folder``, ``gs://``, ``hf://``, ``file://``), opened through fsspec.

An address is written down in scans, catalogs and logs, so one that holds a key is refused before anything reads it;
fsspec and its packages take keys from the environment and from their own files.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import xxhash
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.registry import known_implementations

from shards.errors import ShardError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
_LOGIN = re.compile(r"^[^/@]*:(?!\d+(/|$))[^@]*@")  # key:secret@bucket; not host:22/a@b
_KEY_IN_QUERY = re.compile(r"[?&][^=&]*(key|token|secret|passw|signature|sig|credential)[^=&]*=", re.IGNORECASE)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("LastModified", "mtime", "last_modified", "created")
_CHECKSUMS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "sha256", "blob_id", "CRC")


class AddressError(ShardError):
    """An address that cannot be opened; the message says what to do."""


def is_address(text: str | os.PathLike) -> bool:
    """Whether a text is an address and not a path."""
    return isinstance(text, str) and bool(_ADDRESS.match(text))


def check_no_key(address: str) -> None:
    """Raises AddressError, which does not repeat it, for an address with a password, key or signature in it."""
    for link in address.split("::"):
        protocol, _, rest = link.rpartition("://")
        if _LOGIN.search(rest) or _KEY_IN_QUERY.search(rest):
            raise AddressError(
                f"the {protocol or 'given'}:// address holds a key, and addresses are written into catalogs and logs: "
                "leave it out, and give it by the environment (AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, ...) or in "
                "~/.config/fsspec/conf.json on every machine (docs/cluster.md)"
            )


def open_address(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address and the path in it, without a slash at its end. Raises AddressError.

    What the file system remembers of earlier listings is forgotten.
    """
    check_no_key(address)
    try:
        fs, path = url_to_fs(address)
    except ImportError as error:
        protocol = re.split("://|::", address)[0]
        package = known_implementations.get(protocol, {}).get("class", "").split(".")[0]
        install = f"pip install {package}" if package not in ("", "fsspec") else f"{error}"
        raise AddressError(f"{address} needs a package that is not installed on this machine: {install}") from error
    except ValueError as error:
        raise AddressError(
            f"{address}: {error}. Known are {', '.join(('file', 's3', 'gs', 'abfs', 'hf'))} and whatever fsspec knows"
        ) from error
    fs.invalidate_cache()
    return fs, path.rstrip("/") if path != "/" else path


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Lets OSErrors through, with words that name no address, and turns whatever else a store's client raises into one.

    ``name``: what is being read or written. Every client has errors of its own (no network, no bucket, no login); they
    often repeat addresses, signed ones too, so only their kind is told.
    """
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None
    except PermissionError:
        raise PermissionError(errno.EACCES, "no permission: give this machine the store's key or role", name) from None
    except OSError as error:
        if error.errno and error.strerror and "://" not in error.strerror:
            raise
        raise OSError(errno.EIO, f"the store answers with {type(error).__name__}", name) from None
    except (AssertionError, MemoryError, NotImplementedError):
        raise
    except Exception as error:
        raise OSError(errno.EIO, f"the store answers with {type(error).__name__}", name) from None


def stat_of(info: dict[str, Any]) -> tuple[int, int]:
    """Size in bytes and a time of modification in ns from what a store tells of a file (fsspec's ``info``).

    Listings and single questions may round times differently, so of a store with checksums the time counts in seconds
    and the checksum gives what is below; without a time the checksum is all, without either 0.
    """
    time = _time_ns(next((info[name] for name in _TIMES if info.get(name)), 0))
    checksum = next((str(info[name]).strip('"') for name in _CHECKSUMS if info.get(name)), None)
    if checksum is not None:
        time = time // 1_000_000_000 * 1_000_000_000 + xxhash.xxh3_64_intdigest(checksum.encode()) % 1_000_000_000
    return int(info.get("size") or 0), time


def _time_ns(told: Any) -> int:
    if isinstance(told, datetime):
        told = told if told.tzinfo else told.replace(tzinfo=UTC)
        return (told - _EPOCH) // timedelta(microseconds=1) * 1000
    if isinstance(told, str):
        return _time_ns(datetime.fromisoformat(told))
    return round(told * 1e9)
