"""Guests' TCP: whom it connects to; what is not loopback is decided by a dialler that connects to nobody."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest

from net.backends import Log, Run, black_hole, invocation, no_descriptor_left
from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, TooLarge
from serverless_wasm.net.policy import Address, Policy
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.net.tcp import Network, _Connection


class Dialled(Network):
    """A network that connects to nothing, and notes what it would have connected to."""

    def __init__(self, *answers: str) -> None:
        self.lookups = iter(answers)
        super().__init__(resolver=Resolver(getaddrinfo=self.look_up))
        self.dialled: list[str] = []

    def look_up(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(0, 1, 6, "", (address, port)) for address in next(self.lookups).split()]

    async def dial(self, addresses: Sequence[Address], port: int) -> _Connection:
        self.dialled += map(str, addresses)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


# Connecting


def test_nobody_listens(run: Run) -> None:
    """A refused connection is Failed, tells no refusal of the policy, and leaves the rest working."""
    log = Log()

    async def main() -> None:
        with socket.socket() as bound, invocation(log=log) as sockets:
            bound.bind(("127.0.0.1", 0))
            for _ in range(20):
                with pytest.raises(Failed, match="refused"):
                    await sockets.connect(b"127.0.0.1:%d" % bound.getsockname()[1])

    with no_descriptor_left():
        run(main())
    assert not log


def test_black_hole_meets_the_deadline(run: Run) -> None:
    """A host that answers no SYN is Failed when the deadline for connecting has passed."""

    async def main() -> None:
        network = Network(connect_timeout=0.05)
        with (
            black_hole() as target,
            invocation(network=network) as sockets,
            pytest.raises(Failed, match="in time"),
        ):
            await sockets.connect(target)

    with no_descriptor_left():
        run(main())


def test_next_address_after_a_black_hole(run: Run) -> None:
    """The first address that answers is used, even after one that swallows every SYN."""

    async def main() -> None:
        with black_hole() as target, socket.socket(socket.AF_INET6) as listening:
            port = int(target.rpartition(b":")[2])
            listening.bind(("::1", port))
            listening.listen()
            answers = [(0, 1, 6, "", (address, port)) for address in ("127.0.0.1", "::1")]
            network = Network(resolver=Resolver(getaddrinfo=lambda *_, **__: answers), connect_timeout=1.0)
            policy = Policy.for_application([], [f"backend:{port}"])
            with invocation(policy, network=network) as sockets:
                connection = sockets._connections[await sockets.connect(b"backend:%d" % port)]
                assert connection._socket.getpeername()[0] == "::1"

    with no_descriptor_left():
        run(main())


def test_unknown_name_is_failed(run: Run) -> None:
    """A name that cannot be looked up is Failed."""

    def unknown(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        network = Network(resolver=Resolver(getaddrinfo=unknown))
        with invocation(network=network) as sockets, pytest.raises(Failed, match="service not known"):
            await sockets.connect(b"nowhere.example:80")

    run(main())


@pytest.mark.parametrize("number", [*errno.errorcode, None])
def test_no_oserror_leaves_the_room(number: int | None) -> None:
    """Every errno becomes an error of ours: no room when the system lacks something, else Failed."""

    class Broken(Network):
        async def dial(self, addresses: Sequence[Address], port: int) -> _Connection:
            raise OSError(number, os.strerror(number)) if number else TimeoutError

    async def main() -> None:
        with invocation(network=Broken()) as sockets, pytest.raises(CapabilityError) as raised:
            await sockets.connect(b"127.0.0.1:80")
        lacking = number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
        assert raised.type is (TooLarge if lacking else Failed)

    asyncio.run(main())


# The policy at work (THREATS G27, G28)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "fd00:ec2::254",
    ],
)
def test_nothing_but_the_vetted_is_dialled(address: str) -> None:
    """Under `*` an address that is not public is never dialled, written out or by DNS; the log says why."""
    written = f"[{address}]:80" if ":" in address else f"{address}:80"
    log = Log()

    async def main() -> None:
        network = Dialled(address, f"{address} {address}")
        with invocation(Policy.for_application(["tcp://*:*"], []), network=network, log=log) as sockets:
            for target in (written.encode(), b"evil.example:80", b"EVIL.example.:80"):
                with pytest.raises(NotPermitted):
                    await sockets.connect(target)
        assert network.dialled == []

    asyncio.run(main())
    assert [str(ip_address(address)) in reason for _, reason, _ in log] == [True] * 3
    assert [target for target, _, _ in log][1:] == ["evil.example:80"] * 2
    assert all(remedy.startswith('allowed_outbound_hosts = ["tcp://') for _, _, remedy in log)


def test_rebinding_reaches_nothing() -> None:
    """Of mixed answers only the public ones are dialled, and a second answer is vetted like the first."""
    log = Log()

    async def main() -> None:
        network = Dialled("1.1.1.1", "10.0.0.1", "10.0.0.2 2606:4700::1111 ::1 1.0.0.1", "127.0.0.1 1.1.1.2")
        with invocation(Policy.for_application(["tcp://*:*"], []), network=network, log=log) as sockets:
            for error in (Failed, NotPermitted, Failed, Failed):
                with pytest.raises(error):
                    await sockets.connect(b"rebind.example:80")
        assert network.dialled == ["1.1.1.1", "2606:4700::1111", "1.0.0.1", "1.1.1.2"]

    asyncio.run(main())
    assert len(log) == 1


def test_few_addresses_are_tried() -> None:
    """Of a hundred answers four are dialled, so that each has a fair part of the deadline."""

    async def main() -> None:
        network = Dialled(" ".join(f"1.1.1.{number}" for number in range(1, 101)))
        with invocation(network=network) as sockets, pytest.raises(Failed):
            await sockets.connect(b"many.example:80")
        assert network.dialled == ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]

    asyncio.run(main())


def test_names_without_a_rule_are_not_looked_up() -> None:
    """A name that no rule covers never reaches a resolver, and the log has the line that permits it."""
    log = Log()

    async def main() -> None:
        network = Dialled()  # would raise at the first lookup
        with invocation(Policy(), network=network, log=log) as sockets, pytest.raises(NotPermitted):
            await sockets.connect(b"secret-data.evil.example:443")

    asyncio.run(main())
    target, _, remedy = log.pop()
    assert target == "secret-data.evil.example:443"
    assert remedy == 'allowed_outbound_hosts = ["tcp://secret-data.evil.example:443"]'


def test_refusals_are_told_safely_and_not_for_ever() -> None:
    """What a guest wrote is made printable, and of a thousand refusals ten are told."""
    log = Log()

    async def main() -> None:
        with invocation(log=log) as sockets:
            for target in [b"\x1b[2J\n{}:80", b"a" * 10_000_000] * 500:
                with pytest.raises(NotPermitted):
                    await sockets.connect(target)

    asyncio.run(main())
    assert len(log) == 10
    assert all(target.isprintable() and len(target) < 600 and not remedy for target, _, remedy in log)
