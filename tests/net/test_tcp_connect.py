"""Guests' TCP: whom it connects to; what is not loopback is decided by a dialler that connects to nobody."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

import pytest

from net.backends import Dialled, Log, Run, black_hole, invocation, no_descriptor_left
from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.net.connection import Connection
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.net.tcp import Network

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
        limits = Limits(connect_timeout=0.05)
        in_time = pytest.raises(Failed, match="in time")
        with black_hole() as target, invocation(limits=limits) as sockets, in_time:
            await sockets.connect(target)

    with no_descriptor_left():
        run(main())


def test_a_look_up_and_its_connection_share_a_deadline() -> None:
    """What the look-up took is not given to the connection again."""

    async def main() -> None:
        loop, network = asyncio.get_running_loop(), Dialled("1.1.1.1")
        with invocation(network=network, limits=Limits(connect_timeout=60)) as sockets:
            began = loop.time()
            with pytest.raises(Failed):
                await sockets.connect(b"name.example:80")
        (deadline,) = network.deadlines
        assert began + 60 <= deadline <= network.looked_up + 60

    asyncio.run(main())


def test_next_address_after_a_black_hole(run: Run) -> None:
    """The first address that answers is used, even after one that swallows every SYN."""

    async def main() -> None:
        with black_hole() as target, socket.socket(socket.AF_INET6) as listening:
            port = int(target.rpartition(b":")[2])
            listening.bind(("::1", port))
            listening.listen()
            answers = [(0, 1, 6, "", (address, port)) for address in ("127.0.0.1", "::1")]
            network = Network(resolver=Resolver(getaddrinfo=lambda *_, **__: answers))
            policy = Policy.for_application([], [f"backend:{port}"])
            with invocation(policy, network=network, limits=Limits(connect_timeout=1.0)) as sockets:
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
        async def dial(self, *_: object) -> Connection:
            raise OSError(number, os.strerror(number)) if number else TimeoutError

    async def main() -> None:
        with invocation(network=Broken()) as sockets, pytest.raises(CapabilityError) as raised:
            await sockets.connect(b"127.0.0.1:80")
        lacking = number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
        assert raised.type is (TooLarge if lacking else Failed)

    asyncio.run(main())


# What a refusal tells


def test_names_without_a_rule_are_not_looked_up() -> None:
    """A name that no rule covers never reaches a resolver, and the log has the line that permits it."""
    log = Log()

    async def main() -> None:
        network = Dialled()
        with invocation(Policy(), network=network, log=log) as sockets, pytest.raises(NotPermitted):
            await sockets.connect(b"secret-data.evil.example:443")
        assert not network.asked

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
