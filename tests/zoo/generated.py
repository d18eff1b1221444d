"""Hostile guests that no text can say, or only at great length: their bytes are made here.

Nothing comes in; Guests go out, each with its card in the docstring of the function that makes its module.
It must never take long to make one: what costs time is for the service to refuse.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator

import wasmtime

from sandbox import wat
from zoo.cards import Guest, read

MAGIC = b"\0asm"
MODULE = MAGIC + b"\x01\0\0\0"
_I32 = b"\x7f"
_I64 = b"\x7e"
_END = b"\x0b"
_NOTHING = b"\x60\0\0"
"""The type () -> ()."""
_HANDLE = b"\x06handle\x00"
"""The export of a function, but for its index."""


def number(value: int) -> bytes:
    """An unsigned number (WebAssembly 5.2.2)."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + number(rest) if rest else bytes([low])


def sized(data: bytes) -> bytes:
    """Bytes behind their length."""
    return number(len(data)) + data


def vector(items: Iterable[bytes]) -> bytes:
    """Items behind their number."""
    kept = list(items)
    return number(len(kept)) + b"".join(kept)


def module(sections: dict[int, bytes]) -> bytes:
    """A module of these sections, in their order."""
    return MODULE + b"".join(bytes([kind]) + sized(data) for kind, data in sections.items())


def functions(bodies: Iterable[bytes]) -> bytes:
    """A module of functions () -> () with these bodies, local variables first; the first is the handle."""
    code = [sized(body) for body in bodies]
    types, indexes = vector([_NOTHING]), number(len(code)) + bytes(len(code))
    return module({1: types, 3: indexes, 7: vector([_HANDLE + b"\0"]), 10: vector(code)})


def g11_many_segments() -> bytes:
    """
    G11: 100,000 data segments of one byte, each over the one before
    expect: 500 bad_response
    good: none, it never answers
    """
    one = b"\0\x41\0" + _END + sized(b"x")
    types, memory, code = vector([_NOTHING]), vector([b"\0\x01"]), vector([sized(b"\0" + _END)])
    exports, data = vector([_HANDLE + b"\0"]), vector([one] * 100_000)
    return module({1: types, 3: b"\x01\0", 5: memory, 7: exports, 10: code, 11: data})


def g12_locals() -> bytes:
    """
    G12: 2,000 functions of 50,000 local variables each, in 20 KB
    refused: has 50,000 local variables in function 0, 10,000 are allowed
    """
    return functions([b"\x01" + number(50_000) + _I32 + _END] * 2_000)


def g12_functions() -> bytes:
    """
    G12: a million functions
    refused: has 1,000,000 functions, 65,536 are allowed
    """
    return functions([b"\0" + _END] * 1_000_000)


def g12_long_function() -> bytes:
    """
    G12: a function of eight million instructions
    refused: has 8,000,002 bytes in function 0, 786,432 are allowed
    """
    return functions([b"\0" + b"\x01" * 8_000_000 + _END])


def g12_nested_loops() -> bytes:
    """
    G12: 20,000 loops within each other
    refused: has 20,000 nested loops in function 0, 64 are allowed
    """
    return functions([b"\0" + b"\x03\x40" * 20_000 + _END * 20_001])


def g12_chain_of_conditions() -> bytes:
    """
    G12: 40,000 conditions one after the other, in each of which the same variable is set
    refused: seconds to compile function 0
    """
    one = b"\x20\0\x04\x40\x20\0\x41\x03\x6a\x21\0" + _END
    return functions([b"\x01\x01" + _I32 + one * 40_000 + _END])


def g12_chain_of_calls() -> bytes:
    """
    G12: 100,000 calls that hand sixteen values on to each other, in 200 KB
    refused: seconds or more to compile
    """
    types = vector([b"\x60" + vector([_I64] * 16) * 2, _NOTHING])
    start, chain, end = b"\x42\0" * 16, b"\x10\0" * 100_000, b"\x1a" * 16
    bodies = (b"\0\0" + _END, b"\0" + start + chain + end + _END)
    code, indexes = vector(map(sized, bodies)), b"\x02\0\x01"
    return module({1: types, 3: indexes, 7: vector([_HANDLE + b"\x01"]), 10: code})


def g12_rotations() -> bytes:
    """
    G12: 180,000 rotations of one value
    refused: seconds or more to compile
    """
    types = vector([b"\x60" + vector([_I32] * 2) + vector([_I32]), _NOTHING])
    bodies = (b"\0\x20\0" + b"\x20\1\x77" * 180_000 + _END, b"\0" + _END)
    code, indexes = vector(map(sized, bodies)), b"\x02\0\x01"
    return module({1: types, 3: indexes, 7: vector([_HANDLE + b"\x01"]), 10: code})


def g12_elements() -> bytes:
    """
    G12: a million elements of a table
    refused: has 1,000,000 elements, 100,000 are allowed
    """
    segments = vector([b"\0\x41\0" + _END + number(1_000_000) + bytes(1_000_000)])
    table, code = vector([b"\x70\0" + number(1_000_000)]), vector([sized(b"\0" + _END)])
    exports = vector([_HANDLE + b"\0"])
    return module({1: vector([_NOTHING]), 3: b"\x01\0", 4: table, 7: exports, 9: segments, 10: code})


def g12_nested_conditions() -> bytes:
    """
    G12: 20,000 conditions within each other
    expect: 500 bad_response
    good: none, it never answers
    """
    return functions([b"\0" + b"\x41\0\x04\x40" * 20_000 + _END * 20_001])


def g12_branch_table() -> bytes:
    """
    G12: a branch with 700,000 targets
    refused: has 700,000 branch targets in function 0, 100,000 are allowed
    """
    targets = number(700_000) + bytes(700_001)
    return functions([b"\0\x41\0\x0e" + targets + _END])


def g12_types() -> bytes:
    """
    G12: a million types
    refused: has 1,000,000 types, 10,000 are allowed
    """
    types, code = vector([_NOTHING] * 1_000_000), vector([sized(b"\0" + _END)])
    return module({1: types, 3: b"\x01\0", 7: vector([_HANDLE + b"\0"]), 10: code})


def g12_exports() -> bytes:
    """
    G12: a hundred thousand exports
    refused: has 100,001 exports, 20,000 are allowed
    """
    names = (sized(b"%d" % at) + b"\0\0" for at in range(100_000))
    code = vector([sized(b"\0" + _END)])
    return module({1: vector([_NOTHING]), 3: b"\x01\0", 7: vector([_HANDLE + b"\0", *names]), 10: code})


def g12_imports() -> bytes:
    """
    G12: a million imports
    refused: has 1,000,000 imports, 10,000 are allowed
    """
    one = sized(b"env") + sized(b"tcp_close") + b"\0\x01"
    types = vector([_NOTHING, b"\x60\x01" + _I32 + b"\x01" + _I32])
    code = vector([sized(b"\0" + _END)])
    handle = _HANDLE + number(1_000_000)
    imports = vector([one] * 1_000_000)
    return module({1: types, 2: imports, 3: b"\x01\0", 7: vector([handle]), 10: code})


def g12_long_names() -> bytes:
    """
    G12 G24: an import whose name has 99,999 line feeds
    refused: has 99,999 bytes in an import's name, 4,096 are allowed
    """
    types, code = vector([_NOTHING]), vector([sized(b"\0" + _END)])
    imports = vector([sized(b"env") + sized(b"\n" * 99_999) + b"\0\0"])
    return module({1: types, 2: imports, 3: b"\x01\0", 7: vector([_HANDLE + b"\x01"]), 10: code})


def g12_size() -> bytes:
    """
    G12: a module of a megabyte and a bit, nearly all of it a custom section
    limits: module_size = "1MiB"
    refused: module_size
    """
    return wat('(module (func (export "handle")))') + b"\0" + sized(sized(b"x") + bytes(1 << 20))


def g32_two_handles() -> bytes:
    """
    G32: exports two functions by one name
    refused: is not valid
    """
    code = vector([sized(b"\0" + _END)] * 2)
    exports = vector([_HANDLE + b"\0", _HANDLE + b"\x01"])
    return module({1: vector([_NOTHING]), 3: b"\x02\0\0", 7: exports, 10: code})


def g33_nothing() -> bytes:
    """
    G33: an empty file
    refused: is empty
    """
    return b""


def g33_text() -> bytes:
    """
    G33: WebAssembly text, which the library would take
    refused: is WebAssembly text
    """
    return b'\n (module (func (export "handle")))'


def g33_text_behind_a_comment() -> bytes:
    """
    G33: WebAssembly text that begins with a comment
    refused: is WebAssembly text
    """
    return b';; no\n(module (func (export "handle")))'


def g33_component() -> bytes:
    """
    G33: a component that exports nothing
    refused: is a component
    """
    return wat("(component)")


def g33_version() -> bytes:
    """
    G33: WebAssembly of a version that nobody knows
    refused: is WebAssembly of an unknown version: 02 00 00 00
    """
    return MAGIC + b"\x02\0\0\0"


def g33_native_code() -> bytes:
    """
    G33: a compiled artifact of the engine's own, which is native code
    refused: is not WebAssembly: it begins with 7f 45 4c 46
    """
    engine = wasmtime.Engine()
    return bytes(wasmtime.Module(engine, '(module (func (export "handle")))').serialize())


def g33_program() -> bytes:
    """
    G33: a program of the operating system's
    refused: is not WebAssembly: it begins with 7f 45 4c 46
    """
    return b"\x7fELF\x02\x01\x01" + bytes(57)


def g33_line_feeds() -> bytes:
    """
    G33 G24: a file that would forge a line where its first bytes are told
    refused: is not WebAssembly: it begins with 0a 7b 22 65 76 65 6e 74
    """
    return b'\n{"event":"x"}'


BOMBS: tuple[Callable[[], bytes], ...] = (
    g12_locals, g12_functions, g12_long_function, g12_nested_loops, g12_branch_table, g12_types, g12_exports,
    g12_imports, g12_long_names, g12_chain_of_conditions, g12_chain_of_calls, g12_rotations, g12_elements,
)  # fmt: skip
"""Refused for their structure; what some of them cost otherwise is in tests/wasm/test_compiler.py."""
MAKERS: tuple[Callable[[], bytes], ...] = (
    *BOMBS,
    g11_many_segments, g12_nested_conditions, g12_size,
    g32_two_handles,
    g33_nothing, g33_text, g33_text_behind_a_comment, g33_component, g33_version, g33_native_code,
    g33_program, g33_line_feeds,
)  # fmt: skip


def make_all() -> Iterator[Guest]:
    """Every guest of this file."""
    for maker in MAKERS:
        card = inspect.getdoc(maker) or ""
        yield read(maker.__name__.replace("_", "-"), card.splitlines(), maker())
