"""What a worker was doing when it died: a few numbers in memory that it shares with the supervisor.

A worker's numbers come in, one memory write each; the supervisor reads them at any time, also after its end.
It must never trust them: a worker may have been taken over, so any number may be any number.

    crumbs = Crumbs.create(slots)                 # supervisor: one slot for each worker
    crumbs.descriptor                             # for a child, through pass_fds
    crumbs.read(slot) -> Trace(beats, application, slices, in_flight)
    crumbs.clear(slot)                            # before another worker gets the slot

    crumb = Crumbs.open(descriptor, slot)         # worker
    crumb.beats[0] += 1                           # the heartbeat
    crumb.running[0] = number                     # whose guest runs now; NOBODY when none does
    crumb.running[1] += 1                         # how often a guest has begun to run, or gone on
    crumb.in_flight[0] = count                    # requests in progress
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import tempfile
from dataclasses import dataclass

if sys.platform == "linux":
    import fcntl

NOBODY = 0
"""The application number when no guest runs."""
SLOT = 64
"""Bytes for each worker: a cache line of its own, or one worker's writes would slow another's."""
_LAYOUT = struct.Struct("=4Q")
_CELL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a worker wrote last; hostile numbers from 0 to 2**64 - 1."""

    beats: int
    application: int
    slices: int
    in_flight: int


class Crumb:
    """A worker's own slot: memoryviews of numbers from 0 to 2**64 - 1, one for each who writes.

    Whoever writes often is given the cell itself: `cell[0] = number` takes 27 ns, a function around it 51
    (measured). A number outside the range raises ValueError.
    """

    def __init__(self, memory: mmap.mmap, slot: int) -> None:
        self._memory = memory
        self._numbers = memoryview(memory).cast("Q")
        first = slot * SLOT // _CELL
        self.beats = self._numbers[first : first + 1]
        self.running = self._numbers[first + 1 : first + 3]
        self.in_flight = self._numbers[first + 3 : first + 4]

    def close(self) -> None:
        """Gives the memory back; writing to a cell then raises ValueError. May be called twice."""
        for view in (self.beats, self.running, self.in_flight, self._numbers):
            view.release()
        self._memory.close()


class Crumbs:
    """The supervisor's side: every slot, readable as long as this is open."""

    def __init__(self, descriptor: int, slots: int) -> None:
        self.descriptor = descriptor
        self._slots = slots

    @classmethod
    def create(cls, slots: int) -> Crumbs:
        """Cleared slots for so many workers; raises OSError when the system gives no memory for them."""
        descriptor = _anonymous_file()
        try:
            os.ftruncate(descriptor, slots * SLOT)
            _seal(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, slots)

    @staticmethod
    def open(descriptor: int, slot: int) -> Crumb:
        """A worker's slot, and closes the descriptor that was handed to it.

        Raises ValueError for a slot that is not there, and OSError.
        """
        try:
            if not 0 <= slot < os.fstat(descriptor).st_size // SLOT:
                raise ValueError(f"no slot {slot}")
            return Crumb(mmap.mmap(descriptor, 0), slot)
        finally:
            os.close(descriptor)

    def read(self, slot: int) -> Trace:
        """What the slot says now; a worker that writes meanwhile is not waited for.

        Reads the file: memory would be a way for a worker that cuts the file short to kill the supervisor
        (SIGBUS), where the system cannot seal it.
        """
        data = os.pread(self.descriptor, _LAYOUT.size, self._offset(slot))
        beats, application, slices, in_flight = _LAYOUT.unpack(data.ljust(_LAYOUT.size, b"\0"))
        return Trace(beats=beats, application=application, slices=slices, in_flight=in_flight)

    def clear(self, slot: int) -> None:
        """Zeroes for the next worker of this slot; only once the last one is gone."""
        os.pwrite(self.descriptor, bytes(SLOT), self._offset(slot))

    def close(self) -> None:
        """Forgets everything; workers that still run keep their memory."""
        os.close(self.descriptor)

    def _offset(self, slot: int) -> int:
        if not 0 <= slot < self._slots:
            raise ValueError(f"no slot {slot}")
        return slot * SLOT


def _anonymous_file() -> int:
    """A descriptor of memory that no name leads to, closed in children unless it is passed to them."""
    if sys.platform == "linux":
        return os.memfd_create("serverless-wasm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:  # noqa: RET505 - mypy reads what stands under the other platform's `else` only
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


def _seal(descriptor: int) -> None:
    """Fixes the size: a worker that cut the file short would kill its neighbours with their next write."""
    if sys.platform == "linux":
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
