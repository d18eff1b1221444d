"""Hostile guests that are components: the files of components/, each with what all of them have in common.

Nothing comes in; Guests go out, each with its card, as those of the other files.
It must never end one for its own good: what ends it is the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from components import LIBC, Imports
from sandbox import wat
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from zoo.cards import FOLDER, Guest, read

PLACE = FOLDER / "components"
_EXPORTED = "wasi:http/incoming-handler@0.2.0#handle"
_LIFT = '(param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))'
_ASKS = "(func $hostile (call $environment.get-environment (i32.const 600)) (call $x))"
"""A guest whose allocator is what is hostile: a list of texts takes many calls of it."""


def make_components() -> Iterator[Guest]:
    """Every guest of the folder; a file of row G4 is an allocator, any other one what the guest does."""
    imports = Imports(INTERFACES)
    for path in sorted(PLACE.glob("*.wat")):
        text = path.read_text()
        head = takewhile(lambda line: line.startswith(";;"), text.splitlines())
        code, libc = (_ASKS, _allocator(text)) if path.stem.startswith("g04") else (text, LIBC)
        card = [line[2:].removeprefix(" ") for line in head]
        yield read(f"{path.stem}-component", card, hostile(imports, code, libc))


def hostile(imports: Imports, code: str, libc: str = LIBC) -> bytes:
    """A component of a function `$hostile`, and of what it shares with the others."""
    common = (PLACE / "prelude.txt").read_text()
    if "$fetch" in code:
        common += (PLACE / "backend.txt").read_text()
    return wat(imports.component(f"{common}\n{code}", _EXPORTED, _LIFT, libc))


def _allocator(code: str) -> str:
    """One that works once, for the path of the request, and then begins with other instructions."""
    hostile = f"(if (global.get $called) (then {code}\n)) (global.set $called (i32.const 1))"
    changed = LIBC.replace('(func (export "realloc")', '(func $again (export "realloc")')
    changed = changed.replace("(local $start i32)", f"(local $start i32) {hostile}")
    return f"{changed} (global $called (mut i32) (i32.const 0))"
