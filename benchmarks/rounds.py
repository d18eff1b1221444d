"""Rounds: every contestant in turn, in an order that changes, checked before it is measured.

A plan comes in; samples, ratios within a round, and what spoils them go out.
It must never measure a contestant whose answer differs, nor hide that the controls drifted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Self

from benchmarks.catalogue import peers
from benchmarks.contestants import Contestant, NotStarted, Running
from benchmarks.load import Load, LoadFailed, Request, ask, h2load, wrk
from benchmarks.machine import Memory, Noise, instant, noise

SUBJECT = "ours"
CONTROLS = ("floor-plain", "nginx-return")
DRIFT = 0.10
"""How far a control's CPU per request may spread over the rounds, as a share of its median."""
ROUNDS = 3
"""As few rounds as a figure may come from; more than half of all there were, too."""
TRIES = 3


class DifferentAnswer(Exception):
    """A contestant does not answer as all must, so nothing may be compared; the text shows both answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the command line asked for."""

    rounds: int = 5
    seconds: float = 8.0
    only: frozenset[str] = frozenset()
    """Contestants to measure; empty for all. The subject and the controls always take part."""
    tell: Callable[[str], None] = print
    """Progress, a line at a time."""

    @property
    def warm_up(self) -> float:
        """Seconds of load before a measurement, for compilers that compile while they run."""
        return min(2.0, self.seconds / 4)

    @property
    def short(self) -> bool:
        """Whether this run is a trial: sizes that take minutes are left out of the curves."""
        return self.seconds < 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measurement: a request with its expected answer, and the load to make with it."""

    label: str
    request: Request
    load: Callable[[Running, Request, float], Load]
    """Called with the running server, the request and the seconds; first to warm up, then measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured of whom: every point of every contestant, on a server started for each round."""

    contestants: Sequence[Contestant]
    points: Sequence[Point]
    controls: bool = True
    """Whether the controls take part in every round; they can only answer a hello."""
    cores: str = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One contestant's figures at one point in one round."""

    contestant: str
    point: str
    round: int
    load: Load
    cpu: float
    """Seconds of processor time of the server's tree while it was measured."""
    memory: Memory
    """At the end of the measurement."""
    noise: Noise
    marked: bool = False
    """The machine was busy with others each time this was tried."""

    @property
    def cpu_per_request(self) -> float:
        """Microseconds of the server's processor time for each request answered."""
        return self.cpu / max(self.load.requests, 1) * 1e6


Figure = Callable[[Sample], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median and the least and greatest beside it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """Of the values of all rounds; None without any."""
        found = list(values)
        return cls(median=statistics.median(found), low=min(found), high=max(found)) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Every sample of a plan, and what to say about them."""

    samples: tuple[Sample, ...]
    left_out: tuple[str, ...] = field(default=())
    """Contestants that did not start, with the reason."""
    moved: tuple[str, ...] = field(default=())
    """Rounds that were left out at a point, because the controls show that the machine moved meanwhile."""
    void: str | None = None
    """Why nothing of this may be quoted: the controls drifted, or a load counted errors."""

    @property
    def marked(self) -> int:
        """How many samples were taken while the machine was busy with others."""
        return sum(sample.marked for sample in self.samples)

    def spread(self, contestant: str, point: str, figure: Figure) -> Spread | None:
        """The median over the rounds, and its least and greatest; None without samples."""
        return Spread.of(self.rounds(contestant, point, figure).values())

    def ratio(self, contestant: str, peer: str, point: str, figure: Figure) -> Spread | None:
        """The median of the ratios contestant/peer within each round; None where no round has both."""
        above, below = (self.rounds(name, point, figure) for name in (contestant, peer))
        return Spread.of(
            above[number] / below[number] for number in above.keys() & below.keys() if below[number]
        )

    def rounds(self, contestant: str, point: str, figure: Figure) -> dict[int, float]:
        """The figure by the number of its round."""
        chosen = (
            sample for sample in self.samples if (sample.contestant, sample.point) == (contestant, point)
        )
        figures = ((sample.round, figure(sample)) for sample in chosen)
        return {number: value for number, value in figures if value is not None}


def measure(bench: Bench, plan: Plan) -> Results:
    """Runs the plan: rounds in rotated and reversed order, noisy samples repeated up to twice, then marked.

    Raises DifferentAnswer if an answer is not what is expected, before anything is measured where it can;
    NotStarted or LoadFailed if that happens to the subject. A peer to which it happens is left out.
    """
    contestants = _chosen(bench, plan)
    left_out: dict[str, str] = {}
    for contestant in contestants:
        bench.tell(f"check: {contestant.name}")
        with _forgiving(bench, contestant, left_out):
            _check(plan, contestant)
    samples: list[Sample] = []
    for number in range(bench.rounds):
        for contestant in order(contestants, number):
            if contestant.name not in left_out:
                bench.tell(f"round {number + 1}/{bench.rounds}: {contestant.name}")
                with _forgiving(bench, contestant, left_out):
                    samples += _turn(bench, plan, contestant, number)
    kept = tuple(sample for sample in samples if sample.contestant not in left_out)
    told = tuple(f"{name}: {reason}" for name, reason in left_out.items())
    steady, moved = still(kept, bench.rounds)
    return Results(samples=steady or kept, left_out=told, moved=moved, void=void(steady or kept))


def order(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """The order of a round: each begins with another contestant, every second one runs backwards."""
    begin = number // 2 % len(contestants) if contestants else 0
    turned = [*contestants[begin:], *contestants[:begin]]
    return turned[::-1] if number % 2 else turned


def void(samples: Sequence[Sample]) -> str | None:
    """Why samples may not be quoted: a load counted errors, or a control's CPU spreads too far."""
    for sample in samples:
        if sample.load.errors:
            return f"{sample.contestant} ({sample.point}) counted {sample.load.errors} errors"
    for name, point in sorted(
        {(each.contestant, each.point) for each in samples if each.contestant in CONTROLS}
    ):
        spread = Results(samples=tuple(samples)).spread(name, point, cpu_per_request)
        if spread and spread.high - spread.low > DRIFT * spread.median:
            return f"the control {name} ({point}) drifted by {(spread.high - spread.low) / spread.median:.0%}"
    return None


def still(samples: Sequence[Sample], rounds: int) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """The samples of rounds in which the machine stood still, and a line for each point that lost some.

    At each point these are the rounds in which each control is within DRIFT of what it mostly was; a point
    that has too few of them is left out. A control that could not be asked at a point speaks for all.
    """
    kept: list[Sample] = []
    told: list[str] = []
    everyone = set(range(rounds))
    for point in dict.fromkeys(sample.point for sample in samples):
        controls = ([each for each in samples if each.contestant == name] for name in CONTROLS)
        good = everyone.intersection(*(_steady(control, point) for control in controls if control))
        shown = len(good) >= min(rounds, ROUNDS) and 2 * len(good) > rounds
        if shown:
            kept += [sample for sample in samples if sample.point == point and sample.round in good]
        if bad := ", ".join(str(number + 1) for number in sorted(everyone - good)):
            told.append(f"{point}: {f'round {bad}' if shown else 'all'}, because the controls drifted")
    return tuple(kept), tuple(told)


def _steady(control: Sequence[Sample], point: str) -> set[int]:
    """The most rounds in which a control's CPU per request spreads by no more than DRIFT of their median."""
    asked = [each for each in control if each.point == point] or list(control)
    cheapest = sorted(asked, key=lambda each: each.cpu_per_request)
    spans = (cheapest[low:high] for low in range(len(cheapest)) for high in range(low + 1, len(cheapest) + 1))
    return {each.round for each in max((span for span in spans if _drift(span) <= DRIFT), key=len)}


def _drift(samples: Sequence[Sample]) -> float:
    costs = [each.cpu_per_request for each in samples]
    return (max(costs) - min(costs)) / statistics.median(costs)


def check(running: Running, request: Request) -> None:
    """Asks twice, the second time what a first request has left behind; raises DifferentAnswer."""
    for _ in range(2):
        status, body = ask(running.port, request)
        if (status, body) != (request.status, request.answer):
            raise DifferentAnswer(
                f"{running.name} answers {request.method} {request.path} with {status} {body[:80]!r} "
                f"({len(body)} bytes), and not with {request.status} {request.answer[:80]!r} "
                f"({len(request.answer)} bytes)"
            )


def observe(running: Running, point: str, number: int, work: Callable[[], Load]) -> Sample:
    """Makes a load and takes what the server and the machine spent meanwhile."""
    before, spent = instant(), running.cpu()
    load = work()
    spent, after = running.cpu() - spent, instant()
    return Sample(
        contestant=running.name,
        point=point,
        round=number,
        load=load,
        cpu=spent,
        memory=running.memory(),
        noise=noise(before, after, spent),
    )


def cpu_per_request(sample: Sample) -> float | None:
    """The main figure: microseconds of the server's processor time for each request."""
    return sample.cpu_per_request


def rate(sample: Sample) -> float | None:
    """Requests answered in a second."""
    return sample.load.rate


def p50(sample: Sample) -> float | None:
    """The median response time in milliseconds."""
    return sample.load.p50


def p99(sample: Sample) -> float | None:
    """The 99th percentile of response times in milliseconds."""
    return sample.load.p99


def p999(sample: Sample) -> float | None:
    """The 99.9th percentile of response times in milliseconds."""
    return sample.load.p999


def longest(sample: Sample) -> float | None:
    """The longest response time in milliseconds."""
    return sample.load.longest


def _chosen(bench: Bench, plan: Plan) -> list[Contestant]:
    controls = peers(*CONTROLS) if plan.controls else ()
    named = {contestant.name for contestant in plan.contestants}
    everyone = [*plan.contestants, *(control for control in controls if control.name not in named)]
    always = (SUBJECT, *CONTROLS)
    return [
        each for each in everyone if not bench.only or each.name in bench.only or each.name.startswith(always)
    ]


@contextmanager
def _forgiving(bench: Bench, contestant: Contestant, left_out: dict[str, str]) -> Iterator[None]:
    """A peer that cannot be measured is left out, with the reason; the subject cannot be."""
    try:
        yield
    except (NotStarted, LoadFailed) as error:
        if contestant.name.startswith(SUBJECT):
            raise
        left_out[contestant.name] = str(error)
        bench.tell(f"left out: {contestant.name}: {error}")


def _check(plan: Plan, contestant: Contestant) -> None:
    with Running(contestant, cores=plan.cores) as running:
        for point in _points(plan, contestant):
            check(running, point.request)


def _points(plan: Plan, contestant: Contestant) -> Sequence[Point]:
    """A control can only say hello: where the plan asks for something else, it gets a point of its own."""
    if contestant.name not in CONTROLS:
        return plan.points
    return [point for point in plan.points if point.request == Request()] or [CONTROL]


def _turn(bench: Bench, plan: Plan, contestant: Contestant, number: int) -> list[Sample]:
    with Running(contestant, cores=plan.cores) as running:
        return [_sample(bench, running, point, number) for point in _points(plan, contestant)]


def _sample(bench: Bench, running: Running, point: Point, number: int) -> Sample:
    check(running, point.request)
    point.load(running, point.request, bench.warm_up)
    tried = []
    for _ in range(1 if bench.short else TRIES):
        sample = observe(
            running, point.label, number, lambda: point.load(running, point.request, bench.seconds)
        )
        if not sample.noise.loud:
            return sample
        tried.append(sample)
        bench.tell(f"noise: {sample.noise.steal:.1%} stolen, {sample.noise.foreign:.1%} foreign")
    quietest = min(tried, key=lambda each: each.noise.steal + each.noise.foreign)
    return replace(quietest, marked=True)


def closed(connections: int) -> Callable[[Running, Request, float], Load]:
    """As fast as it goes, on so many connections: for `Point.load`."""
    return lambda running, request, seconds: wrk(
        running.port, request, connections=connections, seconds=seconds
    )


def paced(a_second: float) -> Callable[[Running, Request, float], Load]:
    """At so many requests a second, whether answers come or not: for `Point.load`."""
    return lambda running, request, seconds: h2load(running.port, request, rate=a_second, seconds=seconds)


CONTROL = Point(label="control", request=Request(), load=closed(32))
PACED_HELLO = Request(path="/?paced")
"""A hello that the controls are not asked for: at a low rate their CPU says how deep the processor slept."""
