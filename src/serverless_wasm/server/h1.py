"""The HTTP/1.1 door: listens, and gives each client a Connection.

Sockets or an address come in; requests go to the handler until the door is closed.
It must never drop an answer in progress while there is time left to finish it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from serverless_wasm.events import Emit
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Handler
from serverless_wasm.server.connection import Connection, Shared
from serverless_wasm.server.head import address_text

BACKLOG = 1024
"""Clients that the kernel lets wait for accept(); it cuts this down to net.core.somaxconn."""
CLEANUP = 1.0
"""Seconds that cancelled handlers have to clean up after themselves."""


class HttpDoor:
    """Serves `handler` over HTTP/1.1, from `listen` to `close`."""

    def __init__(self, handler: Handler, limits: DoorLimits, emit: Emit) -> None:
        self._servers: list[asyncio.Server] = []
        self._shared = Shared(handler=handler, limits=limits, emit=emit)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._shared.open)

    async def listen(self, where: Sequence[socket.socket] | tuple[str, int]) -> tuple[str, ...]:
        """Accepts clients on sockets that are bound already, or on every address of a host and port.

        Returns the bound addresses as `host:port`. May be called more than once. Raises OSError when
        an address cannot be bound.
        """
        loop = asyncio.get_running_loop()

        def connect() -> Connection:
            return Connection(self._shared, loop)

        if isinstance(where, tuple):
            host, port = where
            servers = [await loop.create_server(connect, host, port, backlog=BACKLOG)]
        else:
            servers = [await loop.create_server(connect, sock=sock, backlog=BACKLOG) for sock in where]
        self._servers += servers
        return tuple(address_text(sock.getsockname()) for server in servers for sock in server.sockets)

    async def close(self, drain: float) -> None:
        """Stops accepting, lets requests in progress finish for `drain` seconds, then cancels the rest.

        Idle connections close at once. Cancelling this ends the wait, not the closing.
        """
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        self._shared.retiring = True
        try:
            # A request that has reached the kernel is in progress, though nobody has seen it: two turns of
            # the loop have one look at the sockets between them.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for connection in tuple(self._shared.open):
                connection.retire()
            await self._emptied(drain)
        finally:
            tasks = [connection.abort() for connection in tuple(self._shared.open)]
            running = [task for task in tasks if task is not None]
            if running:
                await asyncio.wait(running, timeout=CLEANUP)
            await self._emptied(CLEANUP)

    async def _emptied(self, seconds: float) -> None:
        if self._shared.open:
            try:
                async with asyncio.timeout(seconds):
                    await self._shared.closed.wait()
            except TimeoutError:
                pass
