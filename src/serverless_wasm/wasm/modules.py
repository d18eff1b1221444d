"""Guest code made runnable: bytes to a compiled module, through a cache on disk.

A module's bytes come in; a `Module` with its imports, exports and types goes out.
It must never give bytes to the engine whose structure was not checked.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import wasmtime

from serverless_wasm.errors import CompileError
from serverless_wasm.text import printable
from serverless_wasm.wasm import structure
from serverless_wasm.wasm.artifacts import Artifact, Cache, digest_of
from serverless_wasm.wasm.binary import PAGE, beginning, own_memory, require_module
from serverless_wasm.wasm.capi import borrow
from serverless_wasm.wasm.engine import CompilingEngine, Engine
from serverless_wasm.wasm.module_limits import ModuleLimits


@dataclass(frozen=True, slots=True)
class FunctionType:
    """A function's parameter and result types, each `i32`, `i64`, `f32`, `f64`, `v128` or a reference."""

    params: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"({' '.join(self.params)}) -> ({' '.join(self.results)})"


@dataclass(frozen=True, slots=True)
class MemoryType:
    """A memory's limits, in bytes; `maximum` is None when the module states none."""

    minimum: int
    maximum: int | None

    def __str__(self) -> str:
        return f"from {self.minimum} to {self.maximum or 'any number of'} bytes"


ExternType = FunctionType | MemoryType | str
"""A function's or a memory's type, or the bare word `table` or `global`."""


@dataclass(frozen=True, slots=True)
class Import:
    """What a module asks of its host; names are as the module has them, unsafe to print."""

    module: str
    name: str
    type: ExternType

    @property
    def is_memory(self) -> bool:
        """Whether this is the memory that the host defines for the module (binary.own_memory)."""
        return (self.module, self.name) == ("env", "memory") and isinstance(self.type, MemoryType)

    def __str__(self) -> str:
        return f"{printable(self.module, 64)}.{printable(self.name, 64)} {self.type}"


@dataclass(frozen=True, slots=True)
class Export:
    """What a module offers; the name is as the module has it, unsafe to print."""

    name: str
    type: ExternType

    def __str__(self) -> str:
        return f"{printable(self.name, 64)} {self.type}"


class Module:
    """A compiled module; `imports` are those of the bytes as given, `env.memory` included."""

    def __init__(self, artifact: Artifact, wheel: wasmtime.Module) -> None:
        self.digest = artifact.digest
        self.begins = artifact.begins
        self.imports = tuple(
            Import(item.module, item.name or "", _type_of(item.type)) for item in wheel.imports
        )
        self.exports = tuple(Export(item.name, _type_of(item.type)) for item in wheel.exports)
        self.pointer = borrow("wasmtime_module_t *", wheel)
        self._wheel = wheel
        if artifact.imports_memory and self.memory:
            self.imports = (*self.imports, Import("env", "memory", self.memory))

    @property
    def memory(self) -> MemoryType | None:
        """The type of the memory exported as `memory`, or None."""
        found = self.export("memory")
        return found if isinstance(found, MemoryType) else None

    def export(self, name: str) -> ExternType | None:
        """The type of the export of that name, or None."""
        return next((export.type for export in self.exports if export.name == name), None)

    def close(self) -> None:
        """Frees the compiled code once no instance uses it."""
        self._wheel.close()


def _type_of(kind: Any) -> ExternType:
    if isinstance(kind, wasmtime.FuncType):
        return FunctionType(tuple(map(str, kind.params)), tuple(map(str, kind.results)))
    if isinstance(kind, wasmtime.MemoryType):
        limits = kind.limits
        return MemoryType(limits.min * PAGE, None if limits.max is None else limits.max * PAGE)
    return "table" if isinstance(kind, wasmtime.TableType) else "global"


class Compiler:
    """Compiles modules for one engine in this process, kept in `cache` if there is one."""

    def __init__(self, engine: Engine, cache: Cache | None = None) -> None:
        self._engine = engine
        self._cache = cache

    def compile(self, data: bytes) -> Module:
        """The module of these bytes, from the cache or compiled now, which may take seconds.

        Raises CompileError when they are not a valid module, or beyond a limit of its structure.
        """
        require_module(data)
        digest = digest_of(data)
        found = _load(self._engine, self._cache, digest) if self._cache else None
        if found:
            return Module(*found)
        artifact, wheel = _compile(self._engine, data, digest, ModuleLimits())
        if self._cache:
            with suppress(OSError):  # a full disk only means that it is not kept
                self._cache.put(artifact, bytes(wheel.serialize()), fuel=self._engine.fuel)
        return Module(artifact, wheel)


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
        work = partial(compile_module, self._engine, data, self._cache, self._limits)
        return await loop.run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Waits for what is being compiled, then frees the engine."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._engine.close()


def compile_module(
    engine: Engine | CompilingEngine, data: bytes, cache: Cache, limits: ModuleLimits
) -> Artifact:
    """Has the module of these bytes in the cache, from where `load_module` takes it.

    Raises CompileError when they are not a valid module, are beyond a limit, or cannot be kept.
    """
    require_module(data)
    digest = digest_of(data)
    found = _load(engine, cache, digest)
    artifact, wheel = found or _compile(engine, data, digest, limits)
    try:
        if not found:
            cache.put(artifact, bytes(wheel.serialize()), fuel=engine.fuel)
    except OSError as error:
        raise CompileError(f"is compiled, but cannot be kept in {cache.folder}: {error.strerror}") from error
    finally:
        wheel.close()
    return artifact


def load_module(engine: Engine, cache: Cache, artifact: Artifact) -> Module:
    """The module that `compile_module` has put there; raises CompileError when it is gone, or not for us.

    The pool has limits of its own that the compiler does not know: tables, and how many.
    """
    found = cache.get(artifact.digest, fuel=engine.fuel)
    if not found:
        raise CompileError(f"has no compiled code in {cache.folder} any more: it must be compiled again")
    try:
        return Module(artifact, wasmtime.Module.deserialize(engine.wheel, found[1]))
    except wasmtime.WasmtimeError as error:
        cache.drop(artifact.digest, fuel=engine.fuel)
        raise CompileError(f"cannot be loaded: {printable(str(error))}") from error


def _load(
    engine: Engine | CompilingEngine, cache: Cache, digest: str
) -> tuple[Artifact, wasmtime.Module] | None:
    found = cache.get(digest, fuel=engine.fuel)
    if not found:
        return None
    artifact, code = found
    try:
        return artifact, wasmtime.Module.deserialize(engine.wheel, code)
    except wasmtime.WasmtimeError:  # made with other settings of the engine
        return None


def _compile(
    engine: Engine | CompilingEngine, data: bytes, digest: str, limits: ModuleLimits
) -> tuple[Artifact, wasmtime.Module]:
    structure.check(data, limits)
    try:
        wasmtime.Module.validate(engine.wheel, data)  # as given: own_memory could hide a mistake
        owned = own_memory(data)
        wheel = wasmtime.Module(engine.wheel, owned)
    except wasmtime.WasmtimeError as error:
        raise CompileError(f"is not valid: {printable(str(error))}") from error
    return Artifact(digest=digest, begins=beginning(owned), imports_memory=owned is not data), wheel
