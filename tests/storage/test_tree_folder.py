"""A store's tree as folders: what is seen of it, what it holds meanwhile, and what comes into the store."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.storage.files.keeper import LONGEST
from serverless_wasm.storage.files.tree import Tree
from serverless_wasm.storage.files.tree_file import MOST_FOLDERS, Session, TreeFile
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import MOST_BYTES, Opening
from storage.backends import Backend, backend, files, run
from storage.gated import gated

MAKE = Opening(write=True, create=True)
READ = Opening()
WRITE = Opening(write=True)
CUT = Opening(write=True, create=True, truncate=True)
ONLY_NEW = Opening(write=True, create=True, exclusive=True)
MOST = 2**21


@dataclass(frozen=True, slots=True)
class View:
    """The root of a tree, as one invocation sees it."""

    root: TreeFolder
    told: list[CapabilityError] = field(default_factory=list)

    @classmethod
    def of(cls, tree: Tree, most: int = MOST) -> View:
        """A new one."""
        told: list[CapabilityError] = []
        return cls(TreeFolder(tree, Session(most, told.append)), told)

    @property
    def session(self) -> Session:
        """What it has in hand."""
        return self.root.session

    @property
    def tree(self) -> Tree:
        """What the store has."""
        return self.root.tree

    async def file(self, path: bytes, how: Opening = READ) -> TreeFile:
        """Opens what must be a file."""
        opened = await self.root.open(path, how)
        assert isinstance(opened, TreeFile)
        return opened

    async def folder(self, path: bytes) -> TreeFolder:
        """Opens what must be a folder."""
        opened = await self.root.open(path, READ)
        assert isinstance(opened, TreeFolder)
        return opened

    async def stored(self, key: str) -> bytes:
        """What the store has."""
        return (await self.tree.read(key, 0, 2**24))[1]

    async def all(self) -> dict[str, bytes]:
        """Everything that the store has."""
        return {key: await self.stored(key) for key in await self.tree.names("")}


@pytest.fixture(params=["disk", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A few ways to keep files."""
    return backend(request.param, request, tmp_path)


@asynccontextmanager
async def viewed(store: Backend, most: int = MOST, **more: Any) -> AsyncIterator[View]:
    """A fresh place."""
    async with files(store.place(**more)) as opened:
        yield View.of(opened.trees[b"/data"], most)


def seen(store: Backend, test: Callable[[View], Coroutine[Any, Any, None]], **more: Any) -> None:
    """Runs a test in a fresh place; nothing may be held once everything is closed."""

    async def main() -> None:
        async with viewed(store, **more) as view:
            before = view.session.left
            await test(view)
            if not view.session.files:
                assert before == view.session.left

    run(main())


async def refused(attempt: Awaitable[Any]) -> str:
    """The name of the errno that it is refused with."""
    try:
        answer = await attempt
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return f"answered {answer!r}"


def test_a_file_is_in_the_store_once_it_is_closed(store: Backend) -> None:
    """Whole, and not before; until then it is there for those who have the same session."""

    async def test(view: View) -> None:
        file = await view.file(b"a/file", MAKE)
        assert 5 == await file.write_at(b"hello", 2)
        assert {} == await view.all()
        key, found = await view.root.look(b"a/./file")
        assert ("a/file", 7, False) == (key, found.size, found.is_folder)
        assert (await view.root.look(b"a"))[1].is_folder
        assert [(b"a", True)] == await view.root.names()
        assert [(b"file", False)] == await (await view.folder(b"a")).names()
        await file.close()
        assert {"a/file": b"\0\0hello"} == await view.all()
        assert found.modified_ns > 10**18

    seen(store, test)


def test_pieces(store: Backend) -> None:
    """Reads and writes at any place, appending, cutting and zeros, before and after it is synchronised."""

    async def test(view: View) -> None:
        await view.tree.write("file", b"0123456789")
        file = await view.file(b"file", WRITE)
        assert b"345" == await file.read_at(3, 3)
        assert b"89" == await file.read_at(100, 8)
        assert [b"", b"", b""] == [await file.read_at(9, at) for at in (10, 11, 2**63 - 1)]
        assert 2 == await file.write_at(b"xy", 1)
        await file.append(b"!")
        await file.sync()
        assert b"0xy3456789!" == await view.stored("file") == await file.read_at(99, 0)
        await file.resize(3)
        await file.resize(5)
        await file.write_at(b"", 2**60)
        await file.close()
        assert b"0xy\0\0" == await view.stored("file")

    seen(store, test)


def test_a_read_moves_what_it_must(tmp_path: Path) -> None:
    """Small reads are answered from what came with the first; beyond the end nobody is asked."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            view = View.of(tree)
            content = bytes(range(256)) * 1024
            await tree.write("file", content)
            file = await view.file(b"file")
            keeper.calls.clear()
            read = [await file.read_at(1000, at) for at in range(0, 60_000, 1000)]
            assert content[:60_000] == b"".join(read)
            assert ["read"] == keeper.calls
            assert content[60_000:70_000] == await file.read_at(10_000, 60_000)
            assert content[-10:] == await file.read_at(1000, len(content) - 10)
            assert b"" == await file.read_at(1000, len(content))
            assert content[5:200_000] == await file.read_at(199_995, 5)
            assert ["read"] * 4 == keeper.calls
            await file.close()
            assert ["read"] * 4 == keeper.calls

    run(main())


def test_one_call_moves_a_mebibyte(store: Backend) -> None:
    """As for local files."""

    async def test(view: View) -> None:
        await view.tree.write("file", bytes(MOST_BYTES + 5))
        file = await view.file(b"file")
        assert MOST_BYTES == len(await file.read_at(2**40, 0))
        assert 5 == len(await file.read_at(2**40, MOST_BYTES))
        file.drop()

    seen(store, test)


def test_descriptors_of_one_file_share_it(store: Backend) -> None:
    """What one writes, another reads; the file is let go with the last, and no older content comes back."""

    async def test(view: View) -> None:
        one, other = await view.file(b"file", MAKE), await view.file(b"file", MAKE)
        await one.write_at(b"one", 0)
        assert b"one" == await other.read_at(10, 0)
        await one.close()
        assert b"one" == await view.stored("file")
        await other.append(b"+other")
        third = await view.file(b"file", CUT)
        assert 0 == other.size
        await third.append(b"third")
        await third.close()
        await other.close()
        assert {"file": b"third"} == await view.all()

    seen(store, test)


def test_opening(store: Backend) -> None:
    """What is there, and is not there, is opened or refused as a local folder does."""

    async def test(view: View) -> None:
        await view.tree.write("file", b"old")
        await view.tree.write("folder/file", b"old")
        folder = Opening(folder=True)
        for path, how, answer in [
            (b"missing", READ, "ENOENT"), (b"missing", folder, "ENOENT"), (b"missing/", MAKE, "EISDIR"),
            (b"file", ONLY_NEW, "EEXIST"), (b"folder", ONLY_NEW, "EEXIST"), (b"folder", WRITE, "EISDIR"),
            (b"folder", MAKE, "EISDIR"), (b".", MAKE, "EISDIR"), (b"file", folder, "ENOTDIR"),
            (b"file/", READ, "ENOTDIR"), (b"file/.", READ, "ENOTDIR"), (b"file/below", READ, "ENOENT"),
            (b"file/below", MAKE, "ENOTDIR"), (b"file/a/b/c", MAKE, "ENOTDIR"), (b"..", READ, "EPERM"),
            (b"folder/../..", READ, "EPERM"), (b"/file", READ, "EPERM"), (b"", READ, "ENOENT"),
            (b"\xff", READ, "EILSEQ"), (b"fi\0le", MAKE, "EINVAL"), (b"fi\nle", MAKE, "EINVAL"),
            (b"a\\b", MAKE, "EINVAL"), (b".serverless-wasm-x", MAKE, "EINVAL"),
            (b"x" * (LONGEST + 1), READ, "ENAMETOOLONG"), (b"x/" * 3000, READ, "ENAMETOOLONG"),
            (b"x/" * 128 + b"x", MAKE, "ENAMETOOLONG"), (b"x/../" * 500, MAKE, "EISDIR"),
        ]:  # fmt: skip
            assert (path, answer) == (path, await refused(view.root.open(path, how)))
        for path in (b"folder/../file", b"./file", b"folder//.//../file"):
            (await view.file(path)).drop()
        below = await view.folder(b"folder")
        assert "EPERM" == await refused(below.open(b"../file", READ))
        assert {"file": b"old", "folder/file": b"old"} == await view.all()
        assert {} == view.session.files
        assert [] == view.told

    seen(store, test)


def test_cutting_a_file_when_it_is_opened(store: Backend) -> None:
    """Nothing of it is asked for, however large it is; it is empty in the store once it is closed."""

    async def test(view: View) -> None:
        await view.tree.write("file", bytes(3000))
        file = await view.file(b"file", CUT)
        assert (0, b"") == (file.size, await file.read_at(10, 0))
        assert 3000 == len(await view.stored("file"))
        await file.close()
        assert b"" == await view.stored("file")
        await view.tree.write("file", bytes(3000))
        file = await view.file(b"file", WRITE)
        await file.resize(10)
        await file.close()
        assert bytes(10) == await view.stored("file")

    seen(store, test, most=2000)


def test_two_that_make_a_file(store: Backend) -> None:
    """One that must be new is refused when another invocation was faster; the other's stays."""

    async def test(view: View) -> None:
        file = await view.file(b"file", ONLY_NEW)
        assert "EEXIST" == await refused(view.root.open(b"file", ONLY_NEW))
        await view.tree.write("file", b"of another")
        await file.write_at(b"mine", 0)
        assert "EEXIST" == await refused(file.sync())
        assert "EEXIST" == await refused(view.session.finish())
        assert "EEXIST" == await refused(file.close())
        assert b"of another" == await view.stored("file")
        assert {} == view.session.files

    seen(store, test)


def test_a_file_that_another_changed(store: Backend) -> None:
    """Is no more the one that was opened: it is neither read, written nor renamed half and half."""

    async def test(view: View) -> None:
        for name in ("longer", "shorter", "gone"):
            await view.tree.write(name, bytes(100_000))
        opened = [await view.file(name, WRITE) for name in (b"longer", b"shorter", b"gone")]
        for file in opened:
            assert bytes(10) == await file.read_at(10, 0)
        await view.tree.write("longer", bytes(100_001))
        await view.tree.write("shorter", bytes(99_999))
        await view.tree.delete("gone")
        for file in opened:
            for attempt in (file.read_at(70_000, 0), file.write_at(b"x", 0), file.resize(10)):
                assert "ESTALE" == await refused(attempt)
            assert "ESTALE" == await refused(view.root.rename(file.key.encode(), view.root, b"other"))
            await file.close()
        assert {"longer": 100_001, "shorter": 99_999} == {
            key: len(content) for key, content in (await view.all()).items()
        }

    seen(store, test)


def test_removing(store: Backend) -> None:
    """A file that is open and removed does not come back; its name is free for another."""

    async def test(view: View) -> None:
        await view.tree.write("clean", b"old")
        clean, dirty = await view.file(b"clean"), await view.file(b"dirty", MAKE)
        await dirty.write_at(b"content", 0)
        for name in (b"clean", b"dirty"):
            await view.root.remove(name)
            assert "ENOENT" == await refused(view.root.look(name))
            assert "ENOENT" == await refused(view.root.remove(name))
        assert b"content" == await dirty.read_at(10, 0)
        other = await view.file(b"clean", MAKE)
        await other.write_at(b"new", 0)
        await other.close()
        assert "ESTALE" == await refused(clean.read_at(3, 0))
        await dirty.append(b"more")
        await dirty.sync()
        await view.session.finish()
        await clean.close()
        await dirty.close()
        assert {"clean": b"new"} == await view.all()
        for path, answer in ((b"missing", "ENOENT"), (b"clean/", "ENOTDIR"), (b".", "EISDIR")):
            assert answer == await refused(view.root.remove(path))

    seen(store, test)


def test_renaming(store: Backend) -> None:
    """A file is what it was under another name, open or not, in the place of another one or not."""

    async def test(view: View) -> None:
        await view.tree.write("old", b"old")
        await view.tree.write("taken", b"taken")
        await view.root.rename(b"old", view.root, b"folder/new")
        assert {"taken": b"taken", "folder/new": b"old"} == await view.all()
        fresh, taken = await view.file(b"fresh", ONLY_NEW), await view.file(b"taken", WRITE)
        await fresh.write_at(b"fresh", 0)
        await taken.append(b"!")
        await view.root.rename(b"fresh", await view.folder(b"folder"), b"./taken")
        await view.root.rename(b"folder/taken", view.root, b"taken")
        await fresh.append(b"er")
        await taken.append(b"lost")
        await taken.close()
        await fresh.close()
        assert {"taken": b"fresher", "folder/new": b"old"} == await view.all()

    seen(store, test)


def test_what_is_not_renamed(store: Backend) -> None:
    """Folders, to a folder, to another place; a file to itself stays what it is."""

    async def test(view: View) -> None:
        await view.tree.write("file", b"file")
        await view.tree.write("folder/file", b"below")
        other = View.of(view.tree)
        elsewhere = TreeFolder(Tree(view.tree._room, Limits(), write=True, quota=None), view.session)
        for path, target, name, answer in [
            (b"folder", view.root, b"moved", "EXDEV"), (b".", view.root, b"moved", "EXDEV"),
            (b"file", elsewhere, b"moved", "EXDEV"), (b"file", view.root, b"folder", "EISDIR"),
            (b"file", view.root, b".", "EISDIR"), (b"file", view.root, b"moved/", "ENOTDIR"),
            (b"file", view.root, b"file/", "answered None"), (b"file", view.root, b"./file", "answered None"),
            (b"missing", view.root, b"moved", "ENOENT"), (b"file", view.root, b"../moved", "EPERM"),
            (b"folder/file", view.root, b"file/moved", "ENOTDIR"), (b"file/", view.root, b"a", "ENOTDIR"),
        ]:  # fmt: skip
            assert (path, name, answer) == (path, name, await refused(view.root.rename(path, target, name)))
        assert {"file": b"file", "folder/file": b"below"} == await view.all()
        assert {} == other.session.files == view.session.files

    seen(store, test)


def test_folders(store: Backend) -> None:
    """A folder that was made is there for this invocation, with nothing in it or with something."""

    async def test(view: View) -> None:
        await view.root.make_folder(b"made")
        for path in (b"made", b"made/", b".", b"made/."):
            assert "EEXIST" == await refused(view.root.make_folder(path))
        await view.root.make_folder(b"made/below/")
        assert [(b"made", True)] == await view.root.names()
        assert "ENOTEMPTY" == await refused(view.root.remove_folder(b"made"))
        await view.root.remove_folder(b"made/below")
        file = await view.file(b"made/file", MAKE)
        assert "ENOTEMPTY" == await refused(view.root.remove_folder(b"made"))
        await file.close()
        assert "ENOTEMPTY" == await refused(view.root.remove_folder(b"made"))
        assert "ENOTDIR" == await refused(view.root.remove_folder(b"made/file"))
        assert "EISDIR" == await refused(view.root.remove(b"made"))
        assert "ENOTDIR" == await refused(view.root.make_folder(b"made/file/below"))
        assert "EEXIST" == await refused(view.root.make_folder(b"made/file"))
        assert "ENOENT" == await refused(view.root.remove_folder(b"missing"))
        await view.root.remove(b"made/file")
        await view.root.remove_folder(b"made/")
        assert "ENOENT" == await refused(view.root.look(b"made"))
        assert "ENOTEMPTY" == await refused(view.root.remove_folder(b"."))
        assert (
            [] == await view.root.names() or store.name == "s3"
        )  # SeaweedFS lists empty folders for a while

    seen(store, test)


def test_a_tree_is_removed_name_by_name(store: Backend) -> None:
    """As programs do: a folder does not vanish under them when the last file in it does."""

    async def clear(folder: TreeFolder) -> None:
        for name, is_folder in await folder.names():
            if is_folder:
                below = await folder.open(name, READ)
                assert isinstance(below, TreeFolder)
                await clear(below)
                await folder.remove_folder(name)
            else:
                await folder.remove(name)

    async def test(view: View) -> None:
        for key in ("a/b/c/one", "a/b/two", "a/three", "four"):
            await view.tree.write(key, b"x")
        await clear(view.root)
        assert {} == await view.all()
        for key in ("a/b/c", "a/b", "a", "four"):
            assert "ENOENT" == await refused(view.root.look(key.encode()))

    seen(store, test)


def test_folders_that_are_made_are_bounded(tmp_path: Path) -> None:
    """A guest that makes them in a loop does not fill the host; removing files goes on all the same."""

    async def main() -> None:
        async with gated(tmp_path) as (_, tree):
            view = View.of(tree)
            await tree.write("folder/file", b"")
            for number in range(MOST_FOLDERS):
                await view.root.make_folder(f"{number}".encode())
            assert "EDQUOT" == await refused(view.root.make_folder(b"more"))
            assert [TooLarge] == [type(error) for error in view.told]
            assert "EEXIST" == await refused(view.root.make_folder(b"1"))
            await view.root.remove(b"folder/file")
            assert MOST_FOLDERS == len(await view.root.names())
            await view.root.remove_folder(b"1")
            await view.root.make_folder(b"more")

    run(main())


def test_names_that_guests_cannot_have_are_not_told(tmp_path: Path) -> None:
    """Others may have written them."""
    (tmp_path / "fi\nle").touch()
    (tmp_path / "fi\\le").touch()
    (tmp_path / "ä").touch()

    async def main() -> None:
        async with gated(tmp_path) as (_, tree):
            assert [("ä".encode(), False)] == await View.of(tree).root.names()

    run(main())


def test_too_many_names(store: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for local folders."""
    monkeypatch.setattr("serverless_wasm.storage.files.tree_folder.MOST_ENTRIES", 2)

    async def test(view: View) -> None:
        for key in "abc":
            await view.tree.write(key, b"")
        assert "ENOMEM" == await refused(view.root.names())

    seen(store, test)


def test_what_is_held_is_bounded(store: Backend) -> None:
    """Over all files together; what is refused holds nothing, and what is closed gives it back."""

    async def test(view: View) -> None:
        await view.tree.write("large", bytes(1001))
        await view.tree.write("old", bytes(600))
        old, large = await view.file(b"old", WRITE), await view.file(b"large", WRITE)
        await old.write_at(b"x", 0)
        new = await view.file(b"new", MAKE)
        assert 400 == await new.write_at(bytes(400), 0)
        for attempt in (
            new.write_at(b"x", 400), new.write_at(b"x", 2**63 - 1), new.resize(401), new.resize(2**64 - 1),
            old.append(b"x"), large.write_at(b"x", 0), large.resize(2**63),
            view.root.rename(b"large", view.root, b"other"),
        ):  # fmt: skip
            assert "EFBIG" == await refused(attempt)
        assert 0 == view.session.left
        assert {TooLarge} == {type(error) for error in view.told}
        await new.resize(100)
        assert 300 == view.session.left
        await new.close()
        assert 400 == view.session.left
        await large.resize(400)
        assert 0 == view.session.left
        await large.close()
        old.drop()
        assert 1000 == view.session.left
        assert {"new": 100, "large": 400, "old": 600} == {
            key: len(content) for key, content in (await view.all()).items()
        }

    seen(store, test, most=1000)


def test_a_place_that_is_only_read(store: Backend) -> None:
    """Nothing in it is changed, and the operator is told how it could be; the rest works."""

    async def main() -> None:
        place = store.place()
        async with files(place) as opened:
            await opened.put(b"/data/folder/file", b"content")
            tree = opened.trees[b"/data"]
            view = View.of(Tree(tree._room, Limits(store_timeout=20), write=False, quota=None))
            file = await view.file(b"folder/file")
            assert b"content" == await file.read_at(10, 0)
            assert [(b"folder", True)] == await view.root.names()
            for attempt in (
                view.root.open(b"folder/file", WRITE), view.root.open(b"new", MAKE),
                view.root.make_folder(b"new"), view.root.remove_folder(b"folder"),
                view.root.remove(b"folder/file"), view.root.rename(b"folder/file", view.root, b"new"),
            ):  # fmt: skip
                assert "EROFS" == await refused(attempt)
            assert [NotPermitted] * 6 == [type(error) for error in view.told]
            assert "write = true" in str(view.told[0])
            await file.close()

    run(main())


def test_a_store_that_fails(tmp_path: Path) -> None:
    """Its error is raised; nothing more is held, and once it is back all is as it was before the attempt."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            view = View.of(tree)
            await tree.write("old", bytes(100))
            old, new = await view.file(b"old", WRITE), await view.file(b"new", MAKE)
            await new.write_at(b"new", 0)
            left = view.session.left
            keeper.failing = {"*"}
            for attempt in (
                old.write_at(b"x", 0), old.read_at(1, 0), new.sync(), view.session.finish(),
                view.root.rename(b"old", view.root, b"moved"), view.root.rename(b"new", view.root, b"moved"),
                view.root.remove(b"old"), view.root.names(), view.root.open(b"a", MAKE),
                view.root.make_folder(b"a"), view.root.look(b"a"), view.root.remove_folder(b"a"),
            ):  # fmt: skip
                with pytest.raises(Failed):
                    await attempt
            assert (left, 2) == (view.session.left, len(view.session.files))
            keeper.failing = set()
            await view.session.finish()
            assert b"new" == await view.stored("new")
            await new.append(b"er")
            keeper.failing = {"write"}
            with pytest.raises(Failed):
                await new.close()
            await old.close()
            assert (MOST, {}) == (view.session.left, view.session.files)
            assert b"new" == await view.stored("new")

    run(main())


def test_a_rename_of_which_only_half_happens(tmp_path: Path) -> None:
    """The file has both names then, and none of them is empty or lost."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            view = View.of(tree)
            old = await view.file(b"old", MAKE)
            await old.write_at(b"content", 0)
            await tree.write("target", b"replaced")
            target = await view.file(b"target", WRITE)
            await target.append(b"!")
            keeper.failing = {"delete"}
            with pytest.raises(Failed):
                await view.root.rename(b"old", view.root, b"target")
            keeper.failing = set()
            await view.session.finish()
            assert {"old": b"content", "target": b"content"} == await view.all()
            await target.close()
            await old.close()
            assert {"old": b"content", "target": b"content"} == await view.all()
            assert MOST == view.session.left

    run(main())


STEPS: dict[str, tuple[str, Callable[[View, TreeFile], Coroutine[Any, Any, Any]]]] = {
    "open": ("head", lambda view, _: view.root.open(b"a", CUT)),
    "load": ("read", lambda _, file: file.write_at(b"x", 0)),
    "read": ("read", lambda _, file: file.read_at(1, 0)),
    "resize": ("read", lambda _, file: file.resize(10)),
    "remove": ("delete", lambda view, _: view.root.remove(b"old")),
    "rename, reading": ("read", lambda view, _: view.root.rename(b"old", view.root, b"b")),
    "rename, writing": ("write", lambda view, _: view.root.rename(b"old", view.root, b"b")),
    "rename, deleting": ("delete", lambda view, _: view.root.rename(b"old", view.root, b"b")),
    "names": ("entries", lambda view, _: view.root.names()),
    "make folder": ("head", lambda view, _: view.root.make_folder(b"b")),
    "finish": ("write", lambda view, _: view.session.finish()),
}


@pytest.mark.parametrize("step", STEPS)
def test_cancelled_at(step: str, tmp_path: Path) -> None:
    """Whatever waits for the store can be cancelled: nothing is held, and the next call works."""
    where, attempt = STEPS[step]

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            view = View.of(tree)
            await tree.write("old", bytes(100))
            old, new = await view.file(b"old", WRITE), await view.file(b"new", MAKE)
            keeper.closed = {where}
            keeper.calls.clear()
            task = asyncio.create_task(attempt(view, old))
            await keeper.waited.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            keeper.closed = set()
            assert {"old", "new"} == {key for _, key in view.session.files}
            await old.append(b"!")
            await old.close()
            await new.close()
            assert (MOST, {}) == (view.session.left, view.session.files)
            assert {"old": 101, "new": 0} == {
                key: len(content) for key, content in (await view.all()).items() if key != "b"
            }

    run(main())


def test_closing_is_cancelled(tmp_path: Path) -> None:
    """The file is given up all the same."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            view = View.of(tree)
            file = await view.file(b"file", MAKE)
            await file.write_at(b"content", 0)
            keeper.closed = {"write"}
            task = asyncio.create_task(file.close())
            await keeper.waited.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (MOST, {}, 0) == (view.session.left, view.session.files, len(await view.all()))

    run(main())
