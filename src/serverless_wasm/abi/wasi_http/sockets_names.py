"""wasi:sockets/ip-name-lookup: the addresses of names that the application may connect to.

A name comes in as the guest wrote it; addresses that the policy lets it hear of go out, one at a call.
It must never look up a name that no entry grants: the question itself would carry words out of the house.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, ip_address

from serverless_wasm.abi.wasi_http.interface import (
    Interface,
    Ok,
    Refusal,
    Resource,
    borrow,
    function,
    method,
    own,
)
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.sockets_types import IP_ADDRESS, Network, or_error, written
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import CapabilityError, NotPermitted
from serverless_wasm.net.lookup import Lookup
from serverless_wasm.net.policy import Address, Target
from serverless_wasm.wasm.components.types import STRING, Option

_LONGEST = 255
"""Characters of a name; converting one takes time with their square."""


class ResolveAddressStream(Resource):
    """The addresses of a name, once they are there."""

    __slots__ = ("_lookup", "_taken")
    name = "wasi:sockets/ip-name-lookup/resolve-address-stream"

    def __init__(self, lookup: Lookup | Address) -> None:
        super().__init__()
        self._lookup = lookup
        self._taken = 0

    @property
    def is_ready(self) -> bool:
        """Whether `take` has an answer."""
        return not isinstance(self._lookup, Lookup) or self._lookup.is_over

    async def wait(self) -> None:
        """Waits until it has."""
        if isinstance(self._lookup, Lookup):
            await self._lookup.wait()

    def take(self) -> Address | None:
        """The next address, None behind the last; raises Refusal."""
        if not self.is_ready:
            raise Refusal("would-block")
        found = self._found()
        if self._taken == len(found):
            return None
        self._taken += 1
        return found[self._taken - 1]

    def drop(self) -> None:
        """Nobody waits for it any more."""
        if isinstance(self._lookup, Lookup):
            self._lookup.close()

    def _found(self) -> list[Address]:
        if not isinstance(self._lookup, Lookup):
            return [self._lookup]
        try:
            addresses = self._lookup.addresses
        except CapabilityError as error:
            raise _refusal(error, "name-unresolvable") from None
        # The interface never gives an IPv4 address inside an IPv6 one, and a guest could not connect to it.
        return [each for each in addresses if isinstance(each, IPv4Address) or each.ipv4_mapped is None]


def _resolve_addresses(world: World, network: Network, name: str) -> Ok:
    host = _host(name)
    if not isinstance(host, str):
        return Ok(ResolveAddressStream(host))
    try:
        return Ok(ResolveAddressStream(world.invocation.sockets.look_up(host)))
    except CapabilityError as error:
        raise _refusal(error, "temporary-resolver-failure") from None


def _resolve_next_address(world: World, stream: ResolveAddressStream) -> Ok:
    address = stream.take()
    return Ok(None if address is None else written(address))


def _subscribe(world: World, stream: ResolveAddressStream) -> Pollable:
    return Pollable(lambda: stream.is_ready, stream.wait, stream)


def _host(name: str) -> str | Address:
    """A name as rules are written, or an address, which is its own answer; raises Refusal."""
    if len(name) > _LONGEST or "[" in name:  # brackets are of targets, as net/policy reads them
        raise Refusal("invalid-argument")
    with suppress(ValueError):
        address = ip_address(name)
        if "%" not in name and (isinstance(address, IPv4Address) or address.ipv4_mapped is None):
            return address
        raise Refusal("invalid-argument")
    try:
        # Only what comes of the conversion is judged: no other way to write a name reaches a resolver.
        return Target.parse(name.encode("idna") + b":1").host
    except (UnicodeError, NotPermitted):
        raise Refusal("invalid-argument") from None


def _refusal(error: CapabilityError, otherwise: str) -> Refusal:
    return Refusal("access-denied" if isinstance(error, NotPermitted) else otherwise)


IP_NAME_LOOKUP = Interface(
    "wasi:sockets/ip-name-lookup",
    (
        function(
            "resolve-addresses",
            _resolve_addresses,
            ("network", borrow(Network)),
            ("name", STRING),
            gives=or_error(own(ResolveAddressStream)),
        ),
        method(
            ResolveAddressStream,
            "resolve-next-address",
            _resolve_next_address,
            gives=or_error(Option(IP_ADDRESS)),
        ),
        method(ResolveAddressStream, "subscribe", _subscribe, gives=own(Pollable)),
    ),
    (ResolveAddressStream,),
)
