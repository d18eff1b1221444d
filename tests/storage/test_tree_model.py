"""A store's tree as folders, whatever a program does with it, beside a plain model of a file system."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serverless_wasm.limits import Limits
from serverless_wasm.storage.files.stores import FileStores, Place
from serverless_wasm.storage.files.tree_file import Session, TreeFile
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import Opening
from serverless_wasm.stores import Remote

MOST = 2**20
PATHS = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/b/a"])
"""Few, so that they meet."""
DATA = st.binary(max_size=20)
OFFSETS = st.integers(0, 40)
Answer = TypeVar("Answer")


@dataclass(eq=False, slots=True)
class Inode:
    """A file of the model."""

    content: bytearray = field(default_factory=bytearray)
    named: bool = True


class Model:
    """A file system as POSIX has it, but for three things that stores cannot do, or do besides.

    A folder need not be made before there is something in it, and is not renamed; a file's content is in the
    store only once it was put there.
    """

    def __init__(self) -> None:
        self.files: dict[str, Inode] = {}
        self.folders: set[str] = {""}

    def open(self, path: str, how: Opening) -> Inode | None:
        """A file, or None for a folder."""
        there = path in self.files or path in self.folders
        if there and how.only_new:
            raise OSError(errno.EEXIST, path)
        if path in self.folders:
            if how.changes:
                raise OSError(errno.EISDIR, path)
            return None
        if not there:
            if not how.create:
                raise OSError(errno.ENOENT, path)
            self._make_way(path)
            self.files[path] = Inode()
        if how.truncate:
            self.files[path].content.clear()
        return self.files[path]

    def make_folder(self, path: str) -> None:
        """And all above it."""
        if path in self.files or path in self.folders:
            raise OSError(errno.EEXIST, path)
        self._make_way(f"{path}/")

    def remove_folder(self, path: str) -> None:
        """If nothing is in it."""
        if path not in self.folders:
            raise OSError(errno.ENOTDIR if path in self.files else errno.ENOENT, path)
        if self.names(path):
            raise OSError(errno.ENOTEMPTY, path)
        self.folders.remove(path)

    def remove(self, path: str) -> None:
        """A file."""
        self._file(path, errno.EISDIR)
        self.files.pop(path).named = False

    def rename(self, path: str, target: str) -> None:
        """A file."""
        inode = self._file(path, errno.EXDEV)
        if path == target:
            return
        if target in self.folders:
            raise OSError(errno.EISDIR, target)
        if target in self.files:
            self.files[target].named = False
        else:
            self._make_way(target)
        del self.files[path]
        self.files[target] = inode

    def names(self, folder: str) -> list[tuple[bytes, bool]]:
        """What is in a folder."""
        found = {path: path in self.folders for path in {*self.files, *self.folders} if path}
        return sorted(
            (path.rpartition("/")[2].encode(), is_folder)
            for path, is_folder in found.items()
            if path.rpartition("/")[0] == folder
        )

    def _file(self, path: str, of_folder: int) -> Inode:
        if path in self.folders:
            raise OSError(of_folder, path)
        if path not in self.files:
            raise OSError(errno.ENOENT, path)
        return self.files[path]

    def _make_way(self, path: str) -> None:
        parts = path.split("/")[:-1]
        above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        if any(each in self.files for each in above):
            raise OSError(errno.ENOTDIR, path)
        self.folders.update(above)


class Program(RuleBasedStateMachine):
    """Opens, reads, writes, renames and removes, in a place of memory."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores = FileStores()
        opened = self.stores.for_application((self.place(),), Limits(store_timeout=30))
        self.granted = opened
        self.tree = opened.trees[b"/data"]
        self.root = TreeFolder(self.tree, Session(MOST, lambda _: None))
        self.model = Model()
        self.open: list[tuple[TreeFile, Inode]] = []

    def place(self) -> Place:
        """A fresh one; of memory by its URL, which is another one for each machine."""
        return Place(name="/data", where=Remote(url=f"memory://{id(self)}"), write=True)

    def teardown(self) -> None:
        """All that was not removed is in the store once the program ends, and nothing is held."""
        self.run(self.root.session.finish())
        assert {path: bytes(inode.content) for path, inode in self.model.files.items()} == self.run(
            self.all()
        )
        for file, _ in self.open:
            self.run(file.close())
        assert (MOST, {}) == (self.root.session.left, self.root.session.files)
        self.stores.close()
        self.runner.close()

    def run(self, main: Coroutine[Any, Any, Answer]) -> Answer:
        """To its end."""
        return self.runner.run(main)

    async def all(self) -> dict[str, bytes]:
        """What the store has."""
        return {key: (await self.tree.read(key, 0, MOST))[1] for key in await self.tree.names("")}

    def same(self, expected: Any, main: Coroutine[Any, Any, Any]) -> tuple[Any, Any]:
        """Both do it, or both refuse it for the same reason."""
        outcomes: list[tuple[Any, str | None]] = []
        for attempt in (expected, lambda: self.run(main)):
            try:
                outcomes.append((attempt(), None))
            except OSError as error:
                outcomes.append((None, errno.errorcode[error.errno or 0]))
        assert outcomes[0][1] == outcomes[1][1]
        return outcomes[0][0], outcomes[1][0]

    @precondition(lambda self: len(self.open) < 8)
    @rule(path=PATHS, write=st.booleans(), create=st.booleans(), exclusive=st.booleans(), cut=st.booleans())
    def opens(self, path: str, *, write: bool, create: bool, exclusive: bool, cut: bool) -> None:
        """In every way."""
        how = Opening(write=write or cut, create=create, exclusive=exclusive, truncate=cut)
        inode, file = self.same(lambda: self.model.open(path, how), self.root.open(path.encode(), how))
        assert isinstance(file, TreeFile) == (inode is not None)
        if inode is not None:
            self.open.append((file, inode))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 7), offset=OFFSETS, size=st.integers(0, 30))
    def reads(self, which: int, offset: int, size: int) -> None:
        """What was written, by whatever descriptor."""
        file, inode = self.open[which % len(self.open)]
        self._if_there(
            inode, lambda: bytes(inode.content[offset : offset + size]), file.read_at(size, offset)
        )

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 7), offset=OFFSETS, data=DATA)
    def writes(self, which: int, offset: int, data: bytes) -> None:
        """Somewhere, behind the end, too."""
        file, inode = self.open[which % len(self.open)]

        def expected() -> int:
            if data:
                inode.content.extend(bytes(max(0, offset - len(inode.content))))
                inode.content[offset : offset + len(data)] = data
            return len(data)

        self._if_there(inode, expected, file.write_at(data, offset))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 7), data=DATA)
    def appends(self, which: int, data: bytes) -> None:
        """At the end."""
        file, inode = self.open[which % len(self.open)]

        def expected() -> int:
            inode.content.extend(data)
            return len(data)

        self._if_there(inode, expected, file.append(data))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 7), size=OFFSETS)
    def resizes(self, which: int, size: int) -> None:
        """Shorter or longer."""
        file, inode = self.open[which % len(self.open)]

        def expected() -> None:
            inode.content[:] = inode.content[:size].ljust(size, b"\0")

        self._if_there(inode, expected, file.resize(size))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 7))
    def synchronises(self, which: int) -> None:
        """It is in the store then."""
        file, inode = self.open[which % len(self.open)]
        self.run(file.sync())
        self._is_stored(inode)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 7))
    def closes(self, which: int) -> None:
        """It is in the store then."""
        file, inode = self.open.pop(which % len(self.open))
        self.run(file.close())
        self._is_stored(inode)

    @rule(path=PATHS)
    def removes(self, path: str) -> None:
        """A file."""
        self.same(lambda: self.model.remove(path), self.root.remove(path.encode()))

    @rule(path=PATHS, to=PATHS)
    def renames(self, path: str, to: str) -> None:
        """A file."""
        self.same(
            lambda: self.model.rename(path, to),
            self.root.rename(path.encode(), self.root, to.encode()),
        )

    @rule(path=PATHS)
    def makes_a_folder(self, path: str) -> None:
        """Anywhere."""
        self.same(lambda: self.model.make_folder(path), self.root.make_folder(path.encode()))

    @rule(path=PATHS)
    def removes_a_folder(self, path: str) -> None:
        """An empty one."""
        self.same(lambda: self.model.remove_folder(path), self.root.remove_folder(path.encode()))

    @invariant()
    def everything_is_told(self) -> None:
        """Names, kinds and sizes."""
        for folder in self.model.folders:
            below = self.run(self.root.open(folder.encode() or b".", Opening(folder=True)))
            assert isinstance(below, TreeFolder)
            assert self.model.names(folder) == self.run(below.names())
        for path, inode in self.model.files.items():
            key, found = self.run(self.root.look(path.encode()))
            assert (path, len(inode.content), False) == (key, found.size, found.is_folder)

    def _if_there(self, inode: Inode, expected: Any, main: Coroutine[Any, Any, Any]) -> None:
        """Of a file that was removed nobody keeps what was not read yet."""
        try:
            answer = self.run(main)
        except OSError as error:
            if inode.named or error.errno != errno.ESTALE:
                raise
        else:
            assert expected() == answer

    def _is_stored(self, inode: Inode) -> None:
        for path, each in self.model.files.items():
            if each is inode:
                assert bytes(inode.content) == self.run(self.tree.read(path, 0, MOST))[1]


class OnDisk(Program):
    """The same in a folder of a disk."""

    def place(self) -> Place:
        """A new folder."""
        self.folder = tempfile.mkdtemp()
        return Place(name="/data", where=Path(self.folder), write=True)

    def teardown(self) -> None:
        """With the folder."""
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.folder)


TestInMemory = Program.TestCase
TestInMemory.settings = settings(max_examples=60, stateful_step_count=30)
TestOnDisk = OnDisk.TestCase
TestOnDisk.settings = settings(max_examples=15, stateful_step_count=30)
