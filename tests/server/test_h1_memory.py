"""What a connection keeps for what its client sends: a few times as much, and never more than so much.

Counted are the bytes of every object that the connection alone refers to (THREATS C3, S19).
"""

from __future__ import annotations

import asyncio
import gc
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import pytest

from server.doors import GET, Run, post, serving, until
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request, Response
from serverless_wasm.server.connection import Connection

KIB = 1024
TIMES = 4
"""Bytes kept for one byte sent."""
ALLOWED = 16 * KIB
"""Beside that, whatever was sent: what the parts of a hundred headers or sixteen requests are held by."""
MOST = 768 * KIB
"""However much was sent."""
READ = 256 * KIB
"""Bytes that an event loop reads at once, at most."""

_OTHERS = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


def kept(connection: Connection) -> int:
    """Bytes that are there for this connection, but for its transport and one header that llhttp has."""
    seen = {id(item) for item in (connection._shared, connection._loop, connection._transport)}
    seen |= {id(item) for item in gc.get_referents(connection._shared)}
    todo: list[object] = [connection]
    total = 0
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, _OTHERS):
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        todo += gc.get_referents(item)
    return total


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


HEAD = b"GET /" + b"x" * 8000 + b" HTTP/1.1\r\nHost: a\r\n"
TINY = b"a:\r\n" * 98
LONG = b"a: " + b"x" * 31_000 + b"\r\n"
MANY = b"".join(b"name-%02d: %b\r\n" % (number, b"x" * 300) for number in range(98))
CHUNKED = post(b"Transfer-Encoding: chunked")
SIZED = post(b"Content-Length: 1000000000")
WITH_BODY = post(b"Content-Length: 1000", body=bytes(1000))
FLOODS: dict[str, Callable[[], Iterable[bytes]]] = {
    "a head, byte by byte": lambda: in_pieces(HEAD + LONG, 1),
    "tiny headers, byte by byte": lambda: in_pieces(HEAD + TINY, 1),
    "tiny headers and nothing else": lambda: in_pieces(GET[:-2] + TINY, 1),
    "many headers in pieces": lambda: in_pieces(HEAD + MANY, 7),
    "a body in pieces of two bytes": lambda: chain([SIZED], in_pieces(bytes(400_000), 2)),
    "a body in the largest pieces": lambda: chain([SIZED], repeat(bytes(READ), 10)),
    "chunks of two bytes": lambda: chain([CHUNKED], repeat(b"2\r\nab\r\n", 200_000)),
    "many chunks at once": lambda: chain([CHUNKED], repeat(b"2\r\nab\r\n" * 30_000, 10)),
    "chunk extensions": lambda: chain([CHUNKED], repeat(b"1;" + b"x" * 200 + b"\r\na\r\n", 100_000)),
    "tiny requests, one by one": lambda: repeat(GET, 10_000),
    "tiny requests at once": lambda: repeat(GET * 9000, 10),
    "large heads": lambda: repeat(HEAD + MANY + b"\r\n", 1000),
    "requests with bodies": lambda: repeat(WITH_BODY, 10_000),
    "a body, then requests": lambda: chain(
        [post(b"Content-Length: 64000")], repeat(b"x" * 1000, 64), repeat(GET * 9000, 10)
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_byte_sent_costs_no_more_than_four(run: Run, flood: str) -> None:
    """While a handler reads nothing and answers nothing; the reading stops before it is too much."""

    async def handler(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def main() -> None:
        async with serving(handler, DoorLimits()) as served:
            await served.connect()
            await served.until_connections(1)
            connection = served.connection
            before, sent, most = kept(connection), 0, 0.0
            for count, piece in enumerate(FLOODS[flood]()):
                if connection._held:
                    break
                connection.data_received(piece)
                sent += len(piece)
                if count % 1000 == 0:
                    await asyncio.sleep(0)
                    most = max(most, (kept(connection) - before - ALLOWED) / sent)
            much = kept(connection) - before
            assert max(most, (much - ALLOWED) / sent) <= TIMES
            assert much <= MOST

    run(main())


def test_a_body_that_is_dropped_is_not_kept(run: Run) -> None:
    """Once its request is answered, what still comes is counted and forgotten."""

    async def handler(request: Request) -> Response:
        return Response(status=200)

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            await client.ask(GET)
            before = kept(served.connection)
            await client.ask(CHUNKED)
            await client.send(b"f000\r\n" + bytes(0xF000) + b"\r\n")
            await until(lambda: served.connection._reader.intake.unwanted == 0xF000)  # type: ignore[union-attr] # it is there
            assert kept(served.connection) - before <= ALLOWED

    run(main())
