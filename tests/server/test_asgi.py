"""The ASGI door: under a real uvicorn, inside FastAPI, and against servers that leave things out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from server.doors import GET, Client, Run, echo, hello, post, stream_back
from serverless_wasm.errors import ConfigError, DeadlineExceeded, MethodNotAllowed, Problem
from serverless_wasm.events import Event, InternalFault, RequestRefused
from serverless_wasm.messages import Handler, Headers, Request, Response
from serverless_wasm.server.asgi import AsgiDoor, Message, Scope

MIB = 1024 * 1024


class Told:
    """A handler that keeps its requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        """Answers with the path."""
        self.requests.append(request)
        return await hello(request)


@asynccontextmanager
async def uvicorn_serving(app: Any, **settings: Any) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    """A uvicorn on a free port; gives a way to connect."""
    sock = socket.create_server(("127.0.0.1", 0))
    settings = {"log_config": None, "log_level": "critical", "proxy_headers": False, "ws": "none", **settings}
    server = uvicorn.Server(uvicorn.Config(app, **settings))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    clients: list[Client] = []

    async def connect() -> Client:
        client = Client(*await asyncio.open_connection(*sock.getsockname()))
        clients.append(client)
        return client

    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.001)
        yield connect
    finally:
        for client in clients:
            client.close()
        server.should_exit = True
        await serving


def door(handler: Handler, events: list[Event] | None = None) -> AsgiDoor:
    """A door whose events go into a list."""
    kept: list[Event] = [] if events is None else events
    return AsgiDoor(handler, kept.append)


def http(app: Any) -> httpx.AsyncClient:
    """A client of an application in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a")


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

    async def main() -> None:
        expecting = post(b"Content-Length: 3", b"Expect: 100-continue")
        async with uvicorn_serving(door(hello)) as connect:
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


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/api/hello", "/hello"),
        ("/api/a%20b/%C3%A9?x=y", "/a b/é"),
        ("/api/", "/"),
        ("/%61pi/hello", "/hello"),
        ("/api/api/hello", "/api/hello"),
        ("/d%C3%A9j%C3%A0 vu/hello", "/hello"),
        ("/out/in/hello", "/hello"),
        ("/api/a/../b", "/b"),
    ],
)
def test_mounted_in_fastapi_paths_begin_below_the_mount(run: Run, url: str, path: str) -> None:
    """What the application above has matched is gone; the rest is read like at the other door."""

    async def main() -> None:
        told = Told()
        inner, app = FastAPI(), FastAPI()
        inner.mount("/in", door(told))
        app.mount("/out", inner)
        app.mount("/api", door(told))
        app.mount("/déjà vu", door(told))

        @app.get("/mine")
        async def mine() -> str:
            return "mine"

        async with http(app) as client:
            assert "mine" == (await client.get("/mine")).json()
            answer = await client.get(
                httpx.URL("http://a").copy_with(raw_path=url.replace(" ", "%20").encode())
            )
            assert (200, path) == (answer.status_code, told.requests[0].path)

    run(main())


def test_mounted_under_uvicorn_with_a_root_path(run: Run) -> None:
    """A prefix that a proxy has stripped is no part of the path either."""

    async def main() -> None:
        told = Told()
        app = FastAPI()
        app.mount("/api", door(told))
        async with uvicorn_serving(app, root_path="/prefix") as connect:
            client = await connect()
            assert 200 == (await client.ask(GET.replace(b"/ ", b"/api/x ", 1))).status
        async with uvicorn_serving(door(told), root_path="/prefix") as connect:
            client = await connect()
            assert 200 == (await client.ask(GET.replace(b"/ ", b"/y ", 1))).status
        assert ["/x", "/y"] == [request.path for request in told.requests]

    run(main())


CHUNKED = [(b"host", b"a"), (b"transfer-encoding", b"chunked")]


def scope(**changes: Any) -> Scope:
    """An HTTP scope as a server makes it."""
    plain: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"a")],
        "client": ("127.0.0.1", 1),
    }
    return {**plain, **changes}


async def called(handler: Handler, given: Scope, *messages: Message) -> list[Message]:
    """What an application sends when it receives these messages, and then nothing."""
    queue = list(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        if not queue:
            await asyncio.Event().wait()
        return queue.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await door(handler)(given, receive, send)
    return sent


BARE: Scope = {"scheme": "http", "client": None, "raw_path": None, "root_path": ""}


@pytest.mark.parametrize(
    ("changes", "path", "query"),
    [
        ({"path": "/a b/é", "raw_path": None}, "/a b/é", ""),
        ({"path": "/100%", "raw_path": None}, "/100%", ""),
        ({"path": "/api/x", "raw_path": None, "root_path": "/api"}, "/x", ""),
        ({"path": "/api/x", "raw_path": b"/api/x", "root_path": "/api/"}, "/x", ""),
        ({"path": "/api", "raw_path": b"/api", "root_path": "/api"}, "/", ""),
        ({"path": "/apiary", "raw_path": b"/apiary", "root_path": "/api"}, "/apiary", ""),
        ({"path": "/x", "raw_path": b"/x?y", "query_string": b"y"}, "/x", "y"),
        ({"path": "/x", "raw_path": b"/x", "query_string": b"%C3%A9"}, "/x", "%C3%A9"),
        ({"method": "OPTIONS", "path": "*", "raw_path": b"*"}, "*", ""),
    ],
)
def test_scopes_of_all_sorts(run: Run, changes: Scope, path: str, query: str) -> None:
    """Optional keys may be missing, and root_path comes in several tastes."""

    async def main() -> None:
        told = Told()
        await called(told, scope(**changes))
        (request,) = told.requests
        assert (path, query) == (request.path, request.query)

    run(main())


def test_bodies_of_http_2_have_no_known_length(run: Run) -> None:
    """No Content-Length and no Transfer-Encoding: in HTTP/2 there may be a body all the same."""

    async def handler(request: Request) -> Response:
        return Response(status=200, body=repr(request.body.size).encode() + await request.body.read(10))

    async def main() -> None:
        message: Message = {"type": "http.request", "body": b"abc"}
        for version, body in (("2", b"Noneabc"), ("1.1", b"0")):
            sent = await called(handler, scope(http_version=version, client=None), message)
            assert body == sent[-1]["body"]

    run(main())


@pytest.mark.parametrize("headers", [[(b"content-length", b"x")], [(b"content-length", b"9" * 5000)]])
def test_lengths_that_a_server_let_through_are_refused(run: Run, headers: list[tuple[bytes, bytes]]) -> None:
    """Not every server checks what llhttp checks."""

    async def main() -> None:
        sent = await called(hello, scope(headers=[(b"host", b"a"), *headers]))
        assert 400 == sent[0]["status"]

    run(main())


def test_a_client_that_is_gone_is_silent(run: Run) -> None:
    """A send that fails with OSError, as ASGI has it since 2.4, is no fault."""

    async def main() -> None:
        events: list[Event] = []
        closed = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            try:
                yield b"abc"
            finally:
                closed.set()

        async def handler(request: Request) -> Response:
            return Response(status=200, body=chunks())

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

        async def send(message: Message) -> None:
            raise OSError("gone")

        await door(handler, events)(scope(), receive, send)
        assert [] == events

    run(main())


def test_the_lifespan_runs_the_hooks(run: Run) -> None:
    """In order, once each; without hooks it completes too."""

    async def main() -> None:
        order: list[str] = []

        async def startup() -> None:
            order.append("up")

        async def shutdown() -> None:
            order.append("down")

        app = AsgiDoor(hello, lambda event: None, startup=startup, shutdown=shutdown)
        async with uvicorn_serving(app, lifespan="on") as connect:
            assert ["up"] == order
            assert 200 == (await (await connect()).ask(GET)).status
        assert ["up", "down"] == order
        async with uvicorn_serving(door(hello), lifespan="on") as connect:
            assert 200 == (await (await connect()).ask(GET)).status

    run(main())


@pytest.mark.parametrize("moment", ["startup", "shutdown"])
def test_a_hook_that_fails_says_why(run: Run, moment: str) -> None:
    """The server prints the text and stops."""
    problem = Problem(file="a.toml", line=1, key="b", found="c", expected="d")

    async def fail() -> None:
        raise ConfigError((problem,))

    async def main() -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": f"lifespan.{moment}"}

        async def send(message: Message) -> None:
            sent.append(message)

        app = AsgiDoor(hello, lambda event: None, startup=fail, shutdown=fail)
        await app({"type": "lifespan"}, receive, send)
        assert [{"type": f"lifespan.{moment}.failed", "message": str(problem)}] == sent

    run(main())


def test_websockets_are_turned_away(run: Run) -> None:
    """Closed before they are accepted, which a server makes 403; other kinds of scope are an error."""

    async def main() -> None:
        sent = await called(hello, {"type": "websocket"}, {"type": "websocket.connect"})
        assert [{"type": "websocket.close", "code": 1000}] == sent
        with pytest.raises(ValueError, match="carrier-pigeon"):
            await called(hello, {"type": "carrier-pigeon"})

    run(main())
