"""wasi:keyvalue/store: buckets, each a store of keys that the application was granted.

Keys and values of a guest come in, a store is asked while the guest is suspended, values and errors go out.
It decides nothing: which stores there are, and how much is in them, live in storage/kv.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from serverless_wasm.abi.wasi_http.interface import (
    Err,
    Interface,
    Ok,
    Refusal,
    Resource,
    function,
    method,
    own,
)
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import CapabilityError, Failed, NotPermitted
from serverless_wasm.storage.kv.namespace import KEY_LIMIT, Namespace
from serverless_wasm.text import printable
from serverless_wasm.wasm.components.types import (
    BOOL,
    BYTES,
    STRING,
    U64,
    ListOf,
    Option,
    Record,
    Result,
    Type,
    Variant,
)

T = TypeVar("T")
VERSIONS = ("0.2.0-draft", "0.2.0-draft2")
ERROR = Variant((("no-such-store", None), ("access-denied", None), ("other", STRING)))


class Opened(Protocol):
    """A handle that stands for a store."""

    namespace: Namespace


class Bucket(Resource):
    """A store, as one guest has it open.

    `place` is where the last listing by numbers stopped, and how many there were: the guest has the number.
    """

    __slots__ = ("namespace", "place")
    name = "wasi:keyvalue/store/bucket"

    def __init__(self, namespace: Namespace) -> None:
        super().__init__()
        self.namespace = namespace
        self.place: tuple[int, bytes] = (0, b"")


def granted(world: World, identifier: str) -> Namespace:
    """The store of that name, or the first one for an empty name; raises Refusal if it is not granted."""
    for namespace in world.invocation.grants.key_value:
        if identifier in {namespace.name, ""}:
            return namespace
    shown = printable(identifier, 64)
    world.invocation.tell_refusal(
        NotPermitted(
            f'key_value: no store "{shown}" is granted; write key_value = ["{shown}"] for the application'
        )
    )
    raise Refusal(("access-denied", None))


async def answered(world: World, asked: Awaitable[T]) -> T:
    """What a store says; its error becomes the guest's, while the log has a record. Raises Refusal."""
    try:
        return await asked
    except CapabilityError as error:
        world.invocation.tell_refusal(error)
        # why a store failed may name hosts and files that are none of the guest's business
        raise Refusal(("other", "the store failed" if isinstance(error, Failed) else str(error))) from None


def text_of(keys: list[bytes]) -> list[str]:
    """Those keys that are text: a component can name no others."""
    texts = (key.decode("utf-8", "replace") for key in keys)
    return [text for key, text in zip(keys, texts, strict=True) if text.encode() == key]


def open_bucket(world: World, identifier: str) -> Ok:
    return Ok(Bucket(granted(world, identifier)))


async def get(world: World, bucket: Opened, key: str) -> Ok:
    return Ok(await answered(world, bucket.namespace.get(key.encode())))


async def set_value(world: World, bucket: Opened, key: str, value: bytes) -> Ok:
    return Ok(await answered(world, bucket.namespace.set(key.encode(), value)))


async def delete(world: World, bucket: Opened, key: str) -> Ok:
    return Ok(await answered(world, bucket.namespace.delete(key.encode())))


async def exists(world: World, bucket: Opened, key: str) -> Ok:
    return Ok(await answered(world, bucket.namespace.exists(key.encode())))


async def list_keys(world: World, bucket: Bucket, cursor: str | None) -> Ok | Err:
    """The cursor is the last key, in hexadecimal digits: it may be no text."""
    try:
        after = None if cursor is None else bytes.fromhex(cursor[: 2 * KEY_LIMIT + 1])
    except ValueError:
        return Err(("other", "this is no cursor"))
    keys, more = await answered(world, bucket.namespace.keys(b"", after))
    return Ok((text_of(keys), None if more is None else more.hex()))


async def list_keys_by_number(world: World, bucket: Bucket, cursor: int | None) -> Ok | Err:
    """The number says nothing, so the bucket knows the key of the last one that it gave."""
    count, after = bucket.place
    if cursor is not None and (cursor == 0 or cursor != count):
        return Err(("other", "this is not the cursor that this bucket gave last"))
    keys, more = await answered(world, bucket.namespace.keys(b"", None if cursor is None else after))
    if more is None:
        return Ok((text_of(keys), None))
    bucket.place = count + 1, more
    return Ok((text_of(keys), count + 1))


def _listing(cursor: Type) -> Result:
    return Result(Record((("keys", ListOf(STRING)), ("cursor", Option(cursor)))), ERROR)


_KEY = ("key", STRING)
STORE = Interface(
    "wasi:keyvalue/store",
    (
        function("open", open_bucket, ("identifier", STRING), gives=Result(own(Bucket), ERROR)),
        method(Bucket, "get", get, _KEY, gives=Result(Option(BYTES), ERROR), waits=True),
        method(Bucket, "set", set_value, _KEY, ("value", BYTES), gives=Result(None, ERROR), waits=True),
        method(Bucket, "delete", delete, _KEY, gives=Result(None, ERROR), waits=True),
        method(Bucket, "exists", exists, _KEY, gives=Result(BOOL, ERROR), waits=True),
        method(
            Bucket, "list-keys", list_keys, ("cursor", Option(STRING)), gives=_listing(STRING), waits=True
        ),
        method(
            Bucket, "list-keys", list_keys_by_number, ("cursor", Option(U64)), gives=_listing(U64), waits=True
        ),
    ),
    resources=(Bucket,),
    versions=VERSIONS,
)
"""draft2 has texts for cursors, the draft before it numbers."""
