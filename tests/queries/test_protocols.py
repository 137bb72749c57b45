"""The shipped protocols select what their papers define: counts, labels, frames, and nothing of the training sets."""

from collections import Counter

import pytest

from queries.errors import SplitError
from queries.split import read_split
from tests.queries.world import EDITED, FACELESS, ROOT, SETS, TEST_LIST, picked, selected, shipped

pytestmark = pytest.mark.usefixtures("no_child")
FOUR = {"Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"}
SMALL = {"additional": "20", "each": "30"}
MORE = {"f2f": {"each": "30"}, "celeb": {}}
SOURCE = {"source_dataset": "ffpp", "source_method": "Deepfakes", "source_quality": "c23"}
TARGET = {"target_dataset": "celebdf-v2", "target_method": "Celeb-synthesis", "target_quality": "native"}


def rows_of(place, file, **params):
    return selected(place, f"{file}.sql", **params)


def ids(rows):
    return {row["sample_id"] for row in rows}


def videos(rows):
    return {row["video_id"] for row in rows}


def footage(rows):
    return {row["original_video"] or row["video_id"] for row in rows}


def labels(rows):
    """Real faces, fake faces."""
    fakes = sum(row["label"] for row in rows)
    return len(rows) - fakes, fakes


def frames(rows):
    """How many faces videos have: the set of the counts."""
    return set(Counter(row["video_id"] for row in rows).values())


class TestPaper1:
    @pytest.mark.parametrize("short", ["f2f", "fs", "nt", "df", "celeb"])
    def test_the_2000_images_are_half_real_and_from_the_test_side(self, world, short):
        whole = "celebdf/v2_test" if short == "celeb" else f"ffpp/{short}_test"
        drawn = rows_of(world, f"paper1/{short}_2000", each="10")
        assert labels(drawn) == (10, 10)
        assert ids(drawn) < ids(rows_of(world, whole))

    def test_a_test_set_lists_the_video_without_a_face(self, world):
        assert shipped(world, "paper1/f2f_2000.sql", each="10").faceless == 1

    @pytest.mark.parametrize(("seed", "percent"), [("1", "60"), ("2", "40")])
    def test_celeb_train_and_val_divide_v2_by_original_clips(self, world, seed, percent):
        how = {"val_percent": percent, "seed": seed}
        train, val = (rows_of(world, f"paper1/celeb_{side}", **how) for side in ("train", "val"))
        assert train and val
        assert footage(train).isdisjoint(footage(val))
        assert {row["name"] for row in train + val}.isdisjoint(TEST_LIST)
        for rows in (train, val):
            assert len(set(labels(rows))) == 1
            assert max(frames(rows)) <= 16

    def test_celeb_without_validation_is_all_of_the_training_side(self, world):
        whole = rows_of(world, "celebdf/v2_train")
        assert ids(rows_of(world, "paper1/celeb_train", val_percent="0")) == ids(whole)

    def test_additional_images_of_celeb_are_training_clips_in_frames_not_drawn(self, world):
        how = {"per_class": "50", "val_percent": "40"}
        train = rows_of(world, "paper1/celeb_train", **how)
        more = rows_of(world, "paper1/celeb_additional", additional="20", **how)
        assert labels(more) == (20, 20)
        assert ids(more).isdisjoint(ids(train))
        assert videos(more).isdisjoint(videos(rows_of(world, "paper1/celeb_val", val_percent="40")))

    def test_the_augmentation_of_f2f_shares_no_face_with_training_and_with_fs_i_and_nt_i(self, world):
        train = rows_of(world, "ffpp/f2f_train")
        more = rows_of(world, "paper1/f2f_additional", **SMALL)
        others = rows_of(world, "paper1/fs_nt_train", of_each_method="10", **SMALL)
        tested = rows_of(world, "paper1/fs_i", each="30") + rows_of(world, "paper1/nt_i", each="30")
        assert labels(more) == (20, 20)
        assert {row["method"] for row in more} == {"Face2Face", "original"}
        assert Counter(row["method"] for row in others) == {"FaceSwap": 10, "NeuralTextures": 10, "original": 20}
        assert {row["official_split"] for row in more + others} == {"train"}
        sets = [ids(train), ids(more), ids(others), ids(tested)]
        assert sum(map(len, sets)) == len(set.union(*sets))

    def test_the_validation_of_fs_and_nt_has_the_composition_of_its_training_set(self, world):
        rows = rows_of(world, "paper1/fs_nt_val", of_each_method="5")
        assert Counter(row["method"] for row in rows) == {"FaceSwap": 5, "NeuralTextures": 5, "original": 10}
        assert {row["official_split"] for row in rows} == {"val"}

    @pytest.mark.parametrize("short", ["f2f", "celeb"])
    def test_an_augmented_set_is_two_streams_of_sets_that_are_pinned_alone_too(self, world, short):
        how = {"val_percent": "40"} if short == "celeb" else {}
        pinned = shipped(world, f"paper1/{short}_augmented.sql", **SMALL, **how)
        streams = {}
        for row in picked(world, pinned):
            streams.setdefault(row["stream"], set()).add(row["sample_id"])
        assert streams == {
            "original": ids(rows_of(world, f"paper1/{short}_additional", additional="20", **how, **MORE[short])),
            "added": ids(rows_of(world, "paper1/fs_nt_train", **SMALL)),
        }

    @pytest.mark.parametrize("short", ["f2f", "celeb"])
    def test_an_augmented_detector_is_validated_on_both_sets(self, world, short):
        how = {"val_percent": "40", "each": "20"} if short == "celeb" else {"original": "20"}
        rows = rows_of(world, f"paper1/{short}_augmented_val", of_each_method="5", **how)
        added = ids(rows_of(world, "paper1/fs_nt_val", of_each_method="5"))
        original = [row for row in rows if row["sample_id"] not in added]
        assert len(rows) - len(original) == len(added) == 20
        assert labels(original)[0] == labels(original)[1] > 0
        if short == "celeb":
            assert ids(original) == ids(rows_of(world, "paper1/celeb_val", **how))
        else:
            assert {row["method"] for row in original} == {"Face2Face", "original"}
            assert {row["official_split"] for row in original} == {"val"}


class TestPaper2:
    @pytest.mark.parametrize(("side", "ids_of_side"), [("train", 8), ("val", 2), ("test", 4)])
    def test_ff_has_all_frames_of_five_methods_and_the_originals(self, world, side, ids_of_side):
        rows = rows_of(world, f"paper2/ff_{side}", quality="c23")
        assert {row["method"] for row in rows} == {*FOUR, "FaceShifter", "original"}
        assert len(videos(rows)) == 6 * ids_of_side - (side == "test")
        assert frames(rows) == {32}
        assert {row["official_split"] for row in rows} == {side}

    def test_raw_is_the_default(self, world):
        with pytest.raises(SplitError, match="selects nothing"):
            shipped(world, "paper2/ff_train.sql")

    @pytest.mark.parametrize("count", ["32"])
    def test_the_partner_is_the_originals_face_in_the_same_frame(self, world, count):
        rows = rows_of(world, "paper2/ff_train", quality="c23", frames_per_video=count)
        there = {row["sample_id"]: row for row in rows}
        for row in rows:
            if row["label"] == 0:
                assert row["partner_id"] is None
            else:
                partner = there[row["partner_id"]]
                assert (partner["video_id"], partner["frame_index"]) == (row["original_video"], row["frame_index"])

    @pytest.mark.parametrize("method", ["Face2Face", "NeuralTextures"])
    def test_one_method_is_trained_on_and_tested_alone_or_pooled(self, world, method):
        how = {"quality": "c23", "methods": method}
        train, test = rows_of(world, "paper2/ff_train", **how), rows_of(world, "paper2/cross_method_test", **how)
        pooled = rows_of(world, "paper2/cross_method_test", quality="c23")
        assert {row["method"] for row in train} == {row["method"] for row in test} == {method, "original"}
        assert {row["method"] for row in pooled} == {*FOUR, "original"}
        assert ids(test) < ids(pooled)
        assert footage(train).isdisjoint(footage(pooled))

    def test_celeb_df_and_dfdc_are_tested_on_their_official_videos(self, world):
        celebdf, dfdc = rows_of(world, "paper2/celebdf_test"), rows_of(world, "paper2/dfdc_test")
        assert {row["name"] for row in celebdf} == set(TEST_LIST) - {"id3_id4_0001"}
        assert frames(celebdf) == frames(dfdc) == {32}
        assert {row["official_split"] for row in dfdc} == {"test"}
        assert labels(dfdc) == (64, 64)

    def test_dfdc_train_is_all_of_it_or_balanced(self, world):
        assert labels(rows_of(world, "paper2/dfdc_train")) == (64, 128)
        balanced = rows_of(world, "paper2/dfdc_train", per_class="50")
        assert labels(balanced) == (50, 50)
        assert {row["official_split"] for row in balanced} == {"train"}
        assert all(row["partner_id"] for row in balanced if row["label"])

    def test_the_probe_has_each_person_with_ten_images_on_both_sides(self, world):
        fit, test = (rows_of(world, f"paper2/id_probe_{side}") for side in ("train", "test"))
        people = [Counter(row["visible_id"] for row in rows) for rows in (fit, test)]
        assert people == [{"lfw:Ann": 9, "lfw:Bob": 8}, {"lfw:Ann": 3, "lfw:Bob": 2}]
        assert ids(fit).isdisjoint(ids(test))

    def test_the_interaction_study_has_five_frames_of_each_video(self, world):
        assert frames(rows_of(world, "paper2/ff_interaction", quality="c23")) == {5}
        assert frames(rows_of(world, "paper2/celebdf_interaction")) == {5}


class TestPaper3:
    def test_a_set_must_be_given(self, world):
        with pytest.raises(SplitError, match=r"source_\w+ must be given"):
            shipped(world, "paper3/source_test_image.sql")

    @pytest.mark.parametrize("seed", ["1"])
    def test_training_and_test_videos_of_both_domains_are_all_and_disjoint(self, world, seed):
        how = {"real_percent": "60", "fake_percent": "40", "seed": seed}
        train = rows_of(world, "paper3/domains_train", **SOURCE, **TARGET, **how)
        roles = {"ffpp": "source", "celebdf-v2": "target"}
        assert all(row["role"] == roles[row["dataset"]] for row in train)
        assert {row["role"] for row in train} == {"source", "target"}
        for role, given, count in (("source", SOURCE, 28), ("target", TARGET, 27)):
            test = rows_of(world, f"paper3/{role}_test_image", **given, **how)
            assert {row["role"] for row in test} == {role}
            own = [row for row in train if row["role"] == role]
            assert videos(test).isdisjoint(videos(own))
            assert len(videos(test) | videos(own)) == count - (role == "target")
            reals = {row["video_id"] for row in own if row["label"] == 0}
            assert {row["original_video"] for row in own if row["label"]} <= reals

    def test_images_are_evenly_spaced_and_videos_are_consecutive_frames(self, world):
        images = rows_of(world, "paper3/source_test_image", real_percent="50", fake_percent="50", **SOURCE)
        clips = rows_of(world, "paper3/source_test_video", real_percent="50", fake_percent="50", frames="45", **SOURCE)
        assert videos(images) == videos(clips)
        assert frames(images) == {10}
        assert {row["frame_index"] for row in clips} == {0, 10, 20, 30, 40}

    def test_with_one_dataset_in_both_domains_a_face_is_in_one(self, world):
        target = {"target_dataset": "ffpp", "target_method": "FaceSwap", "target_quality": "c23"}
        rows = rows_of(world, "paper3/domains_train", **SOURCE, **target)
        assert {row["role"] for row in rows if row["method"] == "FaceSwap"} == {"target"}
        assert {row["role"] for row in rows if row["method"] != "FaceSwap"} == {"source"}


class TestPaper4:
    @pytest.mark.parametrize(
        ("name", "method", "side", "most"),
        [
            ("swap_train", "Face2Face", "train", 200),
            ("swap_val", "Face2Face", "val", 10),
            ("swap_test", "Face2Face", "test", 10),
            ("swap_unseen", "FaceSwap", "test", 10),
        ],
    )
    def test_real_and_fake_are_one_to_one_with_so_many_frames(self, world, name, method, side, most):
        pinned = shipped(world, f"paper4/{name}.sql")
        rows = picked(world, pinned)
        assert pinned.params["frames_per_video"] == most
        assert pinned.real == pinned.fake > 0
        assert {row["method"] for row in rows} == {method, "original"}
        assert {row["official_split"] for row in rows} == {side}
        assert max(frames(rows)) == min(most, 32)
        assert pinned.faceless == (name == "swap_test")

    @pytest.mark.parametrize("task", EDITED)
    def test_an_image_and_all_that_was_made_of_it_are_on_one_side(self, world, task):
        sides = {name: rows_of(world, f"paper4/{task}_{name}") for name in ("train", "val", "test", "unseen")}
        seen, unseen = EDITED[task]
        images = {name: {row["target_id"] for row in rows} for name, rows in sides.items()}
        assert sum(len(images[name]) for name in ("train", "val", "test")) == 30
        assert len(images["train"] | images["val"] | images["test"]) == 30
        assert images["unseen"] == images["test"]
        for name, rows in sides.items():
            assert len(set(labels(rows))) == 1
            assert {row["method"] for row in rows} == {"original", unseen if name == "unseen" else seen}

    @pytest.mark.parametrize(
        ("task", "numbers"),
        [("attribute", (41_590, 11_952, 5_982, 5_982)), ("inpainting", (28_000, 6_000, 6_000, 6_000))],
    )
    def test_sides_have_at_most_the_numbers_of_table_1(self, task, numbers):
        files = [ROOT / f"paper4/{task}_{name}.sql" for name in ("train", "val", "test", "unseen")]
        assert tuple(2 * read_split(file).params["each"].default for file in files) == numbers

    def test_200_frames_are_taken_where_there_are_more(self, world):
        assert frames(rows_of(world, "paper4/swap_train", frames_per_video="20")) == {20}


class TestPaper5:
    @pytest.mark.parametrize("seed", ["1"])
    def test_sets_without_a_test_side_are_divided_by_original_clips(self, world, seed):
        how = {"sets": "dfd,ffhq,StyleGAN3", "seed": seed}
        train, test = (rows_of(world, f"paper5/sets_{side}", **how) for side in ("train", "test"))
        assert footage(train).isdisjoint(footage(test))
        assert len(videos(train) | videos(test)) == 8 + 10 + 10
        assert {row["dataset"] for row in train} == {"dfd", "FFHQ", "StyleGAN3"}

    def test_sets_with_a_test_side_are_divided_officially(self, world):
        how = {"sets": "ffpp/Face2Face,celebdf-v2"}
        train, test = (rows_of(world, f"paper5/sets_{side}", **how) for side in ("train", "test"))
        assert {row["official_split"] for row in train} == {"train"}
        assert {row["official_split"] for row in test} == {"test"}
        assert {row["method"] for row in train if row["dataset"] == "ffpp"} == {"Face2Face"}
        assert shipped(world, "paper5/sets_test.sql", **how).faceless == len(FACELESS)

    def test_a_share_of_100_is_a_whole_set(self, world):
        assert len(rows_of(world, "paper5/sets_test", sets="tedx", test_percent="100")) == 10

    def test_the_lists_are_those_of_the_tables(self, world):
        parts = {
            name: {(row["dataset"], row["method"]) for row in rows_of(world, f"paper5/{name}")}
            for name in ("ff_train", "lav_ff_train", "ucf_train", "spsl_train", "sbi_ff_train", "sbi_train")
        }
        ff, actors = {("ffpp", method) for method in (*FOUR, "original")}, {("dfd", "original")}
        assert parts["ff_train"] == ff
        assert parts["lav_ff_train"] == ff | actors
        assert parts["sbi_ff_train"] == actors | {("ffpp", "original")}
        named = {name: {dataset for dataset, _ in got if dataset in SETS} for name, got in parts.items()}
        assert named["ucf_train"] == set(SETS) - {"reface"}
        assert named["spsl_train"] == set(SETS) - {"Defacto-morphs", "VGGFace"}
        assert named["sbi_train"] == {"VGGFace"}
        assert parts["ucf_train"] >= ff | actors and parts["spsl_train"] >= ff | actors


class TestDeepfakeBench:
    @pytest.mark.parametrize(("side", "count"), [("train", 8), ("val", 2), ("test", 4)])
    def test_ff_is_four_methods_and_the_originals_with_32_frames(self, world, side, count):
        rows = rows_of(world, f"deepfakebench/ff_{side}")
        assert {row["method"] for row in rows} == {*FOUR, "original"}
        assert {row["official_split"] for row in rows} == {side}
        assert frames(rows) == {32}
        assert len(videos(rows)) == 5 * count - (side == "test")

    @pytest.mark.parametrize(
        ("name", "dataset", "count"),
        [
            ("celebdf_v1", "celebdf-v1", 27),
            ("celebdf_v2", "celebdf-v2", 4),
            ("dfd", "dfd", 8),
            ("dfdc", "dfdc", 4),
            ("dfdcp", "dfdcp", 3),
        ],
    )
    def test_other_datasets_are_tested_with_32_frames_of_each_video(self, world, name, dataset, count):
        rows = rows_of(world, f"deepfakebench/{name}_test")
        assert {row["dataset"] for row in rows} == {dataset}
        assert len(videos(rows)) == count
        assert frames(rows) == {32}
        assert len({row["label"] for row in rows}) == 2
