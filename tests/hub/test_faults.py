"""Connections that are cut, servers that fail, bytes that flip, disks that fill, tokens without rights: retried, or
refused in one line; nothing half-written is read as whole, and the second try moves only what is missing."""

import resource
import subprocess

import pytest

from hub.errors import HubError, Unanswered
from hub.pull import pull
from shards.verify import verify_store
from tests.conftest import new_place
from tests.hub.conftest import FACES, Online, push_from, repository
from tests.hub.server import READER, WRITER, Fault

SOME = "dataset IN ('dfd', 'celebdf-v2')"  # of the demo


def tars(online, name: str = FACES) -> dict[str, bytes]:
    return {path: online.content(name, path) for path in online.listing(name) if path.endswith(".tar")}


def largest(online) -> int:
    return max(map(len, tars(online).values()))


def test_a_pull_survives_whatever_happens_once(pushed, online, tmp_path):
    online.faults += [Fault(kind, r"\.tar$") for kind in ("cut", "429", "500", "hang up")]
    online.faults.append(Fault("flip", r"\.tar$", after=3))
    online.faults += [Fault(kind, r"\.parquet$") for kind in ("cut", "429", "500", "hang up")]
    online.faults += [Fault("flip", r"\.parquet$", after=20), Fault("500", "/tree/"), Fault("429", "/revision/")]
    done = pull(tmp_path / "catalog.duckdb", tmp_path / "store", repository(tries=8))
    assert done.fetched == done.faces and not online.faults
    assert {path.read_bytes() for path in tmp_path.glob("store/shards/*.tar")} == set(tars(online).values())


def test_a_push_survives_whatever_happens_once(server, online, pinned):
    name = "somebody/shaken"
    online.faults += [Fault(kind, "^/lfs/", "PUT") for kind in ("cut", "429", "500", "hang up")]
    online.faults += [Fault("500", "/preupload/", "POST"), Fault("429", "/objects/batch", "POST")]
    online.faults += [Fault("hang up", "/commit/", "POST"), Fault("500", "/repos/create", "POST")]
    done = push_from(pinned, name, splits=["f2f_val"])
    assert done.commit and not online.faults
    assert "catalog/faces.parquet" in online.listing(name)


@pytest.mark.parametrize("kind", ["cut", "flip"])
def test_a_pull_that_breaks_keeps_what_came_and_the_second_brings_the_rest(pushed, online, tmp_path, kind):
    online.faults.append(Fault(kind, r"\.tar$", times=1000, after=3))
    with pytest.raises(ValueError) as refused:
        pull(tmp_path / "catalog.duckdb", tmp_path / "store", repository())
    assert refused.value.deepshard_error and "\n" not in str(refused.value) and online.url not in str(refused.value)
    assert not verify_store(tmp_path / "store/shards")
    whole = sum(map(len, tars(online).values()))
    came = sum(path.stat().st_size for path in tmp_path.glob("store/shards/*.tar"))
    assert 0 < came < whole
    online.faults.clear()
    online.sent.clear()
    pull(tmp_path / "catalog.duckdb", tmp_path / "store", repository())
    assert online.sent["tar"] <= whole - came
    assert {path.read_bytes() for path in tmp_path.glob("store/shards/*.tar")} == set(tars(online).values())
    assert not list((tmp_path / "store/pulling").iterdir())


def test_a_tar_that_was_cut_anywhere_is_gone_on_with(pushed, online, tmp_path):
    pull(tmp_path / "catalog.duckdb", tmp_path / "store", repository())
    path = max(tmp_path.glob("store/shards/*.tar"), key=lambda one: one.stat().st_size)
    whole = path.read_bytes()
    growing = tmp_path / "store/pulling" / path.name
    for size in (1, len(whole) // 2 + 7, len(whole) - 1024, len(whole) - 1):
        for end in (".tar", ".parquet", ".videos.parquet"):
            path.with_name(path.stem + end).unlink()
        growing.write_bytes(whole[:size])
        online.sent.clear()
        pull(tmp_path / "catalog.duckdb", tmp_path / "store", repository())
        assert path.read_bytes() == whole
        assert online.sent["tar"] <= len(whole) - size + 200_000  # a face is sent again
    path.with_name(f"{path.stem}.videos.parquet").unlink()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    growing.write_bytes(damaged)
    pull(tmp_path / "catalog.duckdb", tmp_path / "store", repository())
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kind", ["cut", "429"])
def test_a_push_that_breaks_is_gone_on_with(server, online, pinned, kind):
    name = f"somebody/broken-{kind.replace(' ', '')}"
    online.faults.append(Fault(kind, "^/lfs/", "PUT", times=1000, after=8))
    with pytest.raises(Unanswered, match="run the same command again"):
        push_from(pinned, name, where=SOME)
    assert not any(path.startswith("catalog/") for path in online.listing(name))
    assert not list((pinned.folder / "store/outgoing").iterdir())
    online.faults.clear()
    online.received.clear()
    arrived = sum(len(online.objects[oid]) for oid in online.repos[name].large)
    assert arrived
    push_from(pinned, name, where=SOME)
    there = {entry.sha256: entry.size for entry in online.listing(name).values() if entry.sha256}
    assert 0 < online.received["lfs"] <= sum(there.values()) - arrived


def test_a_commit_that_fails_leaves_the_old_repository_and_the_second_try_sends_no_tar(server, online, pinned):
    name = "somebody/uncommitted"
    push_from(pinned, name, where="dataset = 'dfd'")
    before = online.listing(name)
    online.faults.append(Fault("500", "/commit/", "POST", times=1000))
    with pytest.raises(Unanswered, match="does not give or take a commit"):
        push_from(pinned, name)
    assert online.listing(name) == before
    online.faults.clear()
    online.received.clear()
    done = push_from(pinned, name)
    assert done.commit and online.received["lfs"] < 100_000 < sum(map(len, tars(online, name).values()))


def test_a_token_without_rights_is_told_so(pushed, online, pinned, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", READER)
    with pytest.raises(Unanswered, match=r"refuses .*somebody/readonly \(HTTP status 403\).*may write there"):
        push_from(pinned, "somebody/readonly", where="dataset = 'dfd'")
    assert pull(tmp_path / "one.duckdb", tmp_path / "one", repository(), split="f2f_val").faces  # it may read
    monkeypatch.setenv("HF_TOKEN", "hf_" + "nobody0123456789" * 2)
    with pytest.raises(HubError) as refused:
        pull(tmp_path / "two.duckdb", tmp_path / "two", repository())
    assert "hf auth login" in str(refused.value) and "hf_" not in str(refused.value)
    assert not (tmp_path / "two").exists()


def test_a_private_repository_is_not_there_for_strangers(pushed, demo_tree, tmp_path):
    place = Online(new_place(tmp_path / "place", demo_tree).folder, pushed, token=None)
    done = place.run("pull", FACES)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.strip().startswith("deepshard: there is no dataset somebody/faces") and WRITER not in done.stderr


def test_a_disk_that_fills_up_is_said_and_what_came_is_kept(pushed, online, demo_tree, tmp_path):
    place = Online(new_place(tmp_path / "place", demo_tree).folder, pushed)
    limit = largest(online) - 100_000  # bytes that a file may have: the kernel refuses the rest
    done = subprocess.run(
        ["deepshard", "pull", FACES],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2 and "the disk takes no more" in done.stderr and "Traceback" not in done.stderr
    came = sum(path.stat().st_size for path in place.folder.glob("store/*/*.tar"))
    assert came > limit - 300_000 and not verify_store(place.folder / "store/shards")
    online.sent.clear()
    place.ok("pull", FACES)
    assert online.sent["tar"] <= sum(map(len, tars(online).values())) - came + 300_000
    assert {path.read_bytes() for path in place.folder.glob("store/shards/*.tar")} == set(tars(online).values())
