"""Connections to HTTP servers that wait for another request of the same application.

A connection whose last request was answered whole comes in; a while later it goes out again, or is closed.
It must never give one application's connection to another, nor one on which anything was said meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import h11

from serverless_wasm.alarms import Alarm, Alarms
from serverless_wasm.net.policy import Target

SECONDS = 5.0
"""Servers wait longer: Node.js 5 seconds, Apache 5, nginx 75; a guest that asks again does so at once."""
MOST = 32
"""Of one application; they count towards its `application_sockets`, and make room for others."""


class Channel(Protocol):
    """A connection, with or without TLS."""

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, and everything the other side has said was read."""

    async def read(self, size: int) -> bytes:
        """Waits for at least one byte; b"" at the end."""

    async def write(self, data: bytes) -> None:
        """Writes all of it."""

    def close(self) -> None:
        """Closes it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request goes: a name that was vetted leads to an address that was, for each connection anew."""

    scheme: str
    target: Target


@dataclass(slots=True)
class Wire:
    """A connection to an origin, and where in its conversation it is."""

    origin: Origin
    channel: Channel
    state: h11.Connection
    uses: int = 0
    """Requests that went over it."""


class Payer(Protocol):
    """An application, which pays for its descriptors."""

    def give(self) -> None:
        """It has one less in use."""


class Idle:
    """The connections that wait, the one that has waited longest first."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._waiting: dict[Payer, list[_Waiting]] = {}

    def put(self, payer: Payer, wire: Wire) -> None:
        """Has it wait a while; the oldest goes if there are too many."""
        waiting = self._waiting.setdefault(payer, [])
        if len(waiting) >= MOST:
            waiting[0].end()
        waiting = self._waiting.setdefault(payer, [])
        waiting.append(_Waiting(self, self._alarms, payer, wire))

    def take(self, payer: Payer, origin: Origin) -> Wire | None:
        """The last one that was put there, if it is still good; those that are not are closed."""
        for each in reversed(self._waiting.get(payer, [])[:]):
            if each.wire.origin == origin:
                if each.wire.channel.is_quiet:
                    self.forget(each)
                    return each.wire
                each.end()
        return None

    def evict(self, payer: Payer) -> bool:
        """Closes the oldest of an application's; false when there is none."""
        waiting = self._waiting.get(payer)
        if not waiting:
            return False
        waiting[0].end()
        return True

    def close(self) -> None:
        """Closes all of them."""
        for waiting in list(self._waiting.values()):
            for each in waiting[:]:
                each.end()

    def forget(self, each: _Waiting) -> None:
        """One waits no more."""
        each.cancel()
        waiting = self._waiting[each.payer]
        waiting.remove(each)
        if not waiting:
            del self._waiting[each.payer]


class _Waiting(Alarm):
    """One that waits, and the alarm that ends it."""

    __slots__ = ("_idle", "payer", "wire")

    def __init__(self, idle: Idle, alarms: Alarms, payer: Payer, wire: Wire) -> None:
        super().__init__(alarms)
        self._idle = idle
        self.payer = payer
        self.wire = wire
        self.set(asyncio.get_running_loop().time() + SECONDS)

    def ring(self) -> None:
        """It was not needed."""
        self.end()

    def end(self) -> None:
        """Closes it."""
        self._idle.forget(self)
        self.wire.channel.close()
        self.payer.give()
