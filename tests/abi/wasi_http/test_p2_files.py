"""wasi:filesystem: what a component does with files of this machine and of stores, and how it is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abi.wasi_http.filing import CREATE, FOLLOW, NOTHING, READ, WRITE, Filer, Folders
from serverless_wasm.abi.wasi_http import filesystem_open
from serverless_wasm.abi.wasi_http.filesystem_open import MOST
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.errors import Unavailable
from serverless_wasm.storage.mounts import Mount, Mounts
from storage.trees import descriptors

KINDS = ("mount", "memory", "disk")
Test = Callable[[Filer], Awaitable[None]]


@pytest.fixture(params=KINDS)
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Folders:
    """Folders of one kind."""
    return Folders(request.param, request, tmp_path)


def run(folders: Folders, test: Test, **more: Any) -> None:
    """Runs a test with a guest that has a fresh folder."""

    async def main() -> None:
        async with folders.guest(**more) as guest:
            await test(guest)

    asyncio.run(main())


def on_mount(request: pytest.FixtureRequest, path: Path) -> Folders:
    return Folders("mount", request, path)


def test_what_is_written_is_read_again(folders: Folders) -> None:
    """At any place, also behind the end; and others find it once the guest has ended."""

    async def test(guest: Filer) -> None:
        file = await guest.open("file", WRITE, CREATE)
        assert 5 == await guest.do("write", b"hello", 2, on=file)
        assert (b"\0\0hel", False) == await guest.do("read", 5, 0, on=file)
        assert (b"lo", False) == await guest.do("read", 5, 5, on=file)
        assert (b"", True) == await guest.do("read", 5, 7, on=file)
        assert (b"", False) == await guest.do("read", 0, 0, on=file)
        assert await guest.do("set-size", 4, on=file) is None
        assert ("regular-file", 1, 4) == (await guest.do("stat", on=file))[:3]
        assert "regular-file" == await guest.do("get-type", on=file)
        assert WRITE == await guest.do("get-flags", on=file)
        for name in ("sync", "sync-data"):
            assert await guest.do(name, on=file) is None
            assert await guest.do(name) is None
        assert await guest.do("advise", 0, 0, "random", on=file) is None
        guest.drop(file)
        assert b"\0\0he" == await guest.get("file")
        assert b"\0\0he" == await folders.kept(guest, "file")

    run(folders, test)


def test_streams_outlive_their_descriptor(folders: Folders) -> None:
    """They go on where they are, each by itself; reading ends at the end, appending begins there."""

    async def test(guest: Filer) -> None:
        await guest.put("file", b"0123456789")
        file = await guest.open("file", WRITE)
        source = await guest.do("read-via-stream", 4, on=file)
        target = await guest.do("write-via-stream", 8, on=file)
        end = await guest.do("append-via-stream", on=file)
        guest.drop(file)
        for stream, data in ((target, b"ab"), (end, b"cd"), (target, b"xy"), (end, b"z")):
            await guest.write(stream, data)
            assert Ok() == await guest.wait("[method]output-stream.blocking-flush", stream)
        assert b"4567abxyz" == await guest.read(source)
        for handle in (source, target, end):
            guest.drop(handle)
        assert b"01234567abxyz" == await folders.kept(guest, "file")

    run(folders, test)


def test_polling_a_file(folders: Folders) -> None:
    """A file of this machine is always ready, one of a store once its chunk is here."""

    async def test(guest: Filer) -> None:
        await guest.put("file", b"x" * 100_000)
        source = await guest.do("read-via-stream", 0, on=await guest.open("file"))
        pollable = guest("[method]input-stream.subscribe", source)
        assert (folders.kind == "mount") is guest("[method]pollable.ready", pollable)
        assert await guest.wait("[method]pollable.block", pollable) is None
        assert guest("[method]pollable.ready", pollable)
        assert Ok(b"x" * 10) == guest("[method]input-stream.read", source, 10)
        guest.drop(pollable)
        assert 99_990 == len(await guest.read(source))

    run(folders, test)


def test_how_a_file_is_opened(folders: Folders) -> None:
    """Made, made anew, cut, as a folder, and for what it may be used then."""

    async def test(guest: Filer) -> None:
        exclusive, truncate, folder = {"create", "exclusive"}, {"truncate"}, {"directory"}
        assert "no-entry" == await guest.open("file")
        assert "no-entry" == await guest.open("file", WRITE)
        guest.drop(await guest.open("file", WRITE, exclusive))
        await guest.put("file", b"content")
        assert "exist" == await guest.open("file", WRITE, exclusive)
        assert "not-directory" == await guest.open("file", READ, folder)
        assert await guest.open("file/below", READ) in {"not-directory", "no-entry"}
        assert "invalid" == await guest.open("file", WRITE, folder | truncate)
        assert "unsupported" == await guest.open("file", {"read", "file-integrity-sync"})
        reads = await guest.open("file", READ)
        writing: list[tuple[Any, ...]] = [("write", b"x", 0), ("set-size", 0), ("append-via-stream",)]
        for call in writing:
            assert "bad-descriptor" == await guest.do(*call, on=reads)
        writes = await guest.open("file", {"write"})
        reading: list[tuple[Any, ...]] = [("read", 1, 0), ("read-via-stream", 0)]
        for call in reading:
            assert "bad-descriptor" == await guest.do(*call, on=writes)
        for name in ("stat-at", "readlink-at", "read-directory"):
            given = {"stat-at": (FOLLOW, "x"), "readlink-at": ("x",), "read-directory": ()}[name]
            assert "not-directory" == await guest.do(name, *given, on=reads)
        guest.drop(await guest.open("file", {"write"}, truncate))
        assert b"" == await guest.get("file")

    run(folders, test)


def test_folders(folders: Folders) -> None:
    """Made, listed, opened, emptied and removed; nothing in the list is the folder itself."""

    async def test(guest: Filer) -> None:
        assert [] == await guest.names()
        assert await guest.do("create-directory-at", "one") is None
        assert "exist" == await guest.do("create-directory-at", "one")
        await guest.put("one/file", b"x")
        await guest.put("other", b"y")
        assert [("directory", "one"), ("regular-file", "other")] == sorted(await guest.names())
        one = await guest.open("one", READ, {"directory"})
        assert [("regular-file", "file")] == await guest.names(one)
        assert {"read", "mutate-directory"} == await guest.do("get-flags", on=one)
        assert "directory" == await guest.do("get-type", on=one)
        assert "directory" == (await guest.do("stat", on=one))[0]
        assert "directory" == (await guest.do("stat-at", NOTHING, "."))[0]
        for name, values in (("read", (1, 0)), ("write", (b"", 0)), ("advise", (0, 0, "normal"))):
            assert "bad-descriptor" == await guest.do(name, *values, on=one)
        assert "is-directory" == await guest.open("one", WRITE)
        assert "is-directory" == await guest.do("unlink-file-at", "one")
        assert "not-empty" == await guest.do("remove-directory-at", "one")
        assert "not-directory" == await guest.do("remove-directory-at", "other")
        assert await guest.do("unlink-file-at", "file", on=one) is None
        guest.drop(one)
        assert await guest.do("remove-directory-at", "one") is None
        assert [("regular-file", "other")] == await guest.names()

    run(folders, test)


def test_renaming(folders: Folders) -> None:
    """Within a folder, into another one, over what is there; a file that is open stays what it is."""

    async def test(guest: Filer) -> None:
        await guest.put("a", b"first")
        await guest.put("below/b" if folders.kind != "mount" else "b", b"second")
        root = guest.root
        file = await guest.open("a", WRITE)
        assert "no-entry" == await guest.do("rename-at", "nothing", root, "c")
        assert await guest.do("rename-at", "a", root, "c") is None
        assert (b"first", False) == await guest.do("read", 10, 0, on=file)
        assert "no-entry" == await guest.open("a")
        assert b"first" == await guest.get("c")
        await guest.put("d", b"third")
        assert await guest.do("rename-at", "d", root, "c") is None
        assert b"third" == await guest.get("c")

    run(folders, test)


@pytest.mark.parametrize("path", ["..", "../x", "/etc/passwd", "a/../../x", ""])
def test_nothing_outside(folders: Folders, path: str) -> None:
    """No path leads out, whatever is done with it."""

    async def test(guest: Filer) -> None:
        await guest.do("create-directory-at", "a")
        refused = {"not-permitted", "no-entry"} if path else {"no-entry", "invalid"}
        assert await guest.open(path) in refused
        assert await guest.open(path, WRITE, CREATE) in refused
        assert await guest.do("stat-at", FOLLOW, path) in refused
        assert await guest.do("unlink-file-at", path) in refused
        assert await guest.do("create-directory-at", path) in refused
        assert await guest.do("metadata-hash-at", FOLLOW, path) in refused

    run(folders, test)


def test_paths_that_are_none(folders: Folders) -> None:
    """Too long ones, and such with a zero byte, which would end them for the system."""

    async def test(guest: Filer) -> None:
        assert "name-too-long" == await guest.open("a/" * 3000)
        assert await guest.open("a\0b") in {"invalid", "illegal-byte-sequence"}

    run(folders, test)


def test_which_is_which(folders: Folders) -> None:
    """Two descriptors of one file are the same, and have one hash; others are not, and have others."""

    async def test(guest: Filer) -> None:
        await guest.put("a", b"x")
        await guest.put("b", b"x")
        first, again, other = [await guest.open(name) for name in "aab"]
        same = "[method]descriptor.is-same-object"
        assert guest(same, first, again)
        assert not guest(same, first, other)
        assert not guest(same, guest.root, other)
        hashes = [await guest.do("metadata-hash", on=each) for each in (first, again, other, guest.root)]
        assert hashes[0] == hashes[1]
        assert 3 == len(set(hashes))
        assert hashes[0] == await guest.do("metadata-hash-at", FOLLOW, "a")
        assert "no-entry" == await guest.do("metadata-hash-at", FOLLOW, "c")

    run(folders, test)


def test_read_only(folders: Folders) -> None:
    """What may only be read can be found and listed, and nothing in it made, changed or removed."""

    async def test(guest: Filer) -> None:
        assert READ == await guest.do("get-flags")
        assert [] == await guest.names()
        for answer in (
            await guest.open("new", WRITE, CREATE),
            await guest.do("create-directory-at", "new"),
            await guest.do("unlink-file-at", "new"),
            await guest.do("remove-directory-at", "new"),
            await guest.do("rename-at", "new", guest.root, "newer"),
        ):
            assert "read-only" == answer

    run(folders, test, write=False)


def test_no_more_than_so_many(folders: Folders) -> None:
    """Descriptors of files and folders are counted until they and their streams are dropped."""

    async def test(guest: Filer) -> None:
        await guest.put("file", b"x")
        opened = [await guest.open("file") for _ in range(MOST)]
        assert "insufficient-memory" == await guest.open("file")
        stream = await guest.do("read-via-stream", 0, on=opened[0])
        guest.drop(opened.pop(0))
        assert "insufficient-memory" == await guest.open("file")
        guest.drop(stream)
        opened.append(await guest.open("file"))
        assert isinstance(opened[-1], int)

    before = descriptors()
    run(folders, test)
    assert before == descriptors()


def test_no_more_names_than_so_many(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings are counted until they are dropped."""

    async def test(guest: Filer) -> None:
        for name in ("one", "two", "three"):
            await guest.put(name, b"")
        monkeypatch.setattr(filesystem_open, "LISTINGS", 500)
        first, second = await guest.do("read-directory"), await guest.do("read-directory")
        assert "insufficient-memory" == await guest.do("read-directory")
        guest.drop(first)
        guest.drop(second)
        assert 3 == len(await guest.names())
        assert 0 == guest.world.files.listed

    run(folders, test)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["write", "append", "stream", "cut", "read"]),
            st.integers(0, 40),
            st.binary(max_size=20),
        ),
        max_size=25,
    )
)
def test_a_file_is_its_bytes(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: Any, steps: list[tuple[str, int, bytes]]
) -> None:
    """Whatever is written where, through whatever: reading gives what a list of bytes would."""
    folders = Folders(kind, request, tmp_path_factory.mktemp("model"))

    async def test(guest: Filer) -> None:
        file, model = await guest.open("file", WRITE, CREATE), bytearray()
        for name, at, data in steps:
            if name == "read":
                source = await guest.do("read-via-stream", at, on=file)
                assert bytes(model[at:]) == await guest.read(source)
                guest.drop(source)
                continue
            await _change(guest, file, model, (name, at, data))
        assert (bytes(model), not model) == await guest.do("read", 1000, 0, on=file)
        assert bytes(model) == await folders.kept(guest, "file")

    run(folders, test)


async def _change(guest: Filer, file: int, model: bytearray, step: tuple[str, int, bytes]) -> None:
    name, at, data = step
    if name == "cut":
        assert await guest.do("set-size", at, on=file) is None
        model[at:] = b""
        model.extend(bytes(at - len(model)))
        return
    if name == "append":
        at = len(model)
        stream = await guest.do("append-via-stream", on=file)
    elif name == "stream":
        stream = await guest.do("write-via-stream", at, on=file)
    if name == "write":
        assert len(data) == await guest.do("write", data, at, on=file)
    else:
        await guest.write(stream, data)
        guest.drop(stream)
    if data:
        model.extend(bytes(max(0, at - len(model))))
        model[at : at + len(data)] = data


def test_links(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Of this machine alone: made, read, followed or not, and never out."""

    async def test(guest: Filer) -> None:
        await guest.put("file", b"content")
        assert await guest.do("symlink-at", "file", "soft") is None
        assert await guest.do("link-at", NOTHING, "file", guest.root, "hard") is None
        assert "file" == await guest.do("readlink-at", "soft")
        assert "invalid" == await guest.do("readlink-at", "file")
        assert ("symbolic-link", "regular-file") == tuple(
            [(await guest.do("stat-at", flags, "soft"))[0] for flags in (NOTHING, FOLLOW)]
        )
        assert b"content" == await guest.get("soft")
        assert "loop" == await guest.do("open-at", NOTHING, "soft", NOTHING, READ)
        assert 2 == (await guest.do("stat-at", NOTHING, "hard"))[1]
        assert "not-permitted" == await guest.do("symlink-at", "/etc/passwd", "out")
        (tmp_path / "data" / "out").symlink_to("/etc/passwd")
        assert "not-permitted" == await guest.open("out")
        kinds = {name: kind for kind, name in await guest.names()}
        assert ("regular-file", "symbolic-link") == (kinds["hard"], kinds["soft"])

    run(on_mount(request, tmp_path), test)


def test_times(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """They are set, left, or those of now; what is shown is as coarse as the clocks."""

    async def test(guest: Filer) -> None:
        await guest.put("file", b"x")
        file = await guest.open("file", WRITE)
        wanted, left, now = ("timestamp", (1_000_000, 123_456_789)), ("no-change", None), ("now", None)
        assert await guest.do("set-times", wanted, wanted, on=file) is None
        shown = (1_000_000, 123_000_000)
        assert [shown, shown] == list((await guest.do("stat", on=file))[3:5])
        assert await guest.do("set-times-at", NOTHING, "file", now, left) is None
        accessed, modified = (await guest.do("stat-at", NOTHING, "file"))[3:5]
        assert accessed[0] > 1_600_000_000
        assert shown == modified
        assert "invalid" == await guest.do("set-times", ("timestamp", (0, 10**9)), left, on=file)
        late = ("timestamp", (2**64 - 1, 0))
        assert await guest.do("set-times", late, late, on=file) in {None, "invalid", "overflow"}
        assert await guest.do("set-times", wanted, wanted) is None

    run(on_mount(request, tmp_path), test)


def test_names_that_are_no_text(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """One is an error of its own, and the next one is told."""
    (tmp_path / "data").mkdir()
    for name in (b"\xff", b"good"):
        (tmp_path / "data" / os.fsdecode(name)).touch()

    async def test(guest: Filer) -> None:
        entries = await guest.do("read-directory")
        read = "[method]directory-entry-stream.read-directory-entry"
        found = [guest(read, entries) for _ in range(3)]
        assert Ok(None) == found.pop()
        assert Err("illegal-byte-sequence") in found
        assert Ok(("regular-file", "good")) in found

    run(on_mount(request, tmp_path), test)


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """Is the operator's to hear of: the guest is ended."""
    mount = Mount(name="/data", path=tmp_path / "gone")
    with pytest.raises(Unavailable, match="gone"):
        Filer(mounts=Mounts(mounts=(mount,)))
