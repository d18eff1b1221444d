"""Guest memory, bounds-checked: the only pointer arithmetic there is.

Unsigned pointers and sizes come in, bytes go out and in; a window outside the memory ends the guest.
No view is kept across calls: the guest may grow its memory between any two.
"""

from __future__ import annotations

from typing import Any

from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.capi import ffi, lib


class Window:
    """`size` bytes of guest memory from `start`, checked when made; rechecked when touched.

    A window of size zero may lie anywhere up to the end of the memory, end included.
    """

    __slots__ = ("_context", "_memory", "size", "start")

    def __init__(self, memory: tuple[Any, Any], start: int, size: int) -> None:
        self._context, self._memory = memory
        self.start = start
        self.size = size
        self._check()

    def read(self, most: int | None = None) -> bytes:
        """The window's bytes, at most `most` of them from its start."""
        size = self.size if most is None or most > self.size else most
        return bytes(ffi.buffer(self._base() + self.start, size)) if size else b""

    def write(self, data: bytes) -> int:
        """Writes as much of `data` as fits and returns how much that is."""
        count = min(len(data), self.size)
        if count:
            self._check()
            ffi.memmove(self._base() + self.start, data, count)
        return count

    def _base(self) -> Any:
        return lib.wasmtime_memory_data(self._context, self._memory)

    def _check(self) -> None:
        length = lib.wasmtime_memory_data_size(self._context, self._memory)
        if self.start + self.size > length:
            raise GuestTrap(f"memory_bounds: {self.size} bytes at {self.start}, memory has {length}")
