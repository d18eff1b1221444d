"""A service and its door in one process: what a worker is, and what the single process is.

Releases come in; requests are answered by the one that was committed last.
It must never show a certificate, or keep to limits, of another release than it serves.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Set as AbstractSet

from serverless_wasm.events import Emit, Event
from serverless_wasm.processes.channel import Report
from serverless_wasm.release import Release
from serverless_wasm.server.h1 import HttpDoor
from serverless_wasm.server.tls import open_context
from serverless_wasm.service import Service


class Station:
    """Serves on `sockets` from the first `commit` to `stop`."""

    def __init__(self, service: Service, sockets: list[socket.socket], emit: Emit) -> None:
        self._service = service
        self._sockets = sockets
        self._emit = emit
        self._door: HttpDoor | None = None
        self._context: ssl.SSLContext | None = None

    @property
    def in_flight(self) -> int:
        """Requests that applications are answering."""
        return self._service.in_flight

    @property
    def drain(self) -> float:
        """Seconds for requests in progress at the end, as what is served says."""
        return self._service.deployment.release.configuration.drain if self._door is not None else 0.0

    async def prepare(self, release: Release, own_addresses: tuple[str, ...]) -> Report:
        """Makes a release ready; raises EngineError, or ConfigError for its certificate."""
        tls = release.configuration.tls
        self._context = await asyncio.to_thread(open_context, tls, _nobody) if tls else None
        candidate = await self._service.prepare(release, own_addresses)
        room = candidate.room
        return Report(broken=candidate.broken, notices=room.notices, slots=room.engine.slots)

    async def commit(self, withdrawn: AbstractSet[str] = frozenset()) -> None:
        """Serves what was prepared but for the applications withdrawn, and lets clients in the first time."""
        await self._service.commit(withdrawn)
        limits = self._service.deployment.release.configuration.door
        if self._door is None:
            self._door = HttpDoor(self._service, limits, self._emit, self._context)
            await self._door.listen(self._sockets)
            return
        self._door.limits = limits
        if self._context is not None:
            self._door.renew(self._context)

    async def discard(self) -> None:
        """Forgets what was prepared."""
        await self._service.discard()

    def withdraw(self, applications: AbstractSet[str]) -> None:
        """Takes these applications out of service, and puts all others back."""
        self._service.withdraw(applications)

    async def stop(self, drain: float) -> None:
        """Finishes what is in progress within so many seconds; cancelling this ends the wait."""
        self._service.draining = True
        if self._door is not None:
            await self._door.close(drain)
        await self._service.stop()


def _nobody(_: Event) -> None:
    """Hears of nothing: the supervisor has looked at the same certificate, and told what there is to tell."""
