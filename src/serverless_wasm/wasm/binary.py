"""What the bytes of a module are, and the same module with its memory made its own.

Bytes come in; a refusal, or a rewritten module, goes out.
It never guesses: whatever is not as the specification says raises CompileError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from serverless_wasm.errors import CompileError
from serverless_wasm.text import printable
from serverless_wasm.wasm import reader
from serverless_wasm.wasm.reader import EXPORTS, IMPORTS, MEMORIES, ORDER, TABLES, read_unsigned, unsigned

MAGIC = b"\0asm"
MODULE = MAGIC + b"\x01\0\0\0"
COMPONENT = MAGIC + b"\x0d\0\x01\0"
PAGE = 65_536


def require_module(data: bytes) -> None:
    """Raises CompileError, with a sentence of what it is instead, unless `data` begins as a core module."""
    if data.startswith(COMPONENT):
        raise CompileError("is a component, where a core module is expected")
    require_code(data)


def require_code(data: bytes) -> None:
    """Raises CompileError unless `data` begins as a core module or a component."""
    if data.startswith((MODULE, COMPONENT)):
        return
    if data.startswith(MAGIC):
        raise CompileError(f"is WebAssembly of an unknown version: {data[4:8].hex(' ')}")
    if data.lstrip()[:1] == b"(" or data.lstrip()[:2] == b";;":
        raise CompileError(
            "is WebAssembly text; translate it first, for instance: wat2wasm app.wat -o app.wasm"
        )
    if not data:
        raise CompileError("is empty")
    raise CompileError(f"is not WebAssembly: it begins with {printable(data[:8].hex(' '))}")


def own_memory(data: bytes) -> bytes:
    """The same module with its imported `env.memory` defined and exported as `memory` instead.

    An imported memory belongs to a store, so it could neither be linked before the request nor be
    copied on write. The memory keeps index 0 and the limits that the module states.
    """
    sections = list(reader.sections(data))
    limits = b""
    rewritten: list[tuple[int, bytes]] = []
    for kind, payload in sections:
        if kind == IMPORTS:
            limits, payload = _without_memory(payload)  # noqa: PLW2901 - the section's new content
        rewritten.append((kind, payload))
    if not limits:
        return data
    _put(rewritten, MEMORIES, b"\x01" + limits)
    exports = next((payload for kind, payload in sections if kind == EXPORTS), b"\x00")
    if b"memory" not in reader.exports(exports):
        _put(rewritten, EXPORTS, _vector_with(exports, _name(b"memory") + b"\x02\x00"))
    return MODULE + b"".join(bytes([kind]) + unsigned(len(body)) + body for kind, body in rewritten)


class Beginning(NamedTuple):
    """What an instance of a module begins with, whether it is exported or not."""

    memory: int
    """Bytes."""
    table_elements: int
    """Of the largest table."""


def beginning(data: bytes) -> Beginning:
    """What the module's own memories and tables state as their minimum (5.5.7, 5.5.8)."""
    memory = table = 0
    for kind, payload in reader.sections(data):
        if kind == MEMORIES:
            memory = max(_minimums(payload, 0), default=0) * PAGE
        elif kind == TABLES:
            table = max(_minimums(payload, 1), default=0)  # behind the type of its references
    return Beginning(memory, table)


def memories(data: bytes) -> int:
    """How many the module has of its own."""
    return sum(read_unsigned(payload, 0)[0] for kind, payload in reader.sections(data) if kind == MEMORIES)


def _minimums(payload: bytes, before: int) -> Iterator[int]:
    count, at = read_unsigned(payload, 0)
    for _ in range(count):
        at += before
        minimum, _ = read_unsigned(payload, at + 1)
        yield minimum
        at = reader.skip_limits(payload, at)


def _put(sections: list[tuple[int, bytes]], kind: int, payload: bytes) -> None:
    """Replaces a section, or inserts it where the specification's order wants it."""
    for index, (present, _) in enumerate(sections):
        if present == kind:
            sections[index] = (kind, payload)
            return
        if present and ORDER[present] > ORDER[kind]:
            sections.insert(index, (kind, payload))
            return
    sections.append((kind, payload))


def _without_memory(payload: bytes) -> tuple[bytes, bytes]:
    """The limits of the import `env.memory` (empty if there is none) and the section without it."""
    kept: list[bytes] = []
    limits = b""
    for entry in reader.imports(payload):
        if (entry.module, entry.name, entry.kind) == (b"env", b"memory", 2):
            limits = payload[entry.described + 1 : entry.end]
        else:
            kept.append(payload[entry.start : entry.end])
    return limits, unsigned(len(kept)) + b"".join(kept)


def _vector_with(payload: bytes, item: bytes) -> bytes:
    count, at = read_unsigned(payload, 0)
    return unsigned(count + 1) + payload[at:] + item


def _name(text: bytes) -> bytes:
    return unsigned(len(text)) + text
