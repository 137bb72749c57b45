"""WildDeepfake: sequences of frames in archives as they are published, or unpacked, however that was done."""

import shutil
import tarfile

import cv2
import numpy as np
import pytest

from curation.changes import look
from curation.files import content_hash
from curation.frames import open_clip
from curation.recipe import Recipe
from curation.run import curate
from curation.sources import LayoutError, SourceError, open_source, write_source
from queries.catalog import connect_read
from queries.ingest import ingest_source
from tests.curation.sources.layouts import put_frames, wilddeepfake
from tests.curation.sources.trees import rows, touch


def ids(root):
    return [video.video_id for video in open_source("wilddeepfake", root).videos]


def pack(root, keep=False):
    """Every archive's folder as ``N.tar.gz``, with the names that the published archives have."""
    for folder in [folder for split in root.iterdir() for folder in split.iterdir()]:
        with tarfile.open(folder.with_name(f"{folder.name}.tar.gz"), "w:gz") as archive:
            archive.add(folder, f"./{folder.name}")
        if not keep:
            shutil.rmtree(folder)


def test_a_sequence_is_a_clip_of_cropped_frames_with_its_folders_label_and_split(tmp_path):
    wilddeepfake(tmp_path)
    source = open_source("wilddeepfake", tmp_path)
    for video in source.videos:
        label, split = video.raw_label.split("_")
        assert (video.kind, video.aligned, video.official_split) == ("frames", True, split)
        assert (video.label, video.method) == ((0, "original") if label == "real" else (1, "wild"))
        assert video.target_id is video.original_video is None
        archive, sequence = video.path.split("/")[1::2]
        assert video.name == f"{label}_{split}/{archive}/{sequence}"
    assert {row.part: row.found for row in source.completeness()} == {"train": 6, "test": 6}
    assert all(row.expected is None for row in source.completeness())
    assert any("24 sequences; 7,314 were published" in note for note in source.notes)


@pytest.mark.parametrize("inside", ["", "deepfake_in_the_wild/"])
@pytest.mark.parametrize("spelling", ["{}_{}", "{} {}", "{}-{}"])
def test_folders_are_found_however_they_are_spelled(tmp_path, inside, spelling):
    wilddeepfake(tmp_path / "a")
    wilddeepfake(tmp_path / "b", inside, spelling)
    assert ids(tmp_path / "b") == ids(tmp_path / "a")


def test_archives_are_read_as_they_lie_with_the_ids_that_they_have_unpacked(tmp_path):
    wilddeepfake(tmp_path)
    unpacked = open_source("wilddeepfake", tmp_path)
    pack(tmp_path)
    source = open_source("wilddeepfake", tmp_path)
    assert [video.video_id for video in source.videos] == [video.video_id for video in unpacked.videos]
    assert source.completeness() == unpacked.completeness()
    assert source.warnings == []
    for video in source.videos:
        archive = tmp_path / video.path.partition("!/")[0]
        assert (video.kind, video.aligned) == ("frames", True)
        assert (video.bytes, video.mtime_ns) == (archive.stat().st_size, archive.stat().st_mtime_ns)


def test_an_archive_that_is_unpacked_beside_itself_is_not_read_twice(tmp_path):
    wilddeepfake(tmp_path)
    before = {video.path for video in open_source("wilddeepfake", tmp_path).videos}
    pack(tmp_path, keep=True)
    assert {video.path for video in open_source("wilddeepfake", tmp_path).videos} == before


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_archive_is_missed_by_name_and_the_others_are_read(tmp_path, damage):
    wilddeepfake(tmp_path)
    pack(tmp_path)
    before = ids(tmp_path)
    archive = tmp_path / "fake_test" / "12.tar.gz"
    data = bytearray(archive.read_bytes())
    if damage == "flipped":
        data[-6] ^= 1  # of the checksum of what was packed
    archive.write_bytes(b"" if damage == "empty" else data if damage == "flipped" else data[: len(data) // 2])
    source = open_source("wilddeepfake", tmp_path)
    assert {video.video_id for video in source.videos} == {id for id in before if "fake_test%2F12%2F" not in id}
    (missing,) = rows(source)["wild", "native", "test"].missing
    assert missing.startswith("12.tar.gz (is damaged (")
    assert any("1 archives cannot be read: " in warning for warning in source.warnings)


def test_nothing_but_damaged_archives_is_an_error(tmp_path):
    touch(tmp_path / "real_train", ["1.tar.gz"], b"x")
    touch(tmp_path / "fake_train", ["1.tar.gz"], b"x")
    with pytest.raises(SourceError, match="none of WildDeepfake's archives can be read: .*Fetch them again"):
        open_source("wilddeepfake", tmp_path)


def test_a_copy_in_archives_is_curated_and_counts_as_curated_once_it_is_unpacked(tmp_path):
    recipe = Recipe(name="small", aligner="dlib", sampling="evenly 2", size=32)
    store, catalog = tmp_path / "store", tmp_path / "catalog.duckdb"
    noise = np.random.default_rng(1)
    for sequence in ("real_train/1/real/8", "real_train/1/real/9", "fake_test/1/fake/8"):
        for name in ("2.png", "10.png", "7.png"):
            shown = cv2.imencode(".png", noise.integers(0, 255, (64, 64, 3), np.uint8))[1].tobytes()
            touch(tmp_path / "plain" / sequence, [name], shown)
    shutil.copytree(tmp_path / "plain", tmp_path / "packed")
    pack(tmp_path / "packed")
    ingest_source(catalog, write_source(open_source("wilddeepfake", tmp_path / "packed"), store))
    assert curate(catalog, store, recipe, workers=1).faces == 6
    plain = open_source("wilddeepfake", tmp_path / "plain")
    with connect_read(catalog) as db:
        faces = dict(db.execute("SELECT video_id, list(frame_index ORDER BY 1) FROM faces GROUP BY 1").fetchall())
        ((made_with,),) = db.execute("SELECT recipe_hash FROM recipes").fetchall()
        contents = dict(db.execute("SELECT video_id, content FROM attempts").fetchall())
    assert faces == dict.fromkeys((video.video_id for video in plain.videos), [2, 10])
    assert contents == {video.video_id: content_hash(video.file(plain.root), video.kind) for video in plain.videos}
    ingest_source(catalog, write_source(plain, store, replace=True))
    seen = look(catalog, made_with, {"wilddeepfake": str(plain.root)})
    assert (seen.changed, seen.gone, len(seen.seen)) == ([], [], 3)


def test_ids_do_not_depend_on_how_an_archive_was_unpacked(tmp_path):
    put_frames(tmp_path / "a", {"real_train/3/real/9": 0})
    put_frames(tmp_path / "b", {"real_train/3/3/real/9": 0})  # tar --one-top-level
    put_frames(tmp_path / "c", {"real_train/3/9": 0})
    for folder in "abc":
        assert ids(tmp_path / folder) == ["wilddeepfake/original/native/real_train%2F3%2F9"]


def test_images_in_another_place_or_under_the_other_label_are_named_and_not_read(tmp_path):
    wilddeepfake(tmp_path)
    before = ids(tmp_path)
    put_frames(tmp_path, {"real_train/1/fake/77": 1, "real_train/strange": 1})
    source = open_source("wilddeepfake", tmp_path)
    assert [video.video_id for video in source.videos] == before
    assert rows(source)["original", "native", "train"].unexpected == ["1/fake/77/ (2 images)", "strange/ (2 images)"]


def test_the_frames_number_is_its_index(tmp_path):
    black = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    touch(tmp_path / "fake_test" / "1" / "fake" / "8", ["12.png", "7.png", "130.png"], black)
    (video,) = open_source("wilddeepfake", tmp_path).videos
    assert open_clip(video.file(tmp_path), kind=video.kind).indices == [7, 12, 130]


def test_a_tree_without_the_four_folders_is_told_what_was_wanted(tmp_path):
    touch(tmp_path / "train", ["1.tar.gz"], b"x")
    with pytest.raises(LayoutError, match=r"\{real,fake\}_\{train,test\}/N.tar.gz.*found train/"):
        open_source("wilddeepfake", tmp_path)
    (tmp_path / "real_train").mkdir()
    with pytest.raises(LayoutError, match="found real_train/, train/"):
        open_source("wilddeepfake", tmp_path)
