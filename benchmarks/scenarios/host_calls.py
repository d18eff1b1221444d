"""What a guest's call to its host costs: requests that make 0 to 1,000 of them, and the line through those.

Rounds and seconds come in; microseconds for a request without calls, and for each call, go out.
It must never take a call's price from one amount of calls: the rest of the request is in that, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.crafted import GREETING, calling
from benchmarks.fit import Line, line
from benchmarks.load import Request
from benchmarks.modules import module
from benchmarks.report import Bars, Cell, Curve, Lines, Report, Table
from benchmarks.rounds import Bench, Plan, Point, Results, Spread, closed, cpu_per_request
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME, Application, subject

CALLS = (0, 1, 10, 100, 1000)
CONNECTIONS = 4
"""Few: 1,000 calls take some peers 40 ms, and what is open at the end is paid for but not counted."""
TARGET = 1.5
NAIVE = "naive-wasmtimepy"
_Part = Callable[[Line], float]


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    ours = subject(
        [
            Application(
                url_path="/calls/:n", module=module("calls"), more='env = { greeting = "Hello, world!\\n" }'
            ),
        ]
    )
    results = run(bench, Plan(contestants=(ours, *calling()), points=_points()))
    names = list(dict.fromkeys(each.contestant for each in results.samples if each.point in _labels()))
    lines = {name: fitted(results, name) for name in names}
    return Report(
        name="host_calls",
        title="Calls from the guest to its host",
        about="A fresh guest asks the host n times for the value of a variable, 14 bytes that are written "
        f"into its memory; {CONNECTIONS} connections from wrk. A line is fitted in each round.",
        tables=(_prices(lines), _requests(results, names)),
        charts=(_curves(results, names), _bars(lines)),
        notes=(
            f"target: {TARGET} us a call, and a tenth of {NAIVE}",
            "fit: least squares of the relative distances; `off` is the worst point's distance from it",
            "extism gives its answer in memory of its own, from which its guest copies it",
        ),
        results=(results,),
    )


def fitted(results: Results, name: str) -> dict[int, Line]:
    """The line through a contestant's points, for each round that has them all."""
    found: dict[int, list[tuple[float, float]]] = {}
    for sample in results.samples:
        if sample.contestant == name and sample.point in _labels():
            point = (float(sample.point), sample.cpu_per_request)
            found.setdefault(sample.round, []).append(point)
    return {number: line(points) for number, points in found.items() if len(points) == len(CALLS)}


def _labels() -> Sequence[str]:
    return [str(calls) for calls in CALLS]


def _points() -> list[Point]:
    return [
        Point(
            label=str(calls),
            request=Request(path=f"/calls/{calls}", answer=b"%d\n" % (calls * len(GREETING))),
            load=closed(CONNECTIONS),
        )
        for calls in CALLS
    ]


def _over(lines: dict[str, dict[int, Line]], name: str, part: _Part) -> Spread | None:
    """Ours over its, in the rounds that have both."""
    ours, its = lines.get(NAME, {}), lines[name]
    return Spread.of(part(ours[each]) / part(its[each]) for each in ours.keys() & its.keys())


def _prices(lines: dict[str, dict[int, Line]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, found in lines.items():
        each = Spread.of(one.slope for one in found.values())
        start = Spread.of(one.intercept for one in found.values())
        worst = Spread.of(one.worst for one in found.values())
        rows.append((name, start, each, worst, _over(lines, name, _slope), _over(lines, name, _intercept)))
    columns = ("contestant", "us/request", "us/call", "off", "ours/its call", "ours/its request")
    return Table(title="What a call costs, CPU", columns=columns, rows=tuple(rows))


def _slope(one: Line) -> float:
    return one.slope


def _intercept(one: Line) -> float:
    return one.intercept


def _requests(results: Results, names: Sequence[str]) -> Table:
    return Table(
        title="CPU us/request by calls",
        columns=("contestant", *_labels()),
        rows=tuple(
            (name, *(results.spread(name, label, cpu_per_request) for label in _labels())) for name in names
        ),
    )


def _curves(results: Results, names: Sequence[str]) -> Lines:
    curves = []
    for name in names:
        found = [(calls, results.spread(name, str(calls), cpu_per_request)) for calls in CALLS]
        curves.append(
            Curve(
                label=name, points=tuple((float(calls), spread.median) for calls, spread in found if spread)
            )
        )
    return Lines(
        name="host-calls",
        title="CPU of a request by its host calls",
        across="host calls a request",
        up="us/request",
        curves=tuple(curves),
        logarithmic=True,
    )


def _bars(lines: dict[str, dict[int, Line]]) -> Bars:
    found = [(name, Spread.of(one.slope for one in each.values())) for name, each in lines.items()]
    return Bars(
        name="host-call",
        title="CPU of one host call",
        unit="us/call",
        bars=tuple((name, spread) for name, spread in found if spread),
    )
