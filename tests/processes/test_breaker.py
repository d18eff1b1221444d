"""Which application takes workers down again and again, against a simple model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.processes.breaker import LOSSES, WINDOW, Breaker

STEPS = st.lists(st.tuples(st.floats(0, WINDOW), st.sampled_from(["a", "b", None])), max_size=60)
"""Seconds since the step before, and who lost a worker; None puts everybody back."""


@given(STEPS)
def test_against_a_model(steps: list[tuple[float, str | None]]) -> None:
    """Withdrawn is who has lost so many within the window, once, until everybody is put back."""
    breaker = Breaker()
    now, told, losses = 1000.0, set[str](), list[tuple[float, str]]()

    for pause, name in steps:
        now += pause
        if name is None:
            breaker.reset()
            told, losses = set(), []
        else:
            losses.append((now, name))
            recent = [at for at, who in losses if who == name and now - at <= WINDOW]
            too_many = len(recent) >= LOSSES and name not in told
            assert too_many is breaker.lost(name, now)
            told |= {name} if too_many else set()
        assert told == breaker.withdrawn


def test_one_too_few_and_one_too_slow() -> None:
    """Four losses are none too many, nor are five of which the first is long ago."""
    breaker = Breaker()

    assert not any(breaker.lost("a", 100.0 + at) for at in range(LOSSES - 1))
    assert not breaker.lost("a", 100.0 + WINDOW + 0.1)
    assert not breaker.lost("b", 100.0 + WINDOW + 0.1)
    assert breaker.lost("a", 101.0 + WINDOW)
    assert {"a"} == breaker.withdrawn
