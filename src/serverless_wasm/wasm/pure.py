"""The pure path through the library: a guest's steps, call by call.

A guest that has a plan comes in; whether it waits, is over or has failed goes out.
It must do what fast.c does, in the same order: every test of a guest runs with both.
"""

from __future__ import annotations

from typing import Any

from serverless_wasm.wasm.capi import EXTERN_FUNC, EXTERN_MEMORY, NULL, ffi, lib

WAITS, OVER, FAILED, LOST, ANSWERED = range(5)
"""How a stretch of a guest ended; LOST: the next function to call is not there; ANSWERED: only in fast.c."""
HOST = b"host"
"""Where the linker of a component has the host's functions, each by its number."""


class PureSteps:
    """The steps of guests, for a process without the compiled path."""

    name = "pure path"

    def __init__(self) -> None:
        self._places: dict[Any, Places] = {}  # of every guest_t, which the engine lends again and again
        self._item = ffi.new("wasmtime_extern_t *")

    def guest_go(self, guest: Any) -> int:
        """Runs the guest until its calls are over, or it waits, or has used its slice, or has failed."""
        places = self._places.get(guest)
        if places is None:
            places = self._places[guest] = Places(guest)
        how = _step(guest, places)
        _look(guest, places)
        return how

    def guest_allocate(self, context: Any, function: Any, wanted: Any) -> int:
        """Calls a guest's allocator, which never gives the loop away; WAITS says that it takes too long."""
        values = ffi.new("wasmtime_val_t[4]", [(0, {"i64": 0})] * 4)
        values[2].of.i64, values[3].of.i64 = wanted.align, wanted.size
        result = ffi.new("wasmtime_val_t *")
        wanted.trap, wanted.error = NULL, NULL
        future = lib.wasmtime_func_call_async(
            context, function, values, 4, result, 1,
            ffi.addressof(wanted, "trap"), ffi.addressof(wanted, "error"),
        )  # fmt: skip
        over = any(lib.wasmtime_call_future_poll(future) for _ in range(wanted.patience))
        lib.wasmtime_call_future_delete(future)
        if not over:
            return WAITS
        if wanted.trap or wanted.error:
            return FAILED
        wanted.place = result.of.i32 & 0xFFFFFFFF
        return OVER

    def guest_define(self, linker: Any, context: Any, wiring: Any) -> int:
        """Tells a linker all that a module of a component imports; LOST if there is no such export."""
        item = self._item
        for at in range(wiring.count):
            wanted = wiring.imports[at]
            module, name, source = wanted.module, wanted.name, wanted.source
            if wanted.instance < 0:
                found = lib.wasmtime_linker_get(
                    wiring.host, context, HOST, len(HOST), source.data, source.size, item
                )
            else:
                instance = wiring.instances + wanted.instance
                found = lib.wasmtime_instance_export_get(context, instance, source.data, source.size, item)
            if not found:
                return LOST
            wiring.error = lib.wasmtime_linker_define(
                linker, context, module.data, module.size, name.data, name.size, item
            )
            if wiring.error:
                return FAILED
        return OVER


class Places:
    """Pointers into one guest_t, where the library writes to."""

    __slots__ = ("called", "error", "function", "instance", "item", "memory", "trap")

    def __init__(self, guest: Any) -> None:
        self.instance = ffi.addressof(guest, "instance")
        self.trap = ffi.addressof(guest, "trap")
        self.error = ffi.addressof(guest, "error")
        self.function = ffi.addressof(guest, "function")
        self.called = ffi.addressof(guest, "function", "of", "func")
        self.item = ffi.addressof(guest, "memory")
        self.memory = ffi.addressof(guest, "memory", "of", "memory")


def _make(guest: Any, places: Places) -> None:
    plan = guest.plan
    guest.store = store = lib.wasmtime_store_new(plan.engine, NULL, NULL)
    guest.context = context = lib.wasmtime_store_context(store)
    lib.wasmtime_store_limiter(store, plan.memory, plan.table_elements, 1, -1, 1)
    lib.wasmtime_context_epoch_deadline_async_yield_and_update(context, 1)
    lib.wasmtime_context_set_epoch_deadline(context, plan.slice)
    if plan.counts_fuel:
        lib.wasmtime_context_set_fuel(context, plan.fuel)
    guest.future = lib.wasmtime_instance_pre_instantiate_async(
        plan.recipe, context, places.instance, places.trap, places.error
    )


def _step(guest: Any, places: Places) -> int:
    if not guest.store:
        _make(guest, places)
    how = (
        WAITS if guest.future else _call(guest, places)
    )  # without a future it has answered before (reuse.py)
    while how == WAITS and lib.wasmtime_call_future_poll(guest.future):
        lib.wasmtime_call_future_delete(guest.future)
        guest.future = NULL
        how = FAILED if guest.trap or guest.error or guest.failed else _call(guest, places)
    return how


def _call(guest: Any, places: Places) -> int:
    """Begins the next call; how it is over already, WAITS if it is not."""
    if not guest.has_memory:
        _look(guest, places)
    done, plan = guest.next, guest.plan
    if done == plan.call_count:
        return OVER
    guest.next, call, context = done + 1, plan.calls[done], guest.context
    name, size = call.function.data, call.function.size
    found = lib.wasmtime_instance_export_get(context, places.instance, name, size, places.function)
    if not found or places.function.kind != EXTERN_FUNC:
        return LOST
    guest.future = lib.wasmtime_func_call_async(
        context, places.called, call.values, call.count, NULL, 0, places.trap, places.error
    )
    return WAITS


def _look(guest: Any, places: Places) -> None:
    if not guest.has_memory and places.instance.store_id:
        found = lib.wasmtime_instance_export_get(guest.context, places.instance, b"memory", 6, places.item)
        guest.has_memory = found and places.item.kind == EXTERN_MEMORY
    if guest.has_memory:
        guest.size = lib.wasmtime_memory_data_size(guest.context, places.memory)
