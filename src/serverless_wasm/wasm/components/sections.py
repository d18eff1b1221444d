"""The sections of a component, and the names by which it is joined to others (component model, Binary.md).

A cursor behind the head of a component comes in; its sections, one after the other, go out.
It must never look into a core module, or be deceived by a section's size.
"""

from __future__ import annotations

from collections.abc import Iterator

from serverless_wasm.wasm.components.budget import Budget
from serverless_wasm.wasm.components.cursor import Cursor

HEAD = 8
"""Bytes of magic, version and layer, behind which the sections begin."""
(CUSTOM, CORE_MODULE, CORE_INSTANCES, CORE_TYPE, COMPONENT, INSTANCES, ALIASES, TYPES, CANONS, START,
 IMPORTS, EXPORTS, VALUES) = range(13)  # fmt: skip


def sections(cursor: Cursor) -> Iterator[tuple[int, Cursor]]:
    """Each section's number, and its content."""
    while cursor.at < cursor.end:
        kind = cursor.byte()
        yield kind, cursor.section(cursor.number())


def names(data: bytes, budget: Budget) -> Iterator[tuple[bool, str]]:
    """What the component of these bytes imports (True) and exports (False), in their order."""
    for kind, section in sections(Cursor(data, HEAD, len(data), budget.limits.name_bytes)):
        budget.define()
        if kind not in {IMPORTS, EXPORTS}:
            continue
        for _ in section.each():
            budget.define()
            yield kind == IMPORTS, section.extern_name()
            if kind == EXPORTS:
                section.sort()
                section.number()
            if kind == IMPORTS or section.flag():
                section.description()
