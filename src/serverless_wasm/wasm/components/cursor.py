"""Bytes of a component, read one thing after the other (component model, Binary.md).

A place in the bytes comes in; numbers, names and descriptions go out, as strictly as they are written down.
It must never read past its end: what is not well-formed raises CompileError, with the place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from serverless_wasm.errors import CompileError
from serverless_wasm.text import printable

FUNCTION, VALUE, TYPE, COMPONENT, INSTANCE = range(1, 6)
"""Sorts; the sort 0 is one of a core module, and of these only a module itself is in SORTS."""
CORE_MODULE = 0x11
MODULE = 0x100 + CORE_MODULE
CORE_SORTS = {0: "function", 1: "table", 2: "memory", 3: "global"}
SORTS = {
    FUNCTION: "function", TYPE: "type", COMPONENT: "component", INSTANCE: "instance",
    MODULE: "core module",
}  # fmt: skip

VALUES = "has values, or a start function that takes them, which no released WASI has"


class Described(NamedTuple):
    """What an import or export is said to be: `type_index` is None for a resource that is new."""

    sort: int
    type_index: int | None


class Cursor:
    """What lies between two places of the bytes."""

    __slots__ = ("at", "data", "end", "longest")

    def __init__(self, data: bytes, at: int, end: int, longest: int) -> None:
        self.data = data
        self.at = at
        self.end = end
        self.longest = longest
        """Bytes that a name may have."""

    def invalid(self, why: str, at: int | None = None) -> CompileError:
        """The error for what stands at `at`, or next."""
        return CompileError(f"is not valid: {why}, at byte {self.at if at is None else at} of the component")

    def byte(self) -> int:
        """The next byte."""
        at = self.at
        if at >= self.end:
            raise self.invalid("it ends too early")
        self.at = at + 1
        return self.data[at]

    def number(self) -> int:
        """An unsigned number of 32 bits (LEB128)."""
        value = self.byte()
        if value < 0x80:
            return value
        start, value = self.at - 1, value & 0x7F
        for shift in (7, 14, 21, 28):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80 and value >> 32 == 0:
                return value
        raise self.invalid("a number is longer than its type allows", start)

    def count(self) -> int:
        """How many things follow, each of a byte at least."""
        start, count = self.at, self.number()
        if count > self.end - self.at:
            raise self.invalid(f"{count} things cannot follow in {self.end - self.at} bytes", start)
        return count

    def each(self) -> Iterator[None]:
        """Once for each thing of a vector."""
        for _ in range(self.count()):
            yield

    def flag(self) -> bool:
        """Whether something optional follows."""
        start, byte = self.at, self.byte()
        if byte > 1:
            raise self.invalid(f"{byte} stands where 0 or 1 must", start)
        return byte == 1

    def name(self) -> str:
        """A name in UTF-8."""
        start, size = self.at, self.number()
        if size > self.end - self.at:
            raise self.invalid("a name ends too late", start)
        if size > self.longest:
            raise CompileError(f"has {size:,} bytes in a name, {self.longest:,} are allowed")
        self.at += size
        try:
            return self.data[self.at - size : self.at].decode()
        except UnicodeDecodeError as error:
            raise self.invalid("a name is not UTF-8", start) from error

    def section(self, size: int) -> Cursor:
        """The next `size` bytes, by themselves."""
        start = self.at
        if size > self.end - start:
            raise self.invalid("a section ends too late")
        self.at += size
        return Cursor(self.data, start, self.at, self.longest)

    def finish(self) -> None:
        """Raises CompileError unless all was read."""
        if self.at != self.end:
            raise self.invalid("a section has more bytes than its content")

    def again(self) -> Cursor:
        """Another one at the same place."""
        return Cursor(self.data, self.at, self.end, self.longest)

    def content(self) -> bytes:
        """All that is left, which this does not read."""
        return self.data[self.at : self.end]

    def extern_name(self) -> str:
        """The name of an import or export; what may stand beside it is refused."""
        start, kind = self.at, self.byte()
        if kind > 1:
            raise self.invalid(f"a name of the unknown kind {kind}", start)
        return self.name()

    def sort(self) -> int:
        """A sort, without those of things in core modules."""
        start, sort = self.at, self.byte()
        if sort == 0:
            sort = 0x100 + self.byte()
        if sort == VALUE:
            raise CompileError(VALUES)
        if sort not in SORTS:
            raise self.invalid("a thing of an unknown sort", start)
        return sort

    def core_sort(self) -> int:
        """A sort of things in core modules."""
        start, sort = self.at, self.byte()
        if sort not in CORE_SORTS:
            raise self.invalid(f"a core thing of the unknown sort {sort}", start)
        return sort

    def description(self) -> Described:
        """What an import or export is said to be."""
        sort = self.sort()
        if sort == TYPE:
            bound = self.flag()
            return Described(sort, None if bound else self.number())
        return Described(sort, self.number())


def shown(name: str) -> str:
    """A name of the component's, as it may be printed."""
    return printable(name, 120)
