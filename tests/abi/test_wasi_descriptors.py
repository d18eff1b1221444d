"""Numbers of descriptors: what is behind them, which call takes which, and that nothing stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from abi.commands import READ, RESULT, ROOM, WRITE, Command, Commands, Streams, Test, open_files
from serverless_wasm.abi.wasi.layout import FdFlags, FileType, OpenFlags, Rights
from serverless_wasm.abi.wasi.process import Mount, Process
from serverless_wasm.storage.folder import Folder

CREATE = int(OpenFlags.CREAT)
MOST = 2**63 - 1


def test_flags(in_folder: Callable[[Test], None]) -> None:
    """Appending and not waiting can be switched; what is not done is not said to be."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", WRITE, CREATE)
        for number in (fd, 0, 1, 2):
            for wanted in (FdFlags.NONBLOCK, FdFlags.APPEND | FdFlags.NONBLOCK, FdFlags(0)):
                assert (await command.call("fd_fdstat_set_flags", number, int(wanted))).name == "success"
                assert (await command.call("fd_fdstat_get", number, RESULT)).fdstat[1] == wanted
        for flags in (FdFlags.SYNC, FdFlags.DSYNC, FdFlags.RSYNC, 32, 2**31):
            assert (await command.call("fd_fdstat_set_flags", fd, int(flags))).name == "inval"
        assert (await command.call("fd_fdstat_set_flags", 3, 0)).name == "badf"

    in_folder(test)


def test_rights(in_folder: Callable[[Test], None]) -> None:
    """A folder has what C libraries look for before they open; rights are not kept apart from that."""

    async def test(command: Command) -> None:
        kind, flags, rights, inheriting = (await command.call("fd_fdstat_get", 3, RESULT)).fdstat
        assert (kind, flags) == (FileType.DIRECTORY, 0)
        assert rights & (needed := Rights.PATH_OPEN | Rights.FD_READDIR | Rights.PATH_CREATE_FILE) == needed
        needed = Rights.FD_READ | Rights.FD_WRITE | Rights.FD_SEEK | Rights.FD_READDIR | Rights.FD_ALLOCATE
        assert inheriting & needed == needed
        assert (await command.call("fd_fdstat_set_rights", 3, rights, inheriting)).name == "notsup"
        assert (await command.call("fd_fdstat_set_rights", 3, 2**30, 0)).name == "inval"
        assert (await command.call("fd_fdstat_set_rights", 3, 0, 2**63)).name == "inval"

    in_folder(test)


def test_standard_streams_are_no_terminals(in_folder: Callable[[Test], None]) -> None:
    """isatty() of wasi-libc is false: an interpreter that believed in a terminal would prompt."""

    async def test(command: Command) -> None:
        for number, right in ((0, READ), (1, WRITE), (2, WRITE)):
            kind, flags, rights, inheriting = (await command.call("fd_fdstat_get", number, RESULT)).fdstat
            assert kind != FileType.CHARACTER_DEVICE
            assert (flags, rights & (READ | WRITE), inheriting) == (0, right, 0)

    in_folder(test)


def test_mounts_are_found(commands: Commands, tmp_path: Path) -> None:
    """A guest finds its mounts from descriptor 3 on, by size and name, until one that is none."""

    async def main() -> None:
        folder = Folder.at(str(tmp_path), writable=True)
        mounts = [Mount(name=name, folder=folder) for name in (b"/data", b"/")]
        async with commands.running(Process(Streams().descriptors(), mounts)) as command:
            for fd, name in ((3, b"/data"), (4, b"/")):
                found = await command.call("fd_prestat_get", fd, RESULT)
                assert (found.name, found.memory[RESULT], found.size(RESULT + 4)) == ("success", 0, len(name))
                told = await command.call("fd_prestat_dir_name", fd, ROOM, len(name))
                assert told.memory[ROOM : ROOM + len(name)] == name
                small = await command.call("fd_prestat_dir_name", fd, ROOM, len(name) - 1)
                assert small.name == "nametoolong"
                assert (await command.call("fd_prestat_dir_name", fd, ROOM, 2000)).name == "success"
            made = await command.open(b".")
            for fd, answer in ((5, "badf"), (made, "badf"), (0, "badf"), (2**32 - 1, "badf")):
                assert (await command.call("fd_prestat_get", fd, RESULT)).name == answer
            assert (await command.call("fd_prestat_dir_name", made, ROOM, 9)).name == "notdir"
            assert (await command.call("fd_prestat_dir_name", 99, ROOM, 9)).name == "badf"
        folder.close()

    asyncio.run(main())


# every call that takes a descriptor, and its other arguments
ON_DESCRIPTORS: dict[str, tuple[int, ...]] = {
    "fd_advise": (0, 0, 0), "fd_allocate": (0, 1), "fd_close": (), "fd_datasync": (),
    "fd_fdstat_get": (RESULT,), "fd_fdstat_set_flags": (0,), "fd_fdstat_set_rights": (0, 0),
    "fd_filestat_get": (RESULT,),
    "fd_filestat_set_size": (0,), "fd_filestat_set_times": (0, 0, 0), "fd_pread": (0, 0, 0, RESULT),
    "fd_prestat_get": (RESULT,), "fd_prestat_dir_name": (ROOM, 9), "fd_pwrite": (0, 0, 0, RESULT),
    "fd_read": (0, 0, RESULT), "fd_readdir": (ROOM, 9, 0, RESULT), "fd_renumber": (3,),
    "fd_seek": (0, 0, RESULT), "fd_sync": (), "fd_tell": (RESULT,), "fd_write": (0, 0, RESULT),
    "path_create_directory": (ROOM, 1), "path_filestat_get": (0, ROOM, 1, RESULT),
    "path_filestat_set_times": (0, ROOM, 1, 0, 0, 0), "path_link": (0, ROOM, 1, 3, ROOM, 1),
    "path_open": (0, ROOM, 1, 0, 0, 0, 0, RESULT), "path_readlink": (ROOM, 1, ROOM, 9, RESULT),
    "path_remove_directory": (ROOM, 1), "path_rename": (ROOM, 1, 3, ROOM, 1),
    "path_unlink_file": (ROOM, 1), "sock_accept": (0, RESULT), "sock_recv": (0, 0, 0, RESULT, RESULT),
    "sock_send": (0, 0, 0, RESULT), "sock_shutdown": (0,),
}  # fmt: skip


@pytest.mark.parametrize("name", ON_DESCRIPTORS)
def test_descriptors_that_are_not_open(in_folder: Callable[[Test], None], name: str) -> None:
    """Every call refuses a descriptor that nobody opened, however it is guessed."""

    async def test(command: Command) -> None:
        for fd in (4, 63, 64, 2**31 - 1, 2**31, 2**32 - 1):
            assert (await command.call(name, fd, *ON_DESCRIPTORS[name])).name == "badf"

    in_folder(test)


OF_FOLDERS = {
    "fd_advise": "badf", "fd_allocate": "badf", "fd_filestat_set_size": "badf", "fd_pread": "badf",
    "fd_pwrite": "badf", "fd_read": "badf", "fd_seek": "badf", "fd_tell": "badf", "fd_write": "badf",
}  # fmt: skip
OF_STREAMS = {
    "fd_advise": "spipe", "fd_allocate": "spipe", "fd_filestat_set_size": "badf", "fd_pread": "spipe",
    "fd_pwrite": "spipe", "fd_seek": "spipe", "fd_tell": "spipe", "fd_readdir": "badf", "path_open": "badf",
    "path_create_directory": "badf",
}  # fmt: skip
OF_FILES = {name: "notdir" for name in ON_DESCRIPTORS if name.startswith("path_") or name == "fd_readdir"}
CASES = [(3, OF_FOLDERS), (0, OF_STREAMS), (1, OF_STREAMS), (2, OF_STREAMS), (4, OF_FILES)]


@pytest.mark.parametrize(("fd", "refusals"), CASES)
def test_descriptors_of_another_kind(
    in_folder: Callable[[Test], None], fd: int, refusals: dict[str, str]
) -> None:
    """Folders are not read, files are no folders, streams have no places: wasmtime says it in these words."""

    async def test(command: Command) -> None:
        assert await command.open(b"file", READ | WRITE, CREATE) == 4
        found = {name: (await command.call(name, fd, *ON_DESCRIPTORS[name])).name for name in refusals}
        assert found == refusals

    in_folder(test)


def test_streams_are_read_or_written(in_folder: Callable[[Test], None]) -> None:
    """Standard input is not written, standard output and error are not read."""

    async def test(command: Command) -> None:
        assert (await command.write(0, b"x")).name == "badf"
        assert [(await command.read(fd, 1))[0] for fd in (1, 2)] == ["badf"] * 2

    in_folder(test)


def test_renumbering(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A descriptor takes the number of another one, which is closed, be that a mount or a stream."""

    async def test(command: Command) -> None:
        first, second = [await command.open(name, WRITE, CREATE) for name in (b"first", b"second")]
        assert (await command.call("fd_renumber", first, second)).name == "success"
        assert (await command.write(second, b"first")).name == "success"
        assert (await command.write(first, b"x")).name == "badf"
        assert (await command.call("fd_renumber", second, second)).name == "success"
        assert (await command.call("fd_renumber", second, 100)).name == "badf"
        assert (await command.call("fd_renumber", 100, second)).name == "badf"
        assert (await command.call("fd_renumber", second, 1)).name == "success"
        assert (await command.write(1, b", then")).name == "success"
        assert (await command.call("fd_renumber", 1, 3)).name == "success"
        assert (await command.call("fd_prestat_get", 3, RESULT)).name == "badf"
        assert (await command.path("path_open", 3, 0, b"first", 0, 0, 0, 0, RESULT)).name == "notdir"

    in_folder(test)
    assert (tmp_path / "first").read_bytes() == b"first, then"
    assert (tmp_path / "second").read_bytes() == b""


def test_a_mount_keeps_its_name(in_folder: Callable[[Test], None]) -> None:
    """A mount that gets another number is a mount there; one that is closed is gone for this guest alone."""

    async def test(command: Command) -> None:
        assert (await command.call("fd_renumber", 3, 0)).name == "success"
        assert (await command.call("fd_prestat_get", 0, RESULT)).size(RESULT + 4) == 5
        fd = await command.open(b"file", WRITE, CREATE, fd=0)
        assert (await command.call("fd_close", 0)).name == "success"
        assert (await command.call("fd_close", 0)).name == "badf"
        assert (await command.write(fd, b"still here")).name == "success"
        for stream in (1, 2):
            assert (await command.call("fd_close", stream)).name == "success"
            assert (await command.write(stream, b"x")).name == "badf"

    in_folder(test)


def test_the_least_number_and_the_last(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A new descriptor has the least free number; the host opens nothing for one that would be too many."""

    async def test(command: Command) -> None:
        numbers = [await command.open(b"file", READ, CREATE) for _ in range(60)]
        assert numbers == list(range(4, 64))
        before = open_files(tmp_path)
        answer = await command.path("path_open", 3, 0, b"file", 0, READ, 0, 0, RESULT)
        assert answer.name == "mfile"
        assert open_files(tmp_path) == before
        for fd in (50, 7):
            await command.call("fd_close", fd)
        assert [await command.open(b".") for _ in range(2)] == [7, 50]

    in_folder(test)


@asynccontextmanager
async def counted(tmp_path: Path) -> AsyncIterator[None]:
    """What is opened within is closed within."""
    before = open_files(tmp_path)
    yield
    assert open_files(tmp_path) == before


def test_nothing_stays_open(commands: Commands, tmp_path: Path) -> None:
    """Whatever a guest leaves open is closed with it, and renumbering never loses what was there."""

    async def main() -> None:
        async with commands.at(tmp_path):
            pass
        async with counted(tmp_path), commands.at(tmp_path) as command:
            (tmp_path / "folder").mkdir()
            current = await command.open(b"file", READ, CREATE)
            for _ in range(300):
                following = await command.open(b"file", READ)
                await command.call("fd_renumber", current, following)
                current = following
            await command.open(b"folder")

    asyncio.run(main())
