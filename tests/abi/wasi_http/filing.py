"""A guest of wasi:filesystem without a guest: calls on descriptors, by handle, on folders of every kind.

Short names of functions go in; what they give comes out, an error by its code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from abi.wasi_http.speaking import Speaker
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.storage.files.stores import Files
from serverless_wasm.storage.mounts import Mount, Mounts
from storage.backends import backend, files

READ, WRITE = frozenset({"read"}), frozenset({"read", "write"})
NOTHING: frozenset[str] = frozenset()
FOLLOW = frozenset({"symlink-follow"})
CREATE = frozenset({"create"})


class Filer(Speaker):
    """A guest with one folder, whose descriptor is `root`."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.invocation.deadline = monotonic() + 60
        ((self.root, self.name),) = self("get-directories")

    async def do(self, name: str, *arguments: Any, on: int | None = None) -> Any:
        """A method of a descriptor, the folder's if not said; its value, or the code of its error."""
        answer = await self.wait(f"[method]descriptor.{name}", self.root if on is None else on, *arguments)
        assert isinstance(answer, Ok | Err), answer
        return answer.value

    async def open(self, path: str, flags: Iterable[str] = READ, how: Iterable[str] = NOTHING) -> Any:
        """The descriptor of a file or a folder, or a code."""
        return await self.do("open-at", FOLLOW, path, frozenset(how), frozenset(flags))

    async def put(self, path: str, data: bytes) -> None:
        """Makes a file."""
        file = await self.open(path, WRITE, CREATE)
        assert len(data) == await self.do("write", data, 0, on=file)
        self.drop(file)

    async def get(self, path: str) -> bytes:
        """All of a file of no great size."""
        file = await self.open(path)
        data, _ = await self.do("read", 1_000_000, 0, on=file)
        self.drop(file)
        return bytes(data)

    async def names(self, on: int | None = None) -> list[tuple[str, str]]:
        """Kind and name of all that is in a folder, as it comes."""
        entries = await self.do("read-directory", on=on)
        found = []
        while (
            entry := self("[method]directory-entry-stream.read-directory-entry", entries).value
        ) is not None:
            found.append(entry)
        self.drop(entries)
        return found


class Folders:
    """Folders of one kind, for guests."""

    def __init__(self, kind: str, request: pytest.FixtureRequest, path: Path) -> None:
        self.kind = kind
        self.path = path / "data"
        self._backend = None if kind == "mount" else backend(kind, request, path)
        self.files: Files | None = None

    @asynccontextmanager
    async def guest(self, *, write: bool = True, **more: Any) -> AsyncIterator[Filer]:
        """A guest that finds a fresh one as /data."""
        if self._backend is None:
            self.path.mkdir(exist_ok=True)
            mount = Mount(name="/data", path=self.path, write=write)
            filer = Filer(mounts=Mounts(mounts=(mount,)), **more)
            try:
                yield filer
            finally:
                filer.close()
            return
        place = self._backend.place(write=write)
        async with files(place) as self.files:
            filer = Filer(files=self.files, **more)
            try:
                yield filer
            finally:
                filer.close()

    async def kept(self, guest: Filer, name: str) -> bytes:
        """What is in a file for others, once the guest has ended."""
        await guest.invocation.keep_files()
        if self.files is None:
            return (self.path / name).read_bytes()
        return (await self.files.get(f"/data/{name}".encode(), 0, 1_000_000))[1]
