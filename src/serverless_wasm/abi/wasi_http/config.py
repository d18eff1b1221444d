"""wasi:config: the variables of the application, as its configuration's `env` has them.

A key comes in; a text goes out, or none.
It must never show the service's own environment, nor another application's.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http.interface import Interface, Ok, function
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.wasm.components.types import STRING, ListOf, Option, Result, TupleOf, Variant

ERROR = Variant((("upstream", STRING), ("io", STRING)))
_VALUE, _PAIRS = Option(STRING), ListOf(TupleOf((STRING, STRING)))


def get(world: World, key: str) -> Ok:
    return Ok(plain_get(world, key))


def get_all(world: World) -> Ok:
    return Ok(plain_get_all(world))


def plain_get(world: World, key: str) -> str | None:
    value = world.invocation.grants.variables.get(key.encode())
    return None if value is None else _text(value)


def plain_get_all(world: World) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in world.invocation.grants.variables.items()]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


_FUNCTIONS = (
    function("get", get, ("key", STRING), gives=Result(_VALUE, ERROR)),
    function("get-all", get_all, gives=Result(_PAIRS, ERROR)),
    function("get", plain_get, ("key", STRING), gives=_VALUE),
    function("get-all", plain_get_all, gives=_PAIRS),
)
"""Both forms: some revisions of the draft have no errors, under the same version."""
_VERSIONS = ("0.2.0-draft", "0.2.0-draft-2024-09-27", "0.2.0-rc.1")
CONFIG = (
    Interface("wasi:config/store", _FUNCTIONS, versions=_VERSIONS),
    Interface("wasi:config/runtime", _FUNCTIONS, versions=_VERSIONS),  # as it was called before
)
