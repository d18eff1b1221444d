"""How much is kept in a place: looked at again in time, and after what may have happened."""

from __future__ import annotations

import asyncio

import pytest

from serverless_wasm.errors import Failed, TooLarge
from serverless_wasm.storage.files.keeper import ANY, Condition, Found
from serverless_wasm.storage.files.room import FRESH, Room
from serverless_wasm.storage.quota import ENTRY
from storage.backends import run

LIMIT = 3 * ENTRY


class Shelf:
    """A keeper in a dictionary that counts how often it is looked through, and can stop."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.looks = 0
        self.looked = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.broken = False

    async def head(self, key: str) -> Found | None:
        return Found(size=len(self.kept[key]), modified_ns=0) if key in self.kept else None

    async def read(self, key: str, offset: int, size: int) -> tuple[int, bytes]:
        return len(self.kept[key]), self.kept[key][offset : offset + size]

    async def write(self, key: str, data: bytes, condition: Condition) -> bool:
        if condition.new and key in self.kept:
            return False
        self.kept[key] = data
        if self.broken:
            raise Failed("no answer, but it is written")
        return True

    async def delete(self, key: str) -> bool:
        return self.kept.pop(key, None) is not None

    async def entries(self, folder: str, most: int) -> list[tuple[str, Found]]:
        return []

    async def names(self, folder: str, most: int) -> list[str]:
        return list(self.kept)

    async def used(self) -> int:
        self.looks += 1
        self.looked.set()
        await self.goes_on.wait()
        return sum(ENTRY + len(data) for data in self.kept.values())

    def close(self) -> None:
        pass


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_own_writes_are_counted_without_looking() -> None:
    """One look serves every write of ten seconds; then what others wrote is seen."""

    async def main() -> None:
        shelf, clock = Shelf(), Clock()
        room = Room(shelf, clock)
        await room.write("a", b"", ANY, LIMIT)
        await room.write("b", b"", ANY, LIMIT)
        assert not await room.write("b", b"", Condition(new=True), LIMIT)
        await room.delete("b")
        shelf.kept["of others"] = b"x" * ENTRY
        await room.write("b", b"", ANY, LIMIT)
        assert 1 == shelf.looks
        clock.now = FRESH
        with pytest.raises(TooLarge):
            await room.write("c", b"", ANY, LIMIT)
        assert 2 == shelf.looks

    run(main())


def test_what_is_too_much_already_may_shrink() -> None:
    """A file may be replaced by one that is no larger, however much there is."""

    async def main() -> None:
        shelf = Shelf()
        shelf.kept = {"a": b"x" * 10 * ENTRY}
        room = Room(shelf)
        await room.write("a", b"y" * 10 * ENTRY, ANY, LIMIT)
        with pytest.raises(TooLarge):
            await room.write("a", b"y" * (10 * ENTRY + 1), ANY, LIMIT)
        await room.write("a", b"", ANY, LIMIT)
        await room.write("b", b"", ANY, LIMIT)

    run(main())


def test_a_write_that_failed_is_looked_for() -> None:
    """It may have happened all the same."""

    async def main() -> None:
        shelf = Shelf()
        room = Room(shelf)
        shelf.broken = True
        for number in range(3):
            with pytest.raises(Failed):
                await room.write(str(number), b"", ANY, LIMIT)
        shelf.broken = False
        with pytest.raises(TooLarge):
            await room.write("one more", b"", ANY, LIMIT)

    run(main())


def test_looking_goes_on_when_nobody_waits() -> None:
    """A place with so many files that a look outlasts a call is looked through once, not for each call."""

    async def main() -> None:
        shelf = Shelf()
        room = Room(shelf)
        shelf.goes_on.clear()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(room.write("a", b"", ANY, LIMIT), 0.01)
        shelf.goes_on.set()
        await room.write("a", b"", ANY, LIMIT)
        assert 1 == shelf.looks
        room.close()

    run(main())


def test_closing_ends_the_looking() -> None:
    """Who waits for it is told, and nothing is left behind."""

    async def main() -> None:
        shelf = Shelf()
        room = Room(shelf)
        shelf.goes_on.clear()
        call = asyncio.create_task(room.write("a", b"", ANY, LIMIT))
        await shelf.looked.wait()
        room.close()
        with pytest.raises(Failed, match="closed"):
            await call

    run(main())
