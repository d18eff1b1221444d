"""The Deadline: one timer, however often it is moved, and never early."""

from __future__ import annotations

import asyncio
from math import inf

from server.doors import Run
from serverless_wasm.server.deadline import Deadline


class Loop:
    """Counts the timers that are set on the running loop."""

    def __init__(self) -> None:
        self.set = 0
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time

    def call_at(self, *arguments: object) -> asyncio.TimerHandle:
        """As the loop's own."""
        self.set += 1
        return self._loop.call_at(*arguments)  # type: ignore[arg-type] # passed through as they came


def test_moving_it_later_costs_no_timer(run: Run) -> None:
    """Thousands of requests a second each move it; the loop hears of one."""

    async def main() -> None:
        loop = Loop()
        deadline = Deadline(loop, lambda: None)  # type: ignore[arg-type] # the part of a loop that it uses
        for _ in range(1000):
            deadline.after(60)
            deadline.lift()
        deadline.after(50)
        assert 1 <= loop.set <= 2
        deadline.cancel()

    run(main())


def test_it_calls_once_and_not_early(run: Run) -> None:
    """Even if the timer was set for an earlier time, or a later one."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for first in (0.01, 60.0):
            called: list[float] = []
            rung = asyncio.Event()

            def ring(called: list[float] = called, rung: asyncio.Event = rung) -> None:
                called.append(loop.time())
                rung.set()

            deadline = Deadline(loop, ring)
            due = loop.time() + 0.05
            deadline.after(first)
            deadline.after(0.05)
            await rung.wait()
            await asyncio.sleep(0.02)
            assert 1 == len(called)
            assert called[0] >= due
            assert inf == deadline.left
            deadline.cancel()

    run(main())


def test_lifted_or_cancelled_it_is_silent(run: Run) -> None:
    """And once lifted it can be set again."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        called: list[str] = []
        lifted = Deadline(loop, lambda: called.append("lifted"))
        cancelled = Deadline(loop, lambda: called.append("cancelled"))
        for deadline in (lifted, cancelled):
            deadline.after(0.01)
        lifted.lift()
        cancelled.cancel()
        await asyncio.sleep(0.05)
        assert [] == called
        lifted.after(0.01)
        await asyncio.sleep(0.05)
        assert ["lifted"] == called

    run(main())
