"""There and back: what strangers load, what a pull copies and what an attached store reads are the faces that left."""

import hashlib
import io
import json
import re
import tarfile

import pytest

from hub.attach import attach
from hub.errors import HubError
from hub.pull import pull
from queries.catalog import connect_read
from queries.pin import pin
from queries.pinned import find_pinned, list_pinned
from shards.split import Split
from shards.verify import verify_store
from tests.conftest import REPOSITORY, new_place
from tests.hub.conftest import FACES, Online, push_from, repository
from tests.hub.server import PART

STRANGER = """
import hashlib, io, json
import duckdb
from datasets import Image, load_dataset, get_dataset_config_names
from huggingface_hub import HfFileSystem

def digest(image): return hashlib.sha256(image["bytes"]).hexdigest()

told = {"configs": get_dataset_config_names("somebody/faces")}
whole = load_dataset("somebody/faces")
told["splits"] = {name: len(split) for name, split in whole.items()}
faces = {}
for split in whole.values():
    for face in split.cast_column("png", Image(decode=False)).cast_column("mask.png", Image(decode=False)):
        assert face["__key__"].endswith(face["json"]["key"].rpartition("/")[2])
        faces[face["json"]["sample_id"]] = [digest(face["png"]), face["mask.png"] and digest(face["mask.png"])]
told["datasets"] = faces
told["decoded"] = whole["train"][0]["png"].size
part = load_dataset("somebody/faces", "celebdf-v2", split="test", streaming=True)
told["celebdf"] = sorted(face["json"]["sample_id"] for face in part)

db = duckdb.connect()
db.register_filesystem(HfFileSystem())
rows = db.sql(\"\"\"
    SELECT sample_id, file, "offset", size FROM 'hf://datasets/somebody/faces/catalog/faces.parquet' ORDER BY ALL
\"\"\").fetchall()
told["duckdb"] = [row[0] for row in rows]
sample, file, offset, size = rows[0]
data = HfFileSystem().cat_file(f"datasets/somebody/faces/{file}", start=offset, end=offset + size)
told["range"] = [sample, hashlib.sha256(data).hexdigest()]
told["joined"] = db.sql(\"\"\"
    SELECT count(*) FROM 'hf://datasets/somebody/faces/catalog/faces.parquet' f
    JOIN 'hf://datasets/somebody/faces/catalog/videos.parquet' v USING (video_id)
    JOIN 'hf://datasets/somebody/faces/catalog/shards.parquet' s ON s.shard = f.shard AND s.path || '.tar' = f.file
\"\"\").fetchall()[0][0]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def local(pinned) -> dict[str, list]:
    """sample_id -> SHA-256 of image and mask, as they lie in the shards here."""
    found = {}
    for path in sorted(pinned.folder.glob("store/shards/*.tar")):
        with tarfile.open(path) as tar:
            members: dict[str, dict[str, bytes]] = {}
            for member in tar:
                key, _, kind = member.name.partition(".")
                members.setdefault(key, {})[kind] = tar.extractfile(member).read()
        for kinds in members.values():
            mask = kinds.get("mask.png")
            sums = [hashlib.sha256(kinds["png"]).hexdigest(), mask and hashlib.sha256(mask).hexdigest()]
            found[json.loads(kinds["json"])["sample_id"]] = sums
    return found


def test_strangers_load_the_same_faces_by_datasets_webdataset_and_duckdb(pushed, stranger, local):
    card = pushed.content(FACES, "README.md").decode()
    programs = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(programs) == 3
    opened = "import huggingface_hub\nhuggingface_hub.update_repo_settings('somebody/faces', repo_type='dataset', "
    program = [STRANGER, f"{opened}private=False)", *programs]  # webdataset sends no token: it is opened to it
    program += ["assert image.shape == (256, 256, 3) and label in (0, 1)"]
    try:
        said = stranger.run("\n".join(program)).splitlines()
        assert not pushed.repos[FACES].private
    finally:
        pushed.repos[FACES].private = True
    told = json.loads(next(line for line in said if line.startswith("{")))
    assert told["configs"] == ["all", "celebdf-v2", "dfd", "ffpp"]
    assert set(told["splits"]) == {"train", "validation", "test", "unsplit"}
    assert told["datasets"] == local and len(local) > 300
    assert told["decoded"] == [256, 256]
    assert told["duckdb"] == sorted(local) and told["joined"] == len(local)
    assert told["range"][1] == local[told["range"][0]][0]
    assert told["celebdf"] and set(told["celebdf"]) < set(local)


def test_a_pull_elsewhere_gives_the_same_ids_bytes_tars_and_pins(pushed, online, pinned, tmp_path):
    catalog, store = tmp_path / "catalog.duckdb", tmp_path / "store"
    done = pull(catalog, store, repository())
    assert done.fetched == done.faces > 300 and not done.report.problems
    there = {path: online.content(FACES, path) for path in online.listing(FACES) if path.endswith(".tar")}
    here = [path.read_bytes() for path in sorted(store.glob("shards/*.tar"))]
    assert sorted(hashlib.sha256(data).digest() for data in there.values()) == sorted(
        hashlib.sha256(data).digest() for data in here
    )
    assert verify_store(store / "shards") == []
    with connect_read(pinned.folder / "catalog.duckdb") as old, connect_read(catalog) as new:
        columns = '* EXCLUDE (shard, tar, "offset", attempt, source)'
        asked = f"SELECT {columns} FROM faces ORDER BY sample_id"
        assert old.sql(asked).to_arrow_table().equals(new.sql(asked).to_arrow_table())
        asked = "SELECT source, licence, redistributable FROM sources ORDER BY ALL"
        assert old.sql(asked).fetchall() == new.sql(asked).fetchall()
    assert [one.hash for one in list_pinned(store)] == [one.hash for one in list_pinned(pinned.folder / "store")]
    for name in ("f2f_train", "f2f_val"):
        _same_faces(pinned.folder / "store", store, name)
    online.clear()
    assert pull(catalog, store, repository()).fetched == 0
    assert online.sent["tar"] == 0 and online.sent["arrow"] == 0
    assert online.sent["parquet"] == len(online.content(FACES, "catalog/shards.parquet"))
    again = pin(catalog, store, REPOSITORY / "queries/ffpp/f2f_val.sql")
    assert again.hash == next(one.hash for one in list_pinned(pinned.folder / "store") if one.name == "f2f_val")


def test_a_pull_of_splits_brings_their_faces_and_the_second_only_what_is_new(pushed, online, pinned, tmp_path):
    catalog, store = tmp_path / "catalog.duckdb", tmp_path / "store"
    whole = sum(entry.size for path, entry in online.listing(FACES).items() if path.endswith(".tar"))
    first = pull(catalog, store, repository(), split="fs_i")
    assert first.fetched == first.faces < 150 and online.sent["tar"] < whole / 2
    _same_faces(pinned.folder / "store", store, "fs_i")
    second = pull(catalog, store, repository(), split="nt_i")
    assert second.faces > second.fetched > 0  # their originals are the same
    for name in ("fs_i", "nt_i"):
        _same_faces(pinned.folder / "store", store, name)
    assert verify_store(store / "shards") == []
    online.clear()
    assert pull(catalog, store, repository(), split="fs_i").fetched == 0 and online.sent["tar"] == 0
    third = pull(catalog, store, repository())
    assert 0 < third.fetched < third.faces
    tars = {path.name: path.read_bytes() for path in store.glob("shards/*.tar")}
    there = [online.content(FACES, path) for path in online.listing(FACES) if path.endswith(".tar")]
    assert sorted(map(len, tars.values())) == sorted(map(len, there)) and set(tars.values()) == set(there)
    _same_faces(pinned.folder / "store", store, "nt_i")


def test_a_split_that_is_not_there_is_refused_with_those_that_are(pushed, online, tmp_path):
    with pytest.raises(HubError, match=r"no pinned splits f2f_tain: choose one of f2f_test@"):
        pull(tmp_path / "catalog.duckdb", tmp_path / "store", repository(), split="f2f_tain")


def test_an_attached_store_is_trained_on(pushed, demo_tree, tmp_path):
    place = Online(new_place(tmp_path / "far", demo_tree).folder, pushed)
    said = place.ok("attach", FACES)
    assert "with the split f2f_train@" in said and not list(place.folder.glob("store/shards/*.tar"))
    words = ["--config", "training/configs/demo.yaml", "--epochs", "1", "--batch_size", "8", "--tracker", "none"]
    words += ["--train", "f2f_train", "--val", "f2f_val", "--cache", "cache", "--cache_gb", "1", "--name", "one"]
    pushed.clear()
    done = place.train(*words)
    assert done.returncode == 0, done.stderr
    whole = sum(entry.size for path, entry in pushed.listing(FACES).items() if path.endswith(".tar"))
    assert 0 < pushed.sent["tar"] < whole
    run = json.loads((place.folder / "store/runs/one/run.json").read_text())
    assert run["status"] == "finished" and {split["name"] for split in run["splits"]} == {"f2f_train", "f2f_val"}


def test_an_attached_store_is_queried_and_reads_the_bytes_that_left_once(pushed, online, pinned, tmp_path):
    catalog, store = tmp_path / "catalog.duckdb", tmp_path / "store"
    done = attach(catalog, store, repository())
    assert not done.report.problems and online.sent["tar"] == 0
    with connect_read(catalog) as db:
        assert db.sql("SELECT count(*) FROM faces WHERE tar <> 'there'").fetchall() == [(0,)]
    again = pin(catalog, store, REPOSITORY / "queries/ffpp/f2f_val.sql")
    assert not [lint for lint in again.lints if lint.rule == "missing_shard"]
    _same_faces(pinned.folder / "store", store, "f2f_val", tmp_path / "cache")
    assert online.sent["tar"] > 0
    online.clear()
    _same_faces(pinned.folder / "store", store, "f2f_val", tmp_path / "cache")
    assert online.sent["tar"] == 0
    assert attach(catalog, store, repository()).report.packs == 0
    with pytest.raises(HubError, match="is attached, its tars lie elsewhere"):
        pull(catalog, store, repository())
    with pytest.raises(HubError, match="has shards of its own"):
        attach(pinned.folder / "catalog.duckdb", pinned.folder / "store", repository())


def test_what_is_there_is_not_sent_again(pushed, online, pinned):
    before = online.listing(FACES)
    again = push_from(pinned, FACES)
    assert again.commit is None and again.made == 0
    assert online.received["lfs"] == 0 and online.listing(FACES) == before


def test_a_push_of_more_sends_only_the_new_shards_though_others_get_other_paths(server, online, pinned, tmp_path):
    name = "somebody/growing"
    push_from(pinned, name, where="dataset = 'celebdf-v2' AND official_split = 'train' AND label = 0")
    first = {path: entry.sha256 for path, entry in online.listing(name).items() if path.endswith(".tar")}
    assert list(first) == ["data/celebdf-v2/train-00000-of-00001.tar"]
    online.clear()
    done = push_from(pinned, name, where="dataset = 'celebdf-v2' AND official_split = 'train'")
    listing = online.listing(name)
    tars = {path: entry for path, entry in listing.items() if path.endswith(".tar")}
    assert len(tars) == 2 and done.made == 1 and set(first.values()) < {entry.sha256 for entry in tars.values()}
    new = sum(entry.size for entry in tars.values() if entry.sha256 not in first.values())
    small = sum(entry.size for path, entry in listing.items() if path.endswith((".parquet", ".arrow")))
    assert new <= online.received["lfs"] <= new + small
    assert "data/celebdf-v2/train-00000-of-00001.parquet" not in listing


def test_a_repository_is_not_made_smaller_by_accident(server, online, pinned):
    name = "somebody/shrinking"
    push_from(pinned, name, splits=["f2f_val", "f2f_test"])
    before = online.listing(name)
    with pytest.raises(HubError, match=r"has \d+ faces that this push leaves out"):
        push_from(pinned, name, splits=["f2f_val"])
    assert online.listing(name) == before
    done = push_from(pinned, name, splits=["f2f_val"], replace=True)
    assert [one.partition("@")[0] for one in done.splits] == ["f2f_val"]
    kept = json.loads(_table(online, name, "faces", "to_json(list(DISTINCT official_split))"))
    assert kept == ["val"]


def test_large_files_go_up_in_parts_where_the_hub_asks_for_it(server, online, pinned):
    online.multipart = True
    try:
        push_from(pinned, "somebody/parts", where="dataset = 'ffpp' AND quality = 'c40' OR dataset = 'dfd'")
    finally:
        online.multipart = False
    assert online.asked["PUT", "part"] > 1
    assert any(entry.size > PART for entry in online.listing("somebody/parts").values())


def _table(server, name: str, table: str, what: str) -> str:
    import duckdb
    import pyarrow.parquet as pq

    rows = pq.read_table(io.BytesIO(server.content(name, f"catalog/{table}.parquet")))  # noqa: F841
    return duckdb.sql(f"SELECT {what} FROM rows").fetchall()[0][0]


def _same_faces(old, new, name: str, cache=None) -> None:
    """The same ids, labels, partners and bytes of every member in both stores."""
    one, other = Split.open(find_pinned(old, name)), Split.open(find_pinned(new, name), cache=cache)
    assert one.hash == other.hash and one.sample_ids() == other.sample_ids()
    assert (one.labels == other.labels).all() and len(one) > 0
    other.check_shards()
    for row, facts in enumerate(one.rows(range(len(one)))):
        members = ["image", "json", *(["mask"] if facts["mask_offset"] is not None else [])]
        for member in [*members, *(["partner"] if facts["partner_id"] else [])]:
            assert one.read(row, member) == other.read(row, member)
