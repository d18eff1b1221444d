"""The client of the probe and of the bad neighbour: answers of both framings, and connections that end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from benchmarks.client import FAULTS, Answer, Client, Pool, written
from benchmarks.load import HOST, Request

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"


def served(replies: list[bytes], work: Callable[[int], Awaitable[None]]) -> list[bytes]:
    """Answers one request after the other with these bytes, then closes; what was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while replies:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            asked.append(head + await reader.readexactly(length))
            writer.write(replies.pop(0))
            await writer.drain()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, HOST, 0) as server:
            await work(server.sockets[0].getsockname()[1])

    asyncio.run(run())
    return asked


def test_answers_of_both_framings_are_read_whole() -> None:
    """A body with a length and one in chunks come out, one after the other on one connection."""
    answers = []

    async def work(port: int) -> None:
        client = await Client.connect(port)
        answers.extend([await client.ask(written(Request())) for _ in range(2)])
        client.close()

    served([HELLO, CHUNKED], work)
    assert [Answer(status=200, body=b"hello"), Answer(status=500, body=b"hello")] == answers


def test_a_request_is_written_with_its_length() -> None:
    """A body goes with its length; a request without one has none."""
    post = Request(method="POST", path="/echo", body=b"\x00\xff")

    async def work(port: int) -> None:
        client = await Client.connect(port)
        for request in (post, Request()):
            await client.ask(written(request))
        client.close()

    first, second = served([HELLO, HELLO], work)
    assert first == b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n\x00\xff"
    assert second == b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"nonsense\r\n\r\n", HELLO[:-1]])
def test_no_answer_is_a_fault(reply: bytes) -> None:
    """A connection that ends, or bytes that are no answer with a length, raise one of FAULTS."""

    async def work(port: int) -> None:
        client = await Client.connect(port)
        with pytest.raises(FAULTS):
            await client.ask(written(Request()))
        client.close()

    served([reply], work)


def test_a_connection_that_has_ended_is_not_used_again() -> None:
    """The pool asks on a new connection when the server has closed the one it kept."""
    answers = []

    async def work(port: int) -> None:
        pool = Pool(port)
        async with pool.client() as first:
            answers.append(await first.ask(written(Request())))
        assert await first._reader.read() == b""  # it has closed
        replies.append(HELLO)
        async with pool.client() as second:
            answers.append(await second.ask(written(Request())))
        assert first is not second
        pool.close()

    replies = [HELLO]
    served(replies, work)
    assert [200, 200] == [answer.status for answer in answers]
