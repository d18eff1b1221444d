"""The policy: what each rule grants of the SSRF catalogue (THREATS G27), and what a refusal teaches."""

from __future__ import annotations

import tomllib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.net.policy import Address, Policy, Target

EVERYTHING = ("*://*:*", "tcp://0.0.0.0/0:*", "tcp://[::]/0:*")

# Each is refused under EVERYTHING. Python's own is_global says True for some of them.
NOT_PUBLIC = """
127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 100.64.1.1
169.254.0.1 169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 192.0.0.192 168.63.129.16
192.0.0.1 192.0.0.9 192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 198.19.255.255 192.88.99.1
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255
::1 :: ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:8.8.8.8 ::127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
64:ff9b::a00:1 64:ff9b:1::7f00:1 2002:7f00:1:: 2002:a00:1::1 2001::1 2001:0:7f00:1::1 2001:20::1
fe80::1 febf::1 fec0::1 fc00::f00d fd00:ec2::254 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42
ff02::1 ff0e::1 100::1 2001:db8::1 3fff::1 5f00::1 4000::1 8000::1 1::1
"""

# Those that a hostile zone must not reach even under a name that the operator wrote out.
NEVER_BY_NAME = """
0.0.0.0 169.254.0.1 169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.192 168.63.129.16
224.0.0.1 255.255.255.255 :: fe80::1 ff02::1 fd00:ec2::254 ::127.0.0.1 64:ff9b:1::7f00:1 2002:7f00:1::
2001::1 ::ffff:0:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 64:ff9b::a9fe:a9fe 64:ff9b::e000:1
"""

METADATA = """
169.254.169.254 169.254.170.2 169.254.170.23 169.254.42.42 100.100.100.200 192.0.0.192 168.63.129.16
fd00:ec2::254 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42
"""

BY_NAME = """
127.0.0.1 ::1 10.0.0.1 172.16.0.1 192.168.0.1 100.64.1.1 fc00::f00d ::ffff:10.0.0.1 64:ff9b::808:808
"""

PUBLIC = "1.1.1.1 8.8.8.8 93.184.216.34 172.32.0.1 100.63.255.255 2606:4700:4700::1111 2a00:1450::1"


def is_here(address: Address) -> bool:
    """A machine with an interface beside its loopback."""
    return address.is_loopback or address == ip_address("93.184.216.34")


def permits(policy: Policy, target: str, address: str) -> bool:
    """The whole decision on one connection, as tcp.py takes it."""
    where = Target.parse(target.encode())
    named = policy.permits_name("tcp", where)
    return bool(named) and bool(policy.permits_address("tcp", where, ip_address(address), is_here))


def policy_of(*entries: str, env: tuple[str, ...] = (), own: tuple[bytes, ...] = ()) -> Policy:
    """A policy as the composition root makes it."""
    return Policy.for_application(entries, env, map(Target.parse, own))


def bracketed(address: str) -> str:
    """An address as the host of a target or a rule."""
    return f"[{address}]" if ":" in address else address


# Names


@pytest.mark.parametrize(
    ("entry", "target", "covered"),
    [
        ("tcp://allowed.com:80", "allowed.com:80", True),
        ("tcp://allowed.com:80", "ALLOWED.com.:80", True),
        ("tcp://allowed.com:80", "allowed.com:81", False),
        ("tcp://allowed.com:80", "allowed.com.evil:80", False),
        ("tcp://allowed.com:80", "evil-allowed.com:80", False),
        ("tcp://allowed.com:80", "a.allowed.com:80", False),
        ("http://allowed.com:80", "allowed.com:80", False),
        ("*://allowed.com:80", "allowed.com:80", True),
        ("tcp://*.allowed.com:80", "a.allowed.com:80", True),
        ("tcp://*.allowed.com:80", "a.b.allowed.com:80", True),
        ("tcp://*.allowed.com:80", "allowed.com:80", False),
        ("tcp://*.allowed.com:80", "evil-allowed.com:80", False),
        ("tcp://*.allowed.com:80", "1.1.1.1:80", False),
        ("tcp://*:80", "anything:80", True),
        ("tcp://*:80..90", "anything:89", True),
        ("tcp://*:80..90", "anything:90", False),
        ("tcp://1.1.1.0/24:80", "1.1.1.1:80", True),
        ("tcp://1.1.1.0/24:80", "1.1.2.1:80", False),
        ("tcp://1.1.1.0/24:80", "[2606:4700::1]:80", False),
        ("tcp://1.1.1.0/24:80", "one.one.one.one:80", False),
        ("tcp://[2606:4700::1]:80", "[2606:4700:0::1]:80", True),
    ],
)
def test_name_decision(entry: str, target: str, *, covered: bool) -> None:
    """A rule covers what it says as it is written, and nothing that merely looks like it."""
    assert covered is bool(policy_of(entry).permits_name("tcp", Target.parse(target.encode())))


def test_nothing_is_permitted_by_default() -> None:
    """An application without rules reaches nothing."""
    assert not permits(Policy(), "1.1.1.1:80", "1.1.1.1")


# Addresses


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_wildcards_grant_public_addresses_only(address: str) -> None:
    """No `*`, wildcard or all-embracing block grants an address that is not public, literal or by DNS."""
    assert not permits(policy_of(*EVERYTHING), f"{bracketed(address)}:80", address)
    assert not permits(policy_of(*EVERYTHING), "evil.example:80", address)
    assert not permits(policy_of("tcp://*.example:*"), "evil.example:80", address)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses_are_granted(address: str) -> None:
    """A public address is granted by whatever covers it."""
    assert permits(policy_of("tcp://*:80"), f"{bracketed(address)}:80", address)
    assert permits(policy_of("tcp://*.example:80"), "a.example:80", address)
    assert permits(policy_of("tcp://a.example:80"), "a.example:80", address)


@given(st.ip_addresses())
def test_whatever_wildcards_grant_is_global(address: Address) -> None:
    """The tables are stricter than Python's own, whatever the address."""
    where = Target.parse(b"evil.example:80")
    if policy_of(*EVERYTHING).permits_address("tcp", where, address, is_here):
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_an_address_that_is_named_is_granted(address: str) -> None:
    """A rule that names the very address grants it, and only on its port."""
    policy = policy_of(f"tcp://{bracketed(address)}:80")

    assert permits(policy, f"{bracketed(address)}:80", address)
    assert not permits(policy, f"{bracketed(address)}:81", address)


@pytest.mark.parametrize("address", BY_NAME.split())
def test_a_full_name_grants_private_addresses(address: str) -> None:
    """A name that the operator wrote out grants the private addresses it resolves to."""
    assert permits(policy_of("tcp://backend.internal:80"), "backend.internal:80", address)


@pytest.mark.parametrize("address", NEVER_BY_NAME.split())
def test_no_name_grants_the_worst(address: str) -> None:
    """Metadata, link-local, unspecified, multicast and tunnels take a rule with the address itself."""
    assert not permits(policy_of("tcp://metadata.google.internal:80"), "metadata.google.internal:80", address)


@pytest.mark.parametrize(
    ("entry", "address", "granted"),
    [
        ("tcp://10.0.0.0/8:*", "10.1.2.3", True),
        ("tcp://10.1.0.0/16:*", "10.1.2.3", True),
        ("tcp://10.0.0.0/7:*", "10.1.2.3", False),
        ("tcp://10.2.0.0/16:*", "10.1.2.3", False),
        ("tcp://127.0.0.0/8:*", "127.0.0.1", True),
        ("tcp://169.254.0.0/16:*", "169.254.1.1", True),
        ("tcp://169.254.0.0/16:*", "169.254.169.254", False),
        ("tcp://169.254.169.254/32:*", "169.254.169.254", True),
        ("tcp://100.64.0.0/10:*", "100.100.100.200", False),
        ("tcp://[fc00::]/7:*", "fd12::1", True),
        ("tcp://[fc00::]/7:*", "fd00:ec2::254", False),
        ("tcp://[::ffff:10.0.0.0]/104:*", "::ffff:10.1.2.3", True),
        ("tcp://10.0.0.0/8:*", "::ffff:10.1.2.3", False),
    ],
)
def test_block_grants_the_range_it_lies_in(entry: str, address: str, *, granted: bool) -> None:
    """A block grants special addresses only if it lies within their range, and so means them."""
    assert granted is permits(policy_of(entry), f"{bracketed(address)}:80", address)


@pytest.mark.parametrize("address", METADATA.split())
def test_metadata_takes_a_rule_of_its_own(address: str) -> None:
    """No block around a metadata service grants it, only its own address."""
    around = (
        "tcp://169.254.0.0/16:80",
        "tcp://100.64.0.0/10:80",
        "tcp://192.0.0.0/24:80",
        "tcp://[fc00::]/7:80",
    )
    policy = policy_of(*around, "tcp://168.63.0.0/16:80")

    assert not permits(policy, f"{bracketed(address)}:80", address)
    assert permits(policy_of(f"tcp://{bracketed(address)}:80"), f"{bracketed(address)}:80", address)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("169.254.169.254", "a metadata service"),
        ("::", "an unspecified address"),
        ("::1", "a loopback address"),
        ("fe80::1", "a link-local address"),
        ("255.255.255.255", "the broadcast address"),
        ("fc00::1", "a private address"),
        ("fec0::1", "a private address"),
        ("100.64.0.1", "a carrier's shared address"),
        ("::ffff:8.8.8.8", "an IPv4 address inside an IPv6 one"),
        ("64:ff9b::1", "an IPv4 address inside an IPv6 one"),
        ("2002::1", "an IPv4 address in a tunnel"),
        ("240.0.0.1", "a reserved address"),
    ],
)
def test_reason_says_what_the_address_is(address: str, what: str) -> None:
    """Whoever reads the log learns why a public rule did not suffice."""
    decision = policy_of("tcp://*:*").permits_address(
        "tcp", Target.parse(b"a.example:80"), ip_address(address), is_here
    )

    assert f"{ip_address(address)}, {what}," in decision.reason


def test_a_rule_for_the_address_helps_a_name() -> None:
    """A name that only a wildcard covers reaches a private address which a rule names."""
    policy = policy_of("tcp://*:80", "tcp://10.0.0.1:80", "tcp://10.1.0.0/16:80")

    assert permits(policy, "backend.example:80", "10.0.0.1")
    assert permits(policy, "backend.example:80", "10.1.2.3")
    assert not permits(policy, "backend.example:80", "10.0.0.2")


def test_a_rule_for_addresses_covers_no_name() -> None:
    """A name that no rule covers is not even looked up, whatever it may resolve to."""
    assert not policy_of("tcp://10.0.0.0/8:80").permits_name("tcp", Target.parse(b"backend.example:80"))


# Addresses of our own


@pytest.mark.parametrize(
    ("entry", "target", "address", "granted"),
    [
        ("tcp://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1", True),
        ("tcp://localhost:8080", "localhost:8080", "127.0.0.1", True),
        ("tcp://localhost:8080", "localhost:8080", "::ffff:127.0.0.1", True),
        ("tcp://127.0.0.1:*", "127.0.0.1:8080", "127.0.0.1", False),
        ("tcp://127.0.0.0/8:8080", "127.0.0.1:8080", "127.0.0.1", False),
        ("tcp://127.0.0.1:8000..9000", "127.0.0.1:8080", "127.0.0.1", False),
        ("tcp://localhost:*", "localhost:8080", "127.0.0.1", False),
        ("tcp://localhost:*", "localhost:8080", "::ffff:127.0.0.1", False),
        ("tcp://localhost:*", "localhost:8081", "127.0.0.1", True),
        ("tcp://*:8080", "evil.example:8080", "93.184.216.34", False),
        ("tcp://*.example:8080", "evil.example:8080", "93.184.216.34", False),
        ("tcp://93.184.216.34:8080", "93.184.216.34:8080", "93.184.216.34", True),
        ("tcp://*:*", "93.184.216.34:9090", "93.184.216.34", False),
        ("tcp://*:*", "evil.example:9090", "93.184.216.34", False),
        ("tcp://evil.example:*", "evil.example:9090", "::ffff:93.184.216.34", False),
        ("tcp://evil.example:9090", "evil.example:9090", "93.184.216.34", True),
        ("tcp://*:*", "93.184.216.34:7070", "93.184.216.34", False),
        ("tcp://*:*", "93.184.216.34:8081", "93.184.216.34", True),
        ("tcp://*:*", "93.184.216.35:9090", "93.184.216.35", True),
        ("tcp://0.0.0.0:*", "0.0.0.0:8080", "0.0.0.0", False),
        ("tcp://[::]:*", "[::]:8080", "::", False),
        ("tcp://0.0.0.0:8080", "0.0.0.0:8080", "0.0.0.0", True),
        ("tcp://0.0.0.0:*", "0.0.0.0:8081", "0.0.0.0", True),
        ("tcp://127.0.0.0/8:9090", "127.9.9.9:9090", "127.9.9.9", False),
        ("tcp://[::1]:*", "[::1]:9090", "::1", False),
        ("tcp://[::1]:*", "[::1]:7070", "::1", False),
        ("tcp://10.0.0.0/8:9090", "10.0.0.1:9090", "10.0.0.1", True),
    ],
)
def test_own_addresses_take_an_exact_rule(entry: str, target: str, address: str, *, granted: bool) -> None:
    """Where the service listens (0.0.0.0 and a name: all of this machine) only one host with one port leads.

    To connect to 0.0.0.0 is to connect to this machine, whatever address the service listens on.
    """
    own = (b"127.0.0.1:8080", b"93.184.216.34:8080", b"0.0.0.0:9090", b"localhost:7070")

    assert granted is permits(policy_of(entry, own=own), target, address)


# Env


def test_env_names_backends() -> None:
    """An env value that is exactly host:port grants tcp to it; nothing else in env grants anything."""
    policy = policy_of(
        env=("127.0.0.1:8181", "cache:6379", "Bonjour", "redis://10.0.0.1:6379", "a:80 b:80", "\ud800")
    )

    assert ["tcp://127.0.0.1:8181", "tcp://cache:6379"] == list(map(str, policy.rules))
    assert permits(policy, "127.0.0.1:8181", "127.0.0.1")
    assert permits(policy, "cache:6379", "10.0.0.7")
    assert not permits(policy, "127.0.0.1:8182", "127.0.0.1")
    assert not policy.permits_name("http", Target.parse(b"127.0.0.1:8181"))


# What a refusal teaches


def test_refusal_names_the_exact_line() -> None:
    """A refusal says why, and its remedy is the line to write."""
    decision = Policy().permits_name("tcp", Target.parse(b"10.0.0.1:6379"))

    assert 'allowed_outbound_hosts = ["tcp://10.0.0.1:6379"]' == decision.remedy
    assert "tcp://10.0.0.1:6379" in decision.reason


HOSTS = st.one_of(st.sampled_from(["localhost", "a.example", "metadata.google.internal"]), st.ip_addresses())
SPECIAL = st.sampled_from([ip_address(address) for address in f"{NOT_PUBLIC} {PUBLIC}".split()])


@given(HOSTS, SPECIAL, st.sampled_from([(), ("tcp://*:*",), ("tcp://localhost:80..90",)]))
def test_remedy_works(host: str | Address, address: Address, entries: tuple[str, ...]) -> None:
    """Whoever writes what the refusals say, one after the other, is connected."""
    own = (b"127.0.0.1:80", b"10.0.0.1:80")
    target = Target(host=host, port=80)
    reached = address if isinstance(host, str) else host
    for _ in range(3):
        policy = policy_of(*entries, own=own)
        decision = policy.permits_address("tcp", target, reached, is_here)
        if decision:
            return
        assert decision.reason
        advice = tomllib.loads(decision.remedy)["allowed_outbound_hosts"]
        assert len(advice) == len(set(advice))
        entries += tuple(advice)
    pytest.fail(f"{target} at {address} is refused under {entries}")
