"""Tails: how long the slowest requests take when they come at a fixed rate, whoever is still waiting.

Rounds and seconds come in; p50 to the longest at 1,000 a second and at half the capacity go out.
It must never let a server that stalls ask for fewer requests: the load is open, and what it hides is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.catalogue import peers
from benchmarks.contestants import Contestant, NotStarted, Running
from benchmarks.load import Load, Request, h2load, wrk
from benchmarks.modules import module
from benchmarks.report import Report, Table
from benchmarks.rounds import (
    PACED_HELLO,
    SUBJECT,
    Bench,
    Plan,
    Point,
    Results,
    Sample,
    longest,
    p50,
    p99,
    p999,
)
from benchmarks.rounds import measure as run
from benchmarks.subject import Application, subject
from benchmarks.tables import ranked

PEERS = ("floor-fresh", "granian-rsgi", "workerd-fresh", "deno-fresh", "naive-wasmtimepy")
STEADY = 1000.0
STRETCH = 3.75
"""A p99.9 asks for 10,000 samples: at 1,000 a second, 30 seconds where others take 8."""
FIGURES = (("p50 ms", p50), ("p99 ms", p99), ("p99.9 ms", p999), ("longest ms", longest))


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    contestants = (subject([Application(url_path="/", module=module("hello"))]), *peers(*PEERS))
    half = _capacity(bench, contestants) / 2
    rates = (STEADY, half) if half > 1.2 * STEADY else (STEADY,)
    points = tuple(
        Point(label=f"{rate:,.0f} requests a second", request=PACED_HELLO, load=_open(rate, bench.seconds))
        for rate in rates
    )
    results = run(bench, Plan(contestants=contestants, points=points))
    return Report(
        name="tail",
        title="Tails at a fixed rate",
        about="GET / at a fixed rate, sent whether earlier answers have come or not; the second rate is half "
        "of what the slowest of these can do. What a waiting connection sends too late has waited, too.",
        tables=tuple(_table(results, point.label, contestants) for point in points),
        results=(results,),
    )


def _open(rate: float, measured: float) -> Callable[[Running, Request, float], Load]:
    """The warm-up is as long as anywhere; what is measured is longer."""

    def load(running: Running, request: Request, seconds: float) -> Load:
        stretched = seconds * STRETCH if seconds >= measured else seconds
        return h2load(running.port, request, rate=rate, seconds=stretched)

    return load


def _capacity(bench: Bench, contestants: Sequence[Contestant]) -> float:
    """Requests a second of the slowest that starts; the measurement itself tells who does not."""
    rates = []
    for contestant in contestants:
        bench.tell(f"capacity: {contestant.name}")
        try:
            with Running(contestant) as running:
                wrk(running.port, Request(), connections=32, seconds=bench.warm_up)
                rates.append(wrk(running.port, Request(), connections=32, seconds=bench.warm_up).rate)
        except NotStarted as error:
            bench.tell(f"{contestant.name}: {error}")
    return min(rates, default=0.0)


def _table(results: Results, point: str, contestants: Sequence[Contestant]) -> Table:
    rows = ranked(results, point, contestants, _order)
    return Table(
        title=point,
        columns=("server", "instance", *(heading for heading, _ in FIGURES), "p99: ours / theirs"),
        rows=tuple(
            (
                each.name,
                each.isolation,
                *(results.spread(each.name, point, figure) for _, figure in FIGURES),
                None if each.name == SUBJECT else results.ratio(SUBJECT, each.name, point, p99),
            )
            for each, _ in rows
        ),
        note="Median of the rounds (least-greatest).",
    )


def _order(sample: Sample) -> float | None:
    return sample.load.p99 if sample.load.p99 is not None else sample.load.longest
