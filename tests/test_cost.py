"""What a request costs, in numbers that do not depend on the machine's mood (docs/performance.md)."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import uvloop

from paths import COMPILED, PURE
from sandbox import wat
from serverless_wasm.events import Event
from serverless_wasm.limits import DoorLimits
from serverless_wasm.server.connection import Connection
from serverless_wasm.server.shared import Shared
from serverless_wasm.wasm import engine, fiber, linker, memory, plan, pure, scheduler
from serverless_wasm.wasm.fast import CompiledSteps, Steps, find_steps
from serving import started

REQUEST = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
HELLO = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2) (data (i32.const 16) "Hello, world!\\0a")
  (func (export "handle") (call $body (i32.const 16) (i64.const 14))))"""
CALLS = """(module (import "env" "random_get" (func $random (param i32 i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2)
  (func (export "handle") (local $left i32) (local.set $left (i32.const 100))
    (loop (call $random (i32.const 64) (i64.const 16))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 64) (i64.const 9))))"""
READS = """(module (import "env" "request_get_header" (func $header (param i32 i64 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2) (data (i32.const 16) "host")
  (func (export "handle") (local $left i32) (local.set $left (i32.const 100))
    (loop (drop (call $header (i32.const 16) (i64.const 4) (i32.const 64) (i64.const 16)))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 64) (i64.const 9))))"""
COMPILED_CALLS = """(module (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "response_set_status_line" (func $status (param i32 i32 i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2) (data (i32.const 16) "no such key")
  (func (export "handle") (local $left i32) (local.set $left (i32.const 100))
    (loop (drop (call $get (i32.const 16) (i64.const 11) (i32.const 64) (i64.const 16)))
      (call $status (i32.const 200) (i32.const 0) (i64.const 0))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 64) (i64.const 9))))"""


class Wire(asyncio.Transport):
    """A transport that keeps the last answer."""

    answer = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5000) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self.answer = bytes(data)

    def is_closing(self) -> bool:
        return False


class Counts(Counter[str]):
    """Calls of Python functions, of built-in ones, and of the engine."""

    def __enter__(self) -> None:
        sys.setprofile(self._note)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, _frame: FrameType, event: str, _argument: object) -> None:
        self[event] += 1


class Engine:
    """The engine's library, each call of which is counted."""

    def __init__(self, library: Any, counts: Counts) -> None:
        self._library = library
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        self._counts["engine"] += 1
        return getattr(self._library, name)


def counted(steps: Steps, counts: Counts) -> Steps:
    """The steps; each stretch of a compiled one is a call of the engine, as Python sees it."""

    def told(step: Callable[[Any], int]) -> Callable[[Any], int]:
        def tell(guest: Any) -> int:
            counts["engine"] += 1
            return step(guest)

        return tell

    if isinstance(steps, CompiledSteps):
        steps.guest_go, steps.guest_answer = told(steps.guest_go), told(steps.guest_answer)
    return steps


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch, on_path: None) -> Iterator[Counts]:
    """Counts the engine's calls at once, the others within `with`; the collector stays out of it."""
    made = Counts()
    for room in (fiber, linker, memory, pure):
        monkeypatch.setattr(room, "lib", Engine(room.lib, made))
    for room in (plan, fiber):  # counted calls are slow, and a slice would end
        monkeypatch.setattr(room, "SLICE_TICKS", 1_000_000)
    monkeypatch.setattr(scheduler, "_SHORT", inf)  # nor does a look at the thread's clock count,
    monkeypatch.setattr(engine, "_IDLE_TICKS", inf)  # nor to wake the ticker: both hang on the machine's mood
    monkeypatch.setattr(engine, "find_steps", lambda: counted(find_steps(), made))
    gc.disable()
    yield made
    gc.enable()


def cost(folder: Path, module: str, counts: Counts) -> dict[str, int]:
    """What one request to the module costs, from the transport and back, once everything is warm."""
    (folder / "guest.wasm").write_bytes(wat(module))
    (folder / "config.toml").write_text('[[applications]]\nfile_path = "guest.wasm"\nurl_path = "/guest"\n')
    events: list[Event] = []

    async def main() -> None:
        service = await started(folder / "config.toml", events.append)
        loop = asyncio.get_running_loop()
        shared = Shared(handler=service, limits=DoorLimits(), emit=events.append)
        connection, wire = Connection(shared, loop), Wire()
        connection.connection_made(wire)

        async def ask() -> None:  # from a callback of the loop, as a transport does
            answered: asyncio.Future[None] = loop.create_future()

            def arrive() -> None:
                connection.data_received(REQUEST % b"guest")
                answered.set_result(None)

            loop.call_soon(arrive)
            await answered

        for _ in range(20):
            await ask()
        counts.clear()
        with counts:
            await ask()
        assert wire.answer.startswith(b"HTTP/1.1 200 OK\r\n"), wire.answer
        connection.connection_lost(None)
        await service.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return {"python": counts["call"], "builtin": counts["c_call"], "engine": counts["engine"]}


def within(found: dict[str, int], most: dict[str, int]) -> None:
    """No count is above its budget, nor so far below that the budget guards nothing any more.

    Later Pythons make fewer calls: they inline comprehensions (PEP 709).
    """
    for kind, budget in most.items():
        assert 0.7 * budget <= found[kind] <= budget, f"{kind}: {found[kind]}, budget {budget}"


BUDGETS = {
    COMPILED: {
        "hello": {"python": 55, "builtin": 32, "engine": 2},
        "host calls": {"python": 704, "builtin": 358, "engine": 4},
        "reads": {"python": 57, "builtin": 32, "engine": 2},
        "compiled ones": {"python": 56, "builtin": 32, "engine": 2},
    },
    PURE: {
        "hello": {"python": 122, "builtin": 70, "engine": 18},
        "host calls": {"python": 722, "builtin": 370, "engine": 18},
        "reads": {"python": 922, "builtin": 470, "engine": 18},
        "compiled ones": {"python": 1_622, "builtin": 570, "engine": 18},
    },
}
"""Of the engine there is one call for a compiled stretch, one to free the store, and those for a window."""


def test_hello(tmp_path: Path, counts: Counts, engine_path: str) -> None:
    """A request that waits for nothing: no task, and a compiled stretch, or a poll for each of two calls."""
    within(cost(tmp_path, HELLO, counts), BUDGETS[engine_path]["hello"])


def test_host_call(tmp_path: Path, counts: Counts, engine_path: str) -> None:
    """A host call that writes to a window asks nothing of the engine."""
    within(cost(tmp_path, CALLS, counts), BUDGETS[engine_path]["host calls"])


def test_reading(tmp_path: Path, counts: Counts, engine_path: str) -> None:
    """A hundred looks at a header of the request cost what one does, on the compiled path."""
    within(cost(tmp_path, READS, counts), BUDGETS[engine_path]["reads"])


def test_compiled_host_calls(tmp_path: Path, counts: Counts, engine_path: str) -> None:
    """Two hundred of them cost what one does, on the compiled path."""
    within(cost(tmp_path, COMPILED_CALLS, counts), BUDGETS[engine_path]["compiled ones"])
