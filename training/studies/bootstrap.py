"""Intervals by resampling videos: frames of one video stand or fall together, so videos are drawn and not frames.

One draw covers all test sets and all detectors of a study: FS, NT, DF and F2F share their real videos, so a video that
is drawn twice counts twice in all of them, and what is computed from several sets (averages, degradations) or
compared between detectors varies as it must. Efron, Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and
13 (percentile interval); Field, Welsh 2007, Bootstrapping clustered data, on drawing whole clusters.
"""

from collections.abc import Sequence

import numpy as np


def strata(labels: np.ndarray, member: np.ndarray) -> np.ndarray:
    """The stratum of each video, int [V]: its label, and the group of test sets that share videos of that label.

    `labels` int [V]; `member` bool [V, T], whether the video is in the test set. Within a stratum as many videos are
    drawn as there are: every test set keeps about its size, and its share of fakes.
    """
    videos, tests = member.shape
    found = np.zeros(videos, np.int64)
    for label in np.unique(labels):
        of_label = labels == label
        group = np.arange(tests)
        for row in np.unique(member[of_label], axis=0):
            joined = group[row]
            if joined.size:
                group[np.isin(group, joined)] = joined.min()
        found[of_label] = label * tests + group[member[of_label].argmax(axis=1)]
    return found


def weights(stratum: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """How often each video is drawn, float32 [draws, V]: with replacement, each stratum as often as it has videos."""
    generator = np.random.default_rng(seed)
    drawn = np.zeros((draws, stratum.size), np.float32)
    for value in np.unique(stratum):
        members = np.flatnonzero(stratum == value)
        even = np.full(members.size, 1 / members.size)
        drawn[:, members] = generator.multinomial(members.size, even, size=draws)
    return drawn


def resampled(drawn: np.ndarray, correct: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Accuracy of each draw in percent, float64 [draws, C], of C cells (a detector and seed on a test set).

    `drawn` [draws, V] as `weights` gives it; `correct` and `images` [V, C]: faces of a video told right, and scored. A
    draw that holds no face of a cell's test set gives NaN.
    """
    with np.errstate(invalid="ignore"):
        return 100.0 * (drawn @ correct.astype(np.float64)) / (drawn @ images.astype(np.float64))


def draw_accuracies(
    videos: Sequence[int], cells: Sequence[int], labels: np.ndarray, images: np.ndarray, correct: np.ndarray,
    tests: np.ndarray, draws: int, seed: int,
) -> np.ndarray:  # fmt: skip
    """Accuracies float64 [draws, C] from rows of (video, cell).

    `videos` and `cells` are codes int [N] from 0, `labels`, `images`, `correct` int [N] as in videos.sql, `tests` int
    [C] the code of each cell's test set.
    """
    videos, cells = np.asarray(videos), np.asarray(cells)
    count = (int(videos.max()) + 1, int(cells.max()) + 1)
    matrices = {name: np.zeros(count) for name in ("images", "correct")}
    matrices["images"][videos, cells] = images
    matrices["correct"][videos, cells] = correct
    label = np.zeros(count[0], np.int64)
    label[videos] = labels
    member = np.zeros((count[0], int(tests.max()) + 1), bool)
    member[videos, tests[cells]] = True
    drawn = weights(strata(label, member), draws, seed)
    return resampled(drawn, matrices["correct"], matrices["images"])
