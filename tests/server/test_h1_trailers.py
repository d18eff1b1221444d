"""Fields behind a body: in both directions, for those who understand them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from server.doors import GET, Run, serving
from serverless_wasm.messages import Handler, Headers, Request, Response, Streaming
from serverless_wasm.server.wire import trailing

TE = b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\n\r\n"


class Made(Streaming):
    """A body of one piece, with these fields behind it."""

    def __init__(self, *fields: tuple[bytes, bytes]) -> None:
        self._fields = Headers(fields)
        self._pieces = [b"x"]

    @property
    def trailers(self) -> Headers:
        """Known once the piece was taken."""
        assert not self._pieces
        return self._fields

    def when_over(self, callback: Callable[[object], None]) -> None:
        """Nobody asks."""

    async def aclose(self) -> None:
        """Nothing is open."""

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


def with_trailers(*fields: tuple[bytes, bytes]) -> Handler:
    """A handler whose responses have these."""

    async def handler(_: Request) -> Response:
        return Response(status=200, body=Made(*fields))

    return handler


@pytest.mark.parametrize(
    ("request_", "end"),
    [(TE, b"0\r\nsum: 7\r\n\r\n"), (GET, b"0\r\n\r\n")],
    ids=["asked for", "not asked for"],
)
def test_trailers_of_a_response(request_: bytes, end: bytes, run: Run) -> None:
    """They go out to a client that has said it takes them, without those that no trailer may be."""

    async def main() -> None:
        handler = with_trailers((b"Sum", b"7"), (b"content-length", b"5"), (b"Set-Cookie", b"a"))
        async with serving(handler) as served:
            client = await served.connect()
            for _ in range(2):
                await client.send(request_)
                await client.head()
                assert b"1\r\nx\r\n" + end == await client.reader.readexactly(6 + len(end))

    run(main())


def test_a_trailer_that_is_no_field_cuts_the_body(run: Run) -> None:
    """It never gets to split a response."""

    async def main() -> None:
        async with serving(with_trailers((b"a", b"b\r\n\r\nsplit"))) as served:
            client = await served.connect()
            await client.send(TE)
            received = b""
            with suppress(ConnectionResetError):
                while data := await client.reader.read(1000):
                    received += data
            assert b"split" not in received
            assert not received.endswith(b"0\r\n\r\n")

    run(main())


@pytest.mark.parametrize("name", [b"content-type", b"Transfer-Encoding", b"TRAILER", b"authorization"])
def test_fields_that_are_for_heads(name: bytes) -> None:
    """They are left out."""
    assert trailing(Headers(((name, b"x"), (b"a", b"b")))) == b"a: b\r\n"


def test_trailers_of_a_request(run: Run) -> None:
    """Whoever has read the body to its end finds them, names in lower case; another request has its own."""
    seen: list[tuple[tuple[bytes, bytes], ...]] = []

    async def handler(request: Request) -> Response:
        assert b"".join([piece async for piece in request.body]) == b"hello"
        seen.append(request.body.trailers.fields)
        return Response(status=200)

    async def main() -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
        async with serving(handler) as served:
            client = await served.connect()
            for trailers in (b"Sum: 7 \r\nsum:\r\n", b""):
                assert (await client.ask(head + trailers + b"\r\n")).status == 200
                await asyncio.sleep(0)

    run(main())
    assert seen == [((b"sum", b"7"), (b"sum", b"")), ()]
