"""The core modules of a component, their instances, and what those export to each other.

A cursor at a definition and the component's scope come in; steps of the blueprint go out.
It must never give a module less than it imports, nor anything of another sort.
"""

from __future__ import annotations

from collections.abc import Mapping

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.binary import MODULE
from serverless_wasm.wasm.components.blueprint import Argument, Source
from serverless_wasm.wasm.components.budget import Budget, parts_of
from serverless_wasm.wasm.components.core_module import CoreImport, CoreModule, read_core_module
from serverless_wasm.wasm.components.cursor import CORE_SORTS, Cursor, shown
from serverless_wasm.wasm.components.scope import Bag, CoreInstance, Scope
from serverless_wasm.wasm.components.shims import MadeStep

_INSTANCE = 0x12


class CoreInstances:
    """Reads what one component does with core modules; `steps` takes their instances."""

    def __init__(self, steps: list[MadeStep], budget: Budget) -> None:
        self._steps = steps
        self._budget = budget

    def module(self, section: Cursor) -> CoreModule:
        """The module that a section is."""
        data = section.content()
        if not data.startswith(MODULE):
            raise section.invalid("a core module does not begin as one")
        return read_core_module(data, self._budget)

    def read(self, scope: Scope, cursor: Cursor) -> None:
        """Adds the next instance to the scope (component model, Binary.md, Instance Definitions)."""
        self._budget.define()
        start, kind = cursor.at, cursor.byte()
        if kind > 1:
            raise cursor.invalid(f"a core instance of the unknown kind {kind}", start)
        scope.core_instances.append(self._bag(scope, cursor) if kind else self._instance(scope, cursor))

    def alias(self, scope: Scope, cursor: Cursor, sort: int) -> None:
        """Adds what an instance exports; the alias's sort is read already."""
        self._budget.define()
        start = cursor.at
        if cursor.byte() != 1:
            raise cursor.invalid("an alias of an unknown kind", start)
        index, name = cursor.number(), cursor.name()
        source = scope.core_instance(index).find(sort, name)
        if source is None:
            raise cursor.invalid(f"core instance {index} has no {CORE_SORTS[sort]} {shown(name)}", start)
        scope.core[sort].append(source)

    def _bag(self, scope: Scope, cursor: Cursor) -> Bag:
        found: dict[str, tuple[int, Source]] = {}
        for _ in cursor.each():
            self._budget.define()
            start, name, sort = cursor.at, cursor.name(), cursor.core_sort()
            if name in found:
                raise cursor.invalid(f"{shown(name)} is exported twice", start)
            found[name] = sort, scope.core_thing(sort, cursor.number())
        return Bag(found)

    def _instance(self, scope: Scope, cursor: Cursor) -> CoreInstance:
        index = cursor.number()
        module, given = scope.module(index), dict[str, CoreInstance | Bag]()
        for _ in cursor.each():
            self._budget.define()
            start, name = cursor.at, cursor.name()
            if cursor.byte() != _INSTANCE or name in given:
                raise cursor.invalid(f"a core module is given {shown(name)} twice, or not an instance", start)
            given[name] = scope.core_instance(cursor.number())
        number, limit = len(self._steps), self._budget.limits.steps
        if number == limit:
            raise CompileError(f"instantiates core modules more than {limit} times")
        arguments = tuple(self._argument(index, each, given) for each in module.imports)
        self._steps.append(MadeStep(module, arguments))
        return CoreInstance(number, module)

    def _argument(self, module: int, wanted: CoreImport, given: Mapping[str, CoreInstance | Bag]) -> Argument:
        self._budget.keep(parts_of(wanted.module) + parts_of(wanted.name))
        instance = given.get(wanted.module)
        source = instance.find(wanted.sort, wanted.name) if instance else None
        if source is None:
            what = CORE_SORTS.get(wanted.sort, "thing")
            raise CompileError(
                f"is not valid: core module {module} is not given the {what} "
                f"{shown(wanted.module)} {shown(wanted.name)} that it imports"
            )
        return Argument(wanted.module, wanted.name, source)
