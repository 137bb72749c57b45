"""Celeb-DF v1 and v2: the inverted test list, versions, layouts, and what can be missed by name."""

import json

import pytest

from curation.sources import SourceError, open_source
from tests.curation.sources.trees import DATA, by_name, rows, touch

FOLDERS = ("Celeb-real", "YouTube-real", "Celeb-synthesis")
PUBLISHED = json.loads((DATA / "celebdf_v2_test.json").read_text())


def list_lines(names=PUBLISHED):
    return [
        f"{0 if folder == 'Celeb-synthesis' else 1} {folder}/{name}.mp4" for folder in FOLDERS for name in names[folder]
    ]


def v2_names():
    """A whole v2 by the published rules and counts: the listed names, their originals, and others up to the counts."""
    real = set(PUBLISHED["Celeb-real"])
    fake = set(PUBLISHED["Celeb-synthesis"])
    real |= {f"{name.split('_')[0]}_{name.split('_')[2]}" for name in fake}
    people = [number for number in range(62) if number not in (14, 15, 18)]
    for clip in range(20):
        for person in people:
            if len(real) < 590:
                real.add(f"id{person}_{clip:04d}")
    for name in sorted(real):
        target, clip = name.split("_")
        for person in people:
            if len(fake) < 5639 and f"id{person}" != target:
                fake.add(f"{target}_id{person}_{clip}")
    return {"Celeb-real": real, "YouTube-real": {f"{n:05d}" for n in range(300)}, "Celeb-synthesis": fake}


def lay_out(root, names, inner="", spelling=None):
    for folder in FOLDERS:
        touch(root / (spelling or {}).get(folder, folder) / inner, [f"{name}.mp4" for name in names[folder]])
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = lay_out(tmp_path_factory.mktemp("v2"), v2_names())
    (root / "List_of_testing_videos.txt").write_text("\n".join(list_lines()))
    return open_source("celebdf", root)


def small(root, names=("id0_0000", "id1_0007"), fakes=("id0_id1_0000", "id1_id0_0007"), youtube=("00000", "00170")):
    return lay_out(root, {"Celeb-real": names, "YouTube-real": youtube, "Celeb-synthesis": fakes})


def test_a_whole_v2_is_complete(whole):
    assert whole.datasets == ["celebdf-v2"]
    table = rows(whole)
    assert {method: (row.expected, row.found, row.complete) for (method, _), row in table.items()} == {
        "Celeb-real": (590, 590, True),
        "YouTube-real": (300, 300, True),
        "Celeb-synthesis": (5639, 5639, True),
    }


def test_one_is_real_and_zero_is_fake_in_the_test_list(whole):
    listed = {line[2:-4]: line[0] for line in list_lines()}
    videos = {f"{video.method}/{video.name}": video for video in whole.videos}
    assert all(videos[name].label == 1 - int(digit) for name, digit in listed.items())
    assert {name for name, video in videos.items() if video.official_split == "test"} == set(listed)
    assert {video.official_split for video in whole.videos} == {"train", "test"}


def test_labels_identities_and_originals(whole):
    for video in whole.videos:
        assert video.video_id == f"celebdf-v2/{video.method}/native/{video.name}"
        assert video.raw_label == video.method
        if video.method == "Celeb-synthesis":
            target, source, clip = video.name.split("_")
            assert (video.label, video.category) == (1, "swap")
            assert (video.target_id, video.source_id) == (f"celebdf:{target}", f"celebdf:{source}")
            assert video.visible_id == video.source_id
            assert video.original_video == f"celebdf-v2/Celeb-real/native/{target}_{clip}"
        else:
            person = f"celebdf:{video.name.split('_')[0]}" if video.method == "Celeb-real" else None
            assert (video.label, video.category, video.source_id, video.original_video) == (0, "real", None, None)
            assert video.target_id == video.visible_id == person


def test_the_official_split_leaks_as_published(whole):
    ids = {video.video_id: video for video in whole.videos}
    test = [video for video in whole.videos if video.official_split == "test" and video.label]
    assert len(test) == 340
    assert sum(ids[video.original_video].official_split == "train" for video in test) == 234


@pytest.mark.parametrize("inner", ["", "videos"])
@pytest.mark.parametrize("spelling", [{}, {"YouTube-real": "Youtube-real"}])
def test_both_layouts_and_spellings_give_the_same_ids(tmp_path, inner, spelling):
    names = {"Celeb-real": ["id0_0000"], "YouTube-real": ["00299"], "Celeb-synthesis": ["id0_id1_0000"]}
    source = open_source("celebdf", lay_out(tmp_path, names, inner, spelling))
    assert [video.video_id for video in source.videos] == [
        "celebdf-v2/Celeb-real/native/id0_0000",
        "celebdf-v2/Celeb-synthesis/native/id0_id1_0000",
        "celebdf-v2/YouTube-real/native/00299",
    ]
    assert all(video.file(source.root).is_file() for video in source.videos)


def test_missing_files_are_named_where_their_names_can_be_known(tmp_path):
    root = lay_out(tmp_path, v2_names())
    (root / "YouTube-real" / "00299.mp4").unlink()
    (root / "Celeb-synthesis" / "id1_id0_0007.mp4").unlink()  # on the test list
    (root / "Celeb-real" / "id1_0007.mp4").unlink()
    synthesis = sorted((root / "Celeb-synthesis").iterdir())
    next(path for path in synthesis if path.stem not in PUBLISHED["Celeb-synthesis"]).unlink()
    (root / "YouTube-real" / "00300.mp4").touch()
    (root / "Celeb-real" / "id0_0000.MP4").touch()
    source = open_source("celebdf", root)
    table = rows(source)
    youtube = table["YouTube-real", "native"]
    assert (youtube.missing, youtube.unexpected, youtube.found) == (["00299.mp4"], ["00300.mp4"], 299)
    assert "00300" not in by_name(source)
    real = table["Celeb-real", "native"]
    assert (real.missing, real.unexpected, real.unnamed) == (["id1_0007.mp4"], ["id0_0000.MP4"], 0)
    fake = table["Celeb-synthesis", "native"]
    assert (fake.found, fake.missing, fake.unnamed) == (5637, ["id1_id0_0007.mp4"], 1)


def test_an_original_that_only_a_fake_tells_of_is_missed_by_name(tmp_path):
    root = small(tmp_path, names=["id0_0000"], fakes=["id61_id0_0009"])
    row = rows(open_source("celebdf", root, version="v2"))["Celeb-real", "native"]
    assert "id61_0009.mp4" in row.missing
    assert len(row.missing) + row.unnamed + row.found == 590


def test_without_a_list_v2_takes_the_published_one_and_v1_has_no_split(tmp_path):
    root = small(tmp_path)
    v2 = by_name(open_source("celebdf", root, version="v2"))
    assert {name: video.official_split for name, video in v2.items()} == {
        "id0_0000": "train",
        "id1_0007": "test",
        "id0_id1_0000": "test" if "id0_id1_0000" in PUBLISHED["Celeb-synthesis"] else "train",
        "id1_id0_0007": "test",
        "00000": "train",
        "00170": "test",
    }
    v1 = open_source("celebdf", root, version=1)
    assert {video.official_split for video in v1.videos} == {None}
    assert v1.datasets == ["celebdf-v1"]
    assert [(row.expected, row.missing) for row in v1.completeness()] == [(158, []), (795, []), (250, [])]


def test_the_list_of_the_copy_decides_and_is_compared(tmp_path):
    root = small(tmp_path)
    file = root / "List_of_testing_videos.txt"
    file.write_text("1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id1_id0_0007.mp4\n")
    source = open_source("celebdf", root, version="v2")
    assert {video.name for video in source.videos if video.official_split == "test"} == {"00170", "id1_id0_0007"}
    assert any("lists 2 of the 518" in note for note in source.notes)
    assert not any("differs" in warning for warning in source.warnings)

    file.write_text("1 Youtube-real/00000.mp4\r\n")
    source = open_source("celebdf", root, version="v2")
    assert by_name(source)["00000"].official_split == "test"
    assert any("differs" in warning and "00000" in warning for warning in source.warnings)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 YouTube-real/00170.mp4", "1 is real and 0 is fake"),
        ("YouTube-real/00170.mp4", "line 2"),
        ("1 X/1.mp4", "line 2"),
    ],
)
def test_a_list_that_contradicts_itself_is_an_error_with_its_line(tmp_path, line, message):
    root = small(tmp_path)
    (root / "List_of_testing_videos.txt").write_text(f"1 YouTube-real/00000.mp4\n{line}\n")
    with pytest.raises(SourceError, match=message):
        open_source("celebdf", root, version="v2")


def test_the_version_is_asked_for_where_it_cannot_be_told(tmp_path):
    with pytest.raises(SourceError, match="--version v1 or --version v2"):
        open_source("celebdf", small(tmp_path))


@pytest.mark.parametrize(
    ("folder", "version"),
    [("Celeb-DF-v2", "v2"), ("Celeb-DF-v1", "v1"), ("celebdf_1", "v1"), ("Celeb-DF (v2)", "v2"), ("CelebDFv2", "v2")],
)
def test_the_version_is_told_by_the_folders_name(tmp_path, folder, version):
    source = open_source("celebdf", small(tmp_path / folder))
    assert source.datasets == [f"celebdf-{version}"]
    assert any(folder in note for note in source.notes)


def test_the_version_is_told_by_what_v1_cannot_hold(tmp_path):
    root = small(tmp_path / "Celeb-DF-v1", names=[f"id{person}_0000" for person in range(14)])
    assert open_source("celebdf", root).datasets == ["celebdf-v2"]


def test_a_v1_of_the_published_size_is_told_by_its_counts(tmp_path):
    names = {
        "Celeb-real": [f"id{person}_{clip:04d}" for person in range(13) for clip in range(13)][:158],
        "YouTube-real": [f"{number:05d}" for number in range(250)],
        "Celeb-synthesis": [f"id{a}_id{b}_{c:04d}" for a in range(13) for b in range(13) for c in range(12) if a != b][
            :795
        ],
    }
    assert open_source("celebdf", lay_out(tmp_path, names)).datasets == ["celebdf-v1"]


def test_an_unknown_version_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="Allowed: v1, v2"):
        open_source("celebdf", small(tmp_path), version="v3")


def test_more_than_v1_has_is_a_warning_where_v1_was_asked_for(tmp_path):
    root = small(tmp_path, youtube=[f"{number:05d}" for number in range(251)])
    assert any("YouTube-real holds 251" in text for text in open_source("celebdf", root, version="v1").warnings)


def test_one_video_in_two_places_is_an_error(tmp_path):
    root = small(tmp_path)
    touch(root / "Celeb-real" / "videos", ["id0_0000.mp4"])
    with pytest.raises(SourceError, match="one video twice"):
        open_source("celebdf", root, version="v2")


def test_two_spellings_side_by_side_are_an_error(tmp_path):
    root = small(tmp_path)
    touch(root / "Youtube-real", ["00001.mp4"])
    with pytest.raises(SourceError, match="differ only in their case"):
        open_source("celebdf", root, version="v2")


def test_an_absent_folder_is_a_row_and_a_warning(tmp_path):
    touch(tmp_path / "Celeb-real", ["id0_0000.mp4"])
    source = open_source("celebdf", tmp_path, version="v2")
    assert "no folder YouTube-real" in source.warnings
    assert len(rows(source)["YouTube-real", "native"].missing) == 300
