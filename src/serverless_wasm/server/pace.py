"""Whether a client takes what is written to it, in the transport and in the kernel, fast enough.

Numbers of bytes written come in; a reset goes out to a client that has fallen too far behind.
It must never blame a client for what the service has not written, nor cost anything while all is taken.

An answer of some hundred KiB fits into the kernel's buffer, so a client that never reads it looks like one
that has it all: the kernel is asked how much of it has not been acknowledged.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from contextlib import suppress
from fcntl import ioctl
from socket import SO_LINGER, SOL_SOCKET
from termios import TIOCOUTQ

from serverless_wasm.alarms import Alarms
from serverless_wasm.limits import DoorLimits
from serverless_wasm.server.deadline import Deadline

LOOKS = 8
"""How often a client is looked at within `write_timeout`: what it took is noticed that late."""
_RESET = struct.pack("ii", 1, 0)


class Pace:
    """Cuts a client off that has left bytes untaken for `write_timeout`, unless it takes `write_rate`.

    Each byte taken buys time at that rate, so that no burst buys more than a pause of `write_timeout`.
    """

    __slots__ = ("_due", "_limits", "_transport", "_unsent", "_watch", "_watching", "_written")

    def __init__(self, transport: asyncio.Transport, limits: DoorLimits, alarms: Alarms) -> None:
        self._due = 0.0
        self._limits = limits
        self._transport = transport
        self._unsent = 0
        self._watch = Deadline(alarms, self._look)
        self._watching = False
        self._written = 0

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken; on systems that cannot tell, those in the transport."""
        size = self._transport.get_write_buffer_size()
        if sys.platform == "linux":
            with suppress(AttributeError, OSError, ValueError):  # no socket, or one that is closed
                descriptor = self._transport.get_extra_info("socket").fileno()
                size += int.from_bytes(ioctl(descriptor, TIOCOUTQ, bytes(4)), sys.byteorder)
        return size

    def owed(self) -> bool:
        """Whether the client has not taken everything; if so it is watched until it has."""
        if self.unsent:
            self.wrote(0)
            return True
        return False

    def wrote(self, size: int) -> None:
        """The transport has been given so many bytes."""
        self._written += size
        if not self._watching:
            self._watching = True
            patience = self._limits.write_timeout
            self._due = asyncio.get_running_loop().time() + patience
            self._watch.after(patience / LOOKS)

    def cut(self) -> None:
        """Ends the connection with a reset: no client takes it for an end, no kernel keeps what is unsent."""
        with suppress(AttributeError, OSError):  # no socket any more, or one of a family without resets
            self._transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self._transport.abort()

    def stop(self) -> None:
        """The connection is closed."""
        self._watch.cancel()

    def _look(self) -> None:
        before, unsent = self._unsent, self.unsent
        taken = max(0, before + self._written - unsent)  # below 0 where TLS adds bytes of its own
        self._unsent, self._written = unsent, 0
        if not unsent:
            self._watching = False
            return
        now, patience = asyncio.get_running_loop().time(), self._limits.write_timeout
        if taken < before:
            self._due = min(self._due + taken / self._limits.write_rate, now + patience)
        else:  # what waited at the last look has gone: this is newer
            self._due = now + patience
        if self._due <= now:
            self.cut()
        else:
            self._watch.after(min(patience / LOOKS, self._due - now))
