"""The head of a CGI answer: what a script writes before the empty line (RFC 3875 section 6).

Bytes of standard output come in; a status, fields and the beginning of the body go out.
It must never take a line for a field that is none, nor read more than the limits of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

from serverless_wasm.abi.response import ResponseDraft, is_field
from serverless_wasm.errors import BadResponse, BadStatus
from serverless_wasm.limits import Limits
from serverless_wasm.text import printable

_OK = (200, b"")
_REDIRECT = (302, b"Found")


@dataclass(frozen=True, slots=True)
class Head:
    """What came before the body; lines that were no fields are in `strange`."""

    draft: ResponseDraft
    strange: tuple[bytes, ...]


class HeadReader:
    """Collects standard output until its head is whole."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = limits.response_header_bytes + 4 * limits.response_headers + 1024
        self._text = bytearray()
        self.rest = b""
        """What came behind the empty line."""

    def feed(self, data: bytes) -> Head | None:
        """The head once it is whole; raises BadResponse for one that never will be."""
        looked = max(len(self._text) - 3, 0)
        self._text += data
        end, size = _end(self._text, looked)
        if end < 0:
            if len(self._text) > self._most:
                raise BadResponse(f"no empty line within {self._most} bytes of standard output")
            return None
        self.rest = bytes(self._text[end + size :])
        return self._parse(bytes(self._text[:end]))

    @property
    def begun(self) -> bool:
        """Whether there was any output."""
        return bool(self._text)

    def _parse(self, text: bytes) -> Head:
        draft, strange = ResponseDraft(self._limits), []
        status, names = b"", set()
        for line in filter(None, text.replace(b"\r", b"").split(b"\n")):
            name, colon, value = line.partition(b":")
            key = name.strip().lower()
            if colon and key == b"status":
                status = value.strip()
            elif colon and is_field(key, value.strip()):
                names.add(key)
                draft.add_header(key, value)
            else:
                strange.append(line)
        if not status and not names & {b"content-type", b"location"}:
            raise BadResponse("standard output begins with neither Content-Type, Location nor Status")
        number, reason = _status(status) if status else _REDIRECT if b"location" in names else _OK
        draft.set_status(number, reason)
        return Head(draft, tuple(strange))


def _end(text: bytearray, start: int) -> tuple[int, int]:
    """Where the first empty line begins and how long it is, or -1."""
    for mark in (b"\n", b"\r\n"):
        if text.startswith(mark):
            return 0, len(mark)
    found = [(at, len(mark)) for mark in (b"\n\n", b"\n\r\n") if (at := text.find(mark, start)) >= 0]
    return min(found, default=(-1, 0))


def _status(value: bytes) -> tuple[int, bytes]:
    code, _, reason = value.partition(b" ")
    if not (len(code) == 3 and code.isdigit() and 200 <= int(code) <= 599):
        raise BadStatus(f"Status {printable(value, 64)} is not a number from 200 to 599 and a reason")
    return int(code), reason.strip()
