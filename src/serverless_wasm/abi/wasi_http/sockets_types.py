"""wasi:sockets/network: addresses and error codes, and the network that sockets are opened on.

Addresses as the interface writes them and failures of the host come in; addresses of ours and codes go out.
It must never let an address through that stands for another: mapped ones, zones, multicast.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from serverless_wasm.abi.wasi_http.interface import Interface, Refusal, Resource, borrow, function, own
from serverless_wasm.abi.wasi_http.io_error import IoError
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import CapabilityError, NotPermitted, TooLarge
from serverless_wasm.net.policy import Address
from serverless_wasm.wasm.components.types import (
    U8,
    U16,
    U32,
    Enum,
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

SocketAddress = tuple[str, tuple[Any, ...]]
"""A value of SOCKET_ADDRESS."""

_CODES = {
    "access-denied": (errno.EACCES, errno.EPERM),
    "not-supported": (errno.EOPNOTSUPP, errno.ENOPROTOOPT, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT),
    "invalid-argument": (errno.EINVAL,),
    "out-of-memory": (errno.ENOMEM, errno.ENOBUFS),
    "timeout": (errno.ETIMEDOUT,),
    "invalid-state": (errno.ENOTCONN, errno.EISCONN, errno.EBADF),
    "new-socket-limit": (errno.EMFILE, errno.ENFILE),
    # of a connect: there is no port left to connect from
    "address-in-use": (errno.EADDRINUSE, errno.EADDRNOTAVAIL),
    "remote-unreachable": (errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN),
    "connection-refused": (errno.ECONNREFUSED,),
    "connection-reset": (errno.ECONNRESET, errno.EPIPE),
    "connection-aborted": (errno.ECONNABORTED,),
}
_CODE_OF = {number: code for code, numbers in _CODES.items() for number in numbers}


class Network(Resource):
    """What sockets are opened on; which of it may be reached is the policy's to say."""

    __slots__ = ()
    name = "wasi:sockets/network/network"


def or_error(kind: Type | None = None) -> Result:
    """A value of that type, or one of the codes."""
    return Result(kind, ERROR_CODE)


def code_of(error: OSError | CapabilityError) -> str:
    """The error code of a failure."""
    if isinstance(error, NotPermitted):
        return "access-denied"
    if isinstance(error, TooLarge):
        return "new-socket-limit"
    return _CODE_OF.get(error.errno or 0, "unknown") if isinstance(error, OSError) else "unknown"


def written(address: Address) -> tuple[str, tuple[int, ...]]:
    """An IP_ADDRESS."""
    if isinstance(address, IPv4Address):
        return "ipv4", tuple(address.packed)
    packed = address.packed
    return "ipv6", tuple(int.from_bytes(packed[at : at + 2]) for at in range(0, 16, 2))


def written_with_port(address: Address, port: int) -> SocketAddress:
    """A SOCKET_ADDRESS."""
    family, parts = written(address)
    return family, (port, parts) if family == "ipv4" else (port, 0, parts, 0)


def unspecified(family: str) -> SocketAddress:
    """The address that a socket is bound to which nobody has bound."""
    return written_with_port(IPv4Address(0) if family == "ipv4" else IPv6Address(0), 0)


def read(value: SocketAddress, family: str) -> tuple[Address, int]:
    """Address and port for a socket of a family; raises Refusal unless it is a unicast address of it.

    A zone names a network card of this machine, and is refused as `net/policy` refuses it.
    """
    if value[0] != family:
        raise Refusal("invalid-argument")
    address: Address
    if family == "ipv4":
        port, parts = value[1]
        address = IPv4Address(bytes(parts))
        is_bad = address == IPv4Address("255.255.255.255")
    else:
        port, _, parts, zone = value[1]
        address = IPv6Address(b"".join(part.to_bytes(2) for part in parts))
        is_bad = address.ipv4_mapped is not None or zone != 0
    if is_bad or address.is_multicast:
        raise Refusal("invalid-argument")
    return address, port


def _instance_network(world: World) -> Network:
    return Network()


def _network_error_code(world: World, error: IoError) -> str | None:
    return code_of(error.cause) if isinstance(error.cause, OSError) else None


NETWORK = Interface(
    "wasi:sockets/network",
    (
        function(
            "network-error-code", _network_error_code, ("err", borrow(IoError)), gives=Option(ERROR_CODE)
        ),
    ),
    (Network,),
)
INSTANCE_NETWORK = Interface(
    "wasi:sockets/instance-network", (function("instance-network", _instance_network, gives=own(Network)),)
)
