"""TCP connections of guests: few, vetted, and gone with the invocation.

Targets, bytes and small numbers come in from guests; bytes and numbers go out.
It must never connect to an address that was not vetted, never look a name up twice, and never let an
OSError or a socket out of the room.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress

from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, NotThere, TooLarge
from serverless_wasm.limits import KIB, Limits
from serverless_wasm.net.policy import Address, Policy, Target
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.text import printable

Refused = Callable[[str, str, str], None]
"""Hears of a refusal: the target, the reason, and the line that would permit it or nothing."""

_CONNECT_TIMEOUT = 2.0  # THREATS 2.4: a black hole answers no SYN
_ADDRESSES_TRIED = 4  # so that each has half a second or more
_READ_SIZE = 64 * KIB
_WRITE_SIZE = 256 * KIB
_REFUSALS_REPORTED = 10  # of one invocation; a guest may ask a hundred thousand times


class Network:
    """What guests reach the network through; one for all applications, each of which pays its own lookups."""

    def __init__(
        self, *, resolver: Resolver | None = None, connect_timeout: float = _CONNECT_TIMEOUT
    ) -> None:
        self._resolver = resolver or Resolver()
        self._connect_timeout = connect_timeout

    def for_invocation(self, policy: Policy, limits: Limits, refused: Refused) -> Sockets:
        """The descriptors of one invocation; whoever asked for them calls `close_all` at its end."""
        return Sockets(self, policy, limits, refused)

    def close(self) -> None:
        """Looks no more names up; invocations close their own descriptors."""
        self._resolver.close()

    async def resolve(self, target: Target, policy: Policy) -> tuple[Address, ...]:
        """The addresses of the target, none of them vetted yet. Raises Failed."""
        return await self._resolver.resolve(target.host, target.port, payer=policy)

    async def dial(self, addresses: Sequence[Address], port: int) -> _Connection:
        """Connects to the first address that answers, all within one deadline.

        Each gets an even share of the time left, so that a black hole at the head leaves some to the others.
        Raises the OSError of the last.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._connect_timeout
        failure = OSError(errno.EADDRNOTAVAIL, "no address")
        for tried, address in enumerate(addresses):
            share = (end - loop.time()) / (len(addresses) - tried)
            try:
                return await _connected(address, port, share)
            except OSError as error:
                failure = error
        raise failure


class Sockets:
    """The TCP descriptors of one invocation: numbers from 0 up, never used twice, known to nobody else.

    Every operation may be cancelled at any time; one read and one write may wait on a descriptor at once.
    """

    __slots__ = (
        "_closed",
        "_connections",
        "_dialling",
        "_network",
        "_next",
        "_policy",
        "_refusals",
        "_refused",
        "_room",
    )

    def __init__(self, network: Network, policy: Policy, limits: Limits, refused: Refused) -> None:
        self._network = network
        self._policy = policy
        self._room = limits.sockets
        self._refused = refused
        self._refusals = 0
        self._connections: dict[int, _Connection] = {}
        self._dialling = 0
        self._next = 0
        self._closed = False

    async def connect(self, target: bytes) -> int:
        """Connects to `host:port` and returns the descriptor.

        Raises NotPermitted, having told `refused`; TooLarge when all descriptors are in use, or the system
        has none; Failed when the name or the connection fails.
        """
        if len(self._connections) + self._dialling >= self._room:
            raise TooLarge(f"{self._room} descriptors are open, which is the limit")
        self._dialling += 1
        try:
            connection = await self._dial(target)
        finally:
            self._dialling -= 1
        if self._closed:
            connection.close()
            raise Failed("the invocation is over")
        descriptor = self._next
        self._next += 1
        self._connections[descriptor] = connection
        return descriptor

    async def read(self, descriptor: int, size: int) -> bytes:
        """Waits for at least one byte and returns what is there, 64 KiB at most; b"" at the end.

        A size of 0 returns b"" at once. Raises NotThere; Failed when the connection broke.
        """
        connection = self._connection(descriptor)
        if size <= 0:
            return b""
        try:
            return await connection.read(min(size, _READ_SIZE))
        except OSError as error:
            raise _failure(error) from error

    async def write(self, descriptor: int, data: bytes) -> int:
        """Writes all of it, waiting for room as often as it takes, and returns its length.

        Raises NotThere; Failed when the connection broke, and then nobody knows how much has arrived.
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

    def close_all(self) -> None:
        """Closes every descriptor, and those still to come of a connect under way. May be called again."""
        self._closed = True
        while self._connections:
            self._connections.popitem()[1].close()

    def _connection(self, descriptor: int) -> _Connection:
        connection = self._connections.get(descriptor)
        if connection is None:
            raise NotThere(f"descriptor {descriptor} is not open")
        return connection

    async def _dial(self, text: bytes) -> _Connection:
        try:
            target = Target.parse(text)
        except NotPermitted as error:
            self._report(printable(text), str(error), "")
            raise
        addresses = await self._vetted(target)
        try:
            return await self._network.dial(addresses[:_ADDRESSES_TRIED], target.port)
        except OSError as error:
            raise _failure(error) from error

    async def _vetted(self, target: Target) -> list[Address]:
        decision = self._policy.permits_name("tcp", target)
        if decision:
            vetted: list[Address] = []
            for address in await self._network.resolve(target, self._policy):
                decision = self._policy.permits_address("tcp", target, address)
                vetted += [address] if decision else []
            if vetted:
                return vetted
        self._report(str(target), decision.reason, decision.remedy)
        raise NotPermitted(decision.reason)

    def _report(self, target: str, reason: str, remedy: str) -> None:
        self._refusals += 1
        if self._refusals <= _REFUSALS_REPORTED:
            self._refused(target, reason, remedy)


class _Connection:
    """A connected socket. Its waiters leave the event loop before its number is free for another."""

    __slots__ = ("_readable", "_socket", "_writable")

    def __init__(self, version: int) -> None:
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        loop, number = asyncio.get_running_loop(), self._socket.fileno()
        self._readable = _Readable(loop, number)
        self._writable = _Writable(loop, number)

    async def connect(self, address: Address, port: int) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._socket.connect_ex((str(address), port))
        if code == errno.EINPROGRESS:
            await self._writable.wait()
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    async def read(self, size: int) -> bytes:
        while True:
            with suppress(BlockingIOError):
                return self._socket.recv(size)
            await self._readable.wait()

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            with suppress(BlockingIOError):
                rest = rest[self._socket.send(rest[:_WRITE_SIZE]) :]
            if rest:  # through the loop between two pieces, however fast the other side takes them
                await self._writable.wait()

    def close(self) -> None:
        self._readable.shut()
        self._writable.shut()
        with suppress(OSError):  # the connection may have been reset; its number is free all the same
            self._socket.close()


class _Gate(ABC):
    """Waits until a socket is ready in one direction; to be shut before the socket is closed.

    A number that is closed while an event loop still watches it would wake, or silence, its next owner: so
    the loop forgets it in the same step as the close, even if the waiter has yet to see its cancellation.
    """

    __slots__ = ("_loop", "_number", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        self._loop = loop
        self._number = number
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        if self._waiter is not None:
            raise Failed("another operation already waits on this descriptor")
        waiter = self._waiter = self._loop.create_future()
        try:
            self._watch(waiter)
            await waiter
        finally:
            if self._waiter is waiter:
                self._forget()

    def shut(self) -> None:
        """Wakes the waiter, who then finds the socket closed."""
        if self._waiter is not None:
            _wake(self._waiter)
            self._forget()

    def _forget(self) -> None:
        self._unwatch()
        self._waiter = None

    @abstractmethod
    def _watch(self, waiter: asyncio.Future[None]) -> None:
        """Has the loop wake the waiter."""

    @abstractmethod
    def _unwatch(self) -> None:
        """Has the loop forget the socket in this direction."""


class _Readable(_Gate):
    __slots__ = ()

    def _watch(self, waiter: asyncio.Future[None]) -> None:
        self._loop.add_reader(self._number, _wake, waiter)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._number)


class _Writable(_Gate):
    __slots__ = ()

    def _watch(self, waiter: asyncio.Future[None]) -> None:
        self._loop.add_writer(self._number, _wake, waiter)

    def _unwatch(self) -> None:
        self._loop.remove_writer(self._number)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _connected(address: Address, port: int, seconds: float) -> _Connection:
    connection = _Connection(address.version)
    try:
        async with asyncio.timeout(seconds):
            await connection.connect(address, port)
    except BaseException:
        connection.close()
        raise
    return connection


# What the system lacks is no room for the guest either; everything else is the network's failure.
_LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def _failure(error: OSError) -> CapabilityError:
    kind = TooLarge if error.errno in _LACKING else Failed
    return kind(error.strerror or "no answer in time")
