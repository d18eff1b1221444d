"""The ASGI door: the service inside any ASGI 3 server, or mounted in a Starlette or FastAPI application.

Scopes and events come in; they become the same requests as at the HTTP/1.1 door, and go to the same handler.
It must never read a path, a host or a header in another way than the other door does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote

from serverless_wasm.errors import BadRequest, Error, RequestError
from serverless_wasm.events import Emit
from serverless_wasm.messages import Body, Handler, Headers, Request, Response
from serverless_wasm.refusals import refusal
from serverless_wasm.server.head import CHUNKED, address_text, examine, host_name, request_ids, split_target
from serverless_wasm.server.intake import Intake
from serverless_wasm.server.wire import BODILESS, checked_status, fault_response, fields, length

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]


class AsgiDoor:
    """An ASGI application that answers with `handler`; the hooks run in the server's lifespan."""

    def __init__(
        self, handler: Handler, emit: Emit, *, startup: Hook | None = None, shutdown: Hook | None = None
    ) -> None:
        self._emit = emit
        self._handler = handler
        self._ids = request_ids()
        self._shutdown = shutdown
        self._startup = startup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of the server's; raises ValueError for a kind that we do not know.

        Raises what the iterator of a response body raises, so that the server cuts the connection.
        """
        kind = scope["type"]
        if kind == "http":
            await self._answer(scope, _Client(receive, send, self._emit))
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await receive()
            await send(
                {"type": "websocket.close", "code": 1000}
            )  # before it is accepted: the client sees 403
        else:
            raise ValueError(f"not a kind of ASGI scope: {kind}")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            moment = (await receive())["type"].removeprefix("lifespan.")
            hook = self._startup if moment == "startup" else self._shutdown
            try:
                if hook is not None:
                    await hook()
            except Exception as fault:
                if not isinstance(fault, Error):
                    fault_response(self._emit, "", fault)
                await send({"type": f"lifespan.{moment}.failed", "message": str(fault)})
                return
            await send({"type": f"lifespan.{moment}.complete"})
            if moment == "shutdown":
                return

    async def _answer(self, scope: Scope, client: _Client) -> None:
        request_id = next(self._ids)
        with suppress(_ClientGone):
            try:
                request, asks = _read(scope, request_id, client.intake)
            except RequestError as error:
                request = Request(
                    id=request_id, method=scope["method"], path=scope["path"], client=_address(scope)
                )
                self._emit(refusal(request, error))
                await client.send(request, Response.of_error(error, request_id))
            else:
                await client.serve(self._handler, request, asks=asks)


class _ClientGone(Exception):
    """The server cannot send any more."""


class _Client:
    """Whoever sent one request: the answer goes there in one task, the body comes from there in another."""

    def __init__(self, receive: Receive, send: Send, emit: Emit) -> None:
        self.intake = Intake(self._wanted)
        self._emit = emit
        self._receive = receive
        self._asked = asyncio.Event()
        self._send = send

    async def serve(self, handler: Handler, request: Request, *, asks: bool) -> None:
        """Answers a request; ends the handler if the client goes away before that is done.

        `asks`: the client sends its body only if told to, which is what a server takes receive() for.
        """
        answer = asyncio.ensure_future(self._answer(handler, request))
        listener = asyncio.ensure_future(self._listen(request.body.size, asks=asks))
        try:
            await asyncio.wait((answer, listener), return_when=asyncio.FIRST_COMPLETED)
        finally:
            answer.cancel()
            listener.cancel()
            await asyncio.wait((answer, listener))
        for task in (answer, listener):
            if not task.cancelled():
                task.result()

    async def send(self, request: Request, response: Response) -> None:
        """Sends a response; raises what its iterator raises, for then there is no honest end."""
        try:
            start = _start(request, response)
        except Exception as fault:
            response = fault_response(self._emit, request.id, fault)
            start = _start(request, response)
        await self._deliver(start)
        body = response.body
        if request.method == "HEAD" or response.status in BODILESS:
            body = b""
        if not isinstance(body, bytes):
            await self._send_chunks(request, body)
            body = b""
        await self._deliver({"type": "http.response.body", "body": body})

    async def _answer(self, handler: Handler, request: Request) -> None:
        try:
            response = await handler(request)
        except Error as error:
            response = Response.of_error(error, request.id)
        except asyncio.CancelledError as fault:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            response = fault_response(self._emit, request.id, fault)  # cancelled from within
        except Exception as fault:
            response = fault_response(self._emit, request.id, fault)
        try:
            await self.send(request, response)
        finally:
            close = getattr(response.body, "aclose", None)
            if close is not None:
                await close()

    async def _send_chunks(self, request: Request, chunks: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in chunks:
                await self._deliver({"type": "http.response.body", "body": chunk, "more_body": True})
        except (Error, _ClientGone):
            raise
        except Exception as fault:
            fault_response(self._emit, request.id, fault)
            raise

    async def _deliver(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # ASGI's HTTP specification, "Disconnected Client"
            raise _ClientGone from None

    async def _listen(self, size: int | None, *, asks: bool) -> None:
        """Takes the body in no faster than it is read; returns once the client has gone.

        Of HTTP/2 and later it is not the framing that Content-Length decides, and not every server compares
        the two (RFC 9113 section 8.1.1): a body of another length never ends cleanly.
        """
        left = size
        if asks:
            await self._asked.wait()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.intake.fail(BadRequest("the client went away"))
                return
            piece, more = message.get("body", b""), message.get("more_body", False)
            if left is not None:
                left -= len(piece)
                if left < 0 or (left and not more):
                    self.intake.fail(BadRequest("a body of another length than Content-Length says"))
            self.intake.feed(piece)
            if not more:
                self.intake.end()
            if self.intake.full:
                await self._read_down()

    async def _read_down(self) -> None:
        while not self.intake.roomy:
            self._asked.clear()
            await self._asked.wait()

    def _wanted(self, _: Intake) -> None:
        self._asked.set()


def _read(scope: Scope, request_id: str, intake: Intake) -> tuple[Request, bool]:
    """A request, and whether its client waits for 100 Continue; raises RequestError."""
    version = scope["http_version"]
    sent = tuple((name.lower(), value) for name, value in scope["headers"])
    headers = Headers(sent if version.startswith("1.") else _one_cookie(sent))
    host, size, asks, _ = examine(headers, version)
    target = _raw_path(scope)
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    path, query = split_target(scope["method"], target, host)
    body = Body(intake, None if size == CHUNKED else size)
    if size == 0:  # HTTP/2 and later have bodies without a word of their length
        body = Body.of() if version.startswith("1.") else Body(intake, certain=False)
    request = Request(
        id=request_id,
        method=scope["method"],
        path=path,
        query=query,
        scheme=scope.get("scheme", "http"),
        host=host_name(host),
        version=version,
        client=_address(scope),
        headers=headers,
        body=body,
    )
    return request, asks


def _one_cookie(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """The fields with all of Cookie in one: HTTP/2 and HTTP/3 may split it, and `, ` is no way to join it.

    RFC 9113 section 8.2.3, RFC 9114 section 4.2.1; not all servers do it.
    """
    crumbs = [value for name, value in fields if name == b"cookie"]
    if len(crumbs) < 2:
        return fields
    return (*(field for field in fields if field[0] != b"cookie"), (b"cookie", b"; ".join(crumbs)))


def _raw_path(scope: Scope) -> bytes:
    """The path as the client sent it, without what the application above has already matched.

    `root_path` is that part, decoded; Starlette and uvicorn leave it in the path as well.
    """
    raw: bytes | None = scope.get("raw_path")
    if raw is None:  # it is optional in ASGI
        raw = quote(scope["path"], safe="/!$&'()*+,;=:@").encode()
    root = scope.get("root_path", "").rstrip("/").split("/")
    segments = raw.partition(b"?")[0].split(b"/", len(root))
    if len(root) > 1 and [unquote(segment) for segment in segments[: len(root)]] == root:
        return b"/" + b"".join(segments[len(root) :])
    return raw.partition(b"?")[0]


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return address_text(client) if client else ""


def _start(request: Request, response: Response) -> Message:
    """The first message of a response; raises ValueError for one that HTTP forbids."""
    sent = fields(response.headers)
    size = length(request, response)
    if size is not None:
        sent.append((b"content-length", b"%d" % size))
    return {"type": "http.response.start", "status": checked_status(response.status), "headers": sent}
