"""wasi:http/types: messages that come in: the request, responses to the guest's own, bodies, trailers.

What the door has read comes in, and what a server has answered; resources of the guest go out.
It must never give a body twice, nor keep one coming that nobody reads any more.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.wasi_http.fields import Fields, Pairs, received
from serverless_wasm.abi.wasi_http.http_errors import ERROR_CODE, HttpFailure
from serverless_wasm.abi.wasi_http.inflow import Inflow, RequestInflow
from serverless_wasm.abi.wasi_http.interface import Err, Ok, Resource, function, method, own
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.streams import InputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.messages import Request
from serverless_wasm.wasm.components.types import STRING, U16, Option, Result, Variant

METHODS = ("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch")
METHOD = Variant((*((each, None) for each in METHODS), ("other", STRING)))
SCHEME = Variant((("HTTP", None), ("HTTPS", None), ("other", STRING)))

_METHODS = {each.upper(): (each, None) for each in METHODS}
_SCHEMES = {"http": ("HTTP", None), "https": ("HTTPS", None)}
_PATH = "/!$&'()*+,;=:@-._~"  # RFC 3986 section 3.3, pchar
_NOT_IN_URI = re.compile(r"[^\x21-\x7e]")


class IncomingRequest(Resource):
    """The request of an invocation."""

    __slots__ = ("_fields", "_limit", "inflow", "request")
    name = "wasi:http/types/incoming-request"

    def __init__(self, invocation: Invocation) -> None:
        super().__init__()
        self.request: Request = invocation.request
        self.inflow: Inflow | None = None
        self._limit = invocation.grants.limits.request_body
        self._fields: Pairs | None = None

    @property
    def fields(self) -> Pairs:
        """Its fields, but for those that are the connection's."""
        if self._fields is None:
            self._fields = received(self.request.headers.fields)
        return self._fields

    def consume(self) -> Inflow | None:
        """Its body, the first time."""
        if self.inflow is not None:
            return None
        self.inflow = RequestInflow(self.request.body, self._limit)
        return self.inflow


class IncomingResponse(Resource):
    """What a server has answered."""

    __slots__ = ("_inflow", "fields", "status")
    name = "wasi:http/types/incoming-response"

    def __init__(self, status: int, fields: Pairs, inflow: Inflow) -> None:
        super().__init__()
        self.status = status
        self.fields = fields
        self._inflow: Inflow | None = inflow

    def consume(self) -> Inflow | None:
        """Its body, the first time."""
        inflow, self._inflow = self._inflow, None
        return inflow

    def drop(self) -> None:
        """A body that nobody has asked for is not wanted."""
        if self._inflow is not None:
            self._inflow.close()


class IncomingBody(Resource):
    """The body of either."""

    __slots__ = ("_has_stream", "inflow")
    name = "wasi:http/types/incoming-body"

    def __init__(self, inflow: Inflow) -> None:
        super().__init__()
        self.inflow = inflow
        self._has_stream = False

    def stream(self) -> InputStream | None:
        """What it is read from, the first time."""
        if self._has_stream:
            return None
        self._has_stream = True
        return InputStream(self.inflow, self)

    def drop(self) -> None:
        """What is left of it is not wanted."""
        self.inflow.close()


class FutureTrailers(Resource):
    """The fields behind a body; what nobody has read of that is passed over."""

    __slots__ = ("_inflow", "_is_taken")
    name = "wasi:http/types/future-trailers"

    def __init__(self, inflow: Inflow) -> None:
        super().__init__()
        self._inflow = inflow
        self._is_taken = False

    def is_ready(self) -> bool:
        """Whether the body has arrived, or never will."""
        return self._is_taken or self._inflow.ready == 0

    async def wait(self) -> None:
        """Waits for that."""
        with suppress(HttpFailure):  # `take` tells of it
            await self._inflow.drain()

    def take(self) -> Ok | Err | None:
        """The trailers, the first time that they are there."""
        if not self.is_ready():
            return None
        if self._is_taken:
            return Err()
        self._is_taken = True
        try:
            self._inflow.take(1)
        except HttpFailure as failure:
            return Ok(Err(failure.code))
        pairs = received(self._inflow.trailers)
        return Ok(Ok(Fields(pairs) if pairs else None))

    def drop(self) -> None:
        """Nobody waits for them any more."""
        self._inflow.close()


Incoming = IncomingRequest | IncomingResponse


def request_method(world: World, incoming: IncomingRequest) -> tuple[str, str | None]:
    name = incoming.request.method
    return _METHODS.get(name, ("other", name))


def path_with_query(world: World, incoming: IncomingRequest) -> str:
    """As the door has read it: decoded once, without `.` and `..`, then encoded again."""
    request = incoming.request
    path = quote(request.path, safe=_PATH)
    if not request.query:
        return path
    return f"{path}?{_NOT_IN_URI.sub(_escaped, request.query)}"


def _escaped(found: re.Match[str]) -> str:
    return quote(found[0].encode("latin-1", "replace"))


def scheme(world: World, incoming: IncomingRequest) -> tuple[str, str | None]:
    name = incoming.request.scheme
    return _SCHEMES.get(name, ("other", name))


def authority(world: World, incoming: IncomingRequest) -> str | None:
    """What the client has written into Host."""
    host = incoming.request.headers.get(b"host")
    return host.decode("latin-1") if host else incoming.request.host or None


def headers(world: World, incoming: Incoming) -> Fields:
    return Fields(incoming.fields)


def consume(world: World, incoming: Incoming) -> Ok | Err:
    inflow = incoming.consume()
    return Err() if inflow is None else Ok(IncomingBody(inflow))


def status(world: World, incoming: IncomingResponse) -> int:
    return incoming.status


def stream(world: World, body: IncomingBody) -> Ok | Err:
    made = body.stream()
    return Err() if made is None else Ok(made)


def finish(world: World, body: IncomingBody) -> FutureTrailers:
    return FutureTrailers(body.inflow)


def subscribe(world: World, future: FutureTrailers) -> Pollable:
    return Pollable(future.is_ready, future.wait, future)


def get(world: World, future: FutureTrailers) -> Any:
    return future.take()


FUNCTIONS = (
    method(IncomingRequest, "method", request_method, gives=METHOD),
    method(IncomingRequest, "path-with-query", path_with_query, gives=Option(STRING)),
    method(IncomingRequest, "scheme", scheme, gives=Option(SCHEME)),
    method(IncomingRequest, "authority", authority, gives=Option(STRING)),
    method(IncomingRequest, "headers", headers, gives=own(Fields)),
    method(IncomingRequest, "consume", consume, gives=Result(own(IncomingBody))),
    method(IncomingResponse, "status", status, gives=U16),
    method(IncomingResponse, "headers", headers, gives=own(Fields)),
    method(IncomingResponse, "consume", consume, gives=Result(own(IncomingBody))),
    method(IncomingBody, "stream", stream, gives=Result(own(InputStream))),
    function("[static]incoming-body.finish", finish, ("this", own(IncomingBody)), gives=own(FutureTrailers)),
    method(FutureTrailers, "subscribe", subscribe, gives=own(Pollable)),
    method(
        FutureTrailers,
        "get",
        get,
        gives=Option(Result(Result(Option(own(Fields)), ERROR_CODE))),
    ),
)
