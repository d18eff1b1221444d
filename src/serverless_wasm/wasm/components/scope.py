"""What a component speaks of by number: its types, functions, instances, and those of its core modules.

Things are added in the order in which the component defines them, and found by their index.
It must never give a thing of another sort than was asked for: what does not exist raises CompileError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.components import cursor
from serverless_wasm.wasm.components.blueprint import Export, Options, Source
from serverless_wasm.wasm.components.core_module import CoreModule
from serverless_wasm.wasm.components.cursor import SORTS, Described
from serverless_wasm.wasm.components.types import Signature, Type


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a value; `parts` and `depth` are those of it written out in full."""

    type: Type
    parts: int
    depth: int


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource, by the name that types.Own has for it."""

    name: str


@dataclass(frozen=True, slots=True)
class FunctionType:
    """The type of a function."""

    signature: Signature
    parts: int


@dataclass(frozen=True, slots=True)
class Template:
    """A type of an instance or a component, or a nested component: where its definitions begin and end.

    It is evaluated anew each time that it is used, because its resources differ then.
    """

    start: int
    end: int
    scope: Scope
    """In which it stands."""
    known: dict[int, int]
    """How many things of each sort there were before it: it knows no others."""

    def inner(self) -> Scope:
        """A scope of its own, for evaluating it."""
        return Scope(self.scope, self.scope.depth + 1, self.known)


class InstanceType(Template):
    """The type of an instance."""


class ComponentType(Template):
    """The type of a component."""


class NestedComponent(Template):
    """A component within another."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A function of an imported interface."""

    interface: str
    name: str
    type: FunctionType


@dataclass(frozen=True, slots=True)
class LiftedFunction:
    """A function of a core module, seen from outside."""

    source: Source
    options: Options
    type: FunctionType


@dataclass(frozen=True, slots=True)
class Instance:
    """What an instance of the component model exports."""

    exports: dict[str, Thing]


DefinedType = ValueType | ResourceType | FunctionType | InstanceType | ComponentType
Function = Imported | LiftedFunction
Thing = DefinedType | Function | Instance | NestedComponent | CoreModule
_CLASSES: dict[int, tuple[type[Thing], ...]] = {
    cursor.FUNCTION: (Imported, LiftedFunction),
    cursor.TYPE: (ValueType, ResourceType, FunctionType, InstanceType, ComponentType),
    cursor.COMPONENT: (NestedComponent,),
    cursor.INSTANCE: (Instance,),
    cursor.MODULE: (CoreModule,),
}


@dataclass(frozen=True, slots=True)
class CoreInstance:
    """An instance of a core module: a step of the blueprint, and the module it is of."""

    step: int
    module: CoreModule

    def find(self, sort: int, name: str) -> Source | None:
        """Its export of that sort and name."""
        return Export(self.step, name) if self.module.exports.get(name) == sort else None


@dataclass(frozen=True, slots=True)
class Bag:
    """Things of core modules, put together under names of their own."""

    exports: dict[str, tuple[int, Source]]

    def find(self, sort: int, name: str) -> Source | None:
        """Its export of that sort and name."""
        found = self.exports.get(name)
        return found[1] if found and found[0] == sort else None


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scope:
    """The index spaces of a component, or of the type of a component or of an instance."""

    parent: Scope | None = None
    depth: int = 0
    known: dict[int, int] = field(default_factory=dict)
    """How many things of the parent may be spoken of, of each sort."""
    things: dict[int, list[Thing]] = field(default_factory=lambda: {sort: [] for sort in _CLASSES})
    core: dict[int, list[Source]] = field(default_factory=lambda: {sort: [] for sort in cursor.CORE_SORTS})
    core_instances: list[CoreInstance | Bag] = field(default_factory=list)

    def add(self, sort: int, thing: Thing) -> None:
        """Gives the thing the next index of its sort."""
        if not isinstance(thing, _CLASSES[sort]):
            raise CompileError(
                f"is not valid: something of another sort stands for a component's {SORTS[sort]}"
            )
        self.things[sort].append(thing)

    def find(self, sort: int, index: int) -> Thing:
        """The thing of that sort and index."""
        return _at(self.things[sort], index, SORTS[sort])

    def value_type(self, index: int) -> ValueType:
        """A type, which must be one of values."""
        found = self.find(cursor.TYPE, index)
        if not isinstance(found, ValueType):
            raise CompileError(f"is not valid: type {index} is not one of values")
        return found

    def resource_type(self, index: int) -> ResourceType:
        """A type, which must be a resource's."""
        found = self.find(cursor.TYPE, index)
        if not isinstance(found, ResourceType):
            raise CompileError(f"is not valid: type {index} is not a resource")
        return found

    def function_type(self, index: int) -> FunctionType:
        """A type, which must be a function's."""
        found = self.find(cursor.TYPE, index)
        if not isinstance(found, FunctionType):
            raise CompileError(f"is not valid: type {index} is not a function's")
        return found

    def instance_type(self, index: int) -> InstanceType:
        """A type, which must be an instance's."""
        found = self.find(cursor.TYPE, index)
        if not isinstance(found, InstanceType):
            raise CompileError(f"is not valid: type {index} is not an instance's")
        return found

    def instance(self, index: int) -> Instance:
        """An instance."""
        return cast("Instance", self.find(cursor.INSTANCE, index))  # nothing else was added

    def module(self, index: int) -> CoreModule:
        """A core module."""
        return cast("CoreModule", self.find(cursor.MODULE, index))  # as above

    def component(self, index: int) -> NestedComponent:
        """A nested component."""
        return cast("NestedComponent", self.find(cursor.COMPONENT, index))  # as above

    def core_thing(self, sort: int, index: int) -> Source:
        """A thing of a core module."""
        return _at(self.core[sort], index, f"core {cursor.CORE_SORTS[sort]}")

    def core_instance(self, index: int) -> CoreInstance | Bag:
        """An instance of a core module, or what looks like one."""
        return _at(self.core_instances, index, "core instance")

    def sizes(self) -> dict[int, int]:
        """How many things of each sort there are now."""
        return {sort: len(things) for sort, things in self.things.items()}

    def outer(self, count: int, sort: int, index: int) -> Thing:
        """A thing of the scope so many levels outwards, this one being 0."""
        scope, known = self, self.sizes()
        for _ in range(min(count, self.depth + 1)):
            if scope.parent is None:
                raise CompileError(f"is not valid: refers to a scope {count} levels outwards, where none is")
            scope, known = scope.parent, scope.known
        return _at(scope.things[sort], index, SORTS[sort], known[sort])

    def require_type(self, described: Described) -> None:
        """Raises CompileError unless there is the type that a description speaks of."""
        if described.sort == cursor.MODULE:
            raise CompileError("is not valid: there are no types of core modules")
        if described.type_index is not None:
            self.find(cursor.TYPE, described.type_index)


def _at(things: Sequence[T], index: int, what: str, known: int | None = None) -> T:
    if index >= (len(things) if known is None else known):
        raise CompileError(f"is not valid: refers to the unknown {what} {index}")
    return things[index]
