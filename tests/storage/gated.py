"""A store that waits, or fails, when a test says so; what it keeps is kept by a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from serverless_wasm.errors import Failed
from serverless_wasm.limits import MIB, Limits
from serverless_wasm.storage.files.disk import Disk
from serverless_wasm.storage.files.keeper import Condition, Found
from serverless_wasm.storage.files.room import Room
from serverless_wasm.storage.files.tree import Tree


class Gated:
    """A disk as a Keeper behind a gate; `calls` are the names of what it was asked."""

    def __init__(self, path: Path) -> None:
        self.calls: list[str] = []
        self.failing: set[str] = set()
        """What fails, `*` for everything."""
        self.closed: set[str] = set()
        """What waits until `opened`."""
        self.waited = asyncio.Event()
        """Whether anything does."""
        self.opened = asyncio.Event()
        self._disk = Disk(path)

    async def head(self, key: str) -> Found | None:
        """Passes the gate first, as all that follow."""
        await self._pass("head")
        return await self._disk.head(key)

    async def read(self, key: str, offset: int, size: int) -> tuple[int, bytes]:
        """As the disk."""
        await self._pass("read")
        return await self._disk.read(key, offset, size)

    async def write(self, key: str, data: bytes, condition: Condition) -> bool:
        """As the disk."""
        await self._pass("write")
        return await self._disk.write(key, data, condition)

    async def delete(self, key: str) -> bool:
        """As the disk."""
        await self._pass("delete")
        return await self._disk.delete(key)

    async def entries(self, folder: str, most: int) -> list[tuple[str, Found]]:
        """As the disk."""
        await self._pass("entries")
        return await self._disk.entries(folder, most)

    async def names(self, folder: str, most: int) -> list[str]:
        """As the disk."""
        await self._pass("names")
        return await self._disk.names(folder, most)

    async def used(self) -> int:
        """As the disk."""
        await self._pass("used")
        return await self._disk.used()

    def close(self) -> None:
        """As the disk."""
        self._disk.close()

    async def _pass(self, name: str) -> None:
        self.calls.append(name)
        if name in self.closed:
            self.waited.set()
            await self.opened.wait()
        if {name, "*"} & self.failing:
            raise Failed("the store is down")


@asynccontextmanager
async def gated(path: Path, *, file_size: int = 4 * MIB) -> AsyncIterator[tuple[Gated, Tree]]:
    """A store that can be made to wait or fail, and its tree."""
    keeper = Gated(path)
    try:
        yield keeper, Tree(Room(keeper), Limits(file_size=file_size), write=True, quota=None)
    finally:
        keeper.close()
