"""Which application takes workers down again and again.

Losses come in, each with the application whose guest was running; the one that is to be withdrawn goes out.
It must never withdraw an application for what happened long ago, or once.
"""

from __future__ import annotations

from collections import deque

LOSSES = 5
WINDOW = 30.0
"""Seconds within which so many losses are too many (THREATS G42)."""


class Breaker:
    """Counts the losses of each application, by a monotonic clock in seconds."""

    def __init__(self) -> None:
        self.withdrawn: frozenset[str] = frozenset()
        self._losses: dict[str, deque[float]] = {}

    def lost(self, application: str, now: float) -> bool:
        """Counts a loss; says whether the application has just been withdrawn for it."""
        losses = self._losses.setdefault(application, deque(maxlen=LOSSES))
        losses.append(now)
        if application in self.withdrawn or len(losses) < LOSSES or now - losses[0] > WINDOW:
            return False
        self.withdrawn |= {application}
        return True

    def reset(self) -> None:
        """Puts every application back into service."""
        self.withdrawn = frozenset()
        self._losses.clear()
