"""Components of inline modules for tests: no reader has a part in them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox import Sandbox, wat
from serverless_wasm.abi.wasi_http import interface
from serverless_wasm.abi.wasi_http.interface import ANSWERS
from serverless_wasm.abi.wasi_http.world import Handles
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.artifacts import Artifact
from serverless_wasm.wasm.binary import Beginning
from serverless_wasm.wasm.components.blueprint import (
    Argument,
    Blueprint,
    Builtin,
    Export,
    Host,
    Lifted,
    Lowered,
    Options,
    Step,
)
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.components.crossing import Crossing
from serverless_wasm.wasm.components.linking import ComponentLinker, call_of
from serverless_wasm.wasm.components.types import Signature
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import LinkedModule, Linker
from serverless_wasm.wasm.plan import Terms

OPTIONS = Options(memory=Export(0, "memory"), realloc=Export(0, "realloc"))
BASE = """(memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.add (global.get $next) (i32.add (local.get 3) (i32.const 8)))))"""


@dataclass
class World:
    """What the functions of these tests are called with."""

    handles: Handles = field(default_factory=Handles)
    seen: list[Any] = field(default_factory=list)

    def close(self) -> None:
        self.handles.close()


def component(
    sandbox: Sandbox,
    functions: Sequence[interface.Function | Builtin],
    *modules: str,
    options: Options = OPTIONS,
) -> tuple[Component, dict[str, interface.Function]]:
    """One of these modules; what each imports from `host` are the functions, by their names.

    Any other import is of an earlier module: `0` and so on.
    """
    wanted = [
        each if isinstance(each, Builtin) else Lowered("test", each.name, each.signature, options)
        for each in functions
    ]
    names = [each.kind if isinstance(each, Builtin) else each.name for each in functions]
    compiled = [sandbox.compiler.compile(wat(f"(module {text})")) for text in modules]
    steps = []
    for number, module in enumerate(compiled):
        arguments = [
            Argument(
                item.module,
                item.name,
                Host(names.index(item.name))
                if item.module == "host"
                else Export(int(item.module), item.name),
            )
            for item in module.imports
        ]
        steps.append(Step(number, tuple(arguments)))
    entry = Lifted("test", "handle", Signature(), Export(len(modules) - 1, "handle"), options)
    blueprint = Blueprint(len(modules), tuple(steps), tuple(wanted), (entry,), ())
    artifact = Artifact(digest="0", begins=Beginning(65_536, 0), imports_memory=False)
    offered = {each.name: each for each in functions if not isinstance(each, Builtin)}
    return Component(artifact, blueprint, compiled), offered


class Room:
    """Runs components in a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.core = Linker(sandbox.engine, sandbox.scheduler)

    def link(
        self, functions: Sequence[interface.Function | Builtin], *modules: str, options: Options = OPTIONS
    ) -> LinkedModule:
        made, offered = component(self.sandbox, functions, *modules, options=options)
        (entry,) = made.blueprint.exports
        linker = ComponentLinker(self.sandbox.scheduler, self.core, ANSWERS)
        terms = Terms(calls=(call_of(entry, ()),))
        return linker.link(made, lambda wanted: offered[wanted.name], entry, terms)

    def run(self, linked: LinkedModule, limits: Limits | None = None) -> World:
        return asyncio.run(self.go(linked, limits or Limits()))

    async def go(self, linked: LinkedModule, limits: Limits) -> World:
        world = World()
        fiber = Fiber(self.sandbox.engine, linked.plan, None)
        fiber.crossing = Crossing(fiber, world)
        fiber.deadline = asyncio.get_running_loop().time() + limits.timeout
        fiber.budget = limits.host_calls
        try:
            await self.sandbox.scheduler.run(fiber)
        finally:
            fiber.close()
        return world


def see(world: World, *values: Any) -> None:
    world.seen.append(values[0] if len(values) == 1 else values)
