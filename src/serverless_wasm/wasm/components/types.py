"""The types of the component model: what functions take and give, written down once for both sides.

A component's own declarations and the interfaces of abi/wasi_http are both made of these, and compared.
Two that are equal describe the same bytes; nothing here knows how they lie in memory (canonical.py).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

PrimitiveName = Literal[
    "bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"
]


class Primitive(Struct, frozen=True, tag=True):
    """A type without parts."""

    name: PrimitiveName


class ListOf(Struct, frozen=True, tag=True):
    """Any number of items."""

    item: Type


class Record(Struct, frozen=True, tag=True):
    """Fields, each with its name."""

    fields: tuple[tuple[str, Type], ...]


class TupleOf(Struct, frozen=True, tag=True):
    """Fields without names."""

    items: tuple[Type, ...]


class Variant(Struct, frozen=True, tag=True):
    """One of several cases, each with a value or without one."""

    cases: tuple[tuple[str, Type | None], ...]


class Enum(Struct, frozen=True, tag=True):
    """One of several names."""

    names: tuple[str, ...]


class Flags(Struct, frozen=True, tag=True):
    """Any of several names, at most 32."""

    names: tuple[str, ...]


class Option(Struct, frozen=True, tag=True):
    """A value, or none."""

    item: Type


class Result(Struct, frozen=True, tag=True):
    """What went well, or what went wrong; each with a value or without one."""

    ok: Type | None = None
    error: Type | None = None


class Own(Struct, frozen=True, tag=True):
    """A handle that is handed over. `resource` is its interface without version, and its name:
    `wasi:io/streams/input-stream`; one that the component defines itself has no interface: `#` and a number.
    """

    resource: str


class Borrow(Struct, frozen=True, tag=True):
    """A handle that is lent for one call; `resource` as for Own."""

    resource: str


Type = (
    Primitive | ListOf | Record | TupleOf | Variant | Enum | Flags | Option | Result | Own | Borrow
)  # fmt: skip


class Signature(Struct, frozen=True):
    """What a function takes, by name, and what it gives."""

    params: tuple[tuple[str, Type], ...] = ()
    result: Type | None = None

    @property
    def types(self) -> tuple[Type, ...]:
        """Those of the parameters."""
        return tuple(kind for _, kind in self.params)


BOOL = Primitive("bool")
U8 = Primitive("u8")
U16 = Primitive("u16")
U32 = Primitive("u32")
U64 = Primitive("u64")
S32 = Primitive("s32")
S64 = Primitive("s64")
STRING = Primitive("string")
BYTES = ListOf(U8)
