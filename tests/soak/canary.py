"""A good client beside an attack, and the program as seen from outside.

A port or a process comes in; latencies, descriptors and memory go out.
It must never wait for an answer before it asks the next question: a slow answer would hide others.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from time import perf_counter

from server.doors import Client
from soak.figures import percentile
from soak.load import at_pace

PACE = 50.0
"""Questions a second over a connection that is kept, and as many over new ones."""
_PATIENCE = 10.0
_QUESTION = b"GET /hello HTTP/1.1\r\nHost: good\r\n\r\n"


@dataclass(slots=True)
class Good:
    """What the good client saw."""

    milliseconds: list[float] = field(default_factory=list)
    wrong: int = 0
    what: str = ""
    """The first wrong answer."""

    @property
    def p99(self) -> float:
        """Of the answers, in milliseconds; connecting counts where there was no connection."""
        return percentile(self.milliseconds, 99)


@asynccontextmanager
async def asking(port: int, good: Good) -> AsyncIterator[None]:
    """Asks at an even pace for as long as this is entered."""
    kept = _Kept(port)
    asks = partial(_over_a_kept_one, kept, good), partial(_over_a_new_one, port, good)
    tasks = [asyncio.create_task(at_pace(ask, PACE, inf)) for ask in asks]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        kept.close()


class _Kept:
    """One connection, for one question at a time; another one if the service has closed it."""

    def __init__(self, port: int) -> None:
        self._client: Client | None = None
        self._port = port
        self._turn = asyncio.Lock()

    async def ask(self, good: Good, began: float) -> None:
        """Asks once every question before is answered; the wait counts."""
        async with self._turn:
            if self._client is None or self._client.reader.at_eof():
                self.close()
                self._client = Client(*await asyncio.open_connection("127.0.0.1", self._port))
            try:
                await _ask(self._client, good, began)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


async def _over_a_kept_one(kept: _Kept, good: Good) -> None:
    began = perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE):
            await kept.ask(good, began)
    except (OSError, EOFError) as error:
        _wrong(good, f"over a kept connection: {error!r}")


async def _over_a_new_one(port: int, good: Good) -> None:
    began = perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE):
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            try:
                await _ask(client, good, began)
            finally:
                client.close()
    except (OSError, EOFError) as error:
        _wrong(good, f"over a new connection: {error!r}")


async def _ask(client: Client, good: Good, began: float) -> None:
    answer = await client.ask(_QUESTION)
    good.milliseconds.append(1000 * (perf_counter() - began))
    if (200, b"hello, world") != (answer.status, answer.body):
        _wrong(good, f"{answer.status} {answer.body!r}")


def _wrong(good: Good, what: str) -> None:
    good.wrong += 1
    good.what = good.what or what


class Process:
    """The program: all of its processes together. Asking takes tens of milliseconds when there is much."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def descriptors(self) -> int:
        """How many it has open."""
        folders = [Path(f"/proc/{pid}/fd") for pid in self._all(self._pid)]
        return sum(folder.stat().st_size or len([*folder.iterdir()]) for folder in folders)  # size: Linux 6.2

    def resident(self) -> int:
        """Bytes of memory that it has to itself."""
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self._all(self._pid)]
        return sum(1024 * int(text.split("\nPss:", 1)[1].split()[0]) for text in texts)

    def busy(self) -> float:
        """Seconds of the processor that it has used."""
        texts = [Path(f"/proc/{pid}/stat").read_text() for pid in self._all(self._pid)]
        fields = [text.rpartition(")")[2].split() for text in texts]  # a name may have spaces
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def _all(self, pid: int) -> Iterator[int]:
        yield pid
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from self._all(int(child))
