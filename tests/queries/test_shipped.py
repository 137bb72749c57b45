"""Every query that is shipped runs, and is what its head says."""

from pathlib import Path

import pytest

from queries.check import check
from queries.errors import SplitError
from queries.pin import pin
from queries.split import read_split
from tests.queries import fabricate
from tests.queries.conftest import Place
from tests.queries.fabricate import attempt, video, write_pack
from tests.queries.world import ROOT, TEST_LIST, picked, shipped

SHIPPED = sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/*.sql") if path.parent.name not in ("lints", "checks")
)
DEMANDED = [
    f"ffpp/{method}_{side}.sql" for method in ("df", "f2f", "fs", "nt", "fsh") for side in ("train", "val", "test")
]
DEMANDED += [f"paper1/{name}.sql" for name in ("fs_i", "nt_i", "celeb_m_as_published", "celeb_m_clean")]
DEMANDED += ["celebdf/v2_test.sql"]
DOMAINS = {"source_dataset": "ffpp", "source_method": "Deepfakes", "source_quality": "c23"}
DOMAINS |= {"target_dataset": "celebdf-v2", "target_method": "Celeb-synthesis", "target_quality": "native"}
MUST = {
    f"paper3/{name}.sql": {k: v for k, v in DOMAINS.items() if k.startswith(name.split("_")[0])}
    for name in ("source_test_image", "source_test_video", "target_test_image", "target_test_video")
}
MUST |= {"paper3/domains_train.sql": DOMAINS}
MUST |= {f"paper5/sets_{side}.sql": {"sets": "dfd,ffhq"} for side in ("train", "test")}
MUST |= {
    f"paper2/{name}.sql": {"quality": "c23"}
    for name in ("ff_train", "ff_val", "ff_test", "cross_method_test", "ff_interaction")
}
MUST["paper4/edited.sql"] = {"dataset": "attribute", "method": "StarGAN"}
MUST["paper1/celeb_val.sql"] = {"val_percent": "50"}
MUST |= {  # the miniature has no face left with the defaults
    f"paper1/{name}.sql": {"additional": "20", "each": "30"}
    for name in ("fs_nt_train", "f2f_augmented", "celeb_augmented")
}
MUST["paper1/celeb_augmented_val.sql"] = {"val_percent": "50", "of_each_method": "5"}
MUST["paper1/f2f_augmented_val.sql"] = {"of_each_method": "5"}
ONE_CLASS = {"paper2/id_probe_train.sql", "paper2/id_probe_test.sql", "paper5/sbi_ff_train.sql", "paper5/sbi_train.sql"}


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """A catalog of something else."""
    place = Place(tmp_path_factory.mktemp("strange"))
    fabricate.make_store(place.store, [video("nobody", "x", 0, "other")], faces=1, packs=1)
    place.ingest()
    return place


def test_the_files_that_people_are_told_of_are_there():
    assert set(DEMANDED) <= set(SHIPPED)


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("file", SHIPPED)
def test_a_shipped_query_says_what_it_is_and_selects_faces(world, file):
    split = read_split(ROOT / file)
    assert split.title and split.about or split.origin.get("paper"), "a head says what it is"
    assert all(param.what for param in split.params.values())
    pinned = shipped(world, file, **MUST.get(file, {}))
    assert pinned.real > 0 and (pinned.fake > 0) == (file not in ONE_CLASS)
    assert pinned.name == Path(file).stem


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("file", SHIPPED)
def test_a_shipped_query_says_clearly_that_it_selects_nothing(strange, file):
    with pytest.raises(SplitError, match="selects nothing .*Faces of other/nobody/c23 1"):
        shipped(strange, file, **MUST.get(file, {}))


@pytest.mark.parametrize("short", ["df", "f2f", "fs", "nt", "fsh"])
def test_the_official_sides_of_ffpp_share_no_video_footage_or_person(world, short):
    sides = [shipped(world, f"ffpp/{short}_{side}.sql") for side in ("train", "val", "test")]
    assert [
        finding for finding in check(world.catalog, [side.path for side in sides]) if finding.severity != "note"
    ] == []
    for pinned, split in zip(sides, ("train", "val", "test"), strict=True):
        rows = picked(world, pinned)
        assert {row["official_split"] for row in rows} == {split}
        assert {row["quality"] for row in rows} == {"c23"}
        assert len({row["method"] for row in rows}) == 2


def test_f2f_train_is_balanced_with_up_to_16_frames_of_each_video(world):
    pinned = shipped(world, "ffpp/f2f_train.sql")
    assert (pinned.real, pinned.fake) == (128, 128)
    assert {row["method"] for row in picked(world, pinned)} == {"Face2Face", "original"}
    fewer = shipped(world, "ffpp/f2f_train.sql", per_class="100", frames_per_video="15")
    assert (fewer.real, fewer.fake) == (100, 100)
    assert fewer.params == {"quality": "c23", "frames_per_video": 15, "per_class": 100, "seed": 1}
    assert shipped(world, "ffpp/f2f_train.sql", per_class="100", seed="2").hash != fewer.hash


def test_f2f_test_counts_the_video_without_a_face(world):
    pinned = shipped(world, "ffpp/f2f_test.sql")
    assert (pinned.real, pinned.fake, pinned.faceless) == (40, 30, 1)
    assert "unlisted_faceless" not in {lint.rule for lint in pinned.lints}


@pytest.mark.parametrize(("file", "method"), [("paper1/fs_i.sql", "FaceSwap"), ("paper1/nt_i.sql", "NeuralTextures")])
@pytest.mark.parametrize("params", [{}, {"per_class": "40", "each": "30", "seed": "5"}])
def test_fs_i_and_nt_i_are_the_people_of_the_training_set_in_frames_it_did_not_draw(world, file, method, params):
    inner = {key: value for key, value in params.items() if key != "each"}
    train = picked(world, shipped(world, "ffpp/f2f_train.sql", **inner))
    people = {row[part] for row in train for part in ("target_id", "source_id", "visible_id")}
    trained_on = {row["sample_id"] for row in train}
    rows = picked(world, shipped(world, file, **params))
    fakes = [row for row in rows if row["label"]]
    reals = [row for row in rows if not row["label"]]
    assert len(fakes) == len(reals) == (30 if params else 80)
    assert {row["method"] for row in fakes} == {method} and {row["method"] for row in reals} == {"original"}
    assert all({row["target_id"], row["source_id"]} <= people for row in fakes)
    assert all(row["target_id"] in people for row in reals)
    assert not {row["sample_id"] for row in reals} & trained_on


def test_fs_i_is_not_the_people_of_a_training_set_that_has_fewer(world, tmp_path):
    """The condition is the training set's people, not the official split: fewer people trained on, fewer here."""
    folder = tmp_path / "queries"
    (folder / "ffpp").mkdir(parents=True)
    (folder / "paper1").mkdir()
    text = (ROOT / "ffpp/f2f_train.sql").read_text()
    (folder / "ffpp/f2f_train.sql").write_text(
        text.replace("WHERE dataset", "WHERE target_id IN ('ffpp:071', 'ffpp:054') AND dataset")
    )
    (folder / "paper1/fs_i.sql").write_text((ROOT / "paper1/fs_i.sql").read_text())
    rows = picked(world, pin(world.catalog, world.store, folder / "paper1/fs_i.sql", name="few"))
    assert {row["target_id"] for row in rows} == {"ffpp:071", "ffpp:054"}


def test_fs_i_shares_footage_with_the_training_set_and_the_check_says_so(world):
    train, fs_i = shipped(world, "ffpp/f2f_train.sql"), shipped(world, "paper1/fs_i.sql")
    rules = {finding.rule for finding in check(world.catalog, [train.path, fs_i.path])}
    assert {"shared_footage", "shared_videos", "shared_identities"} <= rules
    assert "shared_faces" not in rules


def test_celeb_df_v2_test_is_the_official_list(world):
    pinned = shipped(world, "celebdf/v2_test.sql")
    assert {row["name"] for row in picked(world, pinned)} == set(TEST_LIST) - {"id3_id4_0001"}
    assert pinned.faceless == 1
    assert {row["name"] for row in picked(world, shipped(world, "celebdf/v2_train.sql"))}.isdisjoint(TEST_LIST)


def test_celeb_m_clean_is_v1_without_the_files_of_v2s_training_side(world):
    published = shipped(world, "paper1/celeb_m_as_published.sql")
    clean = shipped(world, "paper1/celeb_m_clean.sql")
    names = {row["name"] for row in picked(world, clean)}
    assert names.isdisjoint({"id1_0000", "id1_id2_0000", "id2_0001"})
    assert "id0_0000" in names, "it is on v2's test list, so no detector was trained on it"
    assert "id3_0000" in names, "its name is in v2, its content is not"
    assert clean.real == clean.fake < published.real == published.fake
    train = shipped(world, "celebdf/v2_train.sql")
    rules = {
        which: {finding.rule: finding.count for finding in check(world.catalog, [train.path, pinned.path])}
        for which, pinned in (("published", published), ("clean", clean))
    }
    assert rules["published"]["shared_content"] == 3
    assert "shared_content" not in rules["clean"]
    strict = {row["name"] for row in picked(world, shipped(world, "paper1/celeb_m_clean.sql", originals="new"))}
    assert "id2_id3_0001" in names, "its own file is not in v2"
    assert names - strict == {"id2_id3_0001", "id1_id2_0000"} & names, "made from clips that are trained on"


def test_celeb_m_clean_refuses_to_guess_where_contents_are_not_known(place):
    v1, v2 = fabricate.celebdf_videos("v1"), fabricate.celebdf_videos("v2", test=TEST_LIST)
    write_pack(place.store, "p-000000", [attempt(row, 4) for row in v1])
    fabricate.write_recipe(place.store)
    place.ingest()
    with pytest.raises(SplitError, match="no training clip of celebdf-v2 to compare with"):
        shipped(place, "paper1/celeb_m_clean.sql")
    fabricate.write_scan(place.store, v2, "celebdf-v2")
    place.ingest()
    untried = sum(row["official_split"] == "train" for row in v2)
    with pytest.raises(SplitError, match=f"the content of {untried} training clips .*--param unread={untried}"):
        shipped(place, "paper1/celeb_m_clean.sql")
    assert shipped(place, "paper1/celeb_m_clean.sql", unread=str(untried)).rows > 0
