"""A backend that believes whatever a proxy sends, and keeps it.

Requests of a proxy come in; the same, under the port of the client that the proxy had them from, go out.
It must never judge: what a proxy makes of its client's bytes is the proxy's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import unquote_to_bytes

from differential.grammar import Request

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
DROPPED = frozenset(
    b"connection content-length expect host keep-alive proxy-connection te trailer transfer-encoding upgrade "
    b"x-client-port".split()
)
"""Fields of one connection, and those that are compared as something else."""

Book = dict[int, list[Request]]
"""Requests by the port of the client, in their order."""


class Backend(asyncio.Protocol):
    """One connection of a proxy."""

    _transport: asyncio.Transport

    def __init__(self, book: Book) -> None:
        self._book = book
        self._received = b""
        self._tunnel = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers where to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers and records each request that is whole."""
        self._received += data
        while not self._tunnel:  # RFC 9110 section 9.3.6: what follows a CONNECT that was answered 200
            found = _take(self._received)
            if found is None:
                return
            port, request, size = found
            self._received = self._received[size:]
            self._tunnel = request.method == b"CONNECT"
            self._book.setdefault(port, []).append(request)
            self._transport.write(ANSWER)


@asynccontextmanager
async def recording(book: Book) -> AsyncIterator[int]:
    """A backend on a free port."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Backend(book), "127.0.0.1", 0, backlog=1024
    )
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def _take(data: bytes) -> tuple[int, Request, int] | None:
    """The client's port, or 0 if the proxy did not say it; the request; its size. None if it is not whole."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    line, *lines = head.split(b"\r\n")
    method, _, target = line.rpartition(b" ")[0].partition(b" ")
    pairs = [
        (name.lower(), value.strip(b" \t")) for name, _, value in (text.partition(b":") for text in lines)
    ]
    values = dict(pairs)
    framed = _body(values, rest)
    if framed is None:
        return None
    body, size = framed
    path, query = plain_path(target)
    host = host_name(values.get(b"host", b""))
    request = Request(method, path, query, host, ends(pairs), body, head)
    return int(values.get(b"x-client-port", b"0")), request, len(head) + 4 + size


def _body(values: dict[bytes, bytes], rest: bytes) -> tuple[bytes, int] | None:
    if b"transfer-encoding" not in values:
        size = int(values.get(b"content-length", b"0"))
        return None if len(rest) < size else (rest[:size], size)
    body, at = b"", 0
    while True:
        line, end, after = rest[at:].partition(b"\r\n")
        size = int(line, 16) if end else 0
        if not size:  # trailers, if there are any, and an empty line
            trailers, end, _ = (b"\r\n" + after).partition(b"\r\n\r\n")
            return (body, at + len(line) + len(trailers) + 4) if end else None
        at += len(line) + 2 + size + 2
        if len(rest) < at:
            return None
        body += rest[at - 2 - size : at - 2]


def ends(pairs: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The fields that are meant for whoever answers; of different names, the order says nothing."""
    return tuple(sorted((pair for pair in pairs if pair[0] not in DROPPED), key=lambda pair: pair[0]))


def host_name(host: bytes) -> str:
    """A Host without its port, in lower case."""
    name, colon, port = host.rpartition(b":")
    return (name if colon and (port.isdigit() or not port) else host).decode("latin-1").lower()


def plain_path(target: bytes) -> tuple[str, bytes]:
    """Path and query of a target; the path decoded, its dot segments removed (RFC 3986 section 5.2.4)."""
    if b"://" in target.partition(b"?")[0].partition(b"#")[0] and not target.startswith(b"/"):
        rest = target.partition(b"://")[2]
        cut = min((place for place in (rest.find(b"/"), rest.find(b"?")) if place >= 0), default=len(rest))
        target = rest[cut:] if rest[cut:].startswith(b"/") else b"/" + rest[cut:]
    path, _, query = target.partition(b"?")
    text = unquote_to_bytes(path).decode("utf-8", "surrogateescape")
    if "/." not in text:
        return text, query
    kept: list[str] = []
    segments = text.split("/")[1:]
    for place, segment in enumerate(segments):
        if segment not in {".", ".."}:
            kept.append(segment)
            continue
        if segment == "..":
            kept = kept[:-1]
        kept += [""] * (place == len(segments) - 1)
    return "/" + "/".join(kept), query
