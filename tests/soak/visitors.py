"""Clients that ask without a pause to speak of, and write down what became of each request.

A port comes in; every request that was made, with its moments and its fate, goes out.
It must never try again in secret: whoever reads the requests says which of them had to be answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from time import perf_counter
from typing import Any

from server.doors import Answer, Client
from soak.versions import NONCE, PAGE, PLACES, Question, judge

PATIENCE = 60.0
"""Seconds after which no answer is a wrong one."""
LEAVES = 0.25
"""Of the requests are the last on their connection."""
SLOW = 0.15
"""Of the requests send the second half of their body later."""
LATER = (0.05, 0.3)
_REFUSED_PAUSE = 0.1
_BODY = b"a body in two halves"


class Fate(Enum):
    """What became of a request."""

    PENDING = "pending"
    ANSWERED = "answered"
    TRUNCATED = "truncated"
    """A part of an answer came."""
    DROPPED = "dropped"
    """The connection ended without a byte of an answer."""
    REFUSED = "refused"
    """There was no connection."""
    LATE = "late"


@dataclass(slots=True, eq=False)
class Asked:
    """One request; moments are those of time.perf_counter."""

    question: Question
    is_first: bool
    """On its connection."""
    began: float
    confirmed: int = 0
    """The version that was known to be served when it began."""
    port: int = 0
    """The client's."""
    sent: float = float("inf")
    """When the kernel had the request's head."""
    ended: float = float("inf")
    fate: Fate = Fate.PENDING
    version: int = -1
    wrong: str = ""
    """What is wrong with the answer, if it has one."""

    @property
    def milliseconds(self) -> float:
        """From the beginning to the end."""
        return 1000 * (self.ended - self.began)


@dataclass(slots=True)
class _Connection:
    client: Client
    port: int
    version: int = 0
    """The last one seen: a worker never goes back."""


@dataclass(slots=True)
class Visitors:
    """Clients of one port, from `start` to `end`."""

    port: int
    random: Random
    pause: float = 0.01
    confirmed: int = 0
    asked: list[Asked] = field(default_factory=list)
    closed_idle: int = 0
    """Connections that the service has closed between two requests."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, number: int) -> None:
        """Sends in so many clients."""
        self._tasks += [asyncio.create_task(self._visit()) for _ in range(number)]

    async def warm(self) -> None:
        """Waits until there were a few answers for each client; raises what a client's task raised.

        Raises TimeoutError when there are none.
        """
        async with asyncio.timeout(PATIENCE):
            while sum(asked.fate is Fate.ANSWERED for asked in self.asked) < 3 * len(self._tasks):
                done, _ = await asyncio.wait(self._tasks, timeout=0.01)
                for task in done:
                    task.result()

    async def end(self) -> None:
        """Lets every client finish its request."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    def pending(self) -> list[Asked]:
        """Requests that are on their way now."""
        return [asked for asked in self.asked[-20 * len(self._tasks) :] if asked.fate is Fate.PENDING]

    async def _visit(self) -> None:
        connection: _Connection | None = None
        while not self._stop.is_set():
            if connection is not None and connection.client.reader.at_eof():
                self.closed_idle += 1
                connection.client.close()
                connection = None
            connection = await self._ask(connection)
            if connection is not None and self.random.random() < LEAVES:
                connection.client.close()
                connection = None
            await asyncio.sleep(self.pause * self.random.uniform(0.5, 1.5))
        if connection is not None:
            connection.client.close()

    async def _ask(self, connection: _Connection | None) -> _Connection | None:
        """One request; the connection, if it may be used again."""
        place = self.random.choice((*PLACES, *PLACES, PAGE))
        nonce = f"{self.random.randrange(16**NONCE):0{NONCE}x}"
        asked = Asked(Question(place, nonce), connection is None, perf_counter(), self.confirmed)
        self.asked.append(asked)
        try:
            connection = connection or await self._connected()
        except OSError as error:
            self._over(asked, Fate.REFUSED, repr(error))
            await asyncio.sleep(_REFUSED_PAUSE)
            return None
        asked.port = connection.port
        is_kept = await self._answered(asked, connection)
        if not is_kept:
            connection.client.close()
        return connection if is_kept else None

    async def _connected(self) -> _Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return _Connection(Client(reader, writer), writer.get_extra_info("sockname")[1])

    async def _answered(self, asked: Asked, connection: _Connection) -> bool:
        client, began = connection.client, False
        try:
            async with asyncio.timeout(PATIENCE):
                await self._send(client, asked)
                head = await client.head()
                began = True
                size = int(head.header(b"content-length") or 0)
                body = await client.reader.readexactly(size)
        except TimeoutError:
            self._over(asked, Fate.LATE, f"no answer within {PATIENCE} s")
            return False
        except (OSError, EOFError) as error:
            began = began or bool(client.pending()) or bool(getattr(error, "partial", b""))
            self._over(asked, Fate.TRUNCATED if began else Fate.DROPPED, repr(error))
            return False
        self._look_at(asked, connection, head, body)
        return head.header(b"connection") != b"close"

    async def _send(self, client: Client, asked: Asked) -> None:
        """Sends a request, sometimes with a body that takes its time."""
        path = asked.question.path
        if self.random.random() >= SLOW:
            client.writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())  # asyncio sends at once
            asked.sent = perf_counter()
            return
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode()
        client.writer.write(head + _BODY[:9])
        asked.sent = perf_counter()
        await asyncio.sleep(self.random.uniform(*LATER))
        client.writer.write(_BODY[9:])

    def _look_at(self, asked: Asked, connection: _Connection, head: Answer, body: bytes) -> None:
        if head.status != 200:
            self._over(asked, Fate.ANSWERED, f"{head.status} {body[:100]!r} to {asked.question.path}")
            return
        judgement = judge(asked.question, body)
        asked.version = judgement.version
        wrong = judgement.wrong
        if not wrong and asked.version < max(asked.confirmed, connection.version):
            before = max(asked.confirmed, connection.version)
            wrong = f"version {asked.version} to {asked.question.path}, after {before} was served"
        connection.version = asked.version
        self._over(asked, Fate.ANSWERED, wrong)

    def _over(self, asked: Asked, fate: Fate, wrong: str) -> None:
        asked.fate, asked.wrong, asked.ended = fate, wrong, perf_counter()


async def beside(visitors: Visitors, number: int, work: Coroutine[Any, Any, None]) -> None:
    """Does something while so many clients ask, those that have begun before included."""
    visitors.start(number)
    try:
        await visitors.warm()
        await work
    finally:
        work.close()
        await visitors.end()
