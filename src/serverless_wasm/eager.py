"""Coroutines that begin at once, and become a task of the event loop only if they have to wait.

A coroutine comes in; it has ended, or its task goes out.
It must never matter to the coroutine which of both it will be. A task costs a turn of the event loop, which
is dear for a request that is answered without waiting (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

_NOTHING = object()


class Eager:
    """Stands for the task while there is none: for whoever asks for the current task during the first step.

    Python's documentation, "Extending", says how such a stand-in is made known to asyncio.
    """

    __slots__ = ("_is_cancelled", "_loop", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_cancelled = False
        self._loop = loop
        self._task: asyncio.Task[None] | None = None

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Runs it until it is over, or has to wait: then a task goes on, which is returned.

        Raises what the coroutine raises. Within another task, it is a task from the beginning.
        """
        if asyncio.current_task(self._loop) is not None:
            return self._loop.create_task(coroutine)
        stand_in: Any = self
        asyncio._enter_task(self._loop, stand_in)  # noqa: SLF001 - see the class
        try:
            waited = coroutine.send(None)
        except StopIteration:
            return None
        finally:
            asyncio._leave_task(self._loop, stand_in)  # noqa: SLF001 - see the class
        self._task = self._loop.create_task(_Rest(coroutine, waited))
        if self._is_cancelled:
            self._task.cancel()
        return self._task

    def cancel(self, msg: Any = None) -> bool:
        """As of a task."""
        if self._task is not None:
            return self._task.cancel(msg)
        self._is_cancelled = True
        return True

    def done(self) -> bool:
        """As of a task."""
        return self._task is not None and self._task.done()

    def cancelling(self) -> int:
        """As of a task."""
        return self._task.cancelling() if self._task is not None else int(self._is_cancelled)

    def uncancel(self) -> int:
        """As of a task."""
        if self._task is not None:
            return self._task.uncancel()
        self._is_cancelled = False
        return 0


class _Rest(Coroutine[Any, Any, None]):
    """What is left of a coroutine that waits: its task is told first what for."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waited: Any) -> None:
        self._coroutine = coroutine
        self._waited = waited

    def send(self, value: None) -> Any:
        waited, self._waited = self._waited, _NOTHING
        return self._coroutine.send(value) if waited is _NOTHING else waited

    def throw(self, *error: Any) -> Any:
        waited, self._waited = self._waited, _NOTHING
        if isinstance(waited, asyncio.Future):  # the task would cancel it, had it heard of it
            waited.cancel()
        try:
            return self._coroutine.throw(*error)
        finally:
            del error  # its traceback leads to this frame: only the garbage collector would end that circle

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, None]:
        return (yield from self._coroutine.__await__())
