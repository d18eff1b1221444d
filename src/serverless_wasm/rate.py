"""How many requests a second an application takes, in bursts of as many.

Requests come in one by one; one that is too early is refused, with the time after which to come again.
It must never keep a record of each request, nor go by a clock that can be set.
"""

from __future__ import annotations

from math import ceil

from serverless_wasm.errors import RateLimited


class Rate:
    """A token bucket, full at first: it holds a second's worth, one token at least."""

    __slots__ = ("_at", "_level", "_rate", "_room")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._room = max(1.0, rate)
        self._level = self._room
        self._at = 0.0

    def take(self, now: float) -> None:
        """Takes a token at a time of a monotonic clock, in seconds; raises RateLimited when there is none."""
        self._level = min(self._room, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            wait = (1 - self._level) / self._rate
            raise RateLimited(f"rate: more than {self._rate:g} requests a second", ceil(wait - 1e-6))
        self._level -= 1
