"""How the supervisor and a worker speak: whole messages over a pair of sockets.

Orders go down as pickled values, for the supervisor is trusted; reports come up as JSON.
It must never unpickle what a worker sent: a worker may have been taken over by a guest.
"""

from __future__ import annotations

import asyncio
import json
import pickle  # orders alone, from the process that started this one
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from serverless_wasm.limits import MIB
from serverless_wasm.release import Release
from serverless_wasm.text import DETAIL_LIMIT, TEXT_LIMIT, printable

REPORT_LIMIT = 16 * MIB
"""Bytes of a report: a sentence for each of ten thousand applications."""
_HEAD = struct.Struct("!I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Make the release ready to serve, and report what of it is broken."""

    release: Release
    own_addresses: tuple[str, ...]
    """Where the service listens, as `host:port`."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Serve what was prepared last, from the next request on, but for the applications withdrawn."""

    withdrawn: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget what was prepared last."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Answer 503 for these applications, and for no others that could be served."""

    applications: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish what is in progress within so many seconds, then end; a second one counts anew."""

    drain: float


Order = Prepare | Commit | Discard | Withdraw | Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A worker's answer to Prepare, Commit or Discard; the first one of all says that it can take orders."""

    error: str = ""
    """Why the order could not be followed."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """The applications that cannot be served, and why."""
    notices: tuple[str, ...] = ()
    slots: int = 0


class Channel:
    """One end, from `open` to `close`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, sock: socket.socket) -> Channel:
        """Takes the socket over."""
        return cls(*await asyncio.open_connection(sock=sock))

    async def order(self, order: Order) -> None:
        """Sends an order; raises OSError when the worker has gone."""
        await self._send(pickle.dumps(order))

    async def next_order(self) -> Order:
        """The next order; raises EOFError when the supervisor has gone."""
        order: Order = pickle.loads(await self._receive(2**32))  # noqa: S301 - see the top
        return order

    async def report(self, report: Report) -> None:
        """Sends a report; raises OSError when the supervisor has gone."""
        await self._send(json.dumps(asdict(report)).encode())

    async def next_report(self) -> Report:
        """The next report; raises EOFError when the worker has gone, or speaks anything else."""
        try:
            return _read_report(json.loads(await self._receive(REPORT_LIMIT)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise EOFError("not a report") from error

    def close(self) -> None:
        """Ends the connection; the other end sees it."""
        self._writer.close()

    async def _send(self, payload: bytes) -> None:
        self._writer.write(_HEAD.pack(len(payload)) + payload)
        await self._writer.drain()

    async def _receive(self, limit: int) -> bytes:
        try:
            (size,) = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
            if size > limit:
                raise EOFError(f"a message of {size} bytes")
            return await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:  # OSError, a reset: it was killed
            raise EOFError("the other process has gone") from error


def _read_report(document: dict[str, object]) -> Report:
    """Raises TypeError and the like for anything but a report; every text is made printable."""
    broken, notices, slots = document["broken"], document["notices"], document["slots"]
    if not isinstance(broken, dict) or not isinstance(notices, list) or type(slots) is not int:
        raise TypeError("not a report")
    return Report(
        error=_text(document["error"], DETAIL_LIMIT),
        broken={_text(name, DETAIL_LIMIT): _text(reason, TEXT_LIMIT) for name, reason in broken.items()},
        notices=tuple(_text(notice, DETAIL_LIMIT) for notice in notices),
        slots=slots,
    )


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return printable(value, limit)
