"""A good application beside a bad one: what its callers notice, and what becomes of the bad one's requests.

Rounds and seconds come in; a hello's tail and its errors beside each kind of abuse go out.
It must never let a server that one abuse has damaged stand for the next: each gets a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from benchmarks.abuse import Abuse, Suffered, abused, until_answered
from benchmarks.catalogue import peers
from benchmarks.contestants import Contestant, NotStarted, Running, free_port
from benchmarks.crafted import BAD_PORT, neighbours
from benchmarks.load import Load, Request
from benchmarks.machine import Noise, instant, noise
from benchmarks.modules import module
from benchmarks.probe import Asking, Probed, joined, probe
from benchmarks.report import Cell, Report, Table
from benchmarks.rounds import Bench, Plan, Results, Sample, Spread, check, order, void
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME, Application, subject

FLOOR = "floor-fresh"
PROBE_RATE = 200.0
QUIET = "nobody"
_FOR_EVER = "/work/4294967295"  # floor-fresh has no bad application: some seconds of the compute guest
_PATIENCE = 15.0
"""Seconds that a guest that never comes back is waited for: beyond the subject's default limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of abuse: a guest of benchmarks/guests, how many clients ask for it, and what they upload."""

    name: str
    about: str
    clients: int
    upload: int = 0
    limits: str = ""
    """Of the subject's application, where its defaults would refuse the abuse."""

    @property
    def path(self) -> str:
        """Where a bad application answers."""
        return f"/bad/{self.name}"


KINDS = (
    Kind(name="bad_loop", about="an endless loop", clients=4),
    Kind(name="bad_bomb", about="takes all memory", clients=4),
    Kind(name="bad_upload", about="uploads of 1 MiB", clients=4, upload=1 << 20),
    Kind(
        name="bad_blocked",
        about="1,000 guests that wait",
        clients=1000,
        limits='limits = { concurrency = 1000, timeout = "60s", socket_timeout = "60s" }',
    ),
    Kind(name="bad_trap", about="traps", clients=8),
)
LOOP = KINDS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a hello's callers saw in one round, and how the neighbour's requests ended."""

    contestant: str
    beside: str
    round: int
    probed: Probed
    noise: Noise
    suffered: Suffered = field(default_factory=Suffered)

    @property
    def p99(self) -> float | None:
        """Of this round alone."""
        return self.probed.load.p99


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    backend = free_port()
    contestants, left_out = _chosen(bench, (_subject(backend), *neighbours(), *peers(FLOOR)))
    seen: list[Seen] = []
    controls: list[Sample] = []
    for number in range(bench.rounds):
        for contestant in order(contestants, number):
            seen += _turn(bench, contestant, number, backend)
        controls += run(replace(bench, rounds=1), Plan(contestants=(), points=())).samples
    names = [each.name for each in contestants]
    return Report(
        name="neighbour",
        title="A good application beside a bad one",
        about=f"A probe asks for hello {PROBE_RATE:.0f} times a second, whether or not it is answered; the "
        "bad application's clients ask one by one, on the load's core at the lowest priority.",
        tables=(_tails(seen, names), _ends(seen, names), _killed(bench, contestants)),
        notes=(
            "target: p99 less than 3 times the one beside nobody, and no wrong answer",
            "the peers have no limit of processor time or memory; a guest takes at most 256 MiB of memory",
            "the subject's limits are its defaults, but for the guests that wait: concurrency = 1000, 60 s",
        ),
        results=(Results(samples=tuple(controls), left_out=left_out, void=void(controls)),),
    )


def _subject(backend: int) -> Contestant:
    """The service with the good application and all the bad ones."""
    bad = [
        Application(
            url_path=kind.path,
            module=module(kind.name),
            more=f'env = {{ backend = "127.0.0.1:{backend}" }}\n{kind.limits}',
        )
        for kind in KINDS
    ]
    return subject([Application(url_path="/", module=module("hello")), *bad])


def _chosen(bench: Bench, contestants: Sequence[Contestant]) -> tuple[Sequence[Contestant], tuple[str, ...]]:
    """Those that were asked for and start, and why others do not; raises NotStarted if the subject is one."""
    chosen, left_out = [], []
    for contestant in contestants:
        if bench.only and contestant.name not in {NAME, *bench.only}:
            continue
        bench.tell(f"check: {contestant.name}")
        try:
            with Running(contestant) as running:
                check(running, Request())
            chosen.append(contestant)
        except NotStarted as error:
            if contestant.name == NAME:
                raise
            bench.tell(f"left out: {contestant.name}: {error}")
            left_out.append(f"{contestant.name}: {error}")
    return chosen, tuple(left_out)


def _kinds(contestant: str) -> Sequence[Kind]:
    return (LOOP,) if contestant == FLOOR else KINDS


def _turn(bench: Bench, contestant: Contestant, number: int, backend: int) -> list[Seen]:
    seen = []
    with Running(contestant) as running:
        check(running, Request())
        _probe(running, bench.warm_up)
        seen.append(_noted(running, QUIET, number, lambda: (_probe(running, bench.seconds), Suffered())))
    for kind in _kinds(contestant.name):
        bench.tell(f"neighbour: round {number + 1}, {contestant.name} beside {kind.about}")
        with Running(contestant) as running:
            check(running, Request())
            _probe(running, bench.warm_up)
            abuse = _abuse(running, kind, backend)
            work = partial(_beside, running, abuse, bench.seconds)
            seen.append(_noted(running, kind.name, number, work))
    return seen


def _noted(running: Running, beside: str, number: int, work: Callable[[], tuple[Probed, Suffered]]) -> Seen:
    """What was seen, and how busy the machine was with others meanwhile."""
    before, spent = instant(), running.cpu()
    probed, suffered = work()
    others = noise(before, instant(), running.cpu() - spent)
    return Seen(
        contestant=running.name, beside=beside, round=number, probed=probed, suffered=suffered, noise=others
    )


def _probe(running: Running, seconds: float) -> Probed:
    return probe(Asking(port=running.port, request=Request(), rate=PROBE_RATE, seconds=seconds))


def _abuse(running: Running, kind: Kind, backend: int) -> Abuse:
    told = running.folder / BAD_PORT
    return Abuse(
        port=int(told.read_text()) if told.exists() else running.port,
        path=_FOR_EVER if running.name == FLOOR else kind.path,
        clients=kind.clients,
        upload=kind.upload,
        backend=backend,
    )


def _beside(running: Running, abuse: Abuse, seconds: float) -> tuple[Probed, Suffered]:
    """The probe beside the abuse, which has a second's lead if there is time: a thousand guests take some."""
    with abused(abuse) as suffered:
        _probe(running, min(1.0, seconds / 2))
        probed = _probe(running, seconds)
    return probed, suffered


def _mine(seen: Sequence[Seen], contestant: str, beside: str) -> list[Seen]:
    return [each for each in seen if (each.contestant, each.beside) == (contestant, beside)]


def over_quiet(seen: Sequence[Seen], contestant: str, beside: str) -> Spread | None:
    """The p99 beside an abuse over the one beside nobody, in each round with enough questions for both."""
    quiet = {each.round: each.p99 for each in _mine(seen, contestant, QUIET)}
    pairs = [(each.p99, quiet.get(each.round)) for each in _mine(seen, contestant, beside)]
    return Spread.of(mine / calm for mine, calm in pairs if mine is not None and calm)


def _tails(seen: Sequence[Seen], names: Sequence[str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for beside, about in ((QUIET, QUIET), *((kind.name, kind.about) for kind in KINDS)):
        for name in names:
            if mine := _mine(seen, name, beside):
                load = joined([each.probed for each in mine]).load
                rows.append((about, name, *_row(load), over_quiet(seen, name, beside), _loud(mine)))
    columns = ("beside", "contestant", "p50", "p99", "longest", "asked", "wrong", "p99 over quiet", "noisy")
    return Table(
        title="A hello beside a neighbour, milliseconds",
        columns=columns,
        rows=tuple(rows),
        note="All rounds together, and the ratio within each. A question not answered in 5 s is wrong. "
        "`noisy` counts rounds in which others were busy on the machine.",
    )


def _row(load: Load) -> tuple[Cell, ...]:
    return load.p50, load.p99, load.longest, load.requests, load.errors


def _loud(seen: Sequence[Seen]) -> int:
    return sum(each.noise.loud for each in seen)


def _ends(seen: Sequence[Seen], names: Sequence[str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind in KINDS:
        for name in names:
            if mine := _mine(seen, name, kind.name):
                total = Suffered(longest=max(each.suffered.longest for each in mine))
                for each in mine:
                    total.statuses.update(each.suffered.statuses)
                rows.append((kind.about, name, total.text(), total.longest))
    columns = ("abuse", "contestant", "ended", "longest, s")
    return Table(title="What became of the neighbour's requests", columns=columns, rows=tuple(rows))


def _killed(bench: Bench, contestants: Sequence[Contestant]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for contestant in contestants:
        if contestant.name == FLOOR:  # its guest ends by itself
            continue
        bench.tell(f"neighbour: how long {contestant.name} lets a guest run")
        with Running(contestant) as running:
            abuse = _abuse(running, LOOP, 0)
            seconds = until_answered(abuse.port, abuse.path, _PATIENCE)
        rows.append((contestant.name, seconds or f"not in {_PATIENCE:.0f} s"))
    return Table(
        title="How long an endless loop runs",
        columns=("contestant", "seconds until it is ended"),
        rows=tuple(rows),
    )
