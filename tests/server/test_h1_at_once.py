"""Requests that their handler answers at once, over the door: nobody can tell them from the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from server.certificates import serving_tls
from server.doors import GET, Answer, Run, serving
from serverless_wasm.messages import Headers, Prepared, Request, Response

REST = b"x-one: 1\r\ncontent-length: %d\r\n\r\n%b"
LATER = b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
OTHERS = {
    "HEAD": b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "1.0": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "close": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
}


class Ready:
    """A handler that has most answers ready, and counts how it was asked."""

    def __init__(self, body: bytes = b"hello") -> None:
        self.at_once_asked = self.handled = self.begun = 0
        self.schemes: set[str] = set()
        self._body = body

    async def handle(self, _request: Request) -> Response:
        self.handled += 1
        return Response(status=200, headers=Headers(((b"x-one", b"1"),)), body=self._body)

    def at_once(self, request: Request) -> Prepared | Awaitable[Response]:
        self.at_once_asked += 1
        self.schemes.add(request.scheme)
        if request.path != "/later":
            return Prepared(200, b"", REST % (len(self._body), self._body))
        self.begun += 1
        return self._later(request)

    async def _later(self, request: Request) -> Response:
        await asyncio.sleep(0)
        return await self.handle(request)


def said(answer: Answer) -> tuple[object, ...]:
    """All of an answer but the second that it was made in."""
    fields = [pair for pair in answer.headers if pair[0] != b"date"]
    return answer.status, answer.reason, fields, answer.body


def test_over_tls(run: Run, tmp_path: Path) -> None:
    """They are answered at once there, too, and know what they came over."""

    async def main() -> None:
        ready = Ready()
        async with serving_tls(ready, tmp_path) as served:
            client = await served.connect_tls()
            assert [b"hello"] * 3 == [(await client.ask(data)).body for data in (GET, GET, LATER)]
            assert (3, {"https"}) == (ready.at_once_asked, ready.schemes)
            assert 200 == (await client.ask(OTHERS["HEAD"], "HEAD")).status

    run(main())


def test_they_look_alike(run: Run) -> None:
    """Status line, fields and body are the same, the second time too, when the head is known."""

    async def main() -> None:
        ready = Ready()
        async with serving(ready) as served, serving(ready.handle) as plain:
            client, other = await served.connect(), await plain.connect()
            for _ in range(3):
                assert said(await other.ask(GET)) == said(await client.ask(GET))
            assert said(await other.ask(GET)) == said(await client.ask(LATER))
            assert (4, 1, 5) == (ready.at_once_asked, ready.begun, ready.handled)

    run(main())


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_plain_is_handled(run: Run, name: str) -> None:
    """A handler is not asked for what only a whole response can be made of."""

    async def main() -> None:
        ready = Ready()
        async with serving(ready) as served:
            client = await served.connect()
            answer = await client.ask(OTHERS[name], OTHERS[name].split()[0].decode())
            assert 200 == answer.status
            assert (0, 1) == (ready.at_once_asked, ready.handled)

    run(main())


def test_pipelined_requests_are_answered_in_order(run: Run) -> None:
    """One that is answered at once does not overtake one that is not."""

    async def main() -> None:
        ready = Ready()
        async with serving(ready) as served:
            client = await served.connect()
            await client.send(LATER + GET + LATER + GET)
            assert [b"hello"] * 4 == [(await client.answer()).body for _ in range(4)]
            await client.send(GET)
            await client.send(LATER)
            await client.send(GET)
            assert [b"hello"] * 3 == [(await client.answer()).body for _ in range(3)]

    run(main())


def test_a_client_that_has_said_all_is_answered(run: Run) -> None:
    """As `printf ... | nc` does: the end of its side comes with the request."""

    async def main() -> None:
        async with serving(Ready()) as served:
            client = await served.connect()
            client.writer.write(GET)
            client.writer.write_eof()
            assert (await client.answer()).body == b"hello"
            assert b"" == await client.ended()

    run(main())


def test_a_door_that_closes_answers_what_it_has_read(run: Run) -> None:
    """The answer is not lost, and is the last."""

    async def main() -> None:
        async with serving(Ready()) as served:
            clients = [await served.connect() for _ in range(20)]
            for client in clients:
                await client.send(GET)
            await served.door.close(1)
            for client in clients:
                assert (await client.answer()).body == b"hello"
                assert b"" == await client.ended()

    run(main())


def test_a_client_that_does_not_read_waits(run: Run) -> None:
    """No more answers are made for one that is behind, and all come in the end."""

    async def main() -> None:
        body = b"x" * 60_000
        async with serving(Ready(body)) as served:
            client = await served.connect()
            client.stop_reading()
            for _ in range(400):
                client.writer.write(GET)
                await asyncio.sleep(0)
            connection = served.connection
            await asyncio.sleep(0.1)
            assert connection._transport.get_write_buffer_size() < 1_000_000
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(400):
                assert (await client.answer()).body == body

    run(main())
