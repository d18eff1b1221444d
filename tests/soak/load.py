"""Clients of a soak: good ones at an even pace whose every answer is checked, hostile ones without end.

A port comes in; latencies and counts go out.
It must never wait for an answer before it asks the next question: a slow answer would hide others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from time import perf_counter

from server.doors import Answer, Client
from soak.guests import Good

PATIENCE = 30.0
"""Seconds after which a good answer is wrong."""
_LEAVES = 0.05  # of the hostile clients, so that guests are cancelled too
_LEAVES_AFTER = 0.03


@dataclass(slots=True)
class Tally:
    """What the clients of one application saw."""

    requests: int = 0
    wrong: int = 0
    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    what: str = ""
    """The first wrong answer."""


class Pool:
    """Connections to the service, each used by one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Client] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A connection; it is used again unless this ends badly."""
        client = self._kept() or await self._connect()
        try:
            yield client
        except BaseException:
            client.close()
            raise
        self._idle.append(client)

    def _kept(self) -> Client | None:
        """The connection used last; those that the service has closed, idle for too long, are dropped."""
        while self._idle:
            client = self._idle.pop()
            if not client.reader.at_eof():
                return client
            client.close()
        return None

    async def _connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self._port))

    def close(self) -> None:
        """Ends every connection."""
        while self._idle:
            self._idle.pop().close()


async def good(pool: Pool, name: str, application: Good, question: bytes, tally: Tally) -> None:
    """One question to a good application, and whether its answer is right to the byte."""
    tally.requests += 1
    began = perf_counter()
    try:
        async with asyncio.timeout(PATIENCE), pool.client() as client:
            began = perf_counter()
            answer = await client.ask(_request(name, question))
            tally.milliseconds.append(1000 * (perf_counter() - began))
    except (OSError, EOFError) as error:  # TimeoutError is an OSError
        tally.wrong += 1
        tally.what = tally.what or repr(error)
        return
    right = application.answer(question)
    if (200, right) != (answer.status, answer.body):
        tally.wrong += 1
        tally.what = tally.what or f"{answer.status}, {answer.body[:80]!r}, not {right[:80]!r}"


async def hostile(pool: Pool, name: str, tally: Tally, random: Random) -> None:
    """One request to a hostile application; its client may leave. No answer at all is wrong."""
    tally.requests += 1
    began = perf_counter()
    if random.random() < _LEAVES:
        await _left(pool, name)
        tally.statuses["left"] += 1
        return
    try:
        async with asyncio.timeout(PATIENCE), pool.client() as client:
            answer = await client.ask(_request(name, b"canary-of-the-request"))
    except (OSError, EOFError) as error:
        tally.wrong += 1
        tally.what = tally.what or repr(error)
        return
    tally.milliseconds.append(1000 * (perf_counter() - began))
    tally.statuses[str(answer.status)] += 1
    if _leaks(answer):
        tally.wrong += 1
        tally.what = tally.what or repr(answer)


def _leaks(answer: Answer) -> bool:
    """Whether a secret is in it: no hostile guest is asked to show its own."""
    return any(b"canary" in text for pair in [*answer.headers, (answer.reason, answer.body)] for text in pair)


async def _left(pool: Pool, name: str) -> None:
    try:
        async with pool.client() as client, asyncio.timeout(_LEAVES_AFTER):
            await client.ask(_request(name, b""))
    except (OSError, EOFError):
        return


async def at_pace(ask: Callable[[], Awaitable[None]], rate: float, end: float) -> None:
    """Asks `rate` times a second until `end`, whether or not earlier ones were answered; waits for all."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    async with asyncio.TaskGroup() as tasks:
        while due < end:
            await asyncio.sleep(due - loop.time())
            tasks.create_task(_awaited(ask))
            due = max(due + 1 / rate, loop.time() - 1)  # a driver that fell behind does not come with a storm


async def _awaited(ask: Callable[[], Awaitable[None]]) -> None:
    await ask()


async def one_by_one(ask: Callable[[], Awaitable[None]], pause: float, end: float) -> None:
    """Asks again and again until `end`, at least `pause` seconds between two beginnings."""
    loop = asyncio.get_running_loop()
    while (began := loop.time()) < end:
        await ask()
        await asyncio.sleep(began + pause - loop.time())


def _request(name: str, body: bytes) -> bytes:
    head = (
        f"POST /{name} HTTP/1.1\r\nHost: soak\r\nAuthorization: canary\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
