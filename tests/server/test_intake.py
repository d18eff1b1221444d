"""The Intake: bytes come out as they went in, and a body that is not whole never ends like one that is."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.errors import BadRequest, RequestTimeout
from serverless_wasm.server.intake import Intake


async def read(intake: Intake) -> bytes:
    """Everything that comes out."""
    return b"".join([chunk async for chunk in intake])


@given(st.lists(st.binary(max_size=5)), st.integers(0, 5))
def test_what_goes_in_comes_out(chunks: list[bytes], ahead: int) -> None:
    """However much is there before the reader is."""

    async def main() -> None:
        intake = Intake(lambda _: None)
        for chunk in chunks[:ahead]:
            intake.feed(chunk)
        reading = asyncio.create_task(read(intake))
        for chunk in chunks[ahead:]:
            await asyncio.sleep(0)
            intake.feed(chunk)
        intake.end()
        assert b"".join(chunks) == await reading
        assert 0 == intake.buffered
        assert intake.whole

    asyncio.run(main())


def test_a_failure_comes_after_what_arrived() -> None:
    """The reader gets the bytes, then the error, each time it asks."""

    async def main() -> None:
        intake = Intake(lambda _: None)
        intake.feed(b"abc")
        intake.fail(RequestTimeout("late"))
        intake.feed(b"def")
        intake.end()
        assert intake.broken
        assert b"abc" == await anext(intake)
        for _ in range(2):
            with pytest.raises(RequestTimeout):
                await anext(intake)

    asyncio.run(main())


def test_a_failure_wakes_the_reader() -> None:
    """It does not wait for bytes that will not come."""

    async def main() -> None:
        intake = Intake(lambda _: None)
        reading = asyncio.create_task(read(intake))
        await asyncio.sleep(0)
        intake.fail(RequestTimeout("late"))
        with pytest.raises(RequestTimeout):
            await reading

    asyncio.run(main())


def test_a_body_that_is_whole_cannot_fail() -> None:
    """What happens to the connection afterwards is not its business."""

    async def main() -> None:
        intake = Intake(lambda _: None)
        intake.feed(b"abc")
        intake.end()
        intake.fail(BadRequest("x"))
        assert b"abc" == await read(intake)

    asyncio.run(main())


def test_what_is_unwanted_is_counted_and_not_kept() -> None:
    """And whoever asks for it later hears why it is not there."""

    async def main() -> None:
        intake = Intake(lambda _: None)
        intake.feed(b"abc")
        intake.discard(BadRequest("over"))
        intake.feed(b"defg")
        assert (0, 4) == (intake.buffered, intake.unwanted)
        with pytest.raises(BadRequest, match="over"):
            await read(intake)

    asyncio.run(main())


def test_the_door_is_told_whenever_the_reader_asks() -> None:
    """Before it waits, so that the door can make the bytes come."""

    async def main() -> None:
        def on_read(intake: Intake) -> None:
            asked.append(intake.buffered)
            if len(asked) == 2:
                intake.feed(b"def")
                intake.end()

        asked: list[int] = []
        intake = Intake(on_read)
        intake.feed(b"abc")
        assert b"abcdef" == await read(intake)
        assert [3, 0, 0] == asked

    asyncio.run(main())


def test_a_reader_that_is_cancelled_leaves_the_body_to_the_next() -> None:
    """A handler may wait for the body with a time limit and try again."""

    async def main() -> None:
        intake = Intake(lambda _: None)
        reading = asyncio.create_task(read(intake))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        intake.feed(b"abc")
        intake.end()
        assert b"abc" == await read(intake)

    asyncio.run(main())
