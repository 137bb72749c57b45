"""What leaves tells nothing of this machine, and with a key nothing of who is in the videos, though all still joins."""

import getpass
import io
import json
import socket
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hub.errors import Forbidden, HubError
from hub.local import Local
from hub.outgoing import prepare
from hub.pseudonyms import Pseudonyms
from hub.selection import select
from queries.catalog import connect_read
from queries.ingest import rebuild
from tests.conftest import copy_of
from tests.hub.conftest import FACES, push_from

KEY = b"a key that nobody else has, 32 b"


def texts(server, name: str) -> dict[str, str]:
    """Everything in a repository as text: Parquet and Arrow decoded, tars unpacked but for their pixels."""
    found = {}
    for path in server.listing(name):
        data = server.content(name, path)
        if path.endswith((".parquet", ".arrow")):
            table = pq.read_table(io.BytesIO(data)) if path.endswith(".parquet") else pa.ipc.open_file(data).read_all()
            metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
            found[path] = json.dumps([metadata, table.to_pylist()], default=str, ensure_ascii=False)
        elif path.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                members = [(m.name, tar.extractfile(m).read()) for m in tar]
            kept = [(member, content.decode()) for member, content in members if member.endswith(".json")]
            found[path] = json.dumps([[member for member, _ in members], kept], ensure_ascii=False)
        else:
            found[path] = data.decode()
    return found


def test_nothing_that_left_names_this_machine_or_its_user(online, pinned, tmp_path):
    place = copy_of(pinned, tmp_path / "place")
    marks = sorted(place.folder.glob("store/sources/*.parquet"))
    table = pq.read_table(marks[0])
    told = json.loads(table.schema.metadata[b"deepshard"])
    root = told["root"]
    assert root.startswith("/")
    told |= {"notes": [f"skipped {root}/odd.mp4"], "warnings": [f"{Path.home()} is full"], "config": {"from": root}}
    pq.write_table(table.replace_schema_metadata({b"deepshard": json.dumps(told).encode()}), marks[0])
    rebuild(place.folder / "catalog.duckdb", place.folder / "store")
    push_from(place, "somebody/clean")
    left = texts(online, "somebody/clean")
    assert len(left) > 40 and any(path.endswith(".tar") for path in left)
    words = [root, str(place.folder), str(pinned.folder), str(tmp_path), socket.gethostname() + ":"]
    words += [
        f"/{getpass.getuser()}/",
        f"/home/{getpass.getuser()}",
        str(Path.home()) + "/",
        "/tmp/",
        "Captain Somebody",
    ]
    for path, text in left.items():
        assert [word for word in words if word in text] == [], path


def test_who_corrected_does_not_leave_but_what_was_corrected_does(online, pinned, tmp_path):
    place = copy_of(pinned, tmp_path / "place")
    with connect_read(place.folder / "catalog.duckdb") as db:
        ((video,),) = db.sql("SELECT min(video_id) FROM videos WHERE dataset = 'dfd' AND label = 0").fetchall()
    fields = [(name, pa.string()) for name in ("video_id", "column", "value", "who")]
    schema = pa.schema([*fields, ("at", pa.timestamp("us", "UTC")), ("why", pa.string())])
    row = {"video_id": video, "column": "official_split", "value": "test", "who": "Captain Somebody", "at": 0}
    (place.folder / "store/corrections").mkdir()
    why = f"seen in {place.folder}/store"
    table = pa.Table.from_pylist([row | {"why": why}], schema=schema)
    pq.write_table(table, place.folder / "store/corrections/one.parquet")
    rebuild(place.folder / "catalog.duckdb", place.folder / "store")
    push_from(place, "somebody/corrected", where="dataset = 'dfd'")
    left = texts(online, "somebody/corrected")
    assert not [path for path, text in left.items() if "Captain" in text or str(place.folder) in text]
    assert "seen in [local]" in left["corrections/corrections.parquet"]
    rows = pq.read_table(io.BytesIO(online.content("somebody/corrected", "data/dfd/test-00000-of-00001.parquet")))
    assert set(rows["video_id"].to_pylist()) == {video}


def test_a_text_that_would_tell_of_this_machine_stops_the_push(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "out").mkdir()
    table = pa.table({"said": [f"look in {tmp_path}/store for it"]})
    pq.write_table(table, tmp_path / "out/a.parquet")
    with pytest.raises(Forbidden, match="a.parquet would tell"):
        Local(tmp_path / "store").check(tmp_path / "out")


def test_pseudonyms_hide_every_name_and_keep_pairs_splits_and_pixels(online, pinned):
    name = "somebody/disguised"
    push_from(pinned, name, splits=["fs_i", "f2f_val"], pseudonyms=Pseudonyms(KEY))
    selection = select(pinned.folder / "catalog.duckdb", pinned.folder / "store", ["fs_i", "f2f_val"])
    names = {video["name"] for video in selection.videos.to_pylist()}
    hidden = {
        word for video in selection.videos.to_pylist() for word in (video["video_id"], video["path"], video["content"])
    }
    people = {
        video[column]
        for video in selection.videos.to_pylist()
        for column in ("target_id", "source_id")
        if video[column]
    }
    left = texts(online, name)
    for path, text in left.items():
        assert not [word for word in hidden | {f'"{word}"' for word in people | names} if word in text], path
        assert not [word for word in names if f"/{word}/" in text], path
    faces = pq.read_table(io.BytesIO(online.content(name, "catalog/faces.parquet"))).to_pylist()
    with connect_read(pinned.folder / "catalog.duckdb") as db:
        old = {row["sample_id"]: row for row in db.sql("FROM faces").to_arrow_table().to_pylist()}
    key = Pseudonyms(KEY)
    by_name = {(key.video(row["video_id"]), row["frame_index"], row["track"]): row for row in old.values()}
    assert len(faces) == len(selection.samples)
    for row in faces:
        was = by_name[row["video_id"], row["frame_index"], row["track"]]
        for column in ("label", "method", "official_split", "dataset", "quality", "yaw", "size"):
            assert row[column] == was[column]
        assert row["target_id"] == key.identity(was["target_id"]) and row["original_video"] == key.video(
            was["original_video"]
        )
    videos = {row["video_id"] for row in faces}
    fakes = [row for row in faces if row["label"] and row["original_video"] in videos]
    assert fakes, "fakes and their originals no longer join"


def test_a_disguised_repository_is_a_store_like_any_other(online, pinned, tmp_path):
    from hub.pull import pull
    from shards.split import Split
    from shards.verify import verify_store
    from tests.hub.conftest import repository

    name = "somebody/again"
    done = push_from(pinned, name, splits=["fs_i"], pseudonyms=Pseudonyms(KEY))
    store = tmp_path / "store"
    pull(tmp_path / "catalog.duckdb", store, repository(name))
    assert verify_store(store / "shards") == []
    (path,) = store.glob("splits/*.arrow")
    assert path.stem == done.splits[0]
    split = Split.open(path)
    old = Split.open(next(pinned.folder.glob("store/splits/fs_i@*.arrow")))
    assert len(split) == len(old) and split.hash != old.hash
    images = {split.read(row) for row in range(len(split))}
    assert images == {old.read(row) for row in range(len(old))}
    facts = [json.loads(split.read(row, "json")) for row in range(len(split))]
    assert [one["sample_id"] for one in facts] == split.sample_ids()
    online.received.clear()
    assert push_from(pinned, name, splits=["fs_i"], pseudonyms=Pseudonyms(KEY)).commit is None
    assert not online.received


def test_the_same_key_gives_the_same_names_and_another_key_others():
    one, same, other = Pseudonyms(KEY), Pseudonyms(KEY), Pseudonyms(KEY + b"!")
    names = [f"ffpp/original/c23/{number:03d}" for number in range(1000)]
    told = [one.video(name) for name in names]
    assert told == [same.video(name) for name in names] and len(set(told)) == len(names)
    assert not set(told) & {other.video(name) for name in names}
    assert all(word.startswith("ffpp/original/c23/") for word in told)
    assert one.identity("ffpp:043").startswith("ffpp:") and one.identity(None) is None and one.identity("") == ""


def test_a_key_that_is_missing_or_short_is_refused(tmp_path):
    with pytest.raises(HubError, match="head -c 32 /dev/urandom"):
        Pseudonyms.of(tmp_path / "key")
    (tmp_path / "key").write_bytes(b"short\n")
    with pytest.raises(HubError, match="has 5 bytes, at least 16"):
        Pseudonyms.of(tmp_path / "key")


def test_what_leaves_is_the_same_bytes_each_time(pinned, tmp_path):
    catalog, store = pinned.folder / "catalog.duckdb", pinned.folder / "store"
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        outgoing = prepare(select(catalog, store, ["f2f_val"]), store, tmp_path / name, FACES)
        made.append({path: file.read_bytes() for path, file in outgoing.files.items()})
    assert made[0] == made[1]
