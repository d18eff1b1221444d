"""wasi:keyvalue and fermyon:spin/key-value over real stores."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from abi.wasi_http.keyvalues import Offered, refusals, with_stores
from applications import Host, body_of, request
from components import Imports
from serverless_wasm.abi.wasi_http.host import Host as Finder
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from serverless_wasm.abi.wasi_http.keyvalue import KEYVALUE
from serverless_wasm.abi.wasi_http.keyvalue_atomics import Cas
from serverless_wasm.abi.wasi_http.keyvalue_store import ERROR, Bucket
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.limits import Limits
from serverless_wasm.storage.kv.namespace import KEY_LIMIT, MANY, KeyValueSettings
from serverless_wasm.storage.kv.stores import KeyValueStores
from serverless_wasm.wasm.components.blueprint import Lowered, Options
from serverless_wasm.wasm.components.types import (
    BYTES,
    S64,
    STRING,
    U64,
    ListOf,
    Option,
    Own,
    Record,
    Result,
    Signature,
    TupleOf,
    Type,
    Variant,
)
from zoo.composed import hostile

STORE, ATOMICS, BATCH, SPIN = (Offered(KEYVALUE, each.name) for each in KEYVALUE)


def other(text: str) -> Err:
    """The error that has a text."""
    return Err(("other", text))


def keys_of(cursor: Type) -> Result:
    """What `list-keys` gives, with cursors of a type."""
    return Result(Record((("keys", ListOf(STRING)), ("cursor", Option(cursor)))), ERROR)


TEXTS, NUMBERS = keys_of(STRING), keys_of(U64)


async def opened(world: World, name: str = "default") -> Bucket:
    """A bucket, which has to be granted."""
    bucket = (await STORE.ask(world, "open", name)).value
    assert isinstance(bucket, Bucket)
    return bucket


async def value_of(world: World, bucket: Bucket, key: str) -> Any:
    """What `get` gives, which has to go well."""
    answer = await STORE.ask(world, "[method]bucket.get", bucket, key)
    assert isinstance(answer, Ok)
    return answer.value


# ---- store


def test_values_are_set_got_and_deleted(host: Host, tmp_path: Path) -> None:
    """A missing key is none and no error to delete; an empty value is one; keys are any text."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        for key in "a", "Grüße \N{SNOWMAN}", " ", "\0":
            assert await STORE.ask(world, "[method]bucket.get", bucket, key) == Ok(None)
            assert await STORE.ask(world, "[method]bucket.exists", bucket, key) == Ok(False)
            assert await STORE.ask(world, "[method]bucket.delete", bucket, key) == Ok()
            for value in b"one\0\xff", b"":
                assert await STORE.ask(world, "[method]bucket.set", bucket, key, value) == Ok()
                assert await STORE.ask(world, "[method]bucket.get", bucket, key) == Ok(value)
            assert await STORE.ask(world, "[method]bucket.exists", bucket, key) == Ok(True)
            assert await STORE.ask(world, "[method]bucket.delete", bucket, key) == Ok()
            assert await STORE.ask(world, "[method]bucket.get", bucket, key) == Ok(None)

    with_stores(host, tmp_path, test, "default")


def test_a_store_is_opened_by_its_name(host: Host, tmp_path: Path) -> None:
    """Each name is a store of its own; the empty one is the first; two handles of one see the same keys."""

    async def test(world: World) -> None:
        one, two, first = [await opened(world, name) for name in ("one", "two", "")]
        await STORE.ask(world, "[method]bucket.set", one, "key", b"1")
        assert await value_of(world, two, "key") is None
        assert await value_of(world, first, "key") == b"1"

    with_stores(host, tmp_path, test, "one", "two")


def test_what_is_not_granted_is_denied(host: Host, tmp_path: Path) -> None:
    """The guest learns no more; the log has the remedy once, and no name of a guest can forge a record."""

    async def test(world: World) -> None:
        for name in "two\n", "On", "one ", "x" * 100_000:
            assert await STORE.ask(world, "open", name) == Err(("access-denied", None))
            assert await SPIN.ask(world, "[static]store.open", name) == Err(("access-denied", None))

    with_stores(host, tmp_path, test, "one")
    assert refusals(host) == [
        'key_value: no store "two\\n" is granted; write key_value = ["two\\n"] for the application'
    ]


def test_nothing_is_granted_by_itself(host: Host, tmp_path: Path) -> None:
    """Without a store even the first is none."""

    async def test(world: World) -> None:
        assert await STORE.ask(world, "open", "default") == Err(("access-denied", None))
        assert await STORE.ask(world, "open", "") == Err(("access-denied", None))

    with_stores(host, tmp_path, test)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("get", ("",), "key_value.default: an empty key"),
        ("get", ("k" * (KEY_LIMIT + 1),), f"key_value.default: a key of more than {KEY_LIMIT} bytes"),
        ("exists", ("",), "key_value.default: an empty key"),
        ("delete", ("",), "key_value.default: an empty key"),
        ("set", ("", b""), "key_value.default: an empty key"),
        ("set", ("key", b"x" * 101), "key_value.default: a value of more than 100 bytes"),
    ],
)
def test_what_no_store_takes_is_an_error(
    host: Host, tmp_path: Path, name: str, arguments: tuple[Any, ...], text: str
) -> None:
    """The guest is told, the log too, and the bucket goes on."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        assert await STORE.ask(world, f"[method]bucket.{name}", bucket, *arguments) == other(text)
        assert await STORE.ask(world, "[method]bucket.set", bucket, "key", b"value") == Ok()

    with_stores(host, tmp_path, test, "default", value=100)
    assert refusals(host) == [text]


def test_a_quota_is_an_error(host: Host, tmp_path: Path) -> None:
    """What is over it is not written, and what is there can still be read."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        assert await STORE.ask(world, "[method]bucket.set", bucket, "a", b"x" * 500) == Ok()
        assert await STORE.ask(world, "[method]bucket.set", bucket, "b", b"x" * 500) == other(
            "key_value.default: the quota of 1000 bytes is used up"
        )
        assert await value_of(world, bucket, "a") == b"x" * 500
        assert await value_of(world, bucket, "b") is None

    with_stores(host, tmp_path, test, "default", quota=1000)


def test_a_store_that_fails_says_so_to_the_log_only(host: Host, tmp_path: Path) -> None:
    """The guest is not told about files and hosts; every function has the same error."""
    (tmp_path / "default.db").write_bytes(b"this is no database" * 1000)

    async def test(world: World) -> None:
        bucket = await opened(world)
        failed = other("the store failed")
        for name, arguments in (
            ("get", ("key",)),
            ("set", ("key", b"")),
            ("delete", ("key",)),
            ("exists", ("key",)),
        ):
            assert await STORE.ask(world, f"[method]bucket.{name}", bucket, *arguments) == failed
        assert await STORE.ask(world, "[method]bucket.list-keys", bucket, None, gives=TEXTS) == failed
        assert await BATCH.ask(world, "set-many", bucket, [("key", b"")]) == failed
        assert await ATOMICS.ask(world, "[static]cas.new", bucket, "key") == failed
        assert await ATOMICS.ask(world, "increment", bucket, "key", 1, gives=Result(S64, ERROR)) == failed

    with_stores(host, tmp_path, test, "default")
    assert len(refusals(host)) == 1
    assert "key_value.default: the database" in refusals(host)[0]


# ---- list-keys


async def listed(world: World, bucket: Bucket, kind: Type) -> list[str]:
    """All keys, page by page."""
    keys, cursor = (await STORE.ask(world, "[method]bucket.list-keys", bucket, None, gives=kind)).value
    while cursor is not None:
        answer = await STORE.ask(world, "[method]bucket.list-keys", bucket, cursor, gives=kind)
        page, cursor = answer.value
        keys += page
    assert isinstance(keys, list)
    return keys


@pytest.mark.parametrize("kind", [TEXTS, NUMBERS], ids=["texts", "numbers"])
def test_keys_are_listed_page_by_page(host: Host, tmp_path: Path, kind: Type) -> None:
    """Each exactly once, whether cursors are texts or numbers; keys that are no text are left out."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        assert await listed(world, bucket, kind) == []
        names = [f"key-{number:04}" for number in range(2 * MANY + 1)]
        for at in range(0, len(names), MANY):
            await bucket.namespace.set_many([(name.encode(), b"") for name in names[at : at + MANY]])
        await bucket.namespace.set(b"key-0999\xff", b"")  # the last of its page, for the next cursor
        assert await listed(world, bucket, kind) == names
        assert await listed(world, bucket, kind) == names

    with_stores(host, tmp_path, test, "default")


def test_cursors_that_a_guest_made_up_are_errors(host: Host, tmp_path: Path) -> None:
    """Whatever the text or the number is; only the last number of a bucket goes on."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        await bucket.namespace.set_many([(b"key-%04d" % number, b"") for number in range(MANY)])
        await bucket.namespace.set(b"last", b"")
        for text in "x", "a", "0", "ÿ", "00" * 10_000, "0" * 3000:
            answer = await STORE.ask(world, "[method]bucket.list-keys", bucket, text, gives=TEXTS)
            assert isinstance(answer, Err)
        for number in 0, 1, 2**64 - 1:
            answer = await STORE.ask(world, "[method]bucket.list-keys", bucket, number, gives=NUMBERS)
            assert isinstance(answer, Err)
        answer = await STORE.ask(world, "[method]bucket.list-keys", bucket, None, gives=NUMBERS)
        assert answer.value[1] == 1
        again = await STORE.ask(world, "[method]bucket.list-keys", await opened(world), 1, gives=NUMBERS)
        assert isinstance(again, Err)
        answer = await STORE.ask(world, "[method]bucket.list-keys", bucket, 1, gives=NUMBERS)
        assert answer == Ok((["last"], None))

    with_stores(host, tmp_path, test, "default")


# ---- atomics


def test_numbers_are_added_to(host: Host, tmp_path: Path) -> None:
    """From nothing, up and down, at once from many; what is no number, or too large, is an error."""
    signed, unsigned = Result(S64, ERROR), Result(U64, ERROR)

    async def test(world: World) -> None:
        bucket = await opened(world)

        async def add(delta: int, kind: Result = signed, key: str = "n") -> Any:
            return (await ATOMICS.ask(world, "increment", bucket, key, delta, gives=kind)).value

        assert [await add(5), await add(-7), await add(0), await add(9, unsigned)] == [5, -2, -2, 7]
        await asyncio.gather(*(add(1) for _ in range(50)))
        assert await value_of(world, bucket, "n") == b"57"
        assert await add(2**63 - 1, key="large") == 2**63 - 1
        assert await add(1, key="large") == ("other", "the store failed")
        assert await add(2**63, unsigned) == ("other", "an increment of more than 63 bits")
        assert await add(-60, key="n") == -3
        assert await add(1, unsigned) == ("other", "the sum is negative")
        await STORE.ask(world, "[method]bucket.set", bucket, "text", b"no number")
        assert await add(1, key="text") == ("other", "the store failed")

    with_stores(host, tmp_path, test, "default")


FOUND = TupleOf((Own("wasi:keyvalue/atomics/cas"), Option(BYTES)))
BARE = Result(None, Variant((("store-error", ERROR), ("cas-failed", Own("wasi:keyvalue/atomics/cas")))))
WITH_VALUE = Result(None, Variant((("store-error", ERROR), ("cas-failed", FOUND))))


@pytest.mark.parametrize("before", [None, b"", b"before"])
def test_a_value_is_swapped_if_nobody_was_faster(host: Host, tmp_path: Path, before: bytes | None) -> None:
    """Who comes second gets a handle for what is there instead, and succeeds with that one."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        if before is not None:
            await bucket.namespace.set(b"key", before)
        first = (await ATOMICS.ask(world, "[static]cas.new", bucket, "key")).value
        second, value = (await ATOMICS.ask(world, "[static]cas.new-with-read", bucket, "key")).value
        third = (await ATOMICS.ask(world, "[static]cas.new", bucket, "key")).value
        assert value == before

        assert await ATOMICS.ask(world, "swap", first, b"first", gives=BARE) == Ok()
        error, handle = (await ATOMICS.ask(world, "swap", third, b"third", gives=BARE)).value
        assert error == "cas-failed"
        assert isinstance(handle, Cas)
        error, (handle, found) = (await ATOMICS.ask(world, "swap", second, b"second", gives=WITH_VALUE)).value
        assert (error, found) == ("cas-failed", b"first")
        assert await value_of(world, bucket, "key") == b"first"
        assert await ATOMICS.ask(world, "swap", handle, b"second", gives=WITH_VALUE) == Ok()
        assert await value_of(world, bucket, "key") == b"second"

    with_stores(host, tmp_path, test, "default")


def test_a_handle_follows_what_it_has_shown(host: Host, tmp_path: Path) -> None:
    """`current` gives the value of now, and the swap is of that one."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        handle = (await ATOMICS.ask(world, "[static]cas.new", bucket, "key")).value
        assert await ATOMICS.ask(world, "[method]cas.current", handle) == Ok(None)
        await bucket.namespace.set(b"key", b"1")
        assert await ATOMICS.ask(world, "[method]cas.current", handle) == Ok(b"1")
        assert await ATOMICS.ask(world, "swap", handle, b"2", gives=BARE) == Ok()

    with_stores(host, tmp_path, test, "default")


def test_one_of_many_swaps_at_once_succeeds(host: Host, tmp_path: Path) -> None:
    """Whoever lost can try again until all are counted."""

    async def test(world: World) -> None:
        bucket = await opened(world)

        async def add_one() -> None:
            handle = (await ATOMICS.ask(world, "[static]cas.new", bucket, "key")).value
            while True:
                value = (await ATOMICS.ask(world, "[method]cas.current", handle)).value or b"0"
                answer = await ATOMICS.ask(world, "swap", handle, b"%d" % (int(value) + 1), gives=BARE)
                if isinstance(answer, Ok):
                    return
                handle = answer.value[1]

        await asyncio.gather(*(add_one() for _ in range(10)))
        assert await value_of(world, bucket, "key") == b"10"

    with_stores(host, tmp_path, test, "default")


def test_errors_of_a_swap_are_those_of_its_store(host: Host, tmp_path: Path) -> None:
    """In the case that a swap has for them, whichever revision it is of."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        assert await ATOMICS.ask(world, "[static]cas.new", bucket, "") == other(
            "key_value.default: an empty key"
        )
        for kind in BARE, WITH_VALUE:
            handle = (await ATOMICS.ask(world, "[static]cas.new", bucket, "key")).value
            answer = await ATOMICS.ask(world, "swap", handle, b"x" * 101, gives=kind)
            text = "key_value.default: a value of more than 100 bytes"
            assert answer == Err(("store-error", ("other", text)))

    with_stores(host, tmp_path, test, "default", value=100)


# ---- batch

PAIRS = Result(ListOf(Option(TupleOf((STRING, BYTES)))), ERROR)
VALUES = Result(ListOf(TupleOf((STRING, Option(BYTES)))), ERROR)


def test_many_keys_in_one_call(host: Host, tmp_path: Path) -> None:
    """Set, got in both forms in the order that was asked for, deleted; nothing of nothing."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        assert await BATCH.ask(world, "set-many", bucket, [("a", b"1"), ("b", b""), ("a", b"2")]) == Ok()
        wanted = ["b", "none", "a", "a"]
        assert await BATCH.ask(world, "get-many", bucket, wanted, gives=PAIRS) == Ok(
            [("b", b""), None, ("a", b"2"), ("a", b"2")]
        )
        assert await BATCH.ask(world, "get-many", bucket, wanted, gives=VALUES) == Ok(
            [("b", b""), ("none", None), ("a", b"2"), ("a", b"2")]
        )
        assert await BATCH.ask(world, "delete-many", bucket, ["a", "none"]) == Ok()
        assert await value_of(world, bucket, "a") is None
        assert await value_of(world, bucket, "b") == b""
        for name in "get-many", "set-many", "delete-many":
            kind = PAIRS if name == "get-many" else None
            answer = await BATCH.ask(world, name, bucket, [], gives=kind)
            assert isinstance(answer, Ok)

    with_stores(host, tmp_path, test, "default")


def test_too_many_keys_are_an_error(host: Host, tmp_path: Path) -> None:
    """Of each function, and none of them is written."""

    async def test(world: World) -> None:
        bucket = await opened(world)
        names = [f"{number}" for number in range(MANY + 1)]
        expected = other(f"key_value.default: more than {MANY} keys at once")
        assert await BATCH.ask(world, "set-many", bucket, [(name, b"") for name in names]) == expected
        assert await BATCH.ask(world, "get-many", bucket, names, gives=VALUES) == expected
        assert await BATCH.ask(world, "delete-many", bucket, names) == expected
        assert await listed(world, bucket, TEXTS) == []

    with_stores(host, tmp_path, test, "default")


# ---- fermyon:spin/key-value


def test_components_of_spin_have_the_same_stores(host: Host, tmp_path: Path) -> None:
    """Every function, on the keys that wasi:keyvalue sees."""

    async def test(world: World) -> None:
        store = (await SPIN.ask(world, "[static]store.open", "default")).value
        assert await SPIN.ask(world, "[method]store.set", store, "key", b"value") == Ok()
        assert await SPIN.ask(world, "[method]store.get", store, "key") == Ok(b"value")
        assert await SPIN.ask(world, "[method]store.exists", store, "key") == Ok(True)
        assert await value_of(world, await opened(world), "key") == b"value"
        assert await SPIN.ask(world, "[method]store.get-keys", store) == Ok(["key"])
        assert await SPIN.ask(world, "[method]store.delete", store, "key") == Ok()
        assert await SPIN.ask(world, "[method]store.get", store, "key") == Ok(None)
        assert await SPIN.ask(world, "[method]store.get", store, "") == other(
            "key_value.default: an empty key"
        )

    with_stores(host, tmp_path, test, "default")


def test_a_list_without_pages_has_an_end(host: Host, tmp_path: Path) -> None:
    """All of several pages, and an error where they are too many."""

    async def test(world: World) -> None:
        store = (await SPIN.ask(world, "[static]store.open", "default")).value

        async def fill(first: int, last: int) -> None:
            for at in range(first, last, MANY):
                await store.namespace.set_many([(b"%05d" % number, b"") for number in range(at, at + MANY)])

        await fill(0, 10_000)
        answer = await SPIN.ask(world, "[method]store.get-keys", store)
        assert answer == Ok([f"{number:05}" for number in range(10_000)])
        await fill(10_000, 11_000)
        assert await SPIN.ask(world, "[method]store.get-keys", store) == other("more than 10000 keys")

    with_stores(host, tmp_path, test, "default")


# ---- as components have them


@pytest.mark.parametrize("version", ["0.2.0-draft", "0.2.0-draft2"])
def test_a_component_gets_the_form_that_it_declares(version: str) -> None:
    """Of each function, at each version; a form that nobody has is refused."""
    offered = Finder(KEYVALUE)
    for interface in (STORE.interface, ATOMICS.interface, BATCH.interface):
        for function in interface.functions:
            wanted = Lowered(f"{interface.name}@{version}", function.name, function.signature, Options())
            assert offered.find(wanted) is function
    strange = Lowered(f"wasi:keyvalue/batch@{version}", "get-many", Signature((), STRING), Options())
    assert "declared with other types" in str(offered.find(strange))


GUEST = """
  (data (i32.const 900) "defaultkeyvalue")
  (func $hostile
    (call $store.open (i32.const 900) (i32.const 7) (i32.const 600))
    (call $must (i32.eqz (i32.load8_u (i32.const 600))))
    (call $bucket.set (i32.load (i32.const 604))
      (i32.const 907) (i32.const 3) (i32.const 910) (i32.const 5) (i32.const 616))
    (call $bucket.set (i32.load (i32.const 604))
      (i32.const 907) (i32.const 0) (i32.const 910) (i32.const 5) (i32.const 616))
    (call $must (i32.load8_u (i32.const 616)))
    (call $bucket.get (i32.load (i32.const 604)) (i32.const 907) (i32.const 3) (i32.const 640))
    (call $say (i32.load (i32.const 648)) (i32.load (i32.const 652))))"""


def test_a_component_keeps_a_value(host: Host, tmp_path: Path) -> None:
    """Opened, set, refused and got by real core code, suspended while the store works."""
    settings = KeyValueSettings(name="default", url=f"sqlite:///{tmp_path}/default.db")
    component = hostile(Imports(INTERFACES), GUEST)

    async def main() -> bytes:
        stores = KeyValueStores()
        try:
            granted = stores.for_application("app", (settings,), Limits(store_timeout=20.0))
            return body_of(await host.application(component, key_value=granted)(request(path="/path")))
        finally:
            await stores.close()

    assert asyncio.run(main()) == b"value"
    assert refusals(host) == ["key_value.default: an empty key"]


def test_versions_are_those_in_the_wild() -> None:
    """Drafts match exactly, so each is named; Spin's is released."""
    for offered in STORE, ATOMICS, BATCH:
        assert set(offered.interface.versions) == {"0.2.0-draft", "0.2.0-draft2"}
    assert SPIN.interface.versions == ("2",)
