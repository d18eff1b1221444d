"""What guests are promised of a key-value store holds for each kind of store in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from serverless_wasm.storage.kv.namespace import (
    KEY_LIMIT,
    MANY,
    MANY_BYTES,
    PAIR,
    SWEPT,
    KeyValueSettings,
    Namespace,
)
from serverless_wasm.storage.kv.stores import open_key_value
from storage.key_values import all_keys, gone, opened, redis_server, refused, settings_of, with_namespace

KEYS = [
    b"\0",
    b"a",
    b"a\0",
    b"a/b",
    b"ab",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff",
    b"../../etc/passwd",
    b"x" * KEY_LIMIT,
]
"""In no order, and of every kind: zero bytes, no UTF-8, paths, the longest."""
LARGEST = 2**63 - 1


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """One server for all tests of this file."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store in which nothing is yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    port = request.getfixturevalue("redis_port")
    flush(port)
    return f"redis://127.0.0.1:{port}/3"


def flush(port: int) -> None:
    """Empties the server."""

    async def main() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"FLUSHALL\r\n")
        assert await reader.readline() == b"+OK\r\n"
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())


def test_what_is_set_is_there(url: str) -> None:
    """Any bytes under any bytes, until they are set anew or deleted."""

    async def main(space: Namespace) -> None:
        for key in KEYS:
            assert await space.get(key) is None
            assert not await space.exists(key)
            await space.set(key, b"value of " + key)
        for key in KEYS:
            assert b"value of " + key == await space.get(key)
            assert await space.exists(key)
            await space.set(key, b"")
            assert await space.get(key) == b""
            assert await space.exists(key)
            await space.delete(key)
            await space.delete(key)
            assert await space.get(key) is None
            assert not await space.exists(key)

    with_namespace(url, main)


def test_it_outlasts_the_store_that_set_it(url: str) -> None:
    """Whoever opens the same URL under the same name finds it."""

    async def main() -> None:
        async with opened(url) as store:
            await store.namespace("a").set(b"key", b"value")
        async with opened(url) as store:
            assert await store.namespace("a").get(b"key") == b"value"

    asyncio.run(main())


def test_keys_are_listed_in_order(url: str) -> None:
    """By their bytes, those with the prefix, page by page whatever the size of a page."""

    async def main(space: Namespace) -> None:
        assert ([], None) == await space.keys()
        await space.set_many([(key, b"") for key in KEYS])

        assert (sorted(KEYS), None) == await space.keys()
        for most in 1, 2, 3, len(KEYS) - 1, len(KEYS), 0, -5, 10**9:
            assert sorted(KEYS) == await all_keys(space, b"", max(most, 1))
            keys, after = await space.keys(b"", None, most)
            assert after == (keys[-1] if len(keys) < len(KEYS) else None)
        for prefix in (b"a", b"\xff", b"\xff\xff", b"a\0", b"nothing", b"x" * KEY_LIMIT):
            expected = sorted(key for key in KEYS if key.startswith(prefix))
            assert expected == await all_keys(space, prefix, 2)
        assert ([b"ab"], None) == await space.keys(b"a", b"a/b")
        assert ([b"a", b"a\0", b"a/b", b"ab"], None) == await space.keys(b"a", b"A")
        assert ([], None) == await space.keys(b"a", b"b")

    with_namespace(url, main)


def test_a_key_that_stays_is_listed_once(url: str) -> None:
    """Whatever comes and goes around it between two pages."""

    async def main(space: Namespace) -> None:
        stay = [b"stay %03d" % number for number in range(50)]
        await space.set_many([(key, b"") for key in stay])
        seen: list[bytes] = []
        after: bytes | None = None
        for turn in range(1000):
            page, after = await space.keys(b"", after, 3)
            seen += page
            if after is None:
                break
            await space.delete_many([b"go %d" % turn, after] if after not in stay else [b"go %d" % turn])
            await space.set_many([(b"go %d" % (turn + 1), b""), (after + b" between", b""), (b"zz", b"")])
        assert stay == [key for key in seen if key in stay]

    with_namespace(url, main)


def test_many_keys_are_one_call(url: str) -> None:
    """Values in the order of the keys, of one moment; a key twice is given twice, and its last value kept."""

    async def main(space: Namespace) -> None:
        assert [] == await space.get_many([])
        await space.set_many([])
        await space.delete_many([])
        await space.set_many([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
        assert [b"2", None, b"3", b"3"] == await space.get_many([b"b", b"c", b"a", b"a"])
        await space.delete_many([b"a", b"c", b"a"])
        assert [None, b"2"] == await space.get_many([b"a", b"b"])

        most = [b"%d" % number for number in range(MANY)]
        await space.set_many([(key, key) for key in most])
        assert most == await space.get_many(most)
        await space.delete_many(most)
        assert [b"b"] == await all_keys(space)

    with_namespace(url, main)


def test_a_counter_counts(url: str) -> None:
    """From nothing, in both directions, over the whole range of 64 bits, as text that `get` gives."""

    async def main(space: Namespace) -> None:
        assert await space.increment(b"n", 5) == 5
        assert -7 == await space.increment(b"n", -12)
        assert await space.get(b"n") == b"-7"
        assert await space.increment(b"n", 0) == -7
        assert await space.increment(b"new", 0) == 0
        assert await space.get(b"new") == b"0"
        await space.set(b"n", str(LARGEST - 1).encode())
        assert await space.increment(b"n", 1) == LARGEST
        assert -1 == await space.increment(b"n", -LARGEST - 1)
        assert -LARGEST - 1 == await space.increment(b"n", -LARGEST)
        assert await space.get(b"n") == str(-LARGEST - 1).encode()

    with_namespace(url, main)


@pytest.mark.parametrize(
    "value",
    [b"", b" ", b"x", b"1.5", b"+1", b"01", b"-0", b" 1", b"1 ", b"1\n", b"1\0", b"0x1", b"1e3", b"--1",
     b"1_0", b"\xd9\xa1", b"9223372036854775808", b"-9223372036854775809", b"1" * 100, b"-"],
)  # fmt: skip
def test_what_is_no_number_is_not_counted(url: str, value: bytes) -> None:
    """Failed, and the value stays."""

    async def main(space: Namespace) -> None:
        await space.set(b"n", value)
        assert "Failed: key_value.default: the value is no number" == await refused(space.increment(b"n", 1))
        assert value == await space.get(b"n")

    with_namespace(url, main)


def test_a_counter_does_not_wrap(url: str) -> None:
    """A sum beyond 64 bits is Failed, what is added beyond them NotPermitted, and the number stays."""

    async def main(space: Namespace) -> None:
        for number, step in (LARGEST, 1), (-LARGEST - 1, -1), (LARGEST, LARGEST), (-2, -LARGEST):
            await space.set(b"n", b"%d" % number)
            assert "64 bits" in await refused(space.increment(b"n", step))
            assert await space.get(b"n") == b"%d" % number
        for step in LARGEST + 1, -LARGEST - 2, 10**30:
            assert (await refused(space.increment(b"n", step))).startswith("NotPermitted")

    with_namespace(url, main)


def test_swap_compares_and_sets(url: str) -> None:
    """Only if the value is the expected one, or missing if that is expected."""

    async def main(space: Namespace) -> None:
        assert not await space.swap(b"k", b"", b"1")
        assert await space.swap(b"k", None, b"1")
        assert not await space.swap(b"k", None, b"2")
        assert not await space.swap(b"k", b"2", b"3")
        assert not await space.swap(b"k", b"", b"3")
        assert await space.get(b"k") == b"1"
        assert await space.swap(b"k", b"1", b"")
        assert await space.swap(b"k", b"", b"\0\xff")
        assert await space.swap(b"k", b"\0\xff", b"\0\xff")
        assert await space.get(b"k") == b"\0\xff"

    with_namespace(url, main)


def test_of_many_swaps_one_wins(url: str) -> None:
    """Twenty at once, each of which expects what was there before."""

    async def main(space: Namespace) -> None:
        won = await asyncio.gather(*(space.swap(b"k", None, b"%d" % number) for number in range(20)))
        assert won.count(True) == 1
        assert await space.get(b"k") == b"%d" % won.index(True)

    with_namespace(url, main)


def test_what_is_over_is_gone(url: str) -> None:
    """For every call at once, and what comes after begins anew."""

    async def main(space: Namespace) -> None:
        names = [b"set", b"swap", b"count", b"list", b"many", b"delete"]
        for name in names:
            await space.set(name, b"7", 30)
        await space.set(b"stays", b"7", 10**18)
        await gone(space, *names)

        assert await space.get(b"list") is None
        assert [None, b"7"] == await space.get_many([b"many", b"stays"])
        assert [b"stays"] == await all_keys(space)
        assert not await space.swap(b"swap", b"7", b"8")
        assert await space.swap(b"swap", None, b"8")
        assert await space.increment(b"count", 1) == 1
        await space.set(b"set", b"again")
        await space.delete(b"delete")
        assert [b"count", b"set", b"stays", b"swap"] == await all_keys(space)

    with_namespace(url, main)


def test_a_time_to_live_stays_or_goes(url: str) -> None:
    """It goes with `set`, `set_many` and `swap`, and stays with `increment`."""

    async def main(space: Namespace) -> None:
        for key in b"set", b"many", b"swap", b"counted":
            await space.set(key, b"1", 150)
        await space.set(b"set", b"2")
        await space.set_many([(b"many", b"2")])
        swapped = await space.swap(b"swap", b"1", b"2")
        counted = await space.increment(b"counted", 1)
        if (swapped, counted) != (True, 2):
            pytest.skip("this machine took 150 ms for six calls")
        await gone(space, b"counted")
        assert [b"2", b"2", b"2"] == await space.get_many([b"set", b"many", b"swap"])

    with_namespace(url, main)


@pytest.mark.parametrize("ttl", [0, -1, -(2**63)])
def test_a_time_to_live_is_a_time(url: str, ttl: int) -> None:
    """Less than a millisecond is refused, and what was there stays."""

    async def main(space: Namespace) -> None:
        await space.set(b"k", b"v")
        assert (await refused(space.set(b"k", b"w", ttl))).startswith("NotPermitted")
        assert await space.get(b"k") == b"v"

    with_namespace(url, main)


def test_applications_do_not_see_each_other(url: str) -> None:
    """Whatever they are called, and whatever their keys are."""
    names = ["a", "b", "ab", "a:b", "a}", "{a", "1:a", "a\nb", "A", "ä", "default"]

    async def main() -> None:
        async with opened(url) as store, opened(url, name="other") as other:
            spaces = [each.namespace(name) for each in (store, other) for name in names]
            for number, space in enumerate(spaces):
                await space.set(b"key", b"%d" % number)
            for number, space in enumerate(spaces):
                assert await space.get(b"key") == b"%d" % number
                assert [b"key"] == await all_keys(space)
            await spaces[0].delete(b"key")
            assert await spaces[1].exists(b"key")
            assert await store.namespace("b").get(b"key") == b"1"

    asyncio.run(main())


def test_a_shared_store_is_one(url: str) -> None:
    """All applications see the same keys under one quota, but not those of an unshared time."""

    async def main() -> None:
        async with opened(url) as store:
            await store.namespace("a").set(b"own", b"")
        async with opened(url, shared=True, quota=200) as store:
            await store.namespace("a").set(b"key", b"value")
            assert await store.namespace("b").get(b"key") == b"value"
            assert "TooLarge" in await refused(store.namespace("b").set(b"other", b"value"))
            assert [b"key"] == await all_keys(store.namespace("a"))

    asyncio.run(main())


def test_impossible_keys_and_values(url: str) -> None:
    """Empty, too long, too many: refused before anything is asked of the store."""
    long = b"x" * (KEY_LIMIT + 1)

    async def main(space: Namespace) -> None:
        for key, error in (b"", "NotPermitted"), (long, "TooLarge"):
            for call in (
                space.get(key), space.exists(key), space.set(key, b""), space.delete(key),
                space.increment(key, 1), space.swap(key, None, b""), space.get_many([b"a", key]),
                space.set_many([(b"a", b""), (key, b"")]), space.delete_many([b"a", key]),
            ):  # fmt: skip
                assert (await refused(call)).startswith(f"{error}: key_value.default: ")
        assert "TooLarge" in await refused(space.keys(long))
        assert "TooLarge" in await refused(space.keys(b"", long))
        assert "TooLarge" in await refused(space.set(b"a", b"x" * 101))
        assert "TooLarge" in await refused(space.swap(b"a", None, b"x" * 101))
        assert "TooLarge" in await refused(space.set_many([(b"a", b""), (b"b", b"x" * 101)]))
        too_many = [b"%d" % number for number in range(MANY + 1)]
        assert "TooLarge" in await refused(space.get_many(too_many))
        assert "TooLarge" in await refused(space.delete_many(too_many))
        assert "TooLarge" in await refused(space.set_many([(key, b"") for key in too_many]))
        assert [] == await all_keys(space)
        await space.set(b"x" * KEY_LIMIT, b"x" * 100)

    with_namespace(url, main, value=100)


def test_many_values_are_no_flood(url: str) -> None:
    """A guest that asks for the same large value a thousand times does not fill the memory of the host."""
    size = MANY_BYTES // 16

    async def main(space: Namespace) -> None:
        await space.set(b"large", bytes(size))
        assert [bytes(size)] * 16 == await space.get_many([b"large"] * 16)
        assert "TooLarge" in await refused(space.get_many([b"large"] * 17))
        assert "TooLarge" in await refused(space.set_many([(b"%d" % n, bytes(size)) for n in range(17)]))

    with_namespace(url, main)


def test_a_quota_is_exact(url: str) -> None:
    """Up to the last byte and no further; what is refused changes nothing, and what shrinks is allowed."""

    async def main(space: Namespace) -> None:
        await space.set(b"12345", b"x" * 367)  # 500
        assert "quota of 1000 bytes" in await refused(space.set(b"12345", b"x" * 868))
        await space.set(b"second", b"x" * (500 - PAIR - 6))
        for call in (
            space.set(b"n", b""), space.increment(b"n", 1), space.swap(b"n", None, b""),
            space.set_many([(b"12345", b""), (b"n", b"x" * 240)]),
            space.swap(b"12345", b"x" * 367, b"x" * 368), space.set(b"second", b"x" * (501 - PAIR - 6)),
        ):  # fmt: skip
            assert (await refused(call)).startswith("TooLarge")
        assert [b"x" * 367, None] == await space.get_many([b"12345", b"n"])
        await space.set(b"12345", b"x" * 366)
        assert await space.swap(b"12345", b"x" * 366, b"x" * 367)
        await space.set_many([(b"12345", b""), (b"n", b"x" * 238)])
        await space.delete_many([b"12345", b"second", b"n"])
        await space.set(b"all", b"x" * (1000 - PAIR - 3))
        await space.delete(b"all")
        await space.set(b"n", b"9")
        await space.set(b"all", b"x" * (1000 - PAIR - 3 - PAIR - 2))
        assert "TooLarge" in await refused(space.increment(b"n", 1))
        assert await space.get(b"n") == b"9"
        assert await space.increment(b"n", -1) == 8

    with_namespace(url, main, quota=1000)


def test_a_smaller_quota_takes_nothing_away(url: str) -> None:
    """What is there stays, and can shrink; nothing grows."""

    async def main() -> None:
        async with opened(url) as store:
            await store.namespace("a").set(b"key", b"x" * 1000)
        async with opened(url, quota=500) as store:
            space = store.namespace("a")
            assert "TooLarge" in await refused(space.set(b"other", b""))
            assert "TooLarge" in await refused(space.set(b"key", b"x" * 1001))
            await space.set(b"key", b"y" * 1000)
            await space.set(b"key", b"x" * 900)
            await space.delete(b"key")
            await space.set(b"other", b"")

    asyncio.run(main())


def test_what_is_over_makes_room(url: str) -> None:
    """As soon as it is over, however much there is of it."""
    count = 4 * SWEPT

    async def main(space: Namespace) -> None:
        names = [b"%04d" % number for number in range(count)]
        for name in names:
            await space.set(name, b"", 100)
        await gone(space, *names)
        await space.set(b"all", b"x" * (quota - PAIR - 3))
        assert [b"all"] == await all_keys(space)

    quota = count * (PAIR + 4)
    with_namespace(url, main, quota=quota)


def test_calls_at_once_are_one_after_the_other(url: str) -> None:
    """Two hundred increments at once, of two stores, and none is lost."""

    async def main() -> None:
        async with opened(url) as one, opened(url) as other:
            spaces = one.namespace("a"), other.namespace("a")
            sums = await asyncio.gather(*(space.increment(b"n", 1) for _ in range(100) for space in spaces))
            assert list(range(1, 201)) == sorted(sums)

    asyncio.run(main())


def test_a_cancelled_call_harms_no_other(url: str) -> None:
    """Cancelled at any point: the calls beside it get their own answers, and so does the next."""

    async def main(space: Namespace) -> None:
        for number in range(30):
            await space.set(b"%d" % number, b"%d" % number)
        for turns in range(12):
            tasks = [asyncio.create_task(space.get(b"%d" % number)) for number in range(30)]
            tasks += [asyncio.create_task(space.set(b"own %d" % turns, b"x" * 10_000))]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            for number in range(1, 30, 2):
                assert answers[number] == b"%d" % number
            assert await space.get(b"7") == b"7"

    with_namespace(url, main)


def test_a_closed_store_fails(url: str) -> None:
    """Closing twice is fine, closing one that was never used, too; calls say that it is closed."""

    async def main() -> None:
        unused = open_key_value(settings_of(url), 5.0)
        await unused.close()
        store = open_key_value(settings_of(url), 5.0)
        space = store.namespace("a")
        await space.set(b"a", b"")
        under_way = asyncio.create_task(space.get(b"a"))
        await asyncio.sleep(0)
        await store.close()
        await store.close()
        assert await under_way == b""
        for call in space.get(b"a"), space.set(b"a", b""), space.keys():
            assert "Failed: key_value.default: the store is closed" == await refused(call)

    asyncio.run(main())


@pytest.mark.parametrize(
    "url",
    ["", "state.db", "sqlite://state.db", "sqlite:///state.db", "sqlite:////a\0b", "http://secret@h/", "redis://",
     "redis://:secret@/0", "redis://h:secret/0", "redis://:pa/secret@h", "redis://h/secret", "redis://h/0?secret=1",
     "redis://h:99999", "redis://[secret/0", "redis://h/0#secret", "redis://h/0?ssl_ca_certs=secret",
     "rediss://h/0?ssl_cert_reqs=none", "redis://user:secret@\u2100/0"],
)  # fmt: skip
def test_impossible_urls_are_refused_at_once(url: str) -> None:
    """With a sentence, which does not repeat a password."""
    with pytest.raises(ValueError, match=r"[a-z]") as error:
        open_key_value(settings_of(url), 5.0)

    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_settings_do_not_show_their_url() -> None:
    """It may hold a password."""
    assert "secret" not in repr(KeyValueSettings(name="a", url="redis://:secret@h/0"))
