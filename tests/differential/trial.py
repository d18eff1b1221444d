"""Our door and its two peers, all given the same cases: who understood what.

Cases come in; for each one what the grammar, our door, nginx and haproxy made of it goes out.
It must never judge a disagreement: rules.py does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from differential import grammar, mutations
from differential.backend import Book, ends, recording
from differential.exchange import exchange
from differential.grammar import Reading, Request
from differential.peers import peer
from serverless_wasm import messages
from serverless_wasm.limits import DoorLimits
from serverless_wasm.server.h1 import HttpDoor

PEERS = ("nginx", "haproxy")
WORKERS = 48


@dataclass(frozen=True, slots=True)
class Seen:
    """What one server understood and how it ended: the status of its refusal or 0, and whether it closed."""

    requests: tuple[Request, ...]
    status: int
    closed: bool
    received: bytes = b""


@dataclass(frozen=True, slots=True)
class Trial:
    """One case under all four."""

    number: int
    data: bytes
    grammar: Reading
    ours: Seen
    theirs: dict[str, Seen]


def case(seed: int, number: int) -> bytes:
    """The bytes of a case."""
    return mutations.stream(random.Random(f"{seed}-{number}"))  # noqa: S311 - to be told again


class Ring:
    """The three servers; `try_case` gives one case to each of them."""

    def __init__(self, ports: dict[str, int], books: dict[str, Book]) -> None:
        self._ports = ports
        self._books = books

    async def try_case(self, seed: int, number: int) -> Trial:
        """Case `number` of a seed, which is always the same bytes."""
        data = case(seed, number)
        ours, *theirs = await asyncio.gather(*(self._ask(name, data) for name in self._ports))
        return Trial(number, data, grammar.read(data), ours, dict(zip(PEERS, theirs, strict=True)))

    @property
    def unclaimed(self) -> dict[str, Book]:
        """Requests of no case that has ended, by server."""
        return {name: book for name, book in self._books.items() if book}

    async def _ask(self, name: str, data: bytes) -> Seen:
        outcome = await exchange(self._ports[name], data)
        requests = tuple(self._books[name].pop(outcome.port, ()))
        status = next((status for status in outcome.statuses if status != 200), 0)
        return Seen(requests, status, outcome.closed, outcome.received)


@asynccontextmanager
async def ring(folder: Path) -> AsyncIterator[Ring]:
    """All servers, on ports of their own."""
    ours: Book = {}
    books = {"ours": ours, **{name: {} for name in PEERS}}
    async with AsyncExitStack() as stack:
        ports = {"ours": await stack.enter_async_context(_door(ours))}
        for name in PEERS:
            backend = await stack.enter_async_context(recording(books[name]))
            ports[name] = await stack.enter_async_context(peer(name, folder, backend))
        yield Ring(ports, books)


@asynccontextmanager
async def _door(book: Book) -> AsyncIterator[int]:
    async def handle(request: messages.Request) -> messages.Response:
        body = await request.body.read(2**20)
        port = int(request.client.rpartition(":")[2])
        book.setdefault(port, []).append(
            Request(
                request.method.encode(),
                request.path,
                request.query.encode("latin-1"),
                request.host,
                ends(list(request.headers.fields)),
                body,
            )
        )
        return messages.Response(status=200)

    door = HttpDoor(handle, DoorLimits(), lambda _: None)
    address = (await door.listen(("127.0.0.1", 0)))[0]
    try:
        yield int(address.rpartition(":")[2])
    finally:
        await door.close(0)


async def run(folder: Path, seed: int, count: int, judge: Callable[[Trial], None]) -> dict[str, Book]:
    """Gives each case of a seed to all, many at a time, and each outcome to `judge`.

    Returns what was understood by somebody, and asked by nobody: it must be empty.
    """
    numbers = iter(range(count))

    async def work(servers: Ring) -> None:
        for number in numbers:
            judge(await servers.try_case(seed, number))

    async with ring(folder) as servers:
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(work(servers))
        return servers.unclaimed


def agreed(requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The grammar's requests with the fields that a proxy passes on."""
    return tuple(
        Request(it.method, it.path, it.query, it.host, ends(list(it.fields)), it.body, it.head)
        for it in requests
    )
