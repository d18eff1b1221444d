"""How much is kept in one place, so that a quota can hold.

Writes come in; they go on to what keeps the files, one after the other, or are refused for want of room.
It must never guess: what is there was looked at not long ago, and our own writes since are counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from serverless_wasm.errors import Failed, TooLarge
from serverless_wasm.storage.files.keeper import Condition, Found, Keeper
from serverless_wasm.storage.quota import ENTRY

FRESH = 10.0
"""Seconds after which what others wrote meanwhile is looked at."""


class Room:
    """What one Keeper keeps; a file counts `ENTRY` bytes beside its own.

    It is exact as long as nobody else writes there; what others write is seen within `FRESH` seconds.
    """

    def __init__(self, keeper: Keeper, clock: Callable[[], float] = time.monotonic) -> None:
        self.keeper = keeper
        self._clock = clock
        self._used: int | None = None
        self._since = 0.0
        self._one = asyncio.Lock()
        self._measuring: asyncio.Task[int] | None = None

    async def write(self, key: str, data: bytes, condition: Condition, limit: int) -> bool:
        """As Keeper; raises TooLarge where it would make more than `limit` of what is there."""
        async with self._one:
            used, before = await self._measured(), _counts(await self.keeper.head(key))
            growth = ENTRY + len(data) - before
            if growth > 0 and used + growth > limit:
                raise TooLarge(f"no room for {len(data)} bytes: {used} of {limit} are used")
            self._used = None  # a write that is cut off may have happened: then look again
            written = await self.keeper.write(key, data, condition)
            self._used = used + growth if written else used
            return written

    async def delete(self, key: str) -> bool:
        """As Keeper."""
        async with self._one:
            used, before = await self._measured(), _counts(await self.keeper.head(key))
            self._used = None
            removed = await self.keeper.delete(key)
            self._used = max(0, used - before) if removed else used
            return removed

    def close(self) -> None:
        """Ends the looking, and closes what keeps the files."""
        if self._measuring is not None:
            self._measuring.cancel()
        self.keeper.close()

    async def _measured(self) -> int:
        """One look for all who wait; it goes on when they cannot, so the next one finds it done."""
        if self._used is not None and self._clock() - self._since < FRESH:
            return self._used
        if self._measuring is None:
            self._measuring = asyncio.create_task(self.keeper.used())
            self._measuring.add_done_callback(self._learn)
        measuring = self._measuring
        await asyncio.wait({measuring})
        if measuring.cancelled():
            raise Failed(f"{self.keeper} is closed")
        return measuring.result()

    def _learn(self, measuring: asyncio.Task[int]) -> None:
        self._measuring = None
        if not measuring.cancelled() and measuring.exception() is None:
            self._used, self._since = measuring.result(), self._clock()


def _counts(found: Found | None) -> int:
    return 0 if found is None or found.is_folder else ENTRY + found.size
