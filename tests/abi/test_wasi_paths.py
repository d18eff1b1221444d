"""WASI's calls on paths: what they answer, good arguments and bad ones, through a real guest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from abi.commands import MORE, READ, RESULT, ROOM, TEXT, WRITE, Command, Commands, Test
from serverless_wasm.abi.wasi.layout import FdFlags, FileType, OpenFlags, Rights, TimeFlags

CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = (int(flag) for flag in OpenFlags)
FOLLOW = 1


@pytest.mark.parametrize(
    ("path", "how", "rights", "flags", "lookup", "answer"),
    [
        (b"file", 0, READ, 0, 0, "success"), (b"./folder/../file", 0, WRITE, 0, 0, "success"),
        (b"file", EXCLUSIVE | CREATE, READ, 0, 0, "exist"), (b"missing", 0, READ, 0, 0, "noent"),
        (b"missing", DIRECTORY, READ, 0, 0, "noent"), (b"missing", EXCLUSIVE, READ, 0, 0, "noent"),
        (b"missing/file", CREATE, WRITE, 0, 0, "noent"), (b"file", DIRECTORY, READ, 0, 0, "notdir"),
        (b"file/", 0, READ, 0, 0, "notdir"), (b"file/below", 0, READ, 0, 0, "notdir"),
        (b"folder", 0, READ, 0, 0, "success"), (b"folder/", DIRECTORY, READ, 0, 0, "success"),
        (b"folder", 0, WRITE, 0, 0, "isdir"), (b".", 0, 0, FdFlags.NONBLOCK, 0, "success"),
        (b"link", 0, READ, 0, FOLLOW, "success"), (b"link", 0, READ, 0, 0, "loop"),
        (b"dangling", 0, READ, 0, FOLLOW, "noent"), (b"outside", 0, READ, 0, FOLLOW, "perm"),
        (b"loop", 0, READ, 0, FOLLOW, "loop"), (b"pipe", 0, READ, 0, 0, "perm"),
        (b"..", 0, READ, 0, 0, "perm"), (b"folder/../..", 0, READ, 0, 0, "perm"),
        (b"/file", 0, READ, 0, 0, "perm"), (b"/etc/passwd", 0, READ, 0, FOLLOW, "perm"),
        (b"", 0, READ, 0, 0, "noent"), (b"fi\0le", CREATE, WRITE, 0, 0, "inval"),
        (b"\xff\xfe", CREATE, WRITE, 0, 0, "ilseq"), (b"x" * 256, 0, READ, 0, 0, "nametoolong"),
        (b"file", DIRECTORY | CREATE, READ, 0, 0, "inval"), (b"file", 16, READ, 0, 0, "inval"),
        (b"file", 2**31, READ, 0, 0, "inval"), (b"file", 0, 2**30, 0, 0, "inval"),
        (b"file", 0, 2**64 - 1, 0, 0, "inval"), (b"file", 0, READ, 32, 0, "inval"),
        (b"file", 0, READ, 0, 2, "inval"), (b"file", 0, READ, 0, 2**32 - 1, "inval"),
        (b"file", 0, READ, FdFlags.SYNC, 0, "notsup"), (b"file", 0, READ, FdFlags.DSYNC, 0, "notsup"),
        (b"file", 0, READ, FdFlags.RSYNC, 0, "notsup"),
    ],
)  # fmt: skip
def test_opening(
    in_folder: Callable[[Test], None],
    tmp_path: Path,
    path: bytes,
    how: int,
    rights: int,
    flags: int,
    lookup: int,
    answer: str,
) -> None:
    """A path is opened or refused with what other hosts say, and a refusal makes nothing."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "outside").symlink_to("../elsewhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")

    async def test(command: Command) -> None:
        found = await command.path("path_open", 3, lookup, path, how, rights, 0, int(flags), RESULT)
        assert found.name == answer
        assert answer != "success" or found.size() == 4

    in_folder(test)
    assert len(list(tmp_path.iterdir())) == 7


def test_making_and_cutting(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A file is made when it is to be, and emptied when it is to be, by one that may write or not."""
    (tmp_path / "old").write_bytes(b"old")

    async def test(command: Command) -> None:
        for rights in (READ, WRITE, 0):
            await command.open(b"made", rights, CREATE)
        await command.open(b"new", WRITE, CREATE | EXCLUSIVE)
        fd = await command.open(b"old", READ, TRUNCATE)
        assert (await command.write(fd, b"x")).name == "badf"

    in_folder(test)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "made": b"",
        "new": b"",
        "old": b"",
    }


def test_paths_that_are_too_long(in_folder: Callable[[Test], None]) -> None:
    """A path beyond PATH_MAX is refused by every call that takes one."""

    async def test(command: Command) -> None:
        for name, values in {
            "path_create_directory": (3, TEXT, 4097), "path_filestat_get": (3, 0, TEXT, 4097, RESULT),
            "path_filestat_set_times": (3, 0, TEXT, 4097, 0, 0, 0),
            "path_link": (3, 0, TEXT, 4097, 3, MORE, 1), "path_open": (3, 0, TEXT, 4097, 0, 0, 0, 0, RESULT),
            "path_readlink": (3, TEXT, 4097, ROOM, 9, RESULT),
            "path_remove_directory": (3, TEXT, 4097), "path_rename": (3, MORE, 1, 3, TEXT, 4097),
            "path_symlink": (TEXT, 4097, 3, MORE, 1), "path_unlink_file": (3, TEXT, 4097),
        }.items():  # fmt: skip
            answer = await command.call(name, *values, stage={TEXT: b"x" * 5000, MORE: b"y"})
            assert (name, answer.name) == (name, "nametoolong")

    in_folder(test)


def test_folders(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """Folders are made and removed; what is there, or not there, or not empty, or a file, is in the way."""
    (tmp_path / "file").touch()

    async def test(command: Command) -> None:
        for name, path, answer in [
            ("path_create_directory", b"made", "success"), ("path_create_directory", b"made", "exist"),
            ("path_create_directory", b"made/below/", "success"), ("path_create_directory", b"file", "exist"),
            ("path_create_directory", b"no/made", "noent"), ("path_create_directory", b"../made", "perm"),
            ("path_create_directory", b"", "noent"), ("path_remove_directory", b"made", "notempty"),
            ("path_remove_directory", b"made/below", "success"),
            ("path_remove_directory", b"made/", "success"), ("path_remove_directory", b"made", "noent"),
            ("path_remove_directory", b"file", "notdir"),
            ("path_remove_directory", b".", "inval"),
        ]:  # fmt: skip
            assert (path, (await command.path(name, 3, path)).name) == (path, answer)

    in_folder(test)


def test_unlinking(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """Files and links are removed, not what links lead to, and no folders; an open file can be read on."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ)
        for path, answer in [
            (b"file/", "notdir"), (b"file", "success"), (b"file", "noent"), (b"folder", "isdir"),
            (b"link", "success"), (b"../file", "perm"),
        ]:  # fmt: skip
            assert (path, (await command.path("path_unlink_file", 3, path)).name) == (path, answer)
        assert (await command.read(fd, 9)) == ("success", b"content")

    in_folder(test)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_renaming(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """Files and folders get other names and replace files of theirs, but nothing leaves the mount."""
    for name in ("one", "two", "full/below"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()

    async def test(command: Command) -> None:
        inner = await command.open(b"full")
        for source, target, into, answer in [
            (b"one", b"two", 3, "success"), (b"one", b"three", 3, "noent"), (b"two", b"in", inner, "success"),
            (b"full/in", b"../out", 3, "perm"), (b"full", b"full/below/it", 3, "notdir"),
            (b"full", b"full/it", 3, "inval"), (b"full/in", b"empty", 3, "isdir"), (b".", b"x", 3, "inval"),
            (b"full/in", b"out/", 3, "notdir"), (b"full", b"moved", 3, "success"),
        ]:  # fmt: skip
            found = await command.path("path_rename", 3, source, into, target)
            assert (source, target, found.name) == (source, target, answer)

    in_folder(test)
    assert {path.name: path.read_text() for path in (tmp_path / "moved").iterdir()} == {
        "below": "full/below",
        "in": "one",
    }


def test_hard_links(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A file gets a second name; a folder does not, nor does anything that is outside."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "outside").symlink_to("../elsewhere")

    async def test(command: Command) -> None:
        for lookup, source, target, answer in [
            (0, b"file", b"second", "success"), (0, b"file", b"second", "exist"),
            (FOLLOW, b"link", b"third", "success"), (0, b"folder", b"fourth", "perm"),
            (0, b"missing", b"fourth", "noent"), (FOLLOW, b"outside", b"fourth", "perm"),
            (0, b"file", b"../fourth", "perm"), (2, b"file", b"fourth", "inval"),
        ]:  # fmt: skip
            found = await command.path("path_link", 3, lookup, source, 3, target)
            assert (source, target, found.name) == (source, target, answer)

    in_folder(test)
    assert (tmp_path / "file").stat().st_nlink == 3


def test_symbolic_links(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A link is made and read, whole or as much as there is room for; none leads to an absolute path."""
    (tmp_path / "file").touch()

    async def test(command: Command) -> None:
        for target, path, answer in [
            (b"file", b"link", "success"), (b"file", b"link", "exist"), (b"nothing", b"dangling", "success"),
            (b"/etc/passwd", b"absolute", "perm"), (b"file", b"../link", "perm"), (b"", b"empty", "noent"),
        ]:  # fmt: skip
            found = await command.path("path_symlink", target, 3, path)
            assert (target, path, found.name) == (target, path, answer)
        for size, expected in ((9, b"file"), (4, b"file"), (3, b"fil"), (0, b"")):
            found = await command.path("path_readlink", 3, b"link", ROOM, size, RESULT)
            assert (found.name, found.memory[ROOM : ROOM + found.size()]) == ("success", expected)
        for path, answer in ((b"file", "inval"), (b"missing", "noent"), (b"..", "perm")):
            assert (await command.path("path_readlink", 3, path, ROOM, 9, RESULT)).name == answer

    in_folder(test)
    assert not (tmp_path / "absolute").is_symlink()


def test_state_of_a_path(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """The state of what a path names, or of what the link leads to that it names."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "outside").symlink_to("/")

    async def test(command: Command) -> None:
        for lookup, path, kind in [
            (0, b"file", FileType.REGULAR_FILE), (0, b"link", FileType.SYMBOLIC_LINK),
            (FOLLOW, b"link", FileType.REGULAR_FILE), (0, b".", FileType.DIRECTORY),
            (0, b"outside", FileType.SYMBOLIC_LINK),
        ]:  # fmt: skip
            found = await command.path("path_filestat_get", 3, lookup, path, RESULT)
            assert (found.name, found.filestat[2]) == ("success", kind)
        assert (await command.path("path_filestat_get", 3, 0, b"file", RESULT)).filestat[4] == 5
        for lookup, path, answer in [
            (0, b"missing", "noent"), (FOLLOW, b"outside", "perm"), (0, b"file/", "notdir"),
            (4, b"file", "inval"),
        ]:  # fmt: skip
            assert (await command.path("path_filestat_get", 3, lookup, path, RESULT)).name == answer

    in_folder(test)


def test_times_of_a_path(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """The times of what a path names are set, or of what the link leads to."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    both = int(TimeFlags.ATIM | TimeFlags.MTIM)

    async def test(command: Command) -> None:
        async def answer(lookup: int, path: bytes, *values: int) -> str:
            return (await command.path("path_filestat_set_times", 3, lookup, path, *values)).name

        assert await answer(0, b"link", 1, 2, both) == "success"
        assert await answer(FOLLOW, b"link", 3, 4, both) == "success"
        assert (tmp_path / "link").lstat().st_mtime_ns == 2
        assert (tmp_path / "file").stat().st_mtime_ns == 4
        assert await answer(0, b"file", 2**64 - 1, 2**64 - 1, both) == "success"
        assert await answer(0, b"file", 1, 2, 3) == "inval"
        assert await answer(0, b"missing", 1, 2, both) == "noent"
        assert await answer(8, b"file", 1, 2, both) == "inval"

    in_folder(test)


def test_what_may_not_be_written(commands: Commands, tmp_path: Path) -> None:
    """Nothing in a mount that may not be written is made, changed or removed; it can be read."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "folder").mkdir()
    before = sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir())

    async def main() -> None:
        async with commands.at(tmp_path, writable=False) as command:
            for name, values in [
                ("path_open", (3, 0, b"file", 0, WRITE, 0, 0, RESULT)),
                ("path_open", (3, 0, b"file", TRUNCATE, READ, 0, 0, RESULT)),
                ("path_open", (3, 0, b"new", CREATE, READ, 0, 0, RESULT)),
                ("path_create_directory", (3, b"new")), ("path_remove_directory", (3, b"folder")),
                ("path_unlink_file", (3, b"file")), ("path_rename", (3, b"file", 3, b"new")),
                ("path_link", (3, 0, b"file", 3, b"new")), ("path_symlink", (b"file", 3, b"new")),
                ("path_filestat_set_times", (3, 0, b"file", 1, 2, 5)),
            ]:  # fmt: skip
                assert (name, (await command.path(name, *values)).name) == (name, "rofs")
            inner = await command.open(b"folder")
            assert (await command.path("path_create_directory", inner, b"new")).name == "rofs"
            assert (await command.read(await command.open(b"file", READ), 9)) == ("success", b"content")

    asyncio.run(main())
    assert sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()) == before


def test_rights_to_open_with(in_folder: Callable[[Test], None]) -> None:
    """What wasi-libc asks for when it opens a file for reading and writing is granted."""

    async def test(command: Command) -> None:
        inheriting = (await command.call("fd_fdstat_get", 3, RESULT)).fdstat[3]
        fd = await command.open(b"file", inheriting, CREATE)
        rights = (await command.call("fd_fdstat_get", fd, RESULT)).fdstat[2]
        assert rights & (needed := Rights.FD_READ | Rights.FD_WRITE | Rights.FD_SEEK) == needed

    in_folder(test)
