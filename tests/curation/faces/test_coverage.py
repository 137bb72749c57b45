import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.faces.coverage import Coverage, joined
from tests.curation.faces.portraits import noise

NONE = np.zeros((0, 4))


def test_everything_is_searched_once_and_not_again_while_nothing_changes():
    frame, coverage = noise(240, 320, 0)[..., 0], Coverage(240, 320)
    coverage.look(frame)
    first = coverage.todo(40, NONE)
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in first) == 240 * 320
    coverage.searched(first, 40)
    coverage.look(frame)
    assert coverage.todo(40, NONE) == []


def test_a_finer_search_is_due_where_only_a_coarse_one_was_made():
    frame, coverage = noise(240, 320, 0)[..., 0], Coverage(240, 320)
    coverage.look(frame)
    coverage.searched(coverage.todo(120, NONE), 120)
    assert coverage.todo(120, NONE) == []
    assert coverage.todo(40, NONE)


@pytest.mark.parametrize("corner", [(0, 0), (120, 64), (272, 192)])
@pytest.mark.parametrize("side", [40, 48])
def test_what_appears_is_searched_whole_and_little_else(corner, side):
    frame, coverage = noise(240, 320, 0)[..., 0], Coverage(240, 320)
    coverage.look(frame)
    coverage.searched(coverage.todo(40, NONE), 40)
    x, y = corner
    frame[y : y + side, x : x + side] = noise(240, 320, 1)[:side, :side, 0]
    coverage.look(frame)
    rectangles = coverage.todo(40, NONE)
    assert any(x0 <= x and y0 <= y and x1 >= x + side and y1 >= y + side for x0, y0, x1, y1 in rectangles)
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in rectangles) < 0.5 * 240 * 320
    assert all(0 <= x0 < x1 <= 320 and 0 <= y0 < y1 <= 240 for x0, y0, x1, y1 in rectangles)


def test_what_moves_inside_a_known_face_is_no_reason_to_search():
    frame, coverage = noise(240, 320, 0)[..., 0], Coverage(240, 320)
    coverage.look(frame)
    coverage.searched(coverage.todo(40, NONE), 40)
    frame[80:160, 80:160] = noise(240, 320, 1)[:80, :80, 0]
    coverage.look(frame)
    assert coverage.todo(40, NONE)
    assert coverage.todo(40, np.array([[80, 80, 160, 160]])) == []


def test_a_change_of_exposure_is_no_change():
    frame, coverage = noise(240, 320, 0)[..., 0] // 2, Coverage(240, 320)
    coverage.look(frame)
    coverage.searched(coverage.todo(40, NONE), 40)
    coverage.look(frame + 20)
    assert coverage.todo(40, NONE) == []


def test_a_flat_wall_is_not_searched():
    coverage = Coverage(240, 320)
    coverage.look(np.full((240, 320), 80, np.uint8))
    assert coverage.todo(40, NONE) == []


rectangle = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 10), st.integers(1, 10)).map(
    lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
)


@given(st.lists(rectangle, max_size=6))
def test_joined_rectangles_cover_all_and_cost_little_more(rectangles):
    def painted(all_of_them):
        canvas = np.zeros((40, 40), bool)
        for x0, y0, x1, y1 in all_of_them:
            canvas[y0:y1, x0:x1] = True
        return canvas

    after = joined(rectangles)
    assert (painted(after) | ~painted(rectangles)).all()
    areas = [sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in some) for some in (rectangles, after)]
    assert areas[1] <= 1.05 ** max(len(rectangles) - 1, 0) * areas[0] + 1e-9
