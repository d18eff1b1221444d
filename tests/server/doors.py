"""A real HTTP/1.1 door on a free port, and a client that writes and reads raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from serverless_wasm.events import Event
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import AnyHandler, Headers, Request, Response
from serverless_wasm.server.connection import Connection
from serverless_wasm.server.h1 import HttpDoor

Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a test's coroutine: conftest.py has the fixture, which does it on both event loops."""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response as it came over the wire."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The only value of a header, or None."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name!r} is there {len(values)} times"
        return values[0] if values else None

    def json(self) -> dict[str, object]:
        """The body as an object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


class Client:
    """One connection to a door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Answer:
        """The next response, its body left unread."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].split(b"\r\n")
        version, status, reason = first.split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = [
            (name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
        ]
        return Answer(status=int(status), reason=reason, headers=headers, body=b"")

    async def answer(self, method: str = "GET") -> Answer:
        """The next response, whole."""
        head = await self.head()
        return replace(head, body=await self.body(head, method))

    async def body(self, head: Answer, method: str = "GET") -> bytes:
        """What follows a head; to a HEAD request there is no body, whatever the head says."""
        size = head.header(b"content-length")
        if method == "HEAD" or head.status in {100, 204, 304}:
            return b""
        if size is not None:
            return await self.reader.readexactly(int(size))
        if head.header(b"transfer-encoding") == b"chunked":
            return b"".join([chunk async for chunk in self.chunks()])
        return await self.reader.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a body, up to the last."""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
            if not size:
                return
            yield data

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Sends a request and reads its response."""
        await self.send(data)
        return await self.answer(method)

    async def head_of(self, data: bytes) -> int:
        """Sends a request and reads its status."""
        await self.send(data)
        return (await self.head()).status

    async def ended(self) -> bytes:
        """Whatever still comes, up to the end of the connection, which must come; a reset counts."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    def pending(self) -> bytes:
        """What has come and nobody has read."""
        return bytes(getattr(self.reader, "_buffer"))  # noqa: B009 - asyncio's types do not know of it

    def stop_reading(self) -> None:
        """Leaves everything to the kernel from now on, until its buffers are full."""
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def close(self) -> None:
        """Ends the connection, its unread data forgotten."""
        self.writer.transport.abort()


@dataclass(slots=True, kw_only=True)
class Served:
    """A door that listens, and what it has said."""

    door: HttpDoor
    port: int
    events: list[Event] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        """The only connection, seen from inside."""
        (connection,) = self.door._shared.open
        assert isinstance(connection, Connection)
        return connection

    async def until_connections(self, number: int) -> None:
        """Waits until the door has this many connections; nothing outside tells."""
        await until(lambda: self.door.connections == number)

    async def connect(self) -> Client:
        """A new client, closed with the door."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@asynccontextmanager
async def serving(handler: AnyHandler, limits: DoorLimits | None = None) -> AsyncIterator[Served]:
    """A door for `handler` on a free port of 127.0.0.1."""
    events: list[Event] = []
    door = HttpDoor(handler, limits or DoorLimits(), events.append)
    address = (await door.listen(("127.0.0.1", 0)))[0]
    served = Served(door=door, port=int(address.rpartition(":")[2]), events=events)
    try:
        yield served
    finally:
        for client in served.clients:
            client.close()
        await door.close(0)


async def until(holds: Callable[[], bool]) -> None:
    """Gives the loop turns until something holds that nobody announces."""
    while not holds():  # noqa: ASYNC110 - what is asked has no event: it is looked at from outside
        await asyncio.sleep(0.001)


async def hello(request: Request) -> Response:
    """Says what was asked."""
    text = f"{request.method} {request.path}?{request.query}"
    return Response(status=200, headers=Headers(((b"content-type", b"text/plain"),)), body=text.encode())


async def echo(request: Request) -> Response:
    """Gives the whole body back."""
    return Response(status=200, body=await request.body.read(64 * 1024 * 1024))


async def stream_back(request: Request) -> Response:
    """Gives the body back while it arrives."""
    return Response(status=200, body=aiter(request.body))


def post(*fields: bytes, body: bytes = b"") -> bytes:
    """A POST request with these header fields."""
    return b"\r\n".join((b"POST / HTTP/1.1", b"Host: a", *fields, b"", body))
