"""Many clients that ask at the same moment, or one soon after another, each once and on its own connection.

A port, a request and a number come in; how each was answered, and after how long, goes out.
It must never ask before all are connected: then it is the waiting that is measured, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import uvloop

from benchmarks.beside import Beside, descriptors
from benchmarks.client import FAULTS, Client, written
from benchmarks.load import Request

PATIENCE = 120.0
_AT_ONCE = 256
"""Connections that are being made: more than a server's backlog would only be made again a second later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of a crowd."""

    statuses: Counter[str]
    """Answers by status; `wrong` for a good status with another body, `broken` for no answer at all."""
    milliseconds: tuple[float, ...]
    """Of those that were answered as they should be, each from its own question."""

    @property
    def good(self) -> int:
        """How many were answered as they should be."""
        return len(self.milliseconds)

    def text(self) -> str:
        """The ends, most frequent first."""
        return ", ".join(f"{count} x {status}" for status, count in self.statuses.most_common())


class Crowd(Beside):
    """The clients, all connected, from the beginning of a `with` to its end."""

    def __init__(self, port: int, request: Request, clients: int, *, rate: float | None = None) -> None:
        """So many ask in a second; all at once where `rate` is None."""
        given = [port, request.path, request.answer.decode(), clients, 1 / rate if rate else 0.0]
        super().__init__("benchmarks.crowd", given)

    def go(self) -> None:
        """Has every client ask."""
        self.tell("go")

    def result(self) -> Answered:
        """What became of them, once all were answered; `go` comes first."""
        statuses, milliseconds = self.hear()
        return Answered(statuses=Counter(statuses), milliseconds=tuple(milliseconds))


async def _connected(port: int, clients: int) -> list[Client]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def connect() -> Client:
        async with gate:
            return await Client.connect(port)

    return await asyncio.gather(*(connect() for _ in range(clients)))


async def _asked(clients: list[Client], request: Request, pause: float) -> tuple[Counter[str], list[float]]:
    statuses: Counter[str] = Counter()
    milliseconds: list[float] = []
    question = written(request)

    async def ask(number: int, client: Client) -> None:
        await asyncio.sleep(number * pause)
        began = perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await client.ask(question)
        except FAULTS:
            statuses["broken"] += 1
            return
        good = answer.status == request.status
        statuses["wrong" if good and answer.body != request.answer else str(answer.status)] += 1
        if good and answer.body == request.answer:
            milliseconds.append(1000 * (perf_counter() - began))

    await asyncio.gather(*(ask(number, client) for number, client in enumerate(clients)))
    return statuses, milliseconds


async def _run(given: list[Any]) -> None:
    port, path, answer, number, pause = given
    descriptors()
    clients = await _connected(port, number)
    _say(len(clients))
    await asyncio.to_thread(sys.stdin.readline)
    _say(await _asked(clients, Request(path=path, answer=answer.encode()), pause))
    await asyncio.to_thread(sys.stdin.readline)  # until it is ended: its processor time is still asked for


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - our parent waits for it


if __name__ == "__main__":
    uvloop.run(_run(json.loads(sys.argv[1])))
