"""The clocks of a guest: as coarse as it may see them, and counted from where its run began.

Clock numbers come in; times and waits in nanoseconds go out.
They must never be finer than their quantum, by no detour either: a guest that measures finely measures its
neighbours (THREATS G38). So it sleeps until its own clock shows the time, not until the time has come.
"""

from __future__ import annotations

import errno
import time

from serverless_wasm.storage.beneath import refusal

CLOCKS = REALTIME, MONOTONIC = 0, 1
QUANTUM = 1_000_000
"""Nanoseconds that a guest's clocks advance by, unless it is granted finer ones."""
_FIRST = 1_000_000_000
"""What the monotonic clock shows at first: runtimes take zero for a clock that is broken (Go's does)."""


class Clocks:
    """The two clocks of one run; how much of the processor it used is not for the guest to know."""

    __slots__ = ("_began", "quantum")

    def __init__(self, quantum: int = QUANTUM) -> None:
        self.quantum = quantum
        self._began = self._coarse(time.monotonic_ns()) - _FIRST

    def resolution(self, clock: int) -> int:
        """Nanoseconds between two times of a clock; raises OSError (EINVAL) for one there is not."""
        self._exact(clock)
        return self.quantum

    def now(self, clock: int) -> int:
        """What a clock shows, in nanoseconds; raises OSError (EINVAL) for one there is not."""
        if clock == MONOTONIC:
            exact = time.monotonic_ns()
            return exact - exact % self.quantum - self._began
        return self._coarse(self._exact(clock))

    def until(self, clock: int, shown: int) -> int:
        """Nanoseconds until a clock shows that time, or a later one; none or less when it does."""
        wanted = shown + self._origin(clock)
        return wanted + -wanted % self.quantum - self._exact(clock)

    def _coarse(self, exact: int) -> int:
        return exact - exact % self.quantum

    def _origin(self, clock: int) -> int:
        return self._began if clock == MONOTONIC else 0

    @staticmethod
    def _exact(clock: int) -> int:
        if clock == REALTIME:
            return time.time_ns()
        if clock == MONOTONIC:
            return time.monotonic_ns()
        raise refusal(errno.EINVAL)
