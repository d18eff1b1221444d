"""The straight line through points whose cost grows with the work: so much to begin with, so much for each.

Pairs of work and cost come in; intercept, slope and how far the worst point is from the line go out.
It must never be asked about fewer than two amounts of work: a single one has no slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What work costs: `intercept` without any, `slope` for each unit."""

    intercept: float
    slope: float
    worst: float
    """The largest distance of a point from the line, as a share of the point's cost."""

    def at(self, work: float) -> float:
        """The cost of so much work."""
        return self.intercept + self.slope * work


def line(points: Sequence[tuple[float, float]]) -> Line:
    """Fits by least squares of the relative distances: a dear point is measured no better than a cheap one.

    Raises ValueError with fewer than two amounts of work, or with a cost that is not above zero.
    """
    if len({work for work, _ in points}) < 2 or any(cost <= 0 for _, cost in points):
        raise ValueError(f"no line through {points}")
    weights = [1 / cost**2 for _, cost in points]
    total = sum(weights)
    middle = sum(weight * work for weight, (work, _) in zip(weights, points, strict=True)) / total
    height = sum(weight * cost for weight, (_, cost) in zip(weights, points, strict=True)) / total
    across = sum(
        weight * (work - middle) * (cost - height)
        for weight, (work, cost) in zip(weights, points, strict=True)
    )
    along = sum(weight * (work - middle) ** 2 for weight, (work, _) in zip(weights, points, strict=True))
    slope = across / along
    intercept = height - slope * middle
    worst = max(abs(intercept + slope * work - cost) / cost for work, cost in points)
    return Line(intercept=intercept, slope=slope, worst=worst)
