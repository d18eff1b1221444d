"""What is left of a component once it is taken apart: core modules, and the plan that links them.

wasm/components/reader.py makes one of a component's bytes; linking.py runs it.
It must hold nothing that the engine would have to be asked about: it lies in the cache beside the code.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from serverless_wasm.wasm.components.types import Signature


class Export(Struct, frozen=True, tag=True):
    """What an instance of a module exports: `instance` counts the steps of the blueprint."""

    instance: int
    name: str


class Host(Struct, frozen=True, tag=True):
    """A function that the host gives: `function` counts those of the blueprint."""

    function: int


Source = Export | Host


class Argument(Struct, frozen=True):
    """Where one import of a core module comes from."""

    module: str
    name: str
    source: Source


class Step(Struct, frozen=True):
    """One instance of a core module, with every import that the module has, in the module's order.

    `arguments` may not name an instance that comes later, nor this one.
    """

    module: int
    arguments: tuple[Argument, ...]


class Options(Struct, frozen=True):
    """How values cross, as the canonical ABI's options say; text is UTF-8, whatever else is refused."""

    memory: Export | None = None
    realloc: Export | None = None
    post_return: Source | None = None


class Lowered(Struct, frozen=True, tag=True):
    """A function of an imported interface, as a core module calls it.

    `interface` is as the component has it: `wasi:io/streams@0.2.3`.
    """

    interface: str
    name: str
    signature: Signature
    options: Options


class Builtin(Struct, frozen=True, tag=True):
    """What the canonical ABI itself offers for a resource; `resource` is as in types.Own."""

    kind: Literal["drop", "new", "rep"]
    resource: str


class Lifted(Struct, frozen=True):
    """A core function that the component exports as one of an interface (`interface` as in Lowered)."""

    interface: str
    name: str
    signature: Signature
    function: Source
    options: Options


class Blueprint(Struct, frozen=True):
    """A component: how many core modules it has, how they are linked, what it asks for, what it offers."""

    modules: int
    steps: tuple[Step, ...]
    functions: tuple[Lowered | Builtin, ...]
    """What the host gives; those that no module imports are left out."""
    exports: tuple[Lifted, ...]
    imports: tuple[str, ...]
    """The interfaces that it imports, with their versions, whether it calls anything of them or not."""
