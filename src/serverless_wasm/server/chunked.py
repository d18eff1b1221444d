"""The chunked coding of a request body (RFC 9112 section 7.1), in one reading only.

Bytes come in however the network cuts them; the body's bytes go out, and the place where the message ends.
It must never guess, nor let lines around the data grow beyond a limit: both are BadRequest.

This is not left to the parser of heads, which cannot say where in its input it is: what is refused would
depend on how the network cuts the bytes, and each chunk, however small, would be held as an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from serverless_wasm.errors import BadRequest

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*"'

# RFC 9112 section 7.1.1 lets "bad whitespace" stand around `;` and `=`. Nobody sends it but to be misread.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;%b(?:=(?:%b|%b))?)*\r\n" % (_TOKEN, _TOKEN, _QUOTED))
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_TRAILER = re.compile(rb"(%b):([\t \x21-\x7e\x80-\xff]*)\r\n" % _TOKEN)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""Fields that no trailer may have (RFC 9110 section 6.5.1): what they said would come too late."""

_FREE = 18
"""Bytes of a line that count towards no limit: a size of 16 digits and a line end."""

_SIZE_LINE, _DATA, _DATA_END, _TRAILER_LINE, _DONE = range(5)


class Chunks:
    """Takes one body apart; `limit` is for the bytes of extensions and trailers, all together."""

    __slots__ = ("_left", "_line", "_phase", "_room", "trailers")

    def __init__(self, limit: int) -> None:
        self._left = 0
        self._line = b""
        self._phase = _SIZE_LINE
        self._room = limit
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        """Fields behind the data, names in lower case; all of them once it is done."""

    @property
    def done(self) -> bool:
        """Whether the end of the message has been read."""
        return self._phase == _DONE

    def feed(self, data: bytes, at: int, take: Callable[[bytes], None]) -> int:
        """Reads `data` from `at` on; returns where the message ends, or the end of `data`.

        `take` is called once with all bytes of the body found, if there are any, even before a BadRequest.
        """
        pieces: list[bytes] = []
        try:
            while at < len(data) and self._phase != _DONE:
                if self._phase == _DATA:
                    at = self._read_data(data, at, pieces)
                elif self._phase == _SIZE_LINE and not self._line:
                    at = _read_plain(data, at, pieces)
                    if data.startswith(b"0\r\n\r\n", at):
                        self._phase = _DONE
                        at += 5
                    else:
                        at = self._read_line(data, at)
                else:
                    at = self._read_line(data, at)
        finally:
            if pieces:
                take(b"".join(pieces))
        return at

    def _read_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        piece = data[at : at + self._left]
        pieces.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._phase = _DATA_END
        return at + len(piece)

    def _read_line(self, data: bytes, at: int) -> int:
        longest = 2 if self._phase == _DATA_END else self._room + _FREE
        stop = at + longest - len(self._line)
        end = data.find(b"\n", at, stop) + 1
        line = self._line + data[at : end or stop]
        if end:
            self._line = b""
            self._judge(line)
            return end
        if len(line) == longest:
            raise BadRequest(_TOO_LONG[self._phase])
        self._line = line
        return len(data)

    def _judge(self, line: bytes) -> None:
        """Takes a whole line for what is due."""
        self._room -= max(0, len(line) - _FREE)
        if self._phase == _SIZE_LINE:
            self._judge_size(line)
        elif self._phase == _DATA_END:
            if line != b"\r\n":
                raise BadRequest(_TOO_LONG[_DATA_END])
            self._phase = _SIZE_LINE
        elif line == b"\r\n":
            self._phase = _DONE
        else:
            self._judge_trailer(line)

    def _judge_size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadRequest("not the size of a chunk (RFC 9112 section 7.1)")
        self._left = int(match[1], 16)
        self._phase = _DATA if self._left else _TRAILER_LINE

    def _judge_trailer(self, line: bytes) -> None:
        match = _TRAILER.fullmatch(line)
        if match is None:
            raise BadRequest("not a trailer field (RFC 9112 section 7.1.2)")
        if match[1].lower() in _FRAMING:
            raise BadRequest("a trailer field about framing")
        self._room -= _FREE  # however short it is: each takes some work
        if self._room < 0:
            raise BadRequest(_TOO_LONG[_TRAILER_LINE])
        self.trailers += ((match[1].lower(), match[2].strip(b" \t")),)


_TOO_LONG = {
    _SIZE_LINE: "chunk extensions beyond the header limit",
    _DATA_END: "the data of a chunk does not end where its size says",
    _TRAILER_LINE: "trailers beyond the header limit",
}


def _read_plain(data: bytes, at: int, pieces: list[bytes]) -> int:
    """Passes chunks that are here whole and have no extensions: almost all, and the small ones matter."""
    while match := _PLAIN_SIZE.match(data, at):
        start = match.end()
        end = start + int(match[1], 16)
        if end == start or data[end : end + 2] != b"\r\n":
            break
        pieces.append(data[start:end])
        at = end + 2
    return at
