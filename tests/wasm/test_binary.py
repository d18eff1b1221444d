"""What the host reads of the binary format by itself."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import wat
from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.binary import COMPONENT, MODULE, beginning, own_memory, require_module

IMPORTING = wat(
    """(module (import "env" "f" (func (param i32))) (import "env" "memory" (memory 2 9))
      (import "env" "t" (table 1 funcref)) (import "env" "g" (global (mut i64)))
      (func $f (export "handle") (drop (i32.load (i32.const 0)))) (start $f) (elem (i32.const 0) $f)
      (data (i32.const 4) "data"))"""
)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (COMPONENT + b"\0", "is a component"),
        (b"\0asm\x02\0\0\0", "unknown version: 02 00 00 00"),
        (b"(module)", "wat2wasm"),
        (b"  ;; text", "wat2wasm"),
        (b"\x7fELF\x02", "not WebAssembly: it begins with 7f 45 4c 46"),
        (b"\0as", "not WebAssembly"),
    ],
)
def test_what_is_no_module_is_told_apart(data: bytes, text: str) -> None:
    """A sentence says what it is instead."""
    with pytest.raises(CompileError, match=text):
        require_module(data)


def test_imported_memory_becomes_the_modules_own() -> None:
    """Defined with the limits that were imported, exported as `memory`; all else is as it was."""
    engine = wasmtime.Engine()
    before, after = (wasmtime.Module(engine, data) for data in (IMPORTING, own_memory(IMPORTING)))

    assert ["f", "memory", "t", "g"] == [item.name for item in before.imports]
    assert ["f", "t", "g"] == [item.name for item in after.imports]
    exports = {item.name: item.type for item in after.exports}
    assert {"handle", "memory"} == set(exports)
    memory = exports["memory"]
    assert isinstance(memory, wasmtime.MemoryType)
    assert (2, 9) == (memory.limits.min, memory.limits.max)


@pytest.mark.parametrize(
    "module",
    [
        '(module (import "env" "memory" (memory 1)))',
        '(module (import "env" "memory" (memory 1)) (export "memory" (memory 0)))',
        '(module (import "env" "memory" (memory 1)) (global i32 (i32.const 0)) (data "x"))',
        '(module (import "env" "memory" (memory 1)) (table 1 funcref) (func (export "f")))',
    ],
)
def test_rewritten_module_is_valid_whatever_sections_it_has(module: str) -> None:
    """The new sections stand where the specification's order wants them."""
    compiled = wasmtime.Module(wasmtime.Engine(), own_memory(wat(module)))

    assert "memory" in [export.name for export in compiled.exports]
    assert [] == compiled.imports


@pytest.mark.parametrize(
    "module",
    [
        "(module)",
        '(module (memory (export "memory") 1))',
        '(module (import "other" "memory" (memory 1)))',
        '(module (import "env" "memory" (func)))',
        '(module (import "env" "mem" (memory 1)))',
    ],
)
def test_module_without_that_import_is_left_alone(module: str) -> None:
    """The same object comes back."""
    data = wat(module)

    assert own_memory(data) is data


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("(module)", (0, 0)),
        ("(module (memory 3 9))", (3 * 65_536, 0)),
        (
            '(module (import "env" "memory" (memory 2)) (table 4 8 funcref) (table 700 externref))',
            (131_072, 700),
        ),
    ],
)
def test_what_an_instance_begins_with(module: str, expected: tuple[int, int]) -> None:
    """Exported or not; of several tables the largest."""
    assert expected == beginning(own_memory(wat(module)))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(rest: bytes) -> None:
    """No byte string makes the reader fail in another way than CompileError, or read past the end."""
    try:
        beginning(own_memory(MODULE + rest))
    except CompileError:
        return


@settings(max_examples=300)
@given(st.data())
def test_damaged_modules_are_read_or_refused(data: st.DataObject) -> None:
    """Cut anywhere, or with any byte changed."""
    at = data.draw(st.integers(len(MODULE), len(IMPORTING) - 1))
    byte = data.draw(st.integers(0, 255))
    for damaged in (IMPORTING[:at], IMPORTING[:at] + bytes([byte]) + IMPORTING[at + 1 :]):
        try:
            own_memory(damaged)
        except CompileError:
            continue
