"""Functions that the canonical ABI makes: of core functions for outside, and of others for core modules.

A cursor at a definition (component model, Binary.md, Canonical Definitions) and its scope come in.
It must never take an option that canonical.py does not know: the bytes would mean something else.
"""

from __future__ import annotations

from typing import Literal

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.components import cursor as sorts
from serverless_wasm.wasm.components.blueprint import Builtin, Host, Lowered, Options, Source
from serverless_wasm.wasm.components.budget import Budget, parts_of
from serverless_wasm.wasm.components.cursor import Cursor
from serverless_wasm.wasm.components.scope import Imported, LiftedFunction, ResourceType, Scope
from serverless_wasm.wasm.components.value_types import refuse_async

_LIFT, _LOWER = 0, 1
_BUILTINS: dict[int, Literal["new", "drop", "rep"]] = {2: "new", 3: "drop", 4: "rep"}
_UTF8, _UTF16, _LATIN1, _MEMORY, _REALLOC, _POST_RETURN, _ASYNC, _CALLBACK = range(8)
_CORE_FUNCTION, _CORE_MEMORY = 0, 2


class Canons:
    """Reads the canonical definitions of one component; `functions` takes what the host gives."""

    def __init__(self, functions: list[Lowered | Builtin], budget: Budget) -> None:
        self._functions = functions
        self._budget = budget

    def read(self, scope: Scope, cursor: Cursor) -> None:
        """Adds what the next definition makes to the scope."""
        self._budget.define()
        start, kind = cursor.at, cursor.byte()
        if kind in {_LIFT, _LOWER} and cursor.byte() != 0:
            raise cursor.invalid("a function of an unknown kind", start)
        if kind == _LIFT:
            scope.add(sorts.FUNCTION, self._lifted(scope, cursor))
        elif kind == _LOWER:
            self._give(scope, self._lowered(scope, cursor))
        elif kind in _BUILTINS:
            self._give(scope, self._builtin(_BUILTINS[kind], scope.resource_type(cursor.number())))
        elif 0x05 <= kind <= 0x42:
            refuse_async(f"a function of tasks, streams or threads (0x{kind:02x})")
        else:
            raise cursor.invalid(f"an unknown canonical function 0x{kind:02x}", start)

    def _give(self, scope: Scope, function: Lowered | Builtin) -> None:
        scope.core[_CORE_FUNCTION].append(Host(len(self._functions)))
        self._functions.append(function)

    def _builtin(self, kind: Literal["new", "drop", "rep"], resource: ResourceType) -> Builtin:
        self._budget.keep(parts_of(resource.name))
        return Builtin(kind, resource.name)

    def _lifted(self, scope: Scope, cursor: Cursor) -> LiftedFunction:
        source = scope.core_thing(_CORE_FUNCTION, cursor.number())
        options = self._options(scope, cursor)
        return LiftedFunction(source, options, scope.function_type(cursor.number()))

    def _lowered(self, scope: Scope, cursor: Cursor) -> Lowered:
        index = cursor.number()
        function = scope.find(sorts.FUNCTION, index)
        options = self._options(scope, cursor)
        if not isinstance(function, Imported):
            raise CompileError(
                f"calls its own function {index} as if it were another's, which is not supported"
            )
        if options.post_return:
            raise cursor.invalid("a function of the host has a post-return")
        self._budget.keep(function.type.parts + parts_of(function.interface) + parts_of(function.name))
        return Lowered(function.interface, function.name, function.type.signature, options)

    def _options(self, scope: Scope, cursor: Cursor) -> Options:
        given: dict[int, Source | None] = {}
        for _ in cursor.each():
            start, kind = cursor.at, cursor.byte()
            if kind in {_UTF16, _LATIN1}:
                raise CompileError("passes text in another encoding than UTF-8, which is not supported")
            if kind in {_ASYNC, _CALLBACK}:
                refuse_async("asynchronous functions")
            if kind > _CALLBACK or kind in given:
                raise cursor.invalid(f"an option {kind} that is unknown or there twice", start)
            given[kind] = _option(kind, scope, cursor)
        memory, realloc = given.get(_MEMORY), given.get(_REALLOC)
        if isinstance(memory, Host) or isinstance(realloc, Host):
            raise CompileError("has the host allocate memory for it, which is not supported")
        return Options(memory, realloc, given.get(_POST_RETURN))


def _option(kind: int, scope: Scope, cursor: Cursor) -> Source | None:
    if kind == _UTF8:
        return None
    sort = _CORE_MEMORY if kind == _MEMORY else _CORE_FUNCTION
    return scope.core_thing(sort, cursor.number())
