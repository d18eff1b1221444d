"""What a probe and a bad neighbour's clients report: every question counts, those that nobody answers too."""

from __future__ import annotations

import pytest

from benchmarks.abuse import Suffered
from benchmarks.load import ENOUGH
from benchmarks.machine import Noise
from benchmarks.probe import PATIENCE, Probed, joined
from benchmarks.scenarios.neighbour import QUIET, Seen, over_quiet

CALM = Noise(steal=0.0, foreign=0.0)


def probed(milliseconds: float, count: int, wrong: int = 0) -> Probed:
    """Questions that all took as long."""
    return Probed(milliseconds=(milliseconds,) * count, wrong=wrong, seconds=count / 200)


def seen(beside: str, number: int, what: Probed) -> Seen:
    """What the callers of one contestant saw in a round."""
    return Seen(contestant="ours", beside=beside, round=number, probed=what, noise=CALM)


def test_rounds_are_joined_before_a_tail_is_taken() -> None:
    """Two rounds with too few questions for a p99 have one together, and one unanswered question is in it."""
    few = probed(1.0, ENOUGH // 2)
    lost = Probed(milliseconds=(1.0,) * (ENOUGH // 2 - 1) + (1000 * PATIENCE,), wrong=1, seconds=2.5)
    assert few.load.p99 is None
    both = joined([few, lost]).load
    assert (ENOUGH, 1, 1.0, 1000 * PATIENCE) == (both.requests, both.errors, both.p99, both.longest)


def test_a_ratio_is_taken_within_a_round() -> None:
    """A round is compared with its own quiet one, and one with too few questions is left out."""
    found = [
        *(seen(QUIET, number, probed(quiet, ENOUGH)) for number, quiet in enumerate((1.0, 2.0, 1.0))),
        seen("bad_loop", 0, probed(3.0, ENOUGH)),
        seen("bad_loop", 1, probed(4.0, ENOUGH)),
        seen("bad_loop", 2, probed(9.0, ENOUGH - 1)),
    ]
    spread = over_quiet(found, "ours", "bad_loop")
    assert spread is not None
    assert pytest.approx((2.0, 2.5, 3.0)) == (spread.low, spread.median, spread.high)
    assert over_quiet(found, "node-fresh", "bad_loop") is None


def test_how_requests_ended_is_said_with_the_most_frequent_first() -> None:
    """Statuses and broken connections are counted; nothing at all is said in words."""
    suffered = Suffered()
    assert suffered.text() == "none ended"
    suffered.statuses.update({"broken": 1, "500": 3})
    assert suffered.text() == "3 x 500, 1 x broken"
