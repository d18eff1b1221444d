"""Types of values and functions as a component defines them (component model, Binary.md, Type Definitions).

A cursor at a definition comes in; the type of types.py goes out, with how large it is when written out.
It must never make a type larger than the limits: each may use those before it twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NoReturn, cast

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.components.budget import Budget, parts_of
from serverless_wasm.wasm.components.cursor import Cursor, shown
from serverless_wasm.wasm.components.scope import FunctionType, Scope, ValueType
from serverless_wasm.wasm.components.types import (
    Borrow,
    Enum,
    Flags,
    ListOf,
    Option,
    Own,
    Primitive,
    PrimitiveName,
    Record,
    Result,
    Signature,
    TupleOf,
    Type,
    Variant,
)

_NAMES = (
    "string", "char", "f64", "f32", "u64", "s64", "u32", "s32", "u16", "s16", "u8", "s8", "bool",
)  # fmt: skip
_PRIMITIVES = {
    0x73 + number: ValueType(Primitive(cast("PrimitiveName", name)), 1, 1)
    for number, name in enumerate(_NAMES)
}
_ASYNC = {0x64: "error contexts", 0x65: "futures", 0x66: "streams", 0x43: "asynchronous functions"}
_LATER = {0x67: "lists of a fixed length", 0x63: "maps"}
_MOST_FLAGS = 32
FUNCTION = 0x40


def refuse_async(what: str) -> NoReturn:
    """Raises CompileError for what belongs to WASI 0.3."""
    raise CompileError(f"uses {what}, which belong to WASI 0.3: build it for WASI 0.2, without async")


class ValueTypes:
    """Reads types of values and functions of one scope."""

    def __init__(self, scope: Scope, budget: Budget) -> None:
        self._scope = scope
        self._budget = budget
        self._readers: dict[int, Callable[[Cursor], ValueType]] = {
            0x72: self._record,
            0x71: self._variant,
            0x70: self._list,
            0x6F: self._tuple,
            0x6E: self._flags,
            0x6D: self._enum,
            0x6B: self._option,
            0x6A: self._result,
            0x69: self._own,
            0x68: self._borrow,
        }

    def read(self, code: int, cursor: Cursor) -> ValueType | FunctionType:
        """The type whose first byte was `code`."""
        if code in _PRIMITIVES:
            return _PRIMITIVES[code]
        if code == FUNCTION:
            return self._function(cursor)
        reader = self._readers.get(code)
        if reader is None:
            raise _unknown(code, cursor)
        return reader(cursor)

    def _value(self, cursor: Cursor) -> ValueType:
        """A type of a value where it is used: a primitive, or the index of one that was defined."""
        start, code = cursor.at, cursor.byte()
        if code in _PRIMITIVES:
            return _PRIMITIVES[code]
        if 0x40 <= code < 0x80:  # as a signed number, it is below zero
            raise _unknown(code, cursor)
        cursor.at = start
        index = cursor.number()
        size = cursor.at - start
        if size < 5 and cursor.data[cursor.at - 1] & 0x40:
            raise cursor.invalid("a type's index is below zero", start)
        return self._scope.value_type(index)

    def _optional(self, cursor: Cursor) -> ValueType | None:
        return self._value(cursor) if cursor.flag() else None

    def _made(self, kind: Type, own: int, within: Iterable[ValueType | None]) -> ValueType:
        """A type of so many parts of its own, made of others."""
        parts, depth = own, 0
        for each in within:
            if each is not None:
                parts += each.parts
                depth = max(depth, each.depth)
        self._budget.require_type(parts, depth + 1)
        return ValueType(kind, parts, depth + 1)

    def _labels(self, cursor: Cursor) -> tuple[str, ...]:
        start = cursor.at
        return _distinct(cursor, start, [cursor.name() for _ in cursor.each()])

    def _fields(self, cursor: Cursor) -> list[tuple[str, ValueType]]:
        start = cursor.at
        fields = [(cursor.name(), self._value(cursor)) for _ in cursor.each()]
        _distinct(cursor, start, [name for name, _ in fields], empty=True)
        return fields

    def _record(self, cursor: Cursor) -> ValueType:
        start, fields = cursor.at, self._fields(cursor)
        if not fields:
            raise cursor.invalid("a record has no field", start)
        kind = Record(tuple((name, each.type) for name, each in fields))
        return self._made(kind, 1 + _size(name for name, _ in fields), (each for _, each in fields))

    def _variant(self, cursor: Cursor) -> ValueType:
        start, cases = cursor.at, list[tuple[str, ValueType | None]]()
        for _ in cursor.each():
            cases.append((cursor.name(), self._optional(cursor)))
            if cursor.byte() != 0:
                raise cursor.invalid("a case refines another", cursor.at - 1)
        names = _distinct(cursor, start, [name for name, _ in cases])
        kind = Variant(tuple((name, each.type if each else None) for name, each in cases))
        return self._made(kind, 1 + _size(names), (each for _, each in cases))

    def _list(self, cursor: Cursor) -> ValueType:
        item = self._value(cursor)
        return self._made(ListOf(item.type), 1, (item,))

    def _tuple(self, cursor: Cursor) -> ValueType:
        start, items = cursor.at, [self._value(cursor) for _ in cursor.each()]
        if not items:
            raise cursor.invalid("a tuple has no item", start)
        return self._made(TupleOf(tuple(each.type for each in items)), 1, items)

    def _flags(self, cursor: Cursor) -> ValueType:
        start, names = cursor.at, self._labels(cursor)
        if len(names) > _MOST_FLAGS:
            raise cursor.invalid(f"{len(names)} flags are more than {_MOST_FLAGS}", start)
        return self._made(Flags(names), 1 + _size(names), ())

    def _enum(self, cursor: Cursor) -> ValueType:
        names = self._labels(cursor)
        return self._made(Enum(names), 1 + _size(names), ())

    def _option(self, cursor: Cursor) -> ValueType:
        item = self._value(cursor)
        return self._made(Option(item.type), 1, (item,))

    def _result(self, cursor: Cursor) -> ValueType:
        ok, error = self._optional(cursor), self._optional(cursor)
        kind = Result(ok.type if ok else None, error.type if error else None)
        return self._made(kind, 1, (ok, error))

    def _own(self, cursor: Cursor) -> ValueType:
        name = self._scope.resource_type(cursor.number()).name
        return self._made(Own(name), parts_of(name), ())

    def _borrow(self, cursor: Cursor) -> ValueType:
        name = self._scope.resource_type(cursor.number()).name
        return self._made(Borrow(name), parts_of(name), ())

    def _function(self, cursor: Cursor) -> FunctionType:
        params = self._fields(cursor)
        result = None
        if not cursor.flag():
            result = self._value(cursor)
        elif cursor.byte() != 0:
            raise cursor.invalid("a function has results with names", cursor.at - 1)
        signature = Signature(
            tuple((name, each.type) for name, each in params), result.type if result else None
        )
        parts = sum(each.parts for _, each in params) + (result.parts if result else 0)
        parts += 1 + _size(name for name, _ in params)
        self._budget.require_type(parts, 1)
        return FunctionType(signature, parts)


def _size(names: Iterable[str]) -> int:
    return sum(map(parts_of, names))


def _distinct(cursor: Cursor, start: int, names: list[str], *, empty: bool = False) -> tuple[str, ...]:
    """The names, after they were found to differ from each other."""
    if not names and not empty:
        raise cursor.invalid("a type has no case", start)
    if len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise cursor.invalid(f"a type has {shown(twice)} twice", start)
    return tuple(names)


def _unknown(code: int, cursor: Cursor) -> CompileError:
    if code in _ASYNC:
        refuse_async(_ASYNC[code])
    if code in _LATER:
        return CompileError(f"uses {_LATER[code]}, which no released WASI has")
    return cursor.invalid(f"an unknown type 0x{code:02x}", cursor.at - 1)
