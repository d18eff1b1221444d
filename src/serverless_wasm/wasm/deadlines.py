"""One timer for all the guests of a loop that wait.

Points in time come in; the tasks whose time has come are cancelled.
It must never cancel a task that does not wait. `asyncio.timeout` does the same for one wait, with a timer of
its own: a thousand bytes a guest, and thousands wait at once.
"""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from typing import Any

_SPARE = 1_000  # watches that are over and may lie in the heap before it is cleared


class Watch:
    """One invocation's deadline, while its task waits for something; made by Deadlines.

    As a context manager around a wait it cancels the task at the deadline, and tells such a
    cancellation from anybody else's as `asyncio.timeout` does: TimeoutError is raised for its own.
    """

    __slots__ = ("_cancelling", "deadline", "expired", "over", "task")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.task: asyncio.Task[Any] | None = None
        self.expired = False
        self.over = False
        self._cancelling = 0

    def __lt__(self, other: Watch) -> bool:
        return self.deadline < other.deadline

    def __enter__(self) -> None:
        self.task = task = asyncio.current_task()
        assert task is not None  # noqa: S101 - only coroutines wait
        self._cancelling = task.cancelling()
        if self.expired:
            task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        task, self.task = self.task, None
        ours = self.expired and kind is asyncio.CancelledError
        if ours and task is not None and task.uncancel() <= self._cancelling:
            raise TimeoutError

    def expire(self) -> None:
        """The deadline has passed: ends the wait that is under way, or the next one."""
        self.expired = True
        if self.task is not None:
            self.task.cancel()


class Deadlines:
    """The deadlines of all invocations that have waited, on one event loop at a time."""

    def __init__(self) -> None:
        self._heap: list[Watch] = []
        self._over = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self, deadline: float) -> Watch:
        """A Watch for one invocation on the running loop; each needs one `end`."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # another run of the program's loop: what the last one watched is gone
            self._heap, self._over, self._timer, self._loop = [], 0, None, loop
        watch = Watch(deadline)
        heappush(self._heap, watch)
        if self._timer is None or deadline < self._timer.when():
            self._arm(loop)
        return watch

    def end(self, watch: Watch) -> None:
        """Forgets a watch, now or when its time comes."""
        watch.over = True
        self._over += 1
        if self._over > _SPARE and self._over > len(self._heap) // 2:
            self._heap = [other for other in self._heap if not other.over]
            heapify(self._heap)
            self._over = 0

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._heap[0].deadline, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._heap and (self._heap[0].over or self._heap[0].deadline <= now):
            watch = heappop(self._heap)
            if watch.over:
                self._over -= 1
            else:
                watch.expire()
        if self._heap:
            self._arm(loop)
