"""A split file's head is read as it is written, and what cannot be understood is said with file and line."""

import pytest

from queries.errors import SplitError
from queries.split import parse_value, read_split

HEAD = """-- Few faces of each video

-- Prose that goes on
-- over two lines.
-- paper: A paper, section 3
-- table: 7
-- reports: 80.20 % for MesoNet
-- param n: 16  (frames of a video)
-- param share: 0.5
-- param what: 'it''s'  (text (with brackets))
-- param quality: c23
-- param given:  (must be given)
-- param nothing: null
SELECT sample_id FROM faces WHERE $n + $share > 0 AND quality IN ($what, $quality, $given, $nothing) -- param x: 1
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="split.sql"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
        return path

    return write


def test_a_head_is_title_origin_prose_and_parameters(write):
    file = read_split(write(HEAD))
    assert (file.title, file.about) == ("Few faces of each video", "Prose that goes on\nover two lines.")
    assert file.origin == {"paper": "A paper, section 3", "table": "7", "reports": "80.20 % for MesoNet"}
    assert {name: param.default for name, param in file.params.items()} == {
        "n": 16,
        "share": 0.5,
        "what": "it's",
        "quality": "c23",
        "given": None,
        "nothing": None,
    }
    assert file.params["n"].what == "frames of a video"
    assert file.params["what"].what == "text (with brackets)"
    assert [name for name, param in file.params.items() if param.required] == ["given"]


def test_a_file_without_a_head_is_a_split_too(write):
    file = read_split(write("SELECT sample_id FROM faces"))
    assert (file.title, file.params, file.uses) == ("", {}, {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", 16),
        ("-1", -1),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("c23", "c23"),
        ("'16'", "16"),
        ("null", None),
        ("true", True),
    ],
)
def test_a_value_is_what_it_looks_like(text, value):
    read = parse_value(text)
    assert read == value and type(read) is type(value)


def test_given_values_take_the_type_of_the_default(write):
    file = read_split(write(HEAD))
    query = file.query({"n": "8", "share": "1", "quality": "40", "given": "x", "nothing": "7"})
    assert query.params == {"n": 8, "share": 1.0, "what": "it's", "quality": "40", "given": "x", "nothing": 7}
    assert type(query.params["share"]) is float


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the parameter given must be given: --param given="),
        ({"given": 1, "qualty": "c40"}, r"no parameter 'qualty': did you mean quality\? It takes n, share"),
        ({"given": 1, "n": "many"}, r"n must be a whole number \(frames of a video\), not 'many'"),
        ({"given": 1, "n": "1.5"}, "n must be a whole number"),
        ({"given": 1, "share": "half"}, "share must be a number"),
    ],
)
def test_a_wrong_parameter_says_what_is_wrong(write, given, said):
    with pytest.raises(SplitError, match=said):
        read_split(write(HEAD)).query(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-- title\n-- param n 16: x\nSELECT $n", "split.sql:2: .* write `-- param NAME: DEFAULT"),
        ("-- title\n-- param n: 1\n-- param n: 2\nSELECT $n", "split.sql:3: the parameter n is declared twice"),
        ("-- title\n-- param n: 1\nSELECT 1", r"n is declared, but \$n occurs nowhere"),
        ("-- title\n-- uses: a b.sql =\nSELECT 1", "split.sql:2: .* write `-- uses: ALIAS = FILE.sql`"),
        ("-- title\n-- uses: a = none.sql\nSELECT 1", "split.sql:2: there is no file .*none.sql"),
        ("-- title\n-- uses: a = /etc/passwd\nSELECT 1", "must be a .sql file, relative to this one"),
        ("-- title\n-- uses: a = /etc/x.sql\nSELECT 1", "must be a .sql file, relative to this one"),
        ("-- title\n-- uses: faces = split.sql\nSELECT 1", "'faces' cannot be an alias"),
        ("-- title\n-- uses: inner = split.sql\nSELECT 1", "'inner' cannot be an alias.*no word of SQL"),
        ("-- title\n-- uses: Samples = split.sql\nSELECT 1", "'Samples' cannot be an alias"),
        ("-- title\n-- uses: a = split.sql\nSELECT 1", "uses itself: split.sql uses split.sql"),
    ],
)
def test_a_head_that_is_not_understood_names_file_and_line(write, text, said):
    with pytest.raises(SplitError, match=said):
        read_split(write(text))


def test_splits_that_use_each_other_in_a_circle_are_refused(write):
    write("-- uses: b = b.sql\nSELECT 1", "a.sql")
    write("-- uses: c = sub/c.sql\nSELECT 1", "b.sql")
    path = write("-- uses: a = ../a.sql\nSELECT 1", "sub/c.sql")
    with pytest.raises(SplitError, match=r"c.sql uses a.sql uses b.sql uses c.sql"):
        read_split(path)


def test_used_splits_have_the_outer_files_values_and_their_own_defaults_else(write):
    write("-- inner\n-- param n: 1\n-- param seed: 1\n-- param deep: 5\nSELECT $n, $seed, $deep", "inner.sql")
    path = write("-- outer\n-- uses: within = inner.sql\n-- param seed: 2\nSELECT $seed FROM within")
    query = read_split(path).query({})
    assert query.params == {"seed": 2}
    assert query.uses["within"].params == {"n": 1, "seed": 2, "deep": 5}
    query = read_split(path).query({"n": "9", "seed": "3"})
    assert query.uses["within"].params == {"n": 9, "seed": 3, "deep": 5}


def test_a_parameter_may_be_there_for_a_used_split_alone(write):
    write("-- inner\n-- param n: 1\nSELECT $n", "inner.sql")
    path = write("-- outer\n-- uses: within = inner.sql\n-- param n: 7\nSELECT sample_id FROM within")
    assert read_split(path).query({}).uses["within"].params == {"n": 7}


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SplitError, match="none.sql cannot be read"):
        read_split(tmp_path / "none.sql")


@pytest.mark.parametrize("name", ["ffpp/f2f_train", "ffpp/f2f_train.sql", "queries/ffpp/f2f_train.sql"])
def test_a_shipped_split_goes_by_its_name_unless_a_file_of_ones_own_has_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_split(name).title.startswith("Face2Face and the originals")
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("-- mine\nSELECT sample_id FROM faces")
    assert read_split(name).title == "mine"
