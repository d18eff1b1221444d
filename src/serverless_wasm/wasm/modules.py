"""Guest code made runnable: bytes to a compiled module, through a cache on disk.

A module's bytes come in; a `Module` with its imports, exports and types goes out.
It must never load native code that this user did not write itself.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime

from serverless_wasm.errors import CompileError, EngineError
from serverless_wasm.text import printable
from serverless_wasm.wasm.binary import PAGE, Beginning, beginning, own_memory, require_module
from serverless_wasm.wasm.capi import borrow
from serverless_wasm.wasm.engine import Engine

_MAC_SIZE = 32


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

    def __init__(
        self, digest: str, wheel: wasmtime.Module, begins: Beginning, *, imports_memory: bool
    ) -> None:
        self.digest = digest
        self.begins = begins
        self.imports = tuple(
            Import(item.module, item.name or "", _type_of(item.type)) for item in wheel.imports
        )
        self.exports = tuple(Export(item.name, _type_of(item.type)) for item in wheel.exports)
        self.pointer = borrow("wasmtime_module_t *", wheel)
        self._wheel = wheel
        if imports_memory and self.memory:
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
    """Compiles modules for one engine, each distinct one once, kept in `cache` if there is one."""

    def __init__(self, engine: Engine, cache: Cache | None = None) -> None:
        self._engine = engine
        self._cache = cache

    def compile(self, data: bytes) -> Module:
        """The module of these bytes, from the cache or compiled now, which may take seconds.

        Raises CompileError when they are not a valid module, with the engine's reason.
        """
        require_module(data)
        digest = hashlib.sha256(data).hexdigest()
        try:
            wheel = self._load(digest) or self._compile(digest, data)
            owned = own_memory(data)
            return Module(digest, wheel, beginning(owned), imports_memory=owned is not data)
        except wasmtime.WasmtimeError as error:
            raise CompileError(f"is not valid: {printable(str(error))}") from error

    def _load(self, digest: str) -> wasmtime.Module | None:
        artifact = self._cache.get(digest) if self._cache else None
        if artifact is None:
            return None
        try:
            return wasmtime.Module.deserialize(self._engine.wheel, artifact)
        except wasmtime.WasmtimeError:  # other settings of the engine: compiled anew, and replaced
            return None

    def _compile(self, digest: str, data: bytes) -> wasmtime.Module:
        wasmtime.Module.validate(self._engine.wheel, data)  # as given: own_memory could hide a mistake
        wheel = wasmtime.Module(self._engine.wheel, own_memory(data))
        if self._cache:
            self._cache.put(digest, bytes(wheel.serialize()))
        return wheel


class Cache:
    """Compiled modules on disk, by digest and engine version, each with a keyed checksum.

    An artifact is native code, so the folder must be ours alone: EngineError says what to change
    otherwise. A file that was changed or cut is ignored and written anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = folder.stat()
            if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                raise EngineError(f"{folder} can be written by others; write: chmod 700 {folder}")
            self._key = self._open_key()
        except OSError as error:
            raise EngineError(f"{folder} cannot be used for compiled modules: {error.strerror}") from error

    def get(self, digest: str) -> bytes | None:
        """The artifact, or None when there is none that this user wrote."""
        try:
            content = self._path(digest).read_bytes()
        except OSError:
            return None
        mac, artifact = content[:_MAC_SIZE], content[_MAC_SIZE:]
        return artifact if hmac.compare_digest(mac, self._mac(artifact)) else None

    def put(self, digest: str, artifact: bytes) -> None:
        """Keeps an artifact, whole or not at all; a full disk only means that it is not kept."""
        try:
            _write_whole(self._path(digest), self._mac(artifact) + artifact)
        except OSError:
            return

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}-{version('wasmtime')}.cwasm"

    def _mac(self, artifact: bytes) -> bytes:
        return hmac.digest(self._key, artifact, "sha256")

    def _open_key(self) -> bytes:
        path = self._folder / "key"
        if not path.exists():
            _write_whole(path, secrets.token_bytes(32))
        return path.read_bytes()


def _write_whole(path: Path, content: bytes) -> None:
    """Writes beside the file and renames: a reader sees all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:  # mode 0600
        try:
            file.write(content)
            file.flush()
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
