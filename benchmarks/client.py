"""A small HTTP/1.1 client for the loads that wrk and h2load cannot make: each answer is seen whole.

A port and a request's bytes come in; a status and a body go out.
It must never ask twice: a request that failed is a figure, not something to repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from benchmarks.load import HOST, Request

_BUFFER = 1 << 21
FAULTS = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)
"""What a connection that broke, a peer that is silent, or an answer that is none raise; TimeoutError too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response: its status and its whole body."""

    status: int
    body: bytes


class Client:
    """A connection that is kept; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._last = False

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connects to the port on this machine."""
        return cls(*await asyncio.open_connection(HOST, port, limit=_BUFFER))

    @property
    def ended(self) -> bool:
        """Whether the other side has closed, or said that it will."""
        return self._last or self._reader.at_eof()

    async def ask(self, request: bytes) -> Answer:
        """Sends a request and reads its answer; raises one of FAULTS when there is none."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        self._last = b"\r\nconnection: close\r\n" in head
        status = int(head.partition(b" ")[2][:3])
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            return Answer(status=status, body=await self._chunks())
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        return Answer(status=status, body=await self._reader.readexactly(int(length)))

    async def _chunks(self) -> bytes:
        found = []
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            found.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\r\n")
        return b"".join(found)

    def close(self) -> None:
        """Leaves at once."""
        self._writer.transport.abort()


class Pool:
    """Connections to one port, each used by one request at a time, as many as there are requests at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Client] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection; it is used again unless this ends badly."""
        client = self._kept() or await Client.connect(self._port)
        try:
            yield client
        except BaseException:
            client.close()
            raise
        self._idle.append(client)

    def _kept(self) -> Client | None:
        while self._idle:
            client = self._idle.pop()
            if not client.ended:
                return client
            client.close()
        return None

    def close(self) -> None:
        """Ends every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()


def written(request: Request) -> bytes:
    """The bytes of a request; one without a body has no Content-Length."""
    length = f"Content-Length: {len(request.body)}\r\n" if request.body else ""
    head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n"
    return head.encode() + request.body
