"""The deadline of a connection: one timer, moved many times a second without touching the event loop.

A time of the loop's clock comes in; one call comes out once it has passed.
It must never call early, and never after `cancel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf


class Deadline:
    """Calls `action` once the loop's clock has passed the time last set; `inf` means never."""

    __slots__ = ("_action", "_loop", "_rings_at", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
        self._action = action
        self._loop = loop
        self._rings_at = inf
        self._timer: asyncio.TimerHandle | None = None
        self._when = inf

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._when - self._loop.time()

    def after(self, seconds: float) -> None:
        """Sets the deadline; the timer itself is only touched if it would ring too late."""
        self._when = self._loop.time() + seconds
        if self._when < self._rings_at:
            self._arm()

    def lift(self) -> None:
        """No deadline for now; the timer rings in vain, or is in use again by then."""
        self._when = inf

    def cancel(self) -> None:
        """Ends it for good: frees the timer, and lets go of what would have been called."""
        self._when = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        del self._action

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._when
        self._timer = self._loop.call_at(self._when, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, inf
        if self._when > self._loop.time():
            if self._when != inf:
                self._arm()
        else:
            self._when = inf
            self._action()
