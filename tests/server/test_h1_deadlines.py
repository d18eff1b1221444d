"""Deadlines of the HTTP/1.1 door: every slow client is got rid of, and no other (THREATS C1, C2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from server.doors import GET, Client, Run, echo, hello, post, serving
from serverless_wasm.errors import RequestTimeout
from serverless_wasm.events import RequestRefused
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request, Response

CHUNKED = b"Transfer-Encoding: chunked"


async def trickle(client: Client, data: bytes) -> None:
    """Sends a byte now and then until the door ends the connection: no single wait is long."""
    for byte in data:
        if client.reader.at_eof():
            return
        try:
            await client.send(bytes([byte]))
        except ConnectionError:
            return
        await asyncio.sleep(0.01)


def test_a_slow_head_gets_408(run: Run) -> None:
    """The time is for the whole head: a byte now and then does not buy more."""

    async def main() -> None:
        async with serving(hello, DoorLimits(header_timeout=0.2)) as served:
            for start in (b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nA: ", GET + b"GET /"):
                client = await served.connect()
                await client.send(start or b"G")
                slow = asyncio.create_task(trickle(client, b"x" * 10_000))
                if start.startswith(GET):
                    assert 200 == (await client.answer()).status
                if start.startswith(b"GET"):
                    answer = await client.answer()
                    assert (408, b"close") == (answer.status, answer.header(b"connection"))
                    event = served.events.pop()
                    assert isinstance(event, RequestRefused)
                    assert RequestTimeout.code == event.code
                await client.ended()
                await slow

    run(main())


def test_a_head_gets_its_time_anew(run: Run) -> None:
    """Each request of a connection has a deadline of its own, even if no read ever ends between two."""

    async def main() -> None:
        limit = 0.8
        async with serving(hello, DoorLimits(header_timeout=limit)) as served:
            client = await served.connect()
            loop = asyncio.get_running_loop()
            end = loop.time() + 1.25 * limit
            await client.send(GET[:9])
            while loop.time() < end:
                await client.send(GET[9:] + GET[:9])
                assert 200 == (await client.answer()).status
                await asyncio.sleep(0.01)
            assert [] == served.events

    run(main())


def test_a_slow_body_gets_408(run: Run) -> None:
    """The handler that waits for it is told, and its client too."""

    async def main() -> None:
        async with serving(echo, DoorLimits(body_timeout=0.2)) as served:
            for framing, sent in [
                (b"Content-Length: 100000", b"x" * 1000),
                (CHUNKED, b"1\r\nx\r\n" * 200),
            ]:
                client = await served.connect()
                await client.send(post(framing))
                slow = asyncio.create_task(trickle(client, sent))
                answer = await client.answer()
                assert (408, b"close") == (answer.status, answer.header(b"connection"))
                assert b"" == await client.ended()
                await slow

    run(main())


def test_a_body_may_take_long_if_it_keeps_coming(run: Run) -> None:
    """A client that brings `body_rate` has no other deadline, whatever the size; no read is long."""

    async def main() -> None:
        limits = DoorLimits(body_timeout=1, body_rate=2000)
        async with serving(echo, limits) as served:
            for framing, piece in [(b"Content-Length: 20000", bytes(200)), (CHUNKED, b"c8\r\n" + bytes(200))]:
                client = await served.connect()
                await client.send(post(framing))
                for _ in range(100):
                    await client.send(piece + (b"\r\n" if framing == CHUNKED else b""))
                    await asyncio.sleep(0.012)
                answer = await client.ask(b"0\r\n\r\n" if framing == CHUNKED else b"")
                assert (200, 20_000) == (answer.status, len(answer.body))

    run(main())


def test_a_burst_buys_no_more_than_a_pause(run: Run) -> None:
    """Half a body at once, and then nothing, is as late as no body at all."""

    async def main() -> None:
        async with serving(echo, DoorLimits(body_timeout=0.2, body_rate=1)) as served:
            client = await served.connect()
            assert 408 == (await client.ask(post(b"Content-Length: 20000", body=bytes(10_000)))).status

    run(main())


def test_a_slow_body_that_nobody_reads_ends_the_connection(run: Run) -> None:
    """The answer is out by then; the body's deadline still holds."""

    async def main() -> None:
        async with serving(hello, DoorLimits(body_timeout=0.1)) as served:
            client = await served.connect()
            assert 200 == (await client.ask(post(b"Content-Length: 10", body=b"x"))).status
            assert b"" == await client.ended()

    run(main())


def test_the_body_of_a_slow_handler_is_not_late(run: Run) -> None:
    """Time during which it is we who do not read is not the client's."""

    async def main() -> None:
        size = 8 * 1024 * 1024

        async def handler(request: Request) -> Response:
            await asyncio.sleep(1.2)
            return await echo(request)

        async with serving(handler, DoorLimits(body_timeout=1.0)) as served:
            client = await served.connect()
            sending = asyncio.create_task(client.send(post(b"Content-Length: %d" % size, body=bytes(size))))
            assert (200, size) == ((answer := await client.answer()).status, len(answer.body))
            await sending

    run(main())


def test_a_client_that_was_not_told_to_send_is_not_late(run: Run) -> None:
    """The body's time begins with 100 Continue, if one is asked for."""

    async def main() -> None:
        async def handler(request: Request) -> Response:
            await asyncio.sleep(0.5)
            return await echo(request)

        async with serving(handler, DoorLimits(body_timeout=0.4)) as served:
            client = await served.connect()
            assert 100 == await client.head_of(post(b"Content-Length: 3", b"Expect: 100-continue"))
            assert b"abc" == (await client.ask(b"abc")).body
            assert 100 == await client.head_of(post(b"Content-Length: 3", b"Expect: 100-continue"))
            assert 408 == (await client.answer()).status

    run(main())


def test_an_idle_connection_is_closed_without_a_word(run: Run) -> None:
    """Nothing was asked, so nothing is answered: before the first request, between two, after empty lines."""

    async def main() -> None:
        async with serving(hello, DoorLimits(idle_timeout=0.3)) as served:
            unread = post(b"Content-Length: 3")
            for start in (b"", GET, b"\r\n\r\n", unread):
                client = await served.connect()
                await client.send(start)
                if start in {GET, unread}:
                    await client.answer()
                if start == unread:
                    await client.send(b"abc")
                assert b"" == await client.ended()
            assert [] == served.events

    run(main())


def test_a_connection_that_never_asks_has_the_time_of_a_head(run: Run) -> None:
    """It has shown no reason for more patience than that; an old client has."""

    async def main() -> None:
        async with serving(hello, DoorLimits(header_timeout=0.2, idle_timeout=30.0)) as served:
            old, new = await served.connect(), await served.connect()
            await old.ask(GET)
            assert b"" == await new.ended()
            assert 200 == (await old.ask(GET)).status
            assert [] == served.events

    run(main())


def test_a_handler_may_take_longer_than_any_client(run: Run) -> None:
    """The deadlines of the door are for clients; the application has its own."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0.05)
            yield b"x"

    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.4)
        return Response(status=200, body=chunks())

    async def main() -> None:
        short = DoorLimits(header_timeout=0.3, body_timeout=0.3, idle_timeout=0.3, write_timeout=0.3)
        async with serving(handler, short) as served:
            client = await served.connect()
            assert b"xxxxx" == (await client.ask(GET)).body
            assert b"xxxxx" == (await client.ask(post(b"Content-Length: 3", body=b"abc"))).body

    run(main())


def test_a_client_that_does_not_leave_is_left(run: Run) -> None:
    """After its last answer a client has a little time to close; then the door does."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            assert 400 == (await client.ask(b"GET / HTTP/1.1\r\n\r\n")).status
            assert b"" == await client.ended()
            assert 1 == served.door.connections
            await served.until_connections(0)

    run(main())
