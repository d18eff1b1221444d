"""wasi:io: polls that wait for the first of many, and streams that neither lose nor double a byte."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abi.wasi_http.speaking import Speaker
from serverless_wasm.abi.wasi_http.interface import Err, Ok, Refusal
from serverless_wasm.abi.wasi_http.io_error import ERROR, IoError
from serverless_wasm.abi.wasi_http.poll import MOST_POLLABLES, POLL, Pollable
from serverless_wasm.abi.wasi_http.streams import CHUNK, STREAMS, InputStream, OutputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import GuestTrap, HostLimit

CALLS = {each.name: each for interface in (ERROR, POLL, STREAMS) for each in interface.functions}


async def call(world: World, name: str, *values: Any) -> Any:
    """As the canonical layer does: a refusal is an error, what has to be waited for is waited for."""
    try:
        answer = CALLS[name].call(world, *values)
        return await answer if asyncio.iscoroutine(answer) else answer
    except Refusal as refused:
        return Err(refused.value)


def in_world(work: Any) -> Any:
    """Runs `work` with a world that is closed afterwards."""

    async def main() -> Any:
        world = World(Speaker().invocation)
        try:
            return await work(world)
        finally:
            world.close()
            assert {asyncio.current_task()} == asyncio.all_tasks()

    return asyncio.run(main())


class Arriving:
    """A Source whose chunks arrive one at a wait; a chunk may be an OSError."""

    def __init__(self, *chunks: bytes | OSError) -> None:
        self._coming = list(chunks)
        self._here = b""

    @property
    def ready(self) -> int | None:
        return len(self._here) or (None if self._coming else 0)

    def take(self, most: int) -> bytes | None:
        if not self._here:
            return None if self._coming else b""
        data, self._here = self._here[:most], self._here[most:]
        return data

    async def arrive(self) -> None:
        await asyncio.sleep(0)
        if not self._here and self._coming:
            chunk = self._coming.pop(0)
            if isinstance(chunk, OSError):
                raise chunk
            self._here = chunk


class Roomy:
    """A Target that has room for so many bytes, and again after each wait."""

    def __init__(self, *rooms: int) -> None:
        self._rooms = list(rooms) or [1 << 20]
        self.left = self._rooms.pop(0)
        self.data = b""
        self.flushed = 0
        self.fails: OSError | None = None
        self.room_fails: OSError | None = None

    def put(self, data: bytes) -> int:
        if self.fails:
            raise self.fails
        taken = data[: self.left]
        self.left -= len(taken)
        self.data += taken
        return len(taken)

    def flush(self) -> None:
        self.flushed = len(self.data)

    async def room(self) -> None:
        await asyncio.sleep(0)
        if self.room_fails:
            raise self.room_fails
        if not self.left:
            self.left = self._rooms.pop(0) if self._rooms else 1 << 20


SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=30)


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=8), SIZES, st.randoms(use_true_random=False))
def test_what_is_read_is_what_came(chunks: list[bytes], sizes: list[int], random: Any) -> None:
    """In order and once, whichever functions read it; then it is closed for good."""

    async def work(world: World) -> None:
        stream, read, skipped, at = InputStream(Arriving(*chunks)), b"", 0, 0
        while True:
            size = sizes[at % len(sizes)]
            name = random.choice(["read", "blocking-read", "skip", "blocking-skip"])
            at += 1
            answer = await call(world, f"[method]input-stream.{name}", stream, size + (at > 50))
            if isinstance(answer, Err):
                assert answer.value == ("closed", None)
                break
            whole = b"".join(chunks)
            count = len(answer.value) if "read" in name else answer.value
            place = len(read)
            if "read" in name:
                assert answer.value == whole[place : place + count]
            read += whole[place : place + count]
            skipped += count
            if not stream.is_ready:
                await call(
                    world,
                    "[method]pollable.block",
                    CALLS["[method]input-stream.subscribe"].call(world, stream),
                )
        assert read == b"".join(chunks)
        assert await call(world, "[method]input-stream.read", stream, 1) == Err(("closed", None))

    in_world(work)


@given(st.lists(st.integers(0, 7), max_size=20), st.lists(st.binary(max_size=20), max_size=12))
def test_what_is_written_arrives(rooms: list[int], pieces: list[bytes]) -> None:
    """In order and once, by permits or by waiting."""

    async def work(world: World) -> None:
        target = Roomy(*rooms)
        stream = OutputStream(target)
        for at, piece in enumerate(pieces):
            rest = piece
            if at % 2:
                assert (
                    await call(world, "[method]output-stream.blocking-write-and-flush", stream, rest) == Ok()
                )
                assert target.flushed == len(target.data)
                continue
            while rest:
                permit = (await call(world, "[method]output-stream.check-write", stream)).value
                await call(world, "[method]output-stream.write", stream, rest[:permit])
                rest = rest[permit:]
                if rest:
                    await call(world, "poll", [CALLS["[method]output-stream.subscribe"].call(world, stream)])
        assert target.data == b"".join(pieces)

    in_world(work)


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=8), st.lists(st.integers(0, 7), max_size=20))
def test_what_is_spliced_arrives(chunks: list[bytes], rooms: list[int]) -> None:
    """From one stream to another, without the guest."""

    async def work(world: World) -> None:
        target = Roomy(*rooms)
        source, stream = InputStream(Arriving(*chunks)), OutputStream(target)
        while isinstance(await call(world, "[method]output-stream.blocking-splice", stream, source, 5), Ok):
            await call(world, "[method]output-stream.splice", stream, source, 3)
        assert target.data == b"".join(chunks)

    in_world(work)


def test_zeroes_and_flushes() -> None:
    """Are written and handed on."""

    async def work(world: World) -> None:
        target = Roomy(100)
        stream = OutputStream(target)
        assert await call(world, "[method]output-stream.check-write", stream) == Ok(100)
        assert await call(world, "[method]output-stream.write-zeroes", stream, 3) == Ok()
        assert await call(world, "[method]output-stream.flush", stream) == Ok()
        assert target.flushed == 3
        assert await call(world, "[method]output-stream.blocking-write-zeroes-and-flush", stream, 97) == Ok()
        assert target.data == bytes(100)
        assert await call(world, "[method]output-stream.blocking-flush", stream) == Ok()

    in_world(work)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("write", b"12345", "5 bytes written, 4 permitted"),
        ("write-zeroes", 5, "5 bytes written, 4 permitted"),
        ("write-zeroes", 2**64 - 1, "permitted"),
        ("blocking-write-and-flush", bytes(4097), "at most 4096"),
        ("blocking-write-zeroes-and-flush", 4097, "at most 4096"),
    ],
)
def test_what_was_not_permitted_ends_the_guest(name: str, value: Any, says: str) -> None:
    """As the interface says that it traps."""

    async def work(world: World) -> None:
        stream = OutputStream(Roomy(4))
        await call(world, "[method]output-stream.check-write", stream)
        with pytest.raises(GuestTrap, match=says):
            await call(world, f"[method]output-stream.{name}", stream, value)

    in_world(work)


def test_a_failure_is_told_once() -> None:
    """With an error that says no more than it may; then the stream is closed."""

    async def work(world: World) -> None:
        failure = OSError(5, "it broke")
        stream = InputStream(Arriving(failure))
        pollable = CALLS["[method]input-stream.subscribe"].call(world, stream)
        answer = await call(world, "[method]input-stream.blocking-read", stream, 1)
        kind, error = answer.value
        assert (kind, "it broke") == (
            "last-operation-failed",
            CALLS["[method]error.to-debug-string"].call(world, error),
        )
        assert isinstance(error, IoError)
        assert error.cause is failure
        assert await call(world, "[method]input-stream.read", stream, 1) == Err(("closed", None))
        assert await call(world, "poll", [pollable]) == [0]
        target = Roomy(4)
        target.fails = BrokenPipeError()
        output = OutputStream(target)
        for name, value in (("blocking-write-and-flush", b"1"), ("check-write", None), ("flush", None)):
            values = () if value is None else (value,)
            answer = await call(world, f"[method]output-stream.{name}", output, *values)
            assert answer == Err(("closed", None))

    in_world(work)


def test_a_failure_in_a_poll_is_told_by_what_follows() -> None:
    """Whoever polls first hears of it as whoever does not."""

    async def work(world: World) -> None:
        stream = InputStream(Arriving(OSError(5, "it broke")))
        pollable = CALLS["[method]input-stream.subscribe"].call(world, stream)
        await call(world, "[method]pollable.block", pollable)
        answers = [await call(world, "[method]input-stream.read", stream, 1) for _ in range(2)]
        assert ("last-operation-failed", "closed") == tuple(answer.value[0] for answer in answers)

        target = Roomy(0)
        target.room_fails = OSError(5, "it broke")
        output = OutputStream(target)
        pollable = CALLS["[method]output-stream.subscribe"].call(world, output)
        await call(world, "[method]pollable.block", pollable)
        answers = [await call(world, "[method]output-stream.check-write", output) for _ in range(2)]
        assert ("last-operation-failed", "closed") == tuple(answer.value[0] for answer in answers)

    in_world(work)


def test_one_call_copies_a_chunk_at_most() -> None:
    """However much there is, and is asked for."""

    async def work(world: World) -> None:
        source = Arriving(bytes(CHUNK * 2))
        await source.arrive()
        answer = await call(world, "[method]input-stream.read", InputStream(source), 2**64 - 1)
        assert len(answer.value) == CHUNK

    in_world(work)


def test_polls() -> None:
    """All that are ready are told, by their places; of what is not ready the first ends the wait."""

    async def work(world: World) -> None:
        now = Pollable(lambda: True, asyncio.Event().wait)  # type: ignore[arg-type] # never waited for
        event = asyncio.Event()
        later = Pollable(event.is_set, event.wait)  # type: ignore[arg-type] # its answer is not looked at
        never = Pollable(lambda: False, asyncio.Event().wait)  # type: ignore[arg-type]
        assert await call(world, "poll", [never, now, later, now]) == [1, 3]
        assert CALLS["[method]pollable.ready"].call(world, later) is False
        asyncio.get_running_loop().call_soon(event.set)
        assert await call(world, "poll", [never, later, later]) == [1, 2]
        assert await call(world, "[method]pollable.block", later) is None
        with pytest.raises(GuestTrap, match="empty"):
            await call(world, "poll", [])
        with pytest.raises(HostLimit, match="at most"):
            await call(world, "poll", [now] * (MOST_POLLABLES + 1))

    in_world(work)


def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    """Neither a task nor a waiter."""

    async def work(world: World) -> None:
        waits: list[Coroutine[Any, Any, Any]] = []
        for _ in range(3):
            never = [Pollable(lambda: False, asyncio.Event().wait) for _ in range(3)]  # type: ignore[arg-type]
            waits.append(call(world, "poll", never))
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)

    in_world(work)


def test_children_come_before_parents() -> None:
    """A pollable of a stream has to be dropped first."""

    async def work(world: World) -> None:
        stream = InputStream(Arriving(b"1"))
        number = world.handles.add(stream)
        child = world.handles.add(CALLS["[method]input-stream.subscribe"].call(world, stream))
        with pytest.raises(GuestTrap, match="before what was made of it"):
            world.handles.drop(number, stream.name)
        world.handles.drop(child, Pollable.name)
        world.handles.drop(number, stream.name)

    in_world(work)
