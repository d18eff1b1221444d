"""What component linkers put between a module and its imports, recognised by every byte of it.

A function of the host may need the memory of the module that imports it, which is there only later. So they
make a shim, whose functions each call what stands in a slot of a table, and a module that fills the table
once it can be filled (wit-component: its fixup). Steps come in; the pairs of such go out.
It must never take anything else for one: both modules are compared with what they would have to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serverless_wasm.wasm import reader
from serverless_wasm.wasm.components.blueprint import Argument, Export, Source
from serverless_wasm.wasm.components.core_module import CoreModule
from serverless_wasm.wasm.components.encoding import EMPTY, indexes, sized, types, vector
from serverless_wasm.wasm.reader import unsigned

TABLE = "$imports"
_MOST_BYTES = 500_000
"""Of a module that is looked at: with 5,000 functions of usual types it has less. Python's has 3,316."""


@dataclass(frozen=True, slots=True)
class MadeStep:
    """One instance of a core module."""

    module: CoreModule
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Shim:
    """A shim and its fixup, each by its step, and what stands behind the shim's functions by their names."""

    step: int
    fixup: int
    slots: Mapping[str, Source]


def find_shims(steps: Sequence[MadeStep]) -> list[Shim]:
    """Every shim among the steps whose table one fixup fills, and nothing else has."""
    holders: dict[int, list[int]] = {}
    for number, step in enumerate(steps):
        for source in {each.source for each in step.arguments}:
            if isinstance(source, Export) and source.name == TABLE:
                holders.setdefault(source.instance, []).append(number)
    return [
        Shim(shim, fixups[0], {each.name: each.source for each in steps[fixups[0]].arguments})
        for shim, fixups in holders.items()
        if len(fixups) == 1 and _fit(steps[shim].module, steps[fixups[0]].module)
    ]


def _fit(shim: CoreModule, fixup: CoreModule) -> bool:
    """Whether these are a shim and its fixup."""
    if max(len(shim.data), len(fixup.data)) > _MOST_BYTES:
        return False
    present = dict(reader.sections(shim.data))
    kinds = list(indexes(present.get(reader.FUNCTIONS, EMPTY)))
    known = list(types(present.get(reader.TYPES, EMPTY)))
    if max(kinds, default=0) >= len(known):
        return False
    widths = [known[kind].parameters for kind in kinds]
    if sum(widths) > len(shim.data):  # its bodies would be longer than all of it
        return False
    content = present[reader.TYPES]
    return _content(shim) == _shim(content, kinds, widths) and _content(fixup) == _fixup(content, kinds)


def _content(module: CoreModule) -> list[tuple[int, bytes]]:
    """Its sections, without custom ones."""
    return [(kind, payload) for kind, payload in reader.sections(module.data) if kind != reader.CUSTOM]


def _shim(content: bytes, kinds: list[int], widths: list[int]) -> list[tuple[int, bytes]]:
    """The content of a shim whose functions have these types, with so many parameters."""
    count = unsigned(len(kinds))
    exports = [sized(b"%d" % slot) + b"\0" + unsigned(slot) for slot in range(len(kinds))]
    exports.append(sized(TABLE.encode()) + b"\x01\0")
    bodies = [_body(slot, kind, width) for slot, (kind, width) in enumerate(zip(kinds, widths, strict=True))]
    return [
        (reader.TYPES, content),
        (reader.FUNCTIONS, vector(map(unsigned, kinds))),
        (reader.TABLES, b"\x01\x70\x01" + count + count),
        (reader.EXPORTS, vector(exports)),
        (reader.CODE, vector(bodies)),
    ]


def _body(slot: int, kind: int, parameters: int) -> bytes:
    """A function that calls what stands in its slot: local.get...; i32.const; call_indirect; end."""
    gets = b"".join(b"\x20" + unsigned(number) for number in range(parameters))
    code = b"\0" + gets + b"\x41" + _signed(slot) + b"\x11" + unsigned(kind) + b"\0\x0b"
    return sized(code)


def _fixup(content: bytes, kinds: list[int]) -> list[tuple[int, bytes]]:
    """The content of the module that fills the table of such a shim, with all that it imports, in order."""
    count = unsigned(len(kinds))
    imports = [EMPTY + sized(b"%d" % slot) + b"\0" + unsigned(kind) for slot, kind in enumerate(kinds)]
    imports.append(EMPTY + sized(TABLE.encode()) + b"\x01\x70\x01" + count + count)
    segment = b"\0\x41\0\x0b" + vector(map(unsigned, range(len(kinds))))
    return [
        (reader.TYPES, content),
        (reader.IMPORTS, vector(imports)),
        (reader.ELEMENTS, vector([segment])),
    ]


def _signed(value: int) -> bytes:
    """A number that is not below zero as signed LEB128: its last byte may not look as if it were."""
    out = unsigned(value)
    return out if out[-1] < 0x40 else out[:-1] + bytes([out[-1] | 0x80, 0])
