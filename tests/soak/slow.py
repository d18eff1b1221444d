"""Slow clients by the thousand (THREATS C1, C2, S18, S20) against the real program, a good one beside.

Numbers come in; when the last slow client was closed, and what the good one noticed, go out.
It must never call a run good in which a slow client stayed or a good answer was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import uvloop

from server.doors import Client
from soak.attackers import KINDS, allow_descriptors
from soak.canary import Good, Process, asking
from soak.figures import percentile, show
from soak.served import Served

ALONE = 10.0
"""Seconds in which the good client is alone, before each attack."""
LONGEST = 40.0
"""Seconds after which whoever is still there counts as not closed."""
RATE = 200
"""Slow clients that are opened in a second; more would be a load of work beside."""
LOOK = 0.5
QUIET = 2.0
"""Seconds without a slow client after which an attack is over."""
SPARE = 5
"""Descriptors that the good client may have beside."""
WITHIN = 15.0
TWICE = 2.0
CANCELLED = 100.0
"""Milliseconds from a disconnect to the end of its guest, p99 at most (THREATS S20)."""

SUSTAINED, AT_ONCE = 1000.0, 1e9
"""Disconnects a second."""

_BODY = '(import "env" "response_set_body" (func $body (param i32 i64)))'
_TEXT = '(import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))'


def _module(pages: int, size: str, imports: str = _BODY) -> str:
    return f"""(module {imports} (memory (export "memory") {pages}) (data (i32.const 0) "hello, world")
        (func (export "handle") (call $body (i32.const 0) {size})))"""


MODULES = {
    "hello": _module(1, "(i64.const 12)"),
    "upload": _module(2, "(call $text (i64.const 0) (i32.const 0) (i64.const 131072))", _BODY + _TEXT),
    "page": _module(2, "(i64.const 131072)"),
    "large": _module(64, "(i64.const 4194304)"),
}
TABLES = "".join(
    f'[[applications]]\nname = "{name}"\nfile_path = "{name}.wasm"\nurl_path = "/{name}"\n'
    for name in MODULES
) + (
    '[[applications]]\nname = "wait"\nfile_path = "upload.wasm"\nurl_path = "/wait/:number"\n'
    "limits = { concurrency = 5000 }\n"
)
TOOL = {
    "-H": ("-t", "GET", "-x", "24"),
    "-B": ("-t", "POST", "-x", "10", "-s", "8192"),
    "-X": ("-w", "10", "-y", "20", "-n", "1", "-z", "10"),
}
"""Options of slowhttptest for each of its attacks."""
TOOL_PATHS = {"-H": "/hello", "-B": "/upload", "-X": "/page"}


@dataclass(slots=True, kw_only=True)
class Row:
    """One attack: what was measured from outside, and what the good client met."""

    name: str
    alone: Good = field(default_factory=Good)
    beside: Good = field(default_factory=Good)
    seen: list[tuple[float, int]] = field(default_factory=list)
    """How many connections the service had after how many seconds, the good client's not counted."""
    busy_alone: float = 0.0
    busy_beside: float = 0.0
    """Seconds of the processor that the service used in a second; other programs do not change them much."""
    bytes_each: float = 0.0
    may_stay: bool = False
    gathered: float = 6.0
    """Seconds after which all are there, and their memory is measured."""

    @property
    def opened(self) -> int:
        """The most that were there at once."""
        return max((count for _, count in self.seen), default=0)

    @property
    def left(self) -> int:
        """Those that were there in the end."""
        return self.seen[-1][1] if self.seen else 0

    @property
    def last(self) -> float:
        """Seconds from the moment when all were there to the one when none was."""
        full = next((at for at, count in self.seen if count > 0.98 * self.opened), 0.0)
        return max((at - full for at, count in self.seen if count), default=0.0)

    @property
    def wrongs(self) -> list[str]:
        """A sentence for everything that must not be."""
        found = []
        if self.left and not self.may_stay:
            found.append(f"{self.name}: {self.left} were not closed")
        if self.last > WITHIN and not self.may_stay:
            found.append(f"{self.name}: the last was closed after {self.last:.1f} s")
        if self.beside.wrong:
            found.append(f"{self.name}: {self.beside.wrong} good answers are wrong: {self.beside.what}")
        if self.beside.p99 > TWICE * self.alone.p99:
            found.append(
                f"{self.name}: the good client's p99 is {self.beside.p99 / self.alone.p99:.2f} times"
            )
        return found


async def measured(row: Row, command: Sequence[str], served: Served) -> Row:
    """The good client alone, then beside an attack, which is a command whose PORT is filled in."""
    process = Process(served._process.pid)
    async with asking(served.port, row.alone):
        used = process.busy()
        await asyncio.sleep(ALONE)
        row.busy_alone = (process.busy() - used) / ALONE
        base, before = process.descriptors() + SPARE, process.resident()
    async with asking(served.port, row.beside):
        used = process.busy()
        words = [word.replace("PORT", str(served.port)) for word in command]
        attack = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=DEVNULL)
        try:
            await _watch(row, process, base)
        finally:
            with suppress(ProcessLookupError):
                attack.kill()
            await attack.wait()
    row.busy_beside = (process.busy() - used) / row.seen[-1][0]
    row.bytes_each = (row.bytes_each - before) / max(1, row.opened)
    return row


async def _watch(row: Row, process: Process, base: int) -> None:
    """Counts the service's connections until the slow ones have come and gone, or do not go."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < LONGEST:
        row.seen.append((passed, max(0, await asyncio.to_thread(process.descriptors) - base)))
        if not row.bytes_each and passed > row.gathered:
            row.bytes_each = await asyncio.to_thread(process.resident)
        if row.opened and not any(count for at, count in row.seen if at > passed - QUIET):
            break
        await asyncio.sleep(LOOK)


def ours(kind: str, number: int, rate: float = RATE) -> list[str]:
    """The command for an attack of soak.attackers."""
    return [sys.executable, "-m", "soak.attackers", "PORT", kind, str(number), str(LONGEST), str(rate)]


def slowhttptest(option: str, number: int) -> list[str]:
    """The command for an attack of slowhttptest, which may go on reading what it had when it was cut off."""
    common = ["-c", str(number), "-r", str(RATE), "-i", "1", "-l", str(int(LONGEST)), "-p", "3"]
    return [
        "slowhttptest",
        option,
        *TOOL[option],
        *common,
        "-u",
        f"http://127.0.0.1:PORT{TOOL_PATHS[option]}",
    ]


async def disconnects(served: Served, number: int, rate: float) -> list[float]:
    """Milliseconds from the end of each connection, so many a second, to the record of its guest."""
    clients = [Client(*await asyncio.open_connection("127.0.0.1", served.port)) for _ in range(number)]
    for index, client in enumerate(clients):
        head = f"POST /wait/{index} HTTP/1.1\r\nHost: slow\r\nContent-Length: 9\r\n\r\nabc"
        await client.send(head.encode())
    await asyncio.sleep(2.0)  # every guest waits for the rest of its body
    left: dict[str, float] = {}
    began = time.time()
    for index, client in enumerate(clients):
        await asyncio.sleep(began + index / rate - time.time())
        left[f"/wait/{index}"] = time.time()
        client.close()
    await asyncio.sleep(3.0)
    return [
        1000 * (ended - left[record["path"]])
        for record in served.records()
        if record["event"] == "invocation_finished" and record["outcome"] == "cancelled"
        if (ended := datetime.fromisoformat(record["ts"]).timestamp()) >= began - 0.001
    ]


@dataclass(slots=True)
class Findings:
    """All that one run has measured."""

    rows: list[Row] = field(default_factory=list)
    cancelled: dict[float, list[float]] = field(default_factory=dict)
    """Milliseconds until guests were cancelled, for rates of disconnects a second."""
    away: list[str] = field(default_factory=list)
    """What the log says of clients that were turned away."""


async def slow(folder: Path, number: int, idle: int, server: str) -> Findings:
    """Everything, one after the other."""
    findings = Findings()
    attacks = {f"slowhttptest {option}": slowhttptest(option, number) for option in TOOL}
    if not shutil.which("slowhttptest"):
        print("no slowhttptest on the PATH: apt-get install slowhttptest", file=sys.stderr)  # noqa: T201
        attacks.clear()
    for kind in ("heads", "bytes", "bodies", "chunks", "unread", "readers"):
        attacks[KINDS[kind].about] = ours(kind, number)
    attacks[KINDS["large"].about] = ours("large", number // 5, 40.0)
    silent, kept = (f"{idle}: {KINDS[kind].about}" for kind in ("silent", "kept"))
    attacks |= {silent: ours("silent", idle, 1200.0), kept: ours("kept", idle, 500.0)}
    with Served(folder, MODULES, TABLES + server) as served:
        for name, command in attacks.items():
            row = Row(name=name, may_stay=name == kept)
            if name in {silent, kept}:
                row.gathered = 9.0 if name == silent else 30.0
            findings.rows.append(await measured(row, command, served))
        for rate in (SUSTAINED, AT_ONCE):
            findings.cancelled[rate] = await disconnects(served, number, rate)
        records = served.records()
        findings.away = [str(record) for record in records if record["event"] == "clients_turned_away"]
        await asyncio.to_thread(served.end)
    return findings


def report(findings: Findings) -> None:
    """Prints everything."""
    columns = (
        "attack", "there", "left", "last after s", "good answers", "wrong",
        "p99 ms alone", "beside", "ratio", "CPU % alone", "beside", "KiB each",
    )  # fmt: skip
    rows = [
        (
            row.name, row.opened, row.left, row.last, len(row.beside.milliseconds),
            row.beside.wrong, row.alone.p99, row.beside.p99, row.beside.p99 / row.alone.p99,
            100 * row.busy_alone, 100 * row.busy_beside, row.bytes_each / 1024,
        )
        for row in findings.rows
    ]  # fmt: skip
    show("Slow clients", columns, rows)
    times = [
        (
            "at once" if rate == AT_ONCE else f"{rate:.0f} a second",
            len(each),
            *(percentile(each, percent) for percent in (50, 99, 100)),
        )
        for rate, each in findings.cancelled.items()
    ]
    show(
        "From a disconnect to the end of its guest",
        ("disconnects", "number", "p50 ms", "p99 ms", "most"),
        times,
    )
    for line in findings.away:
        print(line)  # noqa: T201


def wrongs(findings: Findings, number: int) -> list[str]:
    """A sentence for everything that must not be."""
    found = [sentence for row in findings.rows for sentence in row.wrongs]
    found += [
        f"{number - len(times)} guests were not cancelled when their clients left"
        for times in findings.cancelled.values()
        if len(times) != number
    ]
    late = percentile(findings.cancelled.get(SUSTAINED, []), 99)
    if late > CANCELLED:
        found.append(f"guests were cancelled late: p99 {late:.1f} ms")
    return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/slow-clients", description=__doc__)
    parser.add_argument("--number", type=int, default=1000, help="slow clients of each kind")
    parser.add_argument("--idle", type=int, default=10_000, help="idle clients")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that serve; 0: one without a supervisor"
    )
    given = parser.parse_args()
    allow_descriptors()
    with tempfile.TemporaryDirectory() as folder:
        server = f"[server]\nworkers = {given.workers}\n"
        findings = uvloop.run(slow(Path(folder), given.number, given.idle, server))
    report(findings)
    found = wrongs(findings, given.number)
    for sentence in found:
        print(sentence, file=sys.stderr)  # noqa: T201 - a command
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
