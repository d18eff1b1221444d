"""Reloads under load, every second one broken: nobody may notice but by a newer answer (THREATS O7, S23).

How many and a seed come in; what every request and every reload said goes out.
It must never call an answer right of which a part is from another version.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter

from serverless_wasm.processes.control import Answer
from soak.figures import percentile, show
from soak.operated import Operated, free_port
from soak.versions import MISTAKES, Mistake, broken, deployment
from soak.visitors import Asked, Fate, Visitors, beside

CLIENTS = 8
BY_COMMAND, BY_SIGNAL = 7, 5
"""Every seventh reload is the command's, every fifth SIGHUP's; the others speak to the service directly."""
PAUSE = (0.0, 0.1)


@dataclass(slots=True)
class Findings:
    """All that a run has measured."""

    workers: int
    asked: list[Asked] = field(default_factory=list)
    closed_idle: int = 0
    taken: list[float] = field(default_factory=list)
    """Milliseconds of each reload that was taken, ..."""
    refused: dict[str, list[float]] = field(default_factory=dict)
    """... and of each that was refused, by its mistake."""
    wrongs: list[str] = field(default_factory=list)


async def reloads(folder: Path, number: int, random: Random, workers: int = 2) -> Findings:
    """Serves version 0, and reloads so many times while clients ask."""
    findings = Findings(workers)
    operated = Operated(folder, free_port())
    try:
        deployment(0, operated.port, workers).write(operated.folder)
        await operated.start()
        visitors = Visitors(operated.port, random)
        await beside(visitors, CLIENTS, _all(operated, visitors, number, findings))
        findings.asked, findings.closed_idle = visitors.asked, visitors.closed_idle
        faults = [str(record) for record in operated.of("internal_fault") + operated.of("worker_lost")]
        findings.wrongs += faults[:3]
        findings.wrongs += _of_requests(findings)
    finally:
        operated.close()
    return findings


async def _all(operated: Operated, visitors: Visitors, number: int, findings: Findings) -> None:
    order = list(MISTAKES)
    for version in range(1, number + 1):
        if version % 2:
            await _good(operated, visitors, version, findings)
        else:
            mistake = order[version // 2 % len(order)]
            await _bad(operated, version, mistake, findings)
        await asyncio.sleep(visitors.random.uniform(*PAUSE))


async def _good(operated: Operated, visitors: Visitors, version: int, findings: Findings) -> None:
    deployment(version, operated.port, findings.workers).write(operated.folder)
    began = perf_counter()
    answer = await _reload(operated, version)
    findings.taken.append(1000 * (perf_counter() - began))
    if answer.ok:
        visitors.confirmed = version
    else:
        findings.wrongs.append(f"version {version} was not taken: {answer}")


async def _bad(operated: Operated, version: int, mistake: Mistake, findings: Findings) -> None:
    broken(version, operated.port, mistake, findings.workers).write(operated.folder)
    began = perf_counter()
    answer = await _reload(operated, version)
    findings.refused.setdefault(mistake.name, []).append(1000 * (perf_counter() - began))
    said = " ".join((answer.message, *answer.details))
    if answer.ok or mistake.reason not in said:
        findings.wrongs.append(f"{mistake.name}, version {version}: {answer}")


async def _reload(operated: Operated, version: int) -> Answer:
    if version % BY_COMMAND == 0:
        return await operated.reload_by_command()
    if version % BY_SIGNAL == 0:
        return await operated.reload_by_signal()
    return await operated.reload()


def _of_requests(findings: Findings) -> list[str]:
    """A sentence for everything a client must not have seen."""
    wrongs = [f"{asked.fate.value}: {asked.wrong}" for asked in findings.asked if _is_wrong(asked)]
    if findings.closed_idle:
        wrongs.append(f"{findings.closed_idle} connections were closed between two requests")
    return wrongs


def _is_wrong(asked: Asked) -> bool:
    even = asked.version % 2 == 0 and asked.version > 0  # the even ones are broken
    return asked.fate is not Fate.ANSWERED or bool(asked.wrong) or even


def report(findings: Findings) -> None:
    """Prints everything."""
    asked, times = findings.asked, [each.milliseconds for each in findings.asked]
    refusals = [time for all_times in findings.refused.values() for time in all_times]
    fates = Counter(each.fate.value for each in asked)
    rows = [
        ("workers", findings.workers),
        ("requests", len(asked)),
        ("of them on a new connection", sum(each.is_first for each in asked)),
        ("fates", ", ".join(f"{fate} {count}" for fate, count in fates.items())),
        ("versions seen", len({each.version for each in asked})),
        ("wrong answers", sum(map(_is_wrong, asked))),
        ("connections closed between requests", findings.closed_idle),
        ("request p50, p99, most, ms", _line(times)),
        ("reloads taken", len(findings.taken)),
        ("p50, p99, most, ms", _line(findings.taken)),
        ("reloads refused", len(refusals)),
        ("p50, p99, most, ms", _line(refusals)),
    ]
    show("Reloads under load", ("measure", "value"), rows)
    kinds = [(name, len(each), percentile(each, 50), max(each)) for name, each in findings.refused.items()]
    show("What was refused", ("mistake", "times", "p50 ms", "most"), kinds)


def _line(values: list[float]) -> str:
    return ", ".join(f"{percentile(values, percent):.1f}" for percent in (50, 99, 100))
