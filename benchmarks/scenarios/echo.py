"""Bodies that come back: what a byte costs on its way through a guest.

Rounds and seconds come in; MiB a second, CPU per MiB and the peak of memory go out, against each peer.
It must never count bytes that differ: every body of a pass of its own is compared with what was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import uvloop

from benchmarks.client import Client, written
from benchmarks.contestants import Contestant, Running
from benchmarks.crafted import echoing
from benchmarks.load import LoadFailed, Request
from benchmarks.modules import module
from benchmarks.report import Bars, Cell, Report, Table
from benchmarks.rounds import Bench, Figure, Plan, Point, Results, closed, cpu_per_request
from benchmarks.rounds import measure as run
from benchmarks.subject import NAME, Application, subject

PEERS = ("workerd-fresh", "deno-fresh", "node-fresh", "naive-wasmtimepy")
SIZES = {"1 KiB": 1 << 10, "64 KiB": 1 << 16, "1 MiB": 1 << 20}
CONNECTIONS = 8
_MIB = 1 << 20
_EVERY = 0.02  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What a contestant held in MiB of PSS: before the bodies came, and at most while they were in it."""

    contestant: str
    size: str
    before: float
    most: float
    compared: int
    """Bodies that came back, each equal to what was sent."""

    @property
    def copies(self) -> float | None:
        """How many bodies it grew by for each connection; None of bodies too small to see among the rest."""
        if SIZES[self.size] < _MIB:
            return None
        return (self.most - self.before) * _MIB / (CONNECTIONS * SIZES[self.size])


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    ours = subject(
        [
            Application(url_path="/", module=module("hello")),
            Application(url_path="/echo", module=module("echo")),
        ]
    )
    contestants = (ours, *echoing(*PEERS))
    results = run(bench, Plan(contestants=contestants, points=_points()))
    names = list(dict.fromkeys(sample.contestant for sample in results.samples if sample.point in SIZES))
    taking_part = [each for each in contestants if each.name in names]
    return Report(
        name="echo",
        title="Bodies that come back",
        about=f"POST of bytes without a pattern on {CONNECTIONS} connections; the guest makes one copy.",
        tables=(_speed(results, names), _memory(_peaks(bench, taking_part))),
        charts=tuple(_bars(results, names, label) for label in SIZES),
        notes=(
            "target: at 1 MiB no more CPU than workerd-fresh; no more than 4 bodies of memory a connection",
        ),
        results=(results,),
    )


def request(size: int) -> Request:
    """A body of so many bytes without a pattern, the same in every run, that must come back."""
    body = hashlib.shake_128(b"echo").digest(size)
    return Request(path="/echo", method="POST", body=body, answer=body)


def _points() -> list[Point]:
    return [
        Point(label=label, request=request(size), load=closed(CONNECTIONS)) for label, size in SIZES.items()
    ]


def _rate(size: int) -> Figure:
    return lambda sample: sample.load.rate * size / _MIB


def _cpu(size: int) -> Figure:
    return lambda sample: sample.cpu_per_request * _MIB / size / 1000


def _speed(results: Results, names: list[str]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            name,
            results.spread(name, label, _rate(size)),
            results.spread(name, label, _cpu(size)),
            results.spread(name, label, cpu_per_request),
            results.ratio(NAME, name, label, _cpu(size)),
            results.ratio(NAME, name, label, _rate(size)),
        )
        for label, size in SIZES.items()
        for name in names
    ]
    columns = (
        "body", "contestant", "MiB/s", "CPU ms/MiB", "CPU us/request", "ours/its CPU", "ours/its rate",
    )  # fmt: skip
    return Table(title="Bodies there and back", columns=columns, rows=tuple(rows))


def _bars(results: Results, names: list[str], label: str) -> Bars:
    found = [(name, results.spread(name, label, _cpu(SIZES[label]))) for name in names]
    return Bars(
        name=f"echo-{label.replace(' ', '-')}".lower(),
        title=f"CPU to echo bodies of {label}",
        unit="ms/MiB",
        bars=tuple((name, spread) for name, spread in found if spread),
    )


def _memory(peaks: Sequence[Peak]) -> Table:
    return Table(
        title="Memory while bodies are in it",
        columns=("body", "contestant", "PSS before, MiB", "peak PSS, MiB", "bodies a connection", "compared"),
        rows=tuple(
            (peak.size, peak.contestant, peak.before, peak.most, peak.copies, peak.compared) for peak in peaks
        ),
        note="A pass of its own, after the measurement, on a new server: every body is compared.",
    )


def _peaks(bench: Bench, contestants: Sequence[Contestant]) -> list[Peak]:
    return [_peak(bench, contestant, label) for label in SIZES for contestant in contestants]


def _peak(bench: Bench, contestant: Contestant, label: str) -> Peak:
    bench.tell(f"echo: memory of {contestant.name} at {label}")
    asked = request(SIZES[label])
    with Running(contestant, ready=asked) as running:
        before = running.memory().pss
        with Watched(running) as watched:
            compared = uvloop.run(_compare(running.port, asked, bench.seconds / 2))
    return Peak(
        contestant=contestant.name,
        size=label,
        before=before / 1024,
        most=max(watched.most, before) / 1024,
        compared=compared,
    )


class Watched:
    """Looks at a server's memory again and again from the beginning of a `with` to its end."""

    def __init__(self, running: Running) -> None:
        self.most = 0
        """KiB of PSS when it was most."""
        self._running, self._over = running, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_EVERY):
            self.most = max(self.most, self._running.memory().pss)


async def _compare(port: int, request: Request, seconds: float) -> int:
    """Sends the body on every connection for so long; raises LoadFailed when one comes back changed."""
    end = asyncio.get_running_loop().time() + seconds
    return sum(await asyncio.gather(*(_echoed(port, request, end) for _ in range(CONNECTIONS))))


async def _echoed(port: int, request: Request, end: float) -> int:
    client, compared, question = await Client.connect(port), 0, written(request)
    try:
        while asyncio.get_running_loop().time() < end:
            answer = await client.ask(question)
            if (answer.status, answer.body) != (request.status, request.answer):
                raise LoadFailed(f"{answer.status} and {len(answer.body)} bytes that were not sent")
            compared += 1
    finally:
        client.close()
    return compared
