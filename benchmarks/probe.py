"""Asks at an even pace, whether or not earlier questions were answered, so that nobody is spared a stall.

A port, a request and a rate come in; the latency of every question goes out, unanswered ones at the patience.
It must never hold a question back because another is open: wrk and h2load --h1 do, and a stall hardly shows.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import uvloop

from benchmarks.client import FAULTS, Pool, written
from benchmarks.contestants import LOAD_CORE
from benchmarks.load import Load, LoadFailed, Request

PATIENCE = 5.0
"""Seconds after which a question counts as unanswered."""
_BEHIND = 0.5  # seconds: a driver that fell behind does not come with a storm


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What the questions saw: milliseconds of each, and how many were not answered as expected."""

    milliseconds: tuple[float, ...]
    wrong: int
    seconds: float

    @property
    def load(self) -> Load:
        """The figures of it."""
        return Load.of(self.milliseconds, self.seconds, self.wrong)


def joined(parts: Sequence[Probed]) -> Probed:
    """The questions of several rounds as one."""
    return Probed(
        milliseconds=tuple(each for part in parts for each in part.milliseconds),
        wrong=sum(part.wrong for part in parts),
        seconds=sum(part.seconds for part in parts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A probe to be: whom it asks for what, how often a second, and how long."""

    port: int
    request: Request
    rate: float
    seconds: float


def start(asking: Asking) -> subprocess.Popen[str]:
    """Starts the probe as a process of its own on the load's core; `result` waits for what it saw."""
    given = [asking.port, asking.request.path, asking.request.answer.decode(), asking.rate, asking.seconds]
    return subprocess.Popen(
        ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "benchmarks.probe", json.dumps(given)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str], asking: Asking) -> Probed:
    """Waits for a probe's end; raises LoadFailed when it failed."""
    try:
        out, _ = process.communicate()
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        raise LoadFailed(f"the probe ended with {process.returncode}")
    milliseconds, wrong = json.loads(out)
    return Probed(milliseconds=tuple(milliseconds), wrong=wrong, seconds=asking.seconds)


def probe(asking: Asking) -> Probed:
    """Starts a probe and waits for what it saw."""
    return result(start(asking), asking)


class _Tally:
    """Collects what single questions saw."""

    def __init__(self, asking: Asking) -> None:
        self._question = written(asking.request)
        self._expected = asking.request.status, asking.request.answer
        self._pool = Pool(asking.port)
        self.milliseconds: list[float] = []
        self.wrong = 0

    async def ask(self) -> None:
        """One question; a connection is part of it when none is idle."""
        began = perf_counter()
        try:
            async with asyncio.timeout(PATIENCE), self._pool.client() as client:
                answer = await client.ask(self._question)
                self.milliseconds.append(1000 * (perf_counter() - began))
                self.wrong += (answer.status, answer.body) != self._expected
        except FAULTS:
            self.milliseconds.append(1000 * PATIENCE)
            self.wrong += 1

    def close(self) -> None:
        """Ends its connections."""
        self._pool.close()


async def _run(asking: Asking) -> tuple[list[float], int]:
    tally, loop = _Tally(asking), asyncio.get_running_loop()
    due = loop.time()
    end = due + asking.seconds
    async with asyncio.TaskGroup() as tasks:
        while due < end:
            await asyncio.sleep(due - loop.time())
            tasks.create_task(tally.ask())
            due = max(due + 1 / asking.rate, loop.time() - _BEHIND)
    tally.close()
    return tally.milliseconds, tally.wrong


def main() -> None:
    """The process on the load's processor: the question as JSON in its argument, what it saw as JSON out."""
    port, path, answer, rate, seconds = json.loads(sys.argv[1])
    asking = Asking(port=port, request=Request(path=path, answer=answer.encode()), rate=rate, seconds=seconds)
    json.dump(uvloop.run(_run(asking)), sys.stdout)


if __name__ == "__main__":
    main()
