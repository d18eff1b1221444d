"""Bytes on their way from a guest that writes to whoever reads, a PIPE of them at most.

What a guest writes comes in; its reader takes what is there, and either waits for the other.
It must never let what was cut short look whole, nor leave a guest running for a reader that has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from serverless_wasm.limits import KIB
from serverless_wasm.messages import Headers, Streaming

PIPE = 256 * KIB
"""Bytes between a guest that writes and a client that reads. Each time that they are there the guest has to
wait: with a quarter of it a component's echo of 1 MiB cost half as much again."""


class Pipe:
    """What was written and not taken yet; how much that may be is the writer's to know (`room`)."""

    __slots__ = ("_error", "_waiting", "data", "is_complete", "is_over", "trailers")

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_complete = False
        """Whether all of it was put, though its end may have to wait for something."""
        self.is_over = False
        """Whether there will be no more."""
        self.trailers: tuple[tuple[bytes, bytes], ...] = ()
        """Fields behind the end."""
        self._error: BaseException | None = None
        self._waiting: list[asyncio.Future[None]] = []
        """Of those that wait for more, or for room; a guest may wait for the same room twice."""

    @property
    def room(self) -> int:
        """Bytes that there is room for."""
        return max(0, PIPE - len(self.data))

    def put(self, data: bytes) -> None:
        """Takes it, room or not."""
        self.data += data
        self.wake()

    def end(self, error: BaseException | None = None) -> None:
        """There will be no more; its reader gets the error, if there is one. The first end counts."""
        if not self.is_over:
            self.is_over, self._error = True, error
            self.wake()

    async def take(self) -> bytes:
        """What is there, waiting for it; b"" at the end. Raises what it ended with."""
        while not self.data and not self.is_over:
            await self.change()
        if self._error is not None:
            raise self._error
        data = bytes(self.data)
        self.data.clear()
        self.wake()
        return data

    async def change(self) -> None:
        """Waits until something was written or taken, or it is over."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            self._waiting.remove(waiting)

    def wake(self) -> None:
        """There is more, or room for more."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)


class Stream(Streaming):
    """The body of a response that its guest still makes in `maker`; the task that asks, if not said."""

    def __init__(self, pipe: Pipe, maker: asyncio.Task[Any] | None = None) -> None:
        maker = maker or asyncio.current_task()
        if maker is None:
            raise RuntimeError("a response can begin in a task alone")
        self._maker = maker
        self._pipe = pipe
        self._is_taken = False

    def when_over(self, callback: Callable[[object], None]) -> None:
        """Has it called once the guest is gone."""
        self._maker.add_done_callback(callback)

    @property
    def trailers(self) -> Headers:
        """Fields that go out behind it, known at its end."""
        return Headers(self._pipe.trailers)

    async def __anext__(self) -> bytes:
        data = await self._pipe.take()
        if not data:
            self._is_taken = True
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        """Ends the guest, if it is still there, and waits until it is gone.

        A guest whose body was taken to its end may still have something to do, within its deadline.
        """
        is_taken = self._is_taken or (self._pipe.is_complete and not self._pipe.data)
        if not is_taken and not self._maker.done():
            self._maker.cancel()
            await asyncio.wait({self._maker})
