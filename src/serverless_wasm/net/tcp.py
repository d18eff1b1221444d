"""TCP connections of guests: few, vetted, and gone with the invocation.

Targets, bytes and small numbers come in from guests; bytes and numbers go out.
It must never connect to an address that was not vetted, never look a name up twice, and never let an
OSError or a socket out of the room.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Protocol

from serverless_wasm.alarms import Alarms
from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, NotThere, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.net.connection import Connection
from serverless_wasm.net.idle import Idle, Origin
from serverless_wasm.net.interfaces import is_local
from serverless_wasm.net.lookup import Lookup
from serverless_wasm.net.policy import Address, Host, Policy, Target
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.net.stream import Stream
from serverless_wasm.net.tls import trusting_the_system
from serverless_wasm.text import printable

Refused = Callable[[str, str, str], None]
"""Hears of a refusal: the target, the reason, and the line that would permit it or nothing."""

_ADDRESSES_TRIED = 4  # so that each has a fair part of the deadline
_NAMES_KEPT = 256  # of one invocation, each with one of its addresses
_REFUSALS_REPORTED = 10  # of one invocation; a guest may ask a hundred thousand times


class Closing(Protocol):
    """What an invocation has under way."""

    def close(self) -> None:
        """Ends it; may be called again."""


class Network:
    """What guests reach the network through; one for all applications, each of which pays its own lookups."""

    def __init__(
        self,
        *,
        resolver: Resolver | None = None,
        trust: Callable[[], ssl.SSLContext] = trusting_the_system,
    ) -> None:
        self.resolver = resolver or Resolver()
        self._alarms = Alarms()
        self._trust = trust
        self.idle = Idle(self._alarms)
        """Connections to HTTP servers between two requests."""

    def for_application(self, policy: Policy, limits: Limits) -> Outbound:
        """The share of one application of one deployment; needs no closing."""
        return Outbound(self, policy, limits)

    @cached_property
    def trusted(self) -> ssl.SSLContext:
        """Whom guests may speak TLS with; read when the first of them does, which takes some milliseconds."""
        context = self._trust()
        context.set_alpn_protocols(["http/1.1"])
        context.options |= ssl.OP_NO_RENEGOTIATION
        return context

    def close(self) -> None:
        """Looks no more names up, and keeps no connection; invocations close their own descriptors."""
        self.resolver.close()
        self.idle.close()

    async def dial(
        self, addresses: Sequence[Address], port: int, limits: Limits, deadline: float
    ) -> Connection:
        """Connects to the first address that answers before the deadline, a time of the loop's clock.

        Each gets an even share of the time left, so that a black hole at the head leaves some to the others.
        Raises the OSError of the last.
        """
        failure = OSError(errno.EADDRNOTAVAIL, "no address")
        for tried, address in enumerate(addresses):
            now = asyncio.get_running_loop().time()
            share = (deadline - now) / (len(addresses) - tried)
            try:
                return await self._connect(address, port, limits, now + share)
            except OSError as error:
                failure = error
        try:
            raise failure
        finally:
            del failure  # it knows this frame

    def stream(self, address: Address, limits: Limits, closed: Callable[[Stream], None]) -> Stream:
        """A connection that has yet to begin; raises OSError when the system has no descriptor left."""
        return Stream(address, limits, self._alarms, closed)

    async def _connect(self, address: Address, port: int, limits: Limits, deadline: float) -> Connection:
        connection = Connection(address, limits, self._alarms)
        try:
            await connection.connect(address, port, deadline)
        except BaseException:
            connection.close()
            raise
        return connection


class Outbound:
    """What one application may reach, and how many descriptors all its invocations hold."""

    __slots__ = ("limits", "network", "open", "policy")

    def __init__(self, network: Network, policy: Policy, limits: Limits) -> None:
        self.network = network
        self.policy = policy
        self.limits = limits
        self.open = 0
        """Descriptors in use now, those of connects under way and those that are idle included."""

    def take(self) -> None:
        """Counts one more; raises TooLarge when there are too many."""
        most = self.limits.application_sockets
        if self.open >= most and not self.network.idle.evict(self):
            raise TooLarge(f"application_sockets: {most} are open, which is the limit")
        self.open += 1

    def give(self) -> None:
        """Counts one less."""
        self.open -= 1

    def for_invocation(self, refused: Refused) -> Sockets:
        """The descriptors of one invocation; whoever asked for them calls `close_all` at its end."""
        return Sockets(self, refused)


class Sockets:
    """The TCP descriptors of one invocation: numbers from 0 up, never used twice, known to nobody else.

    Every operation may be cancelled at any time; one read and one write may wait on a descriptor at once.
    """

    __slots__ = (
        "_closed",
        "_connections",
        "_named",
        "_next",
        "_open",
        "_refusals",
        "_refused",
        "exchanges",
        "outbound",
    )

    def __init__(self, outbound: Outbound, refused: Refused) -> None:
        self.outbound = outbound
        self.exchanges: set[Closing] = set()
        """HTTP requests, lookups and streams that are not over; each counts as a descriptor."""
        self._refused = refused
        self._refusals = 0
        self._connections: dict[int, Connection] = {}
        self._named: dict[tuple[Address, str], None] = {}
        """Addresses that names were found to have, the latest last."""
        self._open = 0
        self._next = 0
        self._closed = False

    async def connect(self, target: bytes) -> int:
        """Connects to `host:port` and returns the descriptor; look-up and connection have one deadline.

        Raises NotPermitted, having told `refused`; TooLarge when the invocation or the application has all
        its descriptors in use, or the system has none; Failed when the name or the connection fails.
        """
        self._take()
        try:
            connection = await self._dial(target)
            if self._closed:
                connection.close()
                raise Failed("the invocation is over")
        except BaseException:
            self._give()
            raise
        descriptor = self._next
        self._next += 1
        self._connections[descriptor] = connection
        return descriptor

    async def read(self, descriptor: int, size: int) -> bytes:
        """Waits for at least one byte and returns what is there, 64 KiB at most; b"" at the end.

        A size of 0 returns b"" at once. Raises NotThere; Failed when the connection broke, when nothing
        came in time, or when more comes than the descriptor may receive. The descriptor remains open.
        """
        connection = self._connection(descriptor)
        if size <= 0:
            return b""
        try:
            return await connection.read(size)
        except OSError as error:
            raise _failure(error) from error

    async def write(self, descriptor: int, data: bytes) -> int:
        """Writes all of it, waiting for room as often as it takes, and returns its length.

        Raises NotThere; Failed when the connection broke or took too long, and then nobody knows how much
        has arrived; Failed, with nothing sent, when it is more than the descriptor may send.
        """
        connection = self._connection(descriptor)
        try:
            await connection.write(data)
        except OSError as error:
            raise _failure(error) from error
        return len(data)

    def close(self, descriptor: int) -> None:
        """Closes one; whoever waits on it gets Failed. Raises NotThere."""
        self._connection(descriptor).close()
        del self._connections[descriptor]
        self._give()

    def close_all(self) -> None:
        """Closes every descriptor, and those still to come of a connect under way. May be called again."""
        self._closed = True
        while self._connections:
            self._connections.popitem()[1].close()
            self._give()
        for exchange in list(self.exchanges):
            exchange.close()

    def look_up(self, host: str) -> Lookup:
        """Begins to look up a name, in lower case, that the policy permits for `tcp` at any port.

        Addresses that a guest may not hear of are left out; with none left, that is NotPermitted. Raises
        NotPermitted, having told `refused`; TooLarge as `connect` does; Failed after the end.
        """
        self._require_open()
        decision = self.outbound.policy.permits_lookup("tcp", host)
        if not decision:
            self._report(host, decision.reason, decision.remedy)
            raise NotPermitted(decision.reason)
        self._take()
        lookup = Lookup(partial(self._find, host), self._leave)
        self.exchanges.add(lookup)
        return lookup

    def begin(self, address: Address, port: int) -> Stream:
        """Begins to connect to an address, which is permitted as itself, or as that of a name.

        Only a name that this invocation has looked up counts: a rule for the name then grants the address
        as it does in `connect`. Raises NotPermitted, having told `refused`; TooLarge as `connect` does;
        Failed after the end; OSError when it fails at once.
        """
        self._require_open()
        self._vet(address, port)
        self._take()
        try:
            stream = self.outbound.network.stream(address, self.outbound.limits, self._leave)
        except BaseException:
            self._give()
            raise
        self.exchanges.add(stream)
        try:
            stream.begin(address, port)
        except BaseException:
            stream.close()
            raise
        return stream

    def enter(self) -> None:
        """Counts one more of the invocation; raises TooLarge when there are too many."""
        most = self.outbound.limits.sockets
        if self._open >= most:
            raise TooLarge(f"sockets: {most} are open, which is the limit")
        self._open += 1

    def leave(self) -> None:
        """Counts one less."""
        self._open -= 1

    async def dial(self, origin: Origin, limits: Limits, deadline: float) -> Connection:
        """Connects to an origin that the policy permits, before a time of the loop's clock.

        Raises NotPermitted, having told `refused`; Failed when the name cannot be looked up; OSError.
        """
        addresses = await self._vetted(origin, deadline)
        return await self.outbound.network.dial(
            addresses[:_ADDRESSES_TRIED], origin.target.port, limits, deadline
        )

    def _connection(self, descriptor: int) -> Connection:
        connection = self._connections.get(descriptor)
        if connection is None:
            raise NotThere(f"descriptor {descriptor} is not open")
        return connection

    def _take(self) -> None:
        self.enter()
        try:
            self.outbound.take()
        except TooLarge:
            self.leave()
            raise

    def _give(self) -> None:
        self.leave()
        self.outbound.give()

    def _leave(self, exchange: Closing) -> None:
        self.exchanges.discard(exchange)
        self._give()

    def _require_open(self) -> None:
        if self._closed:
            raise Failed("the invocation is over")

    async def _find(self, host: str) -> Sequence[Address]:
        policy, resolver = self.outbound.policy, self.outbound.network.resolver
        deadline = asyncio.get_running_loop().time() + self.outbound.limits.connect_timeout
        target = Target(host=host, port=0)
        found = await resolver.resolve(target, payer=self.outbound, deadline=deadline)
        decisions = {address: policy.permits_found("tcp", host, address) for address in found}
        vetted = [address for address in found if decisions[address]]
        if not vetted:
            decision = decisions[found[0]]
            self._report(host, decision.reason, decision.remedy)
            raise NotPermitted(decision.reason)
        for address in vetted:
            self._named.pop((address, host), None)
            self._named[address, host] = None
        while len(self._named) > _NAMES_KEPT:
            del self._named[next(iter(self._named))]
        return vetted

    def _vet(self, address: Address, port: int) -> None:
        names: list[Host] = [name for named, name in reversed(self._named) if named == address]
        targets = [Target(host=host, port=port) for host in (*names, address)]
        for target in targets:
            if self.outbound.policy.permits_address("tcp", target, address, is_local):
                return
        decision = self.outbound.policy.permits_address("tcp", targets[0], address, is_local)
        self._report(str(targets[0]), decision.reason, decision.remedy)
        raise NotPermitted(decision.reason)

    async def _dial(self, text: bytes) -> Connection:
        try:
            target = Target.parse(text)
        except NotPermitted as error:
            self._report(printable(text), str(error), "")
            raise
        limits = self.outbound.limits
        deadline = asyncio.get_running_loop().time() + limits.connect_timeout
        try:
            return await self.dial(Origin("tcp", target), limits, deadline)
        except OSError as error:
            raise _failure(error) from error

    async def _vetted(self, origin: Origin, deadline: float) -> list[Address]:
        policy, resolver = self.outbound.policy, self.outbound.network.resolver
        scheme, target = origin.scheme, origin.target
        decision = policy.permits_name(scheme, target)
        if decision:
            vetted: list[Address] = []
            for address in await resolver.resolve(target, payer=self.outbound, deadline=deadline):
                decision = policy.permits_address(scheme, target, address, is_local)
                vetted += [address] if decision else []
            if vetted:
                return vetted
        self._report(str(target), decision.reason, decision.remedy)
        raise NotPermitted(decision.reason)

    def _report(self, target: str, reason: str, remedy: str) -> None:
        self._refusals += 1
        if self._refusals <= _REFUSALS_REPORTED:
            self._refused(target, reason, remedy)


# What the system lacks is no room for the guest either; everything else is the network's failure.
_LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def _failure(error: OSError) -> CapabilityError:
    kind = TooLarge if error.errno in _LACKING else Failed
    return kind(error.strerror or "no answer in time")
