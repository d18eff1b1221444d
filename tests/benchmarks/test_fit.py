"""The line through the costs of a scenario: what it finds, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fit import line

WORK = (0.0, 1.0, 10.0, 100.0, 1000.0)


@given(st.floats(min_value=1, max_value=1e4), st.floats(min_value=0.001, max_value=100))
def test_points_on_a_line_give_it_back(intercept: float, slope: float) -> None:
    """Costs that are exactly so much to begin with and so much for each are found again."""
    found = line([(work, intercept + slope * work) for work in WORK])
    assert intercept == pytest.approx(found.intercept, rel=1e-4, abs=1e-3)
    assert slope == pytest.approx(found.slope, rel=1e-4, abs=1e-4)
    assert found.worst < 1e-3
    assert intercept + 7 * slope == pytest.approx(found.at(7), rel=1e-4, abs=1e-3)


def test_a_dear_point_does_not_decide_alone() -> None:
    """An error of a tenth at the dearest point leaves the price of a request without calls where it was."""
    points = [(work, 100 + 2 * work) for work in WORK[:-1]] + [(WORK[-1], 1.1 * (100 + 2 * WORK[-1]))]
    found = line(points)
    assert found.intercept == pytest.approx(100, rel=0.02)
    assert 0.01 < found.worst < 0.1


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, 2.0), (1.0, 3.0)], [(0.0, 0.0), (1.0, 2.0)]])
def test_no_line_is_made_up(points: list[tuple[float, float]]) -> None:
    """A single amount of work has no slope, and a cost of nothing has no relative distance."""
    with pytest.raises(ValueError, match="no line"):
        line(points)
