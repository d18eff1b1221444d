"""One case and one server: bytes out, statuses back, until the server closes.

A port and the bytes of a case come in; every status of the answers goes out, and whether the end came.
It must never wait for a server that waits: a case ends with bytes that end all but the longest waits.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from dataclasses import dataclass
from typing import cast

PATIENCE = 5.0
"""Seconds without an end after which a server is waiting for more."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n")
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client saw."""

    port: int
    statuses: tuple[int, ...]
    closed: bool
    received: bytes


class _Client(asyncio.Protocol):
    def __init__(self, data: bytes, ended: asyncio.Future[bool]) -> None:
        self.data = data
        self.ended = ended
        self.port = 0
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)  # no TIME_WAIT: ports are few
        self.port = sock.getsockname()[1]
        cast("asyncio.Transport", transport).write(self.data)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> None:
        self._end(closed=True)

    def connection_lost(self, _: Exception | None) -> None:
        self._end(closed=True)

    def wait_no_more(self) -> None:
        """The server waits."""
        self._end(closed=False)

    def _end(self, *, closed: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(closed)


async def exchange(port: int, data: bytes) -> Outcome:
    """Sends a case on a connection of its own."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[bool] = loop.create_future()
    transport, client = await loop.create_connection(lambda: _Client(data, ended), "127.0.0.1", port)
    timer = loop.call_later(PATIENCE, client.wait_no_more)
    try:
        closed = await ended
    finally:
        timer.cancel()
        transport.abort()
    statuses = tuple(int(status) for status in _STATUS.findall(client.received))
    return Outcome(client.port, statuses, closed, client.received)
