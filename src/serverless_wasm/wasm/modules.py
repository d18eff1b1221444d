"""Guest code made runnable: bytes to a compiled module, through a cache on disk.

A module's bytes come in; a `Module` with its imports, exports and types goes out.
It must never give bytes to the engine whose structure was not checked.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import wasmtime

from serverless_wasm.errors import CompileError
from serverless_wasm.limits import MIB
from serverless_wasm.text import printable
from serverless_wasm.wasm import structure
from serverless_wasm.wasm.artifacts import Artifact, Cache, Entry, digest_of
from serverless_wasm.wasm.binary import PAGE, beginning, own_memory, require_module
from serverless_wasm.wasm.capi import borrow
from serverless_wasm.wasm.engine import CompilingEngine, Engine
from serverless_wasm.wasm.module_limits import ModuleLimits

SHAPE_LIMIT = MIB
"""Bytes that the cache keeps of a module's imports and exports: 20,000 with names of 30 letters. What has
more is asked of the engine each time it is loaded."""


_PART = b"a module of a component\0"  # so that it is not taken for the same module alone


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


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Shape:
    """What a module imports, `env.memory` of the bytes as given included, and what it exports."""

    imports: tuple[Import, ...]
    exports: tuple[Export, ...]

    @classmethod
    def of(cls, artifact: Artifact, wheel: wasmtime.Module) -> Shape:
        """That of a compiled module; asking the engine takes 15 us for each import and export."""
        imports = [Import(item.module, item.name or "", _type_of(item.type)) for item in wheel.imports]
        exports = tuple(Export(item.name, _type_of(item.type)) for item in wheel.exports)
        memory = next((export.type for export in exports if export.name == "memory"), None)
        if artifact.imports_memory and isinstance(memory, MemoryType):
            imports.append(Import("env", "memory", memory))
        return cls(tuple(imports), exports)

    def encode(self) -> bytes:
        """The same as bytes, alike for modules that are alike; none if that were more than SHAPE_LIMIT."""
        names = [item.name for item in self.exports]
        names += [name for item in self.imports for name in (item.module, item.name)]
        if sum(map(len, names)) > SHAPE_LIMIT:
            return b""  # before it is made: hostile names become six times as long
        imports = [(item.module, item.name, _plain(item.type)) for item in self.imports]
        exports = [(item.name, _plain(item.type)) for item in self.exports]
        text = json.dumps((imports, exports), separators=(",", ":")).encode()
        return text if len(text) <= SHAPE_LIMIT else b""

    @classmethod
    def decode(cls, text: bytes) -> Shape:
        """That of such bytes; raises ValueError for any others."""
        try:
            imports, exports = json.loads(text)
            return cls(
                tuple(Import(str(module), str(name), _type(kind)) for module, name, kind in imports),
                tuple(Export(str(name), _type(kind)) for name, kind in exports),
            )
        except (TypeError, RecursionError) as error:
            raise ValueError("not a shape") from error


class Shapes:
    """Gives modules that are alike one shape together, for as long as one of them lives."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[bytes, Shape] = WeakValueDictionary()

    def decode(self, text: bytes) -> Shape:
        """As of Shape."""
        shape = self._known.get(text)
        if shape is None:
            shape = self._known[text] = Shape.decode(text)
        return shape


def _plain(kind: ExternType) -> Any:
    if isinstance(kind, FunctionType):
        return kind.params, kind.results
    return {"minimum": kind.minimum, "maximum": kind.maximum} if isinstance(kind, MemoryType) else kind


def _type(plain: Any) -> ExternType:
    """Of what `_plain` gives, after it was JSON."""
    match plain:
        case [[*params], [*results]]:
            return FunctionType(tuple(params), tuple(results))
        case {"minimum": minimum, "maximum": maximum}:
            return MemoryType(minimum, maximum)
        case str(word):
            return word
    raise ValueError("not a type")


class Module:
    """A compiled module; `imports` are those of the bytes as given, `env.memory` included."""

    def __init__(self, artifact: Artifact, wheel: wasmtime.Module, shape: Shape) -> None:
        self.digest = artifact.digest
        self.begins = artifact.begins
        self.pointer = borrow("wasmtime_module_t *", wheel)
        self._wheel = wheel
        self._shape = shape

    @property
    def imports(self) -> tuple[Import, ...]:
        """What it asks of its host."""
        return self._shape.imports

    @property
    def exports(self) -> tuple[Export, ...]:
        """What it offers."""
        return self._shape.exports

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
        artifact, wheel = found or _compile(self._engine, data, digest, ModuleLimits())
        shape = Shape.of(artifact, wheel)
        if self._cache and not found:
            with suppress(OSError):  # a full disk only means that it is not kept
                self._cache.put(_entry(artifact, wheel, shape), fuel=self._engine.fuel)
        return Module(artifact, wheel, shape)


def compile_module(
    engine: Engine | CompilingEngine, data: bytes, cache: Cache, limits: ModuleLimits, *, part: bool = False
) -> Artifact:
    """Has the module of these bytes in the cache, from where `load_module` takes it.

    One that is `part` of a component is left as it is: others of the component may give it its memory.
    Raises CompileError when they are not a valid module, are beyond a limit, or cannot be kept.
    """
    require_module(data)
    digest = digest_of(_PART + data if part else data)
    found = _load(engine, cache, digest)
    artifact, wheel = found or _compile(engine, data, digest, limits, part=part)
    try:
        if not found:
            cache.put(_entry(artifact, wheel, Shape.of(artifact, wheel)), fuel=engine.fuel)
    except OSError as error:
        raise CompileError(f"is compiled, but cannot be kept in {cache.folder}: {error.strerror}") from error
    finally:
        wheel.close()
    return artifact


def load_module(engine: Engine, cache: Cache, artifact: Artifact, shapes: Shapes | None = None) -> Module:
    """The module that `compile_module` has put there; raises CompileError when it is gone, or not for us.

    The pool has limits of its own that the compiler does not know: tables, and how many. Modules that are
    loaded with the same `shapes` share what is alike.
    """
    entry = cache.get(artifact.digest, fuel=engine.fuel)
    if not entry:
        raise CompileError(f"has no compiled code in {cache.folder} any more: it must be compiled again")
    try:
        wheel = wasmtime.Module.deserialize(engine.wheel, entry.code)
        known = shapes or Shapes()
        shape = known.decode(entry.shape) if entry.shape else Shape.of(artifact, wheel)
    except (wasmtime.WasmtimeError, ValueError) as error:
        cache.drop(artifact.digest, fuel=engine.fuel)
        raise CompileError(f"cannot be loaded: {printable(str(error))}") from error
    return Module(artifact, wheel, shape)


def _entry(artifact: Artifact, wheel: wasmtime.Module, shape: Shape) -> Entry:
    return Entry(artifact=artifact, shape=shape.encode(), code=bytes(wheel.serialize()))


def _load(
    engine: Engine | CompilingEngine, cache: Cache, digest: str
) -> tuple[Artifact, wasmtime.Module] | None:
    entry = cache.get(digest, fuel=engine.fuel)
    if not entry:
        return None
    try:
        return entry.artifact, wasmtime.Module.deserialize(engine.wheel, entry.code)
    except wasmtime.WasmtimeError:  # made with other settings of the engine
        return None


def _compile(
    engine: Engine | CompilingEngine, data: bytes, digest: str, limits: ModuleLimits, *, part: bool = False
) -> tuple[Artifact, wasmtime.Module]:
    structure.check(data, limits)
    try:
        wasmtime.Module.validate(engine.wheel, data)  # as given: own_memory could hide a mistake
        owned = data if part else own_memory(data)
        wheel = wasmtime.Module(engine.wheel, owned)
    except wasmtime.WasmtimeError as error:
        raise CompileError(f"is not valid: {printable(str(error))}") from error
    return Artifact(digest=digest, begins=beginning(owned), imports_memory=owned is not data), wheel
