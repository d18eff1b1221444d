"""The C declarations of wasmtime's library, and nothing else.

The `wasmtime` wheel ships the library; `lib` is that very file, opened through cffi
with what capi.h declares.
"""

from __future__ import annotations

import ctypes
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cffi import FFI
from wasmtime import _ffi as wheel  # only for the path of the shared library

from serverless_wasm.errors import EngineError

if TYPE_CHECKING:
    from wasmtime._managed import Managed

MAJOR = 50
"""The library's major version that these declarations were read from (its headers, 50.0.1)."""

_HERE = Path(__file__).parent
DECLARATIONS = (_HERE / "capi.h").read_text(encoding="ascii")
"""What the library offers."""
GUEST = (_HERE / "guest.h").read_text(encoding="ascii")
"""Structures of ours, which both paths through the library share."""

EXTERN_FUNC, EXTERN_MEMORY = 0, 3  # wasmtime/extern.h
KIND_OF_TYPE = {"i32": 0, "i64": 1, "f32": 2, "f64": 3}  # wasm_valkind_t and wasmtime_valkind_t agree here

ffi: Any = FFI()
ffi.cdef(DECLARATIONS + GUEST)
lib: Any = ffi.dlopen(str(wheel.filename), ffi.RTLD_NOW | ffi.RTLD_GLOBAL)  # global: fast.c calls it too
NULL = ffi.NULL


def check_version(found: str | None = None) -> None:
    """Raises EngineError unless the loaded library is of the declared major version."""
    found = found or version("wasmtime")
    if int(found.split(".", 1)[0]) != MAJOR:
        raise EngineError(
            f"wasmtime {found} is installed, but this release speaks the C interface of wasmtime {MAJOR}; "
            f"write: pip install 'wasmtime>={MAJOR},<{MAJOR + 1}'"
        )


def borrow(kind: str, owner: Managed[Any]) -> Any:
    """The wheel's pointer as one of ours; valid while `owner` lives."""
    return ffi.cast(kind, ctypes.cast(owner.ptr(), ctypes.c_void_p).value)


def message_of(error: Any) -> str:
    """Takes a wasmtime_error_t's text and frees it."""
    text = ffi.new("wasm_byte_vec_t *")
    lib.wasmtime_error_message(error, text)
    lib.wasmtime_error_delete(error)
    return take_text(text)


def take_text(vector: Any) -> str:
    """Copies a byte vector that we own and frees it."""
    data = bytes(ffi.buffer(vector.data, vector.size)) if vector.size else b""
    lib.wasm_byte_vec_delete(vector)
    return data.decode("utf-8", "replace")
