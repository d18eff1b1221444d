"""fermyon:spin/key-value@2.0.0: what components for Spin keep.

A label, keys and values come in; values go out, from the same stores as those of wasi:keyvalue.
It must never list more keys than fit into one answer: there are no pages.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http.interface import Interface, Ok, Refusal, Resource, function, method, own
from serverless_wasm.abi.wasi_http.keyvalue_store import (
    answered,
    delete,
    exists,
    get,
    granted,
    set_value,
    text_of,
)
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.storage.kv.namespace import Namespace
from serverless_wasm.wasm.components.types import BOOL, BYTES, STRING, ListOf, Option, Result, Variant

ERROR = Variant(
    (("store-table-full", None), ("no-such-store", None), ("access-denied", None), ("other", STRING))
)
MOST_KEYS = 10_000


class Store(Resource):
    """A store, as one guest has it open."""

    __slots__ = ("namespace",)
    name = "fermyon:spin/key-value/store"

    def __init__(self, namespace: Namespace) -> None:
        super().__init__()
        self.namespace = namespace


def open_store(world: World, label: str) -> Ok:
    return Ok(Store(granted(world, label)))


async def get_keys(world: World, store: Store) -> Ok:
    """Every key, page by page; raises Refusal when there are too many for one list."""
    found: list[bytes] = []
    after: bytes | None = None
    while True:
        page, after = await answered(world, store.namespace.keys(b"", after))
        found += page
        if len(found) > MOST_KEYS:
            raise Refusal(("other", f"more than {MOST_KEYS} keys"))
        if after is None:
            return Ok(text_of(found))


_KEY = ("key", STRING)
SPIN = Interface(
    "fermyon:spin/key-value",
    (
        function("[static]store.open", open_store, ("label", STRING), gives=Result(own(Store), ERROR)),
        method(Store, "get", get, _KEY, gives=Result(Option(BYTES), ERROR), waits=True),
        method(Store, "set", set_value, _KEY, ("value", BYTES), gives=Result(None, ERROR), waits=True),
        method(Store, "delete", delete, _KEY, gives=Result(None, ERROR), waits=True),
        method(Store, "exists", exists, _KEY, gives=Result(BOOL, ERROR), waits=True),
        method(Store, "get-keys", get_keys, gives=Result(ListOf(STRING), ERROR), waits=True),
    ),
    resources=(Store,),
    versions=("2",),
)
