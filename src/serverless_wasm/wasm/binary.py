"""The binary format, as far as the host must read it itself (WebAssembly core specification, chapter 5).

Bytes of a module come in; what they are, or the same module with its memory made its own, goes out.
It never guesses: whatever is not as the specification says raises CompileError.
"""

from __future__ import annotations

from collections.abc import Iterator

from serverless_wasm.errors import CompileError
from serverless_wasm.text import printable

MAGIC = b"\0asm"
MODULE = MAGIC + b"\x01\0\0\0"
COMPONENT = MAGIC + b"\x0d\0\x01\0"
_IMPORTS, _MEMORIES, _EXPORTS = 2, 5, 7
_ORDER = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 13: 6, 6: 7, 7: 8, 8: 9, 9: 10, 12: 11, 10: 12, 11: 13}  # 2.5.2


def require_module(data: bytes) -> None:
    """Raises CompileError, with a sentence of what it is instead, unless `data` begins as a core module."""
    if data.startswith(MODULE):
        return
    if data.startswith(COMPONENT):
        raise CompileError("is a component; this release runs core modules: build for wasm32-unknown-unknown")
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
    sections = list(_sections(data))
    limits = b""
    rewritten: list[tuple[int, bytes]] = []
    for kind, payload in sections:
        if kind == _IMPORTS:
            limits, payload = _without_memory(payload)  # noqa: PLW2901 - the section's new content
        rewritten.append((kind, payload))
    if not limits:
        return data
    _put(rewritten, _MEMORIES, b"\x01" + limits)
    exports = next((payload for kind, payload in sections if kind == _EXPORTS), b"\x00")
    if b"memory" not in _export_names(exports):
        _put(rewritten, _EXPORTS, _vector_with(exports, _name(b"memory") + b"\x02\x00"))
    return MODULE + b"".join(bytes([kind]) + _unsigned(len(body)) + body for kind, body in rewritten)


def _export_names(payload: bytes) -> set[bytes]:
    count, at = _read_unsigned(payload, 0)
    names = set()
    for _ in range(count):
        name, at = _read_name(payload, at)
        names.add(name)
        _, at = _read_unsigned(payload, at + 1)  # past the kind, an index
    return names


def _put(sections: list[tuple[int, bytes]], kind: int, payload: bytes) -> None:
    """Replaces a section, or inserts it where the specification's order wants it."""
    for index, (present, _) in enumerate(sections):
        if present == kind:
            sections[index] = (kind, payload)
            return
        if present and _ORDER[present] > _ORDER[kind]:
            sections.insert(index, (kind, payload))
            return
    sections.append((kind, payload))


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = len(MODULE)
    while at < len(data):
        kind = data[at]
        size, at = _read_unsigned(data, at + 1)
        if at + size > len(data) or (kind and kind not in _ORDER):
            raise CompileError(f"section {kind} at byte {at} is not well-formed")
        yield kind, data[at : at + size]
        at += size


def _without_memory(payload: bytes) -> tuple[bytes, bytes]:
    """The limits of the import `env.memory` (empty if there is none) and the section without it."""
    count, at = _read_unsigned(payload, 0)
    kept: list[bytes] = []
    limits = b""
    for _ in range(count):
        start = at
        module, at = _read_name(payload, at)
        name, at = _read_name(payload, at)
        described = at
        at = _skip_description(payload, at)
        if (module, name) == (b"env", b"memory") and payload[described] == 2:
            limits = payload[described + 1 : at]
        else:
            kept.append(payload[start:at])
    return limits, _unsigned(len(kept)) + b"".join(kept)


def _skip_description(payload: bytes, at: int) -> int:
    """Skips one importdesc (5.5.5)."""
    kind = _byte(payload, at)
    if kind == 0:  # function: a type index
        return _read_unsigned(payload, at + 1)[1]
    if kind == 1:  # table: a reference type, then limits
        return _skip_limits(payload, at + 2)
    if kind == 2:  # memory
        return _skip_limits(payload, at + 1)
    if kind == 3:  # global: a value type and its mutability
        return at + 3
    raise CompileError(f"import of the unknown kind {kind}")


def _skip_limits(payload: bytes, at: int) -> int:
    has_maximum = _byte(payload, at) & 1
    _, at = _read_unsigned(payload, at + 1)
    return _read_unsigned(payload, at)[1] if has_maximum else at


def _vector_with(payload: bytes, item: bytes) -> bytes:
    count, at = _read_unsigned(payload, 0)
    return _unsigned(count + 1) + payload[at:] + item


def _name(text: bytes) -> bytes:
    return _unsigned(len(text)) + text


def _read_name(payload: bytes, at: int) -> tuple[bytes, int]:
    size, at = _read_unsigned(payload, at)
    return payload[at : at + size], at + size


def _byte(payload: bytes, at: int) -> int:
    if at >= len(payload):
        raise CompileError("a section ends too early")
    return payload[at]


def _unsigned(value: int) -> bytes:
    """LEB128 (5.2.2)."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_unsigned(payload: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = _byte(payload, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise CompileError("a number is longer than its type allows")
