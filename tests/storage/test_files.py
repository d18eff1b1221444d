"""Files for guests: what must hold whatever keeps them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from serverless_wasm.errors import NotPermitted, NotThere, TooLarge
from serverless_wasm.limits import MIB
from serverless_wasm.storage.files.keeper import NEW, Condition
from serverless_wasm.storage.files.stores import FileStores, Place
from serverless_wasm.storage.quota import ENTRY
from serverless_wasm.stores import Remote, Store
from storage.backends import LIMITS, Backend, content, files, run

HOSTILE = [
    b"",
    b"data/a",
    b"/data",
    b"/data/",
    b"/data//a",
    b"/data/a/",
    b"/data/.",
    b"/data/..",
    b"/data/../data/a",
    b"/data/a/../../other/secret",
    b"/data/a/./b",
    b"/data/a\0b",
    b"/data/a\nb",
    b"/data/a\x7fb",
    b"/data/a\xc2\x85b",
    b"/data/\xff",
    b"/data/..\\..\\other\\secret",
    b"/data/a\\b",
    b"/data/.serverless-wasm-0123",
    b"/database/a",
    b"/DATA/a",
    b"/other",
    b"/data/" + b"x" * 1019,
    b"//data/a",
]


def test_what_is_put_can_be_had(keeps: Backend) -> None:
    """Whole, in part, beyond its end, again after it was replaced, and not any more once deleted."""

    async def main() -> None:
        async with files(keeps.place()) as guest:
            await guest.put(b"/data/a/b.txt", b"0123456789")
            assert (10, b"0123456789") == await guest.get(b"/data/a/b.txt", 0, 100)
            assert (10, b"34") == await guest.get(b"/data/a/b.txt", 3, 2)
            assert (10, b"89") == await guest.get(b"/data/a/b.txt", 8, 100)
            assert (10, b"") == await guest.get(b"/data/a/b.txt", 10, 100)
            assert (10, b"") == await guest.get(b"/data/a/b.txt", 2**62, 100)
            assert (10, b"") == await guest.get(b"/data/a/b.txt", 0, 0)
            await guest.put(b"/data/a/b.txt", b"")
            assert (0, b"") == await guest.get(b"/data/a/b.txt", 0, 100)
            await guest.delete(b"/data/a/b.txt")
            await guest.delete(b"/data/a/b.txt")
            for size in (100, 0):
                with pytest.raises(NotThere):
                    await guest.get(b"/data/a/b.txt", 0, size)
            assert [] == await guest.list(b"/data/", 0)

    run(main())


def test_every_byte_comes_back(keeps: Backend) -> None:
    """Three megabytes and a bit, with every value of a byte."""
    data = bytes(range(256)) * (3 * MIB // 256) + b"x"

    async def main() -> None:
        async with files(keeps.place()) as guest:
            await guest.put(b"/data/large", data)
            assert data == await content(guest, b"/data/large")
            assert (len(data), data[MIB : 2 * MIB]) == await guest.get(b"/data/large", MIB, MIB)

    run(main())


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "ä/ö",
        "%2e%2e/x",
        "a%b",
        "a?b#c",
        "*",
        "~[]{}|^`\"'<>",
        "..a",
        "a..",
        "+&=;@:,$!",
        "🦀",
        "-rf",
        "C:",
    ],
)
def test_names_are_names(keeps: Backend, name: str) -> None:
    """What means something in a URL, a shell or a pattern is only a part of a name."""
    path = f"/data/{name}".encode()

    async def main() -> None:
        async with files(keeps.place()) as guest:
            await guest.put(path, b"here")
            assert b"here" == await content(guest, path)
            assert [path.decode()] == await guest.list(path[:-1] if name.isascii() else b"/data/", 1000)
            await guest.delete(path)
            assert [] == await guest.list(b"/", 0)

    run(main())


@pytest.mark.parametrize("path", HOSTILE)
def test_what_is_no_path_is_not_permitted(keeps: Backend, path: bytes) -> None:
    """Nothing but a plain path in a place of the application's is even asked for."""

    async def main() -> None:
        async with files(keeps.place()) as guest:
            for call in (guest.get(path, 0, 1), guest.put(path, b"x"), guest.delete(path)):
                with pytest.raises(NotPermitted):
                    await call
            assert [] == await guest.list(b"/", 0)

    run(main())


@pytest.mark.parametrize("prefix", [b"", b"data", b"/data/../", b"/data//", b"/\0", b"/\xff", b"/data/a\\"])
def test_what_begins_no_path_is_not_listed(keeps: Backend, prefix: bytes) -> None:
    """A prefix is a path that may end anywhere."""

    async def main() -> None:
        async with files(keeps.place()) as guest:
            with pytest.raises(NotPermitted):
                await guest.list(prefix, 1000)

    run(main())


def test_listing_tells_whole_names_in_order(keeps: Backend) -> None:
    """Those that begin with the prefix, sorted; a part of a name is a prefix, too."""
    names = [f"/data/{name}" for name in ("a", "ab/1", "ab/2", "ab/c/3", "b", "Ä")]

    async def main() -> None:
        async with files(keeps.place()) as guest:
            for name in reversed(names):
                await guest.put(name.encode(), b"x")
            assert sorted(names) == await guest.list(b"/data/", 1000)
            assert sorted(names) == await guest.list(b"/d", 1000)
            assert names[:4] == await guest.list(b"/data/a", 1000)
            assert names[1:4] == await guest.list(b"/data/ab/", 1000)
            assert names[3:4] == await guest.list(b"/data/ab/c", 1000)
            assert [] == await guest.list(b"/data/nothing/", 1000)
            assert [] == await guest.list(b"/elsewhere/", 1000)
            needed = sum(len(name.encode()) + 1 for name in names)
            assert sorted(names) == await guest.list(b"/", needed)
            with pytest.raises(TooLarge):
                await guest.list(b"/", needed - 1)

    run(main())


def test_longest_name_of_a_place_wins(keeps: Backend) -> None:
    """A place in a place hides what the outer one has there, in a listing as well."""

    async def main() -> None:
        outer, inner = keeps.place(), keeps.place("/data/in")
        async with files(replace(outer, name="/all"), outer, inner) as guest:
            await guest.put(b"/all/in/x", b"outer")
            await guest.put(b"/data/inner", b"outer")
            with pytest.raises(NotThere):
                await guest.get(b"/data/in/x", 0, 1)
            await guest.put(b"/data/in/y", b"inner")
            assert ["/data/in/y", "/data/inner"] == await guest.list(b"/data", 1000)
            assert ["/all/in/x", "/all/inner"] == await guest.list(b"/all", 1000)

    run(main())


def test_reading_does_not_grant_writing(keeps: Backend) -> None:
    """A place without write = true is only read."""

    async def main() -> None:
        place = keeps.place()
        async with files(place, replace(place, name="/reads", write=False)) as guest:
            await guest.put(b"/data/a", b"x")
            assert b"x" == await content(guest, b"/reads/a")
            assert not guest.trees[b"/reads"].writable
            for call in (guest.put(b"/reads/a", b"y"), guest.delete(b"/reads/a")):
                with pytest.raises(NotPermitted, match="write = true"):
                    await call
            assert b"x" == await content(guest, b"/data/a")

    run(main())


def test_largest_file_is_bounded(keeps: Backend) -> None:
    """file_size bytes are taken, one more is too large and changes nothing."""

    async def main() -> None:
        async with files(keeps.place(), limits=replace(LIMITS, file_size=1000)) as guest:
            await guest.put(b"/data/a", b"x" * 1000)
            with pytest.raises(TooLarge):
                await guest.put(b"/data/a", b"y" * 1001)
            assert b"x" * 1000 == await content(guest, b"/data/a")

    run(main())


def test_quota_holds(keeps: Backend) -> None:
    """What is there counts, replaced and deleted files do no more, and what is refused changes nothing."""
    room = 2 * (ENTRY + 1000)

    async def main() -> None:
        place = keeps.place()
        async with files(replace(place, quota=room), replace(place, name="/free")) as guest:
            await guest.put(b"/free/a", b"x" * 1000)
            await guest.put(b"/data/b", b"x" * 999)
            with pytest.raises(TooLarge):
                await guest.put(b"/data/c", b"")
            with pytest.raises(TooLarge):
                await guest.put(b"/data/b", b"x" * 1001)
            await guest.put(b"/data/b", b"y" * 1000)
            assert ["/data/a", "/data/b"] == await guest.list(b"/data", 100)
            assert b"y" * 1000 == await content(guest, b"/data/b")
            await guest.delete(b"/data/a")
            await guest.delete(b"/data/a")
            await guest.put(b"/data/c", b"x" * 1000)
            with pytest.raises(TooLarge):
                await guest.put(b"/data/d", b"")

    run(main())


def test_quota_holds_when_many_write_at_once(keeps: Backend) -> None:
    """Of ten that write together exactly as many succeed as there is room for."""

    async def main() -> None:
        async with files(keeps.place(quota=4 * (ENTRY + 10))) as guest:
            writes = [guest.put(f"/data/{number}".encode(), b"x" * 10) for number in range(10)]
            answers = await asyncio.gather(*writes, return_exceptions=True)
            assert 6 == sum(isinstance(answer, TooLarge) for answer in answers)
            assert 4 == answers.count(None)
            assert 4 == len(await guest.list(b"/", 1000))

    run(main())


def test_one_write_wins_when_many_write_one_file(keeps: Backend) -> None:
    """Readers meanwhile find one of them, whole."""
    bodies = [bytes([number]) * 50_000 for number in range(8)]

    async def main() -> None:
        async with files(keeps.place()) as guest:
            await guest.put(b"/data/a", bodies[0])
            writes = [guest.put(b"/data/a", body) for body in bodies]
            reads = [content(guest, b"/data/a") for _ in bodies]
            _, seen = await asyncio.gather(asyncio.gather(*writes), asyncio.gather(*reads))
            assert set(seen) <= set(bodies)
            assert await content(guest, b"/data/a") in bodies

    run(main())


def test_tree_knows_files_and_folders(keeps: Backend) -> None:
    """For WASI: what is there, how large, and what is in a folder."""

    async def main() -> None:
        async with files(keeps.place()) as guest:
            tree = guest.trees[b"/data"]
            assert await tree.write("in/a", b"12345")
            assert await tree.write("b", b"")
            found, folder, top = await tree.head("in/a"), await tree.head("in"), await tree.head("")
            assert found is not None
            assert folder is not None
            assert top is not None
            assert (5, False) == (found.size, found.is_folder)
            assert found.modified_ns > 10**18
            assert (True, True) == (folder.is_folder, top.is_folder)
            assert None is await tree.head("i")
            assert None is await tree.head("in/b")
            assert None is await tree.head("in/a/deeper")
            entries = await tree.entries("")
            assert [("b", False), ("in", True)] == [(name, entry.is_folder) for name, entry in entries]
            assert [("a", found)] == await tree.entries("in")
            assert [] == await tree.entries("nothing")
            assert ["in/a"] == await tree.names("in/")
            with pytest.raises(TooLarge):
                await tree.entries("", 1)
            with pytest.raises(TooLarge):
                await tree.names("", 1)
            with pytest.raises(NotPermitted):
                await tree.read("b", -1, 5)
            with pytest.raises(NotThere):
                await tree.read("in", 0, 5)
            assert (False, True, False) == (
                await tree.delete("in"),
                await tree.delete("in/a"),
                await tree.delete("in/a"),
            )
            assert None is await tree.head("in")

    run(main())


def test_only_one_writes_what_is_new(keeps: Backend) -> None:
    """Of many that write a file on the condition that there is none exactly one does."""

    async def main() -> None:
        async with files(keeps.place()) as guest:
            tree = guest.trees[b"/data"]
            bodies = [str(number).encode() for number in range(8)]
            written = await asyncio.gather(*(tree.write("a", body, NEW) for body in bodies))
            assert 1 == sum(written)
            assert (1, bodies[written.index(True)]) == await tree.read("a", 0, 10)

    run(main())


def test_write_on_the_condition_of_an_etag(keeps: Backend) -> None:
    """It happens only if nobody has written since; a disk says that it cannot."""

    async def main() -> None:
        async with files(keeps.place()) as guest:
            tree = guest.trees[b"/data"]
            await tree.write("a", b"1")
            found = await tree.head("a")
            assert found is not None
            condition = Condition(etag=found.etag)
            if keeps.name == "disk":
                with pytest.raises(NotPermitted, match="etag"):
                    await tree.write("a", b"2", condition)
                return
            assert await tree.write("a", b"2", condition)
            assert not await tree.write("a", b"3", condition)
            assert (1, b"2") == await tree.read("a", 0, 10)
            await tree.delete("a")
            assert not await tree.write("a", b"3", condition)
            assert None is await tree.head("a")

    run(main())


def test_applications_share_what_lies_at_one_url(keeps: Backend) -> None:
    """And nothing else, however their guests call it."""

    async def main() -> None:
        stores, shared = FileStores(), keeps.place()
        one = stores.for_application((shared, keeps.place("/own")), LIMITS)
        other = stores.for_application((replace(shared, name="/theirs"), keeps.place("/own")), LIMITS)
        await one.put(b"/data/a", b"x")
        await one.put(b"/own/a", b"x")
        assert ["/theirs/a"] == await other.list(b"/", 100)
        assert b"x" == await content(other, b"/theirs/a")
        stores.close()

    run(main())


def test_next_call_works_after_one_was_cancelled(keeps: Backend) -> None:
    """At any point: what was cut off is done or not, and nothing is left in the way."""

    async def main() -> None:
        async with files(keeps.place(quota=10 * MIB)) as guest:
            await guest.put(b"/data/a", b"x" * MIB)
            for number in range(20):
                for call in (
                    guest.put(b"/data/a", b"y" * MIB),
                    content(guest, b"/data/a"),
                    guest.list(b"/", 100),
                    guest.delete(b"/data/b"),
                ):
                    task = asyncio.create_task(call)
                    for _ in range(number % 5):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            assert await content(guest, b"/data/a") in {b"x" * MIB, b"y" * MIB}
            await guest.put(b"/data/b", b"z")
            assert ["/data/a", "/data/b"] == await guest.list(b"/", 100)

    run(main())


def test_place_that_cannot_be_is_told() -> None:
    """With a sentence that names the place."""
    stores = FileStores()
    wrong = Store(name="x", url="s3://bucket", options={"ca": "/nowhere/ca.pem"})
    for place, words in (
        (Place(name="/a", where=Remote(url="https://example.com/"), write=True), "web server"),
        (Place(name="/a", where=Remote(url="s3://bucket", store=wrong)), "ca: No such file"),
        (Place(name="/a", where=Remote(url="ftp://x/")), "ftp"),
    ):
        with pytest.raises(ValueError, match=f"^files: /a: .*{words}"):
            stores.for_application((place,), LIMITS)
