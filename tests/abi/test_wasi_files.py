"""WASI's calls on descriptors: what they answer, good arguments and bad ones, through a real guest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from abi.commands import READ, RESULT, ROOM, WRITE, Command, Commands, Test
from serverless_wasm.abi.wasi.clocks import QUANTUM
from serverless_wasm.abi.wasi.layout import FdFlags, FileType, OpenFlags, TimeFlags

CREATE = int(OpenFlags.CREAT)
MOST = 2**63 - 1


def test_what_is_written_is_read_again(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """Buffers are written and read one after the other, from where the file is at; it ends where it ends."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ | WRITE, CREATE)
        assert (await command.read(fd, 10)) == ("success", b"")
        written = await command.write(fd, b"one", b"", b" and two")
        assert (written.name, written.size()) == ("success", 11)
        assert (await command.call("fd_tell", fd, RESULT)).wide() == 11
        assert (await command.call("fd_seek", fd, 0, 0, RESULT)).wide() == 0
        assert (await command.read(fd, 5, 0, 4)) == ("success", b"one and t")
        assert (await command.read(fd, 100)) == ("success", b"wo")
        assert (await command.read(fd)) == ("success", b"")

    in_folder(test)
    assert (tmp_path / "file").read_bytes() == b"one and two"


def test_places_of_their_own(in_folder: Callable[[Test], None]) -> None:
    """A call with a place leaves the file where it is at; nothing, written behind its end, adds nothing."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ | WRITE, CREATE)
        assert (await command.write(fd, b"abcd", offset=2)).size() == 4
        assert (await command.read(fd, 3, offset=1)) == ("success", b"\0ab")
        assert (await command.write(fd, b"", offset=50)).size() == 0
        assert (await command.read(fd, 9, offset=50)) == ("success", b"")
        assert (await command.call("fd_tell", fd, RESULT)).wide() == 0
        for offset in (MOST + 1, 2**64 - 1):
            assert (await command.write(fd, b"x", offset=offset)).name == "inval"
            assert (await command.read(fd, 1, offset=offset))[0] == "inval"
        assert (await command.write(fd, b"x", offset=MOST)).name == "fbig"
        assert (await command.call("fd_filestat_get", fd, RESULT)).filestat[4] == 6

    in_folder(test)


def test_appending(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A file that is appended to grows wherever it is at, until the flag is taken away."""
    (tmp_path / "file").write_bytes(b"old")

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ | WRITE, flags=FdFlags.APPEND)
        assert (await command.call("fd_seek", fd, 0, 0, RESULT)).name == "success"
        await command.write(fd, b" new")
        assert (await command.call("fd_tell", fd, RESULT)).wide() == 7
        await command.write(fd, b"er", offset=0)
        assert (await command.call("fd_fdstat_get", fd, RESULT)).fdstat[1] == FdFlags.APPEND
        assert (await command.call("fd_fdstat_set_flags", fd, 0)).name == "success"
        await command.call("fd_seek", fd, 0, 0, RESULT)
        await command.write(fd, b"OLD")
        assert (await command.call("fd_fdstat_set_flags", fd, int(FdFlags.APPEND))).name == "success"
        await command.write(fd, b"!")

    in_folder(test)
    assert (tmp_path / "file").read_bytes() == b"OLD newer!"


@pytest.mark.parametrize(
    ("offset", "whence", "answer"),
    [
        (4, 0, 4), (-1, 1, 4), (-10, 2, 0), (0, 2, 10), (100, 2, 110), (MOST, 0, MOST), (2**62, 1, 2**62 + 5),
        (-1, 0, "inval"), (-6, 1, "inval"), (-11, 2, "inval"), (MOST, 1, "inval"), (-(2**63), 2, "inval"),
        (0, 3, "inval"), (0, 2**32 - 1, "inval"),
    ],
)  # fmt: skip
def test_seeking(
    in_folder: Callable[[Test], None], tmp_path: Path, offset: int, whence: int, answer: int | str
) -> None:
    """A place is counted from the start, from where it is at, or from the end; a bad one changes nothing."""
    (tmp_path / "file").write_bytes(bytes(10))

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ)
        await command.call("fd_seek", fd, 5, 0, RESULT)
        found = await command.call("fd_seek", fd, offset, whence, RESULT)
        assert (found.wide() if found.name == "success" else found.name) == answer
        at = (await command.call("fd_tell", fd, RESULT)).wide()
        assert at == (5 if isinstance(answer, str) else answer)
        if at == MOST:
            assert (await command.read(fd, 1))[0] in {"inval", "fbig"}

    in_folder(test)


def test_short_counts(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """One call moves a mebibyte at most, whatever its buffers say."""
    (tmp_path / "file").write_bytes(bytes(2**21))

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ | WRITE)
        whole = 2**15
        stage = {ROOM: b"".join((0).to_bytes(4, "little") + whole.to_bytes(4, "little") for _ in range(64))}
        for name in ("fd_write", "fd_read"):
            answer = await command.call(name, fd, ROOM, 64, RESULT, stage=stage)
            assert (answer.name, answer.size()) == ("success", 2**20)

    in_folder(test)


def test_too_many_buffers(in_folder: Callable[[Test], None]) -> None:
    """More buffers than IOV_MAX are refused, of whatever is read or written."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ | WRITE, CREATE)
        for name, on, more in (
            ("fd_read", fd, []), ("fd_write", fd, []), ("fd_pread", fd, [0]), ("fd_pwrite", fd, [0]),
            ("fd_read", 0, []), ("fd_write", 1, []), ("fd_write", 2, []),
        ):  # fmt: skip
            assert (await command.call(name, on, ROOM, 1025, *more, RESULT)).name == "inval"
            assert (await command.call(name, on, ROOM, 1024, *more, RESULT)).name == "success"

    in_folder(test)


def test_what_a_file_was_opened_for(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A file that was opened to be read is not written, cut or made longer; one to be written is not read."""
    (tmp_path / "file").write_bytes(b"old")

    async def test(command: Command) -> None:
        read_only, write_only = await command.open(b"file", READ), await command.open(b"file", WRITE)
        neither = await command.open(b"file")
        for fd in (read_only, neither):
            assert (await command.write(fd, b"x")).name == "badf"
            assert (await command.write(fd, b"x", offset=0)).name == "badf"
            assert (await command.call("fd_filestat_set_size", fd, 1)).name == "inval"
            assert (await command.call("fd_allocate", fd, 0, 100)).name == "badf"
        for fd in (write_only, neither):
            assert (await command.read(fd, 1))[0] == "badf"
            assert (await command.read(fd, 1, offset=0))[0] == "badf"
        rights = [
            (await command.call("fd_fdstat_get", fd, RESULT)).fdstat[2]
            for fd in (read_only, write_only, neither)
        ]
        assert [right & (READ | WRITE) for right in rights] == [READ, WRITE, 0]

    in_folder(test)
    assert (tmp_path / "file").read_bytes() == b"old"


def test_size(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A file is cut, made longer, or made sure to be long enough; a size that no file has is refused."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ | WRITE, CREATE)
        await command.write(fd, b"abcdef")
        assert (await command.call("fd_filestat_set_size", fd, 3)).name == "success"
        assert (await command.call("fd_allocate", fd, 2, 6)).name == "success"
        assert (await command.call("fd_allocate", fd, 0, 1)).name == "success"
        assert (await command.call("fd_allocate", fd, 0, 0)).name == "inval"
        for size in (MOST + 1, 2**64 - 1):
            assert (await command.call("fd_filestat_set_size", fd, size)).name == "fbig"
            assert (await command.call("fd_allocate", fd, 1, size)).name == "fbig"
            assert (await command.call("fd_allocate", fd, size, 1)).name == "fbig"

    in_folder(test)
    assert (tmp_path / "file").read_bytes() == b"abc" + bytes(5)


def test_advice(in_folder: Callable[[Test], None]) -> None:
    """Advice is taken for what it is; what is none, or about no place in a file, is refused."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ | WRITE, CREATE)
        for advice in range(6):
            assert (await command.call("fd_advise", fd, 0, 0, advice)).name == "success"
        assert (await command.call("fd_advise", fd, 0, 0, 6)).name == "inval"
        assert (await command.call("fd_advise", fd, MOST + 1, 0, 0)).name == "inval"
        assert (await command.call("fd_advise", fd, 0, 2**64 - 1, 0)).name == "inval"

    in_folder(test)


def test_state_of_a_file(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """A file's state is what the system says, its times no finer than the guest's clocks."""
    (tmp_path / "file").write_bytes(b"12345")
    os.utime(tmp_path / "file", ns=(1_234_567_891, 9_876_543_219))
    own = tmp_path.stat()

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ)
        device, inode, kind, links, size, *times = (
            await command.call("fd_filestat_get", fd, RESULT)
        ).filestat
        found = (tmp_path / "file").stat()
        assert (device, inode, kind, links, size) == (found.st_dev, found.st_ino, FileType.REGULAR_FILE, 1, 5)
        assert times[:2] == [1_234_000_000, 9_876_000_000]
        assert times[2] % QUANTUM == 0
        folder = (await command.call("fd_filestat_get", 3, RESULT)).filestat
        assert folder[1:3] == (own.st_ino, FileType.DIRECTORY)
        for stream in (0, 1, 2):
            assert (await command.call("fd_filestat_get", stream, RESULT)).filestat == (0,) * 8

    in_folder(test)


def test_times(in_folder: Callable[[Test], None], tmp_path: Path) -> None:
    """Times are set to values or to now, of files and of folders; contradictions are refused."""
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", ns=(1, 2))
    access, access_now, change, change_now = (int(flag) for flag in TimeFlags)

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ)

        async def after(*values: int) -> tuple[int, int]:
            assert (await command.call("fd_filestat_set_times", fd, *values)).name == "success"
            found = (tmp_path / "file").stat()
            return found.st_atime_ns, found.st_mtime_ns

        assert await after(7, 8, 0) == (1, 2)
        assert await after(7_000_000, 8, access) == (7_000_000, 2)
        assert await after(7, 8_000_000, change) == (7_000_000, 8_000_000)
        accessed, changed = await after(7, 9, access_now | change)
        assert (accessed % QUANTUM, accessed > 10**18, changed) == (0, True, 9)
        assert (await command.call("fd_filestat_set_times", fd, 2**64 - 1, 0, access)).name == "success"
        assert (await command.call("fd_filestat_set_times", 3, 5, 6, access | change)).name == "success"
        assert (tmp_path / ".").stat().st_mtime_ns == 6
        for flags in (access | access_now, change | change_now, 16, 2**31):
            assert (await command.call("fd_filestat_set_times", fd, 0, 0, flags)).name == "inval"
        for stream in (0, 1, 2):
            assert (await command.call("fd_filestat_set_times", stream, 0, 0, access)).name == "badf"

    in_folder(test)


def test_times_of_what_may_not_be_written(commands: Commands, tmp_path: Path) -> None:
    """Nothing in a mount that may not be written gets other times, a file that is read included."""
    (tmp_path / "file").touch()

    async def main() -> None:
        async with commands.at(tmp_path, writable=False) as command:
            fd = await command.open(b"file", READ)
            for number in (fd, 3):
                answer = await command.call("fd_filestat_set_times", number, 5, 6, 5)
                assert answer.name == "rofs"

    asyncio.run(main())


def test_synchronising(in_folder: Callable[[Test], None]) -> None:
    """Files and folders are written to the disk; a stream cannot be."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", WRITE, CREATE)
        for name in ("fd_sync", "fd_datasync"):
            assert [(await command.call(name, number)).name for number in (fd, 3)] == ["success"] * 2
            assert [(await command.call(name, number)).name for number in (0, 1, 2)] == ["inval"] * 3

    in_folder(test)
