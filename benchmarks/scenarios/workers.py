"""Two workers beside one: what the second processor brings.

Rounds and seconds come in; the ratio of requests a second, and of CPU per request, go out.
It must never pin anything: the scheduler places workers and load as it would in service.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.contestants import Contestant, Running
from benchmarks.load import Load, Request, wrk
from benchmarks.modules import module
from benchmarks.report import Cell, Report, Table
from benchmarks.rounds import Bench, Plan, Point, Results, Sample, Spread, cpu_per_request, rate
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME, Application, subject
from benchmarks.xorshift import state

TARGET = 1.8
ONE, TWO = f"{NAME}-1", f"{NAME}-2"
HELLO = "hello"
WORKS = (30_000, 300_000)
"""Rounds of guests that compute: the more there is to do, the less of a core the load generator takes."""
CONNECTIONS = 64


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    contestants = (_subject(ONE, 1), _subject(TWO, 2))
    everywhere = f"0-{(os.cpu_count() or 1) - 1}"
    results = run(bench, Plan(contestants=contestants, points=_points(), cores=everywhere))
    return Report(
        name="workers",
        title="Two workers beside one",
        about=f"{CONNECTIONS} connections from wrk, nothing pinned. The load generator needs a processor, "
        "too: `if it had its own` is twice the CPU per request of one worker over that of two.",
        tables=(_scaling(results), _absolute(results)),
        notes=(f"target: two workers give at least {TARGET} times the requests of one",),
        results=(results,),
    )


def _subject(name: str, workers: int) -> Contestant:
    applications = [
        Application(url_path="/", module=module("hello")),
        Application(url_path="/work/:n", module=module("work")),
    ]
    return subject(applications, name=name, workers=workers)


def _points() -> list[Point]:
    hello = Point(label=HELLO, request=Request(), load=_unpinned)
    works = [
        Point(
            label=_label(rounds),
            request=Request(path=f"/work/{rounds}", answer=b"%d\n" % state(rounds)),
            load=_unpinned,
        )
        for rounds in WORKS
    ]
    return [hello, *works]


def _label(rounds: int) -> str:
    return f"{rounds:,} rounds"


@contextmanager
def _everywhere() -> Iterator[None]:
    """On every processor, and so whatever is started meanwhile; back where it was afterwards."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _unpinned(running: Running, request: Request, seconds: float) -> Load:
    with _everywhere():
        return wrk(running.port, request, connections=CONNECTIONS, seconds=seconds)


def _scaling(results: Results) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for label in (HELLO, *map(_label, WORKS)):
        cpu = results.ratio(ONE, TWO, label, cpu_per_request)
        rows.append((label, results.ratio(TWO, ONE, label, rate), _twice(cpu)))
    columns = ("request", "two/one requests a second", "if it had its own")
    return Table(title="Two workers over one", columns=columns, rows=tuple(rows))


def _twice(ratio: Spread | None) -> Spread | None:
    return ratio and Spread(median=2 * ratio.median, low=2 * ratio.low, high=2 * ratio.high)


def _absolute(results: Results) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            name,
            results.spread(name, label, rate),
            results.spread(name, label, cpu_per_request),
            results.spread(name, label, _memory),
        )
        for label in (HELLO, *map(_label, WORKS))
        for name in (ONE, TWO)
    ]
    columns = ("request", "contestant", "requests/s", "CPU us/request", "PSS MiB")
    return Table(title="Absolute figures", columns=columns, rows=tuple(rows))


def _memory(sample: Sample) -> float:
    return sample.memory.pss / 1024
