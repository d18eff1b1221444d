"""The HTTP/1.1 door: listens, and gives each client a Connection, behind TLS or not.

Sockets or an address come in; requests go to the handler until the door is closed.
It must never drop an answer in progress while there is time left to finish it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Sequence

from msgspec.structs import replace

from serverless_wasm.events import Emit
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import AnyHandler, Prepared, PromptHandler, Request, Response
from serverless_wasm.server.acceptor import Acceptor
from serverless_wasm.server.connection import Connection
from serverless_wasm.server.head import address_text
from serverless_wasm.server.shared import Shared
from serverless_wasm.server.sockets import bind
from serverless_wasm.server.tls_connection import Arrivals, TlsConnection

CLEANUP = 1.0
"""Seconds that cancelled handlers have to clean up after themselves."""


class HttpDoor:
    """Serves `handler` over HTTP/1.1, from `listen` to `close`; over TLS if there is a context for it."""

    def __init__(
        self,
        handler: AnyHandler,
        limits: DoorLimits,
        emit: Emit,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._acceptors: list[Acceptor] = []
        self._servers: list[asyncio.Server] = []
        self._shared = Shared(handler=_secure(handler) if tls else handler, limits=limits, emit=emit)
        self._arrivals = Arrivals(context=tls, shared=self._shared) if tls else None

    @property
    def connections(self) -> int:
        """How many clients are connected, those whose handshake is not over included."""
        return len(self._shared.open) + (len(self._arrivals.waiting) if self._arrivals else 0)

    @property
    def limits(self) -> DoorLimits:
        """What a connection may use; new limits hold from the next connection or deadline on."""
        return self._shared.limits

    @limits.setter
    def limits(self, limits: DoorLimits) -> None:
        self._shared.limits = limits

    def renew(self, context: ssl.SSLContext) -> None:
        """Uses another certificate from the next handshake on; raises ValueError at a door without TLS.

        Connections that are open go on as they are.
        """
        if self._arrivals is None:
            raise ValueError("a door that was opened without TLS cannot change to it")
        self._arrivals.context = context

    async def listen(self, where: Sequence[socket.socket] | tuple[str, int]) -> tuple[str, ...]:
        """Accepts clients on sockets that are bound already, or on every address of a host and port.

        Returns the bound addresses as `host:port`. May be called more than once. Raises OSError when
        an address cannot be bound.
        """
        loop = asyncio.get_running_loop()

        def connect() -> Connection | TlsConnection:
            return TlsConnection(self._arrivals) if self._arrivals else Connection(self._shared, loop)

        acceptor = Acceptor(connect)
        sockets = bind(*where).sockets if isinstance(where, tuple) else where
        servers = [await acceptor.listen(sock) for sock in sockets]
        self._acceptors.append(acceptor)
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
            for acceptor in self._acceptors:
                await acceptor.settle()
            # A request that has reached the kernel is in progress, though nobody has seen it: two turns of
            # the loop have one look at the sockets between them.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for connection in tuple(self._shared.open):
                connection.retire()
            for arrival in self._arriving():
                arrival.retire()
            await self._emptied(drain)
        finally:
            for arrival in self._arriving():
                arrival.abort()
            tasks = [connection.abort() for connection in tuple(self._shared.open)]
            running = [task for task in tasks if task is not None]
            if running:
                await asyncio.wait(running, timeout=CLEANUP)
            await self._emptied(CLEANUP)

    async def _emptied(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self.connections:  # a handshake that ends begins a connection
                    self._shared.closed.clear()
                    await self._shared.closed.wait()
        except TimeoutError:
            pass

    def _arriving(self) -> tuple[TlsConnection, ...]:
        return tuple(self._arrivals.waiting) if self._arrivals else ()


def _secure(handler: AnyHandler) -> AnyHandler:
    """The same handler for requests that come over TLS."""
    if isinstance(handler, PromptHandler):
        return _SecurePrompt(handler)

    def handle(request: Request) -> Awaitable[Response]:
        return handler(replace(request, scheme="https"))

    return handle


class _SecurePrompt:
    """The same for one that answers at once."""

    def __init__(self, prompt: PromptHandler) -> None:
        self._prompt = prompt

    async def handle(self, request: Request) -> Response:
        return await self._prompt.handle(replace(request, scheme="https"))

    def at_once(self, request: Request) -> Prepared | Awaitable[Response]:
        return self._prompt.at_once(replace(request, scheme="https"))
