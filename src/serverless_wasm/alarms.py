"""Many deadlines on one timer of the event loop.

Points of the loop's clock come in; each alarm rings once its own has passed.
An alarm must never ring early, nor after it was cancelled. A timer of the loop's own would take 700 bytes for
each, and a call into the loop whenever a deadline moves; here a deadline moves later for nothing.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from heapq import heapify, heappop, heappush
from math import inf

_SPARE = 1_000  # entries that may lie in the heap for nothing before it is cleared of them


class Alarm(ABC):
    """One deadline, `inf` while there is none; a subclass says what happens when it has passed."""

    __slots__ = ("_alarms", "rings_at", "when")

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self.rings_at = inf
        self.when = inf

    def set(self, when: float) -> None:
        """Moves the deadline to a time of the loop's clock; one that has passed rings in the next turn."""
        self.when = when
        if when < self.rings_at:
            self._alarms.add(self)

    def cancel(self) -> None:
        """Takes the deadline back for good, or until it is set again."""
        self.when = inf
        if self.rings_at != inf:
            self.rings_at = inf
            self._alarms.drop()

    @abstractmethod
    def ring(self) -> None:
        """The deadline has passed; it is `inf` again when this is called."""


class Alarms:
    """The alarms of one event loop; of the newest one, should a program run several after each other."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count = 0
        self._idle = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._timer_at = inf  # uvloop's handle for a time that has come cannot tell it

    def add(self, alarm: Alarm) -> None:
        """Will look at an alarm at its deadline (Alarm.set calls this)."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._heap, self._idle, self._loop = [], 0, loop
            self._timer, self._timer_at = None, inf
        elif alarm.rings_at != inf:
            self.drop()  # the entry that was to ring later
        alarm.rings_at = alarm.when
        self._count += 1
        heappush(self._heap, (alarm.when, self._count, alarm))
        if alarm.when < self._timer_at:
            self._arm(loop)

    def drop(self) -> None:
        """One entry of the heap is there for nothing (Alarm.cancel calls this)."""
        self._idle += 1
        if self._idle > _SPARE and self._idle > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry[2].rings_at == entry[0]]
            heapify(self._heap)
            self._idle = 0

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._heap[0][0]
        self._timer = loop.call_at(self._timer_at, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._timer_at = None, inf
        now = loop.time()
        while self._heap and (self._heap[0][0] <= now or self._heap[0][2].rings_at != self._heap[0][0]):
            rings_at, _, alarm = heappop(self._heap)
            if alarm.rings_at != rings_at:
                self._idle -= 1
                continue
            alarm.rings_at = inf
            if alarm.when <= now:
                alarm.when = inf
                alarm.ring()
            elif alarm.when != inf:
                self.add(alarm)  # it was moved meanwhile
        if self._heap and self._timer is None:
            self._arm(loop)
