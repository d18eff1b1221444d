"""What one of several workers may use: enough to run anything, and together the whole at least."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from configurations import application, configuration
from serverless_wasm.config.shares import share
from serverless_wasm.limits import DoorLimits, Limits

WHOLE = ("concurrency", "queue", "application_sockets", "application_files")
COUNTED = (*WHOLE, "rate")
"""Limits of an application in the whole service, not of one invocation."""
COUNTS = st.integers(1, 10**6)


@given(
    workers=st.integers(1, 256),
    memory=st.none() | st.integers(1, 2**50),
    door=st.builds(DoorLimits, connections=COUNTS, unsent=COUNTS),
    limits=st.builds(
        Limits,
        concurrency=COUNTS,
        queue=st.integers(0, 10**6),
        application_sockets=COUNTS,
        application_files=COUNTS,
        rate=st.none() | st.floats(1e-6, 1e9),
    ),
)
def test_shares(workers: int, memory: int | None, door: DoorLimits, limits: Limits) -> None:
    """No share is nothing unless the whole is, all shares are the whole and less than one each more."""
    whole = replace(configuration(Path("/c"), application("a", limits=limits), door=door), memory=memory)

    part = share(whole, workers)

    shared = part.applications[0].limits
    for name in WHOLE:
        before, after = getattr(limits, name), getattr(shared, name)
        assert before <= after * workers < before + workers
    for name in ("connections", "unsent"):
        before, after = getattr(door, name), getattr(part.door, name)
        assert before <= after * workers < before + workers
    if limits.rate is None:
        assert shared.rate is None
    else:
        assert shared.rate is not None
        assert 0 < shared.rate
        assert abs(shared.rate * workers - limits.rate) <= limits.rate * 1e-9
    if memory is not None:
        assert part.memory is not None
        assert memory <= part.memory * workers < memory + workers


def test_what_is_not_shared() -> None:
    """Limits of one invocation, and all that is no limit, are the same in every worker."""
    whole = configuration(Path("/c"), application("a", limits=Limits(rate=5.0)), application("b"))

    part = share(whole, 7)

    kept = [field.name for field in fields(Limits) if field.name not in COUNTED]
    for before, after in zip(whole.applications, part.applications, strict=True):
        assert before == replace(after, limits=before.limits)
        assert [getattr(before.limits, name) for name in kept] == [
            getattr(after.limits, name) for name in kept
        ]
    door = replace(part.door, connections=whole.door.connections, unsent=whole.door.unsent)
    assert whole == replace(part, memory=whole.memory, applications=whole.applications, door=door)
    assert part.memory, "without a number the machine's memory is shared"
    assert share(whole, 1) is whole


def test_shares_that_are_alike_are_one() -> None:
    """Thousands of applications with the same limits have one object, here and in every worker."""
    limits = [Limits(), Limits(queue=7), Limits(), Limits(queue=7)]
    applications = [application(f"a{number}", limits=item) for number, item in enumerate(limits)]

    part = share(configuration(Path("/c"), *applications), 2)

    first, second, third, fourth = (item.limits for item in part.applications)
    assert first is third
    assert second is fourth
    assert first != second
