"""A component of several core modules, instantiated one after the other in one store.

A component and what links its host functions come in; the steps of each guest, as fibers make them, go out.
What a component of one module needs is wasm/pure.py's or fast.c's, and costs a fraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.capi import EXTERN_FUNC, EXTERN_MEMORY, NULL, ffi, lib, message_of
from serverless_wasm.wasm.components.blueprint import Blueprint, Export, Lowered, Source, Step
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.pure import FAILED, LOST, OVER, WAITS, Places
from serverless_wasm.wasm.scheduler import Scheduler


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
        self._texts: list[Any] = []
        self._steps = [self._wiring(step) for step in blueprint.steps]
        self._memory = memory_of(blueprint)
        self._places: dict[Any, Places] = {}  # as pure.py

    def _wiring(self, step: Step) -> Any:
        """What its module imports, each once, as a wiring_t."""
        unique = {(each.module, each.name): each.source for each in step.arguments}
        rows = [self._import(module, name, source) for (module, name), source in unique.items()]
        imports = self._keep(ffi.new("import_t[]", rows))
        return ffi.new("wiring_t *", {"imports": imports, "count": len(rows), "host": self._linker})

    def _import(self, module: str, name: str, source: Source) -> tuple[Any, ...]:
        called = source.name.encode() if isinstance(source, Export) else b"%d" % source.function
        texts = [self._text(each) for each in (module.encode(), name.encode(), called)]
        return *texts, source.instance if isinstance(source, Export) else -1

    def _text(self, data: bytes) -> tuple[Any, int]:
        return self._keep(ffi.new("char[]", data)), len(data)

    def _keep(self, made: Any) -> Any:
        self._texts.append(made)
        return made

    def go(self, own: Any) -> int:
        """Makes the guest's next step, and those that follow, as PureSteps.guest_go does."""
        crossing = self._scheduler.current.crossing  # type: ignore[union-attr] # a guest is run by its fiber
        places = self._places.get(own)
        if places is None:
            places = self._places[own] = Places(own)
        how = self._step(own, crossing, places)
        if own.has_memory:
            own.size = lib.wasmtime_memory_data_size(own.context, places.memory)
        return how

    def _make(self, own: Any, crossing: Any) -> None:
        plan = own.plan
        own.store = store = lib.wasmtime_store_new(plan.engine, NULL, NULL)
        own.context = context = lib.wasmtime_store_context(store)
        lib.wasmtime_store_limiter(store, plan.memory, plan.table_elements, len(self._steps), -1, 1)
        lib.wasmtime_context_epoch_deadline_async_yield_and_update(context, 1)
        lib.wasmtime_context_set_epoch_deadline(context, plan.slice)
        if plan.counts_fuel:
            lib.wasmtime_context_set_fuel(context, plan.fuel)
        crossing.instances = ffi.new("wasmtime_instance_t[]", len(self._steps))

    def _step(self, own: Any, crossing: Any, places: Places) -> int:
        how = WAITS
        if not own.store:
            self._make(own, crossing)
            self._begin(own, crossing, places)
        elif not own.future:  # it has answered before (reuse.py)
            how = self._call(own, crossing, places)
        while how == WAITS and lib.wasmtime_call_future_poll(own.future):
            lib.wasmtime_call_future_delete(own.future)
            own.future = NULL
            failed = own.trap or own.error or own.failed
            how = FAILED if failed else self._go_on(own, crossing, places)
        return how

    def _go_on(self, own: Any, crossing: Any, places: Places) -> int:
        """Begins the next instance, or the next call once all are made."""
        if crossing.made < len(self._steps):
            self._made(own, crossing, places)
        if crossing.made < len(self._steps):
            self._begin(own, crossing, places)
            return WAITS
        return self._call(own, crossing, places)

    def _begin(self, own: Any, crossing: Any, places: Places) -> None:
        """Begins the next instance."""
        number, context = crossing.made, own.context
        linker = lib.wasmtime_linker_new(own.plan.engine)
        kept = ffi.gc(linker, lib.wasmtime_linker_delete)
        wiring = self._steps[number]
        wiring.instances = crossing.instances
        how = self._scheduler.engine.steps.guest_define(linker, context, wiring)
        if how != OVER:
            reason = message_of(wiring.error) if how == FAILED else "an instance lacks an export"
            raise GuestTrap(f"the component does not fit together: {reason}")
        own.future = lib.wasmtime_linker_instantiate_async(
            linker, context, self._modules[number], crossing.instances + number, places.trap, places.error
        )
        crossing.beginning = kept

    def _made(self, own: Any, crossing: Any, places: Places) -> None:
        """Notes an instance that there is now, and the memory if it is there by that."""
        crossing.made += 1
        crossing.beginning = None
        memory = self._memory
        if memory is not None and memory.instance == crossing.made - 1:
            self._find(own, crossing, memory, places.item)
            own.has_memory = own.memory.kind == EXTERN_MEMORY

    def _call(self, own: Any, crossing: Any, places: Places) -> int:
        """Begins the next call; how it is over already, WAITS if it is not."""
        done = own.next
        if done == own.plan.call_count:
            return OVER
        own.next = done + 1
        call = own.plan.calls[done]
        self._find(own, crossing, self._calls[done], places.function)
        if own.function.kind != EXTERN_FUNC:
            return LOST
        own.future = lib.wasmtime_func_call_async(
            own.context, places.called, call.values, call.count, NULL, 0, places.trap, places.error
        )
        return WAITS

    def _find(self, own: Any, crossing: Any, wanted: Export, item: Any) -> None:
        """Looks up an export of an instance that there is."""
        name = wanted.name.encode()
        instance = crossing.instances + wanted.instance
        if not lib.wasmtime_instance_export_get(own.context, instance, name, len(name), item):
            raise GuestTrap("the component does not fit together: an instance lacks an export")


def memory_of(blueprint: Blueprint) -> Export | None:
    """The memory that values cross by: there is but one in a component that may run (linking.py)."""
    lowered = [each.options for each in blueprint.functions if isinstance(each, Lowered)]
    options = [*lowered, *(each.options for each in blueprint.exports)]
    return next((each.memory for each in options if each.memory is not None), None)
