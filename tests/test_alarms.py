"""Many deadlines on one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_wasm.alarms import Alarm, Alarms

LOOPS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Bell(Alarm):
    """Remembers when it rang."""

    def __init__(self, alarms: Alarms) -> None:
        super().__init__(alarms)
        self.rang: list[float] = []
        self.heard = asyncio.Event()

    def ring(self) -> None:
        self.rang.append(asyncio.get_running_loop().time())
        self.heard.set()


@pytest.mark.parametrize("run", LOOPS)
def test_alarms_ring_in_their_order_and_never_early(run: Run) -> None:
    """Set in any order, moved and cancelled in between."""

    async def main() -> None:
        alarms, now = Alarms(), asyncio.get_running_loop().time()
        first, moved, sooner, cancelled, last = (Bell(alarms) for _ in range(5))
        last.set(now + 0.05)
        first.set(now + 0.01)
        moved.set(now + 0.005)
        moved.set(now + 0.03)
        sooner.set(now + 10)
        sooner.set(now + 0.02)
        cancelled.set(now + 0.015)
        cancelled.cancel()
        await last.heard.wait()
        assert [1, 1, 1, 0, 1] == [len(bell.rang) for bell in (first, moved, sooner, cancelled, last)]
        assert first.rang < sooner.rang < moved.rang < last.rang
        due = zip((first, sooner, moved, last), (0.01, 0.02, 0.03, 0.05), strict=True)
        assert all(bell.rang[0] >= now + after for bell, after in due)

    run(main())


@pytest.mark.parametrize("run", LOOPS)
def test_alarm_that_has_rung_can_be_set_again(run: Run) -> None:
    """Also from within another's ring, and for a time that has passed."""

    async def main() -> None:
        alarms, now = Alarms(), asyncio.get_running_loop().time()
        bell = Bell(alarms)
        for turn in range(3):
            bell.set(now - 1)
            await bell.heard.wait()
            bell.heard.clear()
            assert len(bell.rang) == turn + 1

    run(main())


@pytest.mark.parametrize("run", LOOPS)
def test_an_alarm_that_is_due_does_not_keep_others_from_being_set(run: Run) -> None:
    """A deadline that has passed, or is less than half a millisecond away, is one guest's own."""

    async def main() -> None:
        alarms, now = Alarms(), asyncio.get_running_loop().time()
        due, soon, later = Bell(alarms), Bell(alarms), Bell(alarms)
        due.set(now)
        soon.set(now + 0.0001)
        later.set(now + 0.005)
        await later.heard.wait()
        assert [1, 1, 1] == [len(bell.rang) for bell in (due, soon, later)]

    run(main())


def test_a_new_loop_starts_afresh() -> None:
    """What an ended loop left behind neither rings nor keeps the new one's alarms from ringing."""
    alarms = Alarms()

    async def leave() -> None:
        Bell(alarms).set(asyncio.get_running_loop().time() + 0.001)

    async def ring() -> None:
        bell = Bell(alarms)
        bell.set(asyncio.get_running_loop().time() + 0.01)
        await bell.heard.wait()

    for _ in range(3):
        asyncio.run(leave())
        asyncio.run(ring())


def test_cancelled_alarms_do_not_pile_up() -> None:
    """However many come and go long before their time."""

    async def main() -> int:
        alarms, later = Alarms(), asyncio.get_running_loop().time() + 1000
        for _ in range(50_000):
            bell = Bell(alarms)
            bell.set(later)
            bell.cancel()
        return len(alarms._heap)

    assert asyncio.run(main()) < 5_000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 20))), max_size=60))
def test_every_set_alarm_rings_once(steps: list[tuple[int, int | None]]) -> None:
    """Any sequence of setting, moving and cancelling: exactly those that are set in the end ring, once."""

    async def main() -> None:
        alarms, now = Alarms(), asyncio.get_running_loop().time()
        bells = [Bell(alarms) for _ in range(6)]
        wanted: dict[int, int] = {}
        for which, after in steps:
            if after is None:
                bells[which].cancel()
                wanted.pop(which, None)
            else:
                bells[which].set(now + 5 + after / 1000)
                wanted[which] = after
        for which, after in wanted.items():  # all is set: now the time comes closer
            bells[which].set(now + after / 1000)
        for which in wanted:
            await bells[which].heard.wait()
        assert [int(which in wanted) for which in range(6)] == [len(bell.rang) for bell in bells]

    asyncio.run(main())
