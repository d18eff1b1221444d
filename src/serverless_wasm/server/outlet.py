"""The way out: responses become bytes for one client, no faster than it reads them.

Responses come in; pieces go to the transport, which never holds many of them.
It must never let a body that was cut short look whole, nor keep the event loop from other clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from serverless_wasm.errors import Error, forget_frames
from serverless_wasm.messages import Prepared, Request, Response, Streaming
from serverless_wasm.server.pace import Pace
from serverless_wasm.server.shared import Shared
from serverless_wasm.server.wire import BODILESS, fault_response, length, takes_trailers, trailing

PIECE = 64 * 1024
"""Bytes given to the transport at once; it asks us to wait at 64 KiB, so it never holds twice as much."""
LARGE_PIECE = 2 * PIECE
"""The same for a part of a body that is kept here anyway: the transport only sees it."""


SMALL = PIECE // 4
"""Bytes of a response that may wait for others of its turn (departures.py)."""


class Outlet:
    """Writes to `transport`, of which `pace` is told."""

    __slots__ = ("_departures", "_emit", "_heads", "_held", "_pace", "_roomy", "_transport")

    def __init__(self, transport: asyncio.Transport, shared: Shared, pace: Pace) -> None:
        self._departures = shared.departures
        self._emit = shared.emit
        self._heads = shared.heads
        self._held = b""  # whole responses that leave with the turn of the loop
        self._pace = pace
        self._roomy: asyncio.Future[None] | None = None
        self._transport = transport

    @property
    def full(self) -> bool:
        """Whether the client is behind."""
        return self._roomy is not None

    def fill(self) -> None:
        """The transport holds enough: it is the client's turn (Protocol.pause_writing)."""
        if self._roomy is None:
            self._roomy = asyncio.get_running_loop().create_future()

    def drain(self) -> None:
        """The transport takes more (Protocol.resume_writing)."""
        if self._roomy is not None:
            if not self._roomy.done():
                self._roomy.set_result(None)
            self._roomy = None

    def close(self) -> None:
        """There is no client any more."""
        self._held = b""
        self.drain()

    async def room(self) -> None:
        """Waits until the transport takes more; gives the loop one turn in any case."""
        if self._roomy is not None:
            await self._roomy
        else:
            await asyncio.sleep(0)

    def write(self, request: Request, response: Response, *, keep: bool) -> bytes:
        """Writes a response whose body is bytes; returns the body if it is too large to go at once.

        A response that HTTP forbids becomes a fault of ours, 500.
        """
        try:
            head = self._heads.write(request, response, length(request, response), keep=keep)
        except Exception as fault:
            response = fault_response(self._emit, request.id, fault)
            head = self._heads.write(request, response, length(request, response), keep=keep)
        body = response.body
        if request.method == "HEAD" or response.status in BODILESS or not isinstance(body, bytes):
            body = b""
        if len(body) > PIECE:
            self._send(head)
            return body
        self._depart(head + body)
        return b""

    def write_prepared(self, response: Prepared) -> None:
        """Writes a response that wants nothing but its first lines."""
        self._depart(self._heads.start(response.status, response.reason) + response.rest)

    def flush(self) -> None:
        """Sends what waits for the end of the turn; whoever ends or closes the connection does this first."""
        data, self._held = self._held, b""
        if data:
            self._transport.write(data)
            self._pace.wrote(len(data))

    async def write_rest(self, body: bytes) -> None:
        """Writes what `write` returned, piece by piece."""
        view, last = memoryview(body), len(body) - PIECE
        for start in range(0, last, LARGE_PIECE):
            self._send(view[start : min(start + LARGE_PIECE, last)])
            await self.room()
        self._send(body[max(last, 0) :])  # a copy: the transport may hold it when the body is forgotten
        await self.room()

    async def stream(
        self, request: Request, response: Response, chunks: AsyncIterator[bytes], *, keep: bool
    ) -> bool:
        """Writes a response whose body is an iterator; returns whether the connection can go on.

        An iterator that fails, or makes another number of bytes than was said, cuts the connection.
        """
        bare = request.method == "HEAD" or response.status in BODILESS
        try:
            size = length(request, response)
            chunked = size is None and request.version != "1.0"
            keep = keep and (bare or chunked or size is not None)
            head = self._heads.write(request, response, size, keep=keep)
            pieces = aiter(chunks)
        except Exception as fault:
            self.write(request, fault_response(self._emit, request.id, fault), keep=False)
            return False
        self._send(head)
        if not bare:
            try:
                await self._write_chunks(pieces, size, chunked=chunked)
                if chunked:
                    self._send(b"0\r\n%b\r\n" % _trailers(request, chunks))
            except Exception as fault:
                if isinstance(fault, Error):
                    forget_frames(fault)
                else:
                    fault_response(self._emit, request.id, fault)
                self._pace.cut()
                return False
        return keep

    async def _write_chunks(self, chunks: AsyncIterator[bytes], size: int | None, *, chunked: bool) -> None:
        total = 0
        async for chunk in chunks:
            total += len(chunk)
            if size is not None and total > size:
                raise ValueError(f"a body of more than the {size} bytes that Content-Length says")
            for piece in _pieces(chunk):
                # Not writelines: asyncio's of CPython 3.12 and 3.13.0 never says that the transport is full.
                framed = b"".join((b"%x\r\n" % len(piece), piece, b"\r\n")) if chunked else piece
                self._send(framed)
                await self.room()
        if size is not None and total < size:
            raise ValueError(f"a body of {total} bytes, and Content-Length says {size}")

    def _depart(self, data: bytes) -> None:
        if len(data) > SMALL or self._held:
            self._send(data)
        else:
            self._held = data
            self._departures.add(self)

    def _send(self, data: bytes | memoryview) -> None:
        if self._held:
            self.flush()
        self._transport.write(data)
        self._pace.wrote(len(data))


def _trailers(request: Request, chunks: AsyncIterator[bytes]) -> bytes:
    if isinstance(chunks, Streaming) and takes_trailers(request):
        return trailing(chunks.trailers)
    return b""


def _pieces(data: bytes) -> Iterator[bytes]:
    """The data in pieces; copies, because a view in the transport would keep all of the data there."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
