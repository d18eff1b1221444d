"""Guest code of either kind, a core module or a component: compiled once, ever, and loaded from the cache.

The bytes of an application come in; an artifact, and later what is made of it, goes out.
It must never give a component to be run whose bytes the engine has not validated.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import msgspec

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.artifacts import Artifact, Cache, Entry, digest_of
from serverless_wasm.wasm.binary import COMPONENT, Beginning, beginning, memories
from serverless_wasm.wasm.components.blueprint import Blueprint
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.components.reader import read
from serverless_wasm.wasm.components.skeleton import validate_component
from serverless_wasm.wasm.engine import CompilingEngine, Engine
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.modules import Module, Shapes, compile_module, load_module

Code = Module | Component


class InlineCompiler:
    """Compiles as wasm/compiler.py's process does, but in a thread of this process, without its limits."""

    def __init__(self, cache: Cache, *, fuel: bool = False, limits: ModuleLimits | None = None) -> None:
        self._cache = cache
        self._limits = limits or ModuleLimits()
        self._engine = CompilingEngine(fuel=fuel)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compiler")

    async def compile(self, data: bytes) -> Artifact:
        """The artifact of these bytes, in its turn; raises CompileError."""
        loop = asyncio.get_running_loop()
        work = partial(compile_code, self._engine, data, self._cache, self._limits)
        return await loop.run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Waits for what is being compiled, then frees the engine."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._engine.close()


def compile_code(
    engine: Engine | CompilingEngine, data: bytes, cache: Cache, limits: ModuleLimits
) -> Artifact:
    """Has the code of these bytes in the cache, from where `load_code` takes it.

    Raises CompileError when they are neither a valid module nor a valid component, are beyond a limit, or
    cannot be kept.
    """
    if not data.startswith(COMPONENT):
        return compile_module(engine, data, cache, limits)
    digest = digest_of(data)
    entry = cache.get(digest, fuel=engine.fuel)
    if entry and all(cache.find(part, fuel=engine.fuel) for part in entry.artifact.parts or ()):
        return entry.artifact
    return _compile_component(engine, data, cache, limits)


def _compile_component(
    engine: Engine | CompilingEngine, data: bytes, cache: Cache, limits: ModuleLimits
) -> Artifact:
    blueprint, modules = _read(engine, data)
    parts = [compile_module(engine, each, cache, limits, part=True) for each in modules]
    artifact = _artifact(data, modules, tuple(part.digest for part in parts))
    try:
        cache.put(Entry(artifact=artifact, shape=msgspec.json.encode(blueprint), code=b""), fuel=engine.fuel)
    except OSError as error:
        raise CompileError(f"is compiled, but cannot be kept in {cache.folder}: {error.strerror}") from error
    return artifact


def _read(engine: Engine | CompilingEngine, data: bytes) -> tuple[Blueprint, tuple[bytes, ...]]:
    """A component taken apart; raises CompileError unless it is valid, and can be run."""
    blueprint, modules = read(data)
    validate_component(engine.wheel, data)
    count = sum(memories(modules[step.module]) for step in blueprint.steps)
    if count > 1:
        raise CompileError(f"has {count} memories, where one is supported")
    return blueprint, modules


def look_into(engine: Engine, data: bytes) -> Component:
    """A component that cannot be run, as its modules are not compiled; raises CompileError."""
    blueprint, modules = _read(engine, data)
    return Component(_artifact(data, modules, ()), blueprint, ())


def _artifact(data: bytes, modules: tuple[bytes, ...], parts: tuple[str, ...]) -> Artifact:
    """A guest begins with each module's memory, and with the largest table."""
    begins = [beginning(module) for module in modules]
    memory = sum(each.memory for each in begins)
    elements = max((each.table_elements for each in begins), default=0)
    return Artifact(
        digest=digest_of(data), begins=Beginning(memory, elements), imports_memory=False, parts=parts
    )


def load_code(engine: Engine, cache: Cache, artifact: Artifact, shapes: Shapes | None = None) -> Code:
    """What `compile_code` has put there; raises CompileError when it is gone, or not for us.

    Modules that are loaded with the same `shapes` share what is alike.
    """
    if artifact.parts is None:
        return load_module(engine, cache, artifact, shapes)
    entry = cache.get(artifact.digest, fuel=engine.fuel)
    parts = [cache.find(part, fuel=engine.fuel) for part in artifact.parts]
    with suppress(msgspec.DecodeError):
        if entry and None not in parts:
            blueprint = msgspec.json.decode(entry.shape, type=Blueprint)
            modules = [load_module(engine, cache, part, shapes) for part in parts if part]
            return Component(artifact, blueprint, modules)
    cache.drop(artifact.digest, fuel=engine.fuel)
    raise CompileError(f"has no compiled code in {cache.folder} any more: it must be compiled again")
