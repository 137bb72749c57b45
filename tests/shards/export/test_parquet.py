"""Parquet for `datasets`: the same bytes, classes and facts, in files of a size, read where our code is not."""

import hashlib
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.export import parquet
from shards.export.export import export
from shards.export.sides import ExportError, Side
from tests.shards.export.world import VIDEOS, image_of, sample_of

ELSEWHERE = """
import hashlib, sys
from datasets import ClassLabel, Image, load_dataset

sides = load_dataset(sys.argv[1])
assert sorted(sides) == ["test", "train"]
assert not [name for name in sys.modules if name.split(".")[0] in ("shards", "queries", "deepshard")]
for name, faces in sides.items():
    assert faces.features["label"] == ClassLabel(names=["real", "fake"])
    assert faces.features["image"] == faces.features["mask"] == Image()
    assert faces[0]["image"].size == (32, 32)
    for face in faces.cast_column("image", Image(decode=False)):
        print(name, face["sample_id"], face["label"], hashlib.sha256(face["image"]["bytes"]).hexdigest(), sep=";")
streamed = load_dataset(sys.argv[1], split="train", streaming=True)
assert [face["sample_id"] for face in streamed] == sides["train"]["sample_id"]
"""


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    to = tmp_path_factory.mktemp("parquet") / "out"
    train = world.side("train", lambda made: made.dataset == "ffpp")
    test = world.side("test", lambda made: made.dataset != "ffpp")
    return export([train, test], "hf-parquet", to)


def test_load_dataset_reads_it_without_our_code(made, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-I", "-c", ELSEWHERE, str(made.folder)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    expected = {
        (side, sample_of(video, *place), str(video.label), hashlib.sha256(image_of(video, *place)).hexdigest())
        for video in VIDEOS
        for place in video.places
        for side in (("train" if video.dataset == "ffpp" else "test"),)
    }
    assert {tuple(line.split(";")) for line in lines} == expected and len(lines) == len(expected)


def test_masks_and_facts_are_columns_and_unknown_ones_are_null(made):
    (file,) = (made.folder / "data").glob("train-00000-of-00001.parquet")
    rows = pq.read_table(file).to_pylist()
    assert all((row["mask"] is None) == (row["method"] == "FaceShifter") for row in rows)
    assert all(row["role"] is None and row["weight"] == 1 for row in rows)
    assert {row["track"] for row in rows} == {0} and {row["quality"] for row in rows} == {"c23", "c40"}


@given(st.integers(1, 60_000))
def test_files_cover_every_row_once_and_are_no_larger_than_asked(world, size):
    sides = [world.split("files", lambda made: True), world.split("files-again", lambda made: made.label == 1)]
    pieces = parquet.cut(Side("train", sides), size)
    for split in sides:
        own = [piece for piece in pieces if piece.split is split]
        assert [piece.start for piece in own] == [0, *(piece.stop for piece in own[:-1])] and own[-1].stop == len(split)
        stored = [split.ranges(member) for member in ("image", "mask")]
        for piece in own:
            rows = range(piece.start, piece.stop)
            taken = sum(int(of.sizes[row]) for of in stored for row in rows if of.offsets[row] >= 0)
            assert taken <= size or len(rows) == 1


def test_a_side_is_cut_into_several_files_and_is_still_one_split(world, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "FILE_BYTES", 2000)
    export([world.side("train", lambda made: True)], "hf-parquet", tmp_path / "out")
    files = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert len(files) > 3 and files[0] == f"train-00000-of-{len(files):05d}.parquet"
    rows = [row for name in files for row in pq.read_table(tmp_path / "out" / "data" / name)["sample_id"].to_pylist()]
    assert rows == world.side("train", lambda made: True).splits[0].sample_ids()


def test_a_name_that_datasets_cannot_have_is_refused_with_one_that_it_can(world, tmp_path):
    side = Side("my-train", [world.split("my-train", lambda made: True)])
    with pytest.raises(ExportError, match="not my-train: write my_train=my-train"):
        export([side], "hf-parquet", tmp_path / "out")
