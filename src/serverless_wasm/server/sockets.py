"""The sockets that doors listen on: bound before anything slow begins, or a sentence that says why not.

A host and a port come in; bound sockets, and what a guest may not call, go out.
It must never leave a socket open behind a failure.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from serverless_wasm.server.head import address_text

BACKLOG = 1024
"""Clients that the kernel lets wait for accept(); it cuts this down to net.core.somaxconn."""
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_STRANGERS = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}  # noqa: S104 - compared with, not bound; RFC 5737, 3849


class Bound:
    """Sockets that have their addresses and listen to nobody yet: clients are refused until `listen`."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets

    def own_addresses(self) -> tuple[str, ...]:
        """Where the sockets can be reached, as `host:port`, for the policy that keeps guests away.

        For a socket on every interface the machine's main address is added; the loopback ones are implied.
        """
        found: list[str] = []
        for sock in self.sockets:
            host, port, *_ = sock.getsockname()
            found.append(_without_zone(host, port))
            if host in _STRANGERS:
                found += _main_address(sock.family, host, port)
        return tuple(found)

    def listen(self) -> None:
        """Lets clients queue up; raises OSError if another program has come to listen there meanwhile.

        Call it before a door does: uvloop does not tell when listening fails.
        """
        for sock in self.sockets:
            sock.listen(BACKLOG)

    def close(self) -> None:
        """Gives the addresses back."""
        for sock in self.sockets:
            sock.close()


def bind(host: str, port: int) -> Bound:
    """Sockets on every address of the host that this machine has.

    Port 0 lets the system choose one for all. Raises OSError, which `reason` puts into words.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    absent = None
    with ExitStack() as on_failure:
        for family, *_, address in found:
            try:
                sock = on_failure.enter_context(_bound(family, (address[0], port, *address[2:])))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error  # localhost is ::1 too, even where IPv6 is off
                continue
            bound.append(sock)
            port = sock.getsockname()[1]
        if absent and not bound:
            raise absent
        on_failure.pop_all()
    return Bound(bound)


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart waits for old connections
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # [::] never takes IPv4's port
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def reason(error: OSError, host: str, port: int) -> str:
    """Why the service cannot listen there and what to write, in one sentence."""
    where = f"cannot listen on {f'[{host}]' if ':' in host else host}:{port}"
    if isinstance(error, socket.gaierror):
        return f"{where}: the name is not known here; write an address such as 127.0.0.1 in listen_address"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: another program listens there; stop it, or write another port in listen_address"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{where}: this user may not take the port; write one from 1024 to 65535 in listen_address"
    if error.errno in _ABSENT and ":" in host:
        return f"{where}: no such IPv6 address here, or IPv6 is off; write an IPv4 address in listen_address"
    if error.errno in _ABSENT:
        return f"{where}: this machine has no such address; write 127.0.0.1, or 0.0.0.0 for every interface"
    return f"{where}: {error.strerror}; write another listen_address"


def _main_address(family: int, wildcard: str, port: int) -> Iterable[str]:
    """The address that this machine would call a stranger from; no packet is sent to find out."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:  # OSError: no route out
        probe.connect((_STRANGERS[wildcard], port))
        yield _without_zone(probe.getsockname()[0], port)


def _without_zone(host: str, port: int) -> str:
    return address_text((host.partition("%")[0], port))
