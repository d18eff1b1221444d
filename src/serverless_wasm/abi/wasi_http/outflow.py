"""A body that a guest makes, of its response or of a request of its own: what its output stream writes to.

Bytes of the guest come in; whoever sends them takes them from the pipe, PIPE bytes at most wait there.
It must never let a body look whole that its guest has not finished, or that is not as long as was said.
"""

from __future__ import annotations

from serverless_wasm.abi.stream import PIPE, Pipe
from serverless_wasm.errors import Failed, HostLimit


class Outflow:
    """A Target of output streams.

    `declared` is its size as the guest has said it, `most` what it may be. One that `grows` is not taken
    before it is whole, so that nothing is gained by making its guest wait.
    """

    __slots__ = ("_grows", "_most", "declared", "is_bare", "is_finished", "pipe", "size")

    def __init__(self, declared: int | None, most: int, *, grows: bool = False) -> None:
        self.pipe = Pipe()
        self.declared = declared
        self.is_bare = False
        """Whether it need not be there: what was declared is what another response would have."""
        self.is_finished = False
        """Whether the guest has said that this is all."""
        self.size = 0
        """Bytes that were written."""
        self._grows = grows
        self._most = most

    @property
    def is_held(self) -> bool:
        """Whether all of it is there but for its end."""
        return self.is_finished and not self.pipe.is_over

    @property
    def is_exceeded(self) -> bool:
        """Whether more was written than was declared."""
        return self.declared is not None and self.size > self.declared

    @property
    def left(self) -> int:
        """Bytes that `put` takes now; raises BrokenPipeError when nobody takes any."""
        if self.pipe.is_over:
            raise BrokenPipeError
        return PIPE if self._grows else self.pipe.room

    def put(self, data: bytes) -> int:
        """Takes as much as there is room for; raises HostLimit, and BrokenPipeError when nobody takes it."""
        data = data[: self.left]
        self.size += len(data)
        if self.size > self._most:
            raise HostLimit(f"a body of more than {self._most} bytes")
        if not self.is_exceeded:  # what is too much is only counted, for `finish`
            self.pipe.put(data)
        return len(data)

    def flush(self) -> None:
        """What was written is with its reader already."""

    async def room(self) -> None:
        """Waits until `put` takes something, or never will."""
        while not self.pipe.is_over and not self.left:
            await self.pipe.change()

    def finish(self, trailers: tuple[tuple[bytes, bytes], ...] = (), *, held: bool = False) -> bool:
        """Nothing more comes; false if what came is not what was declared: then the body is broken off.

        While it is `held`, until `release`, its reader has all of it and not its end.
        """
        if self.declared not in {None, self.size} and (self.size or not self.is_bare):
            self.abort()
            return False
        self.is_finished = self.pipe.is_complete = True
        self.pipe.trailers = trailers
        if not held:
            self.release()
        return True

    def release(self) -> None:
        """Its reader may know that it is over."""
        self.pipe.end()

    def abort(self) -> None:
        """The guest will never finish it."""
        self.pipe.end(Failed("the guest has not finished a body"))

    def shut(self) -> None:
        """Nobody will take anything any more."""
        self.pipe.end()
        self.pipe.data.clear()
