"""Who may run at all: slots and memory of the whole process, concurrency and queue of each application.

Applications and their invocations come in, one `enter` and one `leave` each.
A slot must never be lost, nor given to a request that has gone; a crowd at one application must not keep
another's requests from the slots that come free.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from serverless_wasm.errors import Overloaded
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.shelf import Shelf


def machine_memory() -> int:
    """Three quarters of the machine's memory, or of what its control group may use (cgroups, version 2)."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such file, or the word "max"
        most = min(most, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return most * 3 // 4


class Gate:
    """One application's way in: how many run, and who waits in which order."""

    __slots__ = ("memory", "patience", "places", "room", "running", "waiting")

    def __init__(self, limits: Limits, memory: int) -> None:
        self.room = limits.concurrency
        self.places = limits.queue
        self.patience = limits.queue_timeout
        self.memory = memory
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class Admission:
    """The slots and the memory that all applications of a process share."""

    def __init__(self, slots: int, memory: int) -> None:
        self.slots = slots
        self.memory = memory
        self.taken = 0
        self.committed = 0
        self.shelf = Shelf()
        """Instances that nobody uses at the moment: the oldest makes room for who comes."""
        self._crowd: deque[Gate] = deque()

    def enters(self, gate: Gate) -> bool:
        """Takes a slot and the memory that a guest starts with, if both are free and nobody waits."""
        if gate.waiting or not self._fits(gate):
            return False
        self._take(gate)
        return True

    async def enter(self, gate: Gate) -> None:
        """The same, waiting in the application's queue.

        Raises Overloaded when the queue is full, or nothing came free within its time.
        """
        if self.enters(gate):
            return
        if len(gate.waiting) >= gate.places:
            raise Overloaded(self._reason(gate, "and so is the queue"))
        await self._wait(gate)

    def leave(self, gate: Gate, memory: int) -> None:
        """Gives the slot back, and the memory that the guest had in the end; lets the next ones in."""
        self.taken -= 1
        self.committed -= memory
        gate.running -= 1
        if self._crowd:
            self._let_in()

    def grow(self, more: int) -> None:
        """A guest has more memory than before; it may, but who comes next may have to wait for it."""
        self.committed += more

    def _fits(self, gate: Gate) -> bool:
        if gate.running >= gate.room:
            return False
        if self.shelf.count:
            self._make_room(gate)
        return self.taken < self.slots and (self.committed + gate.memory <= self.memory or not self.taken)

    def _make_room(self, gate: Gate) -> None:
        """Frees instances that nobody uses until there is room beside the rest, or there are no more."""
        shelf, memory = self.shelf, self.committed + gate.memory
        while shelf.count and (self.taken + shelf.count >= self.slots or memory + shelf.memory > self.memory):
            shelf.free_oldest()

    def _take(self, gate: Gate) -> None:
        self.taken += 1
        self.committed += gate.memory
        gate.running += 1

    async def _wait(self, gate: Gate) -> None:
        turn = asyncio.get_running_loop().create_future()
        gate.waiting.append(turn)
        if gate not in self._crowd:
            self._crowd.append(gate)
        try:
            async with asyncio.timeout(gate.patience):
                await turn
        except BaseException as failure:
            if turn.done() and not turn.cancelled():
                self.leave(gate, gate.memory)  # it was let in, but cannot come any more
            with suppress(ValueError):
                gate.waiting.remove(turn)
            if isinstance(failure, TimeoutError):
                raise Overloaded(self._reason(gate, f"for {gate.patience:g} s")) from None
            raise

    def _let_in(self) -> None:
        """Lets the first of each queue in, as far as there is room; who got in goes behind the others."""
        before: deque[Gate] = deque()
        behind: deque[Gate] = deque()
        for gate in self._crowd:
            entered = self._first_enters(gate)
            if gate.waiting:
                (behind if entered else before).append(gate)
        self._crowd = before + behind

    def _first_enters(self, gate: Gate) -> bool:
        while gate.waiting and gate.waiting[0].done():
            gate.waiting.popleft()
        if not gate.waiting or not self._fits(gate):
            return False
        self._take(gate)
        gate.waiting.popleft().set_result(None)
        return True

    def _reason(self, gate: Gate, more: str) -> str:
        if gate.running >= gate.room:
            return f"concurrency: {gate.room} invocations are running, {more}"
        if self.taken >= self.slots:
            return f"slots: all {self.slots} are taken, {more}"
        return f"memory: guests hold {self.committed} of {self.memory} bytes, {more}"
