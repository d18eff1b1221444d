"""Decides what a guest may connect to.

Rules that the operator wrote and targets that guests wrote come in; decisions that name the line
which would change them go out. It must never do I/O, and never let a stranger's spelling reach a resolver.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from serverless_wasm.errors import NotPermitted

Address = IPv4Address | IPv6Address
Block = IPv4Network | IPv6Network
Host = str | Address
"""A DNS name in lower case without its last dot, or an address."""

_NO_PATH = "a path grants nothing; write scheme://host:port, or a block of addresses as 10.0.0.0/8"
_DEFAULT_PORTS = {"http": 80, "https": 443, "postgres": 5432, "mysql": 3306, "redis": 6379, "mqtt": 1883}
_ANY_PORT = range(1, 65536)
_NAME_LENGTH = 253  # RFC 1035 section 2.3.4, less the length bytes at both ends
_TARGET_LENGTH = _NAME_LENGTH + len(".:65535")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")  # docker compose names services with underscores
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_BLOCK = re.compile(r"[0-9.]+/[0-9]{1,2}|\[[0-9A-Fa-f:.]+(\]/[0-9]{1,3}|/[0-9]{1,3}\])")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\](?:/[0-9]{1,3})?|[^:\[\]]*)(?::([^:]*))?", re.DOTALL)
_TARGET = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*):([^:]*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry of `allowed_outbound_hosts`; `host` may also be `*`, `*.suffix` or a block of addresses."""

    scheme: str
    host: Host | Block
    ports: range

    @classmethod
    def parse(cls, entry: str) -> Rule:
        """Reads `scheme://host[:port]`, the grammar of Spin's manifests (STANDARDS 5.1).

        The scheme is `*` or letters (`tcp` for raw sockets); the host `*`, `*.suffix`, a name, an address
        or a CIDR block (IPv6 in brackets); the port a number, `a..b` without b, `*`, or left out where the
        scheme has a default. Raises ValueError with a sentence that says what to write instead.
        """
        scheme, found, authority = entry.partition("://")
        if not found:
            raise ValueError("it has no scheme; write scheme://host:port, such as tcp://127.0.0.1:6379")
        if not entry.isascii():  # before lower(), which makes an ASCII k of the Kelvin sign
            raise ValueError("it is not all ASCII; write an international name in its xn--... form")
        if scheme != "*" and not scheme.isalpha():
            raise ValueError("its scheme is no word; write *, tcp or another scheme in letters before ://")
        if "@" in authority:
            raise ValueError("user info grants nothing; write the host without it")
        parts = _AUTHORITY.fullmatch(authority)
        if parts is None:
            raise ValueError(
                "it is not host:port; write an IPv6 address in brackets, such as tcp://[::1]:6379"
            )
        scheme = scheme.lower()
        return cls(scheme=scheme, host=_host_pattern(parts[1]), ports=_ports(parts[2], scheme))

    @classmethod
    def exactly(cls, scheme: str, host: Host, port: int) -> Rule:
        """The rule that grants this one target and nothing else."""
        return cls(scheme=scheme, host=host, ports=range(port, port + 1))

    def covers(self, scheme: str, port: int) -> bool:
        """Whether scheme and port are within the rule."""
        return self.scheme in ("*", scheme) and port in self.ports

    def matches(self, host: Host) -> bool:
        """Whether the host is within the rule, as it is written: a name is never looked up."""
        if isinstance(self.host, IPv4Network | IPv6Network):
            return not isinstance(host, str) and host in self.host
        if isinstance(self.host, str) and self.host.startswith("*"):
            return self.host == "*" or (isinstance(host, str) and host.endswith(self.host[1:]))
        return self.host == host

    def __str__(self) -> str:
        first, end = self.ports.start, self.ports.stop
        port = "*" if self.ports == _ANY_PORT else str(first) if len(self.ports) == 1 else f"{first}..{end}"
        return f"{self.scheme}://{_written(self.host)}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a guest asks to be connected to: a host, not looked up yet, and a port."""

    host: Host
    port: int

    @classmethod
    def parse(cls, text: bytes) -> Target:
        """Reads `host:port` or `[address]:port` as a guest wrote it.

        Case and one dot at the end of a name are normalised; nothing else is forgiven. Every other spelling
        of an IPv4 address (`127.1`, `0x7f000001`) is refused here, because a resolver would accept it.
        Raises NotPermitted with a sentence.
        """
        # Cut before it is read: nothing that is too long becomes a target by losing its end.
        parts = _TARGET.fullmatch(text[: _TARGET_LENGTH + 1].decode("ascii", "replace"))
        if parts is None:
            raise NotPermitted("the target is not host:port")
        try:
            return cls(host=_host(parts[1]), port=_port(parts[2]))
        except ValueError as error:
            raise NotPermitted(f"the target cannot be used: {error}") from None

    def __str__(self) -> str:
        return f"{_written(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """True when permitted; else the reason, and the line in the application's table that would permit it."""

    reason: str = ""
    remedy: str = ""

    def __bool__(self) -> bool:
        return not self.reason


PERMITTED = Decision()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Policy:
    """What one application may connect to; whatever no rule grants is refused.

    A rule grants public addresses. Addresses that are not public (see `_SPECIAL`) take more:

    - an address or a CIDR block grants those that it covers, if the block lies within the special range:
      `10.0.0.0/8` and `10.1.0.0/16` grant 10.1.2.3, but `0.0.0.0/0` does not, nor does `169.254.0.0/16`
      grant the metadata service inside it, which has a range of its own;
    - a name written out in full grants what it resolves to, as `localhost` or a private backend's name
      must, save for metadata, link-local, unspecified, multicast and IPv4 in a tunnel: whoever controls
      the name's DNS must not reach those;
    - `*` and `*.suffix` grant none, because there the guest chooses the name.

    An address of `own`, where this service listens itself, takes a rule with one host and one port, lest a
    guest call itself in circles or reach the administration. An own address that is unspecified (0.0.0.0,
    [::]) or a name means every address of this machine, in both versions of IP.
    """

    rules: tuple[Rule, ...] = ()
    own: tuple[Target, ...] = ()

    @classmethod
    def for_application(
        cls, entries: Iterable[str], env_values: Iterable[str], own: Iterable[Target] = ()
    ) -> Policy:
        """The policy of an application: its `allowed_outbound_hosts`, and the targets in its own `env`.

        An `env` value that is exactly `host:port` grants `tcp` to exactly that (the seed's way to name a
        backend). Raises ValueError for an entry that is no rule.
        """
        written = [Rule.parse(entry) for entry in entries]
        named = [Rule.exactly("tcp", target.host, target.port) for target in _targets(env_values)]
        return cls(rules=(*written, *named), own=tuple(own))

    def permits_name(self, scheme: str, target: Target) -> Decision:
        """Decides on the target as it is written, before it is looked up.

        A refusal here keeps the name from ever reaching a resolver, which would carry it out of the house.
        """
        if any(rule.covers(scheme, target.port) and rule.matches(target.host) for rule in self.rules):
            return PERMITTED
        reason = f"no entry of allowed_outbound_hosts covers {scheme}://{target}"
        return Decision(reason=reason, remedy=_line(scheme, target))

    def permits_lookup(self, scheme: str, host: Host) -> Decision:
        """Decides whether a name may be looked up by a guest that has yet to say to which port it goes.

        It may if some port of it is granted; `permits_name` still decides on each connection.
        """
        if any(rule.scheme in ("*", scheme) and rule.matches(host) for rule in self.rules):
            return PERMITTED
        reason = f"no entry of allowed_outbound_hosts covers {scheme}://{_written(host)} at any port"
        return Decision(reason=reason, remedy=_line_of_ports(scheme, host))

    def permits_found(self, scheme: str, host: Host, address: Address) -> Decision:
        """Decides on one address that a name without a port resolved to: whether a guest may hear of it.

        Includes the decision on the name. Where this service itself listens is a matter of the port, so
        `permits_address` decides on that when the guest connects.
        """
        named = self.permits_lookup(scheme, host)
        if not named:
            return named
        rules = [rule for rule in self.rules if rule.scheme in ("*", scheme)]
        special, target = _special(address), Target(host=host, port=0)
        if special is None or any(_grants(rule, target, address, special) for rule in rules):
            return PERMITTED
        reason = f"{_written(host)} is {address}, {special.what}, which takes an entry of its own"
        beyond_names = address != host and not _nameable(address, special)
        return Decision(
            reason=reason, remedy=_line_of_ports(scheme, host, *([address] if beyond_names else []))
        )

    def permits_address(
        self, scheme: str, target: Target, address: Address, is_local: Callable[[Address], bool]
    ) -> Decision:
        """Decides on one address that the target resolved to; connect to that very address or to none.

        Includes the decision on the name. Call it for every address: the answers of a hostile name differ.
        `is_local` says whether an address is this machine's own; it is asked only where that matters.
        """
        named = self.permits_name(scheme, target)
        if not named:
            return named
        rules = [rule for rule in self.rules if rule.covers(scheme, target.port)]
        if self._is_own(address, target.port, is_local) and not any(
            len(rule.ports) == 1 and rule.host in (target.host, address) for rule in rules
        ):
            reason = f"{target} is {address}, where this service itself listens"
            return Decision(reason=reason, remedy=_line(scheme, target))
        special = _special(address)
        if special is None or any(_grants(rule, target, address, special) for rule in rules):
            return PERMITTED
        reason = f"{target} is {address}, {special.what}, which takes an entry of its own"
        beyond_names = address != target.host and not _nameable(address, special)
        return Decision(reason=reason, remedy=_line(scheme, target, *([address] if beyond_names else [])))

    def _is_own(self, address: Address, port: int, is_local: Callable[[Address], bool]) -> bool:
        reached = _embedded(address) or address
        hosts = [own.host for own in self.own if own.port == port]
        if address in hosts or reached in hosts:
            return True
        if reached.is_unspecified:  # the system connects it to loopback
            return bool(hosts)
        return any(map(_is_broad, hosts)) and (reached.is_loopback or is_local(reached))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Special:
    """A range that `*` does not mean; `by_name` says whether a name written out in full does."""

    block: Block
    what: str
    by_name: bool


# The IANA special-purpose registries (RFC 6890), what clouds answer on, and the ways to write an IPv4
# address as an IPv6 one. First match wins, so a metadata service comes before the range around it.
# `ipaddress.is_global` is no substitute: it calls multicast, NAT64 and 6to4 global (THREATS 1.12).
_RANGES = (
    # AWS and most others; ECS; EKS; Scaleway; Alibaba; Oracle; Azure, on a public address
    ("a metadata service", False, "169.254.169.254/32 169.254.170.2/32 169.254.170.23/32 169.254.42.42/32"),
    ("a metadata service", False, "100.100.100.200/32 192.0.0.192/32 168.63.129.16/32"),
    # AWS; Google; Oracle; Scaleway
    ("a metadata service", False, "fd00:ec2::/32 fd20:ce::254/128 fd00:c1::a9fe:a9fe/128 fd00:42::42/128"),
    ("an unspecified address", False, "0.0.0.0/8 ::/128"),
    ("a loopback address", True, "127.0.0.0/8 ::1/128"),
    ("a link-local address", False, "169.254.0.0/16 fe80::/10"),
    ("a multicast address", False, "224.0.0.0/4 ff00::/8"),
    ("the broadcast address", False, "255.255.255.255/32"),
    ("a private address", True, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10"),
    ("a carrier's shared address", True, "100.64.0.0/10"),
    ("a documentation address", True, "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
    ("a benchmarking address", True, "198.18.0.0/15"),
    # mapped (RFC 4291) and NAT64 (RFC 6052): for a name, the address inside decides; see _nameable
    ("an IPv4 address inside an IPv6 one", True, "::ffff:0:0/96 64:ff9b::/96"),
    # compatible; translated (RFC 2765); local NAT64 (RFC 8215); 6to4 and its relays; Teredo
    ("an IPv4 address in a tunnel", False, "::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 2002::/16 192.88.99.0/24"),
    ("an IPv4 address in a tunnel", False, "2001::/32"),
    # IETF protocols, future use, and all of IPv6 but 2000::/3, its one part that is global unicast
    ("a reserved address", True, "192.0.0.0/24 240.0.0.0/4 2001::/23 ::/3 4000::/2 8000::/1"),
)
_SPECIAL = tuple(
    _Special(block=ip_network(block), what=what, by_name=by_name)
    for what, by_name, blocks in _RANGES
    for block in blocks.split()
)
_CARRIERS = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))


def _special(address: Address) -> _Special | None:
    return next((special for special in _SPECIAL if address in special.block), None)


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that a mapped or a NAT64 address reaches."""
    if any(address in carrier for carrier in _CARRIERS):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _nameable(address: Address, special: _Special) -> bool:
    inner = _embedded(address)
    if inner is None:
        return special.by_name
    within = _special(inner)
    return within is None or within.by_name


def _grants(rule: Rule, target: Target, address: Address, special: _Special) -> bool:
    host = rule.host
    if isinstance(host, str):
        return host == target.host and _nameable(address, special)
    if isinstance(host, IPv4Network | IPv6Network):
        inside = host.network_address in special.block and host.prefixlen >= special.block.prefixlen
        return inside and address in host
    return host == address


def _line(scheme: str, target: Target, *addresses: Address) -> str:
    """The line that permits the target and, where its name does not suffice, the addresses."""
    entries = [str(Rule.exactly(scheme, host, target.port)) for host in (target.host, *addresses)]
    return f"allowed_outbound_hosts = {json.dumps(entries)}"


def _line_of_ports(scheme: str, *hosts: Host) -> str:
    """The line that permits all of these at any port."""
    entries = [str(Rule(scheme=scheme, host=host, ports=_ANY_PORT)) for host in hosts]
    return f"allowed_outbound_hosts = {json.dumps(entries)}"


def _targets(values: Iterable[str]) -> Iterator[Target]:
    for value in values:
        with suppress(NotPermitted):
            yield Target.parse(value.encode("utf-8", "replace"))


def _is_broad(host: Host) -> bool:
    return isinstance(host, str) or host.is_unspecified


def _written(host: Host | Block) -> str:
    if isinstance(host, IPv6Network):
        return f"[{host.network_address}]/{host.prefixlen}"
    return f"[{host}]" if isinstance(host, IPv6Address) else str(host)


def _host_pattern(text: str) -> Host | Block:
    if text == "*":
        return text
    if text.startswith("*."):
        return f"*.{_name(text[2:])}"
    return _block(text) if "/" in text else _host(text)


def _host(text: str) -> Host:
    if text.startswith("["):
        return _ipv6(text)
    name = text.lower().removesuffix(".")
    # A resolver takes whatever ends in a number for IPv4, in any of inet_aton's spellings (THREATS 1.12).
    # The test is that of the WHATWG URL standard, section 3.5; ipaddress refuses leading zeros.
    if not _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _name(text)
    try:
        return IPv4Address(name)
    except ValueError:
        raise ValueError("an IPv4 address is four decimal numbers; write it as 127.0.0.1") from None


def _name(text: str) -> str:
    name = text.lower().removesuffix(".")
    if len(name) > _NAME_LENGTH or not all(map(_LABEL.fullmatch, name.split("."))):
        raise ValueError(
            "its host is neither a DNS name nor an address; write one of ASCII letters, digits, - _ ."
        )
    return name


def _ipv6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text[1:-1])
    except ValueError:
        raise ValueError("brackets hold an IPv6 address and nothing else; write it as [::1]") from None
    if address.scope_id is not None:
        raise ValueError("a zone names a network card of this machine; write the address without %")
    return address


def _block(text: str) -> Block:
    if not _BLOCK.fullmatch(text):
        raise ValueError(_NO_PATH)
    first, _, prefix = text.replace("[", "").replace("]", "").partition("/")
    try:
        block = ip_network((first, int(prefix)), strict=False)
    except ValueError:
        raise ValueError("it is no CIDR block; write one as 10.0.0.0/8 or [fc00::]/7") from None
    if block.network_address != ip_address(first):
        raise ValueError(f"its address has bits beyond the prefix; write {_written(block)}")
    return block


def _ports(text: str | None, scheme: str) -> range:
    if text is None:
        if scheme not in _DEFAULT_PORTS:
            raise ValueError(
                f"{scheme} has no default port; write :6379, a range :6000..7000 or :* after the host"
            )
        text = str(_DEFAULT_PORTS[scheme])
    if text == "*":
        return _ANY_PORT
    if "/" in text:
        raise ValueError(_NO_PATH)
    first, dots, end = text.partition("..")
    start = _port(first)
    ports = range(start, _port(end, highest=65536) if dots else start + 1)
    if not ports:
        raise ValueError(
            f"the range {text} is empty, as its last number is not part of it; write the lower first"
        )
    return ports


def _port(text: str, highest: int = 65535) -> int:
    if not _PORT.fullmatch(text) or int(text) > highest:
        raise ValueError("a port is a number from 1 to 65535; write it in decimal, without leading zeros")
    return int(text)
