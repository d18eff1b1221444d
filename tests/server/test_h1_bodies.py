"""Bodies on their way in: streamed, held back, asked for, left unread, cut off."""

from __future__ import annotations

import asyncio

import pytest

from server.doors import GET, Client, Run, echo, hello, post, serving, stream_back, until
from serverless_wasm.errors import BodyTooLarge
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request, Response
from serverless_wasm.server.connection import DRAIN

MIB = 1024 * 1024
CONTINUE = b"Expect: 100-continue"


def test_a_body_reaches_the_handler_as_it_arrives(run: Run) -> None:
    """The first bytes are there before the last are sent."""

    async def main() -> None:
        first = asyncio.get_running_loop().create_future()

        async def handler(request: Request) -> Response:
            pieces = []
            async for piece in request.body:
                pieces.append(piece)
                if not first.done():
                    first.set_result(piece)
            return Response(status=200, body=b"".join(pieces))

        async with serving(handler) as served:
            client = await served.connect()
            await client.send(post(b"Content-Length: 6", body=b"abc"))
            assert b"abc" == await first
            assert b"abcdef" == (await client.ask(b"def")).body

    run(main())


@pytest.mark.parametrize(
    ("request_bytes", "size"),
    [
        (GET, 0),
        (post(b"Content-Length: 0"), 0),
        (post(b"Content-Length: 3", body=b"abc"), 3),
        (post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), None),
    ],
)
def test_the_handler_knows_the_size_that_the_client_said(
    run: Run, request_bytes: bytes, size: int | None
) -> None:
    """So that it can refuse a body before it arrives."""

    async def handler(request: Request) -> Response:
        return Response(status=200, body=repr(request.body.size).encode())

    async def main() -> None:
        async with serving(handler) as served:
            assert repr(size).encode() == (await (await served.connect()).ask(request_bytes)).body

    run(main())


def test_a_handler_that_does_not_read_holds_its_client_back(run: Run) -> None:
    """The door buffers 64 KiB and one read at most; the rest stays with the client until it is wanted."""

    async def main() -> None:
        go = asyncio.Event()

        async def handler(request: Request) -> Response:
            await go.wait()
            return await echo(request)

        async with serving(handler) as served:
            client = await served.connect()
            body = bytes(range(256)) * 4096 * 32
            sending = asyncio.create_task(client.send(post(b"Content-Length: %d" % len(body), body=body)))
            await served.until_connections(1)
            await until(lambda: served.connection._held)
            intake = served.connection._reader.intake
            assert intake is not None
            assert intake.buffered <= 512 * 1024
            assert not sending.done()
            go.set()
            answer = await client.answer()
            await sending
            assert body == answer.body

    run(main())


def test_a_body_streams_through(run: Run) -> None:
    """An iterator over the request's body is a response's body; both sides hold each other back."""

    async def main() -> None:
        async with serving(stream_back) as served:
            client = await served.connect()
            body = bytes(range(256)) * 4096 * 8
            for framing in (b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"):
                sent = body if framing.startswith(b"C") else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                sending = asyncio.create_task(client.send(post(framing, body=sent)))
                assert body == (await client.answer()).body
                await sending
            assert b"" == (await client.ask(GET)).body

    run(main())


def test_100_continue_is_sent_once_the_handler_reads(run: Run) -> None:
    """Not before; not if the body is there already; and the connection goes on."""

    async def main() -> None:
        go = asyncio.Event()

        async def handler(request: Request) -> Response:
            await go.wait()
            return await echo(request)

        async with serving(handler) as served:
            client, other = await served.connect(), await served.connect()
            await client.send(post(b"Content-Length: 3", CONTINUE))
            await other.ask(b"FOO / HTTP/1.1\r\n\r\n")
            assert not client.pending()
            go.set()
            assert (100, b"Continue") == ((head := await client.head()).status, head.reason)
            assert (200, b"abc") == ((answer := await client.ask(b"abc")).status, answer.body)
            eager = await client.ask(post(b"Content-Length: 3", CONTINUE, body=b"abc"))
            assert (200, b"abc") == (eager.status, eager.body)
            chunked = post(b"Transfer-Encoding: chunked", CONTINUE)
            assert 100 == (await client.ask(chunked)).status
            assert b"abc" == (await client.ask(b"3\r\nabc\r\n0\r\n\r\n")).body

    run(main())


def test_100_continue_is_not_sent_for_nothing(run: Run) -> None:
    """Not without a body, not to HTTP/1.0, not if the handler does not read: then its answer is the last."""

    async def main() -> None:
        async with serving(echo) as served:
            client = await served.connect()
            assert 200 == (await client.ask(post(b"Content-Length: 0", CONTINUE))).status
            old = b"POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
            assert (200, b"abc") == ((answer := await client.ask(old)).status, answer.body)
        async with serving(hello) as served:
            client = await served.connect()
            answer = await client.ask(post(b"Content-Length: 3", CONTINUE))
            assert (200, b"close") == (answer.status, answer.header(b"connection"))
            assert b"" == await client.ended()

    run(main())


def test_100_continue_comes_before_a_streamed_answer(run: Run) -> None:
    """An iterator that reads the body later can still be fed: afterwards a 100 would be part of the body."""

    async def main() -> None:
        async with serving(stream_back) as served:
            client = await served.connect()
            assert 100 == (await client.ask(post(b"Content-Length: 3", CONTINUE))).status
            await client.send(b"abc")
            assert b"abc" == (await client.answer()).body
            assert 200 == (await client.ask(GET)).status

    run(main())


@pytest.mark.parametrize("size", [1, DRAIN, DRAIN + 1, MIB])
def test_an_unread_body_is_drained_if_it_is_small(run: Run, size: int) -> None:
    """Up to 64 KiB the connection goes on; beyond, it says that it does not. The answer always arrives."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            answer = await client.ask(post(b"Content-Length: %d" % size))
            assert 200 == answer.status
            if size > DRAIN:
                assert b"close" == answer.header(b"connection")
                assert b"" == await client.ended()
            else:
                assert answer.header(b"connection") is None
                assert b"GET /?" == (await client.ask(bytes(size) + GET)).body

    run(main())


def test_an_unread_body_of_no_known_size_is_drained_up_to_a_point(run: Run) -> None:
    """Chunks are read past as long as they are few; a client that sends on and on is left."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            assert 200 == (await client.ask(post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))).status
            assert b"GET /?" == (await client.ask(b"3\r\nabc\r\n0\r\n\r\n" + GET)).body
            assert 200 == (await client.ask(post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))).status
            assert b"" == await flood(client)

    run(main())


async def flood(client: Client) -> bytes:
    """Sends chunks until the door has had enough."""
    try:
        while not client.reader.at_eof():
            await client.send(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    return await client.ended()


def test_the_answer_to_a_body_too_large_arrives(run: Run) -> None:
    """A client that is still sending gets its 413, and not a reset."""

    async def handler(request: Request) -> Response:
        await request.body.read(10)
        raise AssertionError("it is larger")

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            sending = asyncio.create_task(client.send(post(b"Content-Length: %d" % MIB, body=bytes(200_000))))
            answer = await client.answer()
            assert (413, b"close") == (answer.status, answer.header(b"connection"))
            assert BodyTooLarge.code == answer.json()["error"]
            assert b"" == await client.ended()
            await sending

    run(main())


def test_a_late_reader_gets_an_error(run: Run) -> None:
    """Whoever reads a body after its request was answered does not take what is missing for its end."""

    async def main() -> None:
        kept: list[Request] = []

        async def handler(request: Request) -> Response:
            kept.append(request)
            return Response(status=200)

        async with serving(handler) as served:
            client = await served.connect()
            await client.ask(post(b"Content-Length: 3", body=b"abc"))
            await client.ask(post(b"Content-Length: 3", body=b"a"))
            for request in kept:
                with pytest.raises(Exception, match="answered"):
                    await request.body.read(100)

    run(main())


def test_a_body_cannot_be_read_by_two_tasks(run: Run) -> None:
    """It would be shared out between them by chance."""

    async def main() -> None:
        failed = asyncio.Event()

        async def handler(request: Request) -> Response:
            first = asyncio.create_task(request.body.read(100))
            await asyncio.sleep(0)
            try:
                await request.body.read(100)
            except RuntimeError:
                failed.set()
            return Response(status=200, body=await first)

        async with serving(handler) as served:
            client = await served.connect()
            await client.send(post(b"Content-Length: 3"))
            await failed.wait()
            assert b"abc" == (await client.ask(b"abc")).body

    run(main())


def test_100_continue_is_for_the_request_whose_turn_it_is(run: Run) -> None:
    """A pipelined request that expects it hears nothing while the one before it is being answered."""

    async def main() -> None:
        async with serving(echo) as served:
            client = await served.connect()
            first = post(b"Content-Length: 3", body=b"abc")
            await client.send(first + post(b"Content-Length: 3", CONTINUE))
            assert [200, 100] == [(await client.answer()).status for _ in range(2)]
            assert b"def" == (await client.ask(b"def")).body

    run(main())


def test_an_empty_body_that_came_unasked_does_not_end_its_handler(run: Run) -> None:
    """It is whole before the handler asks: there is nothing to invite, and no deadline for it."""

    async def main() -> None:
        async def handler(request: Request) -> Response:
            await echo(request)
            await asyncio.sleep(0.2)
            return Response(status=200)

        async with serving(handler, DoorLimits(body_timeout=0.1)) as served:
            client = await served.connect()
            request = post(b"Transfer-Encoding: chunked", CONTINUE, body=b"0\r\n\r\n")
            assert [200, 200] == [await client.head_of(request), await client.head_of(request)]

    run(main())


def test_what_is_left_of_an_unread_body_is_judged_when_it_comes(run: Run) -> None:
    """Bad framing after the answer is the end of the connection, not a connection that hangs."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            assert 200 == (await client.ask(post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))).status
            await client.send(b"x\r\n")
            assert b"" == await client.ended()

    run(main())
