"""Which frames are visited: spread over the whole clip, never twice, and no more than the policy allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.frames.sampling import Sampling, SamplingError


def visit(policy: str, there: list[int], has_face) -> tuple[list[int], list[list[int]]]:
    visited: list[int] = []
    rounds = []
    for chosen in Sampling.parse(policy).rounds(there, lambda: sum(map(has_face, visited))):
        rounds.append(chosen)
        visited.extend(chosen)
    return visited, rounds


@given(st.integers(1, 500), st.integers(1, 64))
def test_evenly_takes_both_ends_and_equal_gaps(frames, n):
    visited, _ = visit(f"evenly {n}", list(range(frames)), bool)
    assert len(visited) == min(n, frames) == len(set(visited))
    assert visited == sorted(visited)
    if n > 1:
        assert visited[0] == 0
        assert visited[-1] == frames - 1
        gaps = [b - a for a, b in zip(visited, visited[1:], strict=False)]
        assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.integers(0, 300), st.integers(1, 50))
def test_every_takes_each_kth(frames, k):
    assert visit(f"every {k}", list(range(frames)), bool)[0] == list(range(0, frames, k))
    assert visit("all", list(range(frames)), bool)[0] == list(range(frames))


@given(st.integers(0, 400), st.integers(1, 40), st.sets(st.integers(0, 400)), st.integers(0, 300))
def test_at_least_visits_until_enough_have_a_face(frames, n, faces, more):
    limit = n + more
    visited, rounds = visit(f"at least {n} in {limit}", list(range(frames)), faces.__contains__)
    assert len(visited) == len(set(visited)) <= limit
    assert all(chosen == sorted(chosen) for chosen in rounds)
    found = sum(index in faces for index in visited)
    assert found >= n or len(visited) == min(limit, frames)
    assert len(rounds) <= 12  # rounds double: a clip without faces costs few passes


def test_at_least_stops_at_once_when_every_frame_has_a_face():
    visited, rounds = visit("at least 16", list(range(1000)), lambda index: True)
    assert len(visited) == 16
    assert len(rounds) == 1
    assert visited[-1] == 999


@pytest.mark.parametrize("text", ["", "evenly", "evenly 0", "every -1", "first 10", "at least 10 in 5", "evenly 3.5"])
def test_an_unknown_policy_lists_the_known_ones(text):
    with pytest.raises(SamplingError, match="evenly 32"):
        Sampling.parse(text)
