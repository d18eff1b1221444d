"""Each C declaration against the wheel's own bindings, which are generated from the library's headers."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import pytest
import wasmtime
from wasmtime import _bindings as wheel

from serverless_wasm.errors import EngineError
from serverless_wasm.wasm.capi import DECLARATIONS, KIND_OF_TYPE, MAJOR, check_version, ffi, lib

FUNCTIONS = sorted(set(re.findall(r"\b(wasm\w*)\(", DECLARATIONS)))
STRUCTURES = [
    "wasm_byte_vec_t",
    "wasm_valtype_vec_t",
    "wasmtime_instance_t",
    "wasmtime_func_t",
    "wasmtime_memory_t",
    "wasmtime_extern_t",
    "wasmtime_val_t",
    "wasmtime_val_raw_t",
    "wasmtime_async_continuation_t",
]


def plain(name: str) -> str:
    return re.sub(r"(\bstruct |_t$)", "", name.strip())


def same(ours: Any, theirs: Any) -> bool:
    """Whether a cffi type and a ctypes type are one C type, as far as both can tell."""
    if theirs is None:
        return bool(ours.kind == "void")
    if ours.kind == "function" or hasattr(theirs, "_restype_"):
        return ours.kind in {"function", "pointer"} and hasattr(theirs, "_restype_")
    if hasattr(theirs, "contents") and ours.kind == "pointer":
        if ours.item.kind in {"primitive", "pointer"}:
            return same(ours.item, theirs._type_)
        return plain(ours.item.cname) == plain(theirs._type_.__name__)
    if theirs is ctypes.c_void_p:
        return bool(ours.kind == "pointer")
    return bool(
        ours.kind == "primitive" and ffi.sizeof(ours) == ctypes.sizeof(theirs) and signed(ours, theirs)
    )


def signed(ours: Any, theirs: Any) -> bool:
    if theirs in {ctypes.c_bool, ctypes.c_char}:
        return ours.cname in {"_Bool", "char"}
    return bool((int(ffi.cast(ours, -1)) < 0) == (theirs(-1).value < 0))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_as_in_the_header(name: str) -> None:
    """Parameters, their order and the result are those of the loaded library."""
    ours, theirs = ffi.typeof(getattr(lib, name)), getattr(wheel, f"_{name}")

    assert len(theirs.argtypes) == len(ours.args)
    assert [] == [pair for pair in zip(ours.args, theirs.argtypes, strict=True) if not same(*pair)]
    assert same(ours.result, theirs.restype), (ours.result, theirs.restype)


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure_has_the_size_and_offsets_of_the_header(name: str) -> None:
    """No field of ours lies elsewhere than the library's."""
    theirs = getattr(wheel, name, None) or getattr(wheel, name.removesuffix("_t"))

    assert ctypes.sizeof(theirs) == ffi.sizeof(name)
    for field, _ in ffi.typeof(name).fields:
        if hasattr(theirs, field):
            assert getattr(theirs, field).offset == ffi.offsetof(name, field), field


def test_every_declared_function_is_checked() -> None:
    """The list above is not empty by a change of layout."""
    assert len(FUNCTIONS) > 40


def test_value_kinds_are_those_of_the_wheel() -> None:
    """The numbers of the four number types."""
    for name, kind in KIND_OF_TYPE.items():
        assert getattr(wasmtime._ffi, f"WASMTIME_{name.upper()}").value == kind


def test_library_itself_says_the_declared_major() -> None:
    """An artifact carries the version of the library that made it: it is the one we declare."""
    artifact = bytes(wasmtime.Module(wasmtime.Engine(), b"\0asm\1\0\0\0").serialize())

    assert bytes([len(str(MAJOR))]) + str(MAJOR).encode() + b"\x18" in artifact


def test_another_major_is_refused_with_what_to_write() -> None:
    """The sentence names both versions and the remedy."""
    with pytest.raises(EngineError, match=r"wasmtime 51\.2\.3 .* wasmtime 50; write: pip install"):
        check_version("51.2.3")
