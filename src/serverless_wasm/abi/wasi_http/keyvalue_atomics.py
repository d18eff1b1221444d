"""wasi:keyvalue/atomics: numbers that are added to, and values that are replaced only if nobody else has.

A key comes in; a sum or a handle of compare-and-swap goes out.
It must never keep a value for a handle: a guest may have ten thousand handles.
"""

from __future__ import annotations

from hashlib import sha256

from serverless_wasm.abi.wasi_http.interface import (
    Err,
    Interface,
    Ok,
    Refusal,
    Resource,
    borrow,
    function,
    method,
    own,
)
from serverless_wasm.abi.wasi_http.keyvalue_store import ERROR, VERSIONS, Bucket, answered
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.storage.kv.namespace import Namespace
from serverless_wasm.wasm.components.types import (
    BYTES,
    S64,
    STRING,
    U64,
    Option,
    Result,
    TupleOf,
    Type,
    Variant,
)

Value = bytes | None
_LARGEST = 2**63 - 1


class Cas(Resource):
    """A compare-and-swap under way: that the key's value is still the one of `mark` is what it waits for."""

    __slots__ = ("key", "mark", "namespace")
    name = "wasi:keyvalue/atomics/cas"

    def __init__(self, namespace: Namespace, key: bytes, value: Value) -> None:
        super().__init__()
        self.namespace = namespace
        self.key = key
        self.mark = _mark(value)


def _mark(value: Value) -> bytes | None:
    return None if value is None else sha256(value).digest()


async def increment(world: World, bucket: Bucket, key: str, delta: int) -> Ok:
    return Ok(await answered(world, bucket.namespace.increment(key.encode(), delta)))


async def increment_unsigned(world: World, bucket: Bucket, key: str, delta: int) -> Ok | Err:
    """Sums are signed numbers of 64 bits, whoever asks."""
    if delta > _LARGEST:
        return Err(("other", "an increment of more than 63 bits"))
    total = await answered(world, bucket.namespace.increment(key.encode(), delta))
    return Ok(total) if total >= 0 else Err(("other", "the sum is negative"))


async def new(world: World, bucket: Bucket, key: str) -> Ok:
    handle, _ = await _read(world, bucket.namespace, key.encode())
    return Ok(handle)


async def new_with_read(world: World, bucket: Bucket, key: str) -> Ok:
    return Ok(await _read(world, bucket.namespace, key.encode()))


async def current(world: World, handle: Cas) -> Ok:
    """The value now; from then on it is the one that must not change."""
    value = await answered(world, handle.namespace.get(handle.key))
    handle.mark = _mark(value)
    return Ok(value)


async def swap(world: World, handle: Cas, value: bytes) -> Ok | Err:
    found = await _swap(world, handle, value)
    return Ok() if found is None else Err(("cas-failed", found[0]))


async def swap_and_read(world: World, handle: Cas, value: bytes) -> Ok | Err:
    found = await _swap(world, handle, value)
    return Ok() if found is None else Err(("cas-failed", found))


async def _swap(world: World, handle: Cas, value: bytes) -> tuple[Cas, Value] | None:
    """None once it is done, else what is there instead, with a handle for it; raises Refusal."""
    namespace, key = handle.namespace, handle.key
    try:
        present = await answered(world, namespace.get(key))
        if _mark(present) == handle.mark and await answered(world, namespace.swap(key, present, value)):
            return None
        return await _read(world, namespace, key)
    except Refusal as refusal:
        raise Refusal(("store-error", refusal.value)) from None


async def _read(world: World, namespace: Namespace, key: bytes) -> tuple[Cas, Value]:
    value = await answered(world, namespace.get(key))
    return Cas(namespace, key, value), value


def _cas_error(failed: Type) -> Variant:
    return Variant((("store-error", ERROR), ("cas-failed", failed)))


_FOUND = TupleOf((own(Cas), Option(BYTES)))
_PLACE = ("bucket", borrow(Bucket)), ("key", STRING)
_SWAP = ("cas", own(Cas)), ("value", BYTES)
ATOMICS = Interface(
    "wasi:keyvalue/atomics",
    (
        function("increment", increment, *_PLACE, ("delta", S64), gives=Result(S64, ERROR), waits=True),
        function(
            "increment", increment_unsigned, *_PLACE, ("delta", U64), gives=Result(U64, ERROR), waits=True
        ),
        function("[static]cas.new", new, *_PLACE, gives=Result(own(Cas), ERROR), waits=True),
        function(
            "[static]cas.new-with-read", new_with_read, *_PLACE, gives=Result(_FOUND, ERROR), waits=True
        ),
        method(Cas, "current", current, gives=Result(Option(BYTES), ERROR), waits=True),
        function("swap", swap, *_SWAP, gives=Result(None, _cas_error(own(Cas))), waits=True),
        function("swap", swap_and_read, *_SWAP, gives=Result(None, _cas_error(_FOUND)), waits=True),
    ),
    resources=(Cas,),
    versions=VERSIONS,
)
"""Two revisions of draft2, and the draft before them with its unsigned numbers."""
