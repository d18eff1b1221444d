"""Many applications: what each more costs at the start, in memory and in each request.

Rounds and seconds come in; a curve over 1 to 10,000 applications goes out, and workerd's figures beside it.
It must never start from an empty cache: what is measured is a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks import many
from benchmarks.contestants import Contestant, NotStarted, Running
from benchmarks.load import Load
from benchmarks.machine import Memory
from benchmarks.report import Cell, Curve, Lines, Report, Table
from benchmarks.rounds import (
    TRIES,
    Bench,
    Plan,
    Results,
    Sample,
    Spread,
    cpu_per_request,
    observe,
    order,
    p50,
    p99,
    void,
)
from benchmarks.rounds import measure as run
from benchmarks.spread import spread, touched
from benchmarks.subject import NAME

SIZES = (1, 10, 100, 1000, 10_000)
WORKERD_SIZES = (1, 1000)
CONNECTIONS = 32
_POINT = "spread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A contestant with so many applications."""

    kind: str
    applications: int
    contestant: Contestant


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What one start has shown."""

    name: str
    round: int
    seconds: float
    """To the first good answer."""
    memory: Memory
    """Before the second answer."""
    first: Load
    """Each application asked for the first time."""
    again: Load
    """The same once more."""


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    servers = _ready(bench)
    starts: list[Start] = []
    samples: list[Sample] = []
    named = {server.contestant.name: server for server in servers}
    for number in range(bench.rounds):
        for contestant in order([server.contestant for server in servers], number):
            bench.tell(f"applications: round {number + 1}/{bench.rounds}: {contestant.name}")
            start, sample = _turn(bench, named[contestant.name], number)
            starts.append(start)
            samples.append(sample)
        samples += run(replace(bench, rounds=1), Plan(contestants=(), points=())).samples
    results = Results(samples=tuple(samples), void=void(samples) or _wrong(starts))
    return Report(
        name="applications",
        title="Many applications",
        about="Each application has a module of its own and answers a constant. Started from a warm cache; "
        f"asked one after the other on one connection, then in turn on {CONNECTIONS}. The modules of "
        "workerd's workers are the same bytes.",
        tables=(_starts(servers, starts), _touches(servers, starts), _requests(servers, results)),
        charts=(
            _lines(
                "ready",
                "seconds until ready",
                servers,
                lambda name: _of(starts, name, lambda each: each.seconds),
            ),
            _lines(
                "request",
                "CPU per request, us",
                servers,
                lambda name: results.spread(name, _POINT, cpu_per_request),
            ),
        ),
        notes=(
            "target: 10,000 applications ready within 5 s, at under 64 KiB each; CPU per request flat",
            "a first request's p99 under 2 times that of a warm one",
        ),
        results=(results,),
    )


def _ready(bench: Bench) -> list[Server]:
    """Every server that starts, started once: afterwards its modules are in the cache."""
    found = []
    for server in _servers(bench):
        bench.tell(f"applications: first start of {server.contestant.name}")
        try:
            with _running(server):
                found.append(server)
        except NotStarted as error:
            if server.kind == NAME:
                raise
            bench.tell(f"left out: {server.contestant.name}: {error}")
    return found


def _servers(bench: Bench) -> list[Server]:
    sizes = [size for size in SIZES if size <= 1000 or not bench.short]
    mine = [
        Server(kind=NAME, applications=size, contestant=many.ours(size, f"{NAME}-{size}")) for size in sizes
    ]
    theirs = [
        Server(kind="workerd", applications=size, contestant=many.workerd(size, f"workerd-{size}"))
        for size in WORKERD_SIZES
        if size <= 1 or not bench.short
    ]
    return [
        *mine,
        *(each for each in theirs if not bench.only or {each.kind, each.contestant.name} & bench.only),
    ]


def _running(server: Server) -> Running:
    return Running(server.contestant, ready=many.request(0))


def _turn(bench: Bench, server: Server, number: int) -> tuple[Start, Sample]:
    with _running(server) as running:
        start = Start(
            name=running.name,
            round=number,
            seconds=running.seconds_to_ready,
            memory=running.memory(),
            first=touched(running.port, server.applications),
            again=touched(running.port, server.applications),
        )
        for _ in range(1 if bench.short else TRIES):
            sample = observe(running, _POINT, number, lambda: _load(running, server, bench.seconds))
            if not sample.noise.loud:
                return start, sample
    return start, replace(sample, marked=True)


def _load(running: Running, server: Server, seconds: float) -> Load:
    return spread(running.port, server.applications, connections=CONNECTIONS, seconds=seconds)


def _wrong(starts: Sequence[Start]) -> str | None:
    for start in starts:
        if errors := start.first.errors + start.again.errors:
            return f"{start.name} counted {errors} wrong answers"
    return None


def _of(starts: Sequence[Start], name: str, figure: Callable[[Start], float | None]) -> Spread | None:
    found = (figure(start) for start in starts if start.name == name)
    return Spread.of(value for value in found if value is not None)


def _per_application(
    starts: Sequence[Start], server: Server, kind: str, figure: Callable[[Memory], float]
) -> Spread | None:
    """What each application adds to a server that has one, in each round."""
    one = {start.round: figure(start.memory) for start in starts if start.name == f"{kind}-1"}
    all_ = {start.round: figure(start.memory) for start in starts if start.name == server.contestant.name}
    more = server.applications - 1
    return Spread.of((all_[number] - one[number]) / more for number in one.keys() & all_.keys() if more)


def _starts(servers: Sequence[Server], starts: Sequence[Start]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            server.applications,
            server.kind,
            _of(starts, server.contestant.name, lambda start: start.seconds),
            _of(starts, server.contestant.name, lambda start: start.memory.pss / 1024),
            _per_application(starts, server, server.kind, lambda memory: memory.pss),
            _per_application(starts, server, server.kind, lambda memory: memory.page_tables),
            _per_application(starts, server, server.kind, lambda memory: memory.mappings),
        )
        for server in servers
    ]
    columns = (
        "applications", "server", "ready, s", "PSS, MiB", "PSS KiB each", "page tables KiB each",
        "mappings each",
    )  # fmt: skip
    return Table(
        title="A restart",
        columns=columns,
        rows=tuple(rows),
        note="The whole process tree: the service has a worker in reserve, which has loaded nothing.",
    )


def _touches(servers: Sequence[Server], starts: Sequence[Start]) -> Table:
    figures: tuple[Callable[[Start], float | None], ...] = (
        lambda start: start.first.p50,
        lambda start: start.again.p50,
        lambda start: start.first.p99,
        lambda start: start.again.p99,
        lambda start: start.first.longest,
    )
    rows: list[tuple[Cell, ...]] = [
        (
            server.applications,
            server.kind,
            *(_of(starts, server.contestant.name, figure) for figure in figures),
        )
        for server in servers
    ]
    columns = ("applications", "server", "first p50", "again p50", "first p99", "again p99", "first, longest")
    return Table(title="The first request and the second, milliseconds", columns=columns, rows=tuple(rows))


def _requests(servers: Sequence[Server], results: Results) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            server.applications,
            server.kind,
            results.spread(server.contestant.name, _POINT, cpu_per_request),
            results.spread(server.contestant.name, _POINT, p50),
            results.spread(server.contestant.name, _POINT, p99),
            results.ratio(server.contestant.name, f"{server.kind}-1", _POINT, cpu_per_request),
        )
        for server in servers
    ]
    columns = ("applications", "server", "CPU us/request", "p50 ms", "p99 ms", "CPU over one application's")
    return Table(
        title="A request to each in turn",
        columns=columns,
        rows=tuple(rows),
        note="The load is a client in Python, so the rate is not the server's capacity; CPU per request is.",
    )


def _lines(kind: str, up: str, servers: Sequence[Server], spread_of: Callable[[str], Spread | None]) -> Lines:
    curves = []
    for each in dict.fromkeys(server.kind for server in servers):
        found = [
            (float(server.applications), spread_of(server.contestant.name))
            for server in servers
            if server.kind == each
        ]
        points = tuple((across, spread.median) for across, spread in found if spread)
        curves.append(Curve(label=each, points=points))
    return Lines(
        name=f"applications-{kind}",
        title=f"Many applications: {up}",
        across="applications",
        up=up,
        curves=tuple(curves),
        logarithmic=kind == "ready",
    )
