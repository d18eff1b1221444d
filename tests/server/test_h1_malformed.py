"""The HTTP/1.1 door against clients that do not speak HTTP: the right status, then the end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from random import Random

import pytest

from server.doors import GET, Run, echo, hello, post, serving
from server.malformed import BODIES, HEADS
from serverless_wasm.events import RequestRefused
from serverless_wasm.messages import Request, Response


def test_malformed_heads_are_refused_and_the_connection_closed(run: Run) -> None:
    """Each gets its status, a JSON body with its id, one event with the same id, and nothing after it."""

    async def main() -> None:
        async with serving(hello) as served:
            for name, data, status in HEADS:
                client = await served.connect()
                answer = await client.ask(data)
                event = served.events.pop()

                assert isinstance(event, RequestRefused), name
                assert (status, status) == (answer.status, event.status), name
                assert {"error": event.code, "request_id": event.request_id} == answer.json(), name
                assert b"close" == answer.header(b"connection"), name
                assert b"" == await client.ended(), name
                assert [] == served.events, name

    run(main())


def test_malformed_heads_are_refused_however_they_arrive(run: Run, seed: int) -> None:
    """In pieces cut at random, each gets the same status, and the connection is closed."""

    async def main() -> None:
        random = Random(seed)  # noqa: S311 - to be told again
        async with serving(hello) as served:
            for name, data, status in HEADS:
                client = await served.connect()
                cuts = sorted(random.randrange(len(data)) for _ in range(4))
                with suppress(ConnectionError):  # the door does not wait for the last piece
                    for start, end in pairwise([0, *cuts, len(data)]):
                        await client.send(data[start:end])
                        await asyncio.sleep(0)
                answer = await client.answer()

                assert (status, b"close") == (answer.status, answer.header(b"connection")), (name, seed)
                assert b"" == await client.ended(), (name, seed)

    run(main())


def test_malformed_bodies_are_answered_400_and_the_connection_closed(run: Run) -> None:
    """The handler that reads one gets BadRequest, and its client 400."""

    async def main() -> None:
        async with serving(echo) as served:
            for name, data in BODIES:
                client = await served.connect()
                answer = await client.ask(data + GET)

                assert 400 == answer.status, name
                assert b"close" == answer.header(b"connection"), name
                assert b"" == await client.ended(), name

    run(main())


def test_a_body_that_nobody_reads_is_judged_all_the_same(run: Run) -> None:
    """What follows bad framing is not taken for a request, although the handler did not look."""

    async def main() -> None:
        async with serving(hello) as served:
            for name, data in BODIES:
                client = await served.connect()
                assert 200 == (await client.ask(data + GET)).status, name
                assert b"" == await client.ended(), name

    run(main())


def test_an_event_says_what_was_asked_in_printable_text(run: Run) -> None:
    """Bytes of a stranger reach the log escaped and cut."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            await client.ask(b"GET /\x1b[2J\xe2\x80\xae HTTP/1.1\r\n\r\n")
            long = await served.connect()
            await long.ask(b"A" * 5000)
            first, second = served.events
            assert isinstance(first, RequestRefused)
            assert isinstance(second, RequestRefused)

            assert ("GET", "/\\x1b[2J\\u202e") == (first.method, first.path)
            assert len(second.method) < 60
            assert first.client.startswith("127.0.0.1:")

    run(main())


@pytest.mark.parametrize("first", [GET, post(b"Content-Length: 3", body=b"abc")])
def test_requests_before_a_malformed_one_are_answered_first(run: Run, first: bytes) -> None:
    """Order is kept; what comes after the mistake is never read."""

    async def main() -> None:
        seen: list[str] = []

        async def handler(request: Request) -> Response:
            seen.append(request.path)
            return await echo(request)

        async with serving(handler) as served:
            client = await served.connect()
            await client.send(first * 3 + b"FOO / HTTP/1.1\r\n\r\n" + GET)

            assert [200, 200, 200, 501] == [(await client.answer()).status for _ in range(4)]
            assert b"" == await client.ended()
            assert ["/"] * 3 == seen

    run(main())
