"""The bytes of a response, and the hygiene of its header fields, for both doors.

A Response comes in; a head that cannot be split, and the framing of its body, go out.
It must never let a handler's bytes decide where a message ends or a connection goes.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from serverless_wasm.errors import Error
from serverless_wasm.events import Emit, InternalFault
from serverless_wasm.messages import Headers, Request, Response

OURS = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"server",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that no handler can set: those of one connection (RFC 9110 section 7.6.1), and the server's own."""

_HEAD_ONLY = frozenset(
    {
        b"age",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"expires",
        b"host",
        b"location",
        b"max-forwards",
        b"pragma",
        b"retry-after",
        b"set-cookie",
        b"vary",
        b"www-authenticate",
    }
)
"""Fields that say how a message is to be handled, which is too late behind it (RFC 9110 section 6.5.1)."""

BODILESS = frozenset({204, 205, 304})
"""Statuses whose responses have no body (RFC 9110 sections 15.3.5, 15.3.6, 15.4.5)."""

# What bytes.translate deletes; a name or value of which anything is left is refused (RFC 9110 section 5).
_NAME_BYTES = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TEXT_BYTES = bytes({9, *range(32, 256)} - {127})
_STARTS = 64
"""Different first lines that are kept for a second: a service has few, unless a guest makes them up."""
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def fields(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields that may be sent, names in lower case.

    Raises ValueError for a name that is no token, or a value with CR, LF, NUL or another control.
    """
    kept: list[tuple[bytes, bytes]] = []
    for key, value in headers.fields:
        name = key.lower()
        if not name or name.translate(None, _NAME_BYTES):
            raise ValueError(f"not a header name: {key[:40]!r}")
        if value.translate(None, _TEXT_BYTES):
            raise ValueError(f"not a value for the header {key.decode()}: {value[:40]!r}")
        if name not in OURS:
            kept.append((name, value))
    return kept


def takes_trailers(request: Request) -> bool:
    """Whether the client has said that it does something with them.

    RFC 9110 section 6.5.1 has them sent only then, unless they may as well be lost, which no door can know.
    """
    said = b",".join(request.headers.all(b"te")).lower().split(b",")
    return any(option.strip(b" \t") == b"trailers" for option in said)


def trailing(headers: Headers) -> bytes:
    """The trailer section of a body, without what must not be there; raises ValueError as `fields` does."""
    return b"".join(b"%b: %b\r\n" % pair for pair in fields(headers) if pair[0] not in _HEAD_ONLY)


def length(request: Request, response: Response) -> int | None:
    """The Content-Length to announce; None where there is none, or none known.

    Counted for a body of bytes; what the handler says is used only where counting cannot tell:
    for an iterator, which is then held to it, and for the answer to HEAD when it has no body.
    Raises ValueError when the handler says it wrongly.
    """
    status, body = response.status, response.body
    if status in BODILESS:
        return 0 if status == 205 else None
    if isinstance(body, bytes) and (body or request.method != "HEAD"):
        return len(body)
    said = set(response.headers.all(b"content-length"))
    if not said:
        return 0 if isinstance(body, bytes) else None
    value = said.pop()
    if said or not value.isdigit():
        raise ValueError(f"not a Content-Length: {value[:40]!r}")
    return int(value)


def checked_status(status: int) -> int:
    """The status; raises ValueError if it is none of a final response, or none that fits a status line."""
    if not 200 <= status <= 999:
        raise ValueError(f"not the status of a final response: {status}")
    return status


def fault_response(emit: Emit, request_id: str, fault: BaseException) -> Response:
    """What a client sees of a fault of ours, which the operator sees whole."""
    emit(InternalFault(where="door", request_id=request_id, exception=fault))
    return Response.of_error(Error(), request_id)


class Heads:
    """Writes heads for one HTTP/1.1 door; what is the same all second long is kept."""

    def __init__(self) -> None:
        self._second = 0
        self._starts: dict[tuple[int, bytes], bytes] = {}

    def write(self, request: Request, response: Response, size: int | None, *, keep: bool) -> bytes:
        """The head of a response with `size` as its Content-Length, or framed some other way if None.

        `keep` says whether the connection goes on. A body of unknown size is chunked in HTTP/1.1;
        in HTTP/1.0 it ends with the connection, which `keep` must then allow for.
        Raises ValueError for a status, reason, name or value that HTTP forbids.
        """
        parts = [self.start(response.status, response.reason)]
        for name, value in fields(response.headers):
            parts += (name, b": ", value, b"\r\n")
        if size is not None:
            parts.append(b"content-length: %d\r\n" % size)
        elif request.version != "1.0" and request.method != "HEAD" and response.status not in BODILESS:
            parts.append(b"transfer-encoding: chunked\r\n")
        if not keep:
            parts.append(b"connection: close\r\n")
        elif request.version == "1.0":
            parts.append(b"connection: keep-alive\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def start(self, status: int, reason: bytes) -> bytes:
        """The first lines of a head: the status and what the server says of itself.

        Raises ValueError for a status or a reason that HTTP forbids.
        """
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._starts.clear()
        return self._starts.get((status, reason)) or self._start(status, reason)

    def _start(self, status: int, reason: bytes) -> bytes:
        checked_status(status)
        if reason.translate(None, _TEXT_BYTES):
            raise ValueError(f"not a reason phrase: {reason[:40]!r}")
        start = b"HTTP/1.1 %d %b\r\nserver: serverless-wasm\r\ndate: %b\r\n" % (
            status,
            reason or _REASONS.get(status, b""),
            formatdate(self._second, usegmt=True).encode(),
        )
        if len(self._starts) < _STARTS:
            self._starts[status, reason] = start
        return start
