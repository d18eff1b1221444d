"""The SSRF catalogue (THREATS G27) and hostile name servers (G28), against a dialler that connects to nobody.

The resolver is a stub that takes every spelling for an address, as some system's would.
"""

from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_address
from typing import Any

import pytest

from net.backends import Dialled, Log, invocation, join_lookups, main_address, no_descriptor_left
from serverless_wasm.errors import Failed, NotPermitted
from serverless_wasm.limits import Limits
from serverless_wasm.net.policy import Policy, Target
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.net.tcp import Network

EVERYTHING = ("*://*:*", "tcp://*.example:*", "tcp://0.0.0.0/0:*", "tcp://[::]/0:*")
NARROW = ("tcp://allowed.com:80", "tcp://*.allowed.com:80", "tcp://allowed.com:8000..9000")

# What a guest writes for the host, and what a credulous system makes of it.
HOSTS = {
    "127.0.0.1": "127.0.0.1",
    "127.1": "127.0.0.1",
    "127.0.1": "127.0.0.1",
    "0": "0.0.0.0",
    "0.0.0.0": "0.0.0.0",
    "0x7f000001": "127.0.0.1",
    "0X7F.1": "127.0.0.1",
    "017700000001": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "127.0.0.01": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "4294967297": "0.0.0.1",
    "127.255.255.254": "127.255.255.254",
    "127.0.0.1.": "127.0.0.1",
    "127。0。0。1": "127.0.0.1",
    "①②⑦.0.0.1": "127.0.0.1",
    "\uff11\uff12\uff17.0.0.1": "127.0.0.1",
    "localhost": "127.0.0.1 ::1",
    "LOCALHOST": "127.0.0.1",
    "localhost.": "::1 127.0.0.1",
    "localhost..": "127.0.0.1",
    "ip6-localhost": "::1",
    "[::1]": "::1",
    "[0:0:0:0:0:0:0:1]": "::1",
    "[::]": "::",
    "[::ffff:127.0.0.1]": "::ffff:127.0.0.1",
    "[::ffff:7f00:1]": "::ffff:7f00:1",
    "[::FFFF:0:127.0.0.1]": "::ffff:0:127.0.0.1",
    "[::127.0.0.1]": "::127.0.0.1",
    "[64:ff9b::7f00:1]": "64:ff9b::7f00:1",
    "[64:ff9b:1::7f00:1]": "64:ff9b:1::7f00:1",
    "[2002:7f00:1::]": "2002:7f00:1::",
    "[2001:0:7f00:1::1]": "2001:0:7f00:1::1",
    "[fe80::1%25lo]": "fe80::1%lo",
    "[fe80::1%lo]": "fe80::1%lo",
    "[fe80::1]": "fe80::1",
    "[fec0::1]": "fec0::1",
    "[fc00::f00d]": "fc00::f00d",
    "[fd00:ec2::254]": "fd00:ec2::254",
    "[fd20:ce::254]": "fd20:ce::254",
    "[::ffff:169.254.169.254]": "::ffff:169.254.169.254",
    "169.254.169.254": "169.254.169.254",
    "0xa9fea9fe": "169.254.169.254",
    "2852039166": "169.254.169.254",
    "169.254.170.2": "169.254.170.2",
    "100.100.100.200": "100.100.100.200",
    "168.63.129.16": "168.63.129.16",
    "metadata.google.internal": "169.254.169.254",
    "10.0.0.1": "10.0.0.1",
    "10.1": "10.0.0.1",
    "172.16.0.1": "172.16.0.1",
    "192.168.0.1": "192.168.0.1",
    "100.64.1.1": "100.64.1.1",
    "192.0.0.1": "192.0.0.1",
    "192.0.0.9": "192.0.0.9",
    "198.18.0.1": "198.18.0.1",
    "224.0.0.1": "224.0.0.1",
    "255.255.255.255": "255.255.255.255",
    "[ff02::1]": "ff02::1",
    "[ff0e::1]": "ff0e::1",
    "[example.com]": "127.0.0.1",
    "[127.0.0.1]": "127.0.0.1",
    "[::1]]": "::1",
    "::1": "::1",
    "user@host": "10.0.0.1",
    "user:password@host": "10.0.0.1",
    "allowed.com@127.0.0.1": "127.0.0.1",
    "allowed.com:80@127.0.0.1": "127.0.0.1",
    "allowed.com#@127.0.0.1": "127.0.0.1",
    "127.0.0.1\\@allowed.com": "127.0.0.1",
    "127.0.0.1/allowed.com": "127.0.0.1",
    "127.0.0.1%2f.allowed.com": "127.0.0.1",
    "127.0.0.1\x00.allowed.com": "127.0.0.1",
    "allowed.com\x00": "127.0.0.1",
    "allowed.com\r\nX: y": "127.0.0.1",
    "allowed.com\n": "127.0.0.1",
    "\tallowed.com": "127.0.0.1",
    "allowed.com ": "127.0.0.1",
    "allowed.com%00": "127.0.0.1",
    "alloẉed.com": "127.0.0.1",
    "\u212aelvin.allowed.com": "127.0.0.1",
    "allowed\u3002com": "127.0.0.1",
    "*.allowed.com": "127.0.0.1",
    "a" * 64 + ".allowed.com": "127.0.0.1",
    "a." * 144 + "allowed.com": "127.0.0.1",
    "": "127.0.0.1",
    ".": "127.0.0.1",
}
PORTS: tuple[str, ...] = (
    "0",
    "65536",
    "-1",
    "080",
    "+80",
    "0x50",
    "8_0",
    "80 ",
    " 80",
    "80\n",
    "80\x00",
    "\uff18\uff10",
    "",
)
PORTS += ("http", "80:80", "99999999999999999999", "4294967376")
OTHERS = ("/var/run/docker.sock", "unix:/var/run/docker.sock", "http://allowed.com:80/", "allowed.com", "")
LITERALS = [
    *((f"{host}:80", meant) for host, meant in HOSTS.items()),
    *((f"allowed.com:{port}", "127.0.0.1") for port in PORTS),
    *((form, "127.0.0.1") for form in OTHERS),
]
NOT_ALLOWED = ("allowed.com.evil:80", "evil-allowed.com:80", "allowed.com:81", "a.allowed.com:8080", "com:80")


def refusals(target: str, entries: tuple[str, ...], *answers: str) -> tuple[Dialled, Log]:
    """Asks for the target until the answers are used up; each attempt is refused, and nothing is dialled."""
    network, log = Dialled(*answers), Log()

    async def main() -> None:
        with invocation(Policy.for_application(entries, []), network=network, log=log) as sockets:
            for _ in answers:
                with pytest.raises(NotPermitted) as raised:
                    await sockets.connect(target.encode())
                assert raised.value.abi_code == -1

    asyncio.run(main())
    assert network.dialled == []
    assert len(log) == len(answers)
    assert all(word.isprintable() and len(word) < 800 for record in log for word in record)
    return network, log


# The forms of G27


@pytest.mark.parametrize(("target", "meant"), LITERALS, ids=lambda text: ascii(text)[:40])
def test_literal_form(target: str, meant: str) -> None:
    """No form of the catalogue is ever dialled as a guest writes it, whatever the resolver makes of it.

    A narrow list of hosts does not even let it reach the resolver.
    """
    refusals(target, EVERYTHING, meant)

    network, _ = refusals(target, NARROW, meant)

    assert network.asked == []


@pytest.mark.parametrize("answer", dict.fromkeys(HOSTS.values()))
def test_form_by_dns(answer: str) -> None:
    """No address of the catalogue is ever dialled because a name leads there; the log says which it was."""
    for target in ("evil.example:80", "EVIL.example.:65535", "sub.evil.example:443"):
        network, log = refusals(target, EVERYTHING, answer)
        (normalised, reason, remedy), *_ = log
        assert len(network.asked) == 1
        assert normalised == target.lower().replace(".:", ":")
        last = ip_address(answer.rsplit(maxsplit=1)[-1].partition("%")[0])
        assert f"{last}, " in reason
        assert remedy.startswith('allowed_outbound_hosts = ["tcp://')


@pytest.mark.parametrize("target", NOT_ALLOWED)
def test_near_misses_of_an_allowed_name(target: str) -> None:
    """A name that looks like an allowed one is refused although it leads to a public address."""
    network, _ = refusals(target, NARROW, "1.1.1.1")

    assert network.asked == []


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("127.0.0.1:8080", ""),
        ("[::ffff:127.0.0.1]:8080", ""),
        ("[::1]:9090", ""),
        ("0.0.0.0:8080", ""),
        ("[::]:9090", ""),
        ("127.0.0.2:7070", ""),
        ("[::1]:7070", ""),
        ("localhost:8080", "127.0.0.1"),
        ("localhost:9090", "::1"),
        ("own.example:8080", "::ffff:127.0.0.1"),
        ("own.example:7070", "127.3.3.3"),
        (f"{main_address()}:7070", ""),
        ("own.example:7070", f"::ffff:{main_address()}"),
    ],
)
def test_where_the_service_listens(target: str, answer: str) -> None:
    """Rules that are broad or open to many ports lead everywhere but back to the service itself."""
    hosts: tuple[str, ...] = (
        "*",
        "127.0.0.0/8",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "localhost",
        "own.example",
    )
    hosts += (main_address(), f"[::ffff:{main_address()}]")
    own = map(Target.parse, (b"127.0.0.1:8080", b"[::1]:9090", b"0.0.0.0:7070"))
    policy = Policy.for_application([f"tcp://{host}:*" for host in hosts], [], own)
    network, log = Dialled(answer, answer), Log()

    async def main() -> None:
        with invocation(policy, network=network, log=log) as sockets:
            with pytest.raises(NotPermitted):
                await sockets.connect(target.encode())
            assert network.dialled == []
            with pytest.raises(Failed):
                await sockets.connect(f"{target.rpartition(':')[0]}:6060".encode())
            assert len(network.dialled) == 1

    asyncio.run(main())
    ((_, reason, _),) = log
    assert "where this service itself listens" in reason


# The name servers of G28


def test_rebinding_and_mixed_answers() -> None:
    """Of every answer only the public addresses are dialled, and each is vetted like the first.

    So it is with a time to live of 0, with IPv4 and IPv6 mixed, and whatever the canonical name says.
    """
    answers = ("1.1.1.1", "10.0.0.1", "10.0.0.2 2606:4700::1111 ::1 1.0.0.1", "127.0.0.1 1.1.1.2", "::1")
    network, log = Dialled(*answers), Log()

    async def main() -> None:
        with invocation(Policy.for_application(["tcp://*:*"], []), network=network, log=log) as sockets:
            for error in (Failed, NotPermitted, Failed, Failed, NotPermitted):
                with pytest.raises(error):
                    await sockets.connect(b"rebind.example:80")

    asyncio.run(main())
    assert network.asked == ["rebind.example"] * 5
    assert network.dialled == ["1.1.1.1", "2606:4700::1111", "1.0.0.1", "1.1.1.2"]
    assert len(log) == 2


def test_a_name_granted_in_full_is_vetted_each_time() -> None:
    """A name that the operator wrote out may lead to private addresses, never to metadata."""
    network = Dialled(
        "10.0.0.1", "169.254.169.254", "127.0.0.1 169.254.169.254 fe80::1", "::ffff:169.254.170.2"
    )

    async def main() -> None:
        policy = Policy.for_application(["tcp://backend.internal:80"], [])
        with invocation(policy, network=network) as sockets:
            for error in (Failed, NotPermitted, Failed, NotPermitted):
                with pytest.raises(error):
                    await sockets.connect(b"backend.internal:80")

    asyncio.run(main())
    assert network.dialled == ["10.0.0.1", "127.0.0.1"]


def test_a_hundred_answers() -> None:
    """Of a hundred answers 16 are vetted and four dialled, so that each has a fair part of the deadline."""
    public = [f"1.1.1.{number}" for number in range(1, 101)]
    hidden = [f"10.0.0.{number}" for number in range(1, 100)]
    late = [*hidden[:14], *public]
    network, log = Dialled(" ".join(public), " ".join([*hidden, "1.1.1.1"]), " ".join(late)), Log()

    async def main() -> None:
        with invocation(Policy.for_application(["tcp://*:*"], []), network=network, log=log) as sockets:
            for error in (Failed, NotPermitted, Failed):
                with pytest.raises(error):
                    await sockets.connect(b"many.example:80")

    asyncio.run(main())
    assert network.dialled == [*public[:4], *public[:2]]
    assert len(log) == 1


def test_a_name_server_that_never_answers() -> None:
    """It costs its own application the deadline, and no descriptor; a neighbour does not notice."""
    go_on = threading.Event()

    def look_up(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        if host == "hang.example":
            go_on.wait()
        return [(0, 1, 6, "", ("127.0.0.1", port))]

    async def main() -> None:
        network, policy = (
            Network(resolver=Resolver(getaddrinfo=look_up)),
            Policy.for_application(EVERYTHING, []),
        )
        victim = network.for_application(policy, Limits(sockets=2, connect_timeout=0.05))
        sockets, neighbour = victim.for_invocation(Log()), network.for_application(policy, Limits())
        for _ in range(4):
            with pytest.raises(Failed, match="no answer in time"):
                await sockets.connect(b"hang.example:80")
            assert victim.open == 0
        with pytest.raises(NotPermitted):
            await neighbour.for_invocation(Log()).connect(b"fine.example:80")
        network.close()

    with no_descriptor_left():
        asyncio.run(main())
    go_on.set()
    join_lookups()
