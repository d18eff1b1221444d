"""wasi:http/types: the requests that a guest makes, and what it will wait for.

What a guest says of a request comes in, judged by the grammar of RFC 9110 and RFC 3986; the handler sends it.
It must never keep what could end a line, nor decide where a request may go.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from serverless_wasm.abi.wasi_http.fields import Fields
from serverless_wasm.abi.wasi_http.incoming import METHOD, SCHEME
from serverless_wasm.abi.wasi_http.interface import Err, Function, Ok, Resource, function, method, own
from serverless_wasm.abi.wasi_http.ledger import Ledger
from serverless_wasm.abi.wasi_http.outgoing import OutgoingBody, OutgoingMessage, headers
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.wasm.components.types import STRING, U64, Option, Result, Type

Named = tuple[str, str | None]
"""A method or a scheme: its name, or `other` and another one's."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")  # RFC 3986 section 3.1
_TARGET = re.compile(r"(?:[/?][!\"$-~]*|\*)?")  # visible ASCII without the # of a fragment
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::([0-9]{1,5}))?")
"""RFC 3986 section 3.2, without user information, which RFC 9110 section 4.2.4 has done away with."""


class OutgoingRequest(OutgoingMessage):
    """A request that the guest makes."""

    __slots__ = ("authority", "method", "path", "scheme")
    name = "wasi:http/types/outgoing-request"

    def __init__(self, fields: Fields, ledger: Ledger | None) -> None:
        super().__init__(fields, ledger)
        self.method: Named = ("get", None)
        self.path: str | None = None
        self.scheme: Named | None = None
        self.authority: str | None = None


class RequestOptions(Resource):
    """How long the guest will wait, in nanoseconds; the limits of its application hold in any case."""

    __slots__ = ("between_bytes", "connect", "first_byte")
    name = "wasi:http/types/request-options"

    def __init__(self) -> None:
        super().__init__()
        self.connect: int | None = None
        self.first_byte: int | None = None
        self.between_bytes: int | None = None


def new_request(world: World, fields: Fields) -> OutgoingRequest:
    return OutgoingRequest(fields, world.ledger)


def body(world: World, request: OutgoingRequest) -> Ok | Err:
    if request.outflow is not None:
        return Err()
    try:
        outflow = request.begin_body(world.invocation.grants.limits.socket_sent)
    except ValueError:
        return Err()
    return Ok(OutgoingBody(outflow, "request"))


def request_method(world: World, request: OutgoingRequest) -> Named:
    return request.method


def set_method(world: World, request: OutgoingRequest, wanted: Named) -> Ok | Err:
    if wanted[1] is not None and not _TOKEN.fullmatch(wanted[1]):
        return Err()
    request.method = wanted
    return Ok()


def path_with_query(world: World, request: OutgoingRequest) -> str | None:
    return request.path


def set_path_with_query(world: World, request: OutgoingRequest, wanted: str | None) -> Ok | Err:
    if wanted is not None and not _TARGET.fullmatch(wanted):
        return Err()
    request.path = wanted
    return Ok()


def scheme(world: World, request: OutgoingRequest) -> Named | None:
    return request.scheme


def set_scheme(world: World, request: OutgoingRequest, wanted: Named | None) -> Ok | Err:
    if wanted is not None and wanted[1] is not None and not _SCHEME.fullmatch(wanted[1]):
        return Err()
    request.scheme = wanted
    return Ok()


def authority(world: World, request: OutgoingRequest) -> str | None:
    return request.authority


def set_authority(world: World, request: OutgoingRequest, wanted: str | None) -> Ok | Err:
    if wanted is not None:
        parts = AUTHORITY.fullmatch(wanted)
        if parts is None or int(parts[2] or 0) > 65_535:
            return Err()
    request.authority = wanted
    return Ok()


def new_options(world: World) -> RequestOptions:
    return RequestOptions()


def _time(label: str, name: str) -> tuple[Function, Function]:
    """The two functions of one time."""

    def get(world: World, options: RequestOptions) -> int | None:
        found: int | None = getattr(options, name)
        return found

    def set_time(world: World, options: RequestOptions, wanted: int | None) -> Ok:
        setattr(options, name, wanted)
        return Ok()

    return (
        method(RequestOptions, label, get, gives=Option(U64)),
        method(RequestOptions, f"set-{label}", set_time, ("duration", Option(U64)), gives=Result()),
    )


def _property(
    label: str, kind: Type, get: Callable[..., object], put: Callable[..., object]
) -> tuple[Function, Function]:
    return (
        method(OutgoingRequest, label, get, gives=kind),
        method(OutgoingRequest, f"set-{label}", put, (label, kind), gives=Result()),
    )


FUNCTIONS = (
    function(
        "[constructor]outgoing-request", new_request, ("headers", own(Fields)), gives=own(OutgoingRequest)
    ),
    method(OutgoingRequest, "body", body, gives=Result(own(OutgoingBody))),
    method(OutgoingRequest, "headers", headers, gives=own(Fields)),
    *_property("method", METHOD, request_method, set_method),
    *_property("path-with-query", Option(STRING), path_with_query, set_path_with_query),
    *_property("scheme", Option(SCHEME), scheme, set_scheme),
    *_property("authority", Option(STRING), authority, set_authority),
    function("[constructor]request-options", new_options, gives=own(RequestOptions)),
    *_time("connect-timeout", "connect"),
    *_time("first-byte-timeout", "first_byte"),
    *_time("between-bytes-timeout", "between_bytes"),
)
