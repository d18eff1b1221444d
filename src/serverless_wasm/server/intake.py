"""One request body on its way from the door that receives it to the handler that reads it.

A door puts bytes in as they arrive; the handler takes them out as an asynchronous iterator.
It must never end cleanly for a body that did not arrive whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from serverless_wasm.errors import Error
from serverless_wasm.messages import Headers

HIGH_WATER = 64 * 1024
"""Buffered bytes beyond which a door stops reading from its client."""
LOW_WATER = HIGH_WATER // 2
"""Buffered bytes at which it goes on."""

_NO_TRAILERS = Headers()


class _State(Enum):
    ARRIVING = auto()
    WHOLE = auto()
    BROKEN = auto()
    UNWANTED = auto()


class Intake:
    """The iterator inside a `messages.Body`; calls `on_read` whenever the handler asks for bytes.

    `invited` is false while the client waits for 100 Continue before it sends anything.
    """

    __slots__ = (
        "_arrived", "_enough", "_error", "_most", "_on_read", "_state", "_waiting", "invited", "trailers",
        "unwanted",
    )  # fmt: skip

    def __init__(self, on_read: Callable[[Intake], None], *, invited: bool = True) -> None:
        self.invited = invited
        self.trailers = _NO_TRAILERS
        """Fields behind it; known when it is whole."""
        self.unwanted = 0
        self._arrived = bytearray()  # in one piece: small ones would take fifty bytes each beside their own
        self._enough = 1
        self._most = HIGH_WATER
        self._error: Error | None = None
        self._on_read = on_read
        self._state = _State.ARRIVING
        self._waiting: asyncio.Future[None] | None = None

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and were not read."""
        return len(self._arrived)

    @property
    def full(self) -> bool:
        """Whether no more should be read from the client for now."""
        return len(self._arrived) > self._most

    @property
    def roomy(self) -> bool:
        """Whether more may be read again."""
        return len(self._arrived) <= self._most // 2

    @property
    def whole(self) -> bool:
        """Whether the last byte has arrived."""
        return self._state is _State.WHOLE

    @property
    def broken(self) -> bool:
        """Whether the body can never arrive whole."""
        return self._state is _State.BROKEN

    def feed(self, data: bytes) -> None:
        """Takes bytes of the body in; those that nobody will read are only counted."""
        if self._state is _State.UNWANTED:
            self.unwanted += len(data)
        elif data and self._state is _State.ARRIVING:
            self._arrived += data
            if len(self._arrived) >= self._enough:
                self._wake()

    def end(self) -> None:
        """The last byte has arrived."""
        if self._state is not _State.BROKEN:
            self._state = _State.WHOLE
            self._wake()

    def fail(self, error: Error) -> None:
        """The rest will never arrive: the handler gets what did, then the error."""
        if self._state is not _State.WHOLE:
            self._error = error
            self._state = _State.BROKEN
            self._wake()

    def discard(self, error: Error) -> None:
        """Nobody may read any more: drops what is buffered, counts what still comes."""
        self._arrived = bytearray()
        self._error = error
        if self._state is _State.ARRIVING:
            self._state = _State.UNWANTED
        self._wake()

    async def ready(self) -> None:
        """Waits until the body is whole, or enough is here to begin with; raises what it failed with."""
        self._on_read(self)
        await self._until(LOW_WATER)
        if self._error is not None:
            raise self._error

    async def collect(self, most: int) -> bytes:
        """All of it, as soon as it is here, or more than `most` bytes are; raises what it failed with."""
        self._most = 2 * most  # it will be kept here until it is whole: then nobody need wait in between
        self._on_read(self)
        await self._until(most + 1)
        if self._error is not None:
            raise self._error
        return self._take()

    def __aiter__(self) -> Intake:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes, waiting for them; raises what the body was failed or discarded with."""
        self._on_read(self)
        while not self._arrived:
            if self._error is not None:
                raise self._error
            if self._state is _State.WHOLE:
                raise StopAsyncIteration
            await self._until(1)
        return self._take()

    def _take(self) -> bytes:
        arrived, self._arrived = self._arrived, bytearray()
        return bytes(arrived)

    async def _until(self, enough: int) -> None:
        """Waits until so many bytes are here, or no more will come."""
        self._enough = enough
        while self._state is _State.ARRIVING and len(self._arrived) < enough:
            await self._arrival()

    async def _arrival(self) -> None:
        if self._waiting is not None:
            raise RuntimeError("two tasks read one request body")
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
