"""A small engine room for tests: inline WAT in, what the guest did out."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import wasmtime

from serverless_wasm.limits import Limits
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.binary import COMPONENT
from serverless_wasm.wasm.code import Code, compile_code, load_code
from serverless_wasm.wasm.engine import Engine, EngineSettings
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import HostFunction, LinkedModule, Linker
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.modules import Compiler
from serverless_wasm.wasm.plan import Call, Plan, Terms
from serverless_wasm.wasm.scheduler import Scheduler

I32, I64 = 0, 1
HANDLE = Call(b"handle")


def wat(text: str) -> bytes:
    """WebAssembly text as bytes."""
    return bytes(wasmtime.wat2wasm(text))


class Sandbox:
    """An engine with `slots`, and modules linked against a table of host functions."""

    def __init__(self, slots: int = 64, *, fuel: bool = False) -> None:
        self.engine = Engine(EngineSettings(slots=slots, fuel=fuel))
        self.scheduler = Scheduler(self.engine)
        self.compiler = Compiler(self.engine)

    def linker(self, functions: Iterable[HostFunction]) -> Linker:
        """Offers the functions as imports of `env`."""
        linker = Linker(self.engine, self.scheduler)
        for function in functions:
            linker.define(function)
        return linker

    def code(self, data: bytes) -> Code:
        """A module, or a component by way of a cache that is gone afterwards."""
        if not data.startswith(COMPONENT):
            return self.compiler.compile(data)
        with tempfile.TemporaryDirectory() as folder:
            cache = Cache(Path(folder))
            return load_code(self.engine, cache, compile_code(self.engine, data, cache, ModuleLimits()))

    def link(self, text: str, *functions: HostFunction) -> LinkedModule:
        """A linked module of inline WAT."""
        return self.linker(functions).link(self.compiler.compile(wat(text)), Terms())

    def fiber(
        self, linked: LinkedModule, owner: Any = None, limits: Limits | None = None, call: Call = HANDLE
    ) -> Fiber:
        """A fiber whose deadline is the limits' timeout from now; the test closes it."""
        terms = Terms(limits=limits or Limits(), calls=(call,))
        fiber = Fiber(self.engine, Plan(self.engine, linked.recipe, terms), owner)
        fiber.deadline = asyncio.get_running_loop().time() + terms.limits.timeout
        return fiber

    async def run(
        self,
        linked: LinkedModule,
        function: bytes = b"handle",
        *,
        owner: Any = None,
        limits: Limits | None = None,
    ) -> Fiber:
        """Instantiates and calls; returns the closed fiber for what it counted, or raises its end."""
        fiber = self.fiber(linked, owner, limits, Call(function))
        try:
            await self.scheduler.run(fiber)
            return fiber
        finally:
            fiber.close()

    def close(self) -> None:
        """Stops the engine."""
        self.engine.close()
