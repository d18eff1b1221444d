"""Thousands of guests that wait for a backend at once: what it costs, beside servers without WebAssembly.

Rounds come in; who was answered, how much later than the backend, CPU and memory of each guest go out.
It must never measure the memory and the delay in one pass: looking at a server's memory holds it up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks import waiting
from benchmarks.backend import Backend
from benchmarks.beside import descriptors
from benchmarks.contestants import Contestant, NotStarted, Running
from benchmarks.crowd import Answered, Crowd
from benchmarks.load import Load
from benchmarks.machine import Memory, Noise, instant, noise
from benchmarks.report import Bars, Cell, Report, Table
from benchmarks.rounds import Bench, Plan, Results, Sample, Spread, order, void
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME

GUESTS = 5000
SECONDS = 2.0
"""How long the backend thinks."""
_PAUSE = 0.05
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """What one pass of one contestant has shown."""

    contestant: str
    round: int
    answered: Answered
    cpu: float
    """Seconds of processor time from the question to the last answer."""
    noise: Noise

    @property
    def added(self) -> Load:
        """Milliseconds beyond the backend's own."""
        return Load.of([each - 1000 * SECONDS for each in self.answered.milliseconds], 1.0, 0)

    @property
    def cpu_per_guest(self) -> float:
        """Microseconds."""
        return self.cpu / max(self.answered.good, 1) * 1e6


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    guests = min(1000 if bench.short else GUESTS, descriptors() // 2 - 500)
    names = _taking_part(bench)
    fans: list[Fan] = []
    controls: list[Sample] = []
    for number in range(bench.rounds):
        for name in _order(names, number):
            bench.tell(f"fan_out: round {number + 1}/{bench.rounds}: {name}")
            fans.append(_fan(name, guests, number))
        controls += run(replace(bench, rounds=1), Plan(contestants=(), points=())).samples
    memory = {name: _held(name, guests) for name in names}
    return Report(
        name="fan_out",
        title=f"{guests} guests that wait for a backend",
        about=f"{guests} clients ask at once; each guest connects to a backend, writes, and waits "
        f"{SECONDS:g} s for its answer. The backend and the clients share the load's core.",
        tables=(_table(fans, names, guests), _memory_table(memory, guests)),
        charts=(_bars(fans, names),),
        notes=(
            "target: all answered, p99 of what is added under 500 ms, CPU at most 2 times asyncio-streams'",
            "the subject's limits are raised to the guests: slots, concurrency, application_sockets",
        ),
        results=(Results(samples=tuple(controls), void=void(controls) or _lost(fans, guests)),),
    )


def _contestants(backend: int, guests: int) -> dict[str, Contestant]:
    return {each.name: each for each in (waiting.ours(backend, guests), *waiting.others(backend))}


def _taking_part(bench: Bench) -> list[str]:
    """The names of those that start; the others are told."""
    found = []
    for name, contestant in _contestants(0, 1).items():
        if bench.only and name not in {NAME, *bench.only}:
            continue
        try:
            with Running(contestant):
                found.append(name)
        except NotStarted as error:
            if name == NAME:
                raise
            bench.tell(f"left out: {name}: {error}")
    return found


def _order(names: Sequence[str], number: int) -> list[str]:
    placed = {each.name: each for each in _contestants(0, 1).values()}
    return [each.name for each in order([placed[name] for name in names], number)]


def _fan(name: str, guests: int, number: int) -> Fan:
    with (
        Backend(SECONDS) as backend,
        Running(_contestants(backend.port, guests)[name]) as running,
        Crowd(running.port, waiting.REQUEST, guests) as crowd,
    ):
        before, spent, beside = instant(), running.cpu(), crowd.cpu() + backend.cpu()
        crowd.go()
        answered = crowd.result()
        spent = running.cpu() - spent
        accounted = spent + crowd.cpu() + backend.cpu() - beside
        return Fan(
            contestant=name,
            round=number,
            answered=answered,
            cpu=spent,
            noise=noise(before, instant(), accounted),
        )


def _held(name: str, guests: int) -> tuple[Memory, Memory, int]:
    """What a server holds with silent clients, and with as many guests that wait; and how many did."""
    with (
        Backend() as backend,
        Running(_contestants(backend.port, guests)[name]) as running,
        Crowd(running.port, waiting.REQUEST, guests) as crowd,
    ):
        before = running.memory()
        crowd.go()
        held = settled(backend.waiting, guests)
        after = running.memory()
        backend.release()
        crowd.result()
        return before, after, held


def settled(waiting_now: Callable[[], int], wanted: int, still: float = 10.0) -> int:
    """Waits until as many wait as are wanted, or no more have come for a while; returns how many do."""
    end = time.monotonic() + _PATIENCE
    most, since = 0, time.monotonic()
    while time.monotonic() < end:
        found = waiting_now()
        if found > most:
            most, since = found, time.monotonic()
        if most >= wanted or time.monotonic() - since > still:
            break
        time.sleep(_PAUSE)
    return most


def _lost(fans: Sequence[Fan], guests: int) -> str | None:
    """Why passes may not be quoted in which somebody was not answered."""
    for fan in fans:
        if fan.answered.good < guests:
            return f"{fan.contestant} answered {fan.answered.good} of {guests}: {fan.answered.text()}"
    return None


def _spread(fans: Sequence[Fan], name: str, figure: Callable[[Fan], float | None]) -> Spread | None:
    found = (figure(fan) for fan in fans if fan.contestant == name)
    return Spread.of(value for value in found if value is not None)


def _ratio(fans: Sequence[Fan], name: str) -> Spread | None:
    mine = {fan.round: fan.cpu_per_guest for fan in fans if fan.contestant == NAME}
    theirs = {fan.round: fan.cpu_per_guest for fan in fans if fan.contestant == name}
    return Spread.of(
        mine[number] / theirs[number] for number in mine.keys() & theirs.keys() if theirs[number]
    )


def _table(fans: Sequence[Fan], names: Sequence[str], guests: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        mine = [fan for fan in fans if fan.contestant == name]
        rows.append(
            (
                name,
                f"{min(fan.answered.good for fan in mine)}/{guests}",
                _spread(fans, name, lambda fan: fan.added.p50),
                _spread(fans, name, lambda fan: fan.added.p99),
                _spread(fans, name, lambda fan: fan.added.longest),
                _spread(fans, name, lambda fan: fan.cpu_per_guest),
                _ratio(fans, name),
                sum(fan.noise.loud for fan in mine),
            )
        )
    columns = (
        "contestant", "answered, at least", "added p50, ms", "added p99, ms", "longest, ms", "CPU us/guest",
        "ours/its CPU", "noisy",
    )  # fmt: skip
    return Table(
        title=f"{guests} at once, {SECONDS:g} s each",
        columns=columns,
        rows=tuple(rows),
        note="Added: from a client's question to its answer, less the backend's own. `noisy` counts rounds "
        "in which others were busy on the machine.",
    )


def _memory_table(memory: dict[str, tuple[Memory, Memory, int]], guests: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, (before, after, held) in memory.items():
        each = max(held, 1)
        rows.append(
            (
                name,
                f"{held}/{guests}",
                (after.pss - before.pss) / each,
                (after.page_tables - before.page_tables) / each,
                (after.mappings - before.mappings) / each,
            )
        )
    columns = ("contestant", "waiting", "PSS, KiB", "page tables, KiB", "mappings")
    return Table(
        title="A guest that waits, beyond its client's connection",
        columns=columns,
        rows=tuple(rows),
        note="A pass of its own, with a backend that answers when it is told to.",
    )


def _bars(fans: Sequence[Fan], names: Sequence[str]) -> Bars:
    found = [(name, _spread(fans, name, lambda fan: fan.cpu_per_guest)) for name in names]
    return Bars(
        name="fan_out",
        title="CPU for a request that waits for a backend",
        unit="us",
        bars=tuple((name, spread) for name, spread in found if spread),
    )
