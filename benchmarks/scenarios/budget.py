"""Where the time of a hello goes: what each room of the house adds, measured from within, without a network.

Rounds come in; microseconds of processor time for each layer, and for the layers below it, go out.
It must never be compared with a peer: nothing is sent, and everything is as warm as it can be.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import thread_time
from typing import Any, TextIO

import uvloop
from wasmtime import wat2wasm

from benchmarks.modules import module
from benchmarks.report import Cell, Report, Table
from benchmarks.rounds import Bench
from serverless_wasm.config.load import load
from serverless_wasm.events import Emit, Event
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Prepared, Request
from serverless_wasm.observe.logs import Logs, Style
from serverless_wasm.observe.sink import open_lock
from serverless_wasm.release import Builder
from serverless_wasm.server.connection import Connection
from serverless_wasm.server.shared import Shared
from serverless_wasm.service import Service
from serverless_wasm.wasm.artifacts import open_cache
from serverless_wasm.wasm.engine import Engine
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.modules import Compiler
from serverless_wasm.wasm.plan import Call, Terms
from serverless_wasm.wasm.pure import OVER

BATCH = 2_000
WARM = 1_000
SILENT = '(module (memory (export "memory") 2) (func (export "handle")))'
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: budget\r\n\r\n"
LAYERS = (
    ("engine", "a store with its limits, an instance, a call, and the end of them: C, called from Python"),
    ("contract", "the fiber, the scheduler, the ticker, the host function, the response, the record"),
    ("application", "whether there is room, and it is in service"),
    ("service", "the route"),
    ("door", "reading the request, writing the response, deadlines"),
    ("log", "the access record, as JSON, to /dev/null, with the lock that processes share"),
)


def measure(bench: Bench) -> Report:
    """Runs the scenario."""
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        _kept_apart(),
    ):
        rounds = [runner.run(_round(nowhere)) for _ in range(max(3, bench.rounds))]
    least = [min(costs) for costs in zip(*rounds, strict=True)]
    rows: list[tuple[Cell, ...]] = []
    before = 0.0
    for (name, what), cost in zip(LAYERS, least, strict=True):
        rows.append((name, cost - before, cost, what))
        before = cost
    return Report(
        name="budget",
        title="Where the time of a hello goes",
        about="Processor time of one thread, the least of all rounds; no network, no other process.",
        tables=(Table(title="Microseconds", columns=("layer", "adds", "so far", "what"), rows=tuple(rows)),),
        notes=("what the kernel and the event loop need for sockets comes on top: see `hello`",),
    )


@contextmanager
def _kept_apart() -> Iterator[None]:
    """Without pauses of the collector, which would hit one layer or another."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def _round(nowhere: TextIO) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        config.write_text(f'[[applications]]\nfile_path = "{module("hello")}"\nurl_path = "/"\n')
        lock = open_lock()
        logs = Logs(nowhere, Style.JSON, lock=lock)
        logs.gather(asyncio.get_running_loop().call_soon)
        try:
            return (*await _inner(config), await _door(config, _ignore), await _door(config, logs))
        finally:
            os.close(lock)


def _ignore(_: Event) -> None:
    """An Emit that keeps nothing."""


async def _started(config: Path, emit: Emit) -> Service:
    cache = open_cache(emit)
    service = Service(emit, cache)
    await service.start(await Builder(cache).build(load(config)))
    return service


async def _inner(config: Path) -> tuple[float, ...]:
    """Engine, contract, application and service, each as it answers at once."""
    service = await _started(config, _ignore)
    application: Any = service.deployment.applications[0]
    request = Request(id="x-1", method="GET", path="/", host="127.0.0.1")
    contract, program = application._prompt.answer, application._program  # noqa: SLF001 - a layer from within
    layers: tuple[Callable[[Request], object], ...] = contract, application.at_once, service.at_once

    def of(layer: Callable[[Request], object]) -> float:
        if not isinstance(layer(request), Prepared):
            raise TypeError("a hello that is not answered at once: is there a compiled path?")
        return _least(lambda: layer(request))

    try:
        return _engine(service.deployment.room.engine, program.linked), *map(of, layers)
    finally:
        await service.stop()


def _engine(engine: Engine, linked: LinkedModule) -> float:
    """The steps of one guest that asks nothing of its host."""
    silent = linked.kept.link(
        Compiler(engine).compile(bytes(wat2wasm(SILENT))), Terms(calls=(Call(b"handle"),))
    )

    def once() -> None:
        guest = engine.lend_guest()
        guest.plan = silent.plan.own
        if engine.steps.guest_go(guest) != OVER:
            raise RuntimeError("a guest that waits for nothing was not over")
        engine.free_guest(guest)

    return _least(once)


def _least(once: Callable[[], object]) -> float:
    for _ in range(WARM):
        once()
    began = thread_time()
    for _ in range(BATCH):
        once()
    return (thread_time() - began) / BATCH * 1e6


class _Wire(asyncio.Transport):
    """Takes what is written, and forgets it."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5000) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        if not data.startswith(b"HTTP/1.1 200 "):  # type: ignore[union-attr] # bytes, for all that is small
            raise RuntimeError(f"not the answer to a hello: {bytes(data)!r}")

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


async def _door(config: Path, emit: Emit) -> float:
    """All of it, from the bytes that a transport hands over to those that it is given."""
    service, loop = await _started(config, emit), asyncio.get_running_loop()
    shared = Shared(handler=service, limits=DoorLimits(), emit=emit)
    connection = Connection(shared, loop)
    connection.connection_made(_Wire())
    told: asyncio.Future[float] = loop.create_future()

    def ask() -> None:
        connection.data_received(REQUEST)
        shared.departures.leave()

    def from_a_callback() -> None:  # as a transport does: within a task each request would be one, too
        told.set_result(_least(ask))

    loop.call_soon(from_a_callback)
    try:
        return await told
    finally:
        connection.connection_lost(None)
        await service.stop()
