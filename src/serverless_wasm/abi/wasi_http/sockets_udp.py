"""wasi:sockets/udp: sockets can be made, so that programs which try them go on; none is ever bound.

Settings come in and are kept; that access is denied goes out, and no datagram.
It must never open a socket of the system: the policy has no rules for datagrams.
"""

from __future__ import annotations

from typing import NoReturn

from serverless_wasm.abi.wasi_http.interface import (
    Interface,
    Ok,
    Refusal,
    Resource,
    borrow,
    function,
    method,
    own,
)
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.sockets_options import Options, option
from serverless_wasm.abi.wasi_http.sockets_types import (
    FAMILY,
    SOCKET_ADDRESS,
    Network,
    SocketAddress,
    or_error,
    read,
)
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.components.types import BYTES, U8, U64, ListOf, Option, Record, TupleOf


class UdpSocket(Resource):
    """A socket that stays unbound."""

    __slots__ = ("family", "options")
    name = "wasi:sockets/udp/udp-socket"

    def __init__(self, family: str) -> None:
        super().__init__()
        self.family = family
        self.options = Options()

    def require_settable(self) -> None:
        """Settings may be changed at any time."""


class IncomingDatagramStream(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:sockets/udp/incoming-datagram-stream"


class OutgoingDatagramStream(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:sockets/udp/outgoing-datagram-stream"


def _create_udp_socket(world: World, family: str) -> Ok:
    return Ok(UdpSocket(family))


def _start_bind(world: World, socket: UdpSocket, network: Network, local: SocketAddress) -> NoReturn:
    read(local, socket.family)
    raise Refusal("access-denied")


def _finish_bind(world: World, socket: UdpSocket) -> NoReturn:
    raise Refusal("not-in-progress")


def _stream(world: World, socket: UdpSocket, remote: SocketAddress | None) -> NoReturn:
    raise Refusal("invalid-state")  # it has to be bound first


def _address(world: World, socket: UdpSocket) -> NoReturn:
    raise Refusal("invalid-state")  # it has none


def _address_family(world: World, socket: UdpSocket) -> str:
    return socket.family


def _subscribe(world: World, socket: UdpSocket) -> Pollable:
    return Pollable(lambda: True, _no_wait, socket)


async def _no_wait() -> None:
    """Nothing is ever under way."""


def _no_stream(world: World, *arguments: object) -> NoReturn:
    raise GuestTrap("udp: there is no stream of datagrams")


_DATAGRAM = Record((("data", BYTES), ("remote-address", SOCKET_ADDRESS)))
_OUTGOING = Record((("data", BYTES), ("remote-address", Option(SOCKET_ADDRESS))))
_STREAMS = TupleOf((own(IncomingDatagramStream), own(OutgoingDatagramStream)))
_NOTHING = or_error()
UDP = Interface(
    "wasi:sockets/udp",
    (
        method(
            UdpSocket, "start-bind", _start_bind, ("network", borrow(Network)),
            ("local-address", SOCKET_ADDRESS), gives=_NOTHING,
        ),
        method(UdpSocket, "finish-bind", _finish_bind, gives=_NOTHING),
        method(
            UdpSocket, "stream", _stream, ("remote-address", Option(SOCKET_ADDRESS)), gives=or_error(_STREAMS)
        ),
        method(UdpSocket, "local-address", _address, gives=or_error(SOCKET_ADDRESS)),
        method(UdpSocket, "remote-address", _address, gives=or_error(SOCKET_ADDRESS)),
        method(UdpSocket, "address-family", _address_family, gives=FAMILY),
        *option(UdpSocket, "unicast-hop-limit", U8),
        *option(UdpSocket, "receive-buffer-size", U64),
        *option(UdpSocket, "send-buffer-size", U64),
        method(UdpSocket, "subscribe", _subscribe, gives=own(Pollable)),
        method(
            IncomingDatagramStream, "receive", _no_stream, ("max-results", U64),
            gives=or_error(ListOf(_DATAGRAM)),
        ),
        method(IncomingDatagramStream, "subscribe", _no_stream, gives=own(Pollable)),
        method(OutgoingDatagramStream, "check-send", _no_stream, gives=or_error(U64)),
        method(
            OutgoingDatagramStream, "send", _no_stream, ("datagrams", ListOf(_OUTGOING)), gives=or_error(U64)
        ),
        method(OutgoingDatagramStream, "subscribe", _no_stream, gives=own(Pollable)),
    ),
    (UdpSocket, IncomingDatagramStream, OutgoingDatagramStream),
)  # fmt: skip
UDP_CREATE_SOCKET = Interface(
    "wasi:sockets/udp-create-socket",
    (
        function(
            "create-udp-socket",
            _create_udp_socket,
            ("address-family", FAMILY),
            gives=or_error(own(UdpSocket)),
        ),
    ),
)
