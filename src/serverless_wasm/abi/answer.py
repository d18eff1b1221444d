"""Standard output as a response: its head first, then a body that goes out while the guest still writes.

What a command writes comes in; a response goes out, whole or as a stream of which PIPE bytes are kept.
It must never let a body that was cut short look whole, nor take more of it than the limits say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.cgi_head import Head, HeadReader
from serverless_wasm.errors import BadResponse, HostLimit
from serverless_wasm.limits import KIB
from serverless_wasm.messages import Response, Streaming

PIPE = 64 * KIB
"""Bytes between a guest that writes and a client that reads: what a pipe of Linux holds (pipe(7))."""


class Answer:
    """What a command has written so far: a Target of its descriptors.

    Once its head is whole, and a PIPE is full or `flush` is called, the response begins.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._limit = invocation.grants.limits.response_body
        self._reader = HeadReader(invocation.grants.limits)
        self._head: Head | None = None
        self._size = 0
        self._body = bytearray()
        self._stream: _Stream | None = None
        self._response: Response | None = None

    @property
    def left(self) -> int:
        """Bytes that `put` takes now."""
        return PIPE if self._stream is None else max(0, PIPE - len(self._body))

    def put(self, data: bytes) -> int:
        """Takes as much as there is room for, and says how much; raises BadResponse or HostLimit."""
        data = data[: self.left]
        if self._head is not None:
            self._keep(data)
        elif head := self._reader.feed(data):
            self._head = head
            for line in head.strange:
                self._invocation.log(b"no field of a head: " + line)
            self._keep(self._reader.rest)
        if len(self._body) >= PIPE:
            self.flush()
        return len(data)

    async def room(self) -> None:
        """Waits until `put` takes something."""
        if self._stream is not None:
            while not self.left:
                await self._stream.taken()

    def flush(self) -> None:
        """Begins the response, if its head is whole and somebody takes it so: the guest is about to wait."""
        begin = self._invocation.begin
        if self._head is None or self._stream is not None or begin is None:
            return
        self._stream = _Stream(self._body)
        self._response = replace(self._head.draft.finish(), body=self._stream)
        begin(self._response)

    def finish(self) -> Response:
        """The response, its body whole if it has not begun; raises BadResponse when there is no head."""
        if self._response is not None and self._stream is not None:
            self._stream.end(None)
            return self._response
        if self._head is None:
            ended = "within its head" if self._reader.begun else "before it began"
            raise BadResponse(f"standard output ended {ended}")
        self._head.draft.set_body(bytes(self._body))
        return self._head.draft.finish()

    def fail(self, error: BaseException) -> None:
        """Cuts a response that has begun."""
        if self._stream is not None:
            self._stream.end(error)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise HostLimit(f"response_body: more than {self._limit} bytes")
        self._body += data
        if self._stream is not None:
            self._stream.wake()


class _Stream(Streaming):
    """The body of a response that its guest still makes, in the task that made the stream."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self._error: BaseException | None = None
        self._is_over = False
        maker = asyncio.current_task()
        if maker is None:
            raise RuntimeError("a response can begin in a task alone")
        self._maker = maker
        self._waiting: asyncio.Future[None] | None = None
        """Of the one that waits: for more, or for room."""

    def when_over(self, callback: Callable[[object], None]) -> None:
        """Has it called once the guest is gone."""
        self._maker.add_done_callback(callback)

    def end(self, error: BaseException | None) -> None:
        """There will be no more."""
        self._is_over, self._error = True, error
        self.wake()

    async def taken(self) -> None:
        """Waits until something was taken."""
        await self._wait()

    async def __anext__(self) -> bytes:
        while not self._body and not self._is_over:
            await self._wait()
        if self._error is not None:
            raise self._error
        if not self._body:
            raise StopAsyncIteration
        data = bytes(self._body)
        self._body.clear()
        self.wake()
        return data

    async def aclose(self) -> None:
        """Ends the guest, if it is still there, and waits until it is gone."""
        if not self._maker.done():
            self._maker.cancel()
            await asyncio.wait({self._maker})

    async def _wait(self) -> None:
        self._waiting = waiting = asyncio.get_running_loop().create_future()
        try:
            await waiting
        finally:
            if self._waiting is waiting:
                self._waiting = None

    def wake(self) -> None:
        """There is more, or room for more."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
