"""The door: adapters and options by name, and who recognises a folder that was given to the wrong one."""

import pytest

from curation.sources import ADAPTERS, LayoutError, SourceError, open_source
from tests.conftest import REPOSITORY
from tests.curation.sources.trees import touch


@pytest.fixture
def trees(tmp_path):
    touch(tmp_path / "ff" / "original_sequences" / "youtube" / "c23" / "videos", ["000.mp4"])
    touch(tmp_path / "ff" / "manipulated_sequences" / "Deepfakes" / "c23" / "videos", ["071_054.mp4"])
    touch(tmp_path / "ff" / "manipulated_sequences" / "DeepFakeDetection" / "c23" / "videos", ["x.mp4"])
    touch(tmp_path / "celeb" / "Celeb-real", ["id0_0000.mp4"])
    touch(tmp_path / "celeb" / "Celeb-synthesis", ["id0_id1_0000.mp4"])
    touch(tmp_path / "loose", ["a.mp4"])
    touch(tmp_path / "notes", ["a.txt"])
    return tmp_path


def test_an_unknown_adapter_names_the_near_one():
    with pytest.raises(SourceError, match='adapter "facforensics" is not known. Did you mean "faceforensics"'):
        open_source("facforensics", ".")


def test_an_unknown_option_names_the_near_one(trees):
    with pytest.raises(SourceError, match='celebdf: option "verison" is not known. Did you mean "version"'):
        open_source("celebdf", trees / "celeb", verison="v2")


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_without_a_root_or_a_description_it_says_what_to_give(adapter):
    with pytest.raises(SourceError, match="give the folder|needs a description"):
        open_source(adapter)


@pytest.mark.parametrize(
    ("adapter", "given", "hint"),
    [
        ("celebdf", "ff", "deepshard scan faceforensics {}/ff` would read it (it holds FF++'s youtube, Deepfakes)"),
        ("faceforensics", "celeb", "deepshard scan celebdf {}/celeb` would"),
        ("faceforensics", "ff/original_sequences", "deepshard scan faceforensics {}/ff` would"),
        ("faceforensics", "ff/manipulated_sequences/Deepfakes/c23", "deepshard scan faceforensics {}/ff` would"),
        ("celebdf", "celeb/Celeb-real", "deepshard scan celebdf {}/celeb` would"),
        ("celebdf", "", "deepshard scan celebdf {}/celeb` would"),
        ("celebdf", "loose", "describe it in a YAML file for `deepshard scan folder`"),
    ],
)
def test_a_wrong_layout_names_what_was_looked_for_found_and_who_reads_it(trees, adapter, given, hint):
    if given == "loose":  # so that no neighbour is recognised
        (trees / "loose").rename(trees / "notes" / "loose")
        given = "notes/loose"
        for name in ("ff", "celeb"):
            (trees / name).rename(trees / "notes" / "loose" / f"{name}-moved")
        for name in ("ff-moved", "celeb-moved"):
            for child in (trees / "notes" / "loose" / name).iterdir():
                child.rename(child.with_name(f"x{child.name}"))
    with pytest.raises(LayoutError) as caught:
        open_source(adapter, trees / given)
    message = str(caught.value)
    assert "looked for" in message
    assert "found" in message
    assert hint.format(trees) in message
    assert "\n" not in message


def test_a_folder_nobody_knows_is_an_error_without_a_hint(trees):
    for name in ("ff", "celeb", "loose"):
        (trees / name).rename(trees / f"{name}-")
    lonely = trees / "notes" / "deep" / "deeper" / "deepest"
    touch(lonely, ["a.txt"])
    with pytest.raises(LayoutError, match="found a.txt.$"):
        open_source("dfd", lonely)


def test_the_page_on_scanning_has_a_line_for_every_adapter():
    page = (REPOSITORY / "docs" / "curate.md").read_text()
    assert [name for name in ADAPTERS if f"\n| `{name}` | " not in page] == []


def test_every_error_is_one_the_command_line_prints():
    assert SourceError.deepshard_error
    assert issubclass(LayoutError, SourceError)


def test_every_adapter_recognises_its_own_tree_best(trees):
    for name, root in (("faceforensics", "ff"), ("celebdf", "celeb"), ("folder", "loose")):
        scores = {adapter: module.recognise(trees / root)[0] for adapter, module in ADAPTERS.items()}
        assert max(scores, key=scores.get) == name
    assert all(module.recognise(trees / "notes")[0] == 0 for module in ADAPTERS.values())


def test_a_neighbour_that_cannot_be_read_does_not_hide_the_error(trees):
    for name in ("Img", "img", "train", "Train", "target", "TARGET"):
        (trees / "notes" / "beside" / name).mkdir(parents=True)
    touch(trees / "notes" / "here", ["a.txt"])
    with pytest.raises(LayoutError, match="does not look like Celeb-DF"):
        open_source("celebdf", trees / "notes")
