"""Copies of packs elsewhere: what has a mark there is whole there, nothing is sent twice, failures lose nothing."""

import shutil
from pathlib import Path

import fsspec
import pytest

from shards.mirror import Mirror, MirrorError
from shards.uri import AddressError
from shards.verify import verify_store
from tests.fabricate import make_store


@pytest.fixture
def store(tmp_path) -> Path:
    make_store(tmp_path / "store")
    (tmp_path / "store" / "recipes").mkdir()
    (tmp_path / "store" / "recipes" / "0123.json").write_text("{}")
    return tmp_path / "store"


@pytest.fixture(params=["file", "memory"])
def address(request, tmp_path, memory):
    return f"file://{tmp_path}/mirror/of it" if request.param == "file" else "memory://mirror/of it"


def files(address: str) -> dict[str, bytes]:
    fs, path = fsspec.core.url_to_fs(address)
    return {name.removeprefix(path).lstrip("/"): fs.cat_file(name) for name in fs.find(path)}


def finished(store: Path) -> dict[str, bytes]:
    folders = ("shards", "recipes")
    return {f"{folder}/{file.name}": file.read_bytes() for folder in folders for file in (store / folder).iterdir()}


def mirror(store: Path, address: str) -> None:
    with Mirror(store, address) as copies:
        copies.send_finished()


def puts(monkeypatch) -> list[str]:
    """Names of what is sent from now on."""
    sent, put = [], Mirror._put
    monkeypatch.setattr(Mirror, "_put", lambda self, file: (sent.append(file.name), put(self, file))[1])
    return sent


def test_what_is_finished_is_there_byte_for_byte_and_not_sent_again(store, address, monkeypatch):
    sent = puts(monkeypatch)
    mirror(store, address)
    assert files(address) == finished(store)
    assert len(files(address)) > 3
    sent.clear()
    mirror(store, address)
    assert sent == []
    assert files(address) == finished(store)


def test_a_mark_is_the_last_of_its_pack_and_never_vouches_for_less(store, address, monkeypatch):
    put, seen, stop = Mirror._put, [], {}

    def stopped(self, file):
        there = set(files(address))
        seen.append(file.name)
        for name in there:
            if name.endswith(".videos.parquet"):
                pack = name.removesuffix(".videos.parquet")
                assert {f"{pack}.tar", f"{pack}.parquet"} <= there or not (store / f"{pack}.tar").exists()
        if len(seen) == stop["at"]:
            raise MirrorError("stopped")
        put(self, file)

    monkeypatch.setattr(Mirror, "_put", stopped)
    monkeypatch.setattr("shards.mirror._THREADS", 1)
    for stop["at"] in range(1, len(finished(store)) + 1):
        seen.clear()
        with pytest.raises(MirrorError, match="stopped"), Mirror(store, address) as copies:
            copies.send_finished()
        fs, path = fsspec.core.url_to_fs(address)
        if fs.exists(path):
            fs.rm(path, recursive=True)
    stop["at"] = 3
    seen.clear()
    with pytest.raises(MirrorError), Mirror(store, address) as copies:
        copies.send_finished()
    stop["at"] = 0
    before = set(files(address))
    seen.clear()
    mirror(store, address)
    assert files(address) == finished(store)
    tars = {Path(name).name for name in before if name.endswith((".tar", ".json"))}
    assert tars and not tars & set(seen)  # what had arrived is not sent again


@pytest.mark.parametrize("end", [".tar", ".parquet", ".videos.parquet"])
def test_what_is_damaged_or_gone_there_is_sent_again(store, address, end):
    mirror(store, address)
    fs, _ = fsspec.core.url_to_fs(address)
    name = sorted(name for name in files(address) if name.endswith(".tar"))[0].removesuffix(".tar") + end
    fs.pipe_file(f"{fsspec.core.url_to_fs(address)[1]}/{name}", b"half")
    mirror(store, address)
    assert files(address) == finished(store)
    fs.rm_file(f"{fsspec.core.url_to_fs(address)[1]}/{name}")
    mirror(store, address)
    assert files(address) == finished(store)


def test_a_mark_of_the_same_size_with_other_bytes_is_replaced(store, address):
    mirror(store, address)
    fs, path = fsspec.core.url_to_fs(address)
    name = sorted(name for name in files(address) if name.endswith(".videos.parquet"))[0]
    fs.pipe_file(f"{path}/{name}", bytes(len(files(address)[name])))
    mirror(store, address)
    assert files(address) == finished(store)


def test_a_pack_that_is_not_whole_here_is_not_sent(store, address):
    tar = sorted(store.glob("shards/*.tar"))[0]
    tar.unlink()
    mirror(store, address)
    assert not any(tar.stem in name for name in files(address))


def test_a_mirror_is_a_store_that_can_be_verified(store, tmp_path):
    mirror(store, f"file://{tmp_path}/mirror")
    assert verify_store(tmp_path / "mirror" / "shards") == verify_store(store / "shards") == []


def test_a_mirror_that_takes_nothing_says_so_once_and_the_next_run_continues(store, tmp_path):
    (tmp_path / "mirror").write_text("a file where a folder should be")
    before = finished(store)
    with pytest.raises(MirrorError, match="does not take .*Not a directory.*same command again") as caught:
        mirror(store, f"file://{tmp_path}/mirror")
    assert "\n" not in str(caught.value)
    assert finished(store) == before
    (tmp_path / "mirror").unlink()
    mirror(store, f"file://{tmp_path}/mirror")
    assert files(f"file://{tmp_path}/mirror") == before


def test_a_failure_is_told_at_the_next_look(store, address, monkeypatch):
    def refuse(self, file):
        raise MirrorError("full")

    monkeypatch.setattr(Mirror, "_put", refuse)
    with pytest.raises(MirrorError, match="full"), Mirror(store, address) as copies:
        copies.send_finished()
        copies._threads.shutdown()
        copies.check()
        raise AssertionError("check must raise")


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("/mnt/faces", MirrorError, "is an address such as"),
        ("hf://datasets/user/set", MirrorError, "may be private"),
        ("s3://AKIAXXXX:abc@bucket/faces", AddressError, "holds a key"),
        ("nope://bucket", AddressError, "not known"),
    ],
)
def test_addresses_that_cannot_be_mirrors(store, wrong, error, message):
    with pytest.raises(error, match=message):
        Mirror(store, wrong)


def test_nothing_but_finished_things_is_sent(store, address):
    (store / "shards" / "x.tar.0123abcd.tmp").write_bytes(b"half")
    (store / "shards" / "unmarked.tar").write_bytes(b"no mark yet")
    shutil.copytree(store / "recipes", store / "sources", dirs_exist_ok=True)
    mirror(store, address)
    assert not any("tmp" in name or "unmarked" in name or "sources" in name for name in files(address))
