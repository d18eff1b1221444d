"""wasi:sockets/ip-name-lookup: names that an entry grants, and addresses that it lets a guest hear of."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abi.wasi_http.connecting import Guest, a_guest, address
from net.backends import Dialled, backend, echo, join_lookups, no_descriptor_left
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.net.tcp import Network

NEXT, SUBSCRIBE = (
    "[method]resolve-address-stream.resolve-next-address",
    "[method]resolve-address-stream.subscribe",
)


def begin(guest: Guest, name: str) -> Any:
    return guest("resolve-addresses", guest("instance-network"), name)


async def addresses(guest: Guest, name: str) -> Any:
    """All of them, or the error."""
    stream = begin(guest, name).value
    await guest.wait("[method]pollable.block", guest(SUBSCRIBE, stream))
    found = []
    while (answer := guest(NEXT, stream)) != Ok(None):
        if isinstance(answer, Err):
            return answer
        found.append(answer.value)
    assert Ok(None) == guest(NEXT, stream)
    return found


def test_the_addresses_of_a_name() -> None:
    """In their order, then none; mapped ones are left out, and what a name may not lead to."""

    async def main() -> None:
        network = Dialled("1.2.3.4 2606:4700::1 ::ffff:1.2.3.4 169.254.169.254")
        with a_guest(("tcp://*.example:443",), network) as guest:
            v6 = (0x2606, 0x4700, 0, 0, 0, 0, 0, 1)
            assert [("ipv4", (1, 2, 3, 4)), ("ipv6", v6)] == await addresses(guest, "A.example.")
            assert not guest.refused
        assert ["a.example"] == network.asked

    asyncio.run(main())


def test_it_would_block_until_then() -> None:
    """A name is looked up beside the guest, which may drop it at any time."""
    released = threading.Event()

    def wait(*_: object, **__: object) -> list[Any]:
        released.wait()
        return [(0, 1, 6, "", ("1.1.1.1", 0))]

    async def main() -> None:
        with a_guest(("tcp://*:1",), Network(resolver=Resolver(getaddrinfo=wait)), sockets=2) as guest:
            streams = [begin(guest, f"{name}.example").value for name in "ab"]
            assert Err("would-block") == guest(NEXT, streams[0])
            pollable = guest(SUBSCRIBE, streams[0])
            assert not guest("[method]pollable.ready", pollable)
            assert Err("temporary-resolver-failure") == begin(guest, "c.example")
            guest.drop(streams[1])
            assert isinstance(begin(guest, "c.example"), Ok)
            released.set()
            await guest.wait("[method]pollable.block", pollable)
            assert Ok(("ipv4", (1, 1, 1, 1))) == guest(NEXT, streams[0])
        join_lookups()

    asyncio.run(main())


def test_the_policy_is_asked_first() -> None:
    """A name without an entry for tcp reaches no resolver, and the log hears of it."""

    async def main() -> None:
        network = Dialled("169.254.169.254")
        with a_guest(("https://*:443", "tcp://evil.example:80"), network) as guest:
            assert Err("access-denied") == begin(guest, "secret.example")
            assert not network.asked
            assert Err("access-denied") == await addresses(guest, "evil.example")
            assert ["secret.example", "evil.example"] == guest.refused

    asyncio.run(main())


def test_a_name_that_does_not_exist() -> None:
    """It is unresolvable, each time it is asked for."""

    def unknown(*_: object, **__: object) -> list[Any]:
        raise OSError(-2, "Name or service not known")

    async def main() -> None:
        network = Network(resolver=Resolver(getaddrinfo=unknown))
        with a_guest(("tcp://*:1",), network) as guest:
            assert Err("name-unresolvable") == await addresses(guest, "nowhere.example")

    asyncio.run(main())


def test_an_address_is_its_own_answer() -> None:
    """Without a look-up, and without a word on whether it may be connected to."""

    async def main() -> None:
        network = Dialled()
        with a_guest((), network) as guest:
            assert [("ipv4", (10, 0, 0, 1))] == await addresses(guest, "10.0.0.1")
            assert [("ipv6", (0, 0, 0, 0, 0, 0, 0, 1))] == await addresses(guest, "::1")
            stream = begin(guest, "::1").value
            guest.drop(stream)
            assert Err("access-denied") == guest.start(guest.socket(), address("10.0.0.1", 80))
        assert not network.asked

    asyncio.run(main())


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "a..example", "127.1", "0x7f000001", "2130706433", "a b", "a:80", "a/b", "[::1]",
        "-a.example", "fe80::1%eth0", "::ffff:1.2.3.4", "a\0b", "x" * 64, "x." * 200, "\u0661.1", "\u2028",
        "a\u3002\u3002b",
    ],
)  # fmt: skip
def test_what_is_no_name(name: str) -> None:
    """It is an argument that is invalid, whatever a resolver would make of it."""
    network = Dialled()
    with a_guest(("tcp://*:*",), network) as guest:
        assert Err("invalid-argument") == begin(guest, name)
    assert not network.asked


def test_an_international_name() -> None:
    """It is looked up, and judged, in its xn-- form; full-width digits are the address that they spell."""

    async def main() -> None:
        network = Dialled("1.1.1.1")
        with a_guest(("tcp://xn--bcher-kva.example:1",), network) as guest:
            assert [("ipv4", (1, 1, 1, 1))] == await addresses(guest, "B\u00fccher.example")
            assert [("ipv4", (127, 0, 0, 1))] == await addresses(guest, "\uff11\uff12\uff17.0.0.1")
            assert Err("invalid-argument") == begin(guest, "\uff11\uff12\uff17.1")
        assert ["xn--bcher-kva.example"] == network.asked

    asyncio.run(main())


@given(st.text())
def test_no_name_does_harm(name: str) -> None:
    """Any text is refused, or denied, or an address; none is looked up without an entry."""
    network = Dialled()
    with a_guest((), network) as guest:
        answer = begin(guest, name)
        if isinstance(answer, Err):
            assert answer.value in ("invalid-argument", "access-denied")
    assert not network.asked


def test_a_guest_connects_to_what_it_was_given() -> None:
    """The entry of a name grants its address at its port to whoever has looked it up, and only then."""

    async def main() -> None:
        async with backend(echo) as port:
            found = [(0, 1, 6, "", ("127.0.0.1", 0))]
            network = Network(resolver=Resolver(getaddrinfo=lambda *_, **__: found))
            with a_guest((f"tcp://backend:{port}",), network) as guest:
                remote = address("127.0.0.1", port)
                assert Err("access-denied") == guest.start(guest.socket(), remote)
                assert [("ipv4", (127, 0, 0, 1))] == await addresses(guest, "backend")
                await guest.connected(port)
                other = address("127.0.0.1", port ^ 1)
                assert Err("access-denied") == guest.start(guest.socket(), other)
                assert [f"127.0.0.1:{port}", f"backend:{port ^ 1}"] == guest.refused

    with no_descriptor_left():
        asyncio.run(main())
