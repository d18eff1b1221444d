"""The ASGI door and what servers and applications around it say: mounts, scopes, lifespans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from server.callers import Told, called, door, http, scope, uvicorn_serving
from server.doors import GET, Run, echo, hello
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.events import Event
from serverless_wasm.messages import Request, Response
from serverless_wasm.server.asgi import AsgiDoor, Message, Scope


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


@pytest.mark.parametrize("pieces", [[b"hell"], [b"he", b"l"], [b"hello!"], [b"hello", b"!"], [b""]])
def test_a_body_of_another_length_never_ends_cleanly(run: Run, pieces: list[bytes]) -> None:
    """HTTP/2 frames a body without its Content-Length, and not every server compares them."""

    async def main() -> None:
        given = scope(http_version="2", method="POST", headers=[(b"host", b"a"), (b"content-length", b"5")])
        messages: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ]
        sent = await called(echo, given, *messages)
        assert 400 == sent[0]["status"]
        whole: Message = {"type": "http.request", "body": b"hello"}
        assert b"hello" == (await called(echo, given, whole))[1]["body"]

    run(main())


@pytest.mark.parametrize(
    ("version", "cookie"), [("1.1", b"a=1, b=2"), ("2", b"a=1; b=2"), ("3", b"a=1; b=2")]
)
def test_a_cookie_in_crumbs_is_one_cookie(run: Run, version: str, cookie: bytes) -> None:
    """RFC 9113 section 8.2.3 lets a client split it, for the sake of compression."""

    async def main() -> None:
        told = Told()
        crumbs = [(b"cookie", b"a=1"), (b"host", b"a"), (b"cookie", b"b=2")]
        await called(told, scope(http_version=version, headers=crumbs))
        assert cookie == told.requests[0].headers.get(b"cookie")

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


PROBLEM = Problem(file="a.toml", line=1, key="b", found="c", expected="d")


@pytest.mark.parametrize("moment", ["startup", "shutdown"])
@pytest.mark.parametrize("error", [ConfigError((PROBLEM,)), RuntimeError("a:b")])
def test_a_hook_that_fails_says_why(run: Run, moment: str, error: Exception) -> None:
    """The server prints the text and stops; a fault of ours is an event, too."""

    async def fail() -> None:
        raise error

    async def main() -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": f"lifespan.{moment}"}

        async def send(message: Message) -> None:
            sent.append(message)

        events: list[Event] = []
        app = AsgiDoor(hello, events.append, startup=fail, shutdown=fail)
        await app({"type": "lifespan"}, receive, send)
        assert [{"type": f"lifespan.{moment}.failed", "message": str(error)}] == sent
        assert isinstance(error, RuntimeError) == bool(events)

    run(main())


def test_websockets_are_turned_away(run: Run) -> None:
    """Closed before they are accepted, which a server makes 403; other kinds of scope are an error."""

    async def main() -> None:
        sent = await called(hello, {"type": "websocket"}, {"type": "websocket.connect"})
        assert [{"type": "websocket.close", "code": 1000}] == sent
        with pytest.raises(ValueError, match="carrier-pigeon"):
            await called(hello, {"type": "carrier-pigeon"})

    run(main())
