"""Who runs next: guests that wait for little come first, busy ones share one slice a loop turn.

Fibers and their futures come in; a call's end goes out. Everything happens on one event loop.
It must never run a guest without a ticker, nor leave a future alive behind a failure.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Any

from serverless_wasm.alarms import Alarms
from serverless_wasm.errors import CapabilityError, DeadlineExceeded, Overloaded
from serverless_wasm.wasm.capi import lib
from serverless_wasm.wasm.engine import Engine
from serverless_wasm.wasm.fiber import Fiber, Watch


class Scheduler:
    """Runs the fibers of one engine on one event loop, at most `slots` of them at once."""

    def __init__(self, engine: Engine) -> None:
        self.current: Fiber | None = None
        self.engine = engine
        self.slots = engine.slots
        self.taken = 0
        self._ticker = engine.ticker
        self._alarms = Alarms()
        self._background: deque[asyncio.Future[None]] = deque()
        self._turning: asyncio.AbstractEventLoop | None = None

    def admit(self) -> None:
        """Takes a slot; raises Overloaded when none is free. Each needs one `release`."""
        if self.taken >= self.slots:
            raise Overloaded(f"all {self.slots} slots are taken")
        self.taken += 1

    def release(self) -> None:
        """Gives a slot back."""
        self.taken -= 1

    async def run(self, fiber: Fiber, future: Any) -> None:
        """Drives one call of a fiber to its end; raises how it ended badly.

        The future is deleted whatever happens; in the middle of a call that unwinds the guest.
        Cancelling the task cancels what the guest waits for.
        """
        try:
            while not self._poll(fiber, future):
                if fiber.waiting is not None:
                    await self._wait(fiber)
                else:
                    await self._slice(fiber)
        finally:
            lib.wasmtime_call_future_delete(future)
        fiber.finish()

    async def _wait(self, fiber: Fiber) -> None:
        """Waits for the operation that a host function began, no longer than to the deadline."""
        operation: Any = fiber.waiting
        fiber.waiting = None
        if fiber.watch is None:
            fiber.watch = Watch(self._alarms)
            fiber.watch.set(fiber.deadline)
        try:
            with fiber.watch:
                fiber.answer = await operation
        except CapabilityError as refusal:
            fiber.answer = refusal  # the guest's to handle: it is handed the code
        except TimeoutError:
            if fiber.watch.expired:
                raise DeadlineExceeded("waiting at the deadline") from None
            raise

    def _poll(self, fiber: Fiber, future: Any) -> bool:
        """Runs the guest until it is over, waits, or has used its slice."""
        self.current = fiber
        self._ticker.enter()
        began = perf_counter()
        try:
            over: bool = lib.wasmtime_call_future_poll(future)
            return over
        finally:
            fiber.busy += perf_counter() - began
            self._ticker.leave()
            self.current = None

    async def _slice(self, fiber: Fiber) -> None:
        """Waits behind every other busy guest; one of them runs in each turn of the loop."""
        loop = asyncio.get_running_loop()
        if loop.time() >= fiber.deadline:
            raise DeadlineExceeded("busy at the deadline")
        turn = loop.create_future()
        self._background.append(turn)
        if self._turning is not loop:
            self._turning = loop
            loop.call_soon(self._turn, loop)
        await turn

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._background:
            turn = self._background.popleft()
            if not turn.done():  # done: cancelled while it waited
                turn.set_result(None)
                break
        self._turning = loop if self._background else None
        if self._turning:
            loop.call_soon(self._turn, loop)
