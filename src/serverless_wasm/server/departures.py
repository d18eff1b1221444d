"""Small responses of one turn of the event loop leave together.

Outlets that hold something come in; each is told to send it once the loop has read what there is.
It must never keep a response longer than a turn of the loop takes, nor while something slow runs.

To write to a client that sleeps wakes it, which costs our processor twice what the response does; one that
has been woken for the first response takes the others as they come. None is held back longer than `PATIENCE`,
and what has begun to run by then.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Protocol

PATIENCE = 0.001
"""Seconds from which on those that wait leave with the next one, in the middle of a turn."""
MOST = 64
"""As many responses leave at once."""


class Departing(Protocol):
    """What holds something to be sent."""

    def flush(self) -> None:
        """Sends it, if it is still there."""


class Departures:
    """Those of one door."""

    def __init__(self) -> None:
        self._since = 0.0
        self._waiting: list[Departing] = []

    def add(self, outlet: Departing) -> None:
        """Has an outlet flushed soon."""
        waiting = self._waiting
        waiting.append(outlet)
        if len(waiting) == 1:
            self._since = perf_counter()
            asyncio.get_running_loop().call_soon(self.leave)
        elif len(waiting) >= MOST or perf_counter() - self._since > PATIENCE:
            self.leave()

    def leave(self) -> None:
        """Has all that wait flushed."""
        waiting, self._waiting = self._waiting, []
        for outlet in waiting:
            outlet.flush()
