"""A copy of a store's packs elsewhere (``deepshard curate --mirror s3://bucket/faces``), made while they are finished.

Of a pack the tar goes first, its sidecar next and the mark last, each whole or not at all, so that what has a mark
there can be read there. What is there is not sent again: a mark holds the checksum of its sidecar, which holds those of
the tar, so a mark with the same bytes beside files of the same size says that all of it is. Nothing is ever read back
into the store, and nothing is deleted there but the mark of a pack that is about to be replaced.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from shards import durable
from shards.errors import ShardError
from shards.uri import is_address, open_address, telling

_THREADS = 4
_ENDS = (".tar", ".parquet")
_MARK = ".videos.parquet"
_WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}  # an object has its name when all of it is there


class MirrorError(ShardError):
    """A mirror that cannot be opened or written; the message says what to do. The store has everything."""


class Mirror:
    """Sends what is finished, in threads of its own. Use as a context manager: it waits for what is on its way.

    Raises MirrorError at once for an address that cannot be opened, and else from the next call after a failure.
    """

    def __init__(self, store: Path, address: str):
        if not is_address(address):
            raise MirrorError(f"a mirror is an address such as s3://bucket/faces or file:///mnt/faces, not {address!r}")
        if address.startswith("hf:"):
            raise MirrorError("the Hub takes many files in few commits, and a set may be private: mirror to a bucket")
        self._store, self._address = store, address.rstrip("/")
        self._fs, path = open_address(address)
        self._path = path.rstrip("/")
        self._sizes = {folder: self._list(folder) for folder in ("shards", "recipes")}
        self._threads = ThreadPoolExecutor(_THREADS)
        self._failed: BaseException | None = None

    def send_finished(self) -> None:
        """Sends every recipe and finished pack of the store that is not there yet."""
        for recipe in sorted(self._store.glob("recipes/*.json")):
            self._submit(self._send_file, recipe)
        for mark in sorted(self._store.glob(f"shards/*{_MARK}")):
            self.send(mark.name.removesuffix(_MARK))

    def send(self, name: str) -> None:
        """Sends a finished pack. Returns at once."""
        self._submit(self._send_pack, name)

    def check(self) -> None:
        """Raises MirrorError if something could not be sent."""
        if self._failed:
            raise self._failed

    def __enter__(self) -> "Mirror":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._threads.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.check()

    def _submit(self, send: Callable[[Any], None], what: Any) -> None:
        self._threads.submit(lambda: None if self._failed else send(what)).add_done_callback(self._note)

    def _note(self, sent: Future) -> None:
        if not sent.cancelled():
            self._failed = self._failed or sent.exception()

    def _send_pack(self, name: str) -> None:
        mark = self._store / "shards" / f"{name}{_MARK}"
        files = [file for end in _ENDS if (file := mark.with_name(f"{name}{end}")).exists()]
        if len(files) == 1:
            return  # its tar or its sidecar is gone here: not a whole pack
        known = self._sizes["shards"]
        with self._saying(mark.name):
            if mark.name in known:
                same = all(known.get(file.name) == file.stat().st_size for file in [*files, mark])
                if same and self._fs.cat_file(self._place(mark)) == mark.read_bytes():
                    return
                self._fs.rm_file(self._place(mark))  # it would vouch for a pack that is half new
        for file in files:
            if file.suffix != ".tar" or known.get(file.name) != file.stat().st_size:
                self._put(file)
        self._put(mark)

    def _send_file(self, file: Path) -> None:
        if self._sizes[file.parent.name].get(file.name) != file.stat().st_size:
            self._put(file)

    def _put(self, file: Path) -> None:
        place = self._place(file)
        with self._saying(file.name):
            if isinstance(self._fs, LocalFileSystem):
                durable.make_folder(Path(place).parent)
                durable.write_file(Path(place), _blocks(file))
                durable.sync_folder(Path(place).parent)
                return
            protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
            if protocols & _WHOLE:
                self._fs.put_file(os.fspath(file), place)
            else:
                self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
                beside = f"{place}.{secrets.token_hex(4)}.tmp"
                self._fs.put_file(os.fspath(file), beside)
                self._fs.mv(beside, place)
            self._fs.invalidate_cache()
            if (there := self._fs.info(place)["size"]) != file.stat().st_size:
                raise OSError(5, f"{there:,} of {file.stat().st_size:,} bytes arrived")

    def _list(self, folder: str) -> dict[str, int]:
        """Names and sizes of what is there."""
        with self._saying(folder):
            try:
                found = self._fs.ls(f"{self._path}/{folder}", detail=True)
            except FileNotFoundError:
                return {}
        return {info["name"].rpartition("/")[2]: info["size"] for info in found if info["type"] == "file"}

    def _place(self, file: Path) -> str:
        return f"{self._path}/{file.parent.name}/{file.name}"

    @contextmanager
    def _saying(self, name: str) -> Iterator[None]:
        try:
            with telling(name):
                yield
        except OSError as error:
            raise MirrorError(
                f"the mirror {self._address} does not take {name} ({error.strerror or error}). Everything finished is "
                "kept here: mend that and run the same command again, it sends what is missing"
            ) from error


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(8 << 20):
            yield block
