"""One guest of a component, as seen from its host calls: its memory, its handles, its allocator.

Core values and pointers come in from lowering.py; bytes in the guest's memory go out.
It must never let the guest's allocator wait, run for long, or call the host.
"""

from __future__ import annotations

from typing import Any, Protocol

from serverless_wasm.errors import GuestTrap
from serverless_wasm.text import printable
from serverless_wasm.wasm.capi import EXTERN_FUNC, ffi, lib, message_of
from serverless_wasm.wasm.components.blueprint import Export
from serverless_wasm.wasm.components.codec import Handles
from serverless_wasm.wasm.fiber import Fiber, trap_of
from serverless_wasm.wasm.memory import Memory
from serverless_wasm.wasm.pure import OVER, WAITS

_PATIENCE = 8
"""Ticks of the epoch that one allocation may take: honest ones take microseconds."""


NOWHERE: Any = None
"""Where a memory is that nobody has looked for yet."""


class Owner(Protocol):
    """What host functions are called with."""

    @property
    def handles(self) -> Handles: ...
    def close(self) -> None: ...


class Crossing:
    """Where values cross; `memory` is NOWHERE until it is needed."""

    __slots__ = (
        "_allocators", "_fiber", "_kept", "_wanted", "allocating", "beginning", "handles", "instances",
        "left", "made", "memory", "realloc", "world",
    )  # fmt: skip

    def __init__(self, fiber: Fiber, world: Owner) -> None:
        self._fiber = fiber
        self._allocators: dict[Export, Any] = {}
        self._kept: list[Any] = []
        self._wanted: Any = None
        self.world = world
        self.handles = world.handles
        self.instances: Any = None
        """An array in the order of the steps of an assembled component; else there is that of the fiber."""
        self.made = 0
        """How many of them there are by now."""
        self.beginning: Any = None
        """What assembly.py must keep of the instance that is being made."""
        self.memory: Memory = NOWHERE
        """The guest's, once a function that needs it was called."""
        self.realloc: Export | None = None
        """The allocator that the function called asks for."""
        self.allocating = False
        self.left = 0
        """Bytes that may still be read in the call that is under way."""

    def serve(self, fiber: Fiber) -> None:
        """From now on it is for another fiber, of the same instance."""
        self._fiber = fiber

    def close(self) -> None:
        """Drops what the guest has left."""
        self.world.close()

    def find_memory(self, caller: Any) -> None:
        """Finds the guest's memory, within a call of this caller; raises GuestTrap when there is none."""
        self.memory = self._fiber.memory or self._fiber.find_memory(caller)

    def require_outside(self) -> None:
        """Raises GuestTrap while the guest allocates: it may not leave the component then."""
        if self.allocating:
            raise GuestTrap("canonical ABI: a host function is called within realloc")

    def allocate(self, size: int, align: int) -> int:
        """Has the guest make room for so many bytes, and says where; raises how it failed."""
        fiber, wanted, realloc = self._fiber, self._wanted, self.realloc
        if realloc is None:
            raise GuestTrap("canonical ABI: no realloc was given for what is longer than it")
        if wanted is None:  # many guests never ask
            wanted = self._wanted = ffi.new("allocation_t *", {"patience": _PATIENCE})
        function = self._allocators.get(realloc) or self._find(realloc)
        wanted.align, wanted.size = align, size
        self.allocating = True
        how = fiber.allocate(function, wanted)
        self.allocating = False
        if how == OVER:
            place: int = wanted.place
            return place
        if how == WAITS:
            raise GuestTrap("canonical ABI: realloc takes too long")
        if wanted.trap:
            raise trap_of(wanted.trap)
        raise GuestTrap(f"canonical ABI: realloc failed: {printable(message_of(wanted.error), 200)}")

    def _find(self, wanted: Export) -> Any:
        item, name = ffi.new("wasmtime_extern_t *"), wanted.name.encode()
        own = self._fiber.own
        if wanted.instance < self.made:
            instance = self.instances + wanted.instance
        elif own.instance.store_id:
            instance = ffi.addressof(own, "instance")
        else:
            raise GuestTrap("canonical ABI: realloc is called before there is an instance")
        if (
            not lib.wasmtime_instance_export_get(own.context, instance, name, len(name), item)
            or item.kind != EXTERN_FUNC
        ):
            raise GuestTrap("canonical ABI: there is no such realloc")
        self._allocators[wanted] = function = ffi.addressof(item, "of", "func")
        self._kept.append(item)
        return function
