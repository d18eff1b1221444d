"""A component evaluated: its sections, one after the other, until all is known that its plan needs.

Bytes come in; core modules, their instances, and functions either way go out.
It must never run anything: what can only be known by running the component is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.binary import COMPONENT as COMPONENT_HEAD
from serverless_wasm.wasm.components import cursor as sorts
from serverless_wasm.wasm.components.blueprint import Builtin, Lowered
from serverless_wasm.wasm.components.budget import Budget, parts_of
from serverless_wasm.wasm.components.canons import Canons
from serverless_wasm.wasm.components.core_instances import CoreInstances
from serverless_wasm.wasm.components.cursor import CORE_SORTS, SORTS, Cursor, Described, shown
from serverless_wasm.wasm.components.definitions import CORE_TYPES, Definitions
from serverless_wasm.wasm.components.scope import (
    Instance,
    NestedComponent,
    Scope,
    Thing,
)
from serverless_wasm.wasm.components.sections import (
    ALIASES,
    CANONS,
    COMPONENT,
    CORE_INSTANCES,
    CORE_MODULE,
    CORE_TYPE,
    CUSTOM,
    EXPORTS,
    HEAD,
    IMPORTS,
    INSTANCES,
    START,
    TYPES,
    VALUES,
    sections,
)
from serverless_wasm.wasm.components.shims import MadeStep

_OF_CODE = frozenset({CORE_MODULE, CORE_INSTANCES, CORE_TYPE, CANONS})


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a component is: its instances of core modules, what they call, and what it offers."""

    steps: list[MadeStep] = field(default_factory=list)
    functions: list[Lowered | Builtin] = field(default_factory=list)
    imports: dict[str, None] = field(default_factory=dict)
    """The names of its interfaces, in their order."""
    exports: dict[str, Thing] = field(default_factory=dict)


def evaluate(data: bytes, budget: Budget) -> Evaluated:
    """The component of these bytes, whose head is that of a component; raises CompileError."""
    return _Evaluation(data, budget).component()


class _Evaluation:
    """One component on its way; nested components are evaluated where they are instantiated."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._definitions = Definitions(data, budget)
        self._made = Evaluated()
        self._canons = Canons(self._made.functions, budget)
        self._core = CoreInstances(self._made.steps, budget)
        self._depth = 0
        """How many nested components are being instantiated within each other."""

    def component(self) -> Evaluated:
        """What the whole component is."""
        scope, exports = Scope(), self._made.exports
        readers: dict[int, Callable[[Cursor], None]] = {
            CORE_INSTANCES: lambda cursor: self._core.read(scope, cursor),
            CANONS: lambda cursor: self._canons.read(scope, cursor),
            IMPORTS: lambda cursor: self._import(scope, cursor),
            **self._shared(scope, exports),
        }
        cursor = Cursor(self._data, HEAD, len(self._data), self._budget.limits.name_bytes)
        for kind, section in sections(cursor):
            if kind == CORE_MODULE:
                scope.add(sorts.MODULE, self._core.module(section))
            else:
                self._section(scope, kind, section, readers)
        return self._made

    def _nested(self, nested: NestedComponent, arguments: Mapping[str, Thing]) -> Instance:
        """What an instance of a nested component exports; it may have no code of its own."""
        scope, exports = nested.inner(), dict[str, Thing]()
        readers: dict[int, Callable[[Cursor], None]] = {
            IMPORTS: lambda cursor: self._argument(scope, cursor, arguments),
            **self._shared(scope, exports),
        }
        cursor = Cursor(self._data, nested.start, nested.end, self._budget.limits.name_bytes)
        self._depth += 1
        self._budget.require_nesting(self._depth)
        for kind, section in sections(cursor):
            self._section(scope, kind, section, readers)
        self._depth -= 1
        return Instance(exports)

    def _shared(self, scope: Scope, exports: dict[str, Thing]) -> dict[int, Callable[[Cursor], None]]:
        return {
            INSTANCES: lambda cursor: scope.add(sorts.INSTANCE, self._instance(scope, cursor)),
            ALIASES: lambda cursor: self._alias(scope, cursor),
            TYPES: lambda cursor: scope.add(sorts.TYPE, self._definitions.type(scope, cursor)),
            EXPORTS: lambda cursor: self._export(scope, cursor, exports),
        }

    def _section(
        self, scope: Scope, kind: int, section: Cursor, readers: Mapping[int, Callable[[Cursor], None]]
    ) -> None:
        """Reads a section that is the same in the component and in nested ones."""
        self._budget.define()
        if kind == COMPONENT:
            scope.add(sorts.COMPONENT, self._component(scope, section))
        elif kind in readers:
            for _ in section.each():
                readers[kind](section)
            section.finish()
        elif kind != CUSTOM:
            raise CompileError(_refusal(kind))
        else:
            section.name()

    def _component(self, scope: Scope, section: Cursor) -> NestedComponent:
        """A nested component; what it is made of is read where it is instantiated."""
        self._require_no_code(section.again(), scope.depth + 1)
        return NestedComponent(section.at + HEAD, section.end, scope, scope.sizes())

    def _require_no_code(self, section: Cursor, depth: int) -> None:
        """Raises CompileError for a nested component with code, in itself or in those that it nests."""
        self._budget.require_nesting(depth)
        start = section.at
        if section.section(HEAD).content() != COMPONENT_HEAD:
            raise section.invalid("a nested component does not begin as one", start)
        for kind, part in sections(section):
            self._budget.define()
            if kind in _OF_CODE:
                raise CompileError(
                    "uses nested components that call each other, which cannot be taken apart: "
                    "one of them has code of its own"
                )
            if kind == COMPONENT:
                self._require_no_code(part, depth + 1)

    def _instance(self, scope: Scope, cursor: Cursor) -> Instance:
        self._budget.define()
        start, kind = cursor.at, cursor.byte()
        if kind > 1:
            raise cursor.invalid(f"an instance of the unknown kind {kind}", start)
        nested = scope.component(cursor.number()) if kind == 0 else None
        things: dict[str, Thing] = {}
        for _ in cursor.each():
            self._budget.define()
            at, name = cursor.at, cursor.extern_name() if kind else cursor.name()
            if name in things:
                raise cursor.invalid(f"{shown(name)} is given twice", at)
            things[name] = self._thing(scope, cursor)[1]
        return self._nested(nested, things) if nested else Instance(things)

    def _thing(self, scope: Scope, cursor: Cursor) -> tuple[int, Thing]:
        """The thing that a sort and an index stand for."""
        sort = cursor.sort()
        return sort, scope.find(sort, cursor.number())

    def _alias(self, scope: Scope, cursor: Cursor) -> None:
        start = cursor.at
        if cursor.byte() == 0 and (sort := cursor.byte()) in CORE_SORTS:
            self._core.alias(scope, cursor, sort)
        else:
            cursor.at = start
            scope.add(*self._definitions.alias(scope, cursor))

    def _import(self, scope: Scope, cursor: Cursor) -> None:
        """An import of the component: an instance, or a type that it has already."""
        self._budget.define()
        start, name, described = cursor.at, cursor.extern_name(), cursor.description()
        is_alias = described.sort == sorts.TYPE and described.type_index is not None
        if described.sort != sorts.INSTANCE and not is_alias:
            what = SORTS[described.sort]
            raise CompileError(f"imports the {what} {shown(name)} by itself: only interfaces can be given")
        if described.sort == sorts.INSTANCE:
            if name in self._made.imports:
                raise cursor.invalid(f"{shown(name)} is imported twice", start)
            self._made.imports[name] = None
            self._budget.keep(parts_of(name))
        scope.add(described.sort, self._definitions.declared(scope, name, described))

    def _argument(self, scope: Scope, cursor: Cursor, arguments: Mapping[str, Thing]) -> None:
        """An import of a nested component, which is what it was instantiated with."""
        self._budget.define()
        start, name, described = cursor.at, cursor.extern_name(), cursor.description()
        if name not in arguments:
            raise cursor.invalid(f"a nested component is not given {shown(name)}", start)
        scope.require_type(described)
        scope.add(described.sort, arguments[name])

    def _export(self, scope: Scope, cursor: Cursor, exports: dict[str, Thing]) -> None:
        self._budget.define()
        start, name = cursor.at, cursor.extern_name()
        sort, thing = self._thing(scope, cursor)
        if cursor.flag():
            thing = self._ascribed(scope, thing, cursor.description())
        if name in exports:
            raise cursor.invalid(f"{shown(name)} is exported twice", start)
        exports[name] = thing
        scope.add(sort, thing)

    def _ascribed(self, scope: Scope, thing: Thing, described: Described) -> Thing:
        """The thing, of which no more is seen than the type that it is said to have."""
        scope.require_type(described)
        if not isinstance(thing, Instance) or described.type_index is None:
            return thing
        seen = self._definitions.instance(scope.instance_type(described.type_index), "").exports
        return Instance({name: each for name, each in thing.exports.items() if name in seen})


def _refusal(kind: int) -> str:
    if kind in {START, VALUES}:
        return sorts.VALUES
    if kind == CORE_TYPE:
        return CORE_TYPES
    return f"is not valid: has an unknown section {kind}"
