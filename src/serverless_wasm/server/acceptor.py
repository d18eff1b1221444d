"""Takes clients in, more of them the longer the event loop's turns are.

Listening sockets come in; every client gets a protocol. It must never leave a crowd waiting behind the
clients that it serves already, nor take from another process what that one has time for.

uvloop's library accepts one client in a turn of the loop, which keeps processes with one socket in balance.
But a turn that answers 200 clients takes 15 ms: of 1,000 that came at once 800 waited for seconds.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import perf_counter

from serverless_wasm.server.sockets import BACKLOG

PER_CLIENT = 0.0005
"""Seconds of work for others after which one more client is taken in."""
AT_ONCE = 64
"""Clients that one turn takes in beside the loop's own: each costs it 0.1 ms."""


class Acceptor:
    """Accepts for any number of sockets; `connect` makes the protocol of a client."""

    def __init__(self, connect: Callable[[], asyncio.Protocol]) -> None:
        self._connect = connect
        self._entering: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def listen(self, sock: socket.socket) -> asyncio.Server:
        """Accepts clients of a bound socket until the server is closed; raises OSError."""
        looks = False

        def connect() -> asyncio.Protocol:
            nonlocal looks
            if not looks:
                looks = True
                self._loop.call_soon(look, perf_counter())
            return self._connect()

        def look(since: float) -> None:
            nonlocal looks
            looks = False
            self._accept(sock, min(AT_ONCE, int((perf_counter() - since) / PER_CLIENT)))

        sock.setblocking(False)
        return await self._loop.create_server(connect, sock=sock, backlog=BACKLOG)

    async def settle(self) -> None:
        """Waits until everyone who was accepted has a protocol."""
        if self._entering:
            await asyncio.wait(self._entering)

    def _accept(self, sock: socket.socket, most: int) -> None:
        """Takes up to so many clients in; what is against it, the loop meets and tells when it accepts."""
        for _ in range(most):
            try:
                client, _address = sock.accept()
            except OSError:  # nobody is there, or the socket is closed
                return
            task = self._loop.create_task(self._enter(client))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    async def _enter(self, client: socket.socket) -> None:
        client.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._connect, client)
        except BaseException as failure:
            client.close()
            if not isinstance(failure, OSError):  # that it has gone again is nobody's fault
                raise
