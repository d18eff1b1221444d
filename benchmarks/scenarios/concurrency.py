"""Hello as callers become more: what a request costs at 1 to 1,000 connections.

Rounds and seconds come in; CPU per request, requests a second and tails at each number of connections go out.
It must never leave the crowd's end out: a curve that is flat at 64 may not be at 1,000.
"""

from __future__ import annotations

from benchmarks.beside import descriptors
from benchmarks.catalogue import peers
from benchmarks.load import Request
from benchmarks.modules import module
from benchmarks.report import Cell, Curve, Lines, Report, Table
from benchmarks.rounds import Bench, Figure, Plan, Point, Results, closed, cpu_per_request, p50, p99, rate
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME, Application, subject

PEERS = ("workerd-fresh", "granian-rsgi", "floor-fresh")
CONNECTIONS = (1, 4, 16, 64, 256, 1000)


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    descriptors()
    ours = subject([Application(url_path="/", module=module("hello"))])
    contestants = (ours, *peers(*PEERS))
    points = [Point(label=_label(number), request=Request(), load=closed(number)) for number in CONNECTIONS]
    results = run(bench, Plan(contestants=contestants, points=points))
    names = list(dict.fromkeys(sample.contestant for sample in results.samples))
    return Report(
        name="concurrency",
        title="Hello as callers become more",
        about="GET of a constant on 1 to 1,000 connections that are kept, from wrk.",
        tables=(_table(results, names),),
        charts=(
            _lines(results, names, "cpu", "CPU per request, us", cpu_per_request),
            _lines(results, names, "p99", "99th percentile, ms", p99),
        ),
        notes=("target: CPU per request flat from 16 connections on; p99 no worse than linear",),
        results=(results,),
    )


def _label(connections: int) -> str:
    return f"c={connections}"


def _table(results: Results, names: list[str]) -> Table:
    figures: tuple[Figure, ...] = (cpu_per_request, rate, p50, p99)
    rows: list[tuple[Cell, ...]] = [
        (
            number,
            name,
            *(results.spread(name, _label(number), figure) for figure in figures),
            results.ratio(NAME, name, _label(number), cpu_per_request),
        )
        for number in CONNECTIONS
        for name in names
    ]
    columns = (
        "connections",
        "contestant",
        "CPU us/request",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "ours/its CPU",
    )
    return Table(title="Hello at so many connections", columns=columns, rows=tuple(rows))


def _lines(results: Results, names: list[str], kind: str, up: str, figure: Figure) -> Lines:
    curves = []
    for name in names:
        found = [(number, results.spread(name, _label(number), figure)) for number in CONNECTIONS]
        points = tuple((float(number), spread.median) for number, spread in found if spread)
        if points:
            curves.append(Curve(label=name, points=points))
    return Lines(
        name=f"concurrency-{kind}",
        title=f"Hello: {up.partition(',')[0]}",
        across="connections",
        up=up,
        curves=tuple(curves),
        logarithmic=kind == "p99",
    )
