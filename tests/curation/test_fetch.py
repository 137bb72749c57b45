"""Sources at addresses, with real workers: the faces are those of the same files in a folder, byte for byte."""

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from curation.changes import look
from curation.fetch import NotFetched, at_hand
from curation.recipe import Recipe
from curation.run import CurationError, curate
from curation.scratch import ScratchError, scratch_folder
from curation.sources import open_source, write_source
from curation.sources.remote import RemotePath
from curation.video import SourceGone, Task
from queries.catalog import connect_read
from queries.ingest import ingest_source
from tests.curation.people import encode, walking

RECIPE = Recipe("test", sampling="evenly 3", aligner="dlib", margin=0.1, size=64)
DESCRIPTION = """
dataset: small
licence: test
redistributable: false
kind: {kind}
rules:
  - {{match: "real*", label: real}}
  - {{match: "fake*", label: fake, method: swap, mask: "masks/{{stem}}{mask}"}}
exclude: ["masks/**", "masks"]
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    encode(root / "real.mp4", walking(6))
    encode(root / "fake.mp4", walking(4, 150))
    white = np.full_like(walking(1)[0], 255)
    encode(root / "masks" / "fake.mp4", [white] * 6)
    (root / "real broken.mp4").write_bytes(b"no video")
    for name, frame in (("real", walking(2)[0]), ("fake", walking(2, 150)[1]), ("masks/fake", white)):
        (root / "frames" / name).mkdir(parents=True)
        for number in (7, 12):
            cv2.imwrite(str(root / "frames" / name / f"{number:03d}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return root


def archive(folder: Path) -> str:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as file:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            file.write(path, f"data/{path.relative_to(folder).as_posix()}")
    return f"zip://data::file://{folder.with_suffix('.zip')}"


def scan(root: Path | str, place: Path, kind: str = "videos") -> tuple[Path, Path]:
    place.mkdir(exist_ok=True)
    (place / "small.yaml").write_text(DESCRIPTION.format(kind=kind, mask=".mp4" if kind == "videos" else ""))
    source = open_source("folder", root, config=place / "small.yaml")
    ingest_source(place / "catalog.duckdb", write_source(source, place / "store"))
    return place / "catalog.duckdb", place / "store"


def attempts(catalog: Path) -> list[tuple]:
    with connect_read(catalog) as db:
        return db.execute("SELECT * EXCLUDE (attempted_at, pack, attempt) FROM attempts ORDER BY ALL").fetchall()


def tars(store: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(store.glob("shards/*.tar"))]


@pytest.mark.parametrize(
    ("kind", "where"), [("videos", archive), ("frames", lambda folder: f"file://{folder}")], ids=["zip", "file"]
)
def test_faces_from_an_address_are_those_from_a_folder(videos, tmp_path, monkeypatch, kind, where):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    root = videos if kind == "videos" else videos / "frames"
    copy = shutil.copytree(root, tmp_path / "copy", ignore=shutil.ignore_patterns("frames"))
    catalog, store = scan(copy, tmp_path / "here", kind)
    report = curate(catalog, store, RECIPE, workers=1)
    assert report.counts["done"] == 2
    address = where(copy)
    if where is archive:
        shutil.rmtree(copy)
    other_catalog, other_store = scan(address, tmp_path / "there", kind)
    assert curate(other_catalog, other_store, RECIPE, workers=1).counts == report.counts
    assert tars(other_store) == tars(store) != []
    assert attempts(other_catalog) == attempts(catalog)
    assert list(scratch.iterdir()) == []
    for path in other_store.glob("shards/*"):
        assert str(scratch).encode() not in path.read_bytes()
        assert address.encode() not in path.read_bytes()
    assert curate(other_catalog, other_store, RECIPE, workers=1).videos == 0  # nothing has changed


def test_what_changed_and_what_is_gone_at_an_address_is_seen(videos, tmp_path):
    copy = shutil.copytree(videos, tmp_path / "copy", ignore=shutil.ignore_patterns("frames"))
    catalog, store = scan(f"file://{copy}", tmp_path / "there")
    recipe = curate(catalog, store, RECIPE, workers=1).recipe
    roots = {"small": f"file://{copy}"}
    shutil.copyfile(videos / "real.mp4", copy / "fake.mp4")
    os.utime(copy / "real.mp4", (1, 1))
    (copy / "real broken.mp4").unlink()
    found = look(catalog, recipe.hash, roots)
    assert found.changed == ["small/swap/native/fake"]
    assert [row["video_id"] for row in found.seen] == ["small/original/native/real"]
    assert found.gone == ["small/original/native/real%20broken"]
    shutil.rmtree(copy)
    assert look(catalog, recipe.hash, roots).absent == ["small"]
    with pytest.raises(CurationError, match=f"not at file://{copy} any more.*run the same"):
        curate(catalog, store, dataclasses.replace(RECIPE, size=32), workers=1)


def task_at(memory, name: str, **video) -> Task:
    memory.pipe("/bucket/there.mp4", b"1" * 10)
    row = {"path": name, "kind": "video", "mask_path": None, "source": "small", **video}
    return Task(row, "memory://bucket", "x.part")


def test_a_video_is_on_this_machine_while_it_is_at_work_and_no_longer(memory):
    beats = []
    with at_hand(task_at(memory, "there.mp4"), False, lambda: beats.append(1)) as task:
        file = Path(task.root, "there.mp4")
        assert file.read_bytes() == b"1" * 10
        assert task.video["bytes"] == 10
        assert task.video["mtime_ns"] > 0
    assert not file.parent.exists()
    assert beats


def test_a_video_that_is_gone_has_a_reason_and_a_store_that_is_gone_stops(memory):
    with (
        pytest.raises(NotFetched, match="^cannot be read: No such file or directory$"),
        at_hand(task_at(memory, "gone.mp4"), False, print),
    ):
        pass
    task = task_at(memory, "there.mp4")
    memory.rm("/bucket", recursive=True)
    with pytest.raises(SourceGone, match="is not at memory://bucket any more"), at_hand(task, False, print):
        pass


def test_bytes_that_stop_coming_are_asked_for_again_and_never_taken_for_the_whole(memory, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    task, whole, calls = task_at(memory, "there.mp4"), RemotePath.blocks, []

    def short(self, size=4):
        calls.append(1)
        yield b"1" * 9
        if len(calls) < 3:
            raise OSError(5, "9 of 10 bytes came")
        yield b"1"

    monkeypatch.setattr(RemotePath, "blocks", short)
    with at_hand(task, False, print) as here:
        assert Path(here.root, "there.mp4").read_bytes() == b"1" * 10
    monkeypatch.setattr(RemotePath, "blocks", whole)
    monkeypatch.setattr("curation.sources.remote.stat_of", lambda info: (11, 1))
    with pytest.raises(NotFetched, match="10 of 11 bytes came"), at_hand(task, False, print):
        pass


def test_scratch_that_cannot_be_written_is_no_fault_of_a_video(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ScratchError, match="TMPDIR"), scratch_folder():
        pass


def test_what_a_killed_worker_left_is_removed_by_the_next_one_and_nothing_else(tmp_path):
    program = (
        "from curation.scratch import scratch_folder\nimport sys\n"
        "with scratch_folder() as folder:\n    print(folder, flush=True)\n    sys.stdin.read()\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def start() -> tuple[subprocess.Popen, Path]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes)
        return process, Path(process.stdout.readline().strip())

    killed, left = start()
    living, kept = start()
    killed.kill()
    killed.wait()
    assert left.is_dir()
    third, _ = start()
    assert not left.exists()
    assert kept.is_dir()
    for process in (living, third):
        process.communicate("")
    assert list(tmp_path.iterdir()) == []
