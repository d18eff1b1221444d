"""SIGTERM in the middle of a load: the exit code, and what became of every request (THREATS O9, S26).

How many and a seed come in; what every drain did to the requests of its moment goes out.
It must never blame a client for what the service has dropped: whatever reached a guest must be answered.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from time import perf_counter

from soak.figures import percentile, show
from soak.operated import Operated, free_port
from soak.versions import deployment
from soak.visitors import Asked, Fate, Visitors

CLIENTS = 8
AT_ONCE = 2
"""Services at once: their starts take most of the time, and they do not share a machine evenly."""
WORKERS = (2, 2, 1, 0)
"""One after the other; 0 is the single process."""
BOUND = 10.0 + 3.0 + 2.0
"""Seconds: the drain of the configuration, what a worker has beyond it, and a busy machine."""
LATEST = 0.5


class Verdict(Enum):
    """What became of a request that was on its way at the signal, or came later."""

    WHOLE = "answered whole"
    TRUNCATED = "truncated"
    DROPPED = "dropped though sent before the signal"
    LOST = "dropped though a guest had run for it"
    REPEAT = "sent after the signal on a kept connection, which was closed: the client's to repeat"
    UNREAD = "sent after the signal on a new connection, which was closed unread"
    REFUSED = "no connection any more"
    WRONG = "wrong answer"


MAY_BE = frozenset({Verdict.WHOLE, Verdict.REPEAT, Verdict.UNREAD, Verdict.REFUSED})
"""Of those that are not answered nothing was done, and their clients can tell: not a byte came back.

nginx does the same: it closes idle connections, and the kernel resets what nobody has accepted by then.
"""


@dataclass(slots=True)
class Drain:
    """One start, one load, one signal."""

    workers: int
    exit_code: int | None = None
    seconds: float = 0.0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)


async def drains(folder: Path, number: int, random: Random) -> list[Drain]:
    """Starts and stops so many services, some of them at the same time."""
    found: list[Drain] = []
    numbers = iter(range(number))

    async def lane(at: int) -> None:
        operated = Operated(folder / str(at), free_port())
        try:
            for index in numbers:
                drain = await _drain(operated, WORKERS[index % len(WORKERS)], random)
                found.append(drain)
        finally:
            operated.close()

    async with asyncio.TaskGroup() as lanes:
        for at in range(min(AT_ONCE, number)):
            lanes.create_task(lane(at))
    return found


async def _drain(operated: Operated, workers: int, random: Random) -> Drain:
    drain = Drain(workers)
    deployment(1, operated.port, workers).write(operated.folder)
    await operated.start()
    visitors = Visitors(operated.port, random)
    visitors.start(CLIENTS)
    try:
        await visitors.warm()
        await asyncio.sleep(random.uniform(0, LATEST))
        signalled = perf_counter()
        operated.process.send_signal(signal.SIGTERM)
        drain.exit_code = await operated.ended(BOUND)
        drain.seconds = perf_counter() - signalled
        drain.wrongs += [f"a process is left: {each.command}" for each in operated.running()]
    finally:
        operated.kill()
        await visitors.end()
    _judge(drain, operated, visitors.asked, signalled)
    return drain


def _judge(drain: Drain, operated: Operated, asked: list[Asked], signalled: float) -> None:
    reached = {str(record["path"]) for record in operated.of("invocation_finished")}
    for each in asked:
        verdict = _verdict(each, signalled, each.question.path in reached)
        if each.ended > signalled or verdict is not Verdict.WHOLE:
            drain.verdicts[verdict] += 1
        if verdict not in MAY_BE:
            drain.wrongs.append(f"{verdict.value}: {each.wrong}, {1000 * (each.sent - signalled):.1f} ms")
    if drain.exit_code != 0:
        drain.wrongs.append(f"exit code {drain.exit_code} after {drain.seconds:.1f} s")
    if len(operated.of("service_stopped")) != 1:
        drain.wrongs.append("the log does not say that the service has stopped")
    drain.wrongs += [str(record) for record in operated.of("internal_fault") + operated.of("worker_lost")]


def _verdict(asked: Asked, signalled: float, has_run: bool) -> Verdict:  # noqa: FBT001 - seen in the log
    if asked.fate is Fate.ANSWERED:
        return Verdict.WRONG if asked.wrong else Verdict.WHOLE
    if asked.fate is Fate.TRUNCATED:
        return Verdict.TRUNCATED
    if asked.ended < signalled or asked.fate in {Fate.LATE, Fate.PENDING}:
        return Verdict.WRONG
    if asked.fate is Fate.REFUSED:
        return Verdict.REFUSED
    if has_run:
        return Verdict.LOST
    if asked.sent < signalled:
        return Verdict.DROPPED
    return Verdict.UNREAD if asked.is_first else Verdict.REPEAT


def report(found: list[Drain]) -> None:
    """Prints everything."""
    kinds = sorted({drain.workers for drain in found})
    groups = [[drain for drain in found if drain.workers == workers] for workers in kinds]
    rows: list[list[object]] = [["drains", *map(len, groups)]]
    rows.append(["exit code 0", *(sum(drain.exit_code == 0 for drain in group) for group in groups)])
    rows += [
        [verdict.value, *(sum(drain.verdicts[verdict] for drain in group) for group in groups)]
        for verdict in Verdict
    ]
    for percent, name in ((50, "p50"), (99, "p99"), (100, "most")):
        times = [[drain.seconds for drain in group] for group in groups]
        rows.append([f"seconds to the exit, {name}", *(percentile(values, percent) for values in times)])
    columns = ("requests at the signal and after", *(f"{workers} workers" for workers in kinds))
    show("SIGTERM under load", columns, rows)


def wrongs(found: list[Drain]) -> list[str]:
    """A sentence for everything that must not be."""
    return [f"{drain.workers} workers: {sentence}" for drain in found for sentence in drain.wrongs]
