import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curation.faces.align import (
    INTERPOLATIONS,
    SCHEMES,
    align,
    anchors,
    inverse,
    moved,
    resize,
    similarity,
    template,
    warp,
    warp_mask,
)
from curation.faces.backend import Face, FacesError
from curation.faces.hog import open_hog
from tests.curation.faces.portraits import photograph


@pytest.fixture(scope="module")
def astronaut():
    return open_hog().find([photograph()])[0][0]


point_sets = st.integers(2, 9).flatmap(lambda count: arrays(np.float64, (count, 2), elements=st.floats(-500, 500)))


def rotation(scale, degrees, shift=(0.0, 0.0)):
    along, across = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[along, -across, shift[0]], [across, along, shift[1]]])


def about(scale, degrees, size, middle):
    """The similarity that puts a point of the frame into the middle of a crop."""
    matrix = rotation(scale, degrees)
    matrix[:, 2] = (size - 1) / 2 - matrix[:, :2] @ middle
    return matrix


@given(point_sets, st.floats(0.05, 20), st.floats(-180, 180), st.tuples(st.floats(-900, 900), st.floats(-900, 900)))
def test_a_similarity_is_found_again_from_points_under_it(points, scale, degrees, shift):
    assume(np.abs(points - points.mean(axis=0)).max() > 1)
    matrix = rotation(scale, degrees, shift)
    assert np.allclose(similarity(points, moved(points, matrix)), matrix, atol=1e-6)


@given(point_sets, st.integers(0, 2**32 - 1))
def test_no_other_similarity_fits_better(points, seed):
    assume(np.abs(points - points.mean(axis=0)).max() > 1)
    random = np.random.default_rng(seed)
    goal = points + random.normal(0, 20, points.shape)
    best = similarity(points, goal)
    least = np.sum((moved(points, best) - goal) ** 2)
    for change in random.normal(0, 0.01, (20, 4)):
        turn, shift = change[:2], change[2:] * 100
        other = best + np.array([[turn[0], -turn[1], shift[0]], [turn[1], turn[0], shift[1]]])
        assert np.sum((moved(points, other) - goal) ** 2) >= least - 1e-6


@given(point_sets, st.floats(0.05, 20), st.floats(-180, 180))
def test_there_and_back_is_where_one_was(points, scale, degrees):
    matrix = rotation(scale, degrees, (3.0, -7.0))
    assert np.allclose(moved(moved(points, matrix), inverse(matrix)), points, atol=1e-6)


def test_a_similarity_never_mirrors():
    points = np.array([[0.0, 0], [10, 0], [0, 5]])
    linear = similarity(points, points * [-1, 1])[:, :2]
    assert np.linalg.det(linear) > 0


def test_landmarks_in_one_point_or_not_finite_are_refused():
    with pytest.raises(FacesError, match="one point"):
        similarity(np.full((5, 2), 300.0), template("ibug68", 256))
    with pytest.raises(FacesError, match="not finite"):
        similarity(np.full((5, 2), np.nan), template("ibug68", 256))


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_template_is_symmetric_and_a_margin_shows_more_on_every_side(scheme):
    size, points = 256, template(scheme, 256)
    assert points.shape == anchors(np.zeros({"ibug68": (68, 2), "81": (81, 2), "dlib5": (5, 2)}[scheme]), scheme).shape
    assert points[0] + points[1] == pytest.approx(np.array([size - 1, 2 * points[0, 1]]))
    wider = template(scheme, size, 0.25)
    assert np.allclose(wider - 127.5, (points - 127.5) / 1.5)  # a quarter on each side: one and a half frames in all
    assert np.allclose((template(scheme, 512) + 0.5) / 2, points + 0.5)


def test_unknown_names_are_refused_with_those_there_are():
    with pytest.raises(FacesError, match="known are five"):
        template("ibug68", 256, 0, "ffhq")
    with pytest.raises(FacesError, match="ibug68, 81, dlib5"):
        anchors(np.zeros((68, 2)), "wflw")
    with pytest.raises(FacesError, match=r"\[68, 2\]"):
        anchors(np.zeros((81, 2)), "ibug68")
    with pytest.raises(FacesError, match="linear, cubic, lanczos"):
        warp(photograph(), rotation(1, 0), 64, "nearest")


@pytest.mark.parametrize("interpolation", sorted(INTERPOLATIONS))
def test_a_warp_that_moves_nothing_changes_nothing(interpolation):
    frame = photograph()[:200, :200]
    assert np.array_equal(warp(frame, rotation(1, 0), 200, interpolation), frame)


@pytest.mark.parametrize("interpolation", sorted(INTERPOLATIONS))
@pytest.mark.parametrize("shift", [(-30, 0), (17, -40)])
def test_a_warp_by_whole_pixels_moves_pixels(interpolation, shift):
    frame = photograph()
    crop = warp(frame, rotation(1, 0, shift), 100, interpolation)
    x, y = -shift[0], -shift[1]
    rows, columns = slice(max(y, 0), y + 100), slice(max(x, 0), x + 100)
    assert np.array_equal(crop[max(-y, 0) :, max(-x, 0) :], frame[rows, columns])
    assert not crop[: max(-y, 0)].any() and not crop[:, : max(-x, 0)].any()


@pytest.mark.parametrize("interpolation", sorted(INTERPOLATIONS))
@pytest.mark.parametrize("scale", [0.3, 0.5, 0.8, 1.0, 1.7])
@pytest.mark.parametrize("degrees", [0, 25, -70])
def test_a_dot_goes_where_the_matrix_says(interpolation, scale, degrees):
    frame = np.zeros((300, 300, 3), np.uint8)
    frame[140:147, 160:167] = 255  # its middle is at (163, 143)
    matrix = about(scale, degrees, 128, [150, 150])
    crop = warp(frame, matrix, 128, interpolation)[..., 0].astype(float)
    rows, columns = np.indices(crop.shape)
    middle = [(columns * crop).sum() / crop.sum(), (rows * crop).sum() / crop.sum()]
    assert np.allclose(middle, moved([[163, 143]], matrix)[0], atol=0.08)


def test_a_warp_and_its_inverse_give_the_frame_back():
    frame = cv2.GaussianBlur(photograph(), (0, 0), 2)
    matrix = about(1.5, 30, 256, [220, 130])
    back = warp(warp(frame, matrix, 256), inverse(matrix), 512)
    inside = warp(np.full(frame.shape, 255, np.uint8), matrix, 256)
    sure = cv2.erode(warp(inside, inverse(matrix), 512, "linear")[..., 0], np.ones((9, 9), np.uint8)) == 255
    assert sure.sum() > 10000
    assert np.abs(back.astype(int) - frame)[sure].mean() < 1


def test_a_shrinking_warp_does_not_alias():
    """Rings too fine for the crop must come out grey; a warp without a filter turns them into other rings."""
    y, x = np.mgrid[:1200, :1200]
    rings = 127.5 + 127.5 * np.cos(np.pi * ((x - 600) ** 2 + (y - 600) ** 2) / 1200)  # r / 1200 cycles per pixel
    frame = np.repeat(np.round(rings).astype(np.uint8)[..., None], 3, axis=2)
    columns_rows = np.stack(np.indices((256, 256))[::-1], axis=-1).reshape(-1, 2)
    for scale in (0.33, 0.25, 0.18):
        matrix = about(scale, 20, 256, [600, 600])
        fineness = np.hypot(*(moved(columns_rows, inverse(matrix)) - 600).T)
        too_fine = ((fineness / 1200 > 0.75 * scale) & (fineness < 580)).reshape(256, 256)
        coarse = (fineness / 1200 < 0.2 * scale).reshape(256, 256)
        crop = warp(frame, matrix, 256)[..., 0].astype(float)
        naive = cv2.warpAffine(frame, matrix, (256, 256), flags=cv2.INTER_CUBIC)[..., 0].astype(float)
        assert too_fine.sum() > 2000 and coarse.sum() > 100
        assert naive[too_fine].std() > 60
        assert crop[too_fine].std() < 6
        assert crop[coarse].std() > 0.85 * naive[coarse].std()  # what fits the crop stays


def test_shrinking_keeps_brightness_up_to_the_border_of_the_frame():
    frame = np.full((900, 900, 3), 200, np.uint8)
    crop = warp(frame, rotation(64 / 900, 0, (64 / 900 / 2 - 0.5,) * 2), 64)
    assert (crop[1:-1, 1:-1] == 200).all()


def test_a_crop_that_shows_nothing_of_the_frame_is_black():
    for scale in (0.4, 2.0):
        assert not warp(photograph(), rotation(scale, 0, (-5000, 0)), 64).any()


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0])
def test_a_mask_lands_on_what_it_marks(scale):
    mask = np.zeros((400, 400), bool)
    mask[120:260, 150:300] = True
    frame = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2)
    matrix = about(scale, 15, 480, [220, 190])
    crop, warped = warp(frame, matrix, 480, "linear")[..., 0], warp_mask(mask, matrix, 480)
    assert set(np.unique(warped)) == {0, 255}
    assert np.array_equal(warped == 255, crop >= 128)
    assert (warped == 255).sum() == pytest.approx(mask.sum() * scale**2, rel=0.02)


@pytest.mark.parametrize("value", [1, 255, True])
def test_a_mask_is_what_is_not_zero(value):
    mask = np.zeros((64, 64), type(value) if value is True else np.uint8)
    mask[10:40, 10:40] = value
    assert (warp_mask(mask, rotation(1, 0), 64) == 255).sum() == 900


def test_a_real_face_lands_on_the_template_with_its_mask_and_landmarks(astronaut):
    frame, face = photograph(), astronaut
    mask = np.zeros(frame.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(face.landmarks).astype(np.int32)), 255)
    for size, margin in ((256, 0.0), (128, 0.3)):
        crop = align(frame, face, size, margin, mask=mask)
        assert crop.image.shape == (size, size, 3) and crop.image.dtype == np.uint8
        assert np.abs(anchors(crop.landmarks, "ibug68") - template("ibug68", size, margin)).mean() < 0.03 * size
        assert np.allclose(crop.landmarks, moved(face.landmarks, crop.matrix), atol=1e-3)
        hull = cv2.convexHull(np.round(crop.landmarks).astype(np.int32))
        drawn = cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, 255)
        assert np.mean(drawn != crop.mask) < 0.02


def test_five_points_give_nearly_the_crop_of_sixty_eight(astronaut):
    frame = photograph()
    five = open_hog(scheme="dlib5").find([frame])[0][0]
    crops = [align(frame, face, 256, 0.0) for face in (astronaut, five)]
    corners = np.array([[0, 0], [255, 0], [255, 255], [0, 255]])
    seen = [moved(corners, inverse(crop.matrix)) for crop in crops]
    assert np.abs(seen[0] - seen[1]).max() < 0.08 * np.ptp(seen[0][:, 0])


def test_eighty_one_points_align_like_the_first_sixty_eight(astronaut):
    more = Face(astronaut.box, 1.0, np.vstack([astronaut.landmarks, np.zeros((13, 2), np.float32)]), "81")
    assert np.array_equal(align(photograph(), astronaut, 96, 0.1).image, align(photograph(), more, 96, 0.1).image)


def test_a_mirrored_face_gives_the_mirrored_crop(astronaut):
    frame, face = photograph(), astronaut
    order = np.arange(68)
    order[36:48] = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    order[[48, 54]] = 54, 48
    mirrored = Face(face.box, 1.0, ([511, 0] + face.landmarks * [-1, 1])[order], "ibug68")
    one, two = align(frame, face, 128, 0.0), align(np.ascontiguousarray(frame[:, ::-1]), mirrored, 128, 0.0)
    assert np.abs(one.image[:, ::-1].astype(int) - two.image).mean() < 0.5


def test_a_frame_that_has_the_size_of_the_crop_is_left_as_it_is():
    frame = photograph()
    crop = resize(frame, 512, mask=frame[..., 0] > 128)
    assert np.array_equal(crop.image, frame) and crop.landmarks is None
    assert np.array_equal(crop.mask, np.where(frame[..., 0] > 128, 255, 0))


@pytest.mark.parametrize(("height", "width"), [(512, 512), (300, 512), (512, 200)])
def test_a_frame_is_resized_whole_and_in_its_own_shape(height, width):
    frame = np.full((height, width, 3), 180, np.uint8)
    crop = resize(frame, 128)
    scale = 128 / max(height, width)
    shown = crop.image[..., 0] > 90
    assert shown.any(axis=0).sum() == pytest.approx(width * scale, abs=1)
    assert shown.any(axis=1).sum() == pytest.approx(height * scale, abs=1)
    assert np.allclose(moved([[(width - 1) / 2, (height - 1) / 2]], crop.matrix), 63.5)
