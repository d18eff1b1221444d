"""Asks many applications in turn, so that no two questions in a row are for the same one.

A port and a number of applications come in; how long each answer took goes out.
It must never take an answer for good that another application gave.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from itertools import cycle
from time import perf_counter

import uvloop

from benchmarks import many
from benchmarks.beside import Beside
from benchmarks.client import FAULTS, Client, written
from benchmarks.load import Load


def touched(port: int, applications: int) -> Load:
    """Asks each application once, in order, on one connection."""
    return _made([port, applications, 1, None])


def spread(port: int, applications: int, *, connections: int, seconds: float) -> Load:
    """Asks on so many connections as fast as answers come, for so long."""
    return _made([port, applications, connections, seconds])


def _made(given: list[int | float | None]) -> Load:
    with Beside("benchmarks.spread", given) as process:
        milliseconds, seconds, wrong = process.first
        process.wait()  # so that its processor time counts as ours
    return Load.of(milliseconds, seconds, wrong)


class _Tally:
    def __init__(self, numbers: Iterator[int], end: float) -> None:
        self.milliseconds: list[float] = []
        self.wrong = 0
        self._numbers, self._end = numbers, end

    async def client(self, port: int) -> None:
        """One connection's questions; one that breaks ends them."""
        client = await Client.connect(port)
        try:
            while (number := next(self._numbers, None)) is not None and perf_counter() < self._end:
                await self._ask(client, number)
        except FAULTS:
            self.wrong += 1
        finally:
            client.close()

    async def _ask(self, client: Client, number: int) -> None:
        request = many.request(number)
        question, began = written(request), perf_counter()
        answer = await client.ask(question)
        self.milliseconds.append(1000 * (perf_counter() - began))
        self.wrong += (answer.status, answer.body) != (request.status, request.answer)


async def _run(port: int, applications: int, connections: int, seconds: float | None) -> None:
    numbers = iter(range(applications)) if seconds is None else cycle(range(applications))
    began = perf_counter()
    tally = _Tally(numbers, began + (seconds or float("inf")))
    await asyncio.gather(*(tally.client(port) for _ in range(connections)))
    print(json.dumps([tally.milliseconds, perf_counter() - began, tally.wrong]), flush=True)  # noqa: T201 - for our parent


if __name__ == "__main__":
    uvloop.run(_run(*json.loads(sys.argv[1])))
