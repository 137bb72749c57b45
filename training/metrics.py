"""Figures from predictions: AUC, equal error rate, average precision and accuracy, per frame and per video.

Pure functions over labels and scores; scikit-learn does the ranking. A video is its *global* id
(`dataset/method/quality/name`): grouping by the bare name merges `000_003` of five methods into one video. A figure
that does not exist (AUC with one class) is None and the row says why; it is never replaced by 0.5. scikit-learn is
imported where it ranks: it takes as long as torch, and most processes of a training never rank anything.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from training.errors import TrainingError

FACELESS_SCORE = 0.5  # by convention: a video in which no face was found says nothing either way
FIGURES = ("auc", "eer", "ap", "accuracy")
THRESHOLD = 0.5  # a score above it is called fake; exactly 0.5 is called real, as a logit of 0 is


@dataclass(frozen=True)
class MetricRow:
    """Figures of one set of predictions at one level. `auc`, `eer`, `ap`: None where undefined, see `reason`."""

    level: str  # frame | video
    aggregation: str  # none | mean (of a video's frame scores)
    faceless: str  # none | counted (as 0.5) | left out
    frames: int  # scored faces
    videos: int  # videos that count at this level
    faceless_videos: int  # videos of the split in which no face was found
    real: int  # frames or videos of label 0, by level
    fake: int
    auc: float | None
    eer: float | None
    ap: float | None
    accuracy: float | None
    reason: str | None  # why a figure is None

    def as_dict(self) -> dict:
        return asdict(self)


def _checked(labels, scores, names: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(labels)
    scores = np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise TrainingError(f"labels {labels.shape} and scores {scores.shape} must be two vectors of one length")
    if not np.isin(labels, (0, 1)).all():
        raise TrainingError(f"labels must be 0 (real) or 1 (fake), not {sorted(set(labels.tolist()) - {0, 1})[:5]}")
    bad = np.flatnonzero(~((scores >= 0) & (scores <= 1)))  # NaN fails both comparisons
    if bad.size:
        shown = ", ".join(f"{names[i] if names is not None else f'row {i}'} = {scores[i]}" for i in bad[:5].tolist())
        raise TrainingError(
            f"{bad.size} of {scores.size} scores are not probabilities: {shown}"
            f"{', ...' if bad.size > 5 else ''}. The detector diverged or its output is no logit: "
            "lower the learning rate or train with precision bf16 or no"
        )
    return labels.astype(np.int64), scores


def equal_error_rate(labels, scores) -> float:
    """The error rate where false positives and false negatives are equally frequent, in [0, 1].

    `labels` int [N] with both classes, `scores` float [N]. The ROC curve is read as straight between its points
    (Fawcett 2006, An introduction to ROC analysis, section 5), so the crossing is exact and needs no search.
    """
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(labels, scores, drop_intermediate=False)
    gap = false_positive - (1 - true_positive)  # rises from -1 to 1 along the curve
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(false_positive[before] + share * (false_positive[after] - false_positive[before]))


def binary_figures(labels, scores, names: Sequence[str] | None = None) -> dict:
    """{"auc", "eer", "ap", "accuracy", "reason"} of labels int [N] (0 real, 1 fake) and scores float [N] in [0, 1].

    AUC is the area under the ROC curve, AP the average precision of finding fakes (no interpolation), accuracy that of
    calling a score above 0.5 fake. With one class AUC, EER and AP are None and `reason` says so; with no row at all
    accuracy is None too. Raises TrainingError for NaN or other scores outside [0, 1], naming them by `names`.
    """
    labels, scores = _checked(labels, scores, names)
    if labels.size == 0:
        return {"auc": None, "eer": None, "ap": None, "accuracy": None, "reason": "nothing was scored"}
    accuracy = float(np.mean((scores > THRESHOLD) == (labels == 1)))
    if labels.min() == labels.max():
        only = "fake" if labels[0] else "real"
        reason = f"AUC, EER and AP need both classes, and all {labels.size} are {only}"
        return {"auc": None, "eer": None, "ap": None, "accuracy": accuracy, "reason": reason}
    from sklearn.metrics import average_precision_score, roc_auc_score

    return {
        "auc": float(roc_auc_score(labels, scores)),
        "eer": equal_error_rate(labels, scores),
        "ap": float(average_precision_score(labels, scores)),
        "accuracy": accuracy,
        "reason": None,
    }


def video_scores(video_ids, labels, scores) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Per-video (ids, labels int64 [V], mean scores float64 [V]) from per-frame columns, in order of first frame.

    `video_ids` are global ids: str [N], or an Arrow (dictionary) array. Raises TrainingError where a video has frames
    of both labels, naming it.
    """
    column = video_ids if isinstance(video_ids, pa.Array | pa.ChunkedArray) else pa.array(video_ids, pa.string())
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    present, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    group = rank[inverse]
    labels = np.asarray(labels, dtype=np.int64)
    count = np.bincount(group, minlength=present.size)
    fakes = np.bincount(group, weights=labels, minlength=present.size)
    ids = encoded.dictionary.take(pa.array(present[order])).to_pylist() if present.size else []
    mixed = np.flatnonzero((fakes != 0) & (fakes != count))
    if mixed.size:
        raise TrainingError(
            f"video {ids[mixed[0]]} has real and fake frames ({mixed.size} such videos): a video-level figure needs "
            "one label per video; correct the labels in the catalog and pin the split again"
        )
    means = np.bincount(group, weights=np.asarray(scores, dtype=np.float64), minlength=present.size) / count
    return ids, (fakes > 0).astype(np.int64), means


def metric_rows(video_ids, labels, scores, faceless_labels: Sequence[int] = (), names=None) -> list[MetricRow]:
    """Frame-level and video-level rows of one evaluated split.

    `video_ids` str [N] or an Arrow array, `labels` int [N], `scores` float [N] (probability of fake), one entry per
    face; `faceless_labels` the labels of the split's videos that gave no face; `names` (sample ids [N]) only serve
    error messages. Frame level has no faceless videos. Video level is given with them (score 0.5) and, where there
    are any, without them too.
    """
    labels, scores = _checked(labels, scores, names)
    frames, faceless = int(labels.size), len(faceless_labels)
    _, per_video_labels, per_video_scores = video_scores(video_ids, labels, scores)

    def row(level: str, aggregation: str, treated: str, y: np.ndarray, s: np.ndarray, videos: int) -> MetricRow:
        fake = int(y.sum())
        counts = {"frames": frames, "videos": videos, "faceless_videos": faceless, "real": y.size - fake, "fake": fake}
        return MetricRow(level, aggregation, treated, **counts, **binary_figures(y, s))

    seen = per_video_labels.size
    rows = [row("frame", "none", "left out" if faceless else "none", labels, scores, seen)]
    if faceless:
        all_labels = np.concatenate([per_video_labels, np.asarray(faceless_labels, dtype=np.int64)])
        all_scores = np.concatenate([per_video_scores, np.full(faceless, FACELESS_SCORE)])
        rows.append(row("video", "mean", "counted", all_labels, all_scores, seen + faceless))
    treated = "left out" if faceless else "none"
    rows.append(row("video", "mean", treated, per_video_labels, per_video_scores, seen))
    return rows
