"""Names that are looked up beside the guest: whose, what is told of them, and what they then permit."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from net.backends import Dialled, Log, Run, backend, echo, invocation, join_lookups, no_descriptor_left
from serverless_wasm.errors import Failed, NotPermitted, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.net.lookup import Lookup
from serverless_wasm.net.policy import Address, Policy, Target
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.net.tcp import Network

LOOPBACK = ip_address("127.0.0.1")


def policy(*entries: str) -> Policy:
    return Policy.for_application(entries, [])


async def addresses(lookup: Lookup) -> list[str]:
    await lookup.wait()
    return [str(each) for each in lookup.addresses]


@contextmanager
def held() -> Iterator[Resolver]:
    """A resolver that answers no sooner than the end of the test."""
    released = threading.Event()

    def wait(*_: object, **__: object) -> list[Any]:
        released.wait()
        return [(0, 1, 6, "", ("127.0.0.1", 0))]

    try:
        yield Resolver(getaddrinfo=wait)
    finally:
        released.set()
        join_lookups()


def test_any_port_will_do(run: Run) -> None:
    """A name is looked up if some port of it is granted, for tcp; the port is judged with the connection."""
    network, log = Dialled("1.1.1.1 8.8.8.8"), Log()

    async def main() -> None:
        rules = policy("tcp://db.example:5432", "https://*:443")
        with invocation(rules, network=network, log=log) as sockets:
            assert ["1.1.1.1", "8.8.8.8"] == await addresses(sockets.look_up("db.example"))
            with pytest.raises(NotPermitted):
                sockets.look_up("other.example")
            with pytest.raises(NotPermitted):
                sockets.begin(ip_address("1.1.1.1"), 5433)

    run(main())
    assert ["db.example"] == network.asked
    assert ["other.example", "db.example:5433"] == [target for target, *_ in log]
    assert 'allowed_outbound_hosts = ["tcp://other.example:*"]' == log[0][2]
    assert 'allowed_outbound_hosts = ["tcp://db.example:5433"]' == log[1][2]


def test_addresses_are_vetted(run: Run) -> None:
    """What a name may not lead to is left out; if nothing is left, that is refused, and told."""
    network, log = Dialled("169.254.169.254 1.1.1.1", "169.254.169.254", "10.0.0.1"), Log()

    async def main() -> None:
        with invocation(policy("tcp://*:80", "tcp://in.example:80"), network=network, log=log) as sockets:
            assert ["1.1.1.1"] == await addresses(sockets.look_up("mixed.example"))
            with pytest.raises(NotPermitted, match="metadata"):
                await addresses(sockets.look_up("evil.example"))
            assert ["10.0.0.1"] == await addresses(sockets.look_up("in.example"))

    run(main())
    assert ["evil.example"] == [target for target, *_ in log]
    assert '["tcp://evil.example:*", "tcp://169.254.169.254:*"]' in log[0][2]


def test_a_name_grants_its_address(run: Run) -> None:
    """What the name of an entry was found to be may be connected to, by who looked it up, at its port."""

    async def main() -> None:
        async with backend(echo) as port:
            network = Network(resolver=Resolver(getaddrinfo=answering("127.0.0.1")))
            rules = policy(f"tcp://backend:{port}")
            with invocation(rules, network=network) as sockets:
                with pytest.raises(NotPermitted):
                    sockets.begin(LOOPBACK, port)
                await addresses(sockets.look_up("backend"))
                with pytest.raises(NotPermitted):
                    sockets.begin(LOOPBACK, port + 1 if port < 65535 else port - 1)
                with pytest.raises(NotPermitted):
                    sockets.begin(ip_address("127.0.0.2"), port)
                stream = sockets.begin(LOOPBACK, port)
                while not stream.is_connected:
                    await stream.settle()
                sockets.close_all()
            with invocation(rules) as another, pytest.raises(NotPermitted):
                another.begin(LOOPBACK, port)

    with no_descriptor_left():
        run(main())


def answering(*found: str) -> Any:
    return lambda *_, **__: [(0, 1, 6, "", (address, 0)) for address in found]


def test_own_addresses_stay_refused(run: Run) -> None:
    """That a name was looked up does not lead to where this service listens; an entry of its own does."""

    async def main() -> None:
        network = Network(resolver=Resolver(getaddrinfo=answering("127.0.0.1")))
        own = Policy.for_application(["tcp://name:*"], [], own=[Target.parse(b"127.0.0.1:80")])
        with invocation(own, network=network) as sockets:
            assert ["127.0.0.1"] == await addresses(sockets.look_up("name"))
            with pytest.raises(NotPermitted, match="itself listens"):
                sockets.begin(LOOPBACK, 80)

    run(main())


def test_a_name_without_an_address(run: Run) -> None:
    """It fails, and no refusal is told: the policy has nothing against it."""
    log = Log()

    def unknown(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        network = Network(resolver=Resolver(getaddrinfo=unknown))
        with invocation(network=network, log=log) as sockets:
            lookup = sockets.look_up("nowhere.example")
            for _ in range(2):
                with pytest.raises(Failed, match="service not known"):
                    await addresses(lookup)
            assert not sockets.exchanges

    run(main())
    assert not log


def test_a_lookup_has_a_deadline(run: Run) -> None:
    """A name server that does not answer is Failed when the time for connecting is over."""

    async def main() -> None:
        with held() as resolver:
            network, limits = Network(resolver=resolver), Limits(connect_timeout=0.05)
            in_time = pytest.raises(Failed, match="in time")
            with invocation(network=network, limits=limits) as sockets, in_time:
                await addresses(sockets.look_up("slow.example"))

    run(main())


def test_lookups_are_counted_and_end_with_the_invocation(run: Run) -> None:
    """One under way is a descriptor; the end wakes who waits for it, and one that has yet to start, too."""

    async def main() -> None:
        with held() as resolver:
            network = Network(resolver=resolver)
            with invocation(network=network, limits=Limits(sockets=2)) as sockets:
                first, second = sockets.look_up("a.example"), sockets.look_up("b.example")
                with pytest.raises(TooLarge):
                    sockets.look_up("c.example")
                first.close()
                first.close()
                third = sockets.look_up("c.example")
                waiting = asyncio.ensure_future(second.wait())
                await asyncio.sleep(0)
                sockets.close_all()
                await waiting
                for lookup in (first, second, third):
                    assert lookup.is_over
                    with pytest.raises(Failed, match="over"):
                        _ = lookup.addresses

    run(main())


def test_what_is_remembered_is_bounded(run: Run) -> None:
    """A guest that looks up names without end is given up the oldest of them, not the memory."""

    async def main() -> None:
        network = Network(resolver=Resolver(getaddrinfo=answering("127.0.0.1")))
        with invocation(policy("tcp://*:1", "tcp://127.0.0.0/8:2"), network=network) as sockets:
            for number in range(300):
                await addresses(sockets.look_up(f"n{number}.example"))
            kept: list[tuple[Address, str]] = list(sockets._named)
            assert [f"n{number}.example" for number in range(44, 300)] == [name for _, name in kept]

    run(main())
