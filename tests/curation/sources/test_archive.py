"""Tars of images: what lies in them, and that nothing that a stranger writes into one gets anywhere else."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.files import content_hash, unpack
from curation.sources.archive import ArchiveError, archive_of, image_folders, inside
from curation.sources.remote import place_of
from curation.sources.tree import spell, unspell


def tar(path: Path, members: list[tuple[str, bytes] | tarfile.TarInfo], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(("name", "mode"), [("1.tar.gz", "w:gz"), ("1.tgz", "w:gz"), ("1.tar", "w")])
def test_the_folders_of_images_and_their_bytes(tmp_path, name, mode):
    members = [("./1/fake/8/2.png", b"two"), ("1/fake/8/10.png", b"ten"), ("1/fake/9/7.JPG", b"7"), ("1/read.me", b"x")]
    archive = tar(tmp_path / name, members, mode)
    assert image_folders(archive) == {"1/fake/8": ["2.png", "10.png"], "1/fake/9": ["7.JPG"]}
    place = tmp_path / inside(name, "1/fake/8")
    assert archive_of(place) == (archive, "1/fake/8")
    unpack(*archive_of(place), tmp_path / "out", lambda: None)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == {
        "2.png": b"two",
        "10.png": b"ten",
    }
    assert content_hash(place, "frames") == content_hash(tmp_path / "out", "frames")


def test_an_archive_at_an_address_is_read_as_one_on_a_disk(tmp_path, memory):
    archive = tar(tmp_path / "1.tar.gz", [("1/real/8/2.png", b"two")])
    memory.pipe("/bucket/1.tar.gz", archive.read_bytes())
    place = place_of("memory://bucket") / inside("1.tar.gz", "1/real/8")
    assert image_folders(archive_of(place)[0]) == {"1/real/8": ["2.png"]}
    assert content_hash(place, "frames") == content_hash(tmp_path / inside("1.tar.gz", "1/real/8"), "frames")


@pytest.mark.parametrize("path", ["a/b.tar.gz", "a/b!/c", "b.zip!/c", "tar.gz!/c", "a.tar.gz/b"])
def test_a_path_without_an_archive_in_it_is_in_none(path):
    assert archive_of(Path(path)) is None
    assert archive_of(place_of("memory://bucket") / path) is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (("../../evil/1.png", b"x"), "leads out of it"),
        (("/etc/1.png", b"x"), "leads out of it"),
        (("1/fake/../../../1.png", b"x"), "leads out of it"),
        (special("1/fake/8/1.png", tarfile.SYMTYPE, "/etc/passwd"), "neither file nor folder"),
        (special("1/fake/8/1.png", tarfile.LNKTYPE, "1/fake/8/0.png"), "neither file nor folder"),
        (special("1/fake/8/1.png", tarfile.FIFOTYPE), "neither file nor folder"),
        (special("1/fake/8/1.png", tarfile.CHRTYPE), "neither file nor folder"),
        (("1/fake/8/1.png", bytes(100 << 20)), "unpacks to more than 64 times its size"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else None,
)
def test_what_no_datasets_archive_should_hold_refuses_it_whole_and_writes_nothing_elsewhere(tmp_path, bad, message):
    archive = tar(tmp_path / "1.tar.gz", [("1/fake/8/0.png", b"0"), bad])
    with pytest.raises(ArchiveError, match=message):
        image_folders(archive)
    with pytest.raises(ArchiveError, match=message):
        unpack(archive, "1/fake/8", tmp_path / "out" / "here", lambda: None)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert there <= {"1.tar.gz", "out", "out/here", "out/here/0.png"}


def test_a_folder_that_is_called_like_one_in_an_archive_is_a_folder(tmp_path):
    place = tmp_path / inside("1.tar.gz", "1/fake")
    assert archive_of(place) == (tmp_path / "1.tar.gz", "1/fake")
    place.mkdir(parents=True)
    assert archive_of(place) is None


def test_a_folder_that_the_archive_has_not_is_an_error(tmp_path):
    archive = tar(tmp_path / "1.tar.gz", [("1/fake/8/0.png", b"0")])
    with pytest.raises(FileNotFoundError, match="no images in 1/fake/9"):
        unpack(archive, "1/fake/9", tmp_path / "out", lambda: None)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)
@given(data=st.binary(max_size=400), cut=st.integers(0, 300))
def test_any_bytes_are_an_archive_or_an_error_that_says_so(tmp_path, data, cut):
    whole = tar(tmp_path / "whole.tar.gz", [("1/a.png", b"a" * 50)]).read_bytes()
    for content in (data, whole[:cut] + data):
        (tmp_path / "1.tar.gz").write_bytes(content)
        try:
            assert image_folders(tmp_path / "1.tar.gz") in ({}, {"1": ["a.png"]})
        except ArchiveError as error:
            assert "fetch it again" in str(error) or "not read" in str(error)


def test_names_that_are_not_utf8_are_found_again(tmp_path):
    archive = tar(tmp_path / "1.tar.gz", [(b"1/\xff/0.png".decode("utf-8", "surrogateescape"), b"0")])
    (folder,) = image_folders(archive)
    path = inside("1.tar.gz", spell(folder))
    assert content_hash(tmp_path / unspell(path), "frames")
