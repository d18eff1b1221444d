"""The Deadline: one alarm, however often it is moved, and never early."""

from __future__ import annotations

import asyncio
from math import inf

from server.doors import Run
from serverless_wasm.alarms import Alarms
from serverless_wasm.server.deadline import Deadline


def test_moving_it_later_costs_nothing(run: Run) -> None:
    """Thousands of requests a second each move it; the loop hears of one."""

    async def main() -> None:
        alarms = Alarms()
        deadline = Deadline(alarms, lambda: None)
        for _ in range(1000):
            deadline.after(60)
            deadline.earn(1, 70)
            deadline.lift()
        deadline.after(50)
        assert 2 == len(alarms._heap)
        deadline.cancel()

    run(main())


def test_it_calls_once_and_not_early(run: Run) -> None:
    """Even if it was set for an earlier time, or a later one."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for first in (0.01, 60.0):
            called: list[float] = []
            rung = asyncio.Event()

            def ring(called: list[float] = called, rung: asyncio.Event = rung) -> None:
                called.append(loop.time())
                rung.set()

            deadline = Deadline(Alarms(), ring)
            due = loop.time() + 0.05
            deadline.after(first)
            deadline.after(0.05)
            await rung.wait()
            await asyncio.sleep(0.02)
            assert 1 == len(called)
            assert called[0] >= due
            assert inf == deadline.when
            deadline.cancel()

    run(main())


def test_what_is_earned_moves_it_up_to_a_point(run: Run) -> None:
    """Never earlier; never for one that is not set."""

    async def main() -> None:
        now = asyncio.get_running_loop().time()
        deadline = Deadline(Alarms(), lambda: None)
        deadline.earn(5, 10)
        assert inf == deadline.when
        deadline.after(10)
        set_to = deadline.when
        deadline.earn(1e-6, 20)
        assert set_to + 1e-6 == deadline.when
        deadline.earn(1000, 20)
        assert now + 20 <= deadline.when <= now + 25

    run(main())


def test_lifted_or_cancelled_it_is_silent(run: Run) -> None:
    """Once lifted it can be set again; once cancelled it cannot."""

    async def main() -> None:
        called: list[str] = []
        alarms = Alarms()
        lifted = Deadline(alarms, lambda: called.append("lifted"))
        cancelled = Deadline(alarms, lambda: called.append("cancelled"))
        for deadline in (lifted, cancelled):
            deadline.after(0.01)
        lifted.lift()
        cancelled.cancel()
        cancelled.after(0.01)
        await asyncio.sleep(0.05)
        assert [] == called
        lifted.after(0.01)
        await asyncio.sleep(0.05)
        assert ["lifted"] == called

    run(main())
