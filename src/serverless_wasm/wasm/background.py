"""The guests that have used up their slice: behind everyone else, one at a time, by application.

Turns come in from busy guests; each is granted when the loop has nothing else to do.
A crowd of one application must not take more than its share, and nobody must be forgotten.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable

from serverless_wasm.wasm.engine import Ticker

QUIET = 4
"""Turns of the loop without anything arriving before a slice begins, 2-10 us each.

Whatever arrives ends a slice (engine.Ticker), but callbacks that are ready to run do not. A request
takes a few turns from its first byte to its answer, and none of them should wait for a slice.
"""
PATIENCE = 100
"""Turns after which a slice begins all the same: a loop that is never quiet must not stop the busy."""


class Background:
    """Grants turns on one event loop, to one application after the other."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._quiet = 0
        self._turns = 0

    def turn(self, share: Hashable) -> asyncio.Future[None]:
        """Is done when a guest of this share may have its next slice; may be cancelled."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the first, or the first on another run of the program's loop
            self._loop = loop
            self._waiting.clear()
            self._ticker.attend(loop)
            self._begin(loop)
        turn = loop.create_future()
        self._waiting.setdefault(share, deque()).append(turn)
        return turn

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._quiet = self._turns = 0
        loop.call_soon(self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once a turn of the loop: grants the next slice when it has been quiet for long enough."""
        self._turns += 1
        self._quiet = 0 if self._ticker.wanted() else self._quiet + 1
        if self._quiet < QUIET and self._turns < PATIENCE:
            loop.call_soon(self._look, loop)
            return
        self._grant()
        if self._waiting:
            self._begin(loop)
        else:
            self._loop = None
            self._ticker.attend(None)

    def _grant(self) -> None:
        """Gives a slice to the application that has waited longest for one."""
        while self._waiting:
            share, turns = next(iter(self._waiting.items()))
            del self._waiting[share]
            turn = turns.popleft()
            if turns:
                self._waiting[share] = turns  # behind the other applications
            if not turn.done():  # done: cancelled while it waited
                turn.set_result(None)
                return
