"""Guests that only compute: how much of the processor the guest gets, and what a short request notices.

Rounds and seconds come in; throughput and CPU against each peer, and a hello's tail beside the work, go out.
It must never take the tail of a few samples: the probe's questions of all rounds are joined first.
"""

from __future__ import annotations

from functools import partial

from benchmarks.catalogue import peers
from benchmarks.contestants import Running
from benchmarks.load import Load, Request, wrk
from benchmarks.modules import module
from benchmarks.probe import Asking, Probed, joined, probe, result, start
from benchmarks.report import Bars, Cell, Report, Table
from benchmarks.rounds import PACED_HELLO, Bench, Plan, Point, Results, cpu_per_request, rate
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME, Application, subject
from benchmarks.xorshift import state

FLOOR = "floor-fresh"
PEERS = (FLOOR, "workerd-fresh", "node-fresh")
ROUNDS = (1_000_000, 10_000_000)
CONNECTIONS = (1, 8)
PROBE_RATE = 50.0
IDLE = "idle"


class Beside:
    """Loads with a probe beside them; what the probe saw is kept by the load that it ran beside."""

    def __init__(self) -> None:
        self._found: dict[Load, Probed] = {}

    def idle(self, running: Running, request: Request, seconds: float) -> Load:
        """The probe alone."""
        seen = probe(Asking(port=running.port, request=request, rate=PROBE_RATE, seconds=seconds))
        self._found[seen.load] = seen
        return seen.load

    def busy(self, connections: int, running: Running, request: Request, seconds: float) -> Load:
        """The probe beside so many connections that each always wait for one answer."""
        asking = Asking(port=running.port, request=Request(), rate=PROBE_RATE, seconds=max(1.0, seconds))
        beside = start(asking)
        try:
            load = wrk(running.port, request, connections=connections, seconds=seconds)
        finally:
            seen = result(beside, asking)
        self._found[load] = seen
        return load

    def seen(self, results: Results, contestant: str, point: str) -> Probed:
        """What the probe saw at one point, in all rounds together."""
        mine = [each for each in results.samples if (each.contestant, each.point) == (contestant, point)]
        return joined([self._found[sample.load] for sample in mine])


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    beside = Beside()
    ours = subject(
        [
            Application(url_path="/", module=module("hello")),
            Application(url_path="/work/:n", module=module("work")),
        ]
    )
    results = run(bench, Plan(contestants=(ours, *peers(*PEERS)), points=_points(beside)))
    names = list(dict.fromkeys(sample.contestant for sample in results.samples if sample.point == IDLE))
    return Report(
        name="compute",
        title="Guests that compute",
        about="xorshift32 in a loop, the same in every guest, from wrk; meanwhile a probe asks for hello "
        f"{PROBE_RATE:.0f} times a second, whether or not it is answered. The subject's limits are on.",
        tables=(_throughput(results, names), _tail(results, names, beside)),
        charts=tuple(_bars(results, names, label) for label in _labels()),
        notes=(f"target: throughput within 15 % of {FLOOR}; the probe's p99 less than 5 times its idle one",),
        results=(results,),
    )


def _labels() -> list[str]:
    return [_label(rounds, connections) for rounds in ROUNDS for connections in CONNECTIONS]


def _label(rounds: int, connections: int) -> str:
    return f"{rounds // 1_000_000} M rounds, c={connections}"


def _points(beside: Beside) -> list[Point]:
    points = [Point(label=IDLE, request=PACED_HELLO, load=beside.idle)]
    for rounds in ROUNDS:
        request = Request(path=f"/work/{rounds}", answer=b"%d\n" % state(rounds))
        for connections in CONNECTIONS:
            load = partial(beside.busy, connections)
            points.append(Point(label=_label(rounds, connections), request=request, load=load))
    return points


def _throughput(results: Results, names: list[str]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            name,
            results.spread(name, label, rate),
            results.spread(name, label, cpu_per_request),
            results.ratio(NAME, name, label, rate),
            results.ratio(NAME, name, label, cpu_per_request),
        )
        for label in _labels()
        for name in names
    ]
    columns = ("work", "contestant", "requests/s", "CPU us/request", "ours/its rate", "ours/its CPU")
    return Table(title="Work done", columns=columns, rows=tuple(rows))


def _tail(results: Results, names: list[str], beside: Beside) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        idle = beside.seen(results, name, IDLE).load
        for label in (IDLE, *_labels()):
            load = beside.seen(results, name, label).load
            over = load.p99 / idle.p99 if load.p99 and idle.p99 else None
            rows.append((label, name, load.p50, load.p99, load.longest, load.errors, over))
    return Table(
        title="A hello beside the work, milliseconds",
        columns=("beside", "contestant", "p50", "p99", "longest", "wrong", "p99 over idle"),
        rows=tuple(rows),
        note="All rounds together; no p99 of fewer than 1,000 questions.",
    )


def _bars(results: Results, names: list[str], label: str) -> Bars:
    found = [(name, results.spread(name, label, cpu_per_request)) for name in names]
    return Bars(
        name=f"compute-{label.replace(' ', '-').replace(',', '').replace('=', '')}".lower(),
        title=f"CPU of a request that computes: {label}",
        unit="us/request",
        bars=tuple((name, spread) for name, spread in found if spread),
    )
