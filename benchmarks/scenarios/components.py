"""What a component costs beside a core module: the same answers through wasi:http and through `env`.

Rounds and seconds come in; ratios within a round, and response times of interpreters, go out.
It must never compare what does different work: both have a fresh instance, the same answer and the same log.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.load import Request
from benchmarks.modules import ROOT, module
from benchmarks.report import Cell, Report, Table
from benchmarks.rounds import Bench, Figure, Plan, Point, Results, Spread, closed, cpu_per_request, p50, p99
from benchmarks.rounds import measure as run
from benchmarks.scenarios.echo import request as echoed
from benchmarks.subject import NAME, Application, subject

CONNECTIONS = 8
CALLS = 1000
_MIB = 1 << 20
_SAMPLES = ROOT / ".samples"
_INTERPRETED = {"javascript": "JavaScript", "python": "Python"}
_ANSWERS_AGAIN = frozenset({"python"})
"""JavaScript's runtime answers once an instance."""
_AT = "/component/"
_BODIES = 'limits = { request_body = "10MiB", response_body = "10MiB" }'
_LARGE = 'limits = { memory = "256MiB" }'
_REUSE = "reuse = 100"


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    found = {name: words for name, words in _INTERPRETED.items() if _built(name).exists()}
    ours = subject([*_applications(), *(each for name in found for each in _interpreted(name))])
    results = run(bench, Plan(contestants=(ours,), points=_points(found)))
    left_out = tuple(
        f"left out: {words}; write: scripts/samples component-{name}"
        for name, words in _INTERPRETED.items()
        if name not in found
    )
    return Report(
        name="components",
        title="Components of wasi:http",
        about="One service, one worker, a fresh instance for each request but where `reuse` is said; "
        f"{CONNECTIONS} connections from wrk, one for the response times of interpreters.",
        tables=(_ratios(results), _calls(results), _times(results, found)),
        notes=(
            "target: a hello at most 2 times (1.5), 1 MiB at most 1.5 times as through env; a call 2 us",
            *left_out,
        ),
        results=(results,),
    )


def _applications() -> list[Application]:
    return [
        Application(url_path="/", module=module("hello")),
        Application(url_path="/echo", module=module("echo"), more=_BODIES),
        Application(url_path="/component", module=module("peers_component")),
        Application(url_path=f"{_AT}...", module=module("component"), more=_BODIES),
    ]


def _interpreted(name: str) -> list[Application]:
    again = Application(url_path=f"/{name}/again", module=_built(name), more=f"{_LARGE}\n{_REUSE}")
    return [
        Application(url_path=f"/{name}", module=_built(name), more=_LARGE),
        *([again] if name in _ANSWERS_AGAIN else []),
    ]


def _built(name: str) -> Path:
    return _SAMPLES / f"component-{name}.wasm"


def _points(found: dict[str, str]) -> list[Point]:
    echo = echoed(_MIB)
    many = closed(CONNECTIONS)
    points = [
        Point(label="env", request=Request(), load=many),
        Point(label="component", request=Request(path="/component"), load=many),
        Point(label="no call", request=Request(path=f"{_AT}0"), load=many),
        Point(label="calls", request=Request(path=f"{_AT}1"), load=many),
        Point(label="env, 1 MiB", request=echo, load=many),
        Point(label="component, 1 MiB", request=replace(echo, path=f"{_AT}echo"), load=many),
    ]
    for name, words in found.items():
        request = Request(path=f"/{name}", answer=f"Hello, world, from {words}".encode())
        points.append(Point(label=words, request=request, load=closed(1)))
        if name in _ANSWERS_AGAIN:
            again = replace(request, path=f"/{name}/again")
            points.append(Point(label=f"{words}, reuse", request=again, load=closed(1)))
    return points


def _over(results: Results, above: str, below: str, figure: Figure = cpu_per_request) -> Spread | None:
    """One point over another, in the rounds that have both."""
    ours, its = results.rounds(NAME, above, figure), results.rounds(NAME, below, figure)
    return Spread.of(ours[each] / its[each] for each in ours.keys() & its.keys())


def _ratios(results: Results) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            what,
            results.spread(NAME, below, cpu_per_request),
            results.spread(NAME, above, cpu_per_request),
            _over(results, above, below),
        )
        for what, above, below in (
            ("hello", "component", "env"),
            ("1 MiB there and back", "component, 1 MiB", "env, 1 MiB"),
        )
    ]
    columns = ("what", "env, CPU us/request", "component, CPU us/request", "component/env")
    return Table(title="The same answer", columns=columns, rows=tuple(rows))


def _calls(results: Results) -> Table:
    without, with_them = (results.rounds(NAME, label, cpu_per_request) for label in ("no call", "calls"))
    each = Spread.of(
        (with_them[number] - without[number]) / CALLS for number in without.keys() & with_them.keys()
    )
    return Table(
        title="One host call",
        columns=("function", "CPU us/call"),
        rows=(("wasi:clocks/monotonic-clock now", each),),
        note=f"The difference of requests with {CALLS} calls and with none.",
    )


def _times(results: Results, found: dict[str, str]) -> Table:
    labels = [point.label for point in _points(found) if point.label.startswith(tuple(found.values()))]
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            results.spread(NAME, label, p50),
            results.spread(NAME, label, p99),
            results.spread(NAME, label, cpu_per_request),
        )
        for label in labels
    ]
    columns = ("guest", "p50 ms", "p99 ms", "CPU us/request")
    return Table(title="Interpreters, one connection", columns=columns, rows=tuple(rows))
