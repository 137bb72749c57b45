"""Stopped anywhere: a file that has its name is whole, no finished video is lost, and the next run ends the same.

The work is what curation does: parts, a pack of them, parts removed. It is stopped at the n-th change of the disk, for
every n, by SIGKILL in a child process (half of a write may be done) and by an error such as a full disk.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shards import durable
from shards.pack import pack, remove_parts
from shards.part import PartWriter, read_part
from shards.verify import verify_store
from tests.fabricate import attempt_row, sample_row, video_row

CHANGES = ("create", "write", "fsync", "rename", "sync_folder", "remove", "make_folder")
NAME = "demo-000000"
VIDEOS = {"000": 2, "001": 0, "002": 1}  # name to faces

KILLED = """
import os, sys
from pathlib import Path
from tests.shards import test_durable as work

root = Path(sys.argv[1])
work.curate(root / "first")  # what is imported at first use is imported once, not in every child
for n in range(1, 1000):
    child = os.fork()
    if child == 0:
        work.stop_at(n, work.kill)
        work.curate(root / str(n))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(n)
"""


def curate(folder: Path) -> None:
    """Curate what is not done yet; a line per video that is finished, and per pack, goes to a log."""
    marker = folder / "shards" / f"{NAME}.videos.parquet"
    parts = []
    for name, faces in VIDEOS.items():
        path = folder / "parts" / f"{name}.part"
        parts.append(path)
        if marker.exists() or path.exists():
            continue
        content = name[-1] * 64
        durable.make_folder(path.parent)
        with PartWriter(path, video_row(name)) as writer:
            for frame in range(faces):
                data = f"{name}{frame}".encode()
                writer.add(sample_row(frame, content), {"png": data * 300, "json": b'{"name": "%s"}' % data})
            writer.finish(attempt_row(faces, content, "done" if faces else "no_face"))
        log(folder, name)
    packed = pack(parts, folder / "shards", NAME)
    log(folder, "packed")
    remove_parts(parts, packed)


def log(folder: Path, line: str) -> None:
    with open(folder / "log", "a") as file:
        file.write(f"{line}\n")


def stop_at(n: int, stop) -> None:
    """Replace the functions that change the disk, so that the n-th call of any of them stops."""
    calls = iter(range(1, 1 << 20))
    for name in CHANGES:
        setattr(durable, name, _counted(getattr(durable, name), name, n, calls, stop))


def _counted(change, name, n, calls, stop):
    def counted(*arguments):
        if next(calls) == n:
            if name == "write":
                file, data = arguments
                change(file, data[: len(data) // 2])
            stop()
        return change(*arguments)

    return counted


def kill() -> None:
    os.kill(os.getpid(), 9)


def check(folder: Path) -> None:
    """What must hold after any stop, and after the next run."""
    done = set((folder / "log").read_text().split()) if (folder / "log").exists() else set()
    parts = {path.stem: read_part(path) for path in folder.glob("parts/*.part")}
    for part in parts.values():
        assert sum(map(len, part.chunks())) == part.tar_size
    marker = folder / "shards" / f"{NAME}.videos.parquet"
    if not marker.exists():
        assert "packed" not in done
        assert done <= set(parts)
    else:
        assert [finding for finding in verify_store(folder / "shards") if finding.kind != "unfinished"] == []
    curate(folder)
    assert list(folder.glob("parts/*.part")) == []
    assert [finding for finding in verify_store(folder / "shards") if finding.shard == NAME] == []


def shard_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shards/*") if path.suffix != ".tmp"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    curate(folder)
    return shard_bytes(folder)


def test_killed_at_any_change_of_the_disk_nothing_finished_is_lost(tmp_path, undisturbed):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > 30
    for n in range(1, count):
        check(tmp_path / str(n))
        assert shard_bytes(tmp_path / str(n)) == undisturbed, f"stopped at change {n}"


def test_an_error_at_any_change_of_the_disk_is_raised_and_leaves_nothing_half(tmp_path, undisturbed, monkeypatch):
    def fail():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for n in range(1, 1000):
        folder = tmp_path / str(n)
        with monkeypatch.context() as patched:
            for name in CHANGES:  # so that leaving the context restores them
                patched.setattr(durable, name, getattr(durable, name))
            stop_at(n, fail)
            try:
                curate(folder)
            except OSError as error:
                assert error.errno == errno.ENOSPC
            else:
                break
        check(folder)
        assert shard_bytes(folder) == undisturbed, f"failed at change {n}"
    assert n > 30


def test_names_are_given_to_synced_files_and_the_mark_comes_after_what_it_marks(tmp_path, monkeypatch):
    calls: list[tuple[str, Path]] = []
    for name in CHANGES:
        change = getattr(durable, name)

        def recorded(*arguments, change=change, name=name):
            path = arguments[0].name if name in ("write", "fsync") else arguments[-1]
            calls.append((name, Path(path)))
            return change(*arguments)

        monkeypatch.setattr(durable, name, recorded)
    sources = {}
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (sources.__setitem__(Path(b), Path(a)), replace(a, b)))
    curate(tmp_path)
    renamed = [i for i, (name, _) in enumerate(calls) if name == "rename"]
    assert len(renamed) == 3 + 3
    for i in renamed:
        target = calls[i][1]
        of_file = [name for name, path in calls[:i] if path == sources[target]]
        assert of_file[-1] == "fsync" and "write" in of_file
    tar, samples, mark = (
        calls.index(("rename", tmp_path / "shards" / f"{NAME}{end}")) for end in (".tar", ".parquet", ".videos.parquet")
    )
    shards = ("sync_folder", tmp_path / "shards")
    assert max(tar, samples) < calls.index(shards, max(tar, samples)) < mark
    removed = min(i for i, (name, path) in enumerate(calls) if name == "remove" and path.suffix == ".part")
    assert mark < calls.index(shards, mark) < removed
    for name in VIDEOS:
        part = calls.index(("rename", tmp_path / "parts" / f"{name}.part"))
        assert calls[part + 1] == ("sync_folder", tmp_path / "parts")
