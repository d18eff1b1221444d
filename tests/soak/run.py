"""The soak (THREATS S2-S6): sixteen hostile applications beside four good ones, for as long as told.

Minutes come in; a table of what was measured goes out, and whether everything was right.
It must never call a run good in which one answer was wrong, the service died, or something was left.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import uvloop

from held import Held
from net.backends import backend
from soak.figures import percentile, show
from soak.guests import ABOUT, DEADLINE_MS, GOOD, HOSTILE, modules, tables
from soak.load import Pool, Tally, at_pace, good, hostile, one_by_one
from soak.served import Served

GOOD_RATE = 50 / len(GOOD)
HOSTILE_PAUSE = 0.1
WARM_SHARE = 0.1
IDLE_SHARE = 0.15
SAMPLES = 10
REST = 5.0
SETTLE = 2.0
"""Seconds for the worker in reserve to wake up."""


@dataclass(slots=True)
class Findings:
    """All that one run has measured."""

    idle: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    beside: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    held: tuple[Held, Held] = (Held(0, 0), Held(0, 0))
    resident: list[int] = field(default_factory=list)
    """Bytes after the warm-up, at even moments of the run, and after the rest."""
    alive: bool = False
    exit_code: int = -1
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wrongs(self) -> list[str]:
        """A sentence for everything that must not be."""
        sentences = [
            f"{name}: {tally.wrong} of {tally.requests} answers are wrong, the first: {tally.what}"
            for phase in (self.idle, self.beside)
            for name, tally in phase.items()
            if tally.wrong
        ]
        started = sum(record["event"] == "service_started" for record in self.records)
        if not self.alive or self.exit_code != 0 or started != 1:
            sentences.append(f"the service died, or did not end well: exit code {self.exit_code}")
        if self.held[0] != self.held[1]:
            sentences.append(f"something was left: {self.held[1]}, not {self.held[0]}")
        if any("canary" in str(record) for record in self.records):
            sentences.append("a secret is in the log")
        sentences += [
            f"{record['event']}: {record}"
            for record in self.records
            if record["event"] in {"internal_fault", "records_lost", "application_broken", "worker_lost"}
        ][:5]
        return sentences


async def soak(folder: Path, seconds: float, seed: int) -> Findings:
    """Serves and asks for so many seconds, most of them beside the hostile ones."""
    findings, random = Findings(), Random(seed)  # noqa: S311 - a seed that can be told again
    async with _backends() as backends:
        with Served(folder, modules(), tables(backends)) as served:
            await asyncio.sleep(SETTLE)
            before = served.held
            await _phase(served, max(1.0, seconds * WARM_SHARE), random, defaultdict(Tally), HOSTILE)
            await asyncio.sleep(min(REST, seconds / 10))
            findings.resident.append(served.resident)
            await _phase(served, max(2.0, seconds * IDLE_SHARE), random, findings.idle)
            for _ in range(SAMPLES):
                part = seconds * (1 - WARM_SHARE - IDLE_SHARE) / SAMPLES
                await _phase(served, part, random, findings.beside, HOSTILE)
                findings.resident.append(served.resident)
            await _rest(served, before)
            findings.resident.append(served.resident)
            findings.held, findings.alive = (before, served.held), served.alive
            findings.exit_code = await asyncio.to_thread(served.end)
            findings.records = served.records()
    return findings


async def _phase(
    served: Served, seconds: float, random: Random, tallies: dict[str, Tally], beside: Iterable[str] = ()
) -> None:
    """The good ones, and hostile ones beside them, for some seconds."""
    pool, hostiles = Pool(served.port), Pool(served.port)
    end = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.TaskGroup() as tasks:
            for name in GOOD:
                ask = partial(_asked, pool, name, random, tallies[name])
                tasks.create_task(at_pace(ask, GOOD_RATE, end))
            for name in beside:
                attack = partial(hostile, hostiles, name, tallies[name], random)
                tasks.create_task(one_by_one(attack, HOSTILE_PAUSE, end))
    finally:
        pool.close()
        hostiles.close()


async def _asked(pool: Pool, name: str, random: Random, tally: Tally) -> None:
    await good(pool, name, GOOD[name], GOOD[name].question(random), tally)


async def _rest(served: Served, before: Held) -> None:
    """Leaves the service alone, for twice as long when it has not let go of everything by then."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(REST)
    while served.held != before and loop.time() < began + 2 * REST:  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _backends() -> AsyncIterator[dict[str, str]]:
    """What the guests connect to: one that never answers, under each name it is asked for, and a store."""

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass

    async def store(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(b"+value of " + line.removeprefix(b"GET ").strip())

    async with backend(silent) as silence, backend(store) as values:
        yield {"backend": f"127.0.0.1:{silence}", "store": f"127.0.0.1:{values}"}


def late(findings: Findings) -> list[float]:
    """Milliseconds that each guest ran beyond its deadline."""
    return [
        record["wall_ms"] - DEADLINE_MS
        for record in findings.records
        if record["event"] == "invocation_finished"
        and record["outcome"] == "deadline"
        and f'"{DEADLINE_MS}ms"' in HOSTILE.get(record["application"], "")
    ]


def report(findings: Findings) -> None:
    """Prints everything."""
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for record in findings.records:
        if record["event"] == "invocation_finished":
            outcomes[record["application"]][record["outcome"]] += 1
    rows = []
    for name, tally in sorted(findings.beside.items()):
        ended = ", ".join(f"{outcome} {count}" for outcome, count in outcomes[name].most_common())
        times = [percentile(tally.milliseconds, percent) for percent in (50, 99)]
        idle = percentile(findings.idle[name].milliseconds, 99) if name in findings.idle else None
        ratio = [idle, times[1] / idle] if idle else ["", ""]
        rows.append((ABOUT.get(name, name), tally.requests, ended, tally.wrong, *times, *ratio))
    columns = ("application", "requests", "outcomes", "wrong", "p50 ms", "p99 ms", "idle p99 ms", "ratio")
    show("Applications", columns, rows)
    (before, after), latenesses = findings.held, late(findings)
    resident = [size / 2**20 for size in findings.resident]
    lateness = [f"{percentile(latenesses, percent):.1f}" for percent in (50, 99, 100)]
    service = [
        ("restarts", sum(record["event"] == "worker_lost" for record in findings.records)),
        ("MiB resident: after the warm-up, ten moments, the rest", " ".join(f"{m:.1f}" for m in resident)),
        ("growth from the warm-up to the rest", f"{100 * (resident[-1] / resident[0] - 1):.1f} %"),
        ("descriptors before, after", f"{before.descriptors}, {after.descriptors}"),
        ("threads before, after", f"{before.threads}, {after.threads}"),
        ("good p99 beside, over idle", f"{_p99(findings.beside) / _p99(findings.idle):.2f}"),
        (f"late for a deadline of {DEADLINE_MS} ms: p50, p99, most", f"{', '.join(lateness)} ms"),
        ("records in the log", len(findings.records)),
    ]
    show("Service", ("measure", "value"), service)


def _p99(tallies: dict[str, Tally]) -> float:
    return percentile([value for name in GOOD for value in tallies[name].milliseconds], 99)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    given = parser.parse_args()
    print(f"seed {given.seed}, began {time.strftime('%H:%M:%S')}")  # noqa: T201 - a command
    with tempfile.TemporaryDirectory() as folder:
        findings = uvloop.run(soak(Path(folder), 60 * given.minutes, given.seed))
    report(findings)
    for sentence in findings.wrongs:
        print(sentence[:2000], file=sys.stderr)  # noqa: T201
    return 1 if findings.wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
