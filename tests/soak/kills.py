"""A worker is killed under load: only what it was answering may fail; soon there is another (THREATS S24).

How many and a seed come in; what failed, what might, and how long it took to be whole goes out.
It must never excuse a failure by more than the connections that the kernel says the worker had.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter

from soak.figures import percentile, show
from soak.operated import Operated, free_port, kill, until
from soak.versions import deployment
from soak.visitors import Asked, Fate, Visitors

CLIENTS = 8
EACH = 2
"""Kills of one start: the program takes its time with more of them."""
WORKERS = (2, 1)
GOAL_MS = 500.0
SETTLED = 0.5
"""Seconds that a process does nothing when it has begun."""
_ESTABLISHED = "01"
_READY = 120.0


@dataclass(slots=True)
class Kill:
    """One worker less."""

    workers: int
    held: int = 0
    """Requests that were on their way on connections of the worker, or of nobody yet."""
    failed: int = 0
    repeats: int = 0
    """Sent to the dead worker after the kill: unanswered, and the client's to repeat."""
    wrongs: list[str] = field(default_factory=list)
    replaced_ms: float = float("nan")
    """As the log says."""
    answer_ms: float = float("nan")
    """Until the first good answer on a connection that was begun after the kill."""


async def kills(folder: Path, number: int, random: Random) -> list[Kill]:
    """Kills so many workers, two of each start."""
    found: list[Kill] = []
    operated = Operated(folder, free_port())
    try:
        for at in range(0, number, EACH):
            workers = WORKERS[at // EACH % len(WORKERS)]
            found += await _of_one_start(operated, workers, min(EACH, number - at), random)
    finally:
        operated.close()
    return found


async def _of_one_start(operated: Operated, workers: int, number: int, random: Random) -> list[Kill]:
    deployment(1, operated.port, workers).write(operated.folder)
    await operated.start()
    visitors = Visitors(operated.port, random)
    visitors.start(CLIENTS)
    try:
        await visitors.warm()
        return [await _kill(operated, visitors, workers) for _ in range(number)]
    finally:
        await visitors.end()
        operated.kill()


async def _kill(operated: Operated, visitors: Visitors, workers: int) -> Kill:
    await _reserve(operated, workers)
    await asyncio.sleep(visitors.random.uniform(0, 0.3))
    victim = visitors.random.choice(await operated.serving())
    done, replaced = len(visitors.asked), len(operated.of("worker_replaced"))
    others = _clients_of_others(operated, victim)  # nothing of ours runs between this and the kill
    pending = visitors.pending()
    kill(victim)
    killed = perf_counter()
    found = Kill(workers, held=sum(asked.port not in others for asked in pending))
    found.answer_ms = await _answered(visitors, killed)
    await until(lambda: len(operated.of("worker_replaced")) > replaced, _READY)
    if records := operated.of("worker_replaced")[replaced:]:
        found.replaced_ms = records[0]["wall_ms"]
    else:
        found.wrongs.append("no other worker came")
    await _over(pending)
    _judge(found, [*pending, *visitors.asked[done:]], pending, others)
    return found


def _judge(found: Kill, asked: list[Asked], pending: list[Asked], others: frozenset[int]) -> None:
    mortal = {each for each in pending if each.port not in others}
    for each in dict.fromkeys(asked):
        if each.fate in {Fate.DROPPED, Fate.TRUNCATED} and each in mortal:
            found.failed += 1
        elif each.fate is Fate.DROPPED and not each.is_first and each.port not in others:
            found.repeats += 1
        elif each.fate is not Fate.PENDING and (each.fate is not Fate.ANSWERED or each.wrong):
            found.wrongs.append(f"{each.fate.value}: {each.wrong}")


async def _reserve(operated: Operated, workers: int) -> None:
    """Waits until the process in reserve is there, and has begun."""
    used: dict[int, float] = {}
    since = perf_counter()
    end = since + _READY
    while perf_counter() < end:
        now = {pid: _ticks(pid) for pid in operated.workers()}
        newest = max(now, default=0)
        if len(now) != workers + 1 or used.get(newest) != now[newest]:
            since = perf_counter()
        elif perf_counter() - since > SETTLED:
            return
        used = now
        await asyncio.sleep(0.05)
    raise AssertionError("there is no process in reserve")


def _ticks(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return int(fields[11]) // 10 + int(fields[12]) // 10  # a heartbeat is no work


def _clients_of_others(operated: Operated, victim: int) -> frozenset[int]:
    """The ports of clients whose connections belong to workers that live on."""
    sockets = {inode for pid in operated.workers() if pid != victim for inode in _sockets(pid)}
    return frozenset(client for client, inode in _connections(operated.port) if inode in sockets)


def _sockets(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):  # noqa: PTH208 - names only
        try:
            link = os.readlink(f"{folder}/{name}")  # noqa: PTH115 - it is no path
        except OSError:
            continue
        if link.startswith("socket:["):
            yield link[8:-1]


def _connections(port: int) -> Iterator[tuple[int, str]]:
    """The client's port and the service's socket of each connection; "0" as long as nobody has it."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_rest = line.split()
        if state == _ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
            yield int(remote.rpartition(":")[2], 16), _rest[5]


async def _answered(visitors: Visitors, killed: float) -> float:
    """Milliseconds from the kill to the first good answer on a connection begun after it."""
    seen: list[Asked] = []

    def is_there() -> bool:
        seen[:] = [
            asked
            for asked in visitors.asked[-500:]
            if asked.is_first and asked.began > killed and asked.fate is Fate.ANSWERED and not asked.wrong
        ]
        return bool(seen)

    await until(is_there, _READY)
    return 1000 * (min(asked.ended for asked in seen) - killed) if seen else float("inf")


async def _over(pending: list[Asked]) -> None:
    await until(lambda: all(asked.fate is not Fate.PENDING for asked in pending), _READY)


def report(found: list[Kill]) -> None:
    """Prints everything."""
    columns = (
        "workers", "kills", "in flight there", "failed", "to repeat", "failed elsewhere",
        "replaced p50 ms", "p99", "most", "first answer p50 ms", "p99", "most", f"within {GOAL_MS:.0f} ms",
    )  # fmt: skip
    rows = []
    for workers in sorted({each.workers for each in found}):
        some = [each for each in found if each.workers == workers]
        replaced, answers = [each.replaced_ms for each in some], [each.answer_ms for each in some]
        times = [percentile(values, percent) for values in (replaced, answers) for percent in (50, 99, 100)]
        counts = [
            sum(numbers)
            for numbers in zip(*((each.held, each.failed, each.repeats) for each in some), strict=True)
        ]
        elsewhere = sum(len(each.wrongs) for each in some)
        quick = sum(max(each.replaced_ms, each.answer_ms) <= GOAL_MS for each in some)
        rows.append((workers, len(some), *counts, elsewhere, *times, f"{quick} of {len(some)}"))
    show("kill -9 of a worker under load", columns, rows)


def wrongs(found: list[Kill]) -> list[str]:
    """A sentence for everything that must not be."""
    sentences = [f"{each.workers} workers: {sentence}" for each in found for sentence in each.wrongs]
    return sentences + [
        f"{each.failed} requests failed, {each.held} were in flight"
        for each in found
        if each.failed > each.held
    ]
