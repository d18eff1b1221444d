"""WASI's calls on files of stores: what they answer, good arguments and bad ones, through a real guest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from abi.commands import MORE, READ, RESULT, ROOM, TEXT, WRITE, Command, Commands, Streams
from abi.test_wasi_readdir import entries, listed, names
from serverless_wasm.abi.wasi.clocks import QUANTUM
from serverless_wasm.abi.wasi.descriptors import MOST
from serverless_wasm.abi.wasi.layout import EVENT, FD_READWRITE, SUBSCRIPTION, FdFlags, FileType, OpenFlags
from serverless_wasm.abi.wasi.process import Mount, Process
from serverless_wasm.errors import Failed, NotPermitted, TooLarge
from serverless_wasm.limits import KIB
from serverless_wasm.storage.files.stores import Files, Place
from serverless_wasm.storage.files.tree_file import Session
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import Folder
from serverless_wasm.stores import Remote
from services import Web
from storage.backends import Backend, backend, content, files
from storage.gated import gated

CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = (int(flag) for flag in OpenFlags)
LARGEST = 2**63 - 1
Test = Callable[[Command, Files], Awaitable[None]]
InPlace = Callable[..., None]


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """What keeps the files."""
    return backend(request.param, request, tmp_path)


@pytest.fixture
def in_place(commands: Commands, store: Backend) -> InPlace:
    """Runs a test in a command that has a fresh place as descriptor 3, or the places that it says."""

    def run(test: Test, *places: Place, most: int = 2**20) -> None:
        running(commands, test, *(places or (store.place(),)), most=most)

    return run


def running(commands: Commands, test: Test, *places: Place, most: int = 2**20) -> None:
    """Runs a test in a command that has these places."""

    async def main() -> None:
        async with files(*places) as granted, commands.on(granted, most) as command:
            await test(command, granted)

    asyncio.run(main())


async def refusals(command: Command, *calls: tuple[str, str, tuple[object, ...]]) -> None:
    """Makes the calls, each of which must have its answer; of paths a call gets where they lie."""
    for answer, name, values in calls:
        assert (name, values, answer) == (name, values, (await command.path(name, *values)).name)


def test_what_is_written_is_read_again(in_place: InPlace) -> None:
    """Buffers are written and read one after the other; it is in the store once it is closed."""

    async def test(command: Command, files: Files) -> None:
        fd = await command.open(b"a/file", READ | WRITE, CREATE)
        assert (await command.read(fd, 10)) == ("success", b"")
        written = await command.write(fd, b"one", b"", b" and two")
        assert (written.name, written.size()) == ("success", 11)
        assert (await command.call("fd_tell", fd, RESULT)).wide() == 11
        assert (await command.call("fd_seek", fd, 0, 0, RESULT)).wide() == 0
        assert (await command.read(fd, 5, 0, 4)) == ("success", b"one and t")
        assert (await command.read(fd, 100)) == ("success", b"wo")
        assert (await command.read(fd)) == ("success", b"")
        assert [] == await files.list(b"/data/", 1000)
        assert (await command.call("fd_close", fd)).name == "success"
        assert (await command.call("fd_close", fd)).name == "badf"
        assert b"one and two" == await content(files, b"/data/a/file")
        assert fd == await command.open(b"a/file", READ)

    in_place(test)


def test_places_of_their_own(in_place: InPlace) -> None:
    """A call with a place leaves the file where it is at; nothing, written behind its end, adds nothing."""

    async def test(command: Command, _: Files) -> None:
        fd = await command.open(b"file", READ | WRITE, CREATE)
        assert (await command.write(fd, b"abcd", offset=2)).size() == 4
        assert (await command.read(fd, 3, offset=1)) == ("success", b"\0ab")
        assert (await command.write(fd, b"", offset=50)).size() == 0
        for offset in (6, 50, LARGEST):
            assert (await command.read(fd, 9, offset=offset)) == ("success", b"")
        assert (await command.call("fd_tell", fd, RESULT)).wide() == 0
        for offset in (LARGEST + 1, 2**64 - 1):
            assert (await command.write(fd, b"x", offset=offset)).name == "inval"
            assert (await command.read(fd, 1, offset=offset))[0] == "inval"
        assert (await command.write(fd, b"x", offset=LARGEST)).name == "fbig"
        assert (await command.call("fd_filestat_get", fd, RESULT)).filestat[4] == 6

    in_place(test)


def test_appending(in_place: InPlace) -> None:
    """A file that is appended to grows wherever it is at, until the flag is taken away."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", b"old")
        fd = await command.open(b"file", READ | WRITE, flags=FdFlags.APPEND)
        assert (await command.call("fd_seek", fd, 0, 0, RESULT)).name == "success"
        await command.write(fd, b" new")
        assert (await command.call("fd_tell", fd, RESULT)).wide() == 7
        await command.write(fd, b"er", offset=0)
        assert (await command.call("fd_fdstat_get", fd, RESULT)).fdstat[:2] == (4, FdFlags.APPEND)
        assert (await command.call("fd_fdstat_set_flags", fd, 0)).name == "success"
        await command.call("fd_seek", fd, 0, 0, RESULT)
        await command.write(fd, b"OLD")
        assert (await command.call("fd_fdstat_set_flags", 3, 0)).name == "badf"
        assert (await command.call("fd_datasync", fd)).name == "success"
        assert b"OLD newer" == await content(files, b"/data/file")

    in_place(test)


@pytest.mark.parametrize(
    ("offset", "whence", "answer"),
    [
        (4, 0, 4), (-1, 1, 4), (-10, 2, 0), (0, 2, 10), (100, 2, 110), (LARGEST, 0, LARGEST),
        (2**62, 1, 2**62 + 5), (-1, 0, "inval"), (-6, 1, "inval"), (-11, 2, "inval"), (LARGEST, 1, "inval"),
        (-(2**63), 2, "inval"), (0, 3, "inval"), (0, 2**32 - 1, "inval"),
    ],
)  # fmt: skip
def test_seeking(in_place: InPlace, offset: int, whence: int, answer: int | str) -> None:
    """As in a local file; the store is not asked."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", bytes(10))
        fd = await command.open(b"file", READ)
        await command.call("fd_seek", fd, 5, 0, RESULT)
        found = await command.call("fd_seek", fd, offset, whence, RESULT)
        assert (found.wide() if found.name == "success" else found.name) == answer
        at = (await command.call("fd_tell", fd, RESULT)).wide()
        assert at == (5 if isinstance(answer, str) else answer)
        if at >= 10:
            assert (await command.read(fd, 1)) == ("success", b"")

    in_place(test)


def test_what_a_descriptor_was_opened_for(in_place: InPlace) -> None:
    """One to be read is not written, cut or made longer; one to be written is not read; a folder neither."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", b"old")
        read_only, write_only = await command.open(b"file", READ), await command.open(b"file", WRITE)
        neither, folder = await command.open(b"file"), await command.open(b".")
        for fd in (read_only, neither, folder):
            assert (await command.write(fd, b"x")).name == "badf"
            assert (await command.write(fd, b"x", offset=0)).name == "badf"
        for fd in (write_only, neither, folder):
            assert (await command.read(fd, 1))[0] == "badf"
            assert (await command.read(fd, 1, offset=0))[0] == "badf"
        rights = [
            (await command.call("fd_fdstat_get", fd, RESULT)).fdstat[2]
            for fd in (read_only, write_only, neither)
        ]
        assert [right & (READ | WRITE) for right in rights] == [READ, WRITE, 0]
        await refusals(
            command,
            ("inval", "fd_filestat_set_size", (read_only, 1)),
            ("badf", "fd_filestat_set_size", (folder, 1)),
            ("badf", "fd_seek", (folder, 0, 0, RESULT)),
            ("badf", "fd_tell", (folder, RESULT)),
            ("badf", "fd_advise", (folder, 0, 0, 0)),
            ("success", "fd_sync", (folder,)),
            ("success", "fd_sync", (read_only,)),
            ("notdir", "fd_readdir", (read_only, ROOM, 100, 0, RESULT)),
            ("notdir", "path_open", (read_only, 0, b"a", 0, READ, 0, 0, RESULT)),
            ("notdir", "path_rename", (3, b"file", read_only, b"a")),
            ("badf", "path_rename", (3, b"file", 1, b"a")),
            ("notdir", "path_unlink_file", (read_only, b"a")),
            ("notdir", "path_symlink", (b"a", read_only, b"b")),
            ("badf", "fd_prestat_get", (read_only, RESULT)),
            ("badf", "fd_prestat_get", (folder, RESULT)),
        )
        assert (await content(files, b"/data/file"), []) == (b"old", command.refusals)

    in_place(test)


def test_what_stores_cannot_do(in_place: InPlace) -> None:
    """Links and times are refused; advice need not be taken; what is not there is no link."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", b"old")
        fd = await command.open(b"file", READ | WRITE)
        await refusals(
            command,
            ("notsup", "fd_allocate", (fd, 0, 10)),
            ("notsup", "fd_filestat_set_times", (fd, 1, 1, 5)),
            ("notsup", "path_filestat_set_times", (3, 0, b"file", 1, 1, 5)),
            ("notsup", "path_link", (3, 0, b"file", 3, b"other")),
            ("notsup", "path_symlink", (b"file", 3, b"other")),
            ("inval", "path_readlink", (3, b"file", ROOM, 9, RESULT)),
            ("noent", "path_readlink", (3, b"missing", ROOM, 9, RESULT)),
            ("success", "fd_advise", (fd, 0, 0, 5)),
            ("inval", "fd_advise", (fd, 0, 0, 6)),
            ("inval", "fd_advise", (fd, LARGEST + 1, 0, 0)),
            ("notsup", "fd_fdstat_set_rights", (fd, 0, 0)),
        )

    in_place(test)


@pytest.mark.parametrize(
    ("path", "how", "rights", "flags", "lookup", "answer"),
    [
        (b"file", 0, READ, 0, 0, "success"), (b"./folder/../file", 0, WRITE, 0, 1, "success"),
        (b"file", EXCLUSIVE | CREATE, READ, 0, 0, "exist"), (b"missing", 0, READ, 0, 0, "noent"),
        (b"missing", DIRECTORY, READ, 0, 0, "noent"), (b"file", DIRECTORY, READ, 0, 0, "notdir"),
        (b"file/", 0, READ, 0, 0, "notdir"), (b"file/below", CREATE, WRITE, 0, 0, "notdir"),
        (b"folder", 0, READ, 0, 0, "success"), (b"folder/", DIRECTORY, READ, 0, 0, "success"),
        (b"folder", 0, WRITE, 0, 0, "isdir"), (b".", 0, 0, FdFlags.NONBLOCK, 0, "success"),
        (b"..", 0, READ, 0, 0, "perm"), (b"folder/../..", 0, READ, 0, 0, "perm"),
        (b"/file", 0, READ, 0, 0, "perm"), (b"", 0, READ, 0, 0, "noent"),
        (b"fi\0le", CREATE, WRITE, 0, 0, "inval"), (b"fi\nle", CREATE, WRITE, 0, 0, "inval"),
        (b"\xff\xfe", CREATE, WRITE, 0, 0, "ilseq"), (b"x" * 1025, 0, READ, 0, 0, "nametoolong"),
        (b"file", DIRECTORY | CREATE, READ, 0, 0, "inval"), (b"file", 16, READ, 0, 0, "inval"),
        (b"file", 0, 2**30, 0, 0, "inval"), (b"file", 0, READ, 32, 0, "inval"),
        (b"file", 0, READ, 0, 2, "inval"), (b"file", 0, READ, FdFlags.SYNC, 0, "notsup"),
    ],
)  # fmt: skip
def test_opening(
    in_place: InPlace, path: bytes, how: int, rights: int, flags: int, lookup: int, answer: str
) -> None:
    """A path is opened or refused with what local folders say, and a refusal makes nothing."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", b"")
        await files.put(b"/data/folder/file", b"")
        found = await command.path("path_open", 3, lookup, path, how, rights, 0, int(flags), RESULT)
        assert found.name == answer
        assert answer != "success" or found.size() == 4
        assert command.session is not None
        await command.session.finish()
        assert ["/data/file", "/data/folder/file"] == await files.list(b"/data/", 1000)
        assert [] == command.refusals

    in_place(test)


def test_paths_that_are_too_long(in_place: InPlace) -> None:
    """A path beyond PATH_MAX is refused by every call that takes one, and unknown flags are."""

    async def test(command: Command, _: Files) -> None:
        for name, values in {
            "path_create_directory": (3, TEXT, 4097),
            "path_filestat_get": (3, 0, TEXT, 4097, RESULT),
            "path_open": (3, 0, TEXT, 4097, 0, 0, 0, 0, RESULT),
            "path_readlink": (3, TEXT, 4097, ROOM, 9, RESULT),
            "path_remove_directory": (3, TEXT, 4097),
            "path_rename": (3, MORE, 1, 3, TEXT, 4097),
            "path_unlink_file": (3, TEXT, 4097),
        }.items():
            answer = await command.call(name, *values, stage={TEXT: b"x" * 5000, MORE: b"y"})
            assert (name, answer.name) == (name, "nametoolong")
        await refusals(command, ("inval", "path_filestat_get", (3, 2, b"x", RESULT)))

    in_place(test)


def test_folders(in_place: InPlace) -> None:
    """Folders are made and removed; what is there, or not empty, or a file, is in the way."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", b"")
        prestat = await command.call("fd_prestat_get", 3, RESULT)
        assert (prestat.name, prestat.memory[RESULT], prestat.size(RESULT + 4)) == ("success", 0, 5)
        assert (await command.call("fd_prestat_dir_name", 3, ROOM, 5)).memory[ROOM : ROOM + 5] == b"/data"
        await refusals(
            command,
            ("success", "path_create_directory", (3, b"made")),
            ("exist", "path_create_directory", (3, b"made")),
            ("success", "path_create_directory", (3, b"made/below/")),
            ("exist", "path_create_directory", (3, b"file")),
            ("notdir", "path_create_directory", (3, b"file/made")),
            ("perm", "path_create_directory", (3, b"../a")),
            ("notempty", "path_remove_directory", (3, b"made")),
            ("success", "path_remove_directory", (3, b"made/below")),
            ("success", "path_remove_directory", (3, b"made/")),
            ("noent", "path_remove_directory", (3, b"made")),
            ("notdir", "path_remove_directory", (3, b"file")),
            ("isdir", "path_unlink_file", (3, b".")),
            ("noent", "path_unlink_file", (3, b"made")),
            ("notdir", "path_unlink_file", (3, b"file/")),
            ("success", "path_unlink_file", (3, b"file")),
            ("noent", "path_unlink_file", (3, b"file")),
        )
        assert [] == await files.list(b"/data/", 1000)

    in_place(test)


def test_renaming(in_place: InPlace, store: Backend) -> None:
    """Within a place; from one to another it is for the program to copy, and so is a folder."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", b"content")
        await refusals(
            command,
            ("success", "path_rename", (3, b"file", 3, b"folder/new")),
            ("noent", "path_rename", (3, b"file", 3, b"a")),
            ("xdev", "path_rename", (3, b"folder", 3, b"a")),
            ("xdev", "path_rename", (3, b"folder/new", 4, b"a")),
            ("badf", "path_rename", (3, b"folder/new", 40, b"a")),
        )
        assert b"content" == await content(files, b"/data/folder/new")

    in_place(test, store.place(), store.place("/other"))


def test_between_a_place_and_a_mount(commands: Commands, store: Backend, tmp_path: Path) -> None:
    """Nothing is renamed or linked between the two; each does what it did alone."""
    (tmp_path / "mount").mkdir()

    async def main() -> None:
        async with files(store.place()) as granted:
            session = Session(1000, lambda _: None)
            local = Folder.at(str(tmp_path / "mount"), writable=True)
            mounts = [
                Mount(name=b"/data", folder=TreeFolder(granted.trees[b"/data"], session)),
                Mount(name=b"/local", folder=local),
            ]
            async with commands.running(Process(Streams().descriptors(), mounts)) as command:
                for fd in (3, 4):
                    opened = await command.open(b"file", READ | WRITE, CREATE, fd=fd)
                    await command.write(opened, b"content")
                    await command.call("fd_sync", opened)
                await refusals(
                    command,
                    ("xdev", "path_rename", (3, b"file", 4, b"a")),
                    ("xdev", "path_rename", (4, b"file", 3, b"a")),
                    ("notsup", "path_link", (3, 0, b"file", 4, b"a")),
                    ("xdev", "path_link", (4, 0, b"file", 3, b"a")),
                    ("success", "fd_renumber", (6, 5)),
                    ("badf", "fd_tell", (6, RESULT)),
                )
                assert (await command.read(5, 10, offset=0)) == ("success", b"content")
            local.close()
            assert b"content" == await content(granted, b"/data/file")
        assert b"content" == (tmp_path / "mount" / "file").read_bytes()

    asyncio.run(main())


def test_state(in_place: InPlace, store: Backend) -> None:
    """Kind, size and time of the last change; no two files of whatever places are told as the same one."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/folder/file", b"12345")
        await files.put(b"/other/folder/file", b"12345")
        fd = await command.open(b"folder/file", READ | WRITE)
        found = (await command.call("fd_filestat_get", fd, RESULT)).filestat
        assert (FileType.REGULAR_FILE, 1, 5) == found[2:5]
        assert (len(set(found[5:])), found[5] > 10**18, found[5] % QUANTUM) == (1, True, 0)
        assert found == (await command.path("path_filestat_get", 3, 0, b"folder/./file", RESULT)).filestat
        other = (await command.path("path_filestat_get", 4, 1, b"folder/file", RESULT)).filestat
        assert (found[1], found[0]) != (other[1], other[0])
        folder = (await command.path("path_filestat_get", 3, 0, b"folder", RESULT)).filestat
        below = await command.open(b"folder")
        assert folder == (await command.call("fd_filestat_get", below, RESULT)).filestat
        assert (FileType.DIRECTORY, 1, 0, 0, 0, 0) == folder[2:]
        assert (await command.path("path_filestat_get", 3, 0, b"missing", RESULT)).name == "noent"
        await command.write(fd, b"123456")
        assert 6 == (await command.path("path_filestat_get", 3, 0, b"folder/file", RESULT)).filestat[4]
        listing, _ = entries(await listed(command, below, 4096))
        assert [(".", folder[1]), ("..", folder[1]), ("file", found[1])] == [
            (each[3], each[1]) for each in listing
        ]

    in_place(test, store.place(), store.place("/other"))


@pytest.mark.parametrize("size", [1, 24, 33, 4096])
def test_reading_a_folder(in_place: InPlace, size: int) -> None:
    """Whole and sorted, through any buffer."""
    expected = [f"{'long' * (place % 9)}{place}" for place in range(30)]

    async def test(command: Command, files: Files) -> None:
        for name in expected:
            await files.put(f"/data/folder/{name}".encode(), b"")
        fd = await command.open(b"folder")
        assert [".", "..", *sorted(expected)] == await names(command, fd, size)

    in_place(test)


def test_a_folder_that_changes(in_place: InPlace) -> None:
    """What was begun stays as it was; from the beginning, what is not in the store yet is told, too."""

    async def test(command: Command, files: Files) -> None:
        for place in range(10):
            await files.put(f"/data/folder/{place}".encode(), b"")
        fd = await command.open(b"folder")
        part, _ = entries(await listed(command, fd, 100))
        await command.open(b"folder/new", WRITE, CREATE)
        await command.path("path_unlink_file", 3, b"folder/0")
        assert 12 == len(part) + len(entries(await listed(command, fd, 4096, part[-1][0]))[0])
        assert [".", "..", *"123456789", "new"] == await names(command, fd, 4096)
        assert await listed(command, fd, 4096, 2**64 - 1) == b""

    in_place(test)


def test_listings_are_bounded(in_place: InPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """All listings of a guest together take no more than so much; closing a folder frees one."""
    monkeypatch.setattr("serverless_wasm.abi.wasi.files._LISTINGS", 200)

    async def test(command: Command, files: Files) -> None:
        for name in (b"a", b"b", b"c"):
            await files.put(b"/data/" + name, b"")
        other = await command.open(b".")
        size = len(await listed(command, 3, 4096))
        assert (await command.call("fd_readdir", other, ROOM, 4096, 0, RESULT)).name == "nomem"
        await command.call("fd_close", 3)
        assert len(await listed(command, other, 4096)) == size

    in_place(test)


def test_numbers(in_place: InPlace) -> None:
    """Descriptors are as many as for local files, and free again once they are closed."""

    async def test(command: Command, _: Files) -> None:
        for number in range(4, MOST):
            assert number == await command.open(b"file", WRITE, CREATE)
        await refusals(command, ("mfile", "path_open", (3, 0, b"file", CREATE, WRITE, 0, 0, RESULT)))
        assert (await command.call("fd_close", 10)).name == "success"
        assert 10 == await command.open(b".")
        assert (await command.call("fd_close", 10)).name == "success"
        assert 10 == await command.open(b"file", WRITE)

    in_place(test)


def test_renumbering(in_place: InPlace) -> None:
    """What had the other number is in the store then, and the number stands for the file that was moved."""

    async def test(command: Command, files: Files) -> None:
        one, other = await command.open(b"one", WRITE, CREATE), await command.open(b"other", WRITE, CREATE)
        await command.write(one, b"one")
        await command.write(other, b"other")
        await refusals(
            command,
            ("success", "fd_renumber", (one, one)),
            ("badf", "fd_renumber", (one, 50)),
            ("badf", "fd_renumber", (50, one)),
            ("success", "fd_renumber", (one, other)),
            ("badf", "fd_tell", (one, RESULT)),
        )
        assert ["/data/other"] == await files.list(b"/data/", 1000)
        await command.write(other, b"!")
        await refusals(command, ("success", "fd_close", (other,)))
        assert b"one!" == await content(files, b"/data/one")
        assert b"other" == await content(files, b"/data/other")

    in_place(test)


def test_polling(in_place: InPlace) -> None:
    """A file of a store is always ready, for what it was opened for."""

    async def test(command: Command, files: Files) -> None:
        await files.put(b"/data/file", bytes(10))
        fd = await command.open(b"file", READ)
        stage = {ROOM: b"".join(SUBSCRIPTION.pack(kind, kind, FD_READWRITE.pack(fd)) for kind in (1, 2))}
        answer = await command.call("poll_oneoff", ROOM, ROOM + 1000, 2, RESULT, stage=stage)
        found = [EVENT.unpack_from(answer.memory, ROOM + 1000 + EVENT.size * place) for place in range(2)]
        assert [(1, 0, 1, 10, 0), (2, 8, 2, 0, 0)] == found

    in_place(test)


def test_two_descriptors(in_place: InPlace) -> None:
    """Each is somewhere else in one file, and both see all that is written."""

    async def test(command: Command, files: Files) -> None:
        one, other = (
            await command.open(b"file", READ | WRITE, CREATE),
            await command.open(b"file", READ | WRITE),
        )
        await command.write(one, b"from one")
        assert (await command.read(other, 4)) == ("success", b"from")
        await command.write(other, b" other")
        assert (await command.read(one, 10)) == ("success", b"er")
        await refusals(
            command, ("success", "fd_filestat_set_size", (one, 6)), ("success", "fd_close", (one,))
        )
        assert b"from o" == await content(files, b"/data/file")
        assert (await command.read(other, 10, offset=0)) == ("success", b"from o")

    in_place(test)


def test_a_place_that_is_only_read(commands: Commands, tmp_path: Path) -> None:
    """Every change is `rofs`, and the log is told; to read is fine."""
    (tmp_path / "file").write_bytes(b"content")

    async def test(command: Command, _: Files) -> None:
        fd = await command.open(b"file", READ)
        assert (await command.read(fd, 10)) == ("success", b"content")
        await refusals(
            command,
            ("rofs", "path_open", (3, 0, b"file", 0, WRITE, 0, 0, RESULT)),
            ("rofs", "path_open", (3, 0, b"new", CREATE, READ, 0, 0, RESULT)),
            ("rofs", "path_create_directory", (3, b"a")),
            ("rofs", "path_remove_directory", (3, b"a")),
            ("rofs", "path_unlink_file", (3, b"file")),
            ("rofs", "path_rename", (3, b"file", 3, b"a")),
        )
        assert {NotPermitted} == {type(error) for error in command.refusals}

    running(commands, test, Place(name="/data", where=tmp_path))


def test_no_room(in_place: InPlace, store: Backend) -> None:
    """`dquot` for the quota of the place, `fbig` for what an invocation may hold; both are told."""

    async def test(command: Command, files: Files) -> None:
        fd = await command.open(b"file", WRITE, CREATE)
        assert (await command.call("fd_filestat_set_size", fd, 9000)).name == "success"
        assert (await command.call("fd_sync", fd)).name == "dquot"
        assert (await command.call("fd_filestat_set_size", fd, 20_001)).name == "fbig"
        assert [TooLarge] * 2 == [type(error) for error in command.refusals]
        assert (await command.call("fd_filestat_set_size", fd, 10)).name == "success"
        assert (await command.call("fd_close", fd)).name == "success"
        assert bytes(10) == await content(files, b"/data/file")

    in_place(test, store.place(quota=8 * KIB), most=20_000)


def test_a_store_that_fails(commands: Commands, tmp_path: Path) -> None:
    """`io`, the log is told; a number that is closed or taken is free, and the guest goes on."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree), commands.on(Files({b"/data": tree})) as command:
            fds = [await command.open(name, READ | WRITE, CREATE) for name in (b"a", b"b", b"c", b"d")]
            for fd in fds:
                await command.write(fd, b"content")
            keeper.failing = {"*"}
            await refusals(
                command,
                ("io", "fd_sync", (fds[0],)),
                ("io", "fd_close", (fds[0],)),
                ("badf", "fd_close", (fds[0],)),
                ("io", "fd_renumber", (fds[1], fds[2])),
                ("badf", "fd_tell", (fds[1], RESULT)),
                ("io", "path_open", (3, 0, b"e", 0, READ, 0, 0, RESULT)),
                ("io", "path_filestat_get", (3, 0, b"e", RESULT)),
                ("io", "fd_readdir", (3, ROOM, 100, 0, RESULT)),
                ("io", "path_unlink_file", (3, b"d")),
            )
            assert {Failed} == {type(error) for error in command.refusals}
            keeper.failing = set()
            await command.write(fds[2], b"!")
            await refusals(command, *(("success", "fd_close", (fd,)) for fd in fds[2:]))
            assert ["b", "d"] == sorted(await tree.names(""))
            assert (8, b"content!") == await tree.read("b", 0, 100)
            session = command.session
            assert session is not None
            assert (2**20, {}) == (session.left, session.files)

    asyncio.run(main())


def test_a_guest_that_ends_while_it_waits_for_a_store(commands: Commands, tmp_path: Path) -> None:
    """Nothing is left of it, and nothing of what it did not finish is in the store."""

    async def main() -> None:
        async with gated(tmp_path) as (keeper, tree):
            async with commands.on(Files({b"/data": tree})) as command:
                fd = await command.open(b"file", WRITE, CREATE)
                await command.write(fd, b"content")
                other = await command.open(b"other", WRITE, CREATE)
                assert other == fd + 1
                keeper.closed = {"write"}
                waiting = asyncio.create_task(command.call("fd_close", fd))
                await keeper.waited.wait()
                assert command.ended is not None
                command.ended.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                session = command.session
            keeper.closed = set()
            assert session is not None
            assert (2**20, {}, []) == (session.left, session.files, await tree.names(""))

    asyncio.run(main())


def test_files_of_an_object_store(commands: Commands, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The same over a network: written, listed, renamed, appended to, removed."""

    async def test(command: Command, files: Files) -> None:
        fd = await command.open(b"a/file", WRITE, CREATE | EXCLUSIVE)
        await command.write(fd, bytes(10_000), b"end")
        await refusals(
            command,
            ("success", "fd_close", (fd,)),
            ("exist", "path_open", (3, 0, b"a/file", 5, WRITE, 0, 0, RESULT)),
            ("success", "path_rename", (3, b"a/file", 3, b"a/new")),
        )
        assert [".", "..", "new"] == await names(command, await command.open(b"a"), 4096)
        fd = await command.open(b"a/new", READ | WRITE, flags=FdFlags.APPEND)
        assert (await command.read(fd, 10, offset=9_999)) == ("success", b"\0end")
        await command.write(fd, b"!")
        await refusals(command, ("success", "fd_sync", (fd,)))
        assert b"end!" == (await files.get(b"/data/a/new", 10_000, 100))[1]
        await refusals(
            command,
            ("success", "path_unlink_file", (3, b"a/new")),
            ("success", "path_remove_directory", (3, b"a")),
        )
        assert [] == await files.list(b"/data/", 1000)

    running(commands, test, backend("s3", request, tmp_path).place())


def test_files_of_a_web_server(commands: Commands, web: Web) -> None:
    """They are read, a part at a time; that nobody can list them is `acces`, and the log is told."""
    (web.folder / "trees").mkdir()
    (web.folder / "trees" / "file").write_bytes(bytes(100_000) + b"end")

    async def test(command: Command, _: Files) -> None:
        fd = await command.open(b"file", READ)
        assert 100_003 == (await command.call("fd_filestat_get", fd, RESULT)).filestat[4]
        assert (await command.read(fd, 10, offset=99_998)) == ("success", b"\0\0end")
        await refusals(
            command,
            ("noent", "path_open", (3, 0, b"missing", 0, READ, 0, 0, RESULT)),
            ("acces", "fd_readdir", (3, ROOM, 100, 0, RESULT)),
        )
        assert [NotPermitted] == [type(error) for error in command.refusals]

    running(commands, test, Place(name="/data", where=Remote(url=f"{web.url}/trees")))
    (web.folder / "trees" / "file").unlink()
    (web.folder / "trees").rmdir()
