"""Vectors of core modules, read item by item and put together again (core specification, 5.1.3).

The content of a section comes in, or items; items, or content, go out.
It must never hold more items than there are bytes for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.reader import UNKNOWN, read_byte, read_unsigned, skip_types, unsigned

EMPTY = b"\0"
"""A vector of nothing."""
_FUNCTION_TYPE = 0x60


class TypeEntry(NamedTuple):
    """A function's type: its bytes, and how many parameters it has."""

    content: bytes
    parameters: int


def types(payload: bytes) -> Iterator[TypeEntry]:
    """Each type of a type section (5.5.4); raises CompileError unless all are of functions."""
    count, at = read_unsigned(payload, 0)
    for number in range(count):
        start = at
        if read_byte(payload, at) != _FUNCTION_TYPE:
            raise CompileError(f"{UNKNOWN}: type {number} is not a function's")
        parameters, at = read_unsigned(payload, at + 1)
        results, at = read_unsigned(payload, skip_types(payload, at, parameters))
        at = skip_types(payload, at, results)
        yield TypeEntry(payload[start:at], parameters)


def indexes(payload: bytes) -> Iterator[int]:
    """Each number of a vector of them."""
    count, at = read_unsigned(payload, 0)
    for _ in range(count):
        number, at = read_unsigned(payload, at)
        yield number


def vector(items: Iterable[bytes]) -> bytes:
    """The items behind their number."""
    held = list(items)
    return unsigned(len(held)) + b"".join(held)


def section(kind: int, content: bytes) -> bytes:
    """A section of a module or a component."""
    return bytes([kind]) + sized(content)


def sized(content: bytes) -> bytes:
    """Bytes behind their number, such as a name."""
    return unsigned(len(content)) + content
