"""What every adapter of a published layout must do, swept over small copies of all of them."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from curation.sources import ADAPTERS, LayoutError, SourceError, open_source, read_source, write_source
from queries.catalog import connect_read, create
from queries.ingest import ingest_source
from tests.curation.sources.layouts import LAYOUTS, Layout
from tests.curation.sources.trees import touch


@pytest.fixture(scope="module", params=LAYOUTS, ids=str)
def copy(request, tmp_path_factory):
    """(layout, its root, its clips, its scan); not to be changed."""
    root = tmp_path_factory.mktemp(request.param.adapter)
    clips = request.param.build(root)
    return request.param, root, clips, open_source(request.param.adapter, root)


@pytest.fixture
def changed(copy, tmp_path):
    """A copy that a test may change, of links, so that thousands of files cost little."""
    layout, root, clips, source = copy
    shutil.copytree(root, tmp_path / "copy", copy_function=_link)
    return layout, tmp_path / "copy", clips, source


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def some(clips: dict[str, int]) -> list[str]:
    """First, last and a few between: at least one of each label."""
    paths = sorted(clips)
    return [paths[0], paths[len(paths) // 3], paths[len(paths) // 2 + 1], paths[-1]]


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def said(source) -> str:
    """All names that the completeness table and the warnings show."""
    rows = source.completeness()
    return "\n".join([*(name for row in rows for name in (*row.missing, *row.unexpected)), *source.warnings])


def lost(source) -> int:
    return sum(len(row.missing) + row.unnamed for row in source.completeness())


def test_exactly_the_clips_are_found_with_their_published_labels(copy):
    _, _, clips, source = copy
    assert {video.path: video.label for video in source.videos} == clips
    assert not any(row.unexpected for row in source.completeness())
    assert sum(row.found for row in source.completeness() if row.quality != "masks") == len(clips)


def test_what_splits_select_has_rows_in_the_table_of_what_is_missing(copy):
    _, _, _, source = copy
    folders = {(row.dataset, row.method, row.quality) for row in source.completeness()}
    assert {(video.dataset, video.method, video.quality) for video in source.videos} <= folders


def test_every_row_is_whole_and_its_file_is_there(copy):
    _, root, _, source = copy
    for video in source.videos:
        assert video.file(root).exists()
        assert video.raw_label
        for person in (video.target_id, video.source_id, video.visible_id):
            assert person is None or person.partition(":")[2], "identities have a namespace"
        assert video.mask_path is None or (root / video.mask_path).exists()
    assert source.licence
    assert source.redistributable is (source.adapter == "ffhq")


def test_an_original_is_a_real_clip_that_is_there_or_of_another_dataset(copy):
    _, _, _, source = copy
    ids = {video.video_id: video for video in source.videos}
    own = {f"{dataset}/" for dataset in source.datasets}
    for video in source.videos:
        if video.original_video and video.original_video.startswith(tuple(own)):
            assert video.label == 1
            assert ids[video.original_video].label == 0
            assert ids[video.original_video].official_split == video.official_split or source.adapter == "dfdcp"


def test_the_scan_survives_being_written(copy, tmp_path):
    _, _, _, source = copy
    again = read_source(write_source(source, tmp_path))
    assert again.videos == source.videos
    assert again.completeness() == source.completeness()


def test_the_catalog_takes_every_row(copy, tmp_path):
    _, _, clips, source = copy
    create(tmp_path / "catalog.duckdb")
    ingest_source(tmp_path / "catalog.duckdb", write_source(source, tmp_path / "store"))
    with connect_read(tmp_path / "catalog.duckdb") as catalog:
        rows = catalog.execute("SELECT label, count(*) FROM videos GROUP BY label").fetchall()
    assert dict(rows) == Counter(clips.values())


def test_a_removed_clip_is_missed_and_the_others_stay(changed):
    layout, root, clips, source = changed
    for path in some(clips):
        remove(root / path)
    less = open_source(layout.adapter, root)
    gone = set(some(clips))
    assert {video.path for video in less.videos} == set(clips) - gone
    assert {video.video_id for video in less.videos} < {video.video_id for video in source.videos}
    if layout.named:
        assert lost(less) == lost(source) + len(gone)
        missing = [name.rpartition("/")[2] for row in less.completeness() for name in row.missing]
        before = [name.rpartition("/")[2] for row in source.completeness() for name in row.missing]
        assert sorted(missing) == sorted(before + [Path(path).name for path in gone])


def test_a_renamed_clip_is_missed_and_the_stranger_named_and_not_read(changed):
    layout, root, clips, source = changed
    path = Path(some(clips)[1])
    (root / path).rename(root / path.with_name(f"what is {path.name}"))
    other = open_source(layout.adapter, root)
    if not layout.named:  # nobody published how clips are called: it is one of another name
        added = path.with_name(f"what is {path.name}").as_posix()
        assert {video.path for video in other.videos} == set(clips) - {path.as_posix()} | {added}
        return
    assert {video.path for video in other.videos} == set(clips) - {path.as_posix()}
    assert f"what is {path.name}" in said(other)
    assert f"\n{path.name}" in f"\n{said(other)}" or f"/{path.name}" in said(other)


def test_an_added_file_is_named_and_not_read(changed):
    layout, root, clips, source = changed
    for path in some(clips):
        touch((root / path).parent, ["notes.docx", "movie.mkv"])
    more = open_source(layout.adapter, root)
    assert {video.path for video in more.videos} == set(clips)
    assert "notes.docx" in said(more)
    assert "movie.mkv" in said(more)
    assert lost(more) == lost(source)


def test_its_own_adapter_recognises_it_best_and_others_name_it(copy):
    layout, root, _, _ = copy
    scores = {name: module.recognise(root)[0] for name, module in ADAPTERS.items()}
    assert max(scores, key=scores.get) == layout.adapter
    assert sorted(scores.values())[-2] < scores[layout.adapter]
    for other in {"faceforensics", "celebdf", "dfdc", "wilddeepfake", "ffhq"} & set(ADAPTERS) - {layout.adapter}:
        with pytest.raises(LayoutError, match=f"deepshard scan {layout.adapter} ") as caught:
            open_source(other, root)
        assert "looked for" in str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_another_tree_is_an_error_that_says_what_was_found_and_wanted(layout: Layout, tmp_path):
    touch(tmp_path / "elsewhere", ["a.txt"], b"x")
    with pytest.raises(LayoutError, match="looked for .*; found elsewhere/") as caught:
        open_source(layout.adapter, tmp_path)
    assert "\n" not in str(caught.value)


def test_it_reads_the_same_from_an_address(copy, memory):
    layout, root, _, source = copy
    for path in (path for path in root.rglob("*") if path.is_file()):
        memory.pipe(f"/bucket/{root.name}/{path.relative_to(root).as_posix()}", path.read_bytes())
    remote = open_source(layout.adapter, f"memory://bucket/{root.name}")
    assert [video.video_id for video in remote.videos] == [video.video_id for video in source.videos]
    assert remote.completeness() == source.completeness()


def test_a_list_that_is_broken_is_an_error_that_names_it(changed):
    layout, root, clips, _ = changed
    lists = [path for path in root.rglob("*") if path.suffix in (".json", ".csv", ".txt")]
    for file in lists:
        whole = file.read_bytes()
        file.unlink()  # the copy is of links
        file.write_bytes(b'"\x00[{ not what was published\n9 9 9')
        with pytest.raises(SourceError, match=file.name):
            open_source(layout.adapter, root)
        file.write_bytes(whole)
    assert {video.path for video in open_source(layout.adapter, root).videos} == set(clips)
