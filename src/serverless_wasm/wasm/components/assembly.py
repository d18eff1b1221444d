"""A component of several core modules, instantiated one after the other in one store.

A component and what links its host functions come in; the steps of each guest, as fibers make them, go out.
What a component of one module needs is wasm/pure.py's or fast.c's, and costs a fraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.capi import EXTERN_FUNC, EXTERN_MEMORY, NULL, ffi, lib, message_of
from serverless_wasm.wasm.components.blueprint import Blueprint, Export, Lowered, Source, Step
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.pure import FAILED, LOST, OVER, WAITS
from serverless_wasm.wasm.scheduler import Scheduler

HOST = b"host"
"""Where the linker of a component has the host's functions, each by its number."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One import of a module: where the module has it, and where it comes from."""

    module: bytes
    name: bytes
    source: Source

    def define(self, linker: Any, context: Any, item: Any) -> None:
        """Gives it to the module."""
        module, name = self.module, self.name
        error = lib.wasmtime_linker_define(linker, context, module, len(module), name, len(name), item)
        if error:
            raise GuestTrap(f"the component does not fit together: {message_of(error)}")


class Assembly:
    """How the guests of one component are made: `go` is a Plan's.

    `calls` say where the functions of the plan's calls are; `linker` has the host's functions below HOST.
    """

    def __init__(
        self, scheduler: Scheduler, component: Component, linker: Any, calls: Sequence[Export]
    ) -> None:
        blueprint, modules = component.blueprint, component.modules
        self._scheduler = scheduler
        self._calls = calls
        self._modules = [modules[step.module].pointer for step in blueprint.steps]
        self._kept = modules
        self._linker = linker
        self._steps = [_wanted(step) for step in blueprint.steps]
        self._memory = memory_of(blueprint)

    def go(self, own: Any) -> int:
        """Makes the guest's next step, and those that follow, as PureSteps.guest_go does."""
        crossing = self._scheduler.current.crossing  # type: ignore[union-attr] # a guest is run by its fiber
        how = self._step(own, crossing)
        if own.has_memory:
            own.size = lib.wasmtime_memory_data_size(own.context, ffi.addressof(own.memory, "of", "memory"))
        return how

    def _make(self, own: Any) -> None:
        plan = own.plan
        own.store = store = lib.wasmtime_store_new(plan.engine, NULL, NULL)
        own.context = context = lib.wasmtime_store_context(store)
        lib.wasmtime_store_limiter(store, plan.memory, plan.table_elements, len(self._steps), -1, 1)
        lib.wasmtime_context_epoch_deadline_async_yield_and_update(context, 1)
        lib.wasmtime_context_set_epoch_deadline(context, plan.slice)
        if plan.counts_fuel:
            lib.wasmtime_context_set_fuel(context, plan.fuel)

    def _step(self, own: Any, crossing: Any) -> int:
        how = WAITS
        if not own.store:
            self._make(own)
            self._begin(own, crossing)
        elif not own.future:  # it has answered before (reuse.py)
            how = self._call(own, crossing)
        while how == WAITS and lib.wasmtime_call_future_poll(own.future):
            lib.wasmtime_call_future_delete(own.future)
            own.future = NULL
            how = FAILED if own.trap or own.error or own.failed else self._go_on(own, crossing)
        return how

    def _go_on(self, own: Any, crossing: Any) -> int:
        """Begins the next instance, or the next call once all are made."""
        if len(crossing.instances) < len(self._steps):
            self._made(own, crossing)
        if len(crossing.instances) < len(self._steps):
            self._begin(own, crossing)
            return WAITS
        return self._call(own, crossing)

    def _begin(self, own: Any, crossing: Any) -> None:
        """Begins the next instance."""
        number, context = len(crossing.instances), own.context
        linker = lib.wasmtime_linker_new(own.plan.engine)
        kept = ffi.gc(linker, lib.wasmtime_linker_delete)
        item = ffi.new("wasmtime_extern_t *")
        for wanted in self._steps[number]:
            self._find(own, crossing, wanted.source, item)
            wanted.define(linker, context, item)
        instance = ffi.new("wasmtime_instance_t *")
        own.future = lib.wasmtime_linker_instantiate_async(
            linker, context, self._modules[number], instance, _at(own, "trap"), _at(own, "error")
        )
        crossing.beginning = instance, kept

    def _made(self, own: Any, crossing: Any) -> None:
        """Notes an instance that there is now, and the memory if it is there by that."""
        crossing.instances.append(crossing.beginning[0])
        crossing.beginning = None
        memory = self._memory
        if memory is not None and memory.instance == len(crossing.instances) - 1:
            self._find(own, crossing, memory, _at(own, "memory"))
            own.has_memory = own.memory.kind == EXTERN_MEMORY

    def _call(self, own: Any, crossing: Any) -> int:
        """Begins the next call; how it is over already, WAITS if it is not."""
        done = own.next
        if done == own.plan.call_count:
            return OVER
        own.next = done + 1
        call, function = own.plan.calls[done], own.function
        self._find(own, crossing, self._calls[done], _at(own, "function"))
        if function.kind != EXTERN_FUNC:
            return LOST
        own.future = lib.wasmtime_func_call_async(
            own.context, ffi.addressof(function, "of", "func"), call.values, call.count, NULL, 0,
            _at(own, "trap"), _at(own, "error"),
        )  # fmt: skip
        return WAITS

    def _find(self, own: Any, crossing: Any, source: Source, item: Any) -> None:
        """Looks up what an import is to be given."""
        if isinstance(source, Export):
            instance, name = crossing.instances[source.instance], source.name.encode()
            found = lib.wasmtime_instance_export_get(own.context, instance, name, len(name), item)
        else:
            name = b"%d" % source.function
            found = lib.wasmtime_linker_get(self._linker, own.context, HOST, len(HOST), name, len(name), item)
        if not found:
            raise GuestTrap("the component does not fit together: an instance lacks an export")


def _wanted(step: Step) -> list[_Wanted]:
    """What its module imports, each once."""
    unique = {(each.module, each.name): each.source for each in step.arguments}
    return [_Wanted(module.encode(), name.encode(), source) for (module, name), source in unique.items()]


def memory_of(blueprint: Blueprint) -> Export | None:
    """The memory that values cross by: there is but one in a component that may run (linking.py)."""
    lowered = [each.options for each in blueprint.functions if isinstance(each, Lowered)]
    options = [*lowered, *(each.options for each in blueprint.exports)]
    return next((each.memory for each in options if each.memory is not None), None)


def _at(own: Any, field: str) -> Any:
    return ffi.addressof(own, field)
