"""The way in: a connection's bytes become requests, bodies and refusals.

Bytes come in as they arrive. A request line is judged whole by `head`; llhttp then takes the head apart, and
what it lets through is judged by `head`; bodies are counted here, or go to `chunked`.
It must never hold more of a head than the limits allow, nor hand out a request before its head is good.

What is refused, and with which status, depends on the bytes alone, never on how the network cuts them. So
limits are counted to the byte, and llhttp gets a line only when it is whole: it takes two spaces for one,
HTTP/0.9, HTTP/2.0, RTSP and ICE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import httptools

from serverless_wasm.errors import BadRequest, HeadersTooLarge, MethodUnknown, RequestError, TargetTooLong
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Body, Headers, Request
from serverless_wasm.server.chunked import Chunks
from serverless_wasm.server.head import (
    CHUNKED,
    LINE_START,
    check_start,
    examine,
    host_name,
    request_line,
    split_target,
    target_host,
)
from serverless_wasm.server.intake import Intake

# Where in a message the next byte belongs. Plain integers: looking an enum up costs as much as a header.
BETWEEN, HEAD, SIZED_BODY, CHUNKED_BODY, DONE = range(5)

_CR, _LF = b"\r\n"
_END = b"\r\n\r\n"
_LINE_WORDS = 64
"""Bytes of a request line beside its target: the longest method, two spaces, the version."""

_KNOWN_HEAD = 1024
"""Bytes of a head that are kept, in case that the client sends the same again: most do, if not browsers."""

_OTHER_METHODS = frozenset({"Expected HTTP/2 Connection Preface", "Invalid method for HTTP/x.x request"})
"""The parser's complaints about methods of HTTP/2 and RTSP; found by experiment, held by test_reader.py."""


class Turn(NamedTuple):
    """One request that waits for its answer."""

    request: Request
    intake: Intake | None
    """Where its body arrives; None when it has none."""
    keep: bool
    """Whether the client wants the connection to go on."""


class Reader:
    """Reads one connection; `feed` it, then look at `turn`, `intake` and `phase`."""

    __slots__ = (
        "_chunks",
        "_client",
        "_cr",
        "_fields",
        "_head_done",
        "_host",
        "_host_name",
        "_ids",
        "_keep",
        "_known",
        "_known_head",
        "_left",
        "_limits",
        "_line",
        "_no_body",
        "_on_read",
        "_parser",
        "_size",
        "_spent",
        "_tail",
        "_words",
        "intake",
        "moved",
        "phase",
        "turn",
    )

    def __init__(
        self, limits: DoorLimits, ids: Iterator[str], client: str, on_read: Callable[[Intake], None]
    ) -> None:
        self._client = client
        self._cr = False  # a CR in front of a request has come alone
        self._host, self._host_name = b"", ""
        self._ids = ids
        self._known: Request | None = None
        self._known_head = b""
        self._limits = limits
        self._no_body = Body.of()
        self._on_read = on_read
        self._parser = httptools.HttpRequestParser(self)
        self.intake: Intake | None = None
        self.turn: Turn | None = None
        self._begin()
        self.moved = False
        self.phase = BETWEEN

    @property
    def line(self) -> bytes:
        """The request line of the message being read, as far as it has arrived."""
        return self._line.rstrip(b"\r")

    @property
    def left(self) -> int | None:
        """Bytes of the body that have not arrived; None when the client has not said how many."""
        return self._left if self.phase == SIZED_BODY else None

    def feed(self, data: bytes, at: int) -> int:
        """Reads `data` from `at` on, up to where a message ends or may end; returns that place.

        A request whose head is complete is left in `turn`, its body in `intake` for as long as it arrives.
        `moved` is set when the phase begins anew. Raises RequestError for a head that is refused; a body
        that is refused fails its intake. After either nothing more is read.
        """
        phase = self.phase
        if phase == BETWEEN:
            at = self._skip_empty_lines(data, at)
            if at == len(data):
                return at
            self._begin()
            return self._feed_line(data, at)
        if phase == HEAD:
            return self._feed_line(data, at) if self._words is None else self._feed_head(data, at, at)
        if phase == DONE:
            return len(data)
        return self._feed_body(data, at)

    def again(self, data: bytes) -> Request | None:
        """The request that these very bytes were read as before, if all they are is one: once is enough."""
        known = self._known
        if known is None or data != self._known_head or self.phase != BETWEEN or self._cr:
            return None
        return Request(
            id=next(self._ids),
            method=known.method,
            path=known.path,
            query=known.query,
            host=known.host,
            version=known.version,
            client=known.client,
            headers=known.headers,
            body=known.body,
        )

    def give_up(self, error: RequestError) -> None:
        """Reads no more of a body that does not come."""
        if self.intake is not None:
            self._break_body(self.intake, error)

    def stop(self) -> None:
        """Ends the reading."""
        self.phase = DONE
        self.intake = None
        self.moved = False

    def free(self) -> None:
        """Ends the reading for good, and lets go of whatever refers back to this object."""
        self.give_up(BadRequest("the client went away"))
        self.stop()
        del self._parser, self._on_read

    def _begin(self) -> None:
        self.moved = True
        self.phase = HEAD
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_done = self._keep = self._spent = False
        self._size = 0
        self._line = self._tail = b""
        self._words: tuple[str, bytes, str] | None = None

    def _skip_empty_lines(self, data: bytes, at: int) -> int:
        """RFC 9112 section 2.2: empty lines in front of a request are ignored, if they are CR LF."""
        if self._cr:
            self._cr = False
            if data[at] != _LF:
                self._line = b""
                raise BadRequest("these bytes do not begin a request")
            at += 1
        while data.startswith(b"\r\n", at):
            at += 2
        if at == len(data) - 1 and data[at] == _CR:
            self._cr = True
            return at + 1
        return at

    def _feed_line(self, data: bytes, at: int) -> int:
        """Gathers a request line; goes on with the rest of the head once it is whole and good."""
        stop = at + self._limits.target + _LINE_WORDS + 1 - len(self._line)
        end = data.find(b"\n", at, stop)
        if end < 0:
            self._gather(data[at:stop], whole=stop <= len(data))
            return len(data)
        begun = self._line
        self._line += data[at:end]
        self._words = request_line(self._line)
        if len(self._words[1]) > self._limits.target:
            raise TargetTooLong(f"a request target beyond {self._limits.target} bytes")
        if begun:
            self._feed_parser(begun)
        self._tail = b"\r\n"
        return self._feed_head(data, at, end + 1)

    def _gather(self, piece: bytes, *, whole: bool) -> None:
        """Keeps a part of a request line; `whole` is for one that has reached the limit."""
        early = len(self._line) < LINE_START
        self._line += piece
        if early:  # who does not speak HTTP hears so at once
            check_start(self._line[:LINE_START])
        if whole:
            raise TargetTooLong(f"a request line without an end in {len(self._line)} bytes")

    def _feed_head(self, data: bytes, start: int, at: int) -> int:
        """Gives a head to the parser, from `start` on, up to its end; its header block goes on at `at`."""
        end = self._next_end(data, at)
        self._size += end - at
        excess = self._size - self._limits.header_bytes
        if excess > 0:  # what is wrong in the part that is within the limit comes first
            self._feed_parser(data[start : end - excess])
            raise HeadersTooLarge(f"a header block beyond {self._limits.header_bytes} bytes")
        piece = data if end - start == len(data) else data[start:end]
        self._feed_parser(piece)
        if self._head_done and self._words is not None:
            request = self._finish_head(self._words)
            if self.phase == BETWEEN and len(piece) == len(self._line) + 1 + self._size <= _KNOWN_HEAD:
                self._known_head, self._known = piece, request
        else:
            self._tail = (self._tail + piece)[-3:]
        return end

    def _next_end(self, data: bytes, at: int) -> int:
        """Where the next CR LF CR LF ends, even if it began in earlier bytes; else the end of `data`."""
        tail = self._tail
        found = (tail + data[at : at + 3]).find(_END)
        if found >= 0:
            return at + found + 4 - len(tail)
        found = data.find(_END, at)
        return len(data) if found < 0 else found + 4

    def _feed_parser(self, piece: bytes) -> None:
        """Raises what the parser's complaint about a head means for the client."""
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # RFC 9110 section 7.8: an upgrade may be ignored
        except httptools.HttpParserCallbackError:
            raise  # a fault of ours
        except httptools.HttpParserInvalidMethodError:
            raise MethodUnknown("no such method") from None
        except httptools.HttpParserError as error:
            if str(error) in _OTHER_METHODS:
                raise MethodUnknown("a method of another protocol") from None
            raise BadRequest(str(error)) from None

    def _finish_head(self, words: tuple[str, bytes, str]) -> Request:
        method, target, version = words
        fields, limits = self._fields, self._limits
        if len(fields) > limits.header_fields:
            raise HeadersTooLarge(f"more than {limits.header_fields} header fields")
        host, size, expects, self._keep = examine(fields, version)
        path, query = split_target(method, target, host)
        host = host or target_host(target)
        if host != self._host:  # a client says the same on each request
            self._host, self._host_name = host, host_name(host)
        if size or self._spent:  # it waits for the body, or for nothing any more
            self._parser = httptools.HttpRequestParser(self)
        if size:
            body = self._expect_body(size, invited=not expects)
        else:
            body = self._no_body
            self.phase = BETWEEN if self._keep else DONE
        request = Request(
            id=next(self._ids),
            method=method,
            path=path,
            query=query,
            host=self._host_name,
            version=version,
            client=self._client,
            headers=Headers(tuple(fields)),
            body=body,
        )
        self.turn = Turn(request, self.intake, self._keep)
        return request

    def _expect_body(self, size: int, *, invited: bool) -> Body:
        self.intake = Intake(self._on_read, invited=invited)
        self.moved = True
        if size == CHUNKED:
            self.phase = CHUNKED_BODY
            self._chunks = Chunks(self._limits.header_bytes)
            return Body(self.intake)
        self.phase = SIZED_BODY
        self._left = size
        return Body(self.intake, size)

    def _feed_body(self, data: bytes, at: int) -> int:
        intake = self.intake
        if intake is None:  # there is one in both phases of a body
            raise RuntimeError("a body without an intake")
        if self.phase == SIZED_BODY:
            end = min(at + self._left, len(data))
            intake.feed(data if end - at == len(data) else data[at:end])
            self._left -= end - at
            ended = self._left == 0
        else:
            try:
                end = self._chunks.feed(data, at, intake.feed)
            except BadRequest as error:
                self._break_body(intake, error)
                return len(data)
            ended = self._chunks.done
            if ended and self._chunks.trailers:
                intake.trailers = Headers(self._chunks.trailers)
        if ended:
            intake.end()
            self.intake = None
            self.moved = True
            self.phase = BETWEEN if self._keep else DONE
        return end

    def _break_body(self, intake: Intake, error: RequestError) -> None:
        intake.fail(error)
        self.intake = None
        self.moved = True
        self.phase = DONE

    # What httptools calls. Neither may raise: it would pass through C and come out as something else.

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of a head; beyond the limit one more is kept, to be counted."""
        if len(self._fields) <= self._limits.header_fields:
            self._fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is over."""
        self._head_done = True
        self._spent = not self._parser.should_keep_alive()
