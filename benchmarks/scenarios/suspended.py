"""Guests that wait, and nothing else: what one holds, what suspending costs, and what others notice.

Rounds and seconds come in; a curve over 0 to 10,000 guests goes out, and beside it the same guest in C.
It must never count a guest that is not waiting: the backend says how many are.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks import waiting
from benchmarks.backend import Backend
from benchmarks.beside import descriptors
from benchmarks.contestants import SERVER_CORE, Contestant, Running
from benchmarks.crowd import Crowd
from benchmarks.install import NotInstalled, program
from benchmarks.load import Request
from benchmarks.modules import module
from benchmarks.report import Cell, Curve, Lines, Report, Table
from benchmarks.rounds import (
    TRIES,
    Bench,
    Plan,
    Results,
    Sample,
    Spread,
    closed,
    cpu_per_request,
    observe,
    p99,
    void,
)
from benchmarks.rounds import measure as run
from benchmarks.scenarios.fan_out import settled
from benchmarks.subject import NAME

GUESTS = (0, 100, 1000, 5000, 10_000)
STACK = 512 << 10
"""The service's own: [server] stack and the host functions' part behind it."""
CONNECTIONS = 32
RATE = 500.0
"""Guests that come in a second: how many come at once is the matter of fan_out."""
_FLOOR = "suspend.c"
_SPARE = 500
"""Descriptors for all but the guests, who take two each: their client's and their backend's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What so many guests that wait have shown; figures are for each guest."""

    contestant: str
    guests: int
    waiting: int
    round: int
    pss: float
    """KiB, beyond what the silent connection of its client takes."""
    page_tables: float
    mappings: float
    client: float
    """KiB of the silent connection."""
    suspend: float
    """Microseconds of processor time, from the request to the wait."""
    resume: float
    """Microseconds of processor time, from the backend's answer to the client's."""
    ends: str
    """How the clients were answered."""


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    fits = descriptors() // 2 - _SPARE
    guests = list(dict.fromkeys(min(number, fits) for number in GUESTS if number <= 1000 or not bench.short))
    helds: list[Held] = []
    samples: list[Sample] = []
    for number in range(bench.rounds):
        for wanted in guests if number % 2 == 0 else guests[::-1]:
            bench.tell(f"suspended: round {number + 1}/{bench.rounds}: {wanted} guests")
            held, sample = _ours(bench, wanted, number)
            samples += [sample] if sample else []
            helds += [held] if wanted else []
            helds += _floor(bench, wanted, number) if wanted else []
        samples += run(replace(bench, rounds=1), Plan(contestants=(), points=())).samples
    results = Results(samples=tuple(samples), void=void(samples))
    return Report(
        name="suspended",
        title="Guests that wait",
        about="Clients connect and are silent; then they ask, and each guest waits for a backend that "
        f"answers when told to. Meanwhile {CONNECTIONS} connections say hello, from wrk. {_FLOOR} holds the "
        "same guest on the same engine, without HTTP, limits or a backend.",
        tables=(_memory(helds), _work(helds), _hello(results, guests)),
        charts=(_lines(helds), _hello_lines(results, guests)),
        notes=(
            f"target: a guest takes at most 2 times what it takes in {_FLOOR}, and hello's CPU is flat",
            f"descriptors allow {fits} guests here, two each; beyond the slots that fit, the answer is 503",
            *_words(max(guests)),
        ),
        results=(results,),
    )


def _ours(bench: Bench, guests: int, number: int) -> tuple[Held, Sample | None]:
    """What so many guests hold; and a hello beside them, if they have left it a slot."""
    with Backend() as backend, Running(waiting.ours(backend.port, max(guests, 1))) as running:
        empty = running.memory()
        with Crowd(running.port, waiting.REQUEST, guests, rate=RATE) as crowd:
            silent, spent = running.memory(), running.cpu()
            crowd.go()
            held = settled(backend.waiting, guests) if guests else 0
            suspend, after = running.cpu() - spent, running.memory()
            sample = _beside(bench, running, guests, number) if held == guests else None
            spent = running.cpu()
            backend.release()
            answered = crowd.result()
            resume = running.cpu() - spent
    each = max(held, 1)
    return (
        Held(
            contestant=NAME,
            guests=guests,
            waiting=held,
            round=number,
            pss=(after.pss - silent.pss) / each,
            page_tables=(after.page_tables - silent.page_tables) / each,
            mappings=(after.mappings - silent.mappings) / each,
            client=(silent.total - empty.total) / max(guests, 1),
            suspend=suspend / each * 1e6,
            resume=resume / each * 1e6,
            ends=answered.text(),
        ),
        sample,
    )


def _beside(bench: Bench, running: Running, guests: int, number: int) -> Sample:
    """A hello's figures while so many guests wait."""
    load = closed(CONNECTIONS)
    load(running, Request(), bench.warm_up)
    for _ in range(1 if bench.short else TRIES):
        sample = observe(running, _label(guests), number, lambda: load(running, Request(), bench.seconds))
        if not sample.noise.loud:
            return sample
    return replace(sample, marked=True)


def _floor(bench: Bench, guests: int, number: int) -> list[Held]:
    """The same guest in C; nothing where it cannot be built or does not fit, which is told."""
    try:
        command = [str(program("suspend")), str(guests), str(STACK), str(module("peers_block"))]
        done = subprocess.run(
            ["taskset", "-c", SERVER_CORE, *command], capture_output=True, text=True, check=True, timeout=120
        )
    except NotInstalled as error:
        bench.tell(f"left out: {_FLOOR}: {error}")
        return []
    except subprocess.CalledProcessError as error:
        bench.tell(f"{_FLOOR} with {guests} guests: {error.stderr}")
        return []
    told = json.loads(done.stdout)
    return [
        Held(
            contestant=_FLOOR,
            guests=guests,
            waiting=guests,
            round=number,
            client=0.0,
            suspend=told["suspend"],
            resume=told["resume"],
            ends="",
            **{key: told[key] / guests for key in ("pss", "page_tables", "mappings")},
        )
    ]


def _words(guests: int) -> tuple[str, ...]:
    """What the service says of itself at the start, when it is asked for that many slots."""
    plain = waiting.ours(1, guests)
    loud = Contestant(
        name=plain.name,
        about=plain.about,
        isolation=plain.isolation,
        prepare=lambda folder, port: replace(plain.prepare(folder, port), silent=False),
    )
    with Running(loud) as running:
        lines = (running.folder / "output").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    said = [str(record["message"]) for record in records if "slots" in str(record.get("message", ""))]
    return tuple(
        f"asked for {guests} guests and {waiting.SPARE} slots more, the service says: {each}" for each in said
    )


def _label(guests: int) -> str:
    return f"hello beside {guests}"


def _rows(helds: Sequence[Held]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((held.contestant, held.guests) for held in helds))


def _of(helds: Sequence[Held], row: tuple[str, int], figure: Callable[[Held], float]) -> Spread | None:
    return Spread.of(figure(held) for held in helds if (held.contestant, held.guests) == row)


def _over(helds: Sequence[Held], row: tuple[str, int], figure: Callable[[Held], float]) -> Spread | None:
    """The ratio to the program in C in the same round."""
    mine, theirs = (
        {held.round: figure(held) for held in helds if (held.contestant, held.guests) == each}
        for each in (row, (_FLOOR, row[1]))
    )
    return Spread.of(
        mine[number] / theirs[number] for number in mine.keys() & theirs.keys() if theirs[number]
    )


def _total(held: Held) -> float:
    return held.pss + held.page_tables


def _memory(helds: Sequence[Held]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            row[1],
            row[0],
            _of(helds, row, lambda held: held.waiting),
            _of(helds, row, lambda held: held.pss),
            _of(helds, row, lambda held: held.page_tables),
            _over(helds, row, _total),
            _of(helds, row, lambda held: held.mappings),
            _of(helds, row, lambda held: held.client),
        )
        for row in _rows(helds)
    ]
    columns = (
        "guests", "contestant", "waiting", "PSS KiB each", "page tables KiB each", "both over C's",
        "mappings each", "client's connection KiB",
    )  # fmt: skip
    return Table(
        title="What a guest that waits holds",
        columns=columns,
        rows=tuple(rows),
        note="Beyond its client's silent connection, which is told apart. Two mappings more each were there "
        "before: the pool's own.",
    )


def _work(helds: Sequence[Held]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            row[1],
            row[0],
            _of(helds, row, lambda held: held.suspend),
            _of(helds, row, lambda held: held.resume),
            next((held.ends for held in helds if (held.contestant, held.guests) == row), ""),
        )
        for row in _rows(helds)
    ]
    columns = ("guests", "contestant", "to the wait, CPU us", "from the answer, CPU us", "answers")
    return Table(
        title="What it takes to suspend and to resume",
        columns=columns,
        rows=tuple(rows),
        note="Ours includes the request, the connection to the backend, the response and its record.",
    )


def _hello(results: Results, guests: Sequence[int]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            number,
            results.spread(NAME, _label(number), cpu_per_request),
            results.spread(NAME, _label(number), p99),
        )
        for number in guests
    ]
    columns = ("guests that wait", "CPU us/hello", "p99 ms")
    return Table(title="Hello meanwhile", columns=columns, rows=tuple(rows))


def _lines(helds: Sequence[Held]) -> Lines:
    curves = []
    for name in dict.fromkeys(held.contestant for held in helds):
        found = [(row[1], _of(helds, row, _total)) for row in _rows(helds) if row[0] == name]
        points = tuple((float(across), spread.median) for across, spread in sorted(found) if spread)
        curves.append(Curve(label=name, points=points))
    return Lines(
        name="suspended-memory",
        title="A guest that waits: PSS and page tables",
        across="guests",
        up="KiB each",
        curves=tuple(curves),
    )


def _hello_lines(results: Results, guests: Sequence[int]) -> Lines:
    found = [(number, results.spread(NAME, _label(number), cpu_per_request)) for number in guests]
    points = tuple((float(max(number, 1)), spread.median) for number, spread in found if spread)
    return Lines(
        name="suspended-hello",
        title="Hello while guests wait",
        across="guests that wait",
        up="CPU per request, us",
        curves=(Curve(label=NAME, points=points),),
    )
