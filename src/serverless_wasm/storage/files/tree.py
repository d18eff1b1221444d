"""One place as one application has it: what keeps its files, within the application's limits.

Keys that passed `check_key` come in; files, or the reason why not, go out. It must never wait longer than
`store_timeout`, write where that was not granted, nor pass a quota.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serverless_wasm.errors import Failed, NotPermitted, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.storage.files.keeper import ANY, MOST_NAMES, Condition, Found
from serverless_wasm.storage.files.room import Room


class Tree:
    """The files of one place; keys are relative paths, "" is the place itself.

    Everything may raise NotPermitted, TooLarge and Failed, with a sentence for the log.
    """

    def __init__(self, room: Room, limits: Limits, *, write: bool, quota: int | None) -> None:
        self.writable = write
        self.quota = quota
        self._room = room
        self._keeper = room.keeper
        self._limits = limits

    def __str__(self) -> str:
        return str(self._keeper)

    async def head(self, key: str) -> Found | None:
        """What is there, if anything."""
        async with self._in_time():
            return await self._keeper.head(key)

    async def read(self, key: str, offset: int, size: int) -> tuple[int, bytes]:
        """The length of a file, and up to `size` bytes of it from `offset`; raises NotThere."""
        if offset < 0 or size < 0:
            raise NotPermitted("a range that no file has")
        async with self._in_time():
            return await self._keeper.read(key, offset, size)

    async def write(self, key: str, data: bytes, condition: Condition = ANY) -> bool:
        """Puts a file there, whole or not at all; False if the condition was not met.

        One that fails by time may happen nevertheless.
        """
        self._require_writable()
        if len(data) > self._limits.file_size:
            raise TooLarge(f"{self}: {len(data)} bytes; file_size is {self._limits.file_size}")
        async with self._in_time():
            if self.quota is None:
                return await self._keeper.write(key, data, condition)
            return await self._room.write(key, data, condition, self.quota)

    async def delete(self, key: str) -> bool:
        """Removes a file; whether there was one."""
        self._require_writable()
        async with self._in_time():
            return await (self._keeper if self.quota is None else self._room).delete(key)

    async def entries(self, folder: str, most: int = MOST_NAMES) -> list[tuple[str, Found]]:
        """Name and kind of all that is in a folder, sorted; raises TooLarge beyond `most`.

        A folder that is not there has nothing in it.
        """
        async with self._in_time():
            return await self._keeper.entries(folder, most)

    async def names(self, prefix: str, most: int = MOST_NAMES) -> list[str]:
        """The keys of all files that begin with `prefix`, sorted; raises TooLarge.

        `most` is how many files may lie in the folder that the prefix names.
        """
        async with self._in_time():
            names = await self._keeper.names(prefix.rpartition("/")[0], most)
        return sorted(name for name in names if name.startswith(prefix))

    def _require_writable(self) -> None:
        if not self.writable:
            raise NotPermitted(f"{self} may only be read; the operator can write: write = true")

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.store_timeout):
                yield
        except TimeoutError:
            raise Failed(f"{self}: no answer within {self._limits.store_timeout:g} s") from None
