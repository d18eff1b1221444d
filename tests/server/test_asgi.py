"""The ASGI door under a real uvicorn: the same requests, the same answers, the same ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from server.callers import CHUNKED, Told, door, http, scope, uvicorn_serving
from server.doors import GET, Run, echo, hello, post, stream_back
from serverless_wasm.errors import DeadlineExceeded, MethodNotAllowed
from serverless_wasm.events import Event, InternalFault, RequestRefused
from serverless_wasm.messages import Handler, Headers, Request, Response
from serverless_wasm.server.asgi import Message

MIB = 1024 * 1024


def test_a_request_through_uvicorn_is_the_request_of_the_other_door(run: Run) -> None:
    """Path decoded and normalised once, query raw, host without its port, headers as they came."""

    async def main() -> None:
        told = Told()
        async with uvicorn_serving(door(told)) as connect:
            client = await connect()
            line = b"GET /a/./%41%20b?c=%20d HTTP/1.1\r\n"
            answer = await client.ask(line + b"Host: Example.com:81\r\nX-Forwarded-For: 1\r\nX: y\r\n\r\n")
            assert (200, b"GET /a/A b?c=%20d") == (answer.status, answer.body)
            (request,) = told.requests
            assert ("example.com", "1.1", "http", 0) == (
                request.host,
                request.version,
                request.scheme,
                request.body.size,
            )
            assert (b"y", b"1") == (request.headers.get(b"x"), request.headers.get(b"x-forwarded-for"))
            assert request.client.startswith("127.0.0.1:")
            assert 200 == (await client.ask(GET)).status
            assert told.requests[0].id != told.requests[1].id

    run(main())


REFUSED = [
    (b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n\r\n", 400),
    (post(b"Expect: other", b"Content-Length: 1", body=b"a"), 417),
    (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
]


def test_what_has_two_readings_is_refused_here_too(run: Run) -> None:
    """The rules are those of the other door; each refusal is an event with the id that the client sees."""

    async def main() -> None:
        events: list[Event] = []
        async with uvicorn_serving(door(hello, events)) as connect:
            for data, status in REFUSED:
                answer = await (await connect()).ask(data)
                event = events.pop()
                assert isinstance(event, RequestRefused)
                assert (status, status) == (answer.status, event.status), data
                assert {"error": event.code, "request_id": event.request_id} == answer.json()

    run(main())


@pytest.mark.parametrize(
    ("framing", "encode"),
    [
        (b"Content-Length: 1048576", lambda body: body),
        (b"Transfer-Encoding: chunked", lambda body: b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)),
    ],
)
@pytest.mark.parametrize("handler", [echo, stream_back])
def test_bodies_pass_whole(
    run: Run, framing: bytes, encode: Callable[[bytes], bytes], handler: Handler
) -> None:
    """No chunk is lost between the one who reads and the one who watches for the client."""

    async def main() -> None:
        async with uvicorn_serving(door(handler)) as connect:
            client = await connect()
            body = bytes(range(256)) * 4096
            for _ in range(2):
                sending = asyncio.create_task(client.send(post(framing, body=encode(body))))
                assert body == (await client.answer()).body
                await sending
            assert b"" == (await client.ask(GET)).body

    run(main())


def test_a_body_that_nobody_reads_is_not_taken_in(run: Run) -> None:
    """What the handler does not ask for stays with the server, and so with the client."""

    async def main() -> None:
        taken = 0
        go = asyncio.Event()

        async def receive() -> Message:
            nonlocal taken
            if taken == 100:
                await asyncio.Event().wait()
            taken += 1
            return {"type": "http.request", "body": bytes(32 * 1024), "more_body": taken < 100}

        async def handler(request: Request) -> Response:
            await go.wait()
            return Response(status=200, body=b"%d" % len(await request.body.read(100 * MIB)))

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        answering = asyncio.create_task(door(handler)(scope(method="POST", headers=CHUNKED), receive, send))
        for _ in range(50):
            await asyncio.sleep(0)
        assert taken <= 4
        go.set()
        await answering
        assert b"%d" % (100 * 32 * 1024) == sent[-1]["body"]

    run(main())


def test_100_continue_is_left_until_the_handler_reads(run: Run) -> None:
    """A server sends it with the first receive(), so that one waits."""

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return await hello(request)

    async def main() -> None:
        expecting = post(b"Content-Length: 3", b"Expect: 100-continue")
        async with uvicorn_serving(door(slow)) as connect:
            assert 200 == (await (await connect()).ask(expecting)).status
        async with uvicorn_serving(door(echo)) as connect:
            client = await connect()
            assert 100 == (await client.ask(expecting)).status
            assert b"abc" == (await client.ask(b"abc")).body

    run(main())


@pytest.mark.parametrize("sent", [GET, post(b"Content-Length: 9", body=b"abc")])
def test_a_client_that_leaves_ends_its_handler(run: Run, sent: bytes) -> None:
    """Through uvicorn as at the other door; silently."""

    async def main() -> None:
        begun, cancelled = asyncio.Event(), asyncio.Event()

        async def handler(request: Request) -> Response:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError("nobody sets it")

        events: list[Event] = []
        async with uvicorn_serving(door(handler, events)) as connect:
            client = await connect()
            await client.send(sent)
            await begun.wait()
            client.close()
            await cancelled.wait()
        assert [] == events

    run(main())


def test_a_client_that_leaves_ends_its_response(run: Run) -> None:
    """The iterator is closed in the middle."""

    async def main() -> None:
        closed = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(1000)
                    await asyncio.sleep(0)
            finally:
                closed.set()

        async def handler(request: Request) -> Response:
            return Response(status=200, body=chunks())

        events: list[Event] = []
        async with uvicorn_serving(door(handler, events)) as connect:
            client = await connect()
            await client.send(GET)
            await client.head()
            client.close()
            await closed.wait()
        assert [] == events

    run(main())


@pytest.mark.parametrize("error", [ValueError("secret"), DeadlineExceeded("x")])
def test_a_stream_that_fails_never_ends_cleanly(run: Run, error: Exception) -> None:
    """The server cuts the connection, because we raise."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        raise error

    async def handler(request: Request) -> Response:
        return Response(status=200, body=chunks())

    async def main() -> None:
        events: list[Event] = []
        async with uvicorn_serving(door(handler, events)) as connect:
            client = await connect()
            await client.send(GET)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.answer()
            assert isinstance(error, DeadlineExceeded) == (events == [])

    run(main())


def test_framing_is_the_servers_and_the_rest_is_kept(run: Run) -> None:
    """The same hygiene as at the other door."""

    async def handler(request: Request) -> Response:
        fields = ((b"X-A", b"1"), (b"Connection", b"close"), (b"content-length", b"7"), (b"Upgrade", b"x"))
        return Response(status=418, headers=Headers(fields), body=b"abc")

    async def main() -> None:
        async with uvicorn_serving(door(handler)) as connect:
            client = await connect()
            answer = await client.ask(GET)
            assert (418, b"abc", b"1") == (answer.status, answer.body, answer.header(b"x-a"))
            assert (None, None, b"3") == tuple(
                answer.header(name) for name in (b"connection", b"upgrade", b"content-length")
            )
            head = await client.ask(GET.replace(b"GET", b"HEAD"), "HEAD")
            assert b"3" == head.header(b"content-length")

    run(main())


@pytest.mark.parametrize(
    "response",
    [
        Response(status=200, headers=Headers(((b"a", b"b\r\nc: d"),))),
        Response(status=200, headers=Headers(((b"a b", b"c"),))),
        Response(status=101),
    ],
)
def test_a_response_that_http_forbids_is_a_fault(run: Run, response: Response) -> None:
    """500, told to the operator, and nothing of it sent."""

    async def handler(request: Request) -> Response:
        return response

    async def main() -> None:
        events: list[Event] = []
        async with http(door(handler, events)) as client:
            answer = await client.get("/")
            (event,) = events
            assert isinstance(event, InternalFault)
            assert (500, event.request_id) == (answer.status_code, answer.json()["request_id"])

    run(main())


@pytest.mark.parametrize("fault", [ValueError("secret"), asyncio.CancelledError("from within")])
def test_exceptions_are_answered(run: Run, fault: BaseException) -> None:
    """Errors of the tree as themselves, others as 500."""

    async def handler(request: Request) -> Response:
        raise fault if request.path == "/fault" else MethodNotAllowed(("GET",))

    async def main() -> None:
        events: list[Event] = []
        async with http(door(handler, events)) as client:
            known, unknown = await client.get("/"), await client.get("/fault")
            assert (405, "GET") == (known.status_code, known.headers["allow"])
            assert (500, "internal") == (unknown.status_code, unknown.json()["error"])
            (event,) = events
            assert isinstance(event, InternalFault)
            assert event.exception is fault

    run(main())
