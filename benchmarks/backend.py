"""What guests wait for: a server that takes a line from each connection, and answers late or when told to.

Seconds come in, or none; connections are answered after so many, or all at `release`.
It must never speak first, nor end a connection before its client does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Self, cast

import uvloop

from benchmarks.beside import Beside, descriptors
from benchmarks.load import HOST

QUESTION = b"ask\n"
ANSWER = b"answered\n"
_BACKLOG = 16384


class Backend(Beside):
    """The process from the beginning of a `with` to its end."""

    def __init__(self, seconds: float | None = None) -> None:
        """Answers each connection after so many seconds; with None, all of them at `release`."""
        super().__init__("benchmarks.backend", seconds)
        self.port = 0

    def __enter__(self) -> Self:
        super().__enter__()
        self.port = int(self.first)
        return self

    def waiting(self) -> int:
        """How many have asked and were not answered yet."""
        return int(self.ask("waiting"))

    def release(self) -> int:
        """Answers all that wait, and from now on everybody at once; returns how many waited."""
        return int(self.ask("release"))


class _Room:
    """Who waits, and for how long."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._held: set[_Guest] = set()

    def enter(self, guest: _Guest) -> None:
        self._held.add(guest)
        if self._seconds is not None:
            asyncio.get_running_loop().call_later(self._seconds, self._answer, guest)

    def leave(self, guest: _Guest) -> None:
        self._held.discard(guest)

    def follow(self, word: str) -> int:
        """What a word of our parent's asks for."""
        waiting = tuple(self._held)
        if word == "release":
            self._seconds = 0.0
            for guest in waiting:
                self._answer(guest)
        return len(waiting)

    def _answer(self, guest: _Guest) -> None:
        if guest in self._held:
            self._held.discard(guest)
            guest.transport.write(ANSWER)


class _Guest(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, room: _Room) -> None:
        self._room = room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not say that it is one

    def data_received(self, data: bytes) -> None:
        if data.endswith(QUESTION[-1:]):
            self._room.enter(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._room.leave(self)


async def _run(seconds: float | None) -> None:
    descriptors()
    loop, room = asyncio.get_running_loop(), _Room(seconds)
    server = await loop.create_server(lambda: _Guest(room), HOST, 0, backlog=_BACKLOG)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)  # noqa: T201 - our parent waits for it
    while word := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(room.follow(word.strip())), flush=True)  # noqa: T201 - see above


if __name__ == "__main__":
    uvloop.run(_run(json.loads(sys.argv[1])))
