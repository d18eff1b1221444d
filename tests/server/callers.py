"""Ways to call an ASGI application: through a real uvicorn, through httpx, by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from server.doors import Client, hello
from serverless_wasm.events import Event
from serverless_wasm.messages import Handler, Request, Response
from serverless_wasm.server.asgi import AsgiDoor, Message, Scope


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
