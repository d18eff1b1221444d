"""A name that is looked up while the guest that asked for it does other things.

What finds the addresses comes in; they, or why there are none, go out.
It must never outlive the invocation that began it, nor fail where nobody asks for the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from serverless_wasm.errors import CapabilityError, Failed
from serverless_wasm.net.policy import Address

Find = Callable[[], Awaitable[Sequence[Address]]]


class Lookup:
    """A task; `close` ends it, and may be called again."""

    __slots__ = ("_addresses", "_failure", "_over", "_task", "is_over")

    def __init__(self, find: Find, over: Callable[[Lookup], None]) -> None:
        self._addresses: Sequence[Address] = ()
        self._failure: CapabilityError | None = None
        self._over = over
        self.is_over = False
        self._task = asyncio.get_running_loop().create_task(self._run(find))

    @property
    def addresses(self) -> Sequence[Address]:
        """What was found, once it is over; raises the CapabilityError that it ended with."""
        if self._failure is not None:
            raise self._failure
        return self._addresses

    async def wait(self) -> None:
        """Waits until it is over; may be cancelled, and begun again, at any time."""
        await asyncio.wait({self._task})

    def close(self) -> None:
        """Nobody wants the answer any more."""
        if not self.is_over:
            self._failure = Failed("the invocation is over")
            self._task.cancel()
            self._end()

    async def _run(self, find: Find) -> None:
        try:
            self._addresses = await find()
        except CapabilityError as error:
            self._failure = error
        finally:
            self._end()

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._over(self)
