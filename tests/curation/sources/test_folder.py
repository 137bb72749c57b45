"""Any tree that a YAML file describes: every way to label it, and every way to get it wrong."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.sources import SourceError, open_source, read_source, write_source
from curation.sources import folder as folder_module
from curation.sources.description import read_description
from queries.catalog import connect_read, create
from queries.ingest import ingest_source
from tests.curation.sources.trees import rows, touch

BASE = {"dataset": "mine", "licence": "CC0-1.0", "redistributable": True, "kind": "videos"}


@pytest.fixture
def scan(tmp_path):
    """Lay files out under ``tmp_path/tree`` and scan them by a description given as keys."""

    def run(files=(), csv=None, **keys):
        root = tmp_path / "tree"
        for file in files:
            touch((root / file).parent, [os.path.basename(file)], b"x")
        if csv is not None:
            (root / "manifest.csv").write_text(csv)
            keys.setdefault("manifest", {"file": "manifest.csv", "path": "file", "columns": {"label": "label"}})
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(BASE | keys, allow_unicode=True))
        return open_source("folder", root, config=tmp_path / "mine.yaml")

    return run


def fails(scan, message, *files, **keys):
    with pytest.raises(SourceError, match=message) as caught:
        scan(files or ["real/a.mp4", "fake/a.mp4"], **keys)
    assert "mine.yaml" in str(caught.value)
    return str(caught.value)


REAL_FAKE = [{"match": "real/**", "label": "real"}, {"match": "fake/**", "label": "fake", "method": "Swap"}]


def labels(source):
    return {video.path: video.label for video in source.videos}


# -- labels ------------------------------------------------------------------------------------------------------------


def test_one_label_for_a_whole_folder_of_images(scan):
    source = scan(
        ["00000/1.png", "00001/1.JPG", "README.md"],
        kind="images",
        label="fake",
        method="StyleGAN2",
        category="synthesis",
    )
    assert [video.video_id for video in source.videos] == [
        "mine/StyleGAN2/native/00000%2F1",
        "mine/StyleGAN2/native/00001%2F1",
    ]
    assert {(video.kind, video.label, video.category, video.raw_label) for video in source.videos} == {
        ("image", 1, "synthesis", "fake")
    }
    assert source.notes == ["1 others not read: README.md"]
    assert (source.licence, source.redistributable) == ("CC0-1.0", True)


def test_rules_the_first_that_matches_decides(scan):
    rules = [{"match": ["fake/really/**", "real/*"], "label": "real"}, {"match": "**", "label": "fake", "method": "M"}]
    source = scan(["real/a.mp4", "fake/b.mp4", "fake/really/c.mp4"], rules=rules)
    assert labels(source) == {"real/a.mp4": 0, "fake/b.mp4": 1, "fake/really/c.mp4": 0}
    assert {video.path: (video.method, video.category) for video in source.videos} == {
        "real/a.mp4": ("original", "real"),
        "fake/b.mp4": ("M", "unknown"),
        "fake/really/c.mp4": ("original", "real"),
    }


def test_what_the_top_says_of_manipulation_holds_for_fakes_only(scan):
    source = scan(
        ["real/a.mp4", "fake/a.mp4"], rules=REAL_FAKE, category="swap", mask="masks/{stem}.png", quality="c40"
    )
    assert {video.path: (video.category, video.method, video.quality) for video in source.videos} == {
        "real/a.mp4": ("real", "original", "c40"),
        "fake/a.mp4": ("swap", "Swap", "c40"),
    }


def test_a_regex_gives_fields_by_its_groups(scan):
    source = scan(
        ["c23/Deepfakes/071_054.mp4", "c23/original/071.mp4"],
        regex=r"(?P<quality>\w+)/(?P<method>\w+)/(?P<target_id>\d+)(_(?P<source_id>\d+))?\.mp4",
        namespace="ffpp",
        rules=[
            {"match": "*/original/*", "label": 0, "name": "{stem}"},
            {
                "match": "**",
                "label": 1,
                "category": "swap",
                "name": "{stem}",
                "original": "{quality}/original/{target_id}.mp4",
            },
        ],
    )
    fake, real = source.videos
    assert fake.video_id == "mine/Deepfakes/c23/071_054"
    assert (fake.target_id, fake.source_id, fake.visible_id) == ("ffpp:071", "ffpp:054", "ffpp:054")
    assert fake.original_video == real.video_id == "mine/original/c23/071"
    assert (real.target_id, real.visible_id, real.source_id) == ("ffpp:071", "ffpp:071", None)


def test_words_of_the_set_are_translated_and_kept(scan):
    source = scan(
        ["RealVideo-FakeAudio/a.mp4", "FakeVideo-RealAudio/b.mp4"],
        regex="(?P<label>[^/]+)/(?P<split>.).mp4",
        method="Wav2Lip",
        values={"label": {"RealVideo-FakeAudio": 0, "FakeVideo-RealAudio": "fake"}, "split": {"a": "train", "b": None}},
    )
    assert {video.raw_label: (video.label, video.official_split) for video in source.videos} == {
        "RealVideo-FakeAudio": (0, "train"),
        "FakeVideo-RealAudio": (1, None),
    }


def test_a_manifest_with_ones_for_real(scan):
    source = scan(
        ["a.mp4", "b.mp4"],
        csv="file,label\na.mp4,1\n./b.mp4,0\n",
        values={"label": {1: "real", 0: "fake"}},
        method="X",
    )
    assert labels(source) == {"a.mp4": 0, "b.mp4": 1}
    assert {video.raw_label for video in source.videos} == {"0", "1"}


def test_rules_stand_above_the_manifest_above_the_regex_above_the_top(scan):
    source = scan(
        ["top.mp4", "regex-x.mp4", "csv-x.mp4", "rule-x.mp4"],
        csv="file,q\ntop.mp4,\nregex-x.mp4,\ncsv-x.mp4,by csv\nrule-x.mp4,by csv\n",
        manifest={"file": "manifest.csv", "path": "file", "columns": {"quality": "q"}},
        regex=r"(\w+)-(?P<quality>x)\.mp4",
        rules=[{"match": "rule-*", "quality": "by rule"}],
        quality="by top",
        label="real",
    )
    assert {video.path: video.quality for video in source.videos} == {
        "top.mp4": "by top",
        "regex-x.mp4": "x",
        "csv-x.mp4": "by csv",
        "rule-x.mp4": "by rule",
    }


def test_a_file_without_a_label_is_an_error_that_names_it_and_the_way_out(scan):
    message = fails(scan, "2 of 3 files", "real/a.mp4", "other/b.mp4", "other/c.mp4", rules=REAL_FAKE)
    assert "other/b.mp4, other/c.mp4" in message
    assert "exclude" in message
    assert labels(scan(rules=REAL_FAKE, exclude=["other/**"])) == {"real/a.mp4": 0}


def test_an_empty_cell_is_no_label(scan):
    csv = "file,label,method\na.mp4,real,\nb.mp4,,\nc.mp4,fake,M\n"
    columns = {"file": "manifest.csv", "path": "file", "columns": {"label": "label", "method": "method"}}
    files = ["a.mp4", "b.mp4", "c.mp4"]
    with pytest.raises(SourceError, match="1 of 3 files.*b.mp4.*rows look like a.mp4, b.mp4"):
        scan(files, csv=csv, manifest=columns)
    assert len(scan(files, csv=csv, manifest=columns, exclude=["b.mp4"]).videos) == 2
    by_rule = scan(files, csv=csv, manifest=columns, rules=[{"match": "b.mp4", "label": "real"}])
    assert labels(by_rule) == {"a.mp4": 0, "b.mp4": 0, "c.mp4": 1}


def test_an_unknown_label_word_says_how_to_translate_it(scan):
    message = fails(scan, '"pristine" is neither real nor fake', label="pristine")
    assert "values" in message
    assert "1 more" in message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"label": "fake"}, "nothing says by which method"),
        ({"label": "fake", "method": "M", "category": "sawp"}, 'Did you mean "swap"'),
        ({"label": "fake", "method": "M", "category": "real"}, "labelled fake, and its category is real"),
        ({"label": "real", "rules": [{"match": "**", "category": "swap"}]}, "labelled real, and its category is swap"),
        ({"label": "real", "split": "dev"}, "split .* is not known.*Allowed: train, val, test"),
        ({"label": "real", "regex": "real/(?P<x>.*)", "target_id": "{x}"}, "the regex gives no 'x' for this file"),
    ],
)
def test_contradictions_are_errors_that_name_the_file(scan, keys, message):
    fails(scan, message, **keys)


# -- which files -------------------------------------------------------------------------------------------------------


def test_every_video_extension_is_read_and_what_is_not_is_counted(scan):
    files = ["a.mp4", "b.MKV", "c.264", "d.gif", "sub/e.webm", "f.txt", "._a.mp4", ".trash/g.mp4"]
    source = scan(files, label="real")
    assert sorted(labels(source)) == ["a.mp4", "b.MKV", "c.264", "d.gif", "sub/e.webm"]
    assert source.notes == ["3 others not read: ._a.mp4, .trash/g.mp4, f.txt"]


def test_include_and_exclude(scan):
    source = scan(
        ["a.dat", "b.mp4", "sub/c.dat", ".d.dat"],
        label="real",
        include=["**/*.dat", ".d.dat", "x*"],
        exclude=["sub/**", "y/**"],
    )
    assert sorted(labels(source)) == [".d.dat", "a.dat"]
    assert "1 excluded: sub/c.dat" in source.notes
    assert "1 others not read: b.mp4" in source.notes
    assert source.warnings == ['include: "x*" matches nothing', 'exclude: "y/**" matches nothing']


def test_the_descriptions_own_files_are_never_videos(scan, tmp_path):
    touch(tmp_path / "tree", ["a.mp4"])
    (tmp_path / "tree" / "mine.yaml").write_text(yaml.safe_dump(BASE | {"label": "real", "include": "**"}))
    source = open_source("folder", tmp_path / "tree", config=tmp_path / "tree" / "mine.yaml")
    assert list(labels(source)) == ["a.mp4"]


def test_nothing_chosen_is_an_error_that_says_what_was_found(scan):
    fails(scan, "fits kind: images; found .*fake/a.mp4.*at any depth", label="real", kind="images")
    fails(scan, r"fits include \*.mp4", label="real", include="*.mp4")
    fails(scan, "exclude drops all 2", label="real", exclude="**")


def test_what_cannot_be_read_is_a_video_with_a_warning_unless_it_is_excluded(scan, tmp_path):
    touch(tmp_path / "tree", ["a.mp4"])
    (tmp_path / "tree" / "a.mp4").write_bytes(b"1")
    (tmp_path / "tree" / "lost.mp4").symlink_to("nowhere")
    os.mkfifo(tmp_path / "tree" / "pipe.mp4")
    (tmp_path / "tree" / "folder.mp4").mkdir()
    source = scan(label="real")
    assert [(video.name, video.bytes is None) for video in source.videos] == [
        ("a", False),
        ("lost", True),
        ("pipe", True),
    ]
    assert source.warnings == [
        "2 cannot be read: 'lost.mp4 (broken link)', 'pipe.mp4 (special)'. Mend them, or name them in exclude",
        "1 folders are named like videos and hold nothing: folder.mp4/",
    ]
    clean = scan(label="real", exclude=["lost.mp4", "pipe.mp4"])
    assert list(labels(clean)) == ["a.mp4"]
    assert clean.warnings == source.warnings[1:]


def test_a_folder_named_like_a_video_is_walked_into(scan):
    source = scan(["x.mp4/y.mp4", "z.mp4"], label="real")
    assert [video.name for video in source.videos] == ["x.mp4/y", "z"]


def test_folders_of_frames_are_clips(scan):
    files = ["real/v1.x/0001.png", "real/v1.x/0002.png", "fake/v1/7.jpg", "fake/v1/note.txt", "fake/readme.md"]
    source = scan(files, kind="frames", rules=REAL_FAKE)
    assert {video.name: (video.kind, video.path, video.bytes) for video in source.videos} == {
        "real/v1.x": ("frames", "real/v1.x", 2),
        "fake/v1": ("frames", "fake/v1", 1),
    }
    assert source.notes == ["1 others not read: fake/readme.md"]


def test_frames_in_the_root_itself_are_an_error(scan):
    with pytest.raises(SourceError, match="kind: images"):
        scan(["1.png"], kind="frames", label="real")


def test_aligned_is_on_every_row(scan):
    assert all(video.aligned for video in scan(["a.png"], kind="images", label="real", aligned=True).videos)
    assert not any(video.aligned for video in scan(["a.png"], kind="images", label="real").videos)


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_that_differ_in_the_extension_only_ask_for_keep_extension(scan):
    with pytest.raises(SourceError, match=r"a.avi, a.mp4 differ only in their extension.*keep_extension: true"):
        scan(["a.mp4", "a.avi"], label="real")
    source = scan(label="real", keep_extension=True)
    assert [video.video_id for video in source.videos] == [
        "mine/original/native/a%2Eavi",
        "mine/original/native/a%2Emp4",
    ]


def test_one_name_for_two_files_is_an_error_that_names_both(scan):
    with pytest.raises(SourceError, match="x/a.mp4, y/a.mp4 would both be 'a'"):
        scan(["x/a.mp4", "y/a.mp4"], label="real", name="{stem}")
    assert len(scan(label="real", name="{stem}", quality="{folder}").videos) == 2


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.sets(st.binary(min_size=1, max_size=30).filter(lambda name: not set(name) & {0, 0x2F}), min_size=1, max_size=5)
)
def test_any_file_name_gives_a_row_that_opens_the_file(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("any")
    for name in names:
        (root / os.fsdecode(b"x" + name + b".mp4")).write_bytes(name)
    (root.parent / "any.yaml").write_text(yaml.safe_dump(BASE | {"label": "real"}))
    source = open_source("folder", root, config=root.parent / "any.yaml")
    assert sorted(video.file(root).read_bytes() for video in source.videos) == sorted(names)


# -- originals and masks -----------------------------------------------------------------------------------------------


def test_an_original_that_is_not_on_disk_is_named_and_missing(scan):
    rules = [
        {"match": "real/**", "label": "real"},
        {"match": "fake/**", "label": "fake", "original": "real/{stem}.mp4"},
    ]
    source = scan(["real/a.mp4", "fake/a.mp4", "fake/b.mp4"], rules=rules, method="M")
    assert {video.path: video.original_video for video in source.videos if video.label} == {
        "fake/a.mp4": "mine/original/native/real%2Fa",
        "fake/b.mp4": "mine/original/native/real%2Fb",
    }
    row = rows(source)["original", "native"]
    assert (row.found, row.missing, row.complete) == (1, ["real/b.mp4"], False)
    assert rows(source)["M", "native"].complete is None


def test_an_original_of_another_source_is_given_by_its_id(scan):
    source = scan(
        ["071_054.mp4"],
        label="fake",
        method="M",
        regex=r"(?P<t>\d+)_.*",
        original_video="ffpp/original/c23/{t}",
    )
    assert source.videos[0].original_video == "ffpp/original/c23/071"


@pytest.mark.parametrize(
    ("original", "message"),
    [
        ("other/a.mp4", "is no video of this source"),
        ("real/a", "with their extension"),
        ("fake/b.mp4", "is labelled fake"),
    ],
)
def test_an_original_that_cannot_be_one_is_an_error(scan, original, message):
    rules = [REAL_FAKE[0], REAL_FAKE[1] | {"original": original}]
    fails(scan, message, "real/a.mp4", "fake/a.mp4", "fake/b.mp4", rules=rules)


def test_masks_are_found_by_template_and_missing_ones_are_named(scan):
    files = ["real/a.mp4", "fake/a.mp4", "fake/b.mp4", "fake/c.mp4", "masks/a.png", "masks/c/0.png"]
    rules = [REAL_FAKE[0], {"match": "fake/c.mp4", "label": "fake", "method": "Swap", "mask": "masks/c"}, REAL_FAKE[1]]
    source = scan(files, rules=rules, mask="masks/{stem}.png")
    assert {video.path: video.mask_path for video in source.videos} == {
        "real/a.mp4": None,
        "fake/a.mp4": "masks/a.png",
        "fake/b.mp4": None,
        "fake/c.mp4": "masks/c",
    }
    row = rows(source)["Swap", "masks"]
    assert (row.expected, row.found, row.missing) == (3, 2, ["masks/b.png"])


def test_masks_that_are_read_as_videos_are_an_error(scan):
    files = ["fake/a.mp4", "masks/a.mp4"]
    with pytest.raises(SourceError, match="masks/a.mp4 is the mask of fake/a.mp4 and a video too.*exclude"):
        scan(files, label="fake", method="M", mask="masks/{stem}.mp4")


# -- the manifest ------------------------------------------------------------------------------------------------------


def test_rows_without_a_file_are_missing_by_name(scan):
    source = scan(
        ["a.mp4"],
        csv="file,label,method\na.mp4,real,\ngone.mp4,fake,M\nlost.mp4,,\njunk.mp4,real,\n",
        manifest={"file": "manifest.csv", "path": "file", "columns": {"label": "label", "method": "method"}},
        exclude=["junk.mp4"],
    )
    table = rows(source)
    assert (table["M", "native"].expected, table["M", "native"].found) == (1, 0)
    assert table["M", "native"].missing == ["gone.mp4"]
    assert table["unlabelled", "native"].missing == ["lost.mp4"]
    assert table["original", "native"].complete


def test_paths_of_a_manifest_can_be_put_together_from_columns(scan):
    source = scan(
        ["v/x/a.mp4"],
        csv="dir,clip,who\nx,a,07\n",
        manifest={"file": "manifest.csv", "path": "v/{dir}/{clip}.mp4", "columns": {"target_id": "p{who}"}},
        label="real",
    )
    assert source.videos[0].target_id == "mine:p07"


def test_a_manifest_with_another_delimiter_and_a_byte_order_mark(scan):
    source = scan(
        ["a b.mp4"],
        csv='\ufefffile;label\n"a b.mp4";real\n\n',
        manifest={"file": "manifest.csv", "path": "file", "columns": {"label": "label"}, "delimiter": ";"},
    )
    assert labels(source) == {"a b.mp4": 0}


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("", "is empty"),
        ("file,lable\na.mp4,real\n", '"label" is not known.*Did you mean "lable"'),
        ("file,label\na.mp4\n", "line 2: 1 cells, the header has 2"),
        ("file,label\na.mp4,real\na.mp4,fake\n", "line 3: a.mp4 has a row already"),
        ("file,label\n,real\n", "line 2: no path"),
        ("file,label,label\na.mp4,real,real\n", "two columns are called 'label'"),
        ('file,label\n"a.mp4,real\n', "not a CSV file"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_an_error_with_its_line(scan, csv, message):
    with pytest.raises(SourceError, match=message):
        scan(["a.mp4"], csv=csv)


def test_a_manifest_is_looked_for_in_the_root_and_beside_the_description(scan, tmp_path):
    keys = {"manifest": {"file": "list.csv", "path": "file", "columns": {"label": "label"}}}
    with pytest.raises(SourceError, match="list.csv is neither in .*tree nor in "):
        scan(["a.mp4"], **keys)
    (tmp_path / "list.csv").write_text("file,label\na.mp4,real\n")
    assert labels(scan(["a.mp4"], **keys)) == {"a.mp4": 0}


# -- identities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "given", "expected"),
    [
        ("swap", {"target_id": "a", "source_id": "b"}, ("mine:a", "mine:b", "mine:b")),
        ("reenactment", {"target_id": "a", "source_id": "b"}, ("mine:a", "mine:b", "mine:a")),
        ("swap", {"target_id": "a", "source_id": "b", "visible_id": "c"}, ("mine:a", "mine:b", "mine:c")),
        ("unknown", {"target_id": "a", "source_id": "b"}, ("mine:a", "mine:b", None)),
        ("swap", {"source_id": "ffpp:071"}, (None, "ffpp:071", "ffpp:071")),
    ],
)
def test_the_visible_person_follows_from_the_category(scan, category, given, expected):
    video = scan(["a.mp4"], label="fake", method="M", category=category, **given).videos[0]
    assert (video.target_id, video.source_id, video.visible_id) == expected


# -- the description ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lable": "real"}, 'key "lable" is not known. Did you mean "label".*Allowed: dataset, source'),
        ({"rules": [{"match": "**", "lable": "real"}]}, 'rule 1: key "lable" is not known. Did you mean "label"'),
        ({"rules": [{"label": "real"}]}, "rule 1: give a glob"),
        ({"rules": [{"match": [], "label": "real"}]}, "at least one glob"),
        ({"rules": {"match": "**"}}, "rules: give a list"),
        ({"rules": [{"match": "a{b,c}"}]}, "no braces in globs"),
        ({"manifest": {"flie": "x"}}, 'manifest: key "flie" is not known. Did you mean "file"'),
        ({"manifest": {"file": "x"}}, "manifest: path, columns must be given"),
        ({"manifest": {"file": "x", "path": "p", "columns": {"lable": "x"}}}, 'field "lable" is not known'),
        ({"manifest": {"file": "x", "path": "p", "columns": {"label": "x"}, "delimiter": ", "}}, "one character"),
        ({"values": {"lable": {"a": "b"}}}, 'values: key "lable"'),
        ({"values": {"method": {1: "b"}}}, "write both in quotes"),
        ({"kind": "video"}, 'kind "video" is not known. Did you mean "videos"'),
        ({"redistributable": "no"}, "neither true nor false"),
        ({"target_id": 71}, "YAML reads 071 as a number"),
        ({"label": True}, "is not text"),
        ({"method": ""}, "is not text"),
        ({"regex": "("}, "regex: missing"),
        ({"regex": "abc"}, "name its groups"),
        ({"regex": "(?P<targetid>.*)"}, 'Did you mean "target_id"'),
        ({"regex": "(?P<stem>.*)"}, "already means a part of the path"),
        ({"mask": "m/{steam}.png"}, 'Did you mean "stem"'),
        ({"include": 3}, "give a glob or a list"),
    ],
)
def test_a_description_that_cannot_be_right_names_the_key_and_what_is_allowed(scan, keys, message):
    with pytest.raises(SourceError, match=message) as caught:
        scan(["a.mp4"], **keys)
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize("key", ["dataset", "licence", "redistributable", "kind"])
def test_what_must_be_given(tmp_path, key):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({name: value for name, value in BASE.items() if name != key}))
    with pytest.raises(SourceError, match=f"{key} must be given"):
        read_description(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("just words", "key: value"),
        ("", "key: value"),
        ("dataset: a\ndataset: b", "'dataset' is given twice"),
        ("rules:\n- {match: a, match: b}", "'match' is given twice"),
        ("!!python/object/apply:os.getcwd []", "is not YAML"),
        ("\udcff: x", "is not YAML"),
        ("{a: 1}: 2", "is not YAML"),
    ],
)
def test_a_file_that_is_no_description_is_an_error(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text, errors="surrogateescape")
    with pytest.raises(SourceError, match=message) as caught:
        read_description(tmp_path / "x.yaml")
    assert "\n" not in str(caught.value)


def test_a_description_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="cannot be read"):
        read_description(tmp_path / "none.yaml")


def test_the_root_is_in_the_description_or_on_the_command_line(tmp_path):
    touch(tmp_path / "here", ["a.mp4"])
    touch(tmp_path / "there", ["b.mp4"])
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(BASE | {"label": "real", "root": "here"}))
    assert open_source("folder", config=tmp_path / "x.yaml").root == tmp_path / "here"
    assert open_source("folder", tmp_path / "there", config=tmp_path / "x.yaml").root == tmp_path / "there"
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(BASE | {"label": "real"}))
    with pytest.raises(SourceError, match="x.yaml: there is no root"):
        open_source("folder", config=tmp_path / "x.yaml")


def test_rules_that_are_never_used_and_files_the_regex_does_not_match_are_warnings(scan):
    source = scan(
        ["a.mp4", "b7.mp4"],
        label="real",
        rules=[{"match": "c*", "quality": "x"}, {"match": "**", "quality": "y"}, {"match": "a*", "quality": "z"}],
        regex=r"b(?P<target_id>\d)\.mp4",
    )
    assert any("rule 1 (c*) was not used" in warning for warning in source.warnings)
    assert any("rule 3 (a*) was not used" in warning for warning in source.warnings)
    assert any("regex does not match" in warning and "a.mp4" in warning for warning in source.warnings)


def test_the_example_is_right(tmp_path):
    example = Path(folder_module.__file__).with_name("example.yaml").read_text()
    (tmp_path / "example.yaml").write_text(example)
    root = tmp_path / "campus"
    touch(root / "real", ["p07_1.mp4", "p08_1.mp4", "preview_1.mp4"], b"x")
    touch(root / "fake" / "SimSwap", ["p07_p08_1.mp4"], b"x")
    touch(root / "masks", ["p07_p08_1.mp4"], b"x")
    (root / "clips.csv").write_text(
        "folder,clip,subset\nreal,p07_1,training\nreal,p08_1,unused\nfake/SimSwap,p07_p08_1,testing\n"
    )
    source = open_source("folder", config=tmp_path / "example.yaml")
    fake, real, other = source.videos
    assert (fake.method, fake.category, fake.quality, fake.official_split) == ("SimSwap", "swap", "c23", "test")
    assert (fake.target_id, fake.visible_id) == ("campus-swaps:p07", "campus-swaps:p08")
    assert fake.original_video == real.video_id
    assert fake.mask_path == "masks/p07_p08_1.mp4"
    assert (real.official_split, other.official_split) == ("train", None)
    assert source.warnings == []
    assert all(row.complete for row in source.completeness())


# -- other names -------------------------------------------------------------------------------------------------------


def test_other_names_are_this_sets_unless_they_have_a_namespace(scan, tmp_path):
    source = scan(
        ["a.mp4"],
        label="real",
        aliases=[
            {"person": "p12", "is": "ffpp:043", "why": "told by the actor"},
            {"recording": "p07", "is": "p08"},
            {"footage": "mine", "is": "ffpp/original"},
        ],
    )
    assert [(alias.kind, alias.one, alias.other, alias.said_by) for alias in source.aliases] == [
        ("person", "mine:p12", "ffpp:043", "mine.yaml: told by the actor"),
        ("recording", "mine:p07", "mine:p08", "mine.yaml"),
        ("footage", "mine", "ffpp/original", "mine.yaml"),
    ]
    assert read_source(write_source(source, tmp_path)).aliases == source.aliases
    create(tmp_path / "catalog.duckdb")
    ingest_source(tmp_path / "catalog.duckdb", tmp_path / "sources" / "mine.parquet")
    with connect_read(tmp_path / "catalog.duckdb") as catalog:
        (others,) = catalog.execute(
            "SELECT list(other ORDER BY other) FROM relatives WHERE one = 'mine:p12'"
        ).fetchone()
    assert others == ["ffpp:043", "ffpp:343"], "also over what is shipped"


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        ({"person": "p12"}, "aliases: 1: give one of person, recording, footage, and is"),
        ({"persom": "p12", "is": "p13"}, "aliases: 1: give one of person"),
        ({"person": "p12", "is": "p13", "becuse": "x"}, 'key "becuse" is not known'),
        ({"person": 12, "is": "p13"}, "12 is not text"),
        ({"person": "p12", "is": "mine:p12"}, "mine:p12 is itself"),
    ],
)
def test_another_name_that_says_nothing_is_an_error(scan, alias, message):
    fails(scan, message, rules=REAL_FAKE, aliases=[alias])
