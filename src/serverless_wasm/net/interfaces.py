"""Knows which addresses are this machine's own.

An address comes in; whether a connection to it would stay on this machine goes out.
It must never send a packet, and never answer from an earlier question: interfaces come and go.
"""

from __future__ import annotations

import errno
import socket

from serverless_wasm.net.policy import Address


def family_of(address: Address) -> socket.AddressFamily:
    """The kind of socket that reaches the address."""
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET


def is_local(address: Address) -> bool:
    """Whether the address belongs to an interface of this machine, loopback included.

    Only to such an address the system lets a socket be bound. Where it cannot say (no descriptor is left,
    or net.ipv4.ip_nonlocal_bind lets everybody bind anything) the answer is yes, which keeps guests out.
    """
    try:
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True
