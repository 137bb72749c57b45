"""FakeAVCeleb: the label is of the picture, the list's header is odd, and some files have two rows."""

from collections import Counter

import pytest

from curation.sources import SourceError, open_source
from tests.curation.sources.layouts import fakeavceleb
from tests.curation.sources.trees import rows


@pytest.fixture
def tree(tmp_path):
    fakeavceleb(tmp_path)
    return tmp_path


def test_a_false_voice_alone_is_visually_real(tree):
    source = open_source("fakeavceleb", tree)
    assert {video.raw_label: (video.label, video.method) for video in source.videos if not video.label} == {
        "RealVideo-RealAudio": (0, "original"),
        "RealVideo-FakeAudio": (0, "rtvc"),
    }
    assert any("RealVideo-FakeAudio is real" in note for note in source.notes)


def test_people_and_originals_of_the_fakes(tree):
    for video in open_source("fakeavceleb", tree).videos:
        person = video.path.split("/")[3]
        assert video.target_id == f"fakeavceleb:{person}"
        if not video.label:
            assert (video.visible_id, video.original_video) == (video.target_id, None)
            continue
        assert {video.target_id, video.source_id} == {"fakeavceleb:id00076", "fakeavceleb:id00476"}
        real = f"RealVideo-RealAudio%2FAfrican%2Fmen%2F{person}%2F00109"
        assert video.original_video == f"fakeavceleb/original/native/{real}"
        assert video.category == {"wav2lip": "reenactment", "faceswap": "swap", "fsgan-wav2lip": "mixed"}[video.method]
        assert video.visible_id == (video.target_id if video.category == "reenactment" else None)


def test_the_published_counts_stand_in_the_table(tree):
    source = open_source("fakeavceleb", tree)
    table: Counter[str] = Counter()
    for row in source.completeness():
        table[row.part] += row.expected
    assert table == {
        "RealVideo-RealAudio": 500,
        "RealVideo-FakeAudio": 500,
        "FakeVideo-RealAudio": 9_709,
        "FakeVideo-FakeAudio": 10_835,
    }
    assert sum(table.values()) == 21_544
    assert "meta_data.csv lists 10 videos, published are 21,544" in source.warnings


def test_the_rows_are_of_the_methods_that_splits_select(tree):
    source = open_source("fakeavceleb", tree)
    found = {(row.method, row.part): row.found for row in source.completeness() if row.found}
    assert found == Counter((video.method, video.raw_label) for video in source.videos)


def test_of_two_rows_the_first_is_taken_and_the_file_named(tree):
    listed = tree / "meta_data.csv"
    lines = listed.read_text().splitlines()
    again = next(line for line in lines if ",wav2lip," in line)
    listed.write_text("\n".join([*lines, again, again.replace(",wav2lip,", ",faceswap-wav2lip,")]))
    source = open_source("fakeavceleb", tree)
    assert any("1 files have two rows" in warning and "wavtolip.mp4" in warning for warning in source.warnings)
    assert "faceswap-wav2lip" not in {video.method for video in source.videos}


def test_an_unknown_method_is_of_unknown_category_and_named(tree):
    listed = tree / "meta_data.csv"
    listed.write_text(listed.read_text().replace(",faceswap,", ",roop,"))
    source = open_source("fakeavceleb", tree)
    assert {video.category for video in source.videos if video.method == "roop"} == {"unknown"}
    assert any("roop" in warning for warning in source.warnings)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gender,path,", "gender,path,folder", "meta_data.csv: its first line is"),
        ("FakeAVCeleb/FakeVideo-RealAudio/African", "FakeAVCeleb/RealVideo-RealAudio/African", "line 4"),
        (",FakeVideo-FakeAudio,African", ",Fake,African", "meta_data.csv, line 6"),
        ("African/men/id00076\n", "African/id00076\n", "meta_data.csv, line 2"),
    ],
)
def test_a_list_that_contradicts_itself_is_an_error(tree, old, new, message):
    listed = tree / "meta_data.csv"
    text = listed.read_text().replace("\r\n", "\n")
    assert old in text
    listed.write_text(text.replace(old, new))
    with pytest.raises(SourceError, match=message):
        open_source("fakeavceleb", tree)


def test_without_its_list_nothing_tells_methods_and_people(tree):
    (tree / "meta_data.csv").unlink()
    with pytest.raises(SourceError, match="has no meta_data.csv, which alone"):
        open_source("fakeavceleb", tree)


def test_an_absent_folder_is_a_row_whose_names_are_all_missing(tree):
    (tree / "FakeVideo-FakeAudio").rename(tree.with_name("elsewhere"))
    source = open_source("fakeavceleb", tree)
    row = rows(source)["fsgan-wav2lip", "native", "FakeVideo-FakeAudio"]
    assert (len(row.missing), row.found) == (2, 0)
    assert rows(source)["unlisted", "native", "FakeVideo-FakeAudio"].unnamed == 10_833
    assert "no folder FakeVideo-FakeAudio" in source.warnings
