"""What keys and values cost a guest beside plain Python, and how long a start takes with modules from S3.

A choice and a number of rounds come in; tables go out, of medians over rounds within one run.
It must never compare with another run: the machine is another one a minute later.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import obstore
import redis
import uvloop

from sandbox import wat
from serverless_wasm.stores import open_objects
from services import READY, Service, free_ports, program, running, seaweed
from soak.figures import median, show
from soak.served import Served

CALLS = 500
CLIENTS = 16
APPLICATIONS = 50
VALUE = 100
_LOOP = """(module
  (import "env" "{name}" (func $call (param i32 i64 i32 i64) (result {result})))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle") (local $left i32)
    (local.set $left (i32.const {calls}))
    (loop $again
      (i32.store (i32.const 0) (local.get $left))
      (if ({result}.lt_s (call $call (i32.const 0) (i64.const 4) (i32.const 64) (i64.const {value}))
                         ({result}.const 0)) (then unreachable))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 0) (i64.const 4))))"""
"""Calls a function so many times, each time with another key."""
_MODULE = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 0) "{number}")
  (func (export "handle") (call $body (i32.const 0) (i64.const 2))))"""
Work = Callable[[], None]


def _tables(port: int) -> str:
    applications = "".join(
        f'[[applications]]\nfile_path = "{name}.wasm"\nurl_path = "/{store}/{name}"\n'
        f'name = "{store}-{name}"\nkey_value = ["{store}"]\n'
        'limits = { timeout = "60s", cpu = "60s", store_timeout = "30s" }\n'
        for store in ("sqlite", "redis")
        for name in ("set", "get")
    )
    return (
        f"[server]\nworkers = 1\n{applications}"
        '[key_value.sqlite]\nurl = "sqlite:///keys.db"\nshared = true\n'
        f'[key_value.redis]\nurl = "redis://127.0.0.1:{port}/0"\nshared = true\n'
    )


def _pairs() -> Iterator[tuple[bytes, bytes]]:
    for left in range(CALLS, 0, -1):
        yield left.to_bytes(4, "little"), bytes(VALUE)


@contextmanager
def _plain_sqlite(path: Path) -> Iterator[dict[str, Work]]:
    """The same with the library alone, as durable: a transaction for each write, synchronised."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE pairs (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def write() -> None:
        for pair in _pairs():
            connection.execute("INSERT OR REPLACE INTO pairs VALUES (?, ?)", pair)

    def read() -> None:
        for key, _ in _pairs():
            connection.execute("SELECT value FROM pairs WHERE key = ?", (key,)).fetchone()

    try:
        yield {"set": write, "get": read}
    finally:
        connection.close()


@contextmanager
def _plain_redis(port: int) -> Iterator[dict[str, Work]]:
    """The same with the library alone, one question after the other."""
    with redis.Redis(port=port, db=1) as client:

        def write() -> None:
            for key, value in _pairs():
                client.set(key, value)

        def read() -> None:
            for key, _ in _pairs():
                client.get(key)

        yield {"set": write, "get": read}


def _rate(calls: int, work: Work) -> float:
    began = time.perf_counter()
    work()
    return calls / (time.perf_counter() - began)


async def _ask(port: int, path: str, clients: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        answers = await asyncio.gather(*(client.get(path) for _ in range(clients)))
    if any(answer.status_code != 200 for answer in answers):
        raise AssertionError([answer.text for answer in answers])


def _guests(port: int, path: str, clients: int) -> Work:
    return lambda: uvloop.run(_ask(port, path, clients))


def keys(folder: Path, rounds: int) -> None:
    """Operations a second: of plain Python, of one guest, of several at once."""
    (port,) = free_ports(1)
    arguments = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    (folder / "redis").mkdir()
    (folder / "served").mkdir()
    modules = {
        name: _LOOP.format(name=f"kv_{name}", result=result, calls=CALLS, value=VALUE)
        for name, result in (("set", "i32"), ("get", "i64"))
    }
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    with (
        running(arguments, folder / "redis" / "log", "Ready to accept connections"),
        Served(folder / "served", modules, _tables(port)) as served,
        _plain_sqlite(folder / "plain.db") as on_disk,
        _plain_redis(port) as on_server,
    ):
        for _ in range(rounds):
            for store, plain in (("sqlite", on_disk), ("redis", on_server)):
                for name in ("set", "get"):
                    path = f"/{store}/{name}"
                    rates = (
                        _rate(CALLS, plain[name]),
                        _rate(CALLS, _guests(served.port, path, 1)),
                        _rate(CALLS * CLIENTS, _guests(served.port, path, CLIENTS)),
                    )
                    found.setdefault((store, name), []).append(rates)
    rows = []
    for (store, name), each_round in found.items():
        medians = [int(median([each[at] for each in each_round])) for at in range(3)]
        ratios = [median([each[at] / each[0] for each in each_round]) for at in (1, 2)]
        rows.append((f"{store} {name}", *medians, *ratios))
    columns = ("store", "plain Python", "one guest", f"{CLIENTS} guests", "one over plain", "all over plain")
    show(f"Operations a second on values of {VALUE} bytes, medians of {rounds} rounds", columns, rows)


def _from_s3(service: Service) -> str:
    options = "".join(f'{key} = "{value}"\n' for key, value in service.options.items())
    applications = "".join(
        f'[[applications]]\nfile_path = "{service.url}/modules/{number}.wasm"\nurl_path = "/{number}"\n'
        for number in range(APPLICATIONS)
    )
    return f'[server]\nworkers = 1\n{applications}[stores.test]\nurl = "{service.url}"\n{options}'


def start(folder: Path, rounds: int) -> None:
    """Seconds from the command to a port that answers: with nothing on the disk, and with all of it."""
    (folder / "s3").mkdir()
    with seaweed(folder / "s3") as service:
        objects = open_objects(service.remote(), READY)
        for number in range(APPLICATIONS):
            obstore.put(objects, f"modules/{number}.wasm", wat(_MODULE.format(number=number)))
        times: dict[str, list[float]] = {"cold": [], "from cache": []}
        for number in range(rounds):
            place = folder / f"served-{number}"
            place.mkdir()
            for taken in times.values():
                began = time.perf_counter()
                with Served(place, {}, _from_s3(service)) as served:
                    taken.append(time.perf_counter() - began)
                    uvloop.run(_ask(served.port, f"/{APPLICATIONS - 1}", 1))
    show(
        f"A start with {APPLICATIONS} applications from S3, seconds, medians of {rounds} rounds",
        ("start", "seconds", "over cold"),
        [(kind, median(each), median(each) / median(times["cold"])) for kind, each in times.items()],
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="scripts/stores", description=__doc__)
    parser.add_argument("what", choices=("keys", "start"), nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for name, measure in (("keys", keys), ("start", start)):
        if given.what in {None, name}:
            with tempfile.TemporaryDirectory() as folder:
                measure(Path(folder), given.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
