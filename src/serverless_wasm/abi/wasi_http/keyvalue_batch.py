"""wasi:keyvalue/batch: several keys in one call.

Keys and pairs of a bucket come in; values go out, all of one moment.
It must never ask for one key after the other: a call is one visit of the store.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http.interface import Interface, Ok, borrow, function
from serverless_wasm.abi.wasi_http.keyvalue_store import ERROR, VERSIONS, Bucket, answered
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.wasm.components.types import BYTES, STRING, ListOf, Option, Result, TupleOf


async def get_many(world: World, bucket: Bucket, keys: list[str]) -> Ok:
    """Each key with its value, or nothing where there is none."""
    pairs = await _pairs(world, bucket, keys)
    return Ok([None if value is None else (key, value) for key, value in pairs])


async def get_many_values(world: World, bucket: Bucket, keys: list[str]) -> Ok:
    """Each key, with its value if there is one."""
    return Ok(await _pairs(world, bucket, keys))


async def _pairs(world: World, bucket: Bucket, keys: list[str]) -> list[tuple[str, bytes | None]]:
    values = await answered(world, bucket.namespace.get_many([key.encode() for key in keys]))
    return list(zip(keys, values, strict=True))


async def set_many(world: World, bucket: Bucket, pairs: list[tuple[str, bytes]]) -> Ok:
    encoded = [(key.encode(), value) for key, value in pairs]
    return Ok(await answered(world, bucket.namespace.set_many(encoded)))


async def delete_many(world: World, bucket: Bucket, keys: list[str]) -> Ok:
    return Ok(await answered(world, bucket.namespace.delete_many([key.encode() for key in keys])))


_BUCKET, _KEYS = ("bucket", borrow(Bucket)), ("keys", ListOf(STRING))
_PAIRS = ("key-values", ListOf(TupleOf((STRING, BYTES))))
_FOUND = ListOf(Option(TupleOf((STRING, BYTES))))
_VALUES = ListOf(TupleOf((STRING, Option(BYTES))))
BATCH = Interface(
    "wasi:keyvalue/batch",
    (
        function("get-many", get_many, _BUCKET, _KEYS, gives=Result(_FOUND, ERROR), waits=True),
        function("get-many", get_many_values, _BUCKET, _KEYS, gives=Result(_VALUES, ERROR), waits=True),
        function("set-many", set_many, _BUCKET, _PAIRS, gives=Result(None, ERROR), waits=True),
        function("delete-many", delete_many, _BUCKET, _KEYS, gives=Result(None, ERROR), waits=True),
    ),
    versions=VERSIONS,
)
"""`get-many` has two types under one version: the proposal's own, and Spin's."""
