"""A recipe's hash changes with everything that changes pixels and with nothing else."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.recipe import Recipe, RecipeError, from_record, load, shipped, to_record

CHANGES = {
    "sampling": "evenly 8",
    "aligner": "dlib",
    "faces": "all",
    "thorough": True,
    "scheme": "dlib5",
    "margin": 0.25,
    "size": 128,
    "interpolation": "linear",
    "codec": "webp",
    "masks": False,
    "integrity": True,
    "weights": {"model.dat": "00"},
    "pixels_version": 2,
}


def test_every_shipped_recipe_loads_and_has_its_own_hash():
    recipes = [load(name) for name in shipped()]
    assert "default" in shipped()
    assert len({recipe.hash for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize("key", CHANGES)
def test_each_setting_changes_the_hash(key):
    recipe = Recipe("r", aligner="face_alignment" if key == "aligner" else "dlib")
    assert dataclasses.replace(recipe, **{key: CHANGES[key]}).hash != recipe.hash


def test_the_name_and_unused_settings_do_not_change_the_hash():
    recipe = Recipe("r")
    assert dataclasses.replace(recipe, name="other").hash == recipe.hash
    assert dataclasses.replace(recipe, jpeg_quality=80).hash == recipe.hash  # it is a png
    jpeg = dataclasses.replace(recipe, codec="jpg")
    assert dataclasses.replace(jpeg, jpeg_quality=80).hash != jpeg.hash


@given(
    st.sampled_from(["evenly 32", "all", "at least 4 in 9"]),
    st.floats(-0.2, 1),
    st.integers(16, 2048),
    st.sampled_from(["png", "webp", "jpg"]),
)
def test_a_record_gives_the_recipe_back(sampling, margin, size, codec):
    recipe = Recipe("r", sampling=sampling, margin=margin, size=size, codec=codec, weights={"a": "b"})
    again = from_record(to_record(recipe))
    assert again.hash == recipe.hash
    assert again == recipe


def test_overrides_become_part_of_the_name():
    assert load("default", aligner="dlib").name == "default+aligner=dlib"
    assert load("default", aligner="face_alignment") == load("default")


def test_a_recipe_of_ones_own_is_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("sampling: every 5\naligner: dlib\ncodec: webp\n")
    recipe = load(str(tmp_path / "mine.yaml"))
    assert (recipe.name, recipe.sampling, recipe.codec) == ("mine", "every 5", "webp")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("samplling: all", "did you mean 'sampling'"),
        ("sampling: first 10", "evenly 32"),
        ("codec: bmp", "png, webp, jpg"),
        ("scheme: dlib5", "comes with aligner dlib"),
        ("size: 8", "between 16 and 2048"),
        ("size: big", "whole number"),
        ("masks: maybe", "true or false"),
        ("margin: wide", "between -0.2 and 1"),
        ("- a\n- b", "key: value"),
        ("a: [", "is not YAML"),
        ("name: x", "unknown key"),
        ("weights: {}", "unknown key"),
    ],
)
def test_a_wrong_recipe_file_says_what_is_wrong(tmp_path, text, said):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=said):
        load(str(tmp_path / "r.yaml"))


def test_an_unknown_recipe_lists_the_shipped_ones(tmp_path):
    with pytest.raises(RecipeError, match="default"):
        load("defualt")
    with pytest.raises(RecipeError, match="No such file"):
        load(str(tmp_path / "none.yaml"))


def test_a_record_that_was_tampered_with_is_refused():
    record = to_record(Recipe("r"))
    record["recipe"]["size"] = 128
    with pytest.raises(RecipeError, match="hashes to"):
        from_record(record)
