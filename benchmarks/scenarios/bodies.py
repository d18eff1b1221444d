"""Bodies as they grow: what an echo costs from 1 KiB to 10 MiB.

Rounds and seconds come in; CPU per request and per MiB at each size go out, against each peer.
It must never count an answer that differs: each size is compared byte for byte before it is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from benchmarks.catalogue import peers
from benchmarks.load import Request
from benchmarks.modules import module
from benchmarks.report import Cell, Curve, Lines, Report, Table
from benchmarks.rounds import (
    CONTROLS,
    Bench,
    Figure,
    Plan,
    Point,
    Results,
    Sample,
    closed,
    cpu_per_request,
    rate,
)
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME, Application, subject

PEERS = ("workerd-fresh", "deno-fresh", "node-fresh")
MIB = 1 << 20
SIZES = {
    "1 KiB": 1 << 10,
    "10 KiB": 10 << 10,
    "100 KiB": 100 << 10,
    "1 MiB": MIB,
    "3 MiB": 3 * MIB,
    "10 MiB": 10 * MIB,
}
CONNECTIONS = 4


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    ours = subject(
        [
            Application(url_path="/", module=module("hello")),
            Application(url_path="/echo", module=module("echo"), more='limits.request_body = "10MiB"'),
        ]
    )
    points = [
        Point(label=label, request=_request(size), load=closed(CONNECTIONS)) for label, size in SIZES.items()
    ]
    results = run(bench, Plan(contestants=(ours, *peers(*PEERS)), points=points))
    names = list(
        dict.fromkeys(each.contestant for each in results.samples if each.contestant not in CONTROLS)
    )
    return Report(
        name="bodies",
        title="Bodies as they grow",
        about=f"POST of random bytes on {CONNECTIONS} connections from wrk; the guest copies the body once.",
        tables=(_table(results, names),),
        charts=(
            _lines(results, names, "request", "CPU per request, us", lambda _: cpu_per_request),
            _lines(results, names, "mib", "CPU per MiB, ms", _per_mib),
        ),
        notes=("target: no worse than linear: CPU per MiB at 10 MiB at most that at 1 MiB and a tenth",),
        results=(results,),
    )


def _request(size: int) -> Request:
    body = Random(size).randbytes(size)  # noqa: S311 - the same in every run, and no secret
    return Request(path="/echo", method="POST", body=body, answer=body)


def _per_mib(size: int) -> Figure:
    def figure(sample: Sample) -> float | None:
        return sample.cpu_per_request * MIB / size / 1000

    return figure


def _table(results: Results, names: list[str]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            name,
            results.spread(name, label, cpu_per_request),
            results.spread(name, label, _per_mib(size)),
            results.spread(name, label, rate),
            results.ratio(NAME, name, label, cpu_per_request),
        )
        for label, size in SIZES.items()
        for name in names
    ]
    columns = ("body", "contestant", "CPU us/request", "CPU ms/MiB", "requests/s", "ours/its CPU")
    return Table(title="Bodies there and back", columns=columns, rows=tuple(rows))


def _lines(results: Results, names: list[str], kind: str, up: str, figure: Callable[[int], Figure]) -> Lines:
    curves = []
    for name in names:
        found = [(size / 1024, results.spread(name, label, figure(size))) for label, size in SIZES.items()]
        if points := tuple((across, spread.median) for across, spread in found if spread):
            curves.append(Curve(label=name, points=points))
    return Lines(
        name=f"bodies-{kind}",
        title=f"Echo: {up.partition(',')[0]}",
        across="KiB of body",
        up=up,
        curves=tuple(curves),
        logarithmic=True,
    )
