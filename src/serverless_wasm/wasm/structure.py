"""What a module is made of, checked before anything is compiled.

A module's bytes come in; an estimate of the compiler's work, or a refusal that names the limit, goes out.
It must never take long itself: twenty kilobytes can keep the compiler busy for minutes (THREATS 1.9).
"""

from __future__ import annotations

import re

from serverless_wasm.errors import CompileError
from serverless_wasm.limits import MIB
from serverless_wasm.wasm import reader
from serverless_wasm.wasm.instructions import NUMBER, Body, Instructions
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.reader import read_byte, read_name, read_unsigned, skip_numbers, skip_types

SECOND = 1_000_000
TYPE_WORK = 100
FUNCTION_WORK = 150
ELEMENT_WORK = 50
EXPRESSION_WORK = 4
"""For a byte."""
SEGMENT_WORK = 300
IMAGE = 16 * MIB
"""The engine makes one image of the data that lies within this, or that is half of what lies between."""
_FUNCTION_TYPE, _CONSTANT = 0x60, 0x41
_VECTORS = {
    reader.TYPES: "types",
    reader.IMPORTS: "imports",
    reader.FUNCTIONS: "functions",
    reader.TABLES: "tables",
    reader.MEMORIES: "memories",
    reader.GLOBALS: "globals",
    reader.EXPORTS: "exports",
    reader.ELEMENTS: "element_segments",
    reader.CODE: "functions",
    reader.DATA: "data_segments",
}
_WORDS = {
    "name_bytes": "bytes",
    "locals": "local variables",
    "function_locals": "local variables",
    "function_bytes": "bytes",
    "nesting": "nested blocks",
    "loop_nesting": "nested loops",
    "block_values": "values between blocks",
}
_EXPRESSION = re.compile(
    rb"(?:[\x23\x41\x42\xd0\xd2]N|\x43.{4}|\x44.{8}|\xfd\x0c.{16}|[\x6a-\x6c\x7c-\x7e])*"
    rb"\x0b".replace(b"N", NUMBER),
    re.DOTALL,
)


def check(data: bytes, limits: ModuleLimits | None = None) -> int:
    """The work of compiling these bytes, whose head is that of a module (binary.require_module).

    Raises CompileError when they are beyond a limit: which, what was found and what is allowed. Whether they
    are valid is for the engine to say; what cannot even be read is refused here.
    """
    return _Check(len(data), limits or ModuleLimits()).module(data)


class _Check:
    """One module on its way through the limits; each method reads one section (5.5)."""

    def __init__(self, size: int, limits: ModuleLimits) -> None:
        self._size = size
        self._limits = limits
        self._work = 0
        self._elements = 0
        self._types: list[tuple[int, int]] = []
        """Each type's parameters and results."""
        self._functions: list[int] = []
        """Each function's type, imports first."""

    def module(self, data: bytes) -> int:
        """The work of the module of these bytes."""
        readers = {
            reader.TYPES: self._read_types,
            reader.IMPORTS: self._read_imports,
            reader.FUNCTIONS: self._read_functions,
            reader.GLOBALS: self._read_globals,
            reader.EXPORTS: self._read_exports,
            reader.ELEMENTS: self._read_elements,
            reader.CODE: self._read_code,
            reader.DATA: self._read_data,
        }
        custom = 0
        for kind, payload in reader.sections(data):
            if kind == reader.CUSTOM:
                custom += 1
                self._at_most("custom_sections", custom)
            elif kind in _VECTORS:
                count, at = read_unsigned(payload, 0)
                self._at_most(_VECTORS[kind], count)
                if kind in readers:
                    readers[kind](payload, at, count)
        return self._work

    def _at_most(self, limit: str, found: int, where: str = "") -> None:
        allowed: int = getattr(self._limits, limit)
        if found > allowed:
            words = _WORDS.get(limit, limit.replace("_", " "))
            raise CompileError(f"has {found:,} {words}{where}, {allowed:,} are allowed")

    def _charge(self, work: int) -> None:
        self._work += work
        allowed = self._limits.allowed_work(self._size)
        if self._work > allowed:
            raise CompileError(
                f"would take {self._work / SECOND:.1f} seconds or more to compile, "
                f"{allowed / SECOND:.1f} are allowed for its {self._size:,} bytes"
            )

    def _read_types(self, payload: bytes, at: int, count: int) -> None:
        for number in range(count):
            if read_byte(payload, at) != _FUNCTION_TYPE:
                raise CompileError(f"{reader.UNKNOWN}: type {number} is not a function's")
            parameters, at = read_unsigned(payload, at + 1)
            self._at_most("parameters", parameters, f" in type {number}")
            results, at = read_unsigned(payload, skip_types(payload, at, parameters))
            self._at_most("results", results, f" in type {number}")
            at = skip_types(payload, at, results)
            self._types.append((parameters, results))
        self._charge(count * TYPE_WORK)

    def _read_imports(self, payload: bytes, _at: int, _count: int) -> None:
        for entry in reader.imports(payload):
            self._at_most("name_bytes", max(len(entry.module), len(entry.name)), " in an import's name")
            if entry.kind == 0:
                self._add_function(read_unsigned(payload, entry.described + 1)[0])

    def _read_functions(self, payload: bytes, at: int, count: int) -> None:
        for _ in range(count):
            number, at = read_unsigned(payload, at)
            self._add_function(number)

    def _add_function(self, number: int) -> None:
        if number >= len(self._types):
            raise CompileError(f"is not valid: a function has the unknown type {number}")
        self._functions.append(number)

    def _read_globals(self, payload: bytes, at: int, count: int) -> None:
        for _ in range(count):
            at = self._expression(payload, skip_types(payload, at, 1) + 1)

    def _read_exports(self, payload: bytes, _at: int, _count: int) -> None:
        for name in reader.exports(payload):
            self._at_most("name_bytes", len(name), " in an export's name")

    def _expression(self, payload: bytes, at: int) -> int:
        """Where a constant expression ends (3.3.10); one of three bytes may take 10 us and 1 KiB."""
        found = _EXPRESSION.match(payload, at, at + self._limits.expression_bytes)
        if not found:
            limit = self._limits.expression_bytes
            raise CompileError(f"has a constant expression that is unknown or of more than {limit} bytes")
        self._charge(EXPRESSION_WORK * (found.end() - at))
        return found.end()

    def _read_elements(self, payload: bytes, at: int, count: int) -> None:
        """Segments (5.5.12); bits of their flags: not active, has a table or a kind, of expressions."""
        for _ in range(count):
            flags, at = read_unsigned(payload, at)
            if not flags & 1:
                at = read_unsigned(payload, at)[1] if flags & 2 else at
                at = self._expression(payload, at)
            if flags & 3:
                at = skip_types(payload, at, 1)
            items, at = read_unsigned(payload, at)
            self._elements += items
            self._at_most("elements", self._elements)
            self._charge(items * ELEMENT_WORK)
            if not flags & 4:
                at = skip_numbers(payload, at, items)
                continue
            for _ in range(items):
                at = self._expression(payload, at)

    def _read_code(self, payload: bytes, at: int, count: int) -> None:
        imported = len(self._functions) - count
        if imported < 0:
            raise CompileError("is not valid: has more bodies than functions")
        self._charge(count * FUNCTION_WORK)
        widths = [sum(values) for values in self._types]
        instructions = Instructions(payload, widths, [widths[number] for number in self._functions])
        total = 0
        for function in range(imported, len(self._functions)):
            size, start = read_unsigned(payload, at)
            at, where = start + size, f" in function {function}"
            self._at_most("function_bytes", size, where)
            groups, variables, start = self._locals(payload, start, where)
            total += max(variables, groups)  # a group of none takes its time, too
            self._at_most("locals", total)
            parameters, _ = self._types[self._functions[function]]
            self._body(instructions.read(start, at, parameters + variables), function)

    def _locals(self, payload: bytes, at: int, where: str) -> tuple[int, int, int]:
        """A function's local variables, groups and all, and where its instructions begin (5.5.13)."""
        groups, at = read_unsigned(payload, at)
        self._at_most("function_locals", groups, where)
        variables = 0
        for _ in range(groups):
            number, at = read_unsigned(payload, at)
            variables += number
            at = skip_types(payload, at, 1)
        self._at_most("function_locals", variables, where)
        return groups, variables, at

    def _body(self, body: Body, function: int) -> None:
        where = f" in function {function}"
        for limit in ("nesting", "loop_nesting", "block_values", "branch_targets"):
            self._at_most(limit, getattr(body, limit), where)
        work = body.work
        if work > self._limits.function_work:
            raise CompileError(
                f"would take {work / SECOND:.1f} seconds to compile function {function}, "
                f"{self._limits.function_work / SECOND:.1f} are allowed"
            )
        self._charge(work)

    def _read_data(self, payload: bytes, at: int, count: int) -> None:
        """Segments (5.5.14): too far from each other, they are no image of the memory but code each."""
        places = []
        total = 0
        for _ in range(count):
            flags, at = read_unsigned(payload, at)
            if not flags & 1:
                at = read_unsigned(payload, at)[1] if flags & 2 else at
                start, at = at, self._expression(payload, at)
                places.append(_offset(payload[start:at]))
            content, at = read_name(payload, at)
            total += len(content)
        if places and max(places) - min(places) > max(IMAGE, 2 * total):
            self._charge(count * SEGMENT_WORK)


def _offset(expression: bytes) -> int:
    """Where a segment begins when that is a constant, i32.const (5.2.2, signed)."""
    if expression[0] != _CONSTANT:
        return 0
    value, _ = read_unsigned(expression, 1)
    bits = 7 * (len(expression) - 2)
    return (value - (value >> (bits - 1) << bits)) & 0xFFFFFFFF
