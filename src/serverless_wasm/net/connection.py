"""One connected socket of a guest, on the event loop's own watchers.

An address comes in once; bytes go in and out, each operation with a deadline and all of them counted.
It must never wait without a deadline, nor leave the loop watching a number that has been closed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from abc import abstractmethod
from contextlib import suppress

from serverless_wasm.alarms import Alarm, Alarms
from serverless_wasm.errors import Failed
from serverless_wasm.limits import KIB, Limits
from serverless_wasm.net.interfaces import family_of
from serverless_wasm.net.policy import Address

_READ_SIZE = 64 * KIB
_WRITE_SIZE = 256 * KIB


class Connection:
    """A connected socket. Its waiters leave the event loop before its number is free for another.

    One read and one write may wait at once. Whatever the network has against an operation is an OSError;
    a deadline that passes is a TimeoutError, and the connection remains open.
    """

    __slots__ = ("_limits", "_readable", "_receivable", "_sendable", "_socket", "_writable")

    def __init__(self, address: Address, limits: Limits, alarms: Alarms) -> None:
        self._limits = limits
        self._receivable = limits.socket_received
        self._sendable = limits.socket_sent
        self._socket = socket.socket(family_of(address), socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._readable = _Readable(alarms, self._socket.fileno())
        self._writable = _Writable(alarms, self._socket.fileno())

    async def connect(self, address: Address, port: int, deadline: float) -> None:
        """Connects before a time of the loop's clock; the caller closes after a failure."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        place = str(address), port
        code = self._socket.connect_ex(place)
        if code == errno.EINPROGRESS:  # a neighbour on this machine has answered by now
            code = self._socket.connect_ex(place)
        if code == errno.EALREADY:
            await self._writable.wait(deadline)
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code not in (0, errno.EISCONN):  # the second: connected, as systems but Linux say
            raise OSError(code, os.strerror(code))

    async def read(self, size: int) -> bytes:
        """Waits for at least one byte and returns what is there, 64 KiB at most; b"" at the end.

        Raises Failed when the other side sends more than may be received.
        """
        deadline = self._deadline()
        # With nothing left one byte more is asked for: it tells a stream that goes on from one that ends.
        size = min(size, _READ_SIZE, self._receivable or 1)
        while True:
            with suppress(BlockingIOError):
                data = self._socket.recv(size)
                break
            ready = self._readable.arm(deadline)
            try:  # not wait(): thousands of guests may wait here, and each would hold its coroutine
                await ready
            finally:
                del ready  # its TimeoutError knows this frame
                self._readable.disarm()
        if len(data) > self._receivable:
            raise Failed(f"socket_received: more than {self._limits.socket_received} bytes")
        self._receivable -= len(data)
        return data

    async def write(self, data: bytes) -> None:
        """Writes all of it, waiting for room as often as it takes.

        Raises Failed, before a byte is sent, when it is more than may still be sent.
        """
        if len(data) > self._sendable:
            raise Failed(f"socket_sent: more than {self._limits.socket_sent} bytes")
        self._sendable -= len(data)
        deadline = self._deadline()
        rest = memoryview(data)
        while rest:
            with suppress(BlockingIOError):
                rest = rest[self._socket.send(rest[:_WRITE_SIZE]) :]
            if rest:  # through the loop between two pieces, however fast the other side takes them
                await self._writable.wait(deadline)

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, and the other side has sent nothing that was not read."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Wakes whoever waits, who then finds the socket closed, and frees the number."""
        self._readable.shut()
        self._writable.shut()
        with suppress(OSError):  # the connection may have been reset; its number is free all the same
            self._socket.close()

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.socket_timeout


class _Gate(Alarm):
    """Waits until a socket is ready in one direction; to be shut before the socket is closed.

    A number that is closed while an event loop still watches it would wake, or silence, its next owner: so
    the loop forgets it in the same step as the close, even if the waiter has yet to see its cancellation.
    A gate is its own alarm: a timer of the loop's for each of thousands of waiting guests would be too much.
    """

    __slots__ = ("_loop", "_number", "_waiter")

    def __init__(self, alarms: Alarms, number: int) -> None:
        super().__init__(alarms)
        self._loop = asyncio.get_running_loop()
        self._number = number
        self._waiter: asyncio.Future[None] | None = None

    def arm(self, deadline: float) -> asyncio.Future[None]:
        """A future that ends when it may be worth to try, or with TimeoutError at the deadline.

        Each needs one `disarm`, in the step that has seen its end or its cancellation. Raises Failed when
        another operation waits, and TimeoutError when the deadline has passed: a socket that is ready in
        every turn of the loop must not put it off.
        """
        if self._waiter is not None:
            raise Failed("another operation already waits on this descriptor")
        if self._loop.time() >= deadline:
            raise TimeoutError
        waiter = self._loop.create_future()
        self._watch(waiter)
        self.set(deadline)
        self._waiter = waiter
        return waiter

    def disarm(self) -> None:
        """Has the loop forget socket and deadline; nothing when it was shut meanwhile."""
        if self._waiter is not None:
            self._unwatch()
            self.cancel()
            self._waiter = None

    async def wait(self, deadline: float) -> None:
        """Returns when it may be worth to try; raises what `arm` does."""
        ready = self.arm(deadline)
        try:
            await ready
        finally:
            del ready  # its TimeoutError knows this frame
            self.disarm()

    def ring(self) -> None:
        """Ends the wait, unless the socket is ready already."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def shut(self) -> None:
        """Wakes the waiter, who then finds the socket closed."""
        if self._waiter is not None:
            _wake(self._waiter)
            self.disarm()

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
