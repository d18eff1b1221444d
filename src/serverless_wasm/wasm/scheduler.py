"""Who runs next: guests that wait for little come first, busy ones share one slice a loop turn.

Fibers and their calls come in; how these ended goes out. Everything happens on one event loop.
It must never run a guest without a ticker, nor leave a future alive behind a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableSequence
from math import inf
from time import perf_counter, thread_time
from typing import Any

from serverless_wasm.alarms import Alarms
from serverless_wasm.errors import CapabilityError, DeadlineExceeded
from serverless_wasm.wasm.admission import Admission, machine_memory
from serverless_wasm.wasm.background import Background
from serverless_wasm.wasm.engine import Engine
from serverless_wasm.wasm.fiber import Fiber, Watch

_SHORT = 0.0005
Cells = MutableSequence[int] | memoryview
"""Whatever has two numbers as its first items."""


class Scheduler:
    """Runs the fibers of one engine on one event loop; `memory` bytes are there for all of them.

    The first item of `running` is the number of the fiber that runs at this moment, else 0: it tells
    another process who it was when this one dies. The second one counts how often one has begun to run.
    """

    def __init__(self, engine: Engine, memory: int | None = None, running: Cells | None = None) -> None:
        self.admission = Admission(engine.slots, memory or machine_memory())
        self.current: Fiber | None = None
        self.engine = engine
        self._ticker = engine.ticker
        self._alarms = Alarms()
        self._background = Background(engine.ticker)
        self._meter = _Meter()
        self._running: Cells = [0, 0] if running is None else running

    async def run(self, fiber: Fiber) -> None:
        """Makes the fiber's instance and drives its plan's calls to their end; raises how one ended badly.

        Whatever happens, nothing is under way afterwards: in the middle of a call the guest is unwound.
        Cancelling the task cancels what the guest waits for.
        """
        try:
            while not self.stretch(fiber):
                fiber.check_cpu()
                self.admission.grow(fiber.grown())
                if fiber.waiting is not None:
                    await self._wait(fiber)
                    if not fiber.is_tired():
                        continue
                await self._slice(fiber)
        finally:
            fiber.stop()

    async def _wait(self, fiber: Fiber) -> None:
        """Waits for the operation that a host function began, no longer than to the deadline."""
        operation: Any = fiber.waiting
        if fiber.watch is None:
            fiber.watch = Watch(self._alarms)
            fiber.watch.set(fiber.deadline)
        if fiber.watch.expired:
            raise DeadlineExceeded("waiting at the deadline")
        try:
            with fiber.watch:
                fiber.answer = await operation
        except CapabilityError as refusal:
            fiber.answer = refusal  # the guest's to handle: it is handed the code
        except TimeoutError:
            if fiber.watch.expired:
                raise DeadlineExceeded("waiting at the deadline") from None
            raise
        fiber.waiting = None

    def stretch(self, fiber: Fiber) -> bool:
        """Runs the guest until its calls are over (True), or it waits, or has used its slice."""
        self.current = fiber
        running = self._running
        running[0] = fiber.number
        running[1] += 1
        self._ticker.enter(yielding=fiber.background)
        began = self._meter.begin()
        try:
            return fiber.go()
        finally:
            fiber.busy += self._meter.since(began)
            self._ticker.leave()
            running[0] = 0
            self.current = None

    async def _slice(self, fiber: Fiber) -> None:
        """Waits behind everyone else; raises DeadlineExceeded when it is too late for another slice."""
        if asyncio.get_running_loop().time() >= fiber.deadline:
            raise DeadlineExceeded("busy at the deadline")
        fiber.rest()
        await self._background.turn(fiber.share)


class _Meter:
    """How much processor time this thread has used for something.

    The kernel's own clock of a thread is a system call, four times as dear as a look at the wall: what takes
    less than `_SHORT` is counted by the wall, which can only be more. So is what the thread did in up to
    `_SHORT` before something longer, and never more than the wall says.
    """

    __slots__ = ("_looked", "_used")

    def __init__(self) -> None:
        self._looked = -inf
        self._used = 0.0

    def begin(self) -> float:
        """A point in time, to be given to `since`."""
        now = perf_counter()
        if now - self._looked > _SHORT:
            self._looked, self._used = now, thread_time()
        return now

    def since(self, began: float) -> float:
        """Seconds of processor time from then on."""
        wall = perf_counter() - began
        return wall if wall < _SHORT else min(wall, thread_time() - self._used)
