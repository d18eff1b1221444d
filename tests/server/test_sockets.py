from __future__ import annotations

import errno
import socket

import pytest

from serverless_wasm.net.policy import Target
from serverless_wasm.server.sockets import Bound, bind, reason


def test_bound_not_listening() -> None:
    """A bound socket keeps its port from others, and refuses clients until a door listens."""
    bound = bind("127.0.0.1", 0)
    try:
        (address,) = bound.own_addresses()
        host, _, port = address.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))
    finally:
        bound.close()


def test_name() -> None:
    """A name is bound on every address that it has here, with one port for all."""
    bound = bind("localhost", 0)
    try:
        assert len({address.rpartition(":")[2] for address in bound.own_addresses()}) == 1
        assert any(address.startswith("127.0.0.1:") for address in bound.own_addresses())
    finally:
        bound.close()


def test_taken() -> None:
    """A port that somebody listens on cannot be bound, and nothing is left open."""
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError) as caught:  # noqa: PT011 - errno below
        bind("localhost", other.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


def test_taken_meanwhile() -> None:
    """Of two that could bind the same port, the second to listen is told."""
    first = bind("127.0.0.1", 0)
    second = bind("127.0.0.1", first.sockets[0].getsockname()[1])
    try:
        first.listen()
        with pytest.raises(OSError) as caught:  # noqa: PT011 - errno below
            second.listen()
        assert caught.value.errno == errno.EADDRINUSE
    finally:
        first.close()
        second.close()


def test_absent() -> None:
    """An address that this machine does not have cannot be bound."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - errno below
        bind("192.0.2.1", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_own_addresses(host: str) -> None:
    """Own addresses are targets that the policy can read, the bound one among them."""
    bound = bind(host, 0)
    try:
        own = [Target.parse(address.encode()) for address in bound.own_addresses()]
        assert {target.port for target in own} == {bound.sockets[0].getsockname()[1]}
    finally:
        bound.close()


def test_zone() -> None:
    """The zone of a link-local address is no part of an own address: no target can be written with one."""

    class Zoned(socket.socket):
        def getsockname(self) -> tuple[str, int, int, int]:
            return "fe80::1%eth0", 8080, 0, 2

    with Zoned(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert Bound([sock]).own_addresses() == ("[fe80::1]:8080",)


@pytest.mark.parametrize(
    ("error", "host", "words"),
    [
        (OSError(errno.EADDRINUSE, "x"), "127.0.0.1", "127.0.0.1:80: another program listens there; stop it"),
        (OSError(errno.EACCES, "x"), "127.0.0.1", "this user may not take the port; write one from 1024"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "192.0.2.1", "this machine has no such address; write 127.0.0.1"),
        (
            OSError(errno.EADDRNOTAVAIL, "x"),
            "::1",
            "[::1]:80: no such IPv6 address here, or IPv6 is off; write",
        ),
        (OSError(errno.EAFNOSUPPORT, "x"), "::1", "IPv6 is off; write an IPv4 address in listen_address"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "gone", "gone:80: the name is not known here; write"),
        (OSError(errno.ENOBUFS, "No buffers"), "127.0.0.1", "No buffers; write another listen_address"),
    ],
)
def test_reason(error: OSError, host: str, words: str) -> None:
    """Each way to fail has a sentence of its own, with the address and what to write instead."""
    sentence = reason(error, host, 80)

    assert words in sentence
    assert sentence.startswith("cannot listen on ")
    assert "\n" not in sentence
