"""wasi:sockets: declared whole, so that programs that were built with it run; none is ever opened.

Calls come in; that access is denied goes out.
What a component may reach of the network is asked for through wasi:http/outgoing-handler.
"""

from __future__ import annotations

from typing import NoReturn

from serverless_wasm.abi.wasi_http.interface import Err, Interface, Resource, borrow, function, method, own
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.streams import InputStream, OutputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.components.types import (
    BOOL,
    BYTES,
    STRING,
    U8,
    U16,
    U32,
    U64,
    Enum,
    ListOf,
    Option,
    Record,
    Result,
    TupleOf,
    Type,
    Variant,
)

ERROR_CODE = Enum(
    (
        "unknown", "access-denied", "not-supported", "invalid-argument", "out-of-memory", "timeout",
        "concurrency-conflict", "not-in-progress", "would-block", "invalid-state", "new-socket-limit",
        "address-not-bindable", "address-in-use", "remote-unreachable", "connection-refused",
        "connection-reset", "connection-aborted", "datagram-too-large", "name-unresolvable",
        "temporary-resolver-failure", "permanent-resolver-failure",
    )
)  # fmt: skip
FAMILY = Enum(("ipv4", "ipv6"))
_IPV4, _IPV6 = TupleOf((U8,) * 4), TupleOf((U16,) * 8)
IP_ADDRESS = Variant((("ipv4", _IPV4), ("ipv6", _IPV6)))
SOCKET_ADDRESS = Variant(
    (
        ("ipv4", Record((("port", U16), ("address", _IPV4)))),
        ("ipv6", Record((("port", U16), ("flow-info", U32), ("address", _IPV6), ("scope-id", U32)))),
    )
)


class Network(Resource):
    """What sockets are opened on."""

    __slots__ = ()
    name = "wasi:sockets/network/network"


class ResolveAddressStream(Resource):
    """The addresses of a name; none is ever made."""

    __slots__ = ()
    name = "wasi:sockets/ip-name-lookup/resolve-address-stream"


class TcpSocket(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:sockets/tcp/tcp-socket"


class UdpSocket(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:sockets/udp/udp-socket"


class IncomingDatagramStream(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:sockets/udp/incoming-datagram-stream"


class OutgoingDatagramStream(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:sockets/udp/outgoing-datagram-stream"


def instance_network(world: World) -> Network:
    return Network()


def denied(world: World, *arguments: object) -> Err:
    """Sockets and names are not for components."""
    return Err("access-denied")


def no_socket(world: World, *arguments: object) -> NoReturn:
    """What has to be called with a socket, of which there is none."""
    raise GuestTrap("sockets: there is no socket")


def _or_error(kind: Type | None = None) -> Result:
    return Result(kind, ERROR_CODE)


_Declared = tuple[str, tuple[tuple[str, Type], ...], Type]
_ON, _VALUE = ("network", borrow(Network)), "value"
_BIND: tuple[_Declared, ...] = (
    ("start-bind", (_ON, ("local-address", SOCKET_ADDRESS)), _or_error()),
    ("finish-bind", (), _or_error()),
    ("local-address", (), _or_error(SOCKET_ADDRESS)),
    ("remote-address", (), _or_error(SOCKET_ADDRESS)),
    ("address-family", (), FAMILY),
    ("receive-buffer-size", (), _or_error(U64)),
    ("set-receive-buffer-size", ((_VALUE, U64),), _or_error()),
    ("send-buffer-size", (), _or_error(U64)),
    ("set-send-buffer-size", ((_VALUE, U64),), _or_error()),
    ("subscribe", (), own(Pollable)),
)
_STREAMS = (own(InputStream), own(OutputStream))
_TCP: tuple[_Declared, ...] = (
    *_BIND,
    ("start-connect", (_ON, ("remote-address", SOCKET_ADDRESS)), _or_error()),
    ("finish-connect", (), _or_error(TupleOf(_STREAMS))),
    ("start-listen", (), _or_error()),
    ("finish-listen", (), _or_error()),
    ("accept", (), _or_error(TupleOf((own(TcpSocket), *_STREAMS)))),
    ("is-listening", (), BOOL),
    ("set-listen-backlog-size", ((_VALUE, U64),), _or_error()),
    ("keep-alive-enabled", (), _or_error(BOOL)),
    ("set-keep-alive-enabled", ((_VALUE, BOOL),), _or_error()),
    ("keep-alive-idle-time", (), _or_error(U64)),
    ("set-keep-alive-idle-time", ((_VALUE, U64),), _or_error()),
    ("keep-alive-interval", (), _or_error(U64)),
    ("set-keep-alive-interval", ((_VALUE, U64),), _or_error()),
    ("keep-alive-count", (), _or_error(U32)),
    ("set-keep-alive-count", ((_VALUE, U32),), _or_error()),
    ("hop-limit", (), _or_error(U8)),
    ("set-hop-limit", ((_VALUE, U8),), _or_error()),
    ("shutdown", (("shutdown-type", Enum(("receive", "send", "both"))),), _or_error()),
)
_DATAGRAM = Record((("data", BYTES), ("remote-address", SOCKET_ADDRESS)))
_OUTGOING = Record((("data", BYTES), ("remote-address", Option(SOCKET_ADDRESS))))
_UDP: tuple[_Declared, ...] = (
    *_BIND,
    (
        "stream",
        (("remote-address", Option(SOCKET_ADDRESS)),),
        _or_error(TupleOf((own(IncomingDatagramStream), own(OutgoingDatagramStream)))),
    ),
    ("unicast-hop-limit", (), _or_error(U8)),
    ("set-unicast-hop-limit", ((_VALUE, U8),), _or_error()),
)
_SUBSCRIBE: _Declared = ("subscribe", (), own(Pollable))
_METHODS: tuple[tuple[type[Resource], tuple[_Declared, ...]], ...] = (
    (TcpSocket, _TCP),
    (UdpSocket, _UDP),
    (
        IncomingDatagramStream,
        (("receive", (("max-results", U64),), _or_error(ListOf(_DATAGRAM))), _SUBSCRIBE),
    ),
    (
        OutgoingDatagramStream,
        (
            ("check-send", (), _or_error(U64)),
            ("send", (("datagrams", ListOf(_OUTGOING)),), _or_error(U64)),
            _SUBSCRIBE,
        ),
    ),
    (
        ResolveAddressStream,
        (("resolve-next-address", (), _or_error(Option(IP_ADDRESS))), _SUBSCRIBE),
    ),
)
_FUNCTIONS = {
    resource: tuple(
        method(resource, name, no_socket, *params, gives=gives) for name, params, gives in declared
    )
    for resource, declared in _METHODS
}
_OF_FAMILY = ("address-family", FAMILY)
SOCKETS = (
    Interface("wasi:sockets/network", (), (Network,)),
    Interface(
        "wasi:sockets/instance-network",
        (function("instance-network", instance_network, gives=own(Network)),),
    ),
    Interface(
        "wasi:sockets/ip-name-lookup",
        (
            function(
                "resolve-addresses",
                denied,
                ("network", borrow(Network)),
                ("name", STRING),
                gives=_or_error(own(ResolveAddressStream)),
            ),
            *_FUNCTIONS[ResolveAddressStream],
        ),
        (ResolveAddressStream,),
    ),
    Interface("wasi:sockets/tcp", _FUNCTIONS[TcpSocket], (TcpSocket,)),
    Interface(
        "wasi:sockets/tcp-create-socket",
        (function("create-tcp-socket", denied, _OF_FAMILY, gives=_or_error(own(TcpSocket))),),
    ),
    Interface(
        "wasi:sockets/udp",
        (
            *_FUNCTIONS[UdpSocket],
            *_FUNCTIONS[IncomingDatagramStream],
            *_FUNCTIONS[OutgoingDatagramStream],
        ),
        (UdpSocket, IncomingDatagramStream, OutgoingDatagramStream),
    ),
    Interface(
        "wasi:sockets/udp-create-socket",
        (function("create-udp-socket", denied, _OF_FAMILY, gives=_or_error(own(UdpSocket))),),
    ),
)
