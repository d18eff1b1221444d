"""`fd_readdir`: what a guest finds in a folder, through buffers of any size, while the folder changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from abi.commands import RESULT, ROOM, Command, Test
from serverless_wasm.abi.wasi.layout import DIRENT, FileType

Entry = tuple[int, int, int, str]


def entries(data: bytes) -> tuple[list[Entry], bytes]:
    """Cookie of the next, inode, type and name of each entry that is whole, and what is left."""
    found: list[Entry] = []
    while len(data) >= DIRENT.size:
        cookie, inode, size, kind = DIRENT.unpack_from(data)
        if len(data) < DIRENT.size + size:
            break
        found.append((cookie, inode, kind, data[DIRENT.size : DIRENT.size + size].decode()))
        data = data[DIRENT.size + size :]
    return found, data


async def listed(command: Command, fd: int, size: int, cookie: int = 0) -> bytes:
    """What `fd_readdir` gives."""
    answer = await command.call("fd_readdir", fd, ROOM, size, cookie, RESULT)
    assert answer.name == "success"
    assert answer.memory[ROOM + size : ROOM + size + 8] == bytes(8)
    return answer.memory[ROOM : ROOM + answer.size()]


async def names(command: Command, fd: int, size: int) -> list[str]:
    """All names in a folder, read as wasi-libc does: with a larger buffer when an entry is cut."""
    found: list[str] = []
    cookie = 0
    while True:
        part = await listed(command, fd, size, cookie)
        whole, _ = entries(part)
        if whole:
            cookie = whole[-1][0]
        found += [entry[3] for entry in whole]
        if len(part) < size:
            return found
        size += 0 if whole else 30


def test_reading_a_folder(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """All of a folder is told, itself and its parent first, with inodes and types."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")

    async def test(command: Command) -> None:
        found, rest = entries(await listed(command, 3, 4096))
        assert rest == b""
        assert [entry[3] for entry in found[:2]] == [".", ".."]
        inode = tmp_path.lstat().st_ino  # noqa: ASYNC240 - nobody else is there to wait
        assert {entry[1:3] for entry in found[:2]} == {(inode, FileType.DIRECTORY)}
        assert {entry[3]: entry[1:3] for entry in found[2:]} == {
            name: ((tmp_path / name).lstat().st_ino, kind)
            for name, kind in {
                "file": FileType.REGULAR_FILE,
                "folder": FileType.DIRECTORY,
                "link": FileType.SYMBOLIC_LINK,
                "pipe": FileType.UNKNOWN,
            }.items()
        }

    in_folder(test)


@pytest.mark.parametrize("size", [0, 1, 24, 25, 33, 64, 100, 4096])
def test_small_buffers(in_folder: Callable[[Test], None], tmp_path: Path, size: int) -> None:
    """A folder is read whole through any buffer; an entry that does not fit is cut."""
    expected = {f"{'long' * (place % 9)}{place}" for place in range(100)}
    for name in expected:
        (tmp_path / name).touch()

    async def test(command: Command) -> None:
        assert len(await listed(command, 3, size)) == size
        found = await names(command, 3, size)
        assert (len(found), set(found)) == (102, {".", "..", *expected})

    in_folder(test)


def test_cookies(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """Reading goes on behind any entry; a cookie beyond the end is the end, one that was guessed no harm."""
    for name in "abc":
        (tmp_path / name).touch()

    async def test(command: Command) -> None:
        found, _ = entries(await listed(command, 3, 4096))
        for place, (cookie, *_) in enumerate(found):
            assert entries(await listed(command, 3, 4096, cookie))[0] == found[place + 1 :]
        end = found[-1][0]
        for cookie in (end, end + 1, 2**32, 2**63, 2**64 - 1):
            assert await listed(command, 3, 4096, cookie) == b""
        assert len(await listed(command, 3, 4096, 1)) == end - 1

    in_folder(test)


def test_a_folder_that_changes(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """What was begun to be read stays as it was; from the beginning it is as it is, for each descriptor."""
    for place in range(20):
        (tmp_path / f"file{place}").touch()

    async def test(command: Command) -> None:
        part, _ = entries(await listed(command, 3, 200))
        other = await command.open(b".")
        for place in range(20):
            await command.path("path_unlink_file", 3, f"file{place}".encode())
        await command.path("path_create_directory", 3, b"new")
        rest, _ = entries(await listed(command, 3, 4096, part[-1][0]))
        assert len(part) + len(rest) == 22
        assert await names(command, other, 4096) == [".", "..", "new"]
        assert await names(command, 3, 4096) == [".", "..", "new"]

    in_folder(test)


def test_listings_are_bounded(
    in_folder: Callable[[Test], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All listings of a guest together take no more than so much; closing a folder frees one."""
    monkeypatch.setattr("serverless_wasm.abi.wasi.files._LISTINGS", 200)
    for name in "abc":
        (tmp_path / name).touch()

    async def test(command: Command) -> None:
        other = await command.open(b".")
        size = len(await listed(command, 3, 4096))
        assert 100 < size <= 200
        assert len(await listed(command, 3, 4096)) == size
        assert (await command.call("fd_readdir", other, ROOM, 4096, 0, RESULT)).name == "nomem"
        await command.call("fd_close", 3)
        assert len(await listed(command, other, 4096)) == size

    in_folder(test)
