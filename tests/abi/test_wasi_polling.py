"""`poll_oneoff` and the clocks: sleeping, waiting for many things, and what may not be waited for."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abi.commands import MEMORY, READ, RESULT, ROOM, Answer, Command, Commands, Streams, Test, until
from serverless_wasm.abi.wasi.clocks import MONOTONIC, QUANTUM, REALTIME, Clocks
from serverless_wasm.abi.wasi.layout import ABSOLUTE, EVENT, HANGUP, NUMBERS, OpenFlags
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.errors import DeadlineExceeded
from serverless_wasm.limits import Limits

GIVEN, OVER = ROOM, ROOM + 16_384
Event = tuple[int, str, int, int, int]
_NAMES = {number: name for name, number in NUMBERS.items()}


def clock(user_data: int, timeout: int, number: int = MONOTONIC, flags: int = 0) -> bytes:
    """A subscription to a clock."""
    return struct.pack("<QB7xI4xQQH6x", user_data, 0, number, timeout, 0, flags)


def reading(user_data: int, fd: int) -> bytes:
    """A subscription to what can be read."""
    return struct.pack("<QB7xI28x", user_data, 1, fd)


def writing(user_data: int, fd: int) -> bytes:
    """A subscription to what can be written."""
    return struct.pack("<QB7xI28x", user_data, 2, fd)


async def polled(command: Command, *subscriptions: bytes) -> Answer:
    """The call, its subscriptions at GIVEN, its events at OVER."""
    stage = {GIVEN: b"".join(subscriptions)}
    return await command.call("poll_oneoff", GIVEN, OVER, len(subscriptions), RESULT, stage=stage)


async def events(command: Command, *subscriptions: bytes) -> list[Event]:
    """User data, errno, kind, bytes and flags of each event."""
    answer = await polled(command, *subscriptions)
    assert answer.name == "success"
    found = EVENT.iter_unpack(answer.memory[OVER : OVER + 32 * answer.size()])
    return [(data, _NAMES[error], kind, size, flags) for data, error, kind, size, flags in found]


async def shown(command: Command, number: int) -> int:
    """What a clock shows to the guest."""
    return (await command.call("clock_time_get", number, 0, RESULT)).wide()


@pytest.mark.parametrize("number", [REALTIME, MONOTONIC])
@pytest.mark.parametrize("timeout", [1, 999_999, 5_000_000, 5_300_000])
def test_sleeping(in_folder: Callable[[Test], None], number: int, timeout: int) -> None:
    """A guest sleeps at least as long by its own clock as it wanted to, from now on or until a time."""

    async def test(command: Command) -> None:
        before = await shown(command, number)
        assert await events(command, clock(7, timeout, number)) == [(7, "success", 0, 0, 0)]
        assert await shown(command, number) >= before + timeout
        end = await shown(command, number) + timeout
        assert await events(command, clock(2**64 - 1, end, number, ABSOLUTE)) == [
            (2**64 - 1, "success", 0, 0, 0)
        ]
        assert await shown(command, number) >= end

    in_folder(test)


def test_looking_around_does_not_wait(in_folder: Callable[[Test], None]) -> None:
    """What is over already is told without giving the loop away, and what is not over is not told."""

    async def test(command: Command) -> None:
        now = await shown(command, MONOTONIC)
        before = command.process.clocks
        for subscription in (clock(1, 0), clock(1, 0, flags=ABSOLUTE), clock(1, now, flags=ABSOLUTE)):
            found = await events(command, clock(2, 2**64 - 1), subscription, clock(3, 10**12, REALTIME))
            assert found == [(1, "success", 0, 0, 0)]
        assert command.process.clocks is before

    in_folder(test)


def test_the_sooner_of_two_sleeps(in_folder: Callable[[Test], None]) -> None:
    """Of several times the first one ends the wait; the others are not told before they come."""

    async def test(command: Command) -> None:
        found = await events(command, clock(1, 10**18), clock(2, 3_000_000), clock(3, 2**64 - 1, REALTIME))
        assert found == [(2, "success", 0, 0, 0)]

    in_folder(test)


def test_streams(commands: Commands) -> None:
    """A stream is ready, with how much, or waited for beside a clock; at its end it hangs up."""

    async def main() -> None:
        streams = Streams()
        streams.body.ended = False
        streams.sink.left = 5
        async with commands.running(Process(streams.descriptors())) as command:
            assert await events(command, writing(1, 1), reading(2, 0)) == [(1, "success", 2, 5, 0)]
            assert await events(command, writing(1, 2)) == [(1, "success", 2, 64 * 1024, 0)]
            assert await events(command, reading(1, 0), clock(2, 1)) == [(2, "success", 0, 0, 0)]
            assert streams.body.waiting == 0
            await command.write(1, b"abcde")
            cases: list[tuple[bytes, Callable[[], None], Event]] = [
                (reading(1, 0), lambda: streams.body.feed(b"part"), (1, "success", 1, 4, 0)),
                (writing(2, 1), lambda: streams.sink.make(3), (2, "success", 2, 3, 0)),
            ]
            for wanted, feed, event in cases:
                other = writing(3, 1) if event[0] == 1 else clock(3, 2**64 - 1)
                waiting = asyncio.create_task(
                    events(command, clock(9, 10**18), wanted, wanted, other, clock(8, 10**18))
                )
                await until(lambda: streams.body.waiting + streams.sink.waiting > 0)
                feed()
                assert await waiting == [event, event]
            assert (streams.body.waiting, streams.sink.waiting) == (0, 0)
            await command.read(0, 9)
            streams.body.feed(b"")
            assert await events(command, reading(1, 0)) == [(1, "success", 1, 0, HANGUP)]

    asyncio.run(main())


def test_files_are_always_ready(in_folder: Callable[[Test], None]) -> None:
    """A file can be read or written as it was opened, behind its end, too; a folder is for neither."""

    async def test(command: Command) -> None:
        fd = await command.open(b"file", READ, OpenFlags.CREAT)
        both = await command.open(b"file", READ | 64)
        await command.write(both, b"abcdef", offset=0)
        await command.read(fd, 2)
        assert await events(command, reading(1, fd), writing(2, both), writing(3, fd), reading(4, 3)) == [
            (1, "success", 1, 4, 0),
            (2, "success", 2, 2**20, 0),
            (3, "badf", 2, 0, 0),
            (4, "badf", 1, 0, 0),
        ]
        await command.call("fd_seek", fd, 100, 0, RESULT)
        assert await events(command, reading(1, fd)) == [(1, "success", 1, 0, 0)]

    in_folder(test)


def test_what_cannot_be_waited_for(in_folder: Callable[[Test], None]) -> None:
    """A clock or a descriptor that there is not is told in its event, which ends the wait for the others."""

    async def test(command: Command) -> None:
        assert await events(command, clock(1, 10**18), clock(2, 0, 2), clock(3, 0, 2**32 - 1)) == [
            (2, "inval", 0, 0, 0),
            (3, "inval", 0, 0, 0),
        ]
        assert await events(command, reading(1, 99), writing(2, 2**32 - 1), reading(3, 1), writing(4, 0)) == [
            (1, "badf", 1, 0, 0),
            (2, "badf", 2, 0, 0),
            (3, "badf", 1, 0, 0),
            (4, "badf", 2, 0, 0),
        ]

    in_folder(test)


def test_what_is_no_subscription(in_folder: Callable[[Test], None]) -> None:
    """Nothing to wait for, too much of it, or what is no subscription, is refused as a whole."""

    async def test(command: Command) -> None:
        assert (await polled(command)).name == "inval"
        assert (await command.call("poll_oneoff", 0, 0, 1025, RESULT)).name == "inval"
        assert (await command.call("poll_oneoff", 0, 0, 2**32 - 1, RESULT)).name == "inval"
        assert (await polled(command, struct.pack("<QB39x", 1, 3))).name == "inval"
        assert (await polled(command, clock(1, 0, flags=2))).name == "inval"

    in_folder(test)


def test_many_subscriptions(in_folder: Callable[[Test], None]) -> None:
    """As many as there may be are told, and events may lie over their subscriptions."""

    async def test(command: Command) -> None:
        stage = {GIVEN: b"".join(clock(place, 0) for place in range(1024))}
        answer = await command.call("poll_oneoff", GIVEN, GIVEN, 1024, RESULT, stage=stage)
        assert (answer.name, answer.size()) == ("success", 1024)
        found = [event[0] for event in EVENT.iter_unpack(answer.memory[GIVEN : GIVEN + 32 * 1024])]
        assert found == list(range(1024))
        assert GIVEN + 48 * 1024 <= MEMORY

    in_folder(test)


def test_sleepers_die_at_their_deadline(commands: Commands) -> None:
    """A guest that waits for ever, or for what never comes, dies at its deadline and leaves nothing."""

    async def main() -> None:
        for wanted in (
            (clock(1, 2**64 - 1),),
            (reading(1, 0), writing(2, 1)),
            (reading(1, 0), clock(2, 10**18)),
        ):
            streams = Streams()
            streams.body.ended = False
            streams.sink.left = 0
            process = Process(streams.descriptors())
            async with commands.running(process, Limits(timeout=0.03)) as command:
                with pytest.raises(DeadlineExceeded):
                    await events(command, *wanted)
                assert (streams.body.waiting, streams.sink.waiting) == (0, 0)
                assert asyncio.all_tasks() <= {asyncio.current_task(), command.ended}

    asyncio.run(main())


def test_a_wait_that_fails(commands: Commands) -> None:
    """What a stream raises while it is waited for ends the wait; beside it nothing is left waiting."""

    async def main() -> None:
        streams = Streams()
        streams.body.ended = False
        streams.sink.left = 0
        async with commands.running(Process(streams.descriptors())) as command:
            waiting = asyncio.create_task(polled(command, reading(1, 0), writing(2, 1)))
            await until(lambda: streams.body.waiting + streams.sink.waiting == 2)
            streams.body.error = TimeoutError(110, "too late")
            streams.body.changed.set()
            assert (await waiting).name == "timedout"
            assert streams.sink.waiting == 0

    asyncio.run(main())


def test_clocks(in_folder: Callable[[Test], None]) -> None:
    """Two clocks go, in steps of a millisecond; what a guest used of a processor is not told."""

    async def test(command: Command) -> None:
        for number in (REALTIME, MONOTONIC):
            assert (await command.call("clock_res_get", number, RESULT)).wide() == QUANTUM
            times = [await shown(command, number) for _ in range(100)]
            assert times == sorted(times)
            assert {time % QUANTUM for time in times} == {0}
        assert abs(await shown(command, REALTIME) - time.time_ns()) < 60 * 10**9
        for number in (2, 3, 4, 2**32 - 1):
            assert (await command.call("clock_res_get", number, RESULT)).name == "inval"
            assert (await command.call("clock_time_get", number, 0, RESULT)).name == "inval"

    in_folder(test)


@given(
    st.sampled_from([1, 1000, QUANTUM]), st.sampled_from([REALTIME, MONOTONIC]), st.integers(-(10**9), 10**9)
)
def test_until_is_when_the_clock_shows_it(quantum: int, number: int, distance: int) -> None:
    """The wait for a time ends with the tick that shows it, and not before."""
    clocks = Clocks(quantum)
    before = clocks.now(number)
    left = clocks.until(number, before + distance)
    passed = clocks.now(number) - before
    assert distance - passed - quantum <= left < distance + quantum
    assert (left > 0) == (distance > 0) or passed > 0


def test_the_monotonic_clock_tells_nothing_of_the_host() -> None:
    """It begins when the run does, at a second, for runtimes do not believe in zero."""
    assert 10**9 <= Clocks().now(MONOTONIC) < 60 * 10**9
