"""The contact sheet shows the pixels of the shards, and says what it cannot show."""

import shutil

import cv2
import numpy as np
import pytest

from browse import terminal
from browse.sheet import CELL, GAP, GUTTER, _spread, draw
from queries.show import faces_of, known
from shards.image import decode_image
from shards.reader import Ranges, ShardReader
from tests.conftest import copy_of

FAKE = "ffpp/FaceSwap/c23/953_974"


def sheet_of(place, name, **how):
    catalog, store = place.folder / "catalog.duckdb", place.folder / "store"
    return draw(catalog, store, known(catalog, store, name), **how)


def cell(sheet, row, column):
    """The pixels of a cell of a strip, which ends where the sheet ends."""
    rows = 4 * (CELL + GAP)
    top = sheet.pixels.shape[0] - rows + row * (CELL + GAP)
    left = GAP + GUTTER + GAP + column * (CELL + GAP)
    return sheet.pixels[top : top + CELL, left : left + CELL]


def image(place, face, member="image"):
    place_of = [np.array([face[f"{member}_{part}"]], kind) for part, kind in PARTS]
    found, faults = ShardReader(place.folder / "store/shards").fetch(
        Ranges([face["shard"]], np.zeros(1, np.int32), *place_of)
    )
    assert not faults
    return cv2.resize(decode_image(found[0]), (CELL, CELL), interpolation=cv2.INTER_AREA)


PARTS = (("offset", np.int64), ("size", np.int64), ("xxh3", np.uint64))


def test_a_strip_shows_face_landmarks_original_and_mask_of_each_frame(curated):
    sheet = sheet_of(curated, FAKE)
    catalog = curated.folder / "catalog.duckdb"
    faces, originals = faces_of(catalog, FAKE), faces_of(catalog, "ffpp/original/c23/953")
    assert sheet.frames == [face["frame_index"] for face in faces] and not sheet.faults
    for column, (face, original) in enumerate(zip(faces, originals, strict=True)):
        assert np.array_equal(cell(sheet, 0, column), image(curated, face))
        drawn = np.any(cell(sheet, 1, column) != image(curated, face), axis=2)
        assert 68 < drawn.sum() < CELL * CELL / 4, "points are drawn, and the face is still to be seen"
        assert np.array_equal(cell(sheet, 2, column), image(curated, original))
        assert np.array_equal(cell(sheet, 3, column), image(curated, face, "mask"))


def test_a_face_that_was_asked_for_is_shown_large_and_framed_in_the_strip(curated):
    catalog = curated.folder / "catalog.duckdb"
    face = faces_of(catalog, FAKE)[2]
    whole, one = sheet_of(curated, FAKE), sheet_of(curated, face["sample_id"])
    assert one.pixels.shape[0] > whole.pixels.shape[0] + 2 * CELL
    assert not np.array_equal(cell(one, 0, 2), cell(whole, 0, 2))
    assert np.array_equal(cell(one, 0, 2)[8:-8, 8:-8], cell(whole, 0, 2)[8:-8, 8:-8])
    assert np.array_equal(cell(one, 0, 1), cell(whole, 0, 1))


def test_a_video_without_a_face_has_a_sheet_of_empty_cells(curated):
    sheet = sheet_of(curated, "ffpp/Face2Face/c40/974_953")
    assert sheet.frames and not sheet.faults
    assert cv2.imdecode(np.frombuffer(sheet.png(), np.uint8), cv2.IMREAD_COLOR).shape == sheet.pixels.shape


def test_a_damaged_face_is_a_fault_and_an_empty_cell(curated, tmp_path):
    place = copy_of(curated, tmp_path / "place")
    face = faces_of(place.folder / "catalog.duckdb", FAKE)[1]
    with (place.folder / f"store/shards/{face['shard']}.tar").open("r+b") as tar:
        tar.seek(face["image_offset"] + 100)
        tar.write(b"damaged")
    sheet = sheet_of(place, FAKE)
    assert len(sheet.faults) == 1 and "deepshard verify" in sheet.faults[0]
    assert len(np.unique(cell(sheet, 0, 1)[40:])) == 1
    done = place.run("show", FAKE, "--sheet", place.folder / "sheet.png")
    assert done.returncode == 1 and "problem: the" in done.stderr
    shutil.rmtree(place.folder)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 40])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 30])
def test_frames_are_spread_from_first_to_last_with_the_one_that_is_wanted(length, count):
    frames = [3 * i for i in range(length)]
    for wanted in (None, *frames):
        chosen = _spread(frames, count, wanted)
        assert chosen == sorted(set(chosen)) and len(chosen) == min(count, length) and set(chosen) <= set(frames)
        assert wanted is None or wanted in chosen
        if count > 1 and wanted is None and length:
            assert chosen[0] == frames[0] and chosen[-1] == frames[-1]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/tmux", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "screen", "LC_TERMINAL": "iTerm2"}, None),
    ],
)
def test_terminals_are_told_by_what_they_say_of_themselves(environment, told):
    assert terminal.protocol(environment) == told


@pytest.mark.parametrize("size", [1, 3071, 3072, 3073, 100_000])
def test_a_picture_arrives_whole_in_either_protocol(size):
    import base64
    import io
    import re

    png = np.random.default_rng(size).bytes(size)
    kitty, iterm2 = io.StringIO(), io.StringIO()
    terminal.show(png, "kitty", kitty)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty.getvalue())
    assert base64.b64decode("".join(data for _, data in chunks)) == png
    assert chunks[0][0].startswith("a=T,f=100") and all(len(data) <= 4096 for _, data in chunks)
    assert [control[-3:] for control, _ in chunks] == ["m=1"] * (len(chunks) - 1) + ["m=0"]
    terminal.show(png, "iterm2", iterm2)
    (said, data) = re.fullmatch(r"\x1b\]1337;File=([^:]*):(.*)\x07\n", iterm2.getvalue()).groups()
    assert base64.b64decode(data) == png and f"size={size};" in said and "inline=1" in said
