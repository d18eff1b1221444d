"""Definitions of types and aliases in a component, and what an import of such a type is.

A cursor at a definition and the scope that it stands in come in; the thing defined goes out.
It must never evaluate definitions without counting them: a type's are evaluated each time that it is used.
"""

from __future__ import annotations

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.components import cursor as sorts
from serverless_wasm.wasm.components.budget import Budget
from serverless_wasm.wasm.components.cursor import SORTS, Cursor, Described, shown
from serverless_wasm.wasm.components.scope import (
    ComponentType,
    DefinedType,
    Imported,
    Instance,
    InstanceType,
    ResourceType,
    Scope,
    Thing,
)
from serverless_wasm.wasm.components.value_types import ValueTypes, refuse_async

CORE_TYPES = "declares types of core modules, which only serve to take modules from elsewhere"
_RESOURCE, _ASYNC_RESOURCE, _COMPONENT, _INSTANCE = 0x3F, 0x3E, 0x41, 0x42
_CORE_TYPE, _TYPE, _ALIAS, _IMPORT, _EXPORT = range(5)
_OUTER_ALIASES = frozenset({sorts.TYPE, sorts.COMPONENT, sorts.MODULE})
_I32 = 0x7F


class Definitions:
    """Reads definitions of one component, those of nested ones included."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        self._data = data
        self._budget = budget

    def type(self, scope: Scope, cursor: Cursor) -> DefinedType:
        """The next type of a component (Type Definitions)."""
        if cursor.at < cursor.end and cursor.data[cursor.at] == _RESOURCE:
            self._budget.define()
            return self._resource(cursor)
        return self._type(scope, cursor)

    def alias(self, scope: Scope, cursor: Cursor) -> tuple[int, Thing]:
        """The sort of the next alias, and the thing; one of a core instance is not for this."""
        self._budget.define()
        start, sort, target = cursor.at, cursor.sort(), cursor.byte()
        if target == 0:
            instance, name = scope.instance(cursor.number()), cursor.name()
            if name not in instance.exports:
                raise cursor.invalid(f"an instance has no export {shown(name)}", start)
            return sort, instance.exports[name]
        if target != 2 or sort not in _OUTER_ALIASES:
            raise cursor.invalid("an alias of an unknown kind", start)
        count, index = cursor.number(), cursor.number()
        return sort, scope.outer(count, sort, index)

    def declared(self, scope: Scope, name: str, described: Described, interface: str = "") -> Thing:
        """What an import or an export of an interface is, of which no more is known than its description."""
        sort, index = described
        if index is None:
            return ResourceType(f"{interface.partition('@')[0]}/{name}")
        if sort == sorts.TYPE:
            return scope.find(sort, index)
        if sort == sorts.FUNCTION:
            return Imported(interface, name, scope.function_type(index))
        if sort == sorts.INSTANCE and not interface:
            return self.instance(scope.instance_type(index), name)
        raise CompileError(f"takes the {SORTS[sort]} {shown(name)} from elsewhere, which is not supported")

    def instance(self, kind: InstanceType, interface: str) -> Instance:
        """An instance of a type, as it is imported under the name of an interface."""
        cursor = Cursor(self._data, kind.start, kind.end, self._budget.limits.name_bytes)
        return Instance(self._declarations(kind.inner(), cursor, interface))

    def _type(self, scope: Scope, cursor: Cursor) -> DefinedType:
        """The next type; one with definitions of its own is evaluated once, to see that it is well-formed."""
        self._budget.define()
        code = cursor.byte()
        if code == _ASYNC_RESOURCE:
            refuse_async("asynchronous destructors")
        if code not in {_COMPONENT, _INSTANCE}:
            return ValueTypes(scope, self._budget).read(code, cursor)
        start, known, imports = cursor.at, scope.sizes(), code == _COMPONENT
        self._declarations(Scope(scope, scope.depth + 1, known), cursor, imports=imports)
        return (ComponentType if imports else InstanceType)(start, cursor.at, scope, known)

    def _resource(self, cursor: Cursor) -> ResourceType:
        """A resource that the component defines itself."""
        if cursor.byte() != _RESOURCE or cursor.byte() != _I32:
            raise cursor.invalid("a resource is not represented by an i32", cursor.at - 1)
        if cursor.flag():
            raise CompileError("defines a resource with a destructor, which is not supported")
        return ResourceType(f"#{self._budget.new_resource()}")

    def _declarations(
        self, scope: Scope, cursor: Cursor, interface: str = "", *, imports: bool = False
    ) -> dict[str, Thing]:
        """What the declarations of an instance's or a component's type export."""
        self._budget.require_nesting(scope.depth)
        exports: dict[str, Thing] = {}
        for _ in cursor.each():
            start, kind = cursor.at, cursor.byte()
            if kind == _TYPE:
                scope.add(sorts.TYPE, self._type(scope, cursor))
            elif kind == _ALIAS:
                scope.add(*self.alias(scope, cursor))
            elif kind == _EXPORT or (kind == _IMPORT and imports):
                self._declaration(scope, cursor, interface, exports if kind == _EXPORT else {})
            elif kind == _CORE_TYPE:
                raise CompileError(CORE_TYPES)
            else:
                raise cursor.invalid(f"an unknown declaration {kind}", start)
        return exports

    def _declaration(self, scope: Scope, cursor: Cursor, interface: str, exports: dict[str, Thing]) -> None:
        self._budget.define()
        start, name, described = cursor.at, cursor.extern_name(), cursor.description()
        thing = self.declared(scope, name, described, interface)
        scope.add(described.sort, thing)
        if name in exports:
            raise cursor.invalid(f"{shown(name)} is exported twice", start)
        exports[name] = thing
