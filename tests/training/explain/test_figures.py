"""The pictures show what the tables hold: colours of the bands and bars are there exactly when their numbers are."""

import cv2
import numpy as np
import pyarrow as pa
import pytest
from matplotlib.colors import to_rgb

from training.explain import figures
from training.explain.heatmaps import Example
from training.explain.neurons import overlaps


def has(picture: np.ndarray, colour: str) -> bool:
    """Whether an area of at least 30 pixels has exactly this colour."""
    rgb = np.round(np.array(to_rgb(colour)) * 255).astype(int)
    return int((np.abs(picture.astype(int) - rgb).max(-1) <= 1).sum()) >= 30


def read(path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]


def likeness(means, zero_maps) -> pa.Table:
    return pa.table({"mean": pa.array(means, pa.float64()), "zero_maps": pa.array(zero_maps, pa.int8())})


@pytest.mark.parametrize(
    ("means", "shown"),
    [
        ([0.1, 0.2], {"dissimilar"}),
        ([0.7, 0.9], {"between"}),
        ([0.95, 0.2], {"dissimilar", "similar"}),
        ([0.1, 0.8, 0.99], {"dissimilar", "between", "similar"}),
    ],
)
def test_a_band_has_its_colour_where_fakes_are_in_it(tmp_path, means, shown):
    table = likeness(means, [0] * len(means))
    picture = read(figures.similarities(tmp_path / "figure.png", {"MesoNet": {"FS": table, "NT": table}}))
    legend = picture.shape[0] * 4 // 5  # the legend below has every colour
    for band, colour in figures._BAND_COLOURS.items():
        assert has(picture[:legend], colour) == (band in shown), band
        assert has(picture[legend:], colour)


def test_similarity_that_is_due_to_maps_without_heat_looks_different(tmp_path):
    warm, cold = likeness([1.0, 1.0, 0.1], [0, 0, 0]), likeness([1.0, 1.0, 0.1], [2, 3, 0])
    pictures = [
        read(figures.similarities(tmp_path / f"{name}.png", {"MesoNet": {"FS": table}}))
        for name, table in (("warm", warm), ("cold", cold))
    ]
    assert (pictures[0] != pictures[1]).any(-1).sum() > 100


def test_a_sheet_has_a_line_for_each_face_with_every_map_and_the_outlines(tmp_path):
    generator = np.random.default_rng(0)

    def example(points):
        landmarks = None if points is None else generator.uniform(8, 56, (points, 2)).astype(np.float32)
        maps = {name: np.full((64, 64, 3), colour, np.uint8) for name, colour in (("one", 200), ("two", 90))}
        return Example("id", "FaceSwap", np.full((64, 64, 3), 30, np.uint8), landmarks, maps)

    def drawn(*points):
        return read(figures.sheet(tmp_path / "sheet.png", [example(each) for each in points], "Detectors", dpi=100))

    bare = drawn(None, None)
    for gray in (200, 90, 30):
        assert ((bare == gray).all(-1)).sum() > 2 * 100 * 100
    for points in (5, 68):
        assert (drawn(points, points)[:, :, 0] != bare[:, :, 0]).sum() > 100
    assert drawn(None, None, None).shape[0] > bare.shape[0]


def test_bars_of_overlaps_have_the_colour_of_their_number_of_sets(tmp_path):
    effect = np.random.default_rng(0).random(40)
    same = overlaps(dict.fromkeys("abcde", effect), (4, 8))
    picture = read(figures.overlapping(tmp_path / "overlaps.png", {"MesoNet1": same}))
    bars = picture[: picture.shape[0] * 4 // 5]
    colours = [tuple(figures._colour(times, 5)[:3]) for times in range(1, 6)]
    assert [has(bars, colour) for colour in colours] == [False, False, False, False, True]
    assert has(bars, "black")


@pytest.mark.parametrize("panels", [1, 2, 7])
def test_any_number_of_panels_fits(tmp_path, panels):
    table = overlaps({"a": np.arange(8.0), "b": np.arange(8.0)[::-1]}, (2,))
    picture = read(figures.overlapping(tmp_path / "overlaps.png", {f"net {i}": table for i in range(panels)}))
    assert picture.std() > 5
    assert (picture[:, -1] == 255).all()  # nothing is cut off on the right
