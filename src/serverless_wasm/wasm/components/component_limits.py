"""What a component may be made of, so that reading it takes time and memory in proportion to its size.

Numbers with their reasons; reader.py and its siblings hold components to them.
A default must never refuse what a toolchain writes: beside each stands the most that was found in real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from serverless_wasm.wasm.module_limits import ModuleLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentLimits:
    """Components: of componentize-py (Python), componentize-js (StarlingMonkey), wit-component (C, Rust)."""

    module: ModuleLimits = field(default_factory=ModuleLimits)
    """What is read of each core module: its imports and its exports."""
    name_bytes: int = 512
    """Of one name: each resource's has that of its interface in it. The longest of WASI has 48."""
    definitions: int = 60_000
    """Types, aliases, instances, functions, imports and exports, of core modules, too; those in a type or a
    nested component count each time that it is used, which is what could grow beyond all bounds. 5 us each
    here, up to 0.14 ms in the engine. Python has 12,263."""
    nesting: int = 16
    """Of types of instances, and of components, in each other: each takes stack. WASI has one."""
    type_depth: int = 32
    """Of a value's type: lists of lists of... WASI has eight."""
    signature: int = 10_000
    """Parts of one function's type, written out in full: a name of an enum or a field is a part, too, and one
    for each 32 bytes of it. WASI has 115, for the errors of HTTP."""
    steps: int = 100
    """Instances of core modules: each is made for every request. Python has 14, with one for each library."""
    blueprint: int = 200_000
    """Parts of the whole plan, counted as for `signature`: what is kept, and read again when it is loaded.
    Python has 10,313."""
