"""Components linked with the host: each ready to be run as a guest of a core module is.

A component and the functions that the host offers come in; a linked module goes out, or every reason why not.
It must never give a component a function of other types than it declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from serverless_wasm.errors import EngineError, LinkError
from serverless_wasm.text import printable
from serverless_wasm.wasm.capi import NULL, ffi, lib, message_of
from serverless_wasm.wasm.components.assembly import Assembly, memory_of
from serverless_wasm.wasm.components.blueprint import Builtin, Export, Host, Lifted, Lowered
from serverless_wasm.wasm.components.canonical import Answers
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.components.lowering import Callback, Lowering, Offered
from serverless_wasm.wasm.engine import Engine
from serverless_wasm.wasm.linker import LinkedModule, Linker, function_type
from serverless_wasm.wasm.plan import Call, Plan, Terms
from serverless_wasm.wasm.pure import HOST
from serverless_wasm.wasm.scheduler import Scheduler

Offers = Callable[[Lowered], Offered | str]
"""The host's function for one that a component calls, or why there is none."""


class ComponentLinker:
    """Links components; `core` is asked by the engine whether a function that waits has ended."""

    def __init__(self, scheduler: Scheduler, core: Linker, answers: Answers) -> None:
        self._scheduler = scheduler
        self._engine = scheduler.engine
        self._core = core
        self._lowering = Lowering(scheduler, answers)

    def link(self, component: Component, offers: Offers, entry: Lifted, terms: Terms) -> LinkedModule:
        """Makes guests of the component callable; raises LinkError that names all that does not fit.

        `terms.calls` are calls of `entry`.
        """
        callbacks = self._callbacks(component, offers)
        calls = _exports(entry, terms)
        linked = _Linked(self._engine, callbacks)
        if _is_plain(component, calls):
            recipe, plan = linked.plain(component, terms)
        else:
            linked.define_all()
            recipe, plan = NULL, Plan(self._engine, NULL, terms)
            plan.go = Assembly(self._scheduler, component, linked.pointer, calls).go
        return LinkedModule(component, recipe, plan, (self._core, linked), frozenset())

    def _callbacks(self, component: Component, offers: Offers) -> list[Callback]:
        wanted = component.blueprint.functions
        found = [offers(each) if isinstance(each, Lowered) else "" for each in wanted]
        problems = sorted({each for each in found if isinstance(each, str) and each})
        if problems:
            raise LinkError("; ".join(problems))
        return list(self._made(wanted, found))

    def _made(
        self, wanted: Sequence[Lowered | Builtin], found: Sequence[Offered | str]
    ) -> Iterator[Callback]:
        for each, offered in zip(wanted, found, strict=True):
            if isinstance(each, Builtin):
                yield self._lowering.builtin(each)
            elif not isinstance(offered, str):
                yield self._lowering.function(each, offered, self._core.ready)


class _Linked:
    """The engine's linker of one component, and what it must keep."""

    def __init__(self, engine: Engine, callbacks: list[Callback]) -> None:
        self._engine = engine
        self._callbacks = callbacks
        self.pointer = ffi.gc(lib.wasmtime_linker_new(engine.pointer), lib.wasmtime_linker_delete)

    def plain(self, component: Component, terms: Terms) -> tuple[Any, Plan]:
        """For a component of one module: the host's functions stand where the module imports them."""
        (step,) = component.blueprint.steps
        sources = {(each.module, each.name): each.source for each in step.arguments}
        for (module, name), source in sources.items():
            if isinstance(source, Host):
                self._define(module.encode(), name.encode(), self._callbacks[source.function])
        pre = ffi.new("wasmtime_instance_pre_t **")
        module = component.modules[step.module].pointer
        error = lib.wasmtime_linker_instantiate_pre(self.pointer, module, pre)
        if error != NULL:
            raise LinkError(printable(message_of(error)))
        recipe = ffi.gc(pre[0], lib.wasmtime_instance_pre_delete)
        return recipe, Plan(self._engine, recipe, terms)

    def define_all(self) -> None:
        """For any other: each under its number."""
        for number, callback in enumerate(self._callbacks):
            self._define(HOST, b"%d" % number, callback)

    def _define(self, module: bytes, name: bytes, callback: Callback) -> None:
        kind = function_type(callback.type)
        define = (
            lib.wasmtime_linker_define_async_func
            if callback.waits
            else lib.wasmtime_linker_define_func_unchecked
        )
        function = callback.function
        error = define(self.pointer, module, len(module), name, len(name), kind, function, NULL, NULL)
        lib.wasm_functype_delete(kind)
        if error != NULL:
            raise EngineError(message_of(error))


def _exports(entry: Lifted, terms: Terms) -> list[Export]:
    """Where the functions of the calls are; raises LinkError when the host would call itself."""
    if not isinstance(entry.function, Export):
        raise LinkError(f"{printable(entry.name, 64)} is exported as it was imported")
    return [entry.function for _ in terms.calls]


def _is_plain(component: Component, calls: Sequence[Export]) -> bool:
    """Whether one instance is all, with its memory where guests of core modules have theirs."""
    blueprint, memory = component.blueprint, memory_of(component.blueprint)
    if len(blueprint.steps) != 1 or any(call.instance for call in calls):
        return False
    hosted = all(isinstance(each.source, Host) for each in blueprint.steps[0].arguments)
    return hosted and (memory is None or memory.name == "memory")


def call_of(entry: Lifted, values: tuple[tuple[int, int], ...]) -> Call:
    """A call of an entry with these core values."""
    name = entry.function.name if isinstance(entry.function, Export) else ""
    return Call(name.encode(), values)
