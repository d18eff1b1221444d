"""What contracts of core modules ask: imports that fit, an entry to be called, a memory within the limits.

A module and its application's limits come in; a linked module goes out, or every reason why there is none.
It must never look into what a contract's functions do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from serverless_wasm.errors import LinkError
from serverless_wasm.limits import Limits
from serverless_wasm.text import printable
from serverless_wasm.wasm.code import Code
from serverless_wasm.wasm.linker import LinkedModule, Linker
from serverless_wasm.wasm.modules import FunctionType, Module
from serverless_wasm.wasm.plan import Call, Terms
from serverless_wasm.wasm.scheduler import Scheduler

ENTRY = FunctionType()
"""The type of an entry: it takes nothing and gives nothing."""
_COMPONENT = "it is a component, and this ABI is one of core modules"
_INITIALIZE = "_initialize"  # a reactor's constructor, to be called once before any export


class CoreAbi:
    """Links core modules; how they are run is for each contract to say."""

    reuses = False

    def __init__(self, scheduler: Scheduler, linker: Linker) -> None:
        self._scheduler = scheduler
        self._linker = linker

    def matches(self, code: Code) -> bool:
        """Whether it is a core module that speaks this contract."""
        return isinstance(code, Module) and self.speaks(code)

    def speaks(self, module: Module) -> bool:
        """Whether a module's imports and exports are those of this contract."""
        raise NotImplementedError

    def is_prompt(self, _linked: LinkedModule) -> bool:
        """Whether its guests need nothing but their host functions: most contracts make more for them."""
        return False

    def missing(self, code: Code) -> tuple[str, ...]:
        """A sentence for each import that is not offered, or offered with another type."""
        return self._linker.missing(code) if isinstance(code, Module) else (_COMPONENT,)

    def link(
        self, code: Code, function: str, limits: Limits, variables: Mapping[bytes, bytes]
    ) -> LinkedModule:
        """Resolves a module for calls of `function`; raises LinkError that names all that does not fit."""
        if not isinstance(code, Module):
            raise LinkError(_COMPONENT)
        module = code
        problems = [
            *self.missing(module),
            *_entry_problems(module, function),
            *_memory_problems(module, limits),
        ]
        if problems:
            raise LinkError("; ".join(problems))
        calls = [function] if module.export(_INITIALIZE) != ENTRY else [_INITIALIZE, function]
        terms = Terms(limits=limits, calls=tuple(Call(name.encode()) for name in calls), variables=variables)
        return self._linker.link(module, terms)


def _entry_problems(module: Module, function: str) -> list[str]:
    """Why the configured function cannot be called, and which could be."""
    found = module.export(function)
    if found == ENTRY:
        return []
    offered = [printable(export.name, 64) for export in module.exports if export.type == ENTRY]
    hint = f"write one of: {', '.join(offered)}" if offered else "it exports no function () -> ()"
    reason = "does not exist" if found is None else f"is {found}, not a function () -> ()"
    return [f'function "{printable(function, 64)}" {reason}; {hint}']


def _memory_problems(module: Module, limits: Limits) -> Iterator[str]:
    """Why the module could never be given what it starts with, or its memory not be found."""
    named, begins = module.export("memory"), module.begins
    if named and not module.memory:
        yield f'export "memory" is {named}, not a memory'
    if begins.memory > limits.memory:
        yield f"memory starts at {begins.memory} bytes, beyond the application's limit of {limits.memory}"
    if begins.table_elements > limits.table_elements:
        yield f"a table starts with {begins.table_elements} elements, beyond {limits.table_elements}"
