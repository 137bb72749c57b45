"""Figures against definitions worked out by hand, by brute force and by other formulas, on degenerate input too."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score, roc_curve

from training.errors import TrainingError
from training.metrics import binary_figures, equal_error_rate, metric_rows, video_scores

scored = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))),
    min_size=2,
    max_size=60,
).filter(lambda rows: len({label for label, _ in rows}) == 2)


def columns(rows):
    labels, scores = zip(*rows, strict=True)
    return np.array(labels), np.array(scores, dtype=np.float64)


@given(scored)
def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_counted_half(rows):
    labels, scores = columns(rows)
    real, fake = scores[labels == 0], scores[labels == 1]
    pairs = (fake[:, None] > real).mean() + (fake[:, None] == real).mean() / 2
    figures = binary_figures(labels, scores)
    assert figures["auc"] == pytest.approx(pairs, abs=1e-12)
    assert figures["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert figures["reason"] is None


@given(scored)
def test_average_precision_and_accuracy_agree_with_their_definitions(rows):
    labels, scores = columns(rows)
    recall_before, total = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        called = scores >= threshold
        recall = (called & (labels == 1)).sum() / (labels == 1).sum()
        total += (recall - recall_before) * (called & (labels == 1)).sum() / called.sum()
        recall_before = recall
    figures = binary_figures(labels, scores)
    assert figures["ap"] == pytest.approx(total, abs=1e-9)
    assert figures["ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert figures["accuracy"] == sum((s > 0.5) == (y == 1) for y, s in rows) / len(rows)


@given(scored)
@settings(max_examples=200)
def test_eer_is_where_the_interpolated_roc_curve_crosses_the_diagonal(rows):
    labels, scores = columns(rows)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    eer = equal_error_rate(labels, scores)
    assert 0 <= eer <= 1
    # on the curve: a point (eer, 1 - eer) lies on the broken line, also where it climbs vertically
    segments = zip(fpr[:-1], tpr[:-1], fpr[1:], tpr[1:], strict=True)
    assert min(_gap(x0, y0, x1, y1, eer) for x0, y0, x1, y1 in segments) < 1e-9


def _gap(x0, y0, x1, y1, eer):
    """How far (eer, 1 - eer) is from a segment of the curve."""
    t = np.clip(((eer - x0) * (x1 - x0) + (1 - eer - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1)
    return float(np.hypot(x0 + t * (x1 - x0) - eer, y0 + t * (y1 - y0) - (1 - eer)))


def test_eer_equals_the_usual_root_search_on_continuous_scores():
    generator = np.random.default_rng(5)
    for _ in range(20):
        labels = generator.integers(0, 2, 200)
        scores = np.clip(generator.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
        fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
        curve = interp1d(fpr, tpr)
        root = brentq(lambda x, curve=curve: 1 - x - curve(x), 0, 1)
        assert equal_error_rate(labels, scores) == pytest.approx(root, abs=0.011)  # interp1d blurs vertical steps


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 1], [0.1, 0.9], 0.0),
        ([0, 1], [0.9, 0.1], 1.0),
        ([0, 1], [0.5, 0.5], 0.5),
        ([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], 0.5),
        ([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.7, 0.3, 0.8, 0.9], 1 / 3),
    ],
)
def test_eer_of_small_cases_worked_out_by_hand(labels, scores, expected):
    assert equal_error_rate(labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize(("label", "word"), [(0, "real"), (1, "fake")])
def test_one_class_gives_no_ranking_figures_but_a_reason_and_an_accuracy(label, word):
    figures = binary_figures([label] * 4, [0.2, 0.9, 0.8, 0.7])
    assert figures["auc"] is figures["eer"] is figures["ap"] is None
    assert word in figures["reason"]
    assert figures["accuracy"] == (0.25 if label == 0 else 0.75)


def test_nothing_scored_gives_no_figure_and_says_so():
    assert binary_figures([], []) == {
        "auc": None, "eer": None, "ap": None, "accuracy": None, "reason": "nothing was scored",
    }  # fmt: skip
    rows = metric_rows([], [], [], faceless_labels=[0, 1])
    assert [row.level for row in rows] == ["frame", "video", "video"]
    assert rows[1].auc == 0.5
    assert rows[2].reason == "nothing was scored"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1, 1.5])
def test_a_score_that_is_no_probability_is_an_error_that_names_it(bad):
    with pytest.raises(TrainingError, match="face-b"):
        binary_figures([0, 1, 1], [0.1, bad, 0.3], names=["face-a", "face-b", "face-c"])


def test_a_label_that_is_neither_real_nor_fake_is_an_error():
    with pytest.raises(TrainingError, match="-1"):
        binary_figures([0, -1], [0.1, 0.2])


METHODS = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter"]


def test_000_003_of_five_methods_is_five_videos():
    videos = [f"ffpp/{method}/c23/000_003" for method in METHODS for _ in range(4)]
    scores = np.repeat([0.9, 0.8, 0.7, 0.6, 0.1], 4)
    ids, labels, means = video_scores(videos, np.ones(20, int), scores)
    assert ids == [f"ffpp/{method}/c23/000_003" for method in METHODS]
    assert labels.tolist() == [1] * 5
    assert means.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.1])
    rows = metric_rows(videos, np.ones(20, int), scores)
    assert [(row.level, row.videos, row.frames) for row in rows] == [("frame", 5, 20), ("video", 5, 20)]
    assert rows[1].accuracy == 0.8


@given(st.lists(st.tuples(st.integers(0, 7), st.floats(0, 1)), min_size=1, max_size=50), st.randoms())
def test_video_scores_are_the_means_by_video_in_any_order_and_as_dictionary_arrays(rows, random):
    random.shuffle(rows)
    videos = [f"set/method/c23/{video}" for video, _ in rows]
    labels = np.array([video % 2 for video, _ in rows])
    scores = np.array([score for _, score in rows])
    ids, got_labels, means = video_scores(videos, labels, scores)
    assert sorted(ids) == sorted(set(videos))
    assert ids == list(dict.fromkeys(videos))  # in order of appearance
    for video, label, mean in zip(ids, got_labels, means, strict=True):
        chosen = np.array(videos) == video
        assert mean == pytest.approx(scores[chosen].mean())
        assert label == labels[chosen][0]
    encoded = pa.chunked_array([pa.array(videos).dictionary_encode()])
    again = video_scores(encoded, labels, scores)
    assert again[0] == ids
    assert again[2].tolist() == means.tolist()


def test_a_video_with_frames_of_both_labels_is_an_error_that_names_it():
    with pytest.raises(TrainingError, match="ffpp/a/c23/two"):
        video_scores(["ffpp/a/c23/one", "ffpp/a/c23/two", "ffpp/a/c23/two"], [0, 0, 1], [0.1, 0.2, 0.3])


def test_videos_without_a_face_count_as_a_half_once_and_are_left_out_once():
    videos = ["d/m/c23/a", "d/m/c23/a", "d/m/c23/b"]
    rows = metric_rows(videos, [1, 1, 0], [0.9, 0.7, 0.2], faceless_labels=[1, 1, 0])
    frame, counted, without = rows
    assert (frame.level, frame.faceless, frame.frames, frame.real, frame.fake) == ("frame", "left out", 3, 1, 2)
    assert (counted.faceless, counted.videos, counted.faceless_videos, counted.real, counted.fake) == (
        "counted",
        6 - 1,
        3,
        2,
        3,
    )
    assert (without.faceless, without.videos, without.real, without.fake) == ("left out", 2, 1, 1)
    assert counted.accuracy == pytest.approx(3 / 5)  # a, b and the faceless real one; 0.5 is not called fake
    assert without.accuracy == 1.0
    assert without.aggregation == counted.aggregation == "mean"


def test_without_faceless_videos_there_is_one_row_per_level():
    rows = metric_rows(["d/m/c23/a", "d/m/c23/b"], [0, 1], [0.2, 0.6])
    assert [(row.level, row.faceless) for row in rows] == [("frame", "none"), ("video", "none")]


# any predictions at all: of few videos or many, of one class or two, with many ties, videos mixed with one another
predicted = st.lists(
    st.tuples(st.integers(0, 5), st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1))),
    min_size=1,
    max_size=40,
)


def by_scikit_learn(labels, scores):
    both = len(set(labels.tolist())) == 2
    return {
        "auc": roc_auc_score(labels, scores) if both else None,
        "ap": average_precision_score(labels, scores) if both else None,
        "accuracy": accuracy_score(labels, scores > 0.5),
    }


@given(predicted, st.sets(st.integers(0, 5)))
def test_rows_of_both_levels_are_scikit_learns_or_null_with_the_reason(rows, fakes):
    videos = [f"set/method/c23/{video}" for video, _ in rows]
    labels = np.array([int(video in fakes) for video, _ in rows])
    scores = np.array([score for _, score in rows])
    means = {video: scores[np.array(videos) == video].mean() for video in videos}
    per_video = np.array([int(int(video[-1]) in fakes) for video in means]), np.array(list(means.values()))
    for row, (y, s) in zip(metric_rows(videos, labels, scores), [(labels, scores), per_video], strict=True):
        expected = by_scikit_learn(y, s)
        for name, value in expected.items():
            assert getattr(row, name) == (None if value is None else pytest.approx(value, abs=1e-9)), (row.level, name)
        assert (row.reason is None) == (row.auc is not None) == (row.eer is not None)
        if row.reason:
            assert ("fake" if y[0] else "real") in row.reason
            assert str(len(y)) in row.reason
        assert (row.real, row.fake, row.videos) == ((y == 0).sum(), (y == 1).sum(), len(means))


@given(scored)
@settings(max_examples=40)
def test_swapping_the_classes_mirrors_auc_and_keeps_the_eer(rows):
    labels, scores = columns(rows)
    one, other = binary_figures(labels, scores), binary_figures(1 - labels, scores)
    assert other["auc"] == pytest.approx(1 - one["auc"], abs=1e-9)
    assert other["eer"] == pytest.approx(1 - one["eer"], abs=1e-9)
    both = binary_figures(1 - labels, np.array([1.0 - score for score in scores]))
    if len(set((1 - scores).tolist())) == len(set(scores.tolist())):  # no two scores became one by rounding
        assert (both["auc"], both["eer"]) == pytest.approx((one["auc"], one["eer"]), abs=1e-9)


@given(scored)
@settings(max_examples=40)
def test_only_the_order_of_scores_counts_for_ranking_figures(rows):
    labels, scores = columns(rows)
    ranks = np.unique(scores, return_inverse=True)[1]
    again = binary_figures(labels, ranks / max(ranks.max(), 1))
    for name in ("auc", "eer", "ap"):
        assert again[name] == pytest.approx(binary_figures(labels, scores)[name], abs=1e-9)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=30).filter(lambda labels: 0 < sum(labels) < len(labels)))
def test_scores_that_are_all_alike_are_guesses(labels):
    figures = binary_figures(labels, [0.3] * len(labels))
    assert (figures["auc"], figures["eer"]) == (0.5, pytest.approx(0.5))
    assert figures["ap"] == pytest.approx(sum(labels) / len(labels))
    assert figures["accuracy"] == pytest.approx(1 - sum(labels) / len(labels))


@pytest.mark.parametrize("label", [0, 1])
def test_one_video_has_an_accuracy_and_a_reason_instead_of_an_auc(label):
    frame, video = metric_rows(["d/m/c23/only"] * 3, [label] * 3, [0.2, 0.9, 0.7])
    assert (video.videos, video.real, video.fake) == (1, 1 - label, label)
    assert (video.auc, video.eer, video.ap) == (None, None, None)
    assert video.accuracy == float(label)  # the mean, 0.6, is called fake
    assert "all 1 are" in video.reason
    assert "all 3 are" in frame.reason


@given(st.lists(st.booleans(), min_size=1, max_size=12).filter(any))
def test_every_nan_is_counted_and_the_first_are_named(bad):
    names = [f"face-{number}-" for number in range(len(bad))]
    scores = [float("nan") if nan else 0.5 for nan in bad]
    wrong = [name for name, nan in zip(names, bad, strict=True) if nan]
    for call in (
        lambda: binary_figures([0] * len(bad), scores, names),
        lambda: metric_rows(["d/m/c23/v"] * len(bad), [0] * len(bad), scores, names=names),
    ):
        with pytest.raises(TrainingError) as caught:
            call()
        assert str(caught.value).startswith(f"{len(wrong)} of {len(bad)} scores")
        assert all(name in str(caught.value) for name in wrong[:5])
        assert not any(name in str(caught.value) for name in set(names) - set(wrong[:5]))
