"""Clients of HTTP/2 and HTTP/3 that do what browsers do: many streams on a connection, and giving one up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from aioquic.asyncio.client import connect as connect_quic
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

Fields = list[tuple[bytes, bytes]]


class Stream:
    """One request's answer, as far as it has come."""

    def __init__(self) -> None:
        self.headers: Fields = []
        self.body = b""
        self.ended = asyncio.Event()
        self.failed = ""

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(dict(self.headers)[b":status"])

    async def whole(self) -> tuple[int, bytes]:
        """Status and body, once all of it is here; raises ConnectionError when it will never be."""
        await self.ended.wait()
        if self.failed:
            raise ConnectionError(self.failed)
        return self.status, self.body

    def end(self, failure: str = "") -> None:
        """Nothing more comes."""
        if not self.ended.is_set():
            self.failed = failure
            self.ended.set()


class Multiplexed(Protocol):
    """What the clients of both versions can do."""

    async def ask(self, method: str, path: str, body: bytes | None = None, *more: tuple[bytes, bytes]) -> int:
        """Begins a request, sends its body if it has one, and returns the number of its stream."""

    def stream(self, number: int) -> Stream:
        """The answer to a request."""

    async def reset(self, number: int) -> None:
        """Gives a request up."""

    async def leave(self) -> None:
        """Ends the connection without a word about its streams."""


def request_fields(method: str, path: str, more: tuple[tuple[bytes, bytes], ...]) -> Fields:
    """The pseudo-header fields of a request, and more."""
    return [
        (b":method", method.encode()),
        (b":scheme", b"https"),
        (b":authority", b"127.0.0.1"),
        (b":path", path.encode()),
        *more,
    ]


class H2Client:
    """One connection of HTTP/2."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._streams: dict[int, Stream] = {}
        self._moved = asyncio.Event()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(2**30)
        self._task = asyncio.create_task(self._receive())

    async def ask(self, method: str, path: str, body: bytes | None = None, *more: tuple[bytes, bytes]) -> int:
        """Begins a request, sends its body as fast as it is taken, and returns the number of its stream."""
        number = self._h2.get_next_available_stream_id()
        self._streams[number] = Stream()
        self._h2.send_headers(number, request_fields(method, path, more), end_stream=body is None)
        await self._flush()
        if body is not None:
            await self._send(number, body)
        return number

    def stream(self, number: int) -> Stream:
        """The answer to a request."""
        return self._streams[number]

    async def reset(self, number: int) -> None:
        """Gives a request up, with RST_STREAM."""
        self._h2.reset_stream(number, 8)  # CANCEL
        await self._flush()

    async def leave(self) -> None:
        """Ends the connection without GOAWAY."""
        self._task.cancel()
        await asyncio.wait({self._task})
        self._writer.transport.abort()

    async def _send(self, number: int, body: bytes) -> None:
        try:
            while body:
                self._moved.clear()
                size = min(
                    len(body), self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size
                )
                if size:
                    self._h2.send_data(number, body[:size])
                    body = body[size:]
                    await self._flush()
                else:
                    await self._moved.wait()
                if self._streams[number].ended.is_set():  # it was answered before it was all sent
                    return
            self._h2.end_stream(number)
            await self._flush()
        except (h2.exceptions.ProtocolError, OSError):  # the same, told by a reset
            pass

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()

    async def _receive(self) -> None:
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._moved.set()
                await self._flush()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            self._moved.set()
            for stream in self._streams.values():
                stream.end("the connection has ended")

    def _take(self, event: Any) -> None:
        stream = self._streams.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = event.headers
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data or b""
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.end()
        elif isinstance(event, h2.events.StreamReset):
            stream.end(f"the stream was reset: {event.error_code}")


@asynccontextmanager
async def h2_client(port: int, authority: Path) -> AsyncIterator[H2Client]:
    """A client of HTTP/2."""
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    assert "h2" == writer.get_extra_info("ssl_object").selected_alpn_protocol()
    client = H2Client(reader, writer)
    try:
        yield client
    finally:
        await client.leave()


class H3Client(QuicConnectionProtocol):
    """One connection of HTTP/3."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._h3 = H3Connection(self._quic)
        self._answers: dict[int, Stream] = {}

    async def ask(self, method: str, path: str, body: bytes | None = None, *more: tuple[bytes, bytes]) -> int:
        """Begins a request, sends its body, and returns the number of its stream."""
        number = self._quic.get_next_available_stream_id()
        self._answers[number] = Stream()
        self._h3.send_headers(number, request_fields(method, path, more), end_stream=body is None)
        if body is not None:
            self._h3.send_data(number, body, end_stream=True)
        self.transmit()
        return number

    def stream(self, number: int) -> Stream:
        """The answer to a request."""
        return self._answers[number]

    async def reset(self, number: int) -> None:
        """Gives a request up, with STOP_SENDING and, if need be, RESET_STREAM."""
        self._quic.stop_stream(number, ErrorCode.H3_REQUEST_CANCELLED)
        self.transmit()

    async def leave(self) -> None:
        """Ends the connection."""
        self.close()
        await self.wait_closed()

    def quic_event_received(self, event: QuicEvent) -> None:
        """What aioquic calls."""
        if isinstance(event, ConnectionTerminated):
            for stream in self._answers.values():
                stream.end("the connection has ended")
        for each in self._h3.handle_event(event):
            self._take(each)

    def _take(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived | DataReceived):
            stream = self._answers[event.stream_id]
            if isinstance(event, HeadersReceived):
                stream.headers = event.headers
            else:
                stream.body += event.data
            if event.stream_ended:
                stream.end()


@asynccontextmanager
async def h3_client(port: int, authority: Path) -> AsyncIterator[H3Client]:
    """A client of HTTP/3."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name="localhost")
    configuration.load_verify_locations(str(authority))
    async with connect_quic(
        "127.0.0.1", port, configuration=configuration, create_protocol=H3Client
    ) as protocol:
        yield cast("H3Client", protocol)
