"""The way in: a connection's bytes become requests, bodies and refusals.

Bytes come in as they arrive; llhttp judges each one, and what it lets through is judged by `head`.
It must never hold more of a head than the limits allow, nor hand out a request before its head is good.

Each call of the parser ends where a head ends, or may end: at the next CR LF CR LF. So whatever follows a
message begins a call of its own, and the first line of every message can be read raw. That is needed: llhttp
takes two spaces for one, HTTP/0.9, HTTP/2.0, RTSP and ICE, and tells nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import httptools

from serverless_wasm.errors import (
    BadRequest,
    HeadersTooLarge,
    MethodUnknown,
    RequestError,
    TargetTooLong,
    VersionNotSupported,
)
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Body, Headers, Request
from serverless_wasm.server.head import (
    CHUNKED,
    examine,
    host_name,
    request_line,
    split_target,
    target_host,
    unknown_method,
)
from serverless_wasm.server.intake import Intake

# Where in a message the next byte belongs. Plain integers: looking an enum up costs as much as a header.
BETWEEN, HEAD, SIZED_BODY, CHUNKED_BODY, DONE = range(5)

_END = b"\r\n\r\n"
_LINE_WORDS = 64
"""Bytes of a request line beside its target: the longest method, two spaces, the version."""
_CHUNK_LINES = 24
"""Bytes around the data of one chunk: a size of 16 digits, zeros in front of it, two line ends."""

_KNOWN_HEAD = 1024
"""Bytes of a head that are kept, in case that the client sends the same again: most do, if not browsers."""

_MEANINGS: dict[str, Callable[[], RequestError]] = {
    "Invalid HTTP version": lambda: VersionNotSupported("neither HTTP/1.1 nor HTTP/1.0"),
    "Pause on PRI/Upgrade": lambda: VersionNotSupported("HTTP/2 on a port that speaks HTTP/1.1"),
    "Invalid method for HTTP/x.x request": lambda: MethodUnknown("a method of RTSP"),
}
"""The parser's complaints that are more than BadRequest; found by experiment, held by test_reader.py."""


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
        "_client",
        "_excess",
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
        "_line_open",
        "_message_done",
        "_no_body",
        "_on_read",
        "_parser",
        "_size",
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
            if at == 0 and self._known is not None and data == self._known_head:
                self._read_again(self._known)
                return len(data)
            while at < len(data) and data[at] in b"\r\n":  # RFC 9112 section 2.2: empty lines are ignored
                at += 1
            if at == len(data):
                return at
            self._begin()
            found = data.find(_END, at)
            end = len(data) if found < 0 else found + 4
        elif phase == DONE:
            return len(data)
        elif phase == SIZED_BODY:
            end = min(at + self._left, len(data))
        else:
            end = self._next_stop(data, at)
        piece = data if end - at == len(data) else data[at:end]
        if phase <= HEAD:
            self._feed_head(piece)
        else:
            self._feed_body(piece)
        return end

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

    def _read_again(self, known: Request) -> None:
        """Hands out the request that these very bytes were read as before: one reading is enough."""
        request = Request(
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
        self.turn = Turn(request, None, keep=True)
        self.moved = True

    def _begin(self) -> None:
        self.moved = True
        self.phase = HEAD
        self._excess = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_done = self._message_done = self._keep = False
        self._left = self._size = 0
        self._line = self._tail = b""
        self._line_open = True
        self._words: tuple[str, bytes, str] | None = None

    def _next_stop(self, data: bytes, at: int) -> int:
        """Where the next CR LF CR LF ends, even if it began in what was fed before."""
        tail = self._tail
        found = (tail + data[at : at + 3]).find(_END)
        if found >= 0:
            return at + found + 4 - len(tail)
        found = data.find(_END, at)
        return len(data) if found < 0 else found + 4

    def _feed_head(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._line_open:
            end = piece.find(b"\n")
            self._line_open = end < 0
            self._line += piece if end < 0 else piece[:end]
        refusal = self._oversize()
        if refusal is not None:  # what is wrong in the part that is within the limits comes first
            piece = piece[: self._limits.target + self._limits.header_bytes]
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # RFC 9110 section 7.8: an upgrade may be ignored; _read_body_anew makes good for the body
        except httptools.HttpParserError as error:
            raise self._refusal(error) from None
        if refusal is not None:
            raise refusal
        if self._words is None and not self._line_open:
            self._words = request_line(self._line.removesuffix(b"\r"))
        if self._head_done and self._words is not None:
            request = self._finish_head(self._words)
            if self.phase == BETWEEN and len(piece) == self._size <= _KNOWN_HEAD:
                self._known_head, self._known = piece, request
        else:
            self._tail = (self._tail + piece)[-3:]

    def _oversize(self) -> RequestError | None:
        limits, line = self._limits, len(self._line)
        if line > limits.target + _LINE_WORDS:
            return TargetTooLong(f"a request line beyond {limits.target} bytes")
        if self._size - line > limits.header_bytes:
            return HeadersTooLarge(f"a header block beyond {limits.header_bytes} bytes")
        return None

    def _refusal(self, error: httptools.HttpParserError) -> Exception:
        """What the parser's complaint about a head means for the client."""
        if isinstance(error, httptools.HttpParserCallbackError):
            return error  # a fault of ours
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            return unknown_method(self.line)
        meaning = _MEANINGS.get(str(error))
        return meaning() if meaning else BadRequest(str(error))

    def _finish_head(self, words: tuple[str, bytes, str]) -> Request:
        method, target, version = words
        fields, limits = self._fields, self._limits
        if len(target) > limits.target:
            raise TargetTooLong(f"a request target beyond {limits.target} bytes")
        if len(fields) > limits.header_fields:
            raise HeadersTooLarge(f"more than {limits.header_fields} header fields")
        host, size, expects, closes = examine(fields, version)
        path, query = split_target(method, target, host)
        host = host or target_host(target)
        if host != self._host:  # a client says the same on each request
            self._host, self._host_name = host, host_name(host)
        self._keep = self._keep and not closes
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
        self._fields = []  # a trailer's fields go there, and nowhere else
        self._tail = b""
        if self._message_done:
            self._read_body_anew(size)
        if size == CHUNKED:
            self.phase = CHUNKED_BODY
            return Body(self.intake)
        self.phase = SIZED_BODY
        self._left = size
        return Body(self.intake, size)

    def _read_body_anew(self, size: int) -> None:
        """Takes a new parser into the body: llhttp skips that of a request which asks for an upgrade."""
        framing = b"Transfer-Encoding: chunked" if size == CHUNKED else b"Content-Length: %d" % size
        self._parser = httptools.HttpRequestParser(self)
        keep, self._message_done = self._keep, False
        self._parser.feed_data(b"POST / HTTP/1.1\r\nHost: upgrade\r\n%b\r\n\r\n" % framing)
        self._keep = keep

    def _feed_body(self, piece: bytes) -> None:
        intake = self.intake
        if intake is None:  # there is one in both phases of a body
            raise RuntimeError("a body without an intake")
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            self._break_body(intake, BadRequest(f"in the body: {error}"))
            return
        if self.phase == SIZED_BODY:
            self._left -= len(piece)
            ended = self._left == 0
        else:
            self._excess += len(piece)
            self._tail = (self._tail + piece)[-3:]
            ended = self._message_done
        if self._excess > self._limits.header_bytes:
            self._break_body(intake, BadRequest("chunk extensions or trailers beyond the header limit"))
        elif ended:
            intake.end()
            self.intake = None
            self.moved = True
            self.phase = BETWEEN if self._keep else DONE

    def _break_body(self, intake: Intake, error: RequestError) -> None:
        intake.fail(error)
        self.intake = None
        self.moved = True
        self.phase = DONE

    # What httptools calls. None of these may raise: it would pass through C and come out as something else.

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of a head, or of a trailer; beyond the limit one more is kept, to be counted."""
        if len(self._fields) <= self._limits.header_fields:
            self._fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """The head is over."""
        self._head_done = True
        self._keep = self._parser.should_keep_alive()

    def on_chunk_header(self) -> None:
        """A chunk of honest framing has begun."""
        self._excess -= _CHUNK_LINES

    def on_body(self, data: bytes) -> None:
        """Bytes of the body."""
        self._excess -= len(data)
        if self.intake is not None:
            self.intake.feed(data)

    def on_message_complete(self) -> None:
        """The body is over; or was not looked for, if the client wants to upgrade."""
        self._message_done = True
