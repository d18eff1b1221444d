"""A core module of a component: what it imports and exports, by name and sort.

The bytes of a module come in; what the plan of the component must know of it goes out.
It must never look at code: whether the module is valid is for the engine to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm import reader
from serverless_wasm.wasm.components.budget import Budget
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.reader import read_byte, read_name, read_unsigned

_COUNTED = {
    reader.TYPES: "types",
    reader.IMPORTS: "imports",
    reader.FUNCTIONS: "functions",
    reader.GLOBALS: "globals",
    reader.EXPORTS: "exports",
}


class CoreImport(NamedTuple):
    """One import: its names, and what sort of thing it is."""

    module: str
    name: str
    sort: int


@dataclass(frozen=True, slots=True, eq=False)
class CoreModule:
    """A module as it lies in the component; `exports` are sorts by name."""

    data: bytes
    imports: tuple[CoreImport, ...]
    exports: dict[str, int]


def read_core_module(data: bytes, budget: Budget) -> CoreModule:
    """The module of these bytes, whose head is that of a module; raises CompileError.

    Each section, import and export counts as a definition: it takes as long, here and in the engine.
    """
    limits = budget.limits.module
    imports: tuple[CoreImport, ...] = ()
    exports: dict[str, int] = {}
    for kind, payload in reader.sections(data):
        budget.define()
        count = _count(kind, payload, limits)
        if kind == reader.IMPORTS:
            budget.define(count)
            imports = tuple(
                CoreImport(_text(entry.module, limits), _text(entry.name, limits), entry.kind)
                for entry in reader.imports(payload)
            )
        elif kind == reader.EXPORTS:
            budget.define(count)
            exports = _exports(payload, limits)
    return CoreModule(data, imports, exports)


def _count(kind: int, payload: bytes, limits: ModuleLimits) -> int:
    """How many things are in a section that skeleton.py reads, too; none in any other."""
    what = _COUNTED.get(kind)
    if what is None:
        return 0
    count, _ = read_unsigned(payload, 0)
    allowed: int = getattr(limits, what)
    if count > allowed:
        raise CompileError(f"has {count:,} {what} in a core module, {allowed:,} are allowed")
    return count


def _exports(payload: bytes, limits: ModuleLimits) -> dict[str, int]:
    """What an export section offers (core specification, 5.5.10)."""
    found: dict[str, int] = {}
    count, at = read_unsigned(payload, 0)
    for _ in range(count):
        name, at = read_name(payload, at)
        found[_text(name, limits)] = read_byte(payload, at)
        _, at = read_unsigned(payload, at + 1)
    return found


def _text(name: bytes, limits: ModuleLimits) -> str:
    if len(name) > limits.name_bytes:
        raise CompileError(
            f"has {len(name):,} bytes in a name of a core module, {limits.name_bytes:,} are allowed"
        )
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise CompileError("is not valid: a name in a core module is not UTF-8") from error
