"""How many requests a second are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.errors import RateLimited
from serverless_wasm.rate import Rate


def test_a_burst_then_a_steady_stream() -> None:
    """A second's worth at once, and then one each tenth of a second."""
    rate = Rate(10)
    for _ in range(10):
        rate.take(100.0)
    with pytest.raises(RateLimited) as refused:
        rate.take(100.05)
    assert refused.value.retry_after == 1
    for turn in range(1, 50):
        rate.take(100.0 + turn / 10 + 0.001)


def test_slow_rates_say_when_to_come_again() -> None:
    """One a minute: the second has to wait for what is left of it."""
    rate = Rate(1 / 60)
    rate.take(5.0)
    with pytest.raises(RateLimited) as refused:
        rate.take(25.0)
    assert refused.value.retry_after == 40


@given(st.floats(0.01, 1000), st.lists(st.floats(0, 3), max_size=200))
def test_never_more_than_the_rate_and_a_burst(per_second: float, pauses: list[float]) -> None:
    """Whatever the pattern, what is taken in a stretch of time is bounded by its length."""
    rate, now, taken = Rate(per_second), 1000.0, 0
    for pause in pauses:
        now += pause
        try:
            rate.take(now)
            taken += 1
        except RateLimited:
            continue
    assert taken <= (now - 1000.0) * per_second + max(1.0, per_second) + 1e-6
