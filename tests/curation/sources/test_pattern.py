"""Globs and templates: what matches, and what is refused because it would be understood differently elsewhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.sources import SourceError
from curation.sources.pattern import check_template, compile_glob, expand, placeholders


@pytest.mark.parametrize(
    ("glob", "matches", "others"),
    [
        ("*.mp4", ["a.mp4", "a b.mp4", "é'\n.mp4"], ["x/a.mp4", "a.mp4x", ".a.mp4", "._a.mp4"]),
        ("**/*.mp4", ["a.mp4", "x/a.mp4", "x/y/a.mp4"], ["x/.a.mp4", ".x/a.mp4", "a.mp4/b"]),
        ("**", ["a", "a/b", "a/b.c"], [".a", "a/.b"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c", "ab/c"]),
        ("a/**/c.png", ["a/c.png", "a/b/c.png", "a/b/b/c.png"], ["a/bc.png", "c.png"]),
        ("**/fake/*", ["fake/a", "x/fake/a"], ["x/fake/a/b", "xfake/a"]),
        ("?.mp4", ["a.mp4"], ["ab.mp4", ".mp4", "/.mp4"]),
        ("[ab]1", ["a1", "b1"], ["c1", "ab1"]),
        ("[!ab]1", ["c1"], ["a1", "/1"]),
        ("[a-c]1", ["b1"], ["d1", "-1"]),
        ("x[[]1].mp4", ["x[1].mp4"], ["x1.mp4"]),
        (".hidden/*", [".hidden/a"], ["hidden/a"]),
        ("a+b(c).mp4", ["a+b(c).mp4"], ["aab.mp4"]),
        ("a\\x5cb", ["a\\x5cb"], ["axb"]),
    ],
)
def test_globs(glob, matches, others):
    pattern = compile_glob(glob)
    assert [path for path in matches + others if pattern.fullmatch(path)] == matches


@pytest.mark.parametrize(
    "glob", ["", "/a", "a/", "a//b", "./a", "../a", "a**", "a/b**/c", "*.{mp4,avi}", "[ab", "[b-a]"]
)
def test_globs_that_mean_something_else_elsewhere_are_refused(glob):
    with pytest.raises(SourceError):
        compile_glob(glob)


@settings(deadline=None)
@given(st.lists(st.text("ab.*?[]{}-^!", min_size=1, max_size=5), min_size=1, max_size=3))
def test_a_glob_compiles_or_is_refused_and_never_fails_otherwise(parts):
    try:
        compile_glob("/".join(parts)).fullmatch("a/b")
    except SourceError as error:
        assert "glob" in str(error)


@settings(deadline=None)
@given(st.lists(st.text("ab.-_ é'\"\n", min_size=1).filter(lambda part: set(part) != {"."}), min_size=1, max_size=4))
def test_a_path_without_wildcards_matches_itself_alone(parts):
    path = "/".join(parts)
    assert compile_glob(path).fullmatch(path)
    assert not compile_glob(path).fullmatch(path + "x")


def test_templates():
    assert placeholders("{a}/x{b}.{a}{not a name}") == ["a", "b", "a"]
    assert expand("{a}/x{b}.png{}", {"a": "1", "b": "{a}"}) == "1/x{a}.png{}"
    check_template("{a}", {"a"}, "here")
    with pytest.raises(SourceError, match=r'here: nothing gives \{targt\}.*Did you mean "target"'):
        check_template("{targt}", {"target", "stem"}, "here")
