"""The blueprint of a component that was evaluated: no more than what is needed to run it.

Instances, functions and exports come in, numbered as the component has them; a blueprint goes out.
It must never leave anything out that could be seen to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.components.blueprint import (
    Argument,
    Blueprint,
    Builtin,
    Export,
    Host,
    Lifted,
    Lowered,
    Options,
    Source,
    Step,
)
from serverless_wasm.wasm.components.budget import Budget, parts_of
from serverless_wasm.wasm.components.core_module import CoreModule
from serverless_wasm.wasm.components.cursor import shown
from serverless_wasm.wasm.components.evaluate import Evaluated
from serverless_wasm.wasm.components.scope import Imported, Instance, LiftedFunction, Thing
from serverless_wasm.wasm.components.shims import MadeStep, Shim, find_shims

_NO_STEP = -1


def plan(evaluated: Evaluated, budget: Budget) -> tuple[Blueprint, tuple[bytes, ...]]:
    """The plan, and the core modules that it counts.

    A module's imports that lead to a function of the host through a shim lead there directly; the shim and
    its fixup stay only if something else needs them. Raises CompileError when the plan is too large.
    """
    exports = tuple(_exports(evaluated.exports, budget))
    shims = find_shims(evaluated.steps)
    steps = _directly(evaluated.steps, {shim.step: shim.slots for shim in shims})
    left_out = _needless(shims, steps, [*_options(evaluated, exports), *(each.function for each in exports)])
    return _Numbers(evaluated).blueprint(steps, left_out, exports)


def _exports(things: Mapping[str, Thing], budget: Budget) -> Iterator[Lifted]:
    """The functions that a component exports; one that is in no interface has the interface ""."""
    for name, thing in things.items():
        if not isinstance(thing, Instance):
            yield from _export("", name, thing, budget)
            continue
        for label, each in thing.exports.items():
            yield from _export(name, label, each, budget)


def _export(interface: str, name: str, thing: Thing, budget: Budget) -> Iterator[Lifted]:
    budget.define()
    if isinstance(thing, Imported):
        raise CompileError(f"exports the function {shown(name)} as it imports it, which is not supported")
    if isinstance(thing, LiftedFunction):
        budget.keep(thing.type.parts + parts_of(interface) + parts_of(name))
        yield Lifted(interface, name, thing.type.signature, thing.source, thing.options)


def _directly(steps: Sequence[MadeStep], slots: Mapping[int, Mapping[str, Source]]) -> list[MadeStep]:
    """The steps, with the host's functions where shims stood before them."""

    def direct(argument: Argument) -> Argument:
        source = argument.source
        if isinstance(source, Export):
            behind = slots.get(source.instance, {}).get(source.name)
            if isinstance(behind, Host):
                return Argument(argument.module, argument.name, behind)
        return argument

    return [MadeStep(step.module, tuple(map(direct, step.arguments))) for step in steps]


def _options(evaluated: Evaluated, exports: Sequence[Lifted]) -> Iterator[Source]:
    """What functions need beside themselves."""
    lowered = (each for each in evaluated.functions if isinstance(each, Lowered))
    for options in (*(each.options for each in lowered), *(each.options for each in exports)):
        yield from filter(None, (options.memory, options.realloc, options.post_return))


def _needless(shims: Sequence[Shim], steps: Sequence[MadeStep], others: Sequence[Source]) -> set[int]:
    """The steps of those shims, and of their fixups, of which nothing else has anything."""
    users = {source.instance: {_NO_STEP} for source in others if isinstance(source, Export)}
    for number, step in enumerate(steps):
        for argument in step.arguments:
            if isinstance(argument.source, Export):
                users.setdefault(argument.source.instance, set()).add(number)
    return {
        number
        for shim in shims
        if users.get(shim.step) == {shim.fixup} and shim.fixup not in users
        for number in (shim.step, shim.fixup)
    }


class _Numbers:
    """Numbers what is left: steps and modules in their order, functions in that of their use."""

    def __init__(self, evaluated: Evaluated) -> None:
        self._evaluated = evaluated
        self._steps: dict[int, int] = {}
        self._modules: dict[CoreModule, int] = {}
        self._functions: dict[int, int] = {}

    def blueprint(
        self, steps: Sequence[MadeStep], left_out: set[int], exports: Sequence[Lifted]
    ) -> tuple[Blueprint, tuple[bytes, ...]]:
        """The blueprint, and the modules in its order."""
        kept = [number for number in range(len(steps)) if number not in left_out]
        self._steps = {number: place for place, number in enumerate(kept)}
        made = tuple(self._step(steps[number]) for number in kept)
        lifted = tuple(self._lifted(each) for each in exports)
        functions = tuple(self._function(number) for number in self._functions)
        imports = tuple(self._evaluated.imports)
        blueprint = Blueprint(len(self._modules), made, functions, lifted, imports)
        return blueprint, tuple(module.data for module in self._modules)

    def _step(self, step: MadeStep) -> Step:
        module = self._modules.setdefault(step.module, len(self._modules))
        arguments = (Argument(each.module, each.name, self._source(each.source)) for each in step.arguments)
        return Step(module, tuple(arguments))

    def _lifted(self, lifted: Lifted) -> Lifted:
        source, options = self._source(lifted.function), self._renumbered(lifted.options)
        return Lifted(lifted.interface, lifted.name, lifted.signature, source, options)

    def _function(self, number: int) -> Lowered | Builtin:
        function = self._evaluated.functions[number]
        if isinstance(function, Builtin):
            return function
        options = self._renumbered(function.options)
        return Lowered(function.interface, function.name, function.signature, options)

    def _renumbered(self, options: Options) -> Options:
        memory, realloc, end = options.memory, options.realloc, options.post_return
        return Options(
            memory=self._export(memory) if memory else None,
            realloc=self._export(realloc) if realloc else None,
            post_return=self._source(end) if end else None,
        )

    def _source(self, source: Source) -> Source:
        if isinstance(source, Export):
            return self._export(source)
        return Host(self._functions.setdefault(source.function, len(self._functions)))

    def _export(self, export: Export) -> Export:
        return Export(self._steps[export.instance], export.name)
