"""Standard streams of a WASI command: what waits, what does not, and what is left when a wait is given up."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from abi.commands import RESULT, ROOM, VECTOR, WRITE, Command, Commands, Streams, open_files, until
from serverless_wasm.abi.wasi.descriptors import Messages
from serverless_wasm.abi.wasi.layout import FdFlags, OpenFlags
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.errors import BadResponse, DeadlineExceeded
from serverless_wasm.limits import Limits

Run = Callable[[Streams, Callable[[Command], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def on_streams(commands: Commands) -> Run:
    """Runs a test in a command with these streams and no mount."""

    async def main(streams: Streams, test: Callable[[Command], Coroutine[Any, Any, None]]) -> None:
        async with commands.running(Process(streams.descriptors())) as command:
            await test(command)

    return lambda streams, test: asyncio.run(main(streams, test))


def test_the_body_is_read_as_it_arrives(on_streams: Run) -> None:
    """What is here is read at once, into all buffers; for more the guest waits, until there is no more."""
    streams = Streams()
    streams.body.parts, streams.body.ended = [b"first part"], False

    async def test(command: Command) -> None:
        assert (await command.read(0, 3, 4)) == ("success", b"first p")
        assert (await command.read(0, 0)) == ("success", b"")
        assert (await command.read(0, 9)) == ("success", b"art")
        assert (streams.body.waiting, streams.sink.flushed) == (0, 0)
        reading = asyncio.create_task(command.read(0, 2, 9))
        await until(lambda: streams.body.waiting == 1)
        assert streams.sink.flushed == 1
        streams.body.feed(b"second")
        assert await reading == ("success", b"second")
        streams.body.feed(b"")
        assert [await command.read(0, 9) for _ in range(2)] == [("success", b"")] * 2

    on_streams(streams, test)


def test_a_body_that_fails(on_streams: Run) -> None:
    """An error of the body that is the guest's to handle is an errno to it, once it is met while waiting."""
    streams = Streams()
    streams.body.ended = False
    streams.body.error = ConnectionResetError(errno.ECONNRESET, "gone")

    async def test(command: Command) -> None:
        reading = asyncio.create_task(command.read(0, 9))
        await until(lambda: streams.body.waiting == 1)
        streams.body.changed.set()
        assert await reading == ("connreset", b"")

    on_streams(streams, test)


def test_the_answer_waits_for_room(on_streams: Run) -> None:
    """All that is written is taken, however little room there is at a time; the guest waits meanwhile."""
    streams = Streams()
    streams.sink.left = 4

    async def test(command: Command) -> None:
        assert (await command.write(1, b"ab", b"c")).size() == 3
        writing = asyncio.create_task(command.write(1, b"defg", b"", b"hij"))
        await until(lambda: streams.sink.waiting == 1)
        assert streams.sink.taken == b"abcd"
        streams.sink.make(2)
        await until(lambda: len(streams.sink.taken) == 6)
        await until(lambda: streams.sink.waiting == 1)
        streams.sink.make(10)
        answer = await writing
        assert (answer.name, answer.size(), streams.sink.taken) == ("success", 7, b"abcdefghij")
        assert (await command.write(1)).size() == 0

    on_streams(streams, test)


def test_an_answer_nobody_reads(on_streams: Run) -> None:
    """A target that refuses is an errno to the guest, at once or after a wait; one that ends it does."""
    streams = Streams()
    streams.sink.left = 1

    async def test(command: Command) -> None:
        writing = asyncio.create_task(command.write(1, b"abc"))
        await until(lambda: streams.sink.waiting == 1)
        streams.sink.refusal = BrokenPipeError(errno.EPIPE, "gone")
        streams.sink.make(1)
        assert (await writing).name == "pipe"
        assert (await command.write(1, b"abc")).name == "pipe"
        streams.sink.refusal = BadResponse("no head")
        with pytest.raises(BadResponse):
            await command.write(1, b"abc")

    on_streams(streams, test)


def test_streams_that_do_not_wait(on_streams: Run) -> None:
    """With NONBLOCK there is EAGAIN instead of a wait, and a short count instead of the rest."""
    streams = Streams()
    streams.body.ended = False
    streams.sink.left = 4

    async def test(command: Command) -> None:
        for fd in (0, 1):
            await command.call("fd_fdstat_set_flags", fd, int(FdFlags.NONBLOCK))
        assert await command.read(0, 9) == ("again", b"")
        assert (await command.write(1, b"abcdef")).size() == 4
        assert (await command.write(1, b"ef")).name == "again"
        assert (await command.write(1, b"")).name == "success"
        streams.body.feed(b"body")
        assert await command.read(0, 9) == ("success", b"body")

    on_streams(streams, test)


def test_overlapping_buffers(on_streams: Run) -> None:
    """Buffers that lie over each other, over their own array or over the count are filled in their order."""
    streams = Streams()
    streams.body.parts, streams.body.ended = [b"ABCDEFGH", b"0123456789abcdef"], False

    async def test(command: Command) -> None:
        twice = (ROOM.to_bytes(4, "little") + (4).to_bytes(4, "little")) * 2
        answer = await command.call("fd_read", 0, VECTOR, 2, RESULT, stage={VECTOR: twice})
        assert (answer.size(), answer.memory[ROOM : ROOM + 5]) == (8, b"EFGH\0")
        over_itself = VECTOR.to_bytes(4, "little") + (8).to_bytes(4, "little")
        both = over_itself + ROOM.to_bytes(4, "little") + (8).to_bytes(4, "little")
        answer = await command.call("fd_read", 0, VECTOR, 2, VECTOR, stage={VECTOR: both})
        assert answer.memory[VECTOR : VECTOR + 8] == b"\x10\0\0\x004567"
        assert answer.memory[ROOM : ROOM + 8] == b"89abcdef"

    on_streams(streams, test)


def test_messages_are_lines(on_streams: Run) -> None:
    """A line of standard error is one of the log, once it ends; nothing is lost, a blank one is nothing."""
    streams = Streams()

    async def test(command: Command) -> None:
        for parts in ((b"one\ntw", b"o\r\n\n"), (b"th",), (b"ree",)):
            await command.write(2, *parts)
        assert streams.lines == [b"one", b"two"]
        await command.write(2, b"\n" + b"x" * 250)
        assert streams.lines[2:] == [b"three", b"x" * 100, b"x" * 100]
        assert (await command.write(2, b"y" * 40_000)).size() == 40_000

    on_streams(streams, test)
    assert b"".join(streams.lines[3:]) == b"x" * 250 + b"y" * 40_000
    assert max(map(len, streams.lines)) == 100


def test_a_log_that_takes_nothing() -> None:
    """Where the log takes no byte of an application, its messages do no harm."""
    lines: list[bytes] = []
    messages = Messages(lines.append, 0)
    messages.write(b"a\nb")
    messages.close()
    messages.close()
    assert lines == [b"a", b"b"]


def test_few_messages_at_once(commands: Commands) -> None:
    """One call writes no more of the log than 64 KiB, and says so."""

    async def main() -> None:
        lines: list[bytes] = []
        streams = Streams().descriptors()
        streams[2] = Messages(lines.append, 100)
        async with commands.running(Process(streams)) as command:
            whole = 32_768
            vector = (ROOM.to_bytes(4, "little") + whole.to_bytes(4, "little")) * 3
            answer = await command.call("fd_write", 2, VECTOR, 3, RESULT, stage={VECTOR: vector})
            assert (answer.name, answer.size()) == ("success", 2 * whole)

    asyncio.run(main())


def test_a_wait_ends_at_the_deadline(commands: Commands) -> None:
    """A guest that waits for its body, or for room, dies at its deadline, and nothing of the wait is left."""

    async def main(fd: int) -> None:
        streams = Streams()
        streams.body.ended = False
        streams.sink.left = 0
        async with commands.running(Process(streams.descriptors()), Limits(timeout=0.05)) as command:
            with pytest.raises(DeadlineExceeded):
                await (command.read(0, 9) if fd == 0 else command.write(1, b"x"))
            assert (streams.body.waiting, streams.sink.waiting) == (0, 0)
            assert asyncio.all_tasks() <= {asyncio.current_task(), command.ended}

    for fd in (0, 1):
        asyncio.run(main(fd))


def test_a_flush_that_nobody_waits_for(commands: Commands, tmp_path: Path) -> None:
    """A file is written to the disk through a descriptor of its own, closed though nobody waits for it."""

    async def main(turns_of_the_loop: int) -> None:
        async with commands.at(tmp_path) as command:
            fd = await command.open(b"file", WRITE, OpenFlags.CREAT)
            flushing = asyncio.create_task(command.call("fd_sync", fd))
            for _ in range(turns_of_the_loop):
                await asyncio.sleep(0)
            flushing.cancel()
            await asyncio.gather(flushing, return_exceptions=True)

    before = open_files(tmp_path)
    for number in range(8):
        asyncio.run(main(number))  # waits for its threads
    assert open_files(tmp_path) == before


def test_a_flush_that_never_begins(commands: Commands, tmp_path: Path) -> None:
    """So it is where no thread was free for it before the guest was gone."""

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        free = Event()
        blocked = asyncio.get_running_loop().run_in_executor(None, free.wait)
        async with commands.at(tmp_path) as command:
            fd = await command.open(b"file", WRITE, OpenFlags.CREAT)
            before = open_files(tmp_path)
            flushing = asyncio.create_task(command.call("fd_sync", fd))
            await until(lambda: open_files(tmp_path) > before)
        free.set()
        await asyncio.gather(blocked, flushing, return_exceptions=True)

    before = open_files(tmp_path)
    asyncio.run(main())
    assert open_files(tmp_path) == before


def test_a_mebibyte_at_once(on_streams: Run) -> None:
    """One call reads or writes no more of a stream than that, however much there is, and says so."""
    streams = Streams()
    streams.sink.left = 2**22
    streams.body.parts = [b"x" * 2**21]

    async def test(command: Command) -> None:
        vector = (ROOM.to_bytes(4, "little") + (2**15).to_bytes(4, "little")) * 64
        for fd, name in ((0, "fd_read"), (1, "fd_write")):
            answer = await command.call(name, fd, VECTOR, 64, RESULT, stage={VECTOR: vector})
            assert (answer.name, answer.size()) == ("success", 2**20)

    on_streams(streams, test)
    assert streams.sink.taken == b"x" * 2**20
