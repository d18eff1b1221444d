"""The deadline of a client: moved many times a second without touching the event loop.

A number of seconds comes in; one call comes out once they have passed.
It must never call early, and never after `cancel`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from serverless_wasm.alarms import Alarm, Alarms


class Deadline(Alarm):
    """Calls `action` once the loop's clock has passed the time last set; `inf` means never."""

    __slots__ = ("_action",)

    def __init__(self, alarms: Alarms, action: Callable[[], None]) -> None:
        super().__init__(alarms)
        self._action: Callable[[], None] | None = action

    def after(self, seconds: float) -> None:
        """Sets the deadline; nothing comes of it once it was cancelled."""
        if self._action is not None:
            self.set(asyncio.get_running_loop().time() + seconds)

    def earn(self, seconds: float, most: float) -> None:
        """Moves a deadline that is set later, but to no more than `most` seconds from now."""
        if self.when != inf:
            self.when = min(self.when + seconds, asyncio.get_running_loop().time() + most)

    def lift(self) -> None:
        """No deadline for now; the alarm rings in vain, or is in use again by then."""
        self.when = inf

    def cancel(self) -> None:
        """Ends it for good, and lets go of what would have been called."""
        super().cancel()
        self._action = None

    def ring(self) -> None:
        """Calls."""
        if self._action is not None:
            self._action()
