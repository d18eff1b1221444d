"""The response that a guest is making, checked as it grows.

Bytes from the guest come in; one valid `Response` goes out.
It must never let a byte through that could end a line, nor keep more than the limits say.
"""

from __future__ import annotations

import re

from serverless_wasm.errors import BadResponse, HostLimit
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Headers, Response
from serverless_wasm.text import printable

REASON_LIMIT = 256
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2, token
_TEXT = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 section 5.5, field-value
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""Computed anew by the door, which would take a declared length at its word for a HEAD or a stream."""


_NO_HEADERS = Headers()


def is_field(name: bytes, value: bytes) -> bool:
    """Whether they can stand in a header block."""
    return bool(_NAME.fullmatch(name) and _TEXT.fullmatch(value))


class ResponseDraft:
    """What a guest has said so far; every setter raises InvocationError for what HTTP forbids."""

    __slots__ = ("_body", "_field_bytes", "_fields", "_limits", "_reason", "_status")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._status: int | None = None
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._field_bytes = 0
        self._body: bytes | None = None

    def set_status(self, status: int, reason: bytes) -> None:
        """Sets status and reason; the last call wins. Only final statuses, 200 to 599, are taken."""
        if not 200 <= status <= 599:
            raise BadResponse(f"status {status} is not between 200 and 599")
        if len(reason) > REASON_LIMIT or not _TEXT.fullmatch(reason):
            raise BadResponse(f"reason {printable(reason, 64)} cannot stand in a status line")
        self._status, self._reason = status, reason

    def add_header(self, name: bytes, value: bytes) -> None:
        """Adds a field; order and duplicates are kept, white space around the value is not."""
        value = value.strip(b" \t")
        if not _NAME.fullmatch(name):
            raise BadResponse(f"header name {printable(name, 64)} is not a token")
        if not _TEXT.fullmatch(value):
            raise BadResponse(f"value of header {printable(name, 64)} has a control character")
        self._field_bytes += len(name) + len(value)
        if len(self._fields) >= self._limits.response_headers:
            raise HostLimit(f"response_headers: more than {self._limits.response_headers}")
        if self._field_bytes > self._limits.response_header_bytes:
            raise HostLimit(f"response_header_bytes: more than {self._limits.response_header_bytes}")
        name = name.lower()
        if name not in _FRAMING:
            self._fields.append((name, value))

    def set_body(self, body: bytes) -> None:
        """Sets the body; the last call wins."""
        self._body = body

    def finish(self) -> Response:
        """The response; raises BadResponse when the guest set nothing at all.

        A body or a header without a status means 200.
        """
        if self._status is None and self._body is None and not self._field_bytes:
            raise BadResponse("the guest set no response")
        return Response(
            status=self._status or 200,
            reason=self._reason,
            headers=Headers(tuple(self._fields)) if self._fields else _NO_HEADERS,
            body=self._body or b"",
        )
