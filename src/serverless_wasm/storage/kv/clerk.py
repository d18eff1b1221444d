"""A thread that works on a database, because SQLite makes its caller wait.

Work comes in from coroutines; what it gives goes back to them once the transaction has been committed.
It must never begin what nobody waits for any more, nor let one failure be that of a neighbour.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from serverless_wasm.errors import CapabilityError, Failed, forget_frames
from serverless_wasm.storage.kv.database import can_go_on, failure

Work = Callable[[sqlite3.Connection], Any]
"""Raises CapabilityError only before it changes anything that others can see."""
_T = TypeVar("_T")
_TOGETHER = 256
"""Pieces of work in one transaction: an fsync is long enough for a few dozen to gather."""
_PATIENCE = 10.0
"""Seconds for what is under way when a store is closed."""


class _Job:
    """A piece of work, unless nobody wants it any more, and who waits for it."""

    __slots__ = ("future", "work")

    def __init__(self, work: Work, future: asyncio.Future[Any]) -> None:
        self.work: Work | None = work
        self.future = future

    def do(self, connection: sqlite3.Connection) -> Any:
        """Called by the thread; what refuses the work is an answer, too."""
        work = self.work
        try:
            return work and work(connection)
        except CapabilityError as error:
            forget_frames(error)  # they know this job, whose future will know the error
            return error

    def settle(self, answer: Any) -> None:
        """An exception is raised where it is waited for."""
        if self.future.done():  # cancelled
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class Clerk:
    """Does all the work that waits in one transaction, in the order in which it came.

    `connect` opens a database in the thread, whenever there is none, and `begin` a transaction there.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], begin: Callable[[sqlite3.Connection], None]
    ) -> None:
        self._connect = connect
        self._begin = begin
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._is_closed = False
        self._connection: sqlite3.Connection | None = None  # of the thread alone

    async def do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """What the work gives, once it is committed; work that is cancelled before it begins never does."""
        if self._is_closed:
            raise Failed("the store is closed")
        self._start()
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        try:
            result: _T = await job.future
        finally:
            job.work = None  # a disk that hangs must not keep what it would have written
            del job  # what it raises knows this frame
        return result

    def end(self) -> None:
        """Takes no more work; the database is freed when all that waits is done."""
        self._is_closed = True
        self._jobs.put(None)

    async def ended(self) -> None:
        """Waits for that, but not for ever: a disk may hang."""
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join, _PATIENCE)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # dead of no memory
            # a daemon: a process that ends without `close` must not wait for it
            thread = Thread(target=self._run, name="key-value", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                raise Failed("no thread can be started") from None
            self._thread = thread

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._next()
            self._serve(batch)
        self._drop()

    def _next(self) -> tuple[list[_Job], bool]:
        """All the work that waits, at least one piece; and whether there may be more."""
        batch: list[_Job] = []
        job = self._jobs.get()
        with suppress(Empty):
            while job is not None:
                batch.append(job)
                if len(batch) == _TOGETHER:
                    return batch, True
                job = self._jobs.get_nowait()
            return batch, False
        return batch, True

    def _serve(self, batch: list[_Job]) -> None:
        """All at once; if that fails, each for itself: most do not deserve it."""
        if self._try(batch, is_last=len(batch) == 1):
            return
        for job in batch:
            self._try([job], is_last=True)

    def _try(self, batch: list[_Job], *, is_last: bool) -> bool:
        """Whether everybody has an answer."""
        batch = [job for job in batch if job.work is not None]
        if not batch:
            return True
        try:
            connection = self._opened()
        except Exception as error:
            _fail(batch, error)
            return True
        try:
            answers = [job.do(connection) for job in batch]
            connection.execute("COMMIT")
        except Exception as error:
            self._roll_back(error)
            if is_last:
                _fail(batch, error)
            return is_last
        _tell(batch, answers)
        return True

    def _opened(self) -> sqlite3.Connection:
        """A connection with a transaction."""
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._begin(self._connection)
        except Exception as error:
            self._roll_back(error)
            raise
        return self._connection

    def _roll_back(self, error: Exception) -> None:
        """Leaves no transaction, and no connection that may be the reason."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            if not can_go_on(error) or self._connection.in_transaction:
                self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _fail(batch: list[_Job], error: Exception) -> None:
    _tell(batch, [failure(error) if isinstance(error, sqlite3.Error) else error for _ in batch])


def _tell(batch: list[_Job], answers: list[Any]) -> None:
    """Answers in the event loops that wait, which is one: waking it up once costs less."""
    for loop in {job.future.get_loop() for job in batch}:
        mine = [pair for pair in zip(batch, answers, strict=True) if pair[0].future.get_loop() is loop]
        with suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(_settle, mine)


def _settle(answers: list[tuple[_Job, Any]]) -> None:
    for job, answer in answers:
        job.settle(answer)
