"""Folders with every kind of name and thing in them; and names that are no text."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.frames.image_clip import IMAGE_SUFFIXES
from curation.sources import SourceError
from curation.sources.tree import IMAGE_EXTENSIONS, find_folder, list_folder, open_root, spell, unspell, walk

NAME_BYTES = st.binary(min_size=1, max_size=40).filter(lambda name: not set(name) & {0, 0x2F})


@settings(deadline=None)
@given(NAME_BYTES)
def test_any_file_name_can_be_spelled_as_utf8_and_read_back(name):
    raw = os.fsdecode(name)
    spelled = spell(raw)
    spelled.encode("utf-8")
    assert unspell(spelled) == raw
    assert "/" not in spelled


@settings(deadline=None)
@given(NAME_BYTES, NAME_BYTES)
def test_different_names_are_spelled_differently(one, other):
    assert (spell(os.fsdecode(one)) == spell(os.fsdecode(other))) == (one == other)


@settings(deadline=None)
@given(st.text().filter(lambda name: "\\" not in name and not any("\ud800" <= char <= "\udfff" for char in name)))
def test_names_that_are_text_stay_as_they_are(name):
    assert spell(name) == name


def test_the_spelling_of_a_name_that_is_no_text():
    assert spell(os.fsdecode(b"clip\xff.mp4")) == "clip\\xff.mp4"
    assert spell("clip\\xff.mp4") == "clip\\x5cxff.mp4"


def test_every_kind_of_thing_in_a_folder(tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"123")
    (tmp_path / "a.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to("b.mp4")
    (tmp_path / "lost.mp4").symlink_to("nowhere")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / ".DS_Store").touch()
    os.utime(tmp_path / "b.mp4", ns=(5, 10**18 + 7))
    entries = {entry.path: entry for entry in list_folder(tmp_path)}
    assert {path: entry.kind for path, entry in entries.items()} == {
        "a.mp4": "folder",
        "b.mp4": "file",
        "link.mp4": "file",
        "loop.mp4": "broken link",
        "lost.mp4": "broken link",
        "pipe.mp4": "special",
    }
    assert entries["b.mp4"].bytes == entries["link.mp4"].bytes == 3
    assert entries["b.mp4"].mtime_ns == entries["link.mp4"].mtime_ns == 10**18 + 7


def test_walking_follows_links_and_stops_where_they_lead_back(tmp_path):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "x").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").touch()
    (root / "far").symlink_to(outside)
    (outside / "back").symlink_to(root)
    tree = walk(root)
    assert [entry.path for entry in tree.files] == ["a", "far/deep/x"]
    assert tree.folders == ["far", "far/deep"]
    assert tree.loops == ["far/back"]


def test_roots_that_cannot_be_read_say_what_to_give_instead(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "Thumbs.db").touch()
    for name, message in (("file", "is a file"), ("empty", "empty folder"), ("emtpy", 'Did you mean "empty"')):
        with pytest.raises(SourceError, match=message):
            open_root(tmp_path / name, "celebdf")


def test_a_folder_that_vanishes_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match="gone cannot be read"):
        list_folder(tmp_path, "gone")


def test_folders_are_found_whatever_their_case(tmp_path):
    (tmp_path / "a" / "Youtube-real").mkdir(parents=True)
    (tmp_path / "a" / "celeb-real").touch()
    assert find_folder(tmp_path, "a", "YouTube-real") == "a/Youtube-real"
    assert find_folder(tmp_path, "a", "Celeb-real") is None
    assert find_folder(tmp_path, "b", "Celeb-real") is None


def test_the_image_extensions_are_those_that_can_be_decoded():
    assert IMAGE_EXTENSIONS == IMAGE_SUFFIXES


def test_five_thousand_files_are_listed_in_a_second(tmp_path):
    for number in range(5_000):
        os.close(os.open(tmp_path / f"{number:06d}.png", os.O_CREAT))
    start = time.process_time()
    assert len(walk(tmp_path).files) == 5_000
    assert time.process_time() - start < 1
