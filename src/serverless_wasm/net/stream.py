"""A TCP connection of a guest that looks before it waits: a Source and a Target of bytes (abi/wasi).

An address comes in once; bytes go in and out at once or not at all, all of them counted.
It must never wait without a deadline, hold more than a chunk that was not sent, or watch a closed number.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Protocol

from serverless_wasm.alarms import Alarms
from serverless_wasm.errors import Failed
from serverless_wasm.limits import KIB, Limits
from serverless_wasm.net.connection import Connection
from serverless_wasm.net.policy import Address

_CHUNK = 64 * KIB


class Stream(Connection):
    """A connection that was begun; whoever has begun it closes it, or has it closed with the invocation.

    What fails is told by whatever is asked next in that direction, again and again, as OSError.
    """

    __slots__ = (
        "_arrival", "_broken", "_closed", "_connect_by", "_is_closed", "_is_deaf", "_is_mute", "_passage",
        "_pump", "_rest", "_stuck", "_unconnected",
    )  # fmt: skip

    def __init__(
        self, address: Address, limits: Limits, alarms: Alarms, closed: Callable[[Stream], None]
    ) -> None:
        super().__init__(address, limits, alarms)
        self._closed = closed
        self._is_closed = False
        self._arrival, self._passage = _Door(self._readable), _Door(self._writable)
        self._connect_by = 0.0
        self._unconnected: OSError | None = None
        self._broken: OSError | None = None
        """Why nothing can be read."""
        self._stuck: OSError | None = None
        """Why nothing can be written."""
        self._is_deaf = self._is_mute = False
        self._rest = memoryview(b"")
        self._pump: asyncio.Task[None] | None = None

    # Connecting

    def begin(self, address: Address, port: int) -> None:
        """Begins to connect; raises OSError when that fails at once."""
        self._connect_by = asyncio.get_running_loop().time() + self._limits.connect_timeout
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._socket.connect_ex((str(address), port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    @property
    def is_connected(self) -> bool:
        """Whether it is; raises the OSError of a connect that has failed, or was not done in time."""
        if self._unconnected is None:
            try:
                return self._look()
            except OSError as error:
                self._unconnected = error
        raise self._unconnected

    async def settle(self) -> None:
        """Waits until `is_connected` has an answer; may be cancelled, and begun again, at any time."""
        if not self._is_closed:
            with suppress(TimeoutError):  # which is_connected tells
                await self._passage.wait(self._connect_by)

    @property
    def local(self) -> tuple[Address, int]:
        """Its own address and port; raises OSError once it is closed."""
        return _pair(self._socket.getsockname())

    # A Source

    @property
    def ready(self) -> int | None:
        """Bytes that `take` has now, 0 at the end, 1 if there are any; None when one has to wait for them."""
        if self._is_deaf or self._is_closed:
            return 0
        peeked = self._receive(1, socket.MSG_PEEK)
        return None if peeked is None else len(peeked)

    def take(self, most: int) -> bytes | None:
        """Up to so many bytes, 64 KiB at most; b"" at the end; None when one has to wait for them."""
        if self._is_deaf or self._is_closed:
            return b""
        # With nothing left one byte more is asked for: it tells a stream that goes on from one that ends.
        data = self._receive(min(most, _CHUNK, self._receivable or 1), 0)
        if data is not None:
            if len(data) > self._receivable:
                self._broken = _beyond(f"socket_received: more than {self._limits.socket_received} bytes")
                raise self._broken
            self._receivable -= len(data)
        return data

    async def arrive(self) -> None:
        """Waits until `take` has an answer, if only that nothing came in time."""
        if self.ready is not None:
            return
        try:
            await self._arrival.wait(self._deadline())
        except TimeoutError:
            self._broken = _late()

    # A Target

    @property
    def left(self) -> int:
        """Bytes that `put` would take now; 0 when one has to wait."""
        if self._stuck is not None:
            raise self._stuck
        if self._is_mute or self._is_closed:
            raise BrokenPipeError(errno.EPIPE, "it was shut down")
        if self._pump is not None:
            return 0
        if not self._sendable:
            self._stuck = _beyond(f"socket_sent: more than {self._limits.socket_sent} bytes")
            raise self._stuck
        return min(_CHUNK, self._sendable)

    def put(self, data: bytes) -> int:
        """Takes as much as there is room for, and says how much that was."""
        data = data[: self.left]
        if not data:  # nothing may be put in the place of what is under way
            return 0
        self._sendable -= len(data)
        self._rest = memoryview(data)
        self._send()
        if self._rest:
            self._pump = asyncio.get_running_loop().create_task(self._send_rest(self._deadline()))
        return len(data)

    def flush(self) -> None:
        """What was taken is under way already; raises the OSError of what could not be sent."""
        if self._stuck is not None:
            raise self._stuck

    async def room(self) -> None:
        """Waits until everything is sent; raises OSError when it cannot be."""
        if self._pump is not None:
            await asyncio.wait({self._pump})  # which goes on if this is cancelled
        self.flush()

    # Its end

    def stop_receiving(self) -> None:
        """What arrives from now on is nobody's."""
        self._is_deaf = True
        with suppress(OSError):  # the connection may be gone; that is what was asked for
            self._socket.shutdown(socket.SHUT_RD)

    def stop_sending(self) -> None:
        """Tells the other side that this was all, once all of it is sent."""
        self._is_mute = True
        if self._pump is None:
            self._finish()

    def close(self) -> None:
        """Closes it, with what was not sent; may be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._pump is not None:
            self._pump.cancel()
        super().close()
        self._closed(self)

    def _look(self) -> bool:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            self._socket.getpeername()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            if asyncio.get_running_loop().time() >= self._connect_by:
                raise _late() from None
            return False
        return True

    def _receive(self, size: int, flags: int) -> bytes | None:
        """What there is to receive, or why there is nothing: the system tells that only once."""
        if self._broken is None:
            try:
                return self._socket.recv(size, flags)
            except BlockingIOError:
                return None
            except OSError as error:
                self._broken = error
        raise self._broken

    def _send(self) -> None:
        try:
            self._rest = self._rest[self._socket.send(self._rest) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._stuck, self._rest = error, memoryview(b"")
            raise

    async def _send_rest(self, deadline: float) -> None:
        try:
            while self._rest:
                await self._passage.wait(deadline)
                self._send()
        except TimeoutError:
            self._stuck = _late()
        except (OSError, Failed):
            pass  # _send has noted it
        finally:
            self._pump, self._rest = None, memoryview(b"")
            if self._is_mute:
                self._finish()

    def _finish(self) -> None:
        with suppress(OSError):  # the connection may be gone; nobody waits for an end there
            self._socket.shutdown(socket.SHUT_WR)


class _Waited(Protocol):
    """A gate of net/connection.py."""

    def arm(self, deadline: float) -> asyncio.Future[None]:
        """A future that ends when it may be worth to try; each needs one `disarm`."""

    def disarm(self) -> None:
        """Has the loop forget it."""


class _Door:
    """A gate at which several may wait: a guest may poll twice for the same thing."""

    __slots__ = ("_gate", "_waiter", "_waiting")

    def __init__(self, gate: _Waited) -> None:
        self._gate = gate
        self._waiter: asyncio.Future[None] | None = None
        self._waiting = 0

    async def wait(self, deadline: float) -> None:
        """Returns when it may be worth to try; raises TimeoutError. The deadline is the first one's."""
        waiter = self._waiter
        if waiter is None:
            waiter = self._waiter = self._gate.arm(deadline)
        elif waiter.done():
            await asyncio.sleep(0)  # the others have yet to leave; nobody may go round and round meanwhile
        self._waiting += 1
        try:
            await asyncio.wait({waiter})
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._gate.disarm()
                self._waiter = None
        waiter.result()


def _pair(name: tuple[Any, ...]) -> tuple[Address, int]:
    return ip_address(name[0].partition("%")[0]), name[1]


def _late() -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "no answer in time")


def _beyond(reason: str) -> OSError:
    return OSError(errno.EDQUOT, reason)
