"""wasi:http/outgoing-handler: sends a guest's requests, and hands their responses back.

A request that is a resource comes in; a future that has the response goes out, at once.
It decides nothing: net/client asks the policy, and holds the request to the limits.
"""

from __future__ import annotations

from typing import Any

from serverless_wasm.abi.wasi_http.fields import received, sent
from serverless_wasm.abi.wasi_http.http_errors import ERROR_CODE, ErrorCode, HttpFailure, code_of
from serverless_wasm.abi.wasi_http.incoming import IncomingResponse
from serverless_wasm.abi.wasi_http.inflow import Inflow, Trailers
from serverless_wasm.abi.wasi_http.interface import (
    Err,
    Interface,
    Ok,
    Refusal,
    Resource,
    function,
    method,
    own,
)
from serverless_wasm.abi.wasi_http.outflow import Outflow
from serverless_wasm.abi.wasi_http.outgoing_request import AUTHORITY, OutgoingRequest, RequestOptions
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import NotPermitted, forget_frames
from serverless_wasm.limits import Limits
from serverless_wasm.net.call import Call, Times
from serverless_wasm.net.client import Client
from serverless_wasm.net.exchange import Exchange
from serverless_wasm.net.idle import Origin
from serverless_wasm.net.policy import Target
from serverless_wasm.net.unanswered import Unanswered
from serverless_wasm.wasm.components.types import Option, Result

_PORTS = {"http": 80, "https": 443}
_SCHEMES = {"HTTP": "http", "HTTPS": "https"}


class RequestBody:
    """What a guest has written of its request's body, as net/client takes it: an Upload."""

    def __init__(self, outflow: Outflow) -> None:
        self._outflow = outflow

    @property
    def declared(self) -> int | None:
        """As the guest has said it, or as much as there is once that is all."""
        outflow = self._outflow
        if outflow.declared is None and outflow.is_finished and not outflow.pipe.trailers:
            return outflow.size
        return outflow.declared

    @property
    def is_empty(self) -> bool:
        """Whether it is over, and there was none."""
        return self._outflow.is_finished and not self._outflow.size and not self._outflow.pipe.trailers

    @property
    def trailers(self) -> Trailers:
        """Fields behind it, known at its end; none if its size is declared."""
        return self._outflow.pipe.trailers if self._outflow.declared is None else ()

    async def take(self) -> bytes:
        """What there is to be sent, waiting for it; b"" at the end."""
        return await self._outflow.pipe.take()

    def shut(self) -> None:
        """Nobody takes any more."""
        self._outflow.shut()


class ResponseInflow(Inflow):
    """The body of a response."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    @property
    def trailers(self) -> Trailers:
        """Fields behind it, once it is over."""
        return self._exchange.trailers

    def close(self) -> None:
        """Nobody wants any more of it."""
        super().close()
        self._exchange.close()

    def _here(self) -> bytes | None:
        return self._exchange.here()

    async def _next(self) -> bytes:
        try:
            return await self._exchange.next()
        except Unanswered as error:
            raise HttpFailure(code_of(error)) from None


class FutureIncomingResponse(Resource):
    """A response that may not be there yet."""

    __slots__ = ("_exchange", "_is_taken")
    name = "wasi:http/types/future-incoming-response"

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange
        self._is_taken = False

    def is_ready(self) -> bool:
        """Whether there is a response, or never will be."""
        return self._exchange.is_answered

    async def wait(self) -> None:
        """Waits for that."""
        await self._exchange.answered()

    def take(self) -> Ok | Err | None:
        """The response, the first time that it is there."""
        if not self.is_ready():
            return None
        if self._is_taken:
            return Err()
        self._is_taken = True
        try:
            head = self._exchange.result()
        except Unanswered as error:
            forget_frames(error)
            return Ok(Err(code_of(error)))
        inflow = ResponseInflow(self._exchange)
        return Ok(Ok(IncomingResponse(head.status, received(head.fields), inflow)))

    def drop(self) -> None:
        """A response that nobody has taken is not wanted."""
        if not self._is_taken:
            self._exchange.close()


def handle(world: World, request: OutgoingRequest, options: RequestOptions | None) -> Ok:
    """Raises Refusal with an error code for what is no request, and for one too many."""
    invocation = world.invocation
    asked = request.outflow is not None
    try:
        call = _call(request, options, invocation.grants.limits)
        outflow = request.hand_over()
    except ValueError:
        request.drop()
        raise Refusal(_PROTOCOL_ERROR) from None
    except Refusal:
        request.drop()
        raise
    if not asked:
        outflow.finish()
    try:
        exchange = Client(invocation.sockets).send(call, RequestBody(outflow))
    except Unanswered as error:
        outflow.shut()
        raise Refusal(code_of(error)) from None
    return Ok(FutureIncomingResponse(exchange))


_PROTOCOL_ERROR: ErrorCode = ("HTTP-protocol-error", None)
_INVALID_URI: ErrorCode = ("HTTP-request-URI-invalid", None)
_INVALID_METHOD: ErrorCode = ("HTTP-request-method-invalid", None)


def _call(request: OutgoingRequest, options: RequestOptions | None, limits: Limits) -> Call:
    authority = request.authority or ""
    path = request.path or "/"
    fields = sent(request.fields.pairs)
    return Call(
        origin=_origin(request, authority),
        authority=authority.encode(),
        method=_method(request),
        target=(path if path[0] in "/*" else f"/{path}").encode(),
        fields=tuple(field for field in fields if field[0].lower() != b"content-length"),
        times=_times(options, limits),
    )


def _origin(request: OutgoingRequest, authority: str) -> Origin:
    """Where it goes; HTTPS unless the guest has said otherwise, as elsewhere."""
    name = _SCHEMES.get(request.scheme[0] if request.scheme else "HTTPS")
    if name is None:
        raise Refusal(_PROTOCOL_ERROR)
    parts = AUTHORITY.fullmatch(authority)
    if parts is None:
        raise Refusal(_INVALID_URI)
    try:
        return Origin(name, Target.parse(f"{parts[1]}:{int(parts[2] or _PORTS[name])}".encode()))
    except NotPermitted:  # its host is none, or is spelled in a way that has two readings
        raise Refusal(_INVALID_URI) from None


def _method(request: OutgoingRequest) -> bytes:
    """A tunnel is nothing that a guest can use."""
    name, other = request.method
    method = other or name.upper()
    if method.upper() == "CONNECT":
        raise Refusal(_INVALID_METHOD)
    return method.encode()


def _times(options: RequestOptions | None, limits: Limits) -> Times:
    if options is None:
        return Times.of(limits)
    return Times.of(
        limits, _seconds(options.connect), _seconds(options.first_byte), _seconds(options.between_bytes)
    )


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9


def subscribe(world: World, future: FutureIncomingResponse) -> Pollable:
    return Pollable(future.is_ready, future.wait, future)


def get(world: World, future: FutureIncomingResponse) -> Any:
    return future.take()


FUNCTIONS = (
    method(FutureIncomingResponse, "subscribe", subscribe, gives=own(Pollable)),
    method(
        FutureIncomingResponse,
        "get",
        get,
        gives=Option(Result(Result(own(IncomingResponse), ERROR_CODE))),
    ),
)
"""Of wasi:http/types."""
OUTGOING_HANDLER = Interface(
    "wasi:http/outgoing-handler",
    (
        function(
            "handle",
            handle,
            ("request", own(OutgoingRequest)),
            ("options", Option(own(RequestOptions))),
            gives=Result(own(FutureIncomingResponse), ERROR_CODE),
        ),
    ),
)
