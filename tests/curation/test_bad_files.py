"""Whatever lies in a folder costs one row with a reason, never the run, and its neighbours are curated as usual."""

import json
import os
import socket
from pathlib import Path

import av
import numpy as np
import pytest

import curation.run
from curation.recipe import Recipe
from curation.run import curate
from curation.sources import open_source, write_source
from curation.sources.tree import spell
from queries.catalog import connect_read
from queries.ingest import ingest_source
from shards.verify import verify_store
from tests.curation.clips import blank_film, write_clip
from tests.curation.people import encode, walking

RECIPE = Recipe("bad", sampling="evenly 3", aligner="dlib", size=64)
DESCRIPTION = "dataset: bad\nlicence: test\nredistributable: false\nkind: videos\nlabel: real\nkeep_extension: true\n"

ODD_NAMES = [
    "two words.mp4",
    'it\'s "quoted".mp4',
    "new\nline.mp4",
    "tab\there.mp4",
    "50%25.mp4",
    "#1?.mp4",
    "*[a]{b}.mp4",
    "back\\slash.mp4",
    "-rf.mp4",
    "file:x.mp4",
    "%d.mp4",
    "👩‍🔬 émile.mp4",
    os.fsdecode(b"latin \xe9\xff.mp4"),
    "x" * 251 + ".mp4",
    "é" * 125 + ".mp4",
    "dots.in.name..mp4",
]


def scan(root: Path, place: Path) -> tuple[Path, Path]:
    (place / "bad.yaml").write_text(DESCRIPTION)
    source = open_source("folder", root, config=place / "bad.yaml")
    ingest_source(place / "catalog.duckdb", write_source(source, place / "store"))
    return place / "catalog.duckdb", place / "store"


def attempts(catalog: Path) -> dict[str, dict]:
    """The current attempt of every video of the catalog, by its path."""
    query = "SELECT v.path, a.* FROM videos v LEFT JOIN current_attempts a USING (video_id)"
    with connect_read(catalog) as db:
        rows = db.sql(query).to_arrow_table().to_pylist()
    return {row["path"]: row for row in rows}


def check_rows(rows: dict[str, dict], store: Path, root: Path) -> None:
    """Every video has a row; one without a face has a reason in words; no local path is told; the store is whole."""
    for name, row in rows.items():
        assert row["status"] in ("done", "no_face", "failed"), name
        assert (row["status"] == "done") == (row["faces"] > 0) == (row["reason"] is None), name
        assert row["frames_wanted"] >= row["frames_read"], name
        for reason in filter(None, [row["reason"], *(missing["reason"] for missing in row["missing"])]):
            assert len(reason) > 8, name
            assert not any(str(path) in json.dumps(reason) for path in (root, store, Path(av.__file__).parent)), name
            assert "/tmp" not in reason, name
    assert verify_store(store / "shards") == []


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    return encode(tmp_path_factory.mktemp("good") / "x.mp4", walking(8)).read_bytes()


def _patched(data: bytes, box: bytes, skip: int, value: bytes) -> bytes:
    """An MP4 with ``value`` written ``skip`` bytes behind the name of its first ``box``."""
    place = data.index(box) + 4 + skip
    return data[:place] + value + data[place + len(value) :]


def make_bad_videos(root: Path, good: bytes) -> set[str]:
    """Fills a folder; returns the names of the videos that must give every face."""
    rng = np.random.default_rng(0)
    for share in (1, 5, 20, 50, 80, 95, 99):
        (root / f"cut {share}.mp4").write_bytes(good[: len(good) * share // 100])
    matroska = encode(root / "whole.mkv", walking(8)).read_bytes()
    for share in (1, 20, 50, 80, 99):
        (root / f"cut {share} mkv.mkv").write_bytes(matroska[: len(matroska) * share // 100])
    (root / "empty.mp4").write_bytes(b"")
    (root / "noise.mp4").write_bytes(rng.bytes(20_000))
    (root / "noise with a head.mp4").write_bytes(good[:48] + rng.bytes(20_000))
    (root / "text.avi").write_text("<html>404 not found</html>" * 20)
    for name, frames in (("claims 3", 3), ("claims 4 billion", 2**32 - 1)):
        (root / f"{name}.mp4").write_bytes(_patched(good, b"stsz", 8, frames.to_bytes(4, "big")))
    legacy = encode(root / "avi.avi", walking(8), codec="mpeg4").read_bytes()
    for name, frames in (("avi claims 3", 3), ("avi claims 1000000", 10**6)):
        (root / f"{name}.avi").write_bytes(_patched(legacy, b"avih", 4 + 16, frames.to_bytes(4, "little")))
    (root / "codec.mp4").write_bytes(good.replace(b"avc1", b"zzz1"))
    (root / "codec.avi").write_bytes(legacy.replace(b"FMP4", b"ZZZ1"))
    # the size in the sample entry, in the track, and in the bits of the codec's own header
    (root / "zero size.mp4").write_bytes(_patched(good, b"avc1", 24, bytes(4)))
    (root / "zero size.avi").write_bytes(_patched(legacy, b"strf", 4 + 4, bytes(8)).replace(b"FMP4", b"MJPG"))
    encode(root / "one frame.mp4", walking(1))
    blank_film(root / "100000 frames.mp4", 100_000, height=64, width=64)
    offsets = _patched(good, b"ctts", 12, (10**6).to_bytes(4, "big"))
    (root / "shuffled times.mp4").write_bytes(_patched(offsets, b"ctts", 28, (10**5).to_bytes(4, "big")))
    (root / "one time.mp4").write_bytes(_patched(good, b"stts", 12, bytes(4)))
    with av.open(str(root / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    write_clip(root / "no times.264", 8, container_format="h264")
    os.mkfifo(root / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(root)  # the name of a socket is short
        listener.bind("socket.mp4")
        os.chdir(here)
    (root / "dangling.mp4").symlink_to("nowhere.mp4")
    (root / "loop.mp4").symlink_to("loop.mp4")
    (root / "becomes a folder.mp4").write_bytes(good)
    (root / "becomes a pipe.mp4").write_bytes(good)
    (root / "vanishes.mp4").write_bytes(good)
    (root / "unreadable.mp4").write_bytes(good)
    (root / "unreadable.mp4").chmod(0)
    for name in ("neighbour a.mp4", "neighbour z.mp4", *ODD_NAMES):
        (root / name).write_bytes(good)
    others = {"whole.mkv", "avi.avi", "avi claims 3.avi", "avi claims 1000000.avi"}
    return {"neighbour a.mp4", "neighbour z.mp4", *others, *map(spell, ODD_NAMES)}


def test_bad_files_cost_a_row_each_and_their_neighbours_nothing(good, tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    whole = make_bad_videos(root, good)
    catalog, store = scan(root, tmp_path)
    for name in ("becomes a folder.mp4", "becomes a pipe.mp4", "vanishes.mp4"):
        (root / name).unlink()
    (root / "becomes a folder.mp4").mkdir()
    os.mkfifo(root / "becomes a pipe.mp4")
    report = curate(catalog, store, RECIPE, workers=2, stall_s=60)
    rows = attempts(catalog)
    check_rows(rows, store, root)
    assert report.videos == len(rows) == len(list(root.iterdir())) + 1  # one vanished
    assert {name for name in whole if rows[name]["faces"] != 3} == set()
    said = {
        "empty.mp4": "is empty (0 bytes)",
        "noise.mp4": "cannot be opened as a video",
        "codec.mp4": "codec",
        "sound.mp4": "no video stream",
        "pipe.mp4": "not a file",
        "socket.mp4": "not a file",
        "becomes a pipe.mp4": "not a file",
        "becomes a folder.mp4": "not a file",
        "dangling.mp4": "No such file",
        "vanishes.mp4": "No such file",
        "loop.mp4": "symbolic links",
        "100000 frames.mp4": "no face in the 3 frames read",
        "no times.264": "no face in the 3 frames read",
    }
    assert {
        name: rows[name]["reason"] for name, words in said.items() if words not in (rows[name]["reason"] or "")
    } == {}
    if os.geteuid() != 0:
        assert "Permission denied" in rows["unreadable.mp4"]["reason"]
    assert rows["one frame.mp4"]["faces"] == 1
    assert rows["100000 frames.mp4"]["frame_count"] == 100_000


def start_with_bad_decoders(recipe: Recipe, device: str | None, apart: bool):
    """A worker whose PyAV hangs or crashes on some files, and decord crashes on some of those."""
    import ctypes

    from curation.frames import decord_clip, pyav_clip
    from curation.run import start_worker

    def bad(decoder, hangs: tuple[str, ...]) -> None:
        init = decoder.__init__

        def bad_init(clip, path, header, **more):
            if path.stem in hangs:
                ctypes.PyDLL(None).sleep(600)  # in native code, holding the GIL
            if path.stem == "crashes":
                os.abort()
            init(clip, path, header, **more)

        decoder.__init__ = bad_init

    bad(pyav_clip.PyAVClip, ("hangs",))
    bad(decord_clip.DecordClip, ())
    return start_worker(recipe, device, apart)


def test_a_decoder_that_hangs_or_crashes_costs_a_second_try_and_one_video(good, tmp_path, monkeypatch):
    root = tmp_path / "videos"
    root.mkdir()
    for name in ("crashes", "fine", "hangs"):
        (root / f"{name}.mp4").write_bytes(good)
    catalog, store = scan(root, tmp_path)
    monkeypatch.setattr(curation.run, "start_worker", start_with_bad_decoders)
    report = curate(catalog, store, RECIPE, workers=2, stall_s=8)
    assert report.counts == {"done": 2, "no_face": 0, "failed": 1}
    rows = attempts(catalog)
    check_rows(rows, store, root)
    lost = rows.pop("crashes.mp4")
    assert lost["reason"].startswith("curation of this video crashed twice: the worker was ended by SIGABRT")
    assert rows["hangs.mp4"]["decoder"].startswith("decord ")
