"""A body that a guest reads, of its request or of a response to a request of its own.

Pieces come in as they arrive, one at a time: the next is asked for when the guest has read the last.
It must never end cleanly for a body that did not arrive whole, nor leave a task behind.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from serverless_wasm.errors import BodyTooLarge
from serverless_wasm.messages import Body

Trailers = tuple[tuple[bytes, bytes], ...]


class Inflow(ABC):
    """A Source of input streams."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether nothing will arrive any more."""
        self._data = b""
        self._at = 0
        self._error: Exception | None = None
        self._pull: asyncio.Task[None] | None = None

    @property
    @abstractmethod
    def trailers(self) -> Trailers:
        """Fields behind it, once it is over."""

    @abstractmethod
    async def _next(self) -> bytes:
        """The next piece, b"" at the end; raises what ends the guest, or OSError."""

    @property
    def ready(self) -> int | None:
        """Bytes that `take` has now, none at the end; None when one has to wait for them."""
        left = len(self._data) - self._at
        if left or not self._asks():
            return len(self._data) - self._at
        return None

    def take(self, most: int) -> bytes | None:
        """Up to `most` bytes, b"" at the end; None when one has to wait for them."""
        if self._at == len(self._data) and self._asks():
            return None
        if self._at == len(self._data) and self._error is not None:
            raise self._error
        data = self._data[self._at : self._at + most]
        self._at += len(data)
        return data

    async def arrive(self) -> None:
        """Waits until `take` has an answer."""
        while self._at == len(self._data) and self._asks():
            if self._pull is not None:
                await asyncio.wait({self._pull})  # which goes on if this is cancelled

    async def drain(self) -> None:
        """Reads to the end what nobody wants; raises what it ended with."""
        while True:
            data = self.take(len(self._data) or 1)
            if data is None:
                await self.arrive()
            elif not data:
                return

    def close(self) -> None:
        """Nobody wants any more of it."""
        self.is_over = True
        self._data, self._at = b"", 0
        if self._pull is not None:
            self._pull.cancel()

    def _here(self) -> bytes | None:
        """The next piece if it is here already, b"" at the end; raises nothing."""
        return b"" if self.is_over else None

    def _asks(self) -> bool:
        """Whether the next piece has to be waited for.

        It is asked for even if nobody waits: some guests only look, again and again.
        """
        if self.is_over:
            return False
        if self._pull is None:
            data = self._here()
            if data is not None:
                self._data, self._at, self.is_over = data, 0, not data
                return False
            self._pull = asyncio.get_running_loop().create_task(self._read())
        return True

    async def _read(self) -> None:
        try:
            self._data, self._at = await self._next(), 0
            self.is_over = not self._data
        except Exception as error:  # it is the guest's, or ends the guest, in whatever task asks for more
            self._error, self.is_over = error, True
        finally:
            self._pull = None


class RequestInflow(Inflow):
    """The body of the request, `most` bytes of it."""

    def __init__(self, body: Body, most: int) -> None:
        super().__init__()
        self._left = most
        self._most = most
        self._chunks: AsyncIterator[bytes] | None = None
        self._body = body
        if body.arrived is not None:
            self._data = self._counted(body.arrived)
            self.is_over = True

    @property
    def trailers(self) -> Trailers:
        """Fields behind it, once it is over."""
        return self._body.trailers.fields

    async def _next(self) -> bytes:
        if self._chunks is None:
            self._chunks = aiter(self._body)
        try:
            while not (data := await anext(self._chunks)):
                pass
        except StopAsyncIteration:
            return b""
        return self._counted(data)

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise BodyTooLarge(f"body beyond the limit of {self._most} bytes")
        return data
