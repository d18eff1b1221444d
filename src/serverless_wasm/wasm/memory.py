"""Guest memory, bounds-checked: the only pointer arithmetic there is.

Unsigned pointers and sizes come in, bytes go out and in; a window outside the memory ends the guest.
Nothing is readable or writable any more once the memory's store is freed.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.capi import ffi, lib


class Memory:
    """The linear memory of one store.

    The engine is asked only when a window does not fit into what is known: a memory never shrinks, and one
    of the pool never moves, as its slot has room for the largest (engine.MAX_MEMORY).
    """

    __slots__ = ("_context", "_memory", "data", "size")

    def __init__(self, context: Any, memory: Any) -> None:
        self._context = context
        self._memory = memory
        self.size = -1  # a memory may have no byte, and is to be seen all the same
        self.data: Any = None
        self.look()

    def look(self) -> int:
        """Sees how large the memory is by now; returns its bytes."""
        size: int = lib.wasmtime_memory_data_size(self._context, self._memory)
        if size != self.size:
            self.size = size
            self.data = ffi.buffer(lib.wasmtime_memory_data(self._context, self._memory), size)
        return size

    def close(self) -> None:
        """The store is about to be freed, and another guest's memory may lie there soon."""
        self.size = 0
        self.data = _Gone()
        self._context = self._memory = None

    def require(self, start: int, size: int) -> None:
        """Raises GuestTrap if these bytes are not all inside, the memory having grown or not."""
        if self._context is None or start + size > self.look():
            raise GuestTrap(f"memory_bounds: {size} bytes at {start}, memory has {self.size}")


class _Gone:
    """The bytes of a memory that is freed."""

    __slots__ = ()

    def __getitem__(self, _place: slice) -> bytes:
        raise GuestTrap("memory_bounds: the guest is gone")

    def __setitem__(self, _place: slice, _data: bytes) -> None:
        raise GuestTrap("memory_bounds: the guest is gone")


class Window(Struct, gc=False):
    """`size` bytes of guest memory from `start`; only the functions below make it, which check it.

    They stay inside, as a memory never shrinks. A window of size zero may lie anywhere up to the end of
    the memory, end included.
    """

    memory: Memory
    start: int
    size: int

    def read(self, most: int | None = None) -> bytes:
        """The window's bytes, at most `most` of them from its start."""
        size = self.size if most is None or most > self.size else most
        data: bytes = self.memory.data[self.start : self.start + size]
        return data

    def write(self, data: bytes) -> int:
        """Writes as much of `data` as fits and returns how much that is."""
        count = len(data)
        if count > self.size:
            count, data = self.size, data[: self.size]
        self.memory.data[self.start : self.start + count] = data
        return count


def window(memory: Memory, start: int, size: int) -> Window:
    """The window of these bytes; raises GuestTrap if they are not all inside."""
    if start + size > memory.size:
        memory.require(start, size)
    return Window(memory, start, size)


def two_windows(memory: Memory, places: tuple[int, int, int, int]) -> list[Window]:
    """Two of them at once, a start and a size each: most host functions have a key and a buffer."""
    start, size, next_start, next_size = places
    if start + size > memory.size:
        memory.require(start, size)
    if next_start + next_size > memory.size:
        memory.require(next_start, next_size)
    return [Window(memory, start, size), Window(memory, next_start, next_size)]
