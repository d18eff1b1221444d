"""Components validated by the engine, without their code.

The bytes of a component come in; nothing goes out, or a refusal. The engine cannot validate a component
without compiling it, so it is given one whose modules import and export the same, and do nothing.
It must never let a component pass that the engine would refuse whole, but for code: each module that is
instantiated is validated when it is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import wasmtime
from wasmtime.component import Component

from serverless_wasm.errors import CompileError
from serverless_wasm.text import printable
from serverless_wasm.wasm import reader
from serverless_wasm.wasm.binary import COMPONENT, MODULE
from serverless_wasm.wasm.components.cursor import Cursor
from serverless_wasm.wasm.components.encoding import EMPTY, indexes, section, types, vector
from serverless_wasm.wasm.components.sections import CORE_MODULE, CUSTOM, HEAD, sections
from serverless_wasm.wasm.instructions import NUMBER
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.reader import ORDER, UNKNOWN, read_byte, read_name, read_unsigned, unsigned

_KEPT = frozenset({reader.TABLES, reader.MEMORIES, 13})
"""Sections that stay as they are; exceptions (13) only for the engine to refuse them."""
_FUNCTION = 0
_UNREACHABLE = b"\x03\0\0\x0b"
"""A function of three bytes: no locals; unreachable; end."""
_ZEROS = {
    0x7F: b"\x41\0\x0b",
    0x7E: b"\x42\0\x0b",
    0x7D: b"\x43" + bytes(4) + b"\x0b",
    0x7C: b"\x44" + bytes(8) + b"\x0b",
    0x7B: b"\xfd\x0c" + bytes(16) + b"\x0b",
    0x70: b"\xd0\x70\x0b",
    0x6F: b"\xd0\x6f\x0b",
}
"""What a global begins with instead of what the module says, by its type."""
_EXPRESSION = re.compile(
    rb"(?:[\x23\x41\x42\xd0\xd2]N|\x43.{4}|\x44.{8}|\xfd\x0c.{16}|[\x6a-\x6c\x7c-\x7e])*\x0b".replace(
        b"N", NUMBER
    ),
    re.DOTALL,
)
"""A constant expression, as in structure.py."""
_LONGEST = ModuleLimits().expression_bytes


def validate_component(engine: wasmtime.Engine, data: bytes) -> None:
    """Raises CompileError when the engine refuses this component, which reader.read has accepted."""
    try:
        Component(engine, skeleton(data)).close()
    except wasmtime.WasmtimeError as error:
        raise CompileError(f"is not valid: {printable(str(error))}") from error


def skeleton(data: bytes) -> bytes:
    """The same component, as far as linking goes; its nested components may have no code."""
    out = [COMPONENT]
    for kind, found in sections(Cursor(data, HEAD, len(data), len(data))):
        content = data[found.at : found.end]
        if kind == CORE_MODULE:
            content = _Module(content).skeleton()
        if kind != CUSTOM:
            out.append(section(kind, content))
    return b"".join(out)


class _Module:
    """A core module that becomes another of the same imports and exports.

    Of its own functions one of each type is left. Types are numbered anew: unused ones take time, too.
    """

    def __init__(self, data: bytes) -> None:
        self._sections = {kind: payload for kind, payload in reader.sections(data) if kind != reader.CUSTOM}
        self._types = list(types(self._content(reader.TYPES)))
        self._numbers: dict[int, int] = {}
        """Of types, by those that they had."""
        self._imported: list[int] = []
        """The types of imported functions."""
        self._own = list(indexes(self._content(reader.FUNCTIONS)))
        self._left: dict[int, int] = {}
        """The one function of each type, by the type's number."""

    def skeleton(self) -> bytes:
        """The module's bytes."""
        made = {kind: payload for kind, payload in self._sections.items() if kind in _KEPT}
        made[reader.IMPORTS] = vector(self._imports())
        made[reader.GLOBALS] = vector(_globals(self._content(reader.GLOBALS)))
        made[reader.EXPORTS] = vector(self._exports())
        made[reader.TYPES] = vector(self._types[old].content for old in self._numbers)
        made[reader.FUNCTIONS] = vector(unsigned(number) for number in self._left)
        made[reader.CODE] = vector([_UNREACHABLE] * len(self._left))
        return MODULE + b"".join(section(kind, made[kind]) for kind in sorted(made, key=ORDER.__getitem__))

    def _content(self, kind: int) -> bytes:
        return self._sections.get(kind, EMPTY)

    def _type(self, old: int) -> int:
        if old >= len(self._types):
            raise CompileError(f"is not valid: a function has the unknown type {old}")
        return self._numbers.setdefault(old, len(self._numbers))

    def _imports(self) -> Iterator[bytes]:
        payload = self._content(reader.IMPORTS)
        for entry in reader.imports(payload):
            described = payload[entry.described : entry.end]
            if entry.kind == _FUNCTION:
                old, _ = read_unsigned(described, 1)
                self._imported.append(old)
                described = b"\0" + unsigned(self._type(old))
            yield payload[entry.start : entry.described] + described

    def _exports(self) -> Iterator[bytes]:
        payload = self._content(reader.EXPORTS)
        count, at = read_unsigned(payload, 0)
        for _ in range(count):
            start = at
            _, at = read_name(payload, at)
            kind = read_byte(payload, at)
            index, end = read_unsigned(payload, at + 1)
            if kind == _FUNCTION:
                index = self._function(index)
            yield payload[start : at + 1] + unsigned(index)
            at = end

    def _function(self, old: int) -> int:
        imported = len(self._imported)
        if old < imported:
            return old
        if old - imported >= len(self._own):
            raise CompileError(f"is not valid: a core module exports the unknown function {old}")
        number = self._type(self._own[old - imported])
        return imported + self._left.setdefault(number, len(self._left))


def _globals(payload: bytes) -> Iterator[bytes]:
    """Each global, with nothing in it."""
    count, at = read_unsigned(payload, 0)
    for _ in range(count):
        kind, mutable = read_byte(payload, at), read_byte(payload, at + 1)
        found = _EXPRESSION.match(payload, at + 2, at + 2 + _LONGEST)
        if not found or kind not in _ZEROS:
            raise CompileError(f"{UNKNOWN}: a global at byte {at} of its section")
        yield bytes([kind, mutable]) + _ZEROS[kind]
        at = found.end()
