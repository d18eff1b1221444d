"""`inspect MODULE`: what a module asks for, what it offers, and whether this release can run it.

A file comes in; a table of facts goes out.
It must never run the module, and never print a name of its making unescaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from serverless_wasm.abi import Abis
from serverless_wasm.cli.report import mistake, print_table
from serverless_wasm.config.schema import ABIS
from serverless_wasm.config.units import size_text
from serverless_wasm.errors import EngineError, ModuleError, SourceError, UnknownAbi
from serverless_wasm.sources import local
from serverless_wasm.text import printable
from serverless_wasm.wasm.binary import COMPONENT
from serverless_wasm.wasm.code import Code, look_into
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.engine import Engine, EngineSettings
from serverless_wasm.wasm.modules import Compiler, ExternType, FunctionType, MemoryType, Module
from serverless_wasm.wasm.scheduler import Scheduler

_CONSTRUCTOR = "_initialize"  # a reactor's; the host calls it, no route does


def inspect(
    module: Annotated[Path, typer.Argument(readable=False, metavar="MODULE", help="A WebAssembly file.")],
) -> None:
    """Show what a module needs and what it offers.

    Lists its imports and exports with their types, its memory, the ABI that it speaks and what that ABI
    does not offer, and which functions a route could call.
    """
    try:
        data = local.read(module)
        engine = Engine(EngineSettings(slots=1))
    except (SourceError, EngineError) as error:
        raise mistake(str(error)) from None
    try:
        facts = [("file", printable(str(module))), ("size", f"{len(data):,} bytes")]
        abis = Abis(Scheduler(engine))
        if data.startswith(COMPONENT):
            facts += _component_facts(look_into(engine, data), abis)
        else:
            facts += _facts(Compiler(engine).compile(data), abis)
    except ModuleError as error:
        raise mistake(f"{printable(str(module))}: {error}") from None
    finally:
        engine.close()
    print_table([[(Text(label, style="bold"), Text(value)) for label, value in facts]])


def _facts(module: Module, abis: Abis) -> Iterator[tuple[str, str]]:
    yield "digest", f"sha256:{module.digest}"
    yield "memory", _memory(module)
    yield from _labelled("imports", [_described(f"{i.module}.{i.name}", i.type) for i in module.imports])
    yield from _labelled("exports", [_described(item.name, item.type) for item in module.exports])
    yield from _contract(module, abis)
    yield "entry points", ", ".join(map(printable, _entry_points(module))) or "none: no export is () -> ()"


def _component_facts(component: Component, abis: Abis) -> Iterator[tuple[str, str]]:
    blueprint = component.blueprint
    yield "digest", f"sha256:{component.digest}"
    yield "memory", f"{size_text(component.begins.memory)} to begin with"
    yield "modules", f"{blueprint.modules}, for {len(blueprint.steps)} instances"
    yield from _labelled("imports", list(map(printable, blueprint.imports)))
    exported = [printable(f"{each.interface} {each.name}") for each in blueprint.exports]
    yield from _labelled("exports", exported)
    yield from _contract(component, abis)


def _labelled(label: str, values: list[str]) -> Iterator[tuple[str, str]]:
    """A row for each value, the label before the first."""
    for value in values or ["none"]:
        yield label, value
        label = ""


def _described(name: str, kind: ExternType) -> str:
    if isinstance(kind, FunctionType):
        return f"{printable(name)} {kind}"
    return f"{printable(name)}: {f'memory {_extent(kind)}' if isinstance(kind, MemoryType) else kind}"


def _extent(memory: MemoryType) -> str:
    most = "the application's limit" if memory.maximum is None else size_text(memory.maximum)
    return f"from {size_text(memory.minimum)} to {most}"


def _memory(module: Module) -> str:
    if module.memory is None:
        return "none that the host can reach: no memory is exported as memory"
    if any(wanted.is_memory for wanted in module.imports):
        return f"imported, so the host defines it and exports it as memory: {_extent(module.memory)}"
    return f"exported: {_extent(module.memory)}"


def _contract(module: Code, abis: Abis) -> Iterator[tuple[str, str]]:
    """The ABI and what it does not offer; where none fits, what each one does not."""
    try:
        abi = abis.detect(module)
    except UnknownAbi as error:
        yield "abi", f"none: {error}"
        for name in ABIS if isinstance(module, Module) else ():
            yield from _labelled(f"missing in {name}", list(abis.detect(module, name).missing(module)))
    else:
        yield "abi", abi.name
        yield from _labelled("missing", list(abi.missing(module)) or ["nothing"])


def _entry_points(module: Module) -> list[str]:
    return [e.name for e in module.exports if e.type == FunctionType() and e.name != _CONSTRUCTOR]
