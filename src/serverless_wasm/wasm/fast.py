"""The compiled path through the library (fast.c), where this installation has it; else the pure one.

Nothing comes in but the environment; the path that guests of this process take goes out.
It must never load what was built from other sources than those that lie beside it.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from serverless_wasm.wasm.capi import ffi
from serverless_wasm.wasm.pure import PureSteps

PURE = "SERVERLESS_WASM_PURE"
"""The environment variable that keeps the compiled path out, whatever it says."""
_HERE = Path(__file__).parent
SOURCES = ("capi.h", "guest.h", "fast.c")
"""What it is built from, by hatch_build.py."""

ffi.cdef("""
extern const char fast_sources[];
extern const size_t fast_sizes[6];
int guest_go(guest_t *);
int guest_answer(guest_t *);
int guest_allocate(wasmtime_context_t *, const wasmtime_func_t *, allocation_t *);
int guest_define(wasmtime_linker_t *, wasmtime_context_t *, wiring_t *);
wasm_trap_t *fast_set_body(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_set_status(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_set_header(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_db_get(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_get_method(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_get_path(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_get_query(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_get_parameter(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
wasm_trap_t *fast_get_header(void *, wasmtime_caller_t *, wasmtime_val_raw_t *, size_t);
""")


class CompiledSteps:
    """The steps of guests, and host functions, in C."""

    name = "compiled path"

    def __init__(self, library: Any) -> None:
        self._library = library
        self.guest_go = library.guest_go
        self.guest_answer = library.guest_answer
        self.guest_allocate = library.guest_allocate
        self.guest_define = library.guest_define

    def function(self, name: str) -> Any:
        """The host function that has this name in fast.c; its data is the one in Python that it asks."""
        return getattr(self._library, name)


Steps = CompiledSteps | PureSteps


def find_steps(folder: Path = _HERE) -> Steps:
    """The compiled path, if it was built from the sources in the folder and nobody forbids it."""
    file = folder / "libfast.so"
    if os.environ.get(PURE) or not file.exists():
        return PureSteps()
    try:
        library = ffi.dlopen(str(file))
        return CompiledSteps(library) if _is_ours(library, folder) else PureSteps()
    except (OSError, AttributeError, KeyError):  # of another machine, or of another release
        return PureSteps()


def _is_ours(library: Any, folder: Path) -> bool:
    digest = sha256(b"".join((folder / name).read_bytes() for name in SOURCES)).hexdigest()
    names = ("plan_t", "answer_t", "guest_t", "allocation_t", "import_t", "wiring_t")
    sizes = [ffi.sizeof(name) for name in names]
    return ffi.string(library.fast_sources) == digest.encode() and list(library.fast_sizes) == sizes
