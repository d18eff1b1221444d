"""Numbers, names and sections of the binary format (WebAssembly core specification, chapter 5).

Bytes of a module come in; what they say goes out, with the place where the next thing begins.
It never guesses and never reads past the end: what is not well-formed raises CompileError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from serverless_wasm.errors import CompileError

HEAD = 8
"""Bytes of magic and version, behind which the sections begin."""
CUSTOM, TYPES, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS = range(8)
ELEMENTS, CODE, DATA = 9, 10, 11
ORDER = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 13: 6, 6: 7, 7: 8, 8: 9, 9: 10, 12: 11, 10: 12, 11: 13}
"""Where a section stands among the others (5.5.17); custom sections stand anywhere."""
UNKNOWN = "is not valid, or uses a feature that is off"
_MORE = bytes(range(0x80, 0x100))


class ImportEntry(NamedTuple):
    """One import: its names, its kind, and where it, its description and the next import begin."""

    module: bytes
    name: bytes
    kind: int
    start: int
    described: int
    end: int


def sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each section's number and content, in their order; the head is taken as read."""
    at, last = HEAD, 0
    while at < len(data):
        start, kind = at, data[at]
        size, at = read_unsigned(data, at + 1)
        if at + size > len(data) or (kind and ORDER.get(kind, 0) <= last):
            raise CompileError(
                f"is not valid: section {kind} at byte {start} is cut off, unknown or misplaced"
            )
        last = ORDER.get(kind, last)
        yield kind, data[at : at + size]
        at += size


def imports(payload: bytes) -> Iterator[ImportEntry]:
    """What an import section asks for (5.5.5)."""
    count, at = read_unsigned(payload, 0)
    for _ in range(count):
        start = at
        module, at = read_name(payload, at)
        name, described = read_name(payload, at)
        at = _skip_description(payload, described)
        yield ImportEntry(module, name, payload[described], start, described, at)


def exports(payload: bytes) -> Iterator[bytes]:
    """The names in an export section (5.5.10)."""
    count, at = read_unsigned(payload, 0)
    for _ in range(count):
        name, at = read_name(payload, at)
        _, at = read_unsigned(payload, at + 1)  # past the kind, an index
        yield name


def read_byte(payload: bytes, at: int) -> int:
    """The byte at `at`."""
    if at >= len(payload):
        raise CompileError("is not valid: a section ends too early")
    return payload[at]


def read_unsigned(payload: bytes, at: int) -> tuple[int, int]:
    """An unsigned number (LEB128, 5.2.2) and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = read_byte(payload, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise CompileError("is not valid: a number is longer than its type allows")


def read_name(payload: bytes, at: int) -> tuple[bytes, int]:
    """A name (5.2.4), or any bytes behind their size, and where they end."""
    size, at = read_unsigned(payload, at)
    if at + size > len(payload):
        raise CompileError("is not valid: a name ends too late")
    return payload[at : at + size], at + size


def skip_numbers(payload: bytes, at: int, count: int) -> int:
    """Where `count` indexes end; the last byte of each is the one below 0x80."""
    last = at + 5 * count
    while count:
        chunk = payload[at : at + count]
        if not chunk or at >= last:
            raise CompileError("is not valid: a section ends too early, or has a number that is too long")
        at += len(chunk)
        count -= len(chunk.translate(None, _MORE))
    return at


def skip_types(payload: bytes, at: int, count: int) -> int:
    """Where `count` value types end (5.3.5); only a reference's may have more than one byte."""
    piece = payload[at : at + count]
    if 0x63 not in piece and 0x64 not in piece:
        return at + count
    for _ in range(count):
        is_reference = read_byte(payload, at) in {0x63, 0x64}
        at = skip_numbers(payload, at + 1, 1) if is_reference else at + 1
    return at


def unsigned(value: int) -> bytes:
    """A number as LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _skip_description(payload: bytes, at: int) -> int:
    """Skips one importdesc (5.5.5)."""
    kind = read_byte(payload, at)
    if kind == 0:  # function: a type index
        return read_unsigned(payload, at + 1)[1]
    if kind == 1:  # table: a reference type, then limits
        return skip_limits(payload, at + 2)
    if kind == 2:  # memory
        return skip_limits(payload, at + 1)
    if kind == 3:  # global: a value type and its mutability
        return at + 3
    raise CompileError(f"is not valid: import of the unknown kind {kind}")


def skip_limits(payload: bytes, at: int) -> int:
    """Where the limits of a memory or a table end (5.3.11)."""
    has_maximum = read_byte(payload, at) & 1
    _, at = read_unsigned(payload, at + 1)
    return read_unsigned(payload, at)[1] if has_maximum else at
