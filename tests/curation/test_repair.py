"""A damaged store is repaired and curated again: afterwards it verifies, and every face is what it was."""

import fcntl
import itertools
import shutil
import tarfile
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.engines import Outcome
from curation.faces import opening
from curation.recipe import Recipe
from curation.repair import repair_store
from curation.run import CurationError, curate
from curation.sources import open_source, write_source
from queries.catalog import connect_read
from queries.ingest import ingest_source
from queries.verify import compare
from shards import durable, tar
from shards.verify import verify_parts, verify_store
from tests.soak import scale

PLACES = ("write", "rename", "fsync", "remove")  # where the disk is changed
RECIPE = Recipe("aligned", "all", "dlib", size=32)
DESCRIPTION = (
    "dataset: {}\nlicence: test\nredistributable: false\nkind: frames\naligned: true\nrules:\n  - match: '*'\n"
)
DESCRIPTION += "    label: fake\n    method: other\n    category: unknown\n"


def here(start, arguments, tasks, workers, limits, again):
    """An engine without processes: what workers do is not what is tested."""
    work = start(*arguments)
    for task in tasks:
        yield Outcome(task, "done", work(task, lambda: None))


@pytest.fixture(scope="module", autouse=True)
def engine():
    load = opening.backend_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curation.run.open_engine", lambda name: here)
        models = cache(lambda: load(RECIPE, None))  # loaded once
        patch.setattr("curation.faces.opening.backend_of", lambda recipe, device: models())
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two datasets of three folders of faces each, curated into a pack each."""
    root = tmp_path_factory.mktemp("whole")
    random = np.random.default_rng(0)
    for dataset in ("one", "two"):
        for video in ("a", "b", "c"):
            for index in range(3):
                path = root / "videos" / dataset / video / f"{index:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), random.integers(0, 256, (32, 32, 3), np.uint8))
        config = root / "videos" / f"{dataset}.yaml"
        config.write_text(DESCRIPTION.format(dataset))
        source = open_source("folder", root / "videos" / dataset, config=config)
        ingest_source(root / "catalog.duckdb", write_source(source, root / "store"))
    assert curate(root / "catalog.duckdb", root / "store", RECIPE, workers=1).faces == 18
    return root


class Place:
    """A copy of a store and its catalog; the videos are shared until ``own_videos``."""

    def __init__(self, whole: Path, folder: Path):
        self.whole, self.catalog, self.store = whole, folder / "catalog.duckdb", folder / "store"
        shutil.copytree(whole / "store", self.store)
        shutil.copy(whole / "catalog.duckdb", self.catalog)
        self.shards = self.store / "shards"

    def file(self, dataset: str, end: str) -> Path:
        return next(path for path in self.shards.glob(f"{dataset}-*") if path.name.partition(".")[2] == end)

    def findings(self) -> list:
        found = verify_store(self.shards) + verify_parts(self.store / "parts", self.shards)
        told = compare(self.catalog, self.store)
        return found + told.files + told.rows

    def faces(self) -> dict[str, bytes]:
        """Every member of every shard, by sample id."""
        with connect_read(self.catalog) as db:
            ids = dict(db.execute("SELECT key, sample_id FROM faces JOIN samples USING (sample_id)").fetchall())
        found = {}
        for path in self.shards.glob("*.tar"):
            with tarfile.open(path) as file:
                for member in file:
                    key, _, end = member.name.partition(".")
                    found[f"{ids[key]}.{end}"] = file.extractfile(member).read()
        return found

    def repair(self):
        return repair_store(self.catalog, self.store)

    def curate(self):
        return curate(self.catalog, self.store, RECIPE, workers=1)


@pytest.fixture
def place(whole, tmp_path):
    return Place(whole, tmp_path)


@pytest.fixture(scope="module")
def faces(whole, tmp_path_factory):
    found = Place(whole, tmp_path_factory.mktemp("faces")).faces()
    assert len(found) == 36
    return found


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def text(repairs) -> str:
    return "\n".join(f"{repair.place}: {repair.message}" for repair in repairs)


def test_a_store_without_damage_is_left_as_it_is(place):
    assert place.findings() == []
    before = {path: path.stat().st_mtime_ns for path in place.store.rglob("*") if path.name != "lock"}
    assert place.repair() == []
    assert {path: path.stat().st_mtime_ns for path in place.store.rglob("*") if path.name != "lock"} == before


def header(place):
    flip(place.file("one", "tar"), 3)


def header_of_two(place):
    flip(place.file("two", "tar"), 3)


def padding_and_end(place):
    path = place.file("one", "tar")
    flip(path, len(path.read_bytes()) - 5)
    flip(path, pq.read_table(place.file("one", "parquet"))["image_offset"][0].as_py() - tar.BLOCK - 1)


def cut_in_the_end(place):
    path = place.file("one", "tar")
    path.write_bytes(path.read_bytes()[:-900])


def footer_of_the_mark(place):
    path = place.file("one", "videos.parquet")
    flip(path, path.read_bytes().rfind(b"parquet-cpp"))


def checksum_of_the_mark(place):
    path = place.file("one", "videos.parquet")
    flip(path, path.read_bytes().rfind(b"zeros here: ") + 20)


def rows_of_the_mark(place):
    flip(place.file("one", "videos.parquet"), 60)


def rows_of_the_sidecar(place):
    flip(place.file("one", "parquet"), 200)


def no_sidecar(place):
    place.file("one", "parquet").unlink()


def both(place):
    rows_of_the_sidecar(place)
    rows_of_the_mark(place)
    header(place)


@pytest.mark.parametrize(
    "damage",
    [
        header,
        padding_and_end,
        cut_in_the_end,
        footer_of_the_mark,
        checksum_of_the_mark,
        rows_of_the_mark,
        rows_of_the_sidecar,
        no_sidecar,
        both,
    ],
)
def test_what_follows_from_something_else_is_written_again_byte_for_byte(place, whole, damage):
    damage(place)
    assert verify_store(place.shards)
    repairs = place.repair()
    assert repairs
    assert not any(repair.left for repair in repairs)
    for path in whole.glob("store/shards/*"):
        assert (place.shards / path.name).read_bytes() == path.read_bytes()
    assert not (place.store / "damaged").exists()


def data(place):
    flip(place.file("one", "tar"), pq.read_table(place.file("one", "parquet"))["image_offset"][4].as_py() + 10)


def no_tar(place):
    place.file("one", "tar").unlink()


def cut_in_the_data(place):
    path = place.file("one", "tar")
    path.write_bytes(path.read_bytes()[:5000])


def no_mark(place):
    place.file("one", "videos.parquet").unlink()


def everything(place):
    for path in place.shards.iterdir():
        path.write_bytes(path.read_bytes()[:300])


def sidecar_and_catalog(place):
    path = place.file("one", "parquet")
    path.write_bytes(path.read_bytes()[:300])
    place.catalog.write_bytes(b"not a database")


@pytest.mark.parametrize("damage", [data, no_tar, cut_in_the_data, no_mark, everything, sidecar_and_catalog])
def test_what_is_lost_is_set_aside_and_curated_again_to_the_same_faces(place, whole, faces, damage):
    damage(place)
    left = {path.name: path.read_bytes() for path in place.shards.iterdir()}
    repairs = place.repair()
    assert not any(repair.left for repair in repairs)
    assert "deepshard curate" in text(repairs)
    assert "aligned" in text(repairs)
    assert "one/other/native/" in text(repairs)
    assert place.findings() == []
    kept = {path.name: path.read_bytes() for path in place.store.glob("damaged/*/*")}
    assert {**kept, **{path.name: path.read_bytes() for path in place.shards.iterdir()}} == left
    assert place.curate().faces in (9, 18)
    assert place.findings() == []
    assert place.faces() == faces
    for path in whole.glob("store/shards/*.tar"):  # pinned splits that read them stay true
        assert (place.shards / path.name).read_bytes() == path.read_bytes()


def test_the_damaged_faces_are_named(place):
    data(place)
    sample = pq.read_table(place.file("one", "parquet"))["sample_id"][4].as_py()
    [repair] = [repair for repair in place.repair() if repair.samples]
    assert repair.samples == (sample,)
    assert f"9 faces of 3 videos; damaged are {sample}" in repair.message


@pytest.mark.parametrize("change", ["gone", "other"])
def test_without_its_videos_a_pack_stays_until_they_are_back(place, tmp_path, whole, faces, change):
    videos = whole / "videos" / "one" / "b"
    data(place)
    before = {path.name: path.read_bytes() for path in place.shards.iterdir()}
    moved = tmp_path / "b"
    shutil.copytree(videos, moved)
    try:
        if change == "gone":
            shutil.rmtree(videos)
        else:
            (videos / "0001.png").write_bytes(b"another picture")
        repairs = place.repair()
        assert [repair.left for repair in repairs] == [True]
        for told in ("one/other/native/b", "Restore", "9 faces"):
            assert told in text(repairs)
        assert {path.name: path.read_bytes() for path in place.shards.iterdir()} == before
        with connect_read(place.catalog) as db:
            assert db.execute("SELECT count(*) FROM faces").fetchall() == [(18,)]
    finally:
        shutil.rmtree(videos, ignore_errors=True)
        shutil.copytree(moved, videos)
    assert not any(repair.left for repair in place.repair())
    assert place.curate().faces == 9
    assert place.findings() == []
    assert place.faces() == faces


def test_what_a_damaged_pack_left_in_place_told_stays_in_the_catalog(place, whole, tmp_path):
    """Its rows are what a later repair may prove a sidecar with; other rows are still mended."""
    rows = pq.read_table(place.file("one", "parquet"))
    no_mark(place)
    with duckdb.connect(place.catalog) as db:
        db.execute("DELETE FROM scanned WHERE dataset = 'one'")
        db.execute("UPDATE videos SET in_scan = false WHERE dataset = 'one'")
    assert any(repair.left for repair in place.repair())
    assert pq.read_table(place.file("one", "parquet")).equals(rows)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE sample_rows SET image_offset = image_offset + 512 WHERE frame_index = 1",
            "3 of 9 rows of table samples",
        ),
        ("UPDATE sample_rows SET json_size = 7 WHERE sample_id LIKE '%/two/%'", "9 of 9 rows of table samples"),
        ("UPDATE sample_rows SET image_xxh3 = 7 WHERE sample_id LIKE '%/two/%/a/000000-0'", "1 of 9 rows"),
        (
            "DELETE FROM sample_rows WHERE sample_id LIKE '%/two/%/a/%'",
            "0 of 6 rows of table samples are not the store's 9",
        ),
        ("INSERT INTO sample_rows FROM sample_rows LIMIT 1", "1 of 10 rows"),
        ("DELETE FROM shards WHERE shard LIKE 'one%'", "1 rows are missing in table shards"),
        ("UPDATE shards SET shard = 'three'", "are of nothing in the store"),
        ("UPDATE packed SET label = 0 WHERE name = 'a'", "1 of 3 rows of table packed"),
        ("UPDATE videos SET label = 0 WHERE name = 'a'", "2 of 6 rows of table videos"),
        ("DELETE FROM attempts", "table attempts"),
        ("UPDATE current_attempts SET label = 0 WHERE name = 'a'", "2 of 6 rows of table current_attempts"),
        ("DELETE FROM recipes", "table recipes"),
        ("DELETE FROM ingested", "table ingested"),
        ("UPDATE scanned SET path = 'elsewhere'", "table scanned"),
        ("DROP TABLE predictions", "predictions"),
    ],
)
def test_a_catalog_that_differs_from_its_store_is_told_and_not_changed(place, change, told):
    with duckdb.connect(place.catalog) as db:
        db.execute(change)
    before = place.catalog.read_bytes()
    problems = compare(place.catalog, place.store)
    assert problems.files == []
    assert told in "\n".join(map(str, problems.rows))
    assert place.catalog.read_bytes() == before


def test_a_catalog_that_differs_from_its_store_is_made_again(place):
    with duckdb.connect(place.catalog) as db:
        db.execute("UPDATE sample_rows SET image_offset = 7; DELETE FROM recipes")
    repairs = place.repair()
    assert len(repairs) == 3  # two packs and the recipe
    assert not any(repair.left for repair in repairs)
    assert place.findings() == []


def test_packs_the_catalog_does_not_know_and_knows_no_more(place, whole, tmp_path):
    for path in place.shards.glob("one-*"):
        path.rename(tmp_path / path.name)
    name = next(tmp_path.glob("one-*.tar")).stem
    assert [problem.path for problem in compare(place.catalog, place.store).rows] == [f"shards/{name}"]
    place.repair()
    assert place.findings() == []
    for path in tmp_path.glob("one-*"):
        path.rename(place.shards / path.name)
    assert [problem.path for problem in compare(place.catalog, place.store).rows] == [f"shards/{name}"]
    place.repair()
    assert place.findings() == []


def test_a_store_whose_disk_is_not_mounted_does_not_empty_the_catalog(place):
    shutil.rmtree(place.shards)
    place.shards.mkdir()
    before = place.catalog.read_bytes()
    [repair] = place.repair()
    assert repair.left
    assert "mounted" in repair.message
    assert place.catalog.read_bytes() == before


def test_every_table_is_compared():
    from queries.catalog import script
    from queries.verify import PLACES

    with duckdb.connect() as db:
        for name in ("schema", "views"):
            db.execute(script(name))
        tables = {name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert {{"samples": "sample_rows"}.get(table, table) for table in PLACES} == tables - {"meta"}


def test_leftovers_go_and_what_nobody_knows_stays(place):
    half = place.shards / "one-0.tar.0a1b2c3d.tmp"
    own = [place.shards / "notes.txt", place.shards / "mine.tmp", place.store / "parts" / "mine.txt"]
    for path in (half, *own):
        path.write_bytes(b"words")
    (place.store / "parts" / "0badcafe-00000000").mkdir()
    repairs = place.repair()
    assert sum(repair.left for repair in repairs) == 3
    assert not half.exists()
    assert all(path.exists() for path in own)
    assert not (place.store / "parts" / "0badcafe-00000000").exists()


def test_bytes_that_no_row_knows_leave_the_tar_but_not_the_store(place, whole):
    path = place.file("one", "tar")
    right = path.read_bytes()
    path.write_bytes(right[: -len(tar.END)] + tar.member("stranger.png", b"pixels") + tar.END)
    wrong = path.read_bytes()
    assert not any(repair.left for repair in place.repair())
    assert path.read_bytes() == right
    assert (place.store / "damaged" / path.stem / path.name).read_bytes() == wrong
    assert place.findings() == []


def interrupted(place) -> Path:
    """The parts of a curation that was killed before it packed them: its folder."""
    for path in place.shards.iterdir():
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curation.plan.pack", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        from queries.ingest import rebuild

        rebuild(place.catalog, place.store)
        with pytest.raises(KeyboardInterrupt):
            place.curate()
    [folder] = [path for path in (place.store / "parts").iterdir() if path.is_dir()]
    return folder


def test_what_a_killed_curation_has_to_finish_is_no_finding(place, faces):
    interrupted(place)
    assert verify_parts(place.store / "parts", place.shards) == []
    assert not any(repair.left for repair in place.repair())
    place.curate()
    assert place.faces() == faces


@pytest.mark.parametrize("victim", ["part", "plan", "no plan"])
def test_damaged_parts_and_plans_are_set_aside_and_curated_again(place, faces, victim):
    folder = interrupted(place)
    if victim == "part":
        flip(next(folder.glob("*.part")), 600)
    elif victim == "plan":
        (folder / "plan.parquet").write_bytes(b"PAR1")
    else:
        (folder / "plan.parquet").unlink()
    before = len(list(folder.glob("*.part")))
    assert before
    assert not any(repair.left for repair in place.repair())
    assert len(list(place.store.rglob("*.part"))) == before
    assert verify_parts(place.store / "parts", place.shards) == []
    place.curate()
    assert place.findings() == []
    assert place.faces() == faces


def test_a_plan_whose_packs_are_written_goes_with_its_parts(place, faces, monkeypatch):
    folder = interrupted(place)
    saved = place.store.parent / "saved"
    shutil.copytree(folder, saved)
    place.curate()
    shutil.copytree(saved, folder)
    assert {finding.kind for finding in verify_parts(place.store / "parts", place.shards)} == {"unfinished"}
    assert not any(repair.left for repair in place.repair())
    assert not folder.exists()
    assert place.findings() == []
    assert place.faces() == faces


def test_nothing_is_repaired_while_somebody_curates(place):
    half = place.shards / "one-0.tar.0a1b2c3d.tmp"
    half.write_bytes(b"half")
    with (place.store / "parts" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CurationError, match="is being curated"):
            place.repair()
    assert half.exists()


class Killed(BaseException):
    pass


@pytest.mark.soak
def test_killed_at_any_change_of_the_disk_a_repair_is_run_again(whole, tmp_path, faces, monkeypatch):
    """Also where a curation comes in between."""
    originals = {name: getattr(durable, name) for name in PLACES}

    def killed_at(place, stop):
        """How often the disk was changed before ``stop``."""
        changes = itertools.count()

        def change(name, *arguments):
            if next(changes) == stop:
                raise Killed
            return originals[name](*arguments)

        with monkeypatch.context() as patch:
            for name in PLACES:
                patch.setattr(durable, name, partial(change, name))
            with suppress(Killed):
                place.repair()
        return next(changes)

    def broken(name):
        place = Place(whole, tmp_path / name)
        data(place)
        header_of_two(place)
        return place

    total = killed_at(broken("whole"), None)
    assert total > 10
    for number, stop in enumerate(range(0, total, scale(-(-total // 2), 1))):
        place = broken(str(stop))
        killed_at(place, stop)
        if number % 2:
            place.curate()
        assert not any(repair.left for repair in place.repair())
        place.curate()
        assert place.findings() == []
        assert place.faces() == faces
