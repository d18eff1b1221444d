"""What an application notices of eight busy guests, and how late those are stopped (THREATS S3, S4).

Seconds for each measurement come in; a table goes out, of ratios within one round, and of their medians.
It must never compare with another run: the machine is another one a minute later.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import uvloop

from soak.figures import median, percentile, show
from soak.guests import GOOD
from soak.load import Pool, Tally, at_pace, good, hostile, one_by_one
from soak.served import Served

BUSY = 8
RATE = 200.0
DEADLINE_MS = 100
_GUEST = """(module
  (import "env" "log" (func $log (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 16) (data (i32.const 0) "192.0.2.1:80")
  (func (export "handle") (loop {body} (br 0))))"""
KINDS = {
    "loop": "",
    "host calls (db_get)": "(drop (call $get (i32.const 0) (i64.const 8) (i32.const 64) (i64.const 64)))",
    "host calls (log)": "(call $log (i32.const 0) (i64.const 8))",
    "refused connections": "(drop (call $connect (i32.const 0) (i64.const 12)))",
    "memory.fill of 1 MiB": "(memory.fill (i32.const 0) (i32.const 1) (i32.const 1048576))",
}
_LONG = 'timeout = "600s", cpu = "600s", host_calls = 1000000000'
_SHORT = f'timeout = "{DEADLINE_MS}ms", host_calls = 1000000000'


def _name(kind: str, limit: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in f"{limit}-{kind}".lower()).strip("-")


def _tables() -> str:
    limits = {
        _name(kind, limit): text for kind in KINDS for limit, text in (("long", _LONG), ("short", _SHORT))
    }
    return "[server]\nworkers = 1\n" + "\n".join(
        f'[[applications]]\nname = "{name}"\nfile_path = "{name}.wasm"\nurl_path = "/{name}"\n'
        f"limits = {{ {limits.get(name, '')} }}"
        for name in (*limits, "hello")
    )


def _modules() -> dict[str, str | bytes]:
    busy = {
        _name(kind, limit): _GUEST.format(body=KINDS[kind]) for kind in KINDS for limit in ("long", "short")
    }
    return {**busy, "hello": GOOD["hello"].module}


@asynccontextmanager
async def _beside(served: Served, name: str) -> AsyncIterator[None]:
    """Eight guests of the application, busy from the beginning to the end; their clients leave then."""
    pool, tally = Pool(served.port), Tally()
    end = asyncio.get_running_loop().time() + 3600
    ask = partial(hostile, pool, name, tally, _Stays())
    tasks = [asyncio.create_task(one_by_one(ask, 0, end)) for _ in range(BUSY)]
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.close()
        await asyncio.sleep(0.3)


class _Stays(Random):
    """No client leaves before its guest is over."""

    def random(self) -> float:
        """Never small enough to leave."""
        return 1.0


async def _latencies(served: Served, seconds: float) -> list[float]:
    pool, tally = Pool(served.port), Tally()
    end = asyncio.get_running_loop().time() + seconds
    try:
        await at_pace(partial(good, pool, "hello", GOOD["hello"], b"", tally), RATE, end)
    finally:
        pool.close()
    if tally.wrong:
        raise AssertionError(tally.what)
    return tally.milliseconds


async def _round(served: Served, seconds: float) -> dict[str, list[float]]:
    """The latencies of one round: idle, and beside each kind of busy guests."""
    found = {"idle": await _latencies(served, seconds)}
    for kind in KINDS:
        async with _beside(served, _name(kind, "long")):
            found[kind] = await _latencies(served, seconds)
    return found


async def _late(served: Served, seconds: float) -> dict[str, list[float]]:
    """Milliseconds beyond the deadline at which eight guests of each kind were stopped."""
    for kind in KINDS:
        async with _beside(served, _name(kind, "short")):
            await asyncio.sleep(seconds)
    names = {_name(kind, "short"): kind for kind in KINDS}
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for record in served.records():
        if record["event"] == "invocation_finished" and record["outcome"] == "deadline":
            found[names[record["application"]]].append(record["wall_ms"] - DEADLINE_MS)
    return found


def report(rounds: list[dict[str, list[float]]], late: dict[str, list[float]]) -> None:
    """Prints the figures of every round, and the medians."""
    rows = []
    for kind in ("idle", *KINDS):
        p99s = [percentile(found[kind], 99) for found in rounds]
        ratios = [p99 / percentile(found["idle"], 99) for p99, found in zip(p99s, rounds, strict=True)]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        p50 = median([median(found[kind]) for found in rounds])
        rows.append(
            (kind, p50, median(p99s), max(max(found[kind]) for found in rounds), each, median(ratios))
        )
    columns = ("beside", "p50 ms", "p99 ms", "most ms", "p99 over idle, each round", "median")
    show(f"A good application at {RATE:.0f} requests a second beside {BUSY} busy guests", columns, rows)
    show(
        f"Milliseconds beyond a deadline of {DEADLINE_MS} ms, with {BUSY} busy guests",
        ("guests", "stopped", "p50", "p99", "most"),
        [(k, len(v), percentile(v, 50), percentile(v, 99), max(v, default=0.0)) for k, v in late.items()],
    )


async def _main(folder: Path, seconds: float, rounds: int) -> None:
    with Served(folder, _modules(), _tables()) as served:
        await _latencies(served, 1)
        found = [await _round(served, seconds) for _ in range(rounds)]
        report(found, await _late(served, seconds))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/neighbours", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=5.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(_main(Path(folder), given.seconds, given.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
