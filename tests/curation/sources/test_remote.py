"""Roots that are addresses: every adapter reads there what it reads in a folder, and no key is ever written down."""

import errno
import zipfile
from pathlib import Path

import pytest
from fsspec.registry import known_implementations

from curation.sources import LayoutError, SourceError, open_source, read_source, write_source
from curation.sources.remote import RemotePath, place_of
from curation.sources.tree import find_folder, walk
from queries.catalog import connect_read
from queries.ingest import ingest_source
from shards.uri import AddressError, check_no_key, open_address, stat_of, telling
from tests.curation.sources.trees import fakes, originals, touch

DESCRIPTION = """
dataset: small
licence: test
redistributable: false
kind: {kind}
exclude: ["masks/**"]
manifest: {{file: list.csv, path: clip, columns: {{label: truth}}}}
rules:
  - match: ["fake", "fake/**"]
    method: swap
    category: swap
    mask: "masks/{{stem}}.mp4"
"""


def zipped(folder: Path) -> str:
    """The address of a folder's files in an archive, which has no times but checksums."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            file.write(path, f"data/{path.relative_to(folder).as_posix()}")
    return f"zip://data::file://{archive}"


def uploaded(folder: Path, memory) -> str:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        memory.pipe(f"/bucket/data/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return "memory://bucket/data/"


def faceforensics(folder: Path) -> dict:
    touch(folder / "original_sequences/youtube/c23/videos", originals()[:9], b"12")
    touch(folder / "original_sequences/youtube/raw/images/007", ["0001.png", "0002.png", "notes.txt"], b"123")
    touch(folder / "manipulated_sequences/Deepfakes/C23/videos", [*fakes()[:9], "odd name.mp4"], b"1")
    touch(folder / "manipulated_sequences/Deepfakes/masks/videos", fakes()[:5], b"1")
    (folder / "splits").mkdir()
    (folder / "splits" / "test.json").write_text('[["000", "001"]]')
    return {"adapter": "faceforensics"}


def dfd(folder: Path) -> dict:
    touch(folder / "original_sequences/actors/c40/videos", ["01__exit_phone_room.mp4"], b"1")
    touch(
        folder / "manipulated_sequences/DeepFakeDetection/c40/videos", ["01_02__exit_phone_room__ABCDEFGH.mp4"], b"22"
    )
    return {"adapter": "dfd"}


def celebdf(folder: Path) -> dict:
    touch(folder / "Celeb-real" / "videos", ["id0_0000.mp4", "id1_0007.mp4"], b"1")
    touch(folder / "Celeb-synthesis", ["id0_id1_0000.mp4", "what.txt"], b"1")
    (folder / "List_of_testing_videos.txt").write_text("1 Celeb-real/id1_0007.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4")
    return {"adapter": "celebdf", "version": "v2"}


def folder_of(kind: str):
    def small(folder: Path) -> dict:
        extension = "mp4" if kind == "videos" else "png"
        touch(folder / "real" / "deep", [f"ä [1] # ? * 100% \\ .{extension}", ".hidden.mp4", "Thumbs.db"], b"333")
        touch(folder / "fake", [f"b.{extension}", "notes"], b"4")
        touch(folder / "masks", ["b.mp4"], b"5")
        names = ["real/deep/ä [1] # ? * 100% \\ .mp4", "fake/b.mp4"] if kind == "videos" else ["real/deep", "fake"]
        (folder / "list.csv").write_text(f"clip,truth\n{names[0]},real\n{names[1]},fake\n", encoding="utf-8")
        description = folder.parent / "small.yaml"
        description.write_text(DESCRIPTION.format(kind=kind))
        return {"adapter": "folder", "config": description}

    return small


@pytest.mark.parametrize("where", ["memory", "zip", "file"])
@pytest.mark.parametrize("tree", [faceforensics, dfd, celebdf, folder_of("videos"), folder_of("frames")])
def test_an_adapter_finds_the_same_at_an_address(tmp_path, memory, tree, where):
    root = tmp_path / "tree"
    root.mkdir()
    options = tree(root)
    adapter = options.pop("adapter")
    address = {"memory": lambda: uploaded(root, memory), "zip": lambda: zipped(root), "file": lambda: f"file://{root}"}
    here = open_source(adapter, root, **options)
    there = open_source(adapter, address[where](), **options)

    def facts(source):
        return [[getattr(video, name) for name in video.__slots__ if name != "mtime_ns"] for video in source.videos]

    assert facts(there) == facts(here) != []
    assert there.completeness() == here.completeness()
    assert there.notes == here.notes
    assert there.warnings == here.warnings
    assert all(video.mtime_ns > 0 for video in there.videos)


def test_a_scan_of_an_address_is_written_read_and_ingested(tmp_path, memory):
    faceforensics(tmp_path / "tree")
    source = open_source("faceforensics", uploaded(tmp_path / "tree", memory))
    written = write_source(source, tmp_path / "store")
    again = read_source(written)
    assert str(again.root) == "memory://bucket/data"
    assert again.root == source.root
    assert again.videos == source.videos
    ingest_source(tmp_path / "catalog.duckdb", written)
    with connect_read(tmp_path / "catalog.duckdb") as db:
        assert db.execute("SELECT root FROM sources").fetchall() == [("memory://bucket/data",)]
        assert not any("memory" in path for (path,) in db.execute("SELECT path FROM videos").fetchall())
    write_source(source, tmp_path / "store")  # the same address: nothing to ask about
    memory.rm("/bucket/data/original_sequences/youtube/c23/videos/001.mp4")
    memory.cp("/bucket/data", "/bucket/copy", recursive=True)
    with pytest.raises(
        SourceError, match="was scanned from memory://bucket/data before, and memory://bucket/copy lacks"
    ):
        write_source(open_source("faceforensics", "memory://bucket/copy"), tmp_path / "store")


def test_a_description_may_name_an_address_as_its_root(tmp_path, memory):
    options = folder_of("videos")(tmp_path / "tree")
    address = uploaded(tmp_path / "tree", memory)
    file = options["config"]
    file.write_text(file.read_text() + f"\nroot: {address}\n")
    assert len(open_source("folder", config=file).videos) == 2


KEYS = [
    "s3://AKIAXXXX:abc/d+ef@bucket/data",
    "ftp://me:secret@host/data",
    "zip://data::s3://AKIAXXXX:abc@bucket/x.zip",
    "https://host/data/?X-Amz-Signature=abcsecret",
    "abfs://box@account.example/data?sig=abcsecret",
]
NO_KEYS = [
    "s3://bucket/a:b/c@d",
    "file:///data/a:b/c@d",
    "hf://datasets/user/set@main/data",
    "abfs://box@account.example/data",
    "sftp://me@host:22/data/a@b",
]


@pytest.mark.parametrize("address", KEYS)
def test_an_address_with_a_key_is_refused_without_repeating_it(tmp_path, address):
    with pytest.raises(SourceError, match="holds a key.*conf.json") as caught:
        open_source("faceforensics", address)
    assert not any(word in str(caught.value) for word in ("abc", "secret", "AKIA"))
    description = tmp_path / "small.yaml"
    description.write_text(f"{DESCRIPTION.format(kind='videos')}\nroot: {address}\n")
    touch(tmp_path / "here", ["a.mp4"])
    with pytest.raises(SourceError, match="holds a key") as caught:
        open_source("folder", tmp_path / "here", config=description)
    assert not any(word in str(caught.value) for word in ("abc", "secret", "AKIA"))


@pytest.mark.parametrize("address", NO_KEYS)
def test_colons_and_at_signs_that_are_no_keys_are_let_through(address):
    check_no_key(address)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nope://bucket/data", "Protocol not known: nope"),
        ("memory://bucket/nothing", "does not exist or holds nothing"),
        ("memory://bucket/a.mp4", "is a file: `deepshard scan celebdf` wants the folder"),
    ],
)
def test_an_address_that_cannot_be_read_says_what_to_do(memory, address, message):
    memory.pipe("/bucket/a.mp4", b"1")
    with pytest.raises(SourceError, match=message):
        open_source("celebdf", address)


def test_a_package_that_is_missing_is_named(monkeypatch):
    missing = {"class": "no_such_package.Store", "err": "Install no_such_package"}
    monkeypatch.setitem(known_implementations, "elsewhere", missing)
    with pytest.raises(AddressError, match="not installed on this machine: pip install no_such_package"):
        open_address("elsewhere://bucket")


def test_another_layout_names_who_reads_it(tmp_path, memory):
    celebdf(tmp_path / "tree")
    with pytest.raises(LayoutError, match="`deepshard scan celebdf memory://bucket/data` would read it"):
        open_source("faceforensics", uploaded(tmp_path / "tree", memory))


class Refusing:
    """A store's client that raises."""

    def __init__(self, error: Exception):
        self.error = error

    def __getattr__(self, name):
        def refuse(*_, **__):
            raise self.error

        return refuse


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("s3://bucket/data?signed"), "no permission"),
        (RuntimeError("https://signed.example/?sig=abc"), "the store answers with RuntimeError"),
        (OSError("https://signed.example/?sig=abc"), "the store answers with OSError"),
    ],
)
def test_a_store_that_refuses_is_an_error_without_its_addresses(error, message):
    root = RemotePath("s3://bucket/data", Refusing(error), "bucket/data")
    with pytest.raises(SourceError, match=message) as caught:
        open_source("celebdf", root)
    assert "sig" not in str(caught.value)
    with pytest.raises(SourceError, match=message):
        find_folder(root, "", "x")
    with pytest.raises(SourceError, match=message):
        walk(root)


def test_what_is_known_of_an_error_stays_known():
    with pytest.raises(OSError, match="No space left") as caught, telling("a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC


def test_a_path_never_leads_out_of_its_root(memory):
    with pytest.raises(SourceError, match="leads out"):
        place_of("memory://bucket/data") / "../other"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # MinIO lists milliseconds and answers for one file in seconds
        (
            {"LastModified": "2024-05-06T07:08:09.123Z", "ETag": '"ab"'},
            {"LastModified": "2024-05-06T07:08:09+00:00", "ETag": "ab"},
            True,
        ),
        ({"LastModified": "2024-05-06T07:08:09Z", "ETag": "ab"}, {"LastModified": "2024-05-06T07:08:09Z"}, False),
        ({"blob_id": "ab"}, {"blob_id": "cd"}, False),
        ({"mtime": 1.5}, {"mtime": 1.25}, False),
        ({}, {"mtime": None}, True),
    ],
)
def test_what_a_store_tells_of_a_file_is_a_size_and_a_time(one, other, same):
    assert (stat_of({"size": 7, **one}) == stat_of({"size": 7, **other})) is same
    assert stat_of({"size": 7})[0] == 7
    assert stat_of({}) == (0, 0)


def test_a_time_is_in_nanoseconds_since_1970():
    assert stat_of({"size": 1, "LastModified": "1970-01-02T00:00:00Z"}) == (1, 86_400 * 10**9)
