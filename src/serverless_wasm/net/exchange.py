"""One HTTP/1.1 request of a guest, and its response, over a connection that only the two have (RFC 9112).

A request and the bytes of its body come in as the guest makes them; a head and bytes go out as it reads them.
It must never use a connection again that was not left clean, follow a redirect, or wait without a deadline.

h11 says what the bytes mean. What it leaves to its caller is here: how many interim responses there may be,
how many bytes, how much is read ahead, and how much is done in one turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Protocol

import h11

from serverless_wasm.errors import CapabilityError, forget_frames
from serverless_wasm.limits import KIB, Limits
from serverless_wasm.net.call import Call, Fields, Head, Upload
from serverless_wasm.net.idle import Wire
from serverless_wasm.net.unanswered import FAILURES, Unanswered, unanswered

_READ = 64 * KIB
_EVENTS = 64
"""Of h11 in one turn: each takes some 15 us, and a chunk may be a single byte."""
_INTERIM = 16
"""Interim responses (1xx) that are passed over; servers send one or two."""
_VERSIONS = frozenset({b"1.0", b"1.1"})
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110 section 9.2.2: these may be sent again."""
_EXPECTED = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods that say so when there is no body (RFC 9110 section 8.6)."""


class Lines(Protocol):
    """Where connections come from, and go to when they are left clean."""

    limits: Limits

    async def obtain(self, call: Call, *, fresh: bool) -> Wire:
        """A connection, an idle one unless it has to be fresh; raises Unanswered."""

    def keep(self, wire: Wire) -> None:
        """One that is left clean."""

    def close(self, wire: Wire) -> None:
        """One that is not."""

    def leave(self, exchange: Exchange) -> None:
        """It is over."""


class Exchange:
    """A request on its way, and its response; it goes on by itself until there is a head.

    `close` ends it, whatever it is at; so does the end of the response's body. One reads at a time.
    """

    def __init__(self, lines: Lines, call: Call, upload: Upload | None) -> None:
        self.head: Head | None = None
        self.trailers: Fields = ()
        """Fields behind the response's body, once it is over."""
        self._call = call
        self._clock: asyncio.Timeout | None = None
        self._data = bytearray()
        self._error: Exception | None = None
        self._is_left = False
        self._lines = lines
        self._receivable = lines.limits.socket_received
        self._sendable = lines.limits.socket_sent
        self._sending: asyncio.Task[None] | None = None
        self._upload = upload
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(self._run())

    @property
    def is_answered(self) -> bool:
        """Whether there is a head, or never will be."""
        return self.head is not None or self._error is not None

    async def answered(self) -> None:
        """Waits for that."""
        while not self.is_answered and self._task is not None:
            await asyncio.wait({self._task})  # which goes on if this is cancelled

    def result(self) -> Head:
        """The head; raises Unanswered when there will be none, or a fault of ours."""
        if self.head is not None:
            return self.head
        raise self._error or RuntimeError("there is no head yet")

    async def next(self) -> bytes:
        """More of the body, waiting for it; b"" at the end. Raises Unanswered."""
        await self.answered()
        self.result()
        try:
            while not self._data:
                if self._error is not None:
                    raise self._error
                if self._wire is None:
                    return b""
                self._absorb(self._wire)
                if not self._data and self._wire is not None:
                    await _within(self._call.times.between_bytes, self._receive(self._wire))
        except FAILURES as error:
            failure = unanswered(error)
            self._fail(failure)
            raise failure from None
        return self._taken()

    def here(self) -> bytes | None:
        """As `next`, if that need not wait, and has nothing to raise; else None."""
        if self._data:
            return self._taken()
        is_over = self.head is not None and self._wire is None and self._error is None
        return b"" if is_over else None

    def _taken(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data

    def close(self) -> None:
        """Nobody wants any more of it; may be called again."""
        if self._wire is not None and self.head is not None:
            with suppress(Unanswered):  # what is here already may be the end, and then the connection is good
                self._absorb(self._wire)
        self._fail(Unanswered("connection_terminated", "the guest has gone"))

    # The request.

    async def _run(self) -> None:
        try:
            await self._ask(fresh=False)
        except FAILURES as error:
            self._fail(unanswered(error))
        except Exception as fault:  # a fault of ours is one of the invocation that asks for the answer
            self._fail(fault)

    async def _ask(self, *, fresh: bool) -> None:
        self._wire = wire = await self._lines.obtain(self._call, fresh=fresh)
        is_new = wire.uses == 0
        wire.uses += 1
        try:
            await self._converse(wire)
        except _Silent:
            # RFC 9112 section 9.3.1: a server may close a connection just when it is used again
            if is_new or self._upload is not None or self._call.method not in _IDEMPOTENT:
                raise
            self._wire = None
            self._lines.close(wire)
            await self._ask(fresh=True)

    async def _converse(self, wire: Wire) -> None:
        if self._upload is not None and self._upload.is_empty:
            self._upload = None
        await self._send(wire, self._request())
        if self._upload is None:
            wire.state.send(h11.EndOfMessage())  # which is no bytes, as there is no body
        else:
            self._sending = asyncio.get_running_loop().create_task(self._send_body(wire, self._upload))
        try:
            async with asyncio.timeout(None) as self._clock:
                if self._sending is None:
                    self._start_clock()
                self.head = await self._read_head(wire)
        except TimeoutError:
            raise Unanswered("connection_read_timeout", "no response in time") from None
        self._absorb(wire)

    def _request(self) -> h11.Request:
        call, upload = self._call, self._upload
        fields = [(b"host", call.authority), *call.fields]
        if upload is None:
            fields += [(b"content-length", b"0")] if call.method in _EXPECTED else []
        elif upload.declared is not None:
            fields.append((b"content-length", b"%d" % upload.declared))
        else:
            fields.append((b"transfer-encoding", b"chunked"))
        try:
            return h11.Request(method=call.method, target=call.target, headers=fields)
        except h11.LocalProtocolError as error:
            raise Unanswered("http_request_error", str(error)) from None

    async def _send_body(self, wire: Wire, upload: Upload) -> None:
        try:
            while data := await upload.take():
                await self._send(wire, h11.Data(data))
            await self._send(wire, h11.EndOfMessage(headers=list(upload.trailers)))
        except OSError:
            upload.shut()  # a server may answer without having read it all: the head will tell
        except (CapabilityError, Unanswered) as error:
            self._fail(unanswered(error))
        except Exception as fault:
            self._fail(fault)
        self._start_clock()

    def _start_clock(self) -> None:
        if self._clock is not None and not self.is_answered:
            self._clock.reschedule(asyncio.get_running_loop().time() + self._call.times.first_byte)

    async def _send(self, wire: Wire, event: Any) -> None:
        try:
            data = wire.state.send(event) or b""
        except h11.LocalProtocolError as error:
            raise Unanswered("http_request_error", str(error)) from None
        self._sendable -= len(data)
        if self._sendable < 0:
            raise Unanswered("http_request_body_size", "socket_sent: more than that")
        limit = self._lines.limits.socket_timeout
        await _within(limit, wire.channel.write(data), "connection_write_timeout")

    # The response.

    async def _read_head(self, wire: Wire) -> Head:
        for _ in range(_INTERIM):
            event = await self._event(wire)
            if isinstance(event, h11.Response) and event.http_version in _VERSIONS:
                return self._head(event)
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                break
        raise Unanswered("http_protocol_error", "no response")

    def _head(self, response: h11.Response) -> Head:
        fields = tuple((bytes(name), bytes(value)) for name, value in response.headers.raw_items())
        limits = self._lines.limits
        size = sum(len(name) + len(value) for name, value in fields)
        if len(fields) > limits.response_headers or size > limits.response_header_bytes:
            raise Unanswered("http_response_header_section_size", "a head beyond the limits of responses")
        return Head(status=response.status_code, fields=fields)

    async def _event(self, wire: Wire) -> Any:
        while (event := _next_event(wire)) is h11.NEED_DATA:
            await self._receive(wire)
        return event

    async def _receive(self, wire: Wire) -> None:
        """Raises _Silent when the other side has gone before it said a word."""
        is_silent = self._receivable == self._lines.limits.socket_received
        try:
            data = await wire.channel.read(_READ)
        except ConnectionError:
            if is_silent:
                raise _Silent from None
            raise
        if not data and is_silent:
            raise _Silent
        self._receivable -= len(data)
        if self._receivable < 0:
            raise Unanswered("http_response_body_size", "socket_received: more than that")
        wire.state.receive_data(data)

    def _absorb(self, wire: Wire) -> None:
        """Takes in what has arrived, as much of it as is done in a turn."""
        for _ in range(_EVENTS):
            event = _next_event(wire)
            if isinstance(event, h11.Data):
                self._data += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = tuple(
                    (bytes(name), bytes(value)) for name, value in event.headers.raw_items()
                )
                self._end(wire)
                return
            elif event is h11.NEED_DATA:
                return
            else:
                raise Unanswered("http_protocol_error", "no body")

    # The end.

    def _end(self, wire: Wire) -> None:
        """All of the response has arrived."""
        state = wire.state
        clean = state.our_state is h11.DONE and state.their_state is h11.DONE
        self._wire = None
        if clean and state.trailing_data == (b"", False):
            state.start_next_cycle()
            self._lines.keep(wire)
        else:
            self._lines.close(wire)
        self._leave()

    def _fail(self, error: Exception) -> None:
        """There will be no more; nothing once it is over."""
        if self._is_left:
            return
        if isinstance(error, Unanswered):  # a fault's frames are for the log
            forget_frames(error)
        self._error = error
        wire, self._wire = self._wire, None
        if wire is not None:
            self._lines.close(wire)
        self._leave()

    def _leave(self) -> None:
        self._is_left = True
        if self._upload is not None:
            self._upload.shut()
        for task in (self._task, self._sending):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        # A task that was cancelled knows this exchange by its frames, and a clock knows the task.
        self._task = self._sending = self._clock = None
        self._lines.leave(self)


async def _within(seconds: float, work: Awaitable[None], kind: str = "connection_read_timeout") -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        raise Unanswered(kind, "no answer in time") from None


class _Silent(ConnectionResetError):
    """The other side has gone before it said a word."""


def _next_event(wire: Wire) -> Any:
    try:
        return wire.state.next_event()
    except h11.RemoteProtocolError as error:
        text = str(error)
        if error.error_status_hint == 431:
            raise Unanswered("http_response_header_section_size", text) from None
        kind = "http_response_incomplete" if "closed connection" in text else "http_protocol_error"
        raise Unanswered(kind, text) from None
