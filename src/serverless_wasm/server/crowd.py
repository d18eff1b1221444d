"""The clients of one door together: who must go when there are too many, or too much is kept for them.

Clients come in, and say whose turn it is; those who keep the service waiting longest are sent away.
It must never send away a client whose request is being answered, nor write a record for each one it does.
"""

from __future__ import annotations

import resource
from collections import OrderedDict
from math import inf
from typing import Protocol

from serverless_wasm.alarms import Alarms
from serverless_wasm.events import ClientsTurnedAway, Emit
from serverless_wasm.limits import DoorLimits
from serverless_wasm.server.deadline import Deadline

SILENCE = 10.0
"""Seconds between two records of clients that were turned away: a flood of them is no flood of records."""


class Client(Protocol):
    """What can be sent away."""

    def turn_away(self) -> None:
        """Closes the connection; it is not open any more when this returns."""


class Crowd:
    """Makes room for new clients among `limits.connections`, and for bodies within `limits.unsent`."""

    def __init__(self, limits: DoorLimits, emit: Emit, alarms: Alarms) -> None:
        self._bodies: OrderedDict[Client, int] = OrderedDict()
        self._emit = emit
        self._most = _possible(limits.connections)
        self._pause = Deadline(alarms, self._tell)
        self._refused = self._closed = self._cut = 0
        self._unsent = 0
        self._unsent_most = limits.unsent
        # A plain dict would be slow: its first key is looked for among all that were deleted before it.
        self._waiting: OrderedDict[Client, None] = OrderedDict()

    def admits(self, present: int) -> bool:
        """Whether one more may come when so many are there, in another's place if need be."""
        if present < self._most:
            return True
        found = bool(self._waiting)
        if found:
            client, _ = self._waiting.popitem(last=False)
            client.turn_away()
            self._closed += 1
        else:
            self._refused += 1
        self._turned_away()
        return found

    def waits_for(self, client: Client) -> None:
        """From now on it is the client's turn: to ask, to go on asking, to read."""
        self._waiting[client] = None
        self._waiting.move_to_end(client)

    def works_for(self, client: Client) -> None:
        """It is our turn: the client has a right to its answer."""
        self._waiting.pop(client, None)

    def keep(self, client: Client, size: int) -> None:
        """A body is kept until its client has taken it; those that are being taken longest make room."""
        self._bodies[client] = size
        self._unsent += size
        while self._unsent > self._unsent_most and len(self._bodies) > 1:
            slowest = next(iter(self._bodies))
            self.free(slowest)
            slowest.turn_away()
            self._cut += 1
            self._turned_away()

    def free(self, client: Client) -> None:
        """Nothing is kept for a client any more."""
        self._unsent -= self._bodies.pop(client, 0)

    def forget(self, client: Client) -> None:
        """A client has left."""
        self.works_for(client)
        self.free(client)

    def _turned_away(self) -> None:
        if self._pause.when == inf:
            self._tell()

    def _tell(self) -> None:
        refused, closed, cut = self._refused, self._closed, self._cut
        if refused or closed or cut:
            self._refused = self._closed = self._cut = 0
            self._emit(ClientsTurnedAway(limit=self._most, refused=refused, closed=closed, cut=cut))
            self._pause.after(SILENCE)


def _possible(connections: int) -> int:
    """As many as were asked for, but no more than half of the process's descriptors: guests need some too."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if most == resource.RLIM_INFINITY else max(1, min(connections, most // 2))
