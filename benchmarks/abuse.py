"""The bad neighbour's clients: they ask one application for what hurts, again and again, until stopped.

A port, a path and the number of clients come in; how the requests ended, and how long they took, goes out.
It must never be the load that is measured: it runs at the lowest priority beside the probe.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import uvloop

from benchmarks.client import FAULTS, Client, written
from benchmarks.contestants import LOAD_CORE
from benchmarks.load import HOST, LoadFailed, Request

_PAUSE = 0.05  # seconds until a client that was refused comes back


@dataclass(frozen=True, slots=True, kw_only=True)
class Abuse:
    """How many clients ask for what; and bytes to upload, and the port of a silent backend, where needed."""

    port: int
    path: str
    clients: int
    upload: int = 0
    backend: int = 0


@dataclass(slots=True, kw_only=True)
class Suffered:
    """How the requests ended by the time they were stopped."""

    statuses: Counter[str] = field(default_factory=Counter)
    """Answers by status; `refused` connections, and `broken` ones that ended without an answer."""
    longest: float = 0.0
    """Seconds of the longest that was answered."""

    def text(self) -> str:
        """The ends, most frequent first."""
        return (
            ", ".join(f"{count} x {status}" for status, count in self.statuses.most_common()) or "none ended"
        )


@contextmanager
def abused(abuse: Abuse) -> Iterator[Suffered]:
    """Abuses from the beginning of a `with` to its end; what became of it is complete afterwards."""
    given = [abuse.port, abuse.path, abuse.clients, abuse.upload, abuse.backend]
    process = subprocess.Popen(
        ["taskset", "-c", LOAD_CORE, "nice", "-n", "19",
         sys.executable, "-m", "benchmarks.abuse", json.dumps(given)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    suffered = Suffered()
    try:
        if process.stdout is None or not process.stdout.readline():  # the clients are on their way
            raise LoadFailed("the bad neighbour's clients did not start")
        yield suffered
        process.send_signal(signal.SIGTERM)
        statuses, suffered.longest = json.loads(process.communicate(timeout=30)[0])
        suffered.statuses.update(statuses)
    finally:
        process.kill()
        process.communicate()


def until_answered(port: int, path: str, patience: float) -> float | None:
    """How many seconds one request takes to its end, whatever that is; None beyond the patience."""
    return uvloop.run(_until_answered(port, path, patience))


async def _until_answered(port: int, path: str, patience: float) -> float | None:
    began = perf_counter()
    try:
        async with asyncio.timeout(patience):
            client = await Client.connect(port)
            try:
                await client.ask(written(Request(path=path)))
            finally:
                client.close()
    except TimeoutError:
        return None
    except FAULTS:  # the connection was ended: that is an end, too
        pass
    return perf_counter() - began


async def _client(abuse: Abuse, suffered: Suffered) -> None:
    """Asks one by one on a connection of its own."""
    method = "POST" if abuse.upload else "GET"
    question = written(Request(method=method, path=abuse.path, body=os.urandom(abuse.upload)))
    while True:
        try:
            client = await Client.connect(abuse.port)
        except FAULTS:
            suffered.statuses["refused"] += 1
            await asyncio.sleep(_PAUSE)
            continue
        try:
            await _ask(client, question, suffered)
        except FAULTS:
            suffered.statuses["broken"] += 1
        finally:
            client.close()


async def _ask(client: Client, question: bytes, suffered: Suffered) -> None:
    """Asks for as long as the connection lasts; raises one of FAULTS when it ends without an answer."""
    while not client.ended:
        began = perf_counter()
        answer = await client.ask(question)
        suffered.longest = max(suffered.longest, perf_counter() - began)
        suffered.statuses[str(answer.status)] += 1


async def _run(abuse: Abuse) -> Suffered:
    suffered, stop, loop = Suffered(), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if abuse.backend:
        await loop.create_server(asyncio.Protocol, HOST, abuse.backend, backlog=4096)  # says nothing, ever
    clients = [asyncio.create_task(_client(abuse, suffered)) for _ in range(abuse.clients)]
    await asyncio.sleep(0)
    print(flush=True)  # noqa: T201 - whoever started this process waits for the line
    await stop.wait()
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return suffered


def main() -> None:
    """The process beside the probe: the abuse's parts as JSON in its argument, its ends as JSON out."""
    port, path, clients, upload, backend = json.loads(sys.argv[1])
    abuse = Abuse(port=port, path=path, clients=clients, upload=upload, backend=backend)
    suffered = uvloop.run(_run(abuse))
    json.dump((suffered.statuses, suffered.longest), sys.stdout)


if __name__ == "__main__":
    main()
