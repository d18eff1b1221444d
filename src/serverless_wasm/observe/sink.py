"""The stream that the log is written to, shared with other processes if need be.

Whole lines come in; bytes go out in pieces that never wait for a reader.
It must never let two lines mix, whoever writes them, and whoever dies while writing one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import struct
import sys
import time
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Protocol, TextIO

PATIENCE = 0.25
"""Seconds to wait for a turn; another's takes 10 us, but has no end while that process is stopped."""
_PAUSE = 0.00005
_HEADER = struct.Struct("=QQ")  # the first byte of a line that is not written yet, and its end


def open_lock() -> int:
    """A descriptor with which processes that share a stream take turns: give it to the Logs of each.

    It is not inherited unless the caller says so, and closed by the caller. Raises OSError.
    """
    if hasattr(os, "memfd_create"):  # lives in memory: a full disk does not hinder it
        return os.memfd_create("log")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


class Sink:
    """A stream that is asked before each write whether it takes one, so that its reader may pause.

    What has a descriptor is written to directly: a buffer would keep, and repeat, what could not be written.
    Processes that have the same `lock` take turns. Without one, or beside a program that knows nothing of it,
    one wait is left: the other can fill a pipe between question and write.
    """

    def __init__(self, stream: TextIO, lock: int | None = None) -> None:
        self._stream = stream
        self._poll = select.poll()
        self._most = select.PIPE_BUF  # what a pipe takes without waiting, once poll says that it is ready
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._turn = None if lock is None else _Turn(lock)
        self._rest: _Rest = _OwnRest() if lock is None else _SharedRest(lock)
        self._direct = False
        with suppress(OSError, ValueError):  # io.UnsupportedOperation is both: no descriptor
            descriptor = stream.fileno()
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self._most = sys.maxsize
                _append(descriptor)
            self._poll.register(descriptor, select.POLLOUT)
            self._direct = True
            stream.flush()

    def write(self, text: str) -> None:
        """Takes the whole text, or raises OSError or ValueError and has taken nothing of it.

        What was taken and could not be written yet is written before anything else.
        """
        if not self._direct:
            self._stream.write(text)
            self._stream.flush()
            return
        data = text.encode(self._encoding, "backslashreplace")
        if self._turn is None:
            self._put(data)
        else:
            with self._turn:
                self._put(data)

    def wait(self, seconds: float) -> None:
        """Returns once the stream takes a write, or is none that can be asked, or after so many seconds."""
        if self._direct:
            self._poll.poll(seconds * 1000)

    def _put(self, data: bytes) -> None:
        self._finish()
        if len(data) > self._most:
            self._put_in_pieces(data)
        elif data and (written := self._piece(data)) < len(data):
            self._rest.keep(data[written:])
            with suppress(OSError):
                self._finish()

    def _put_in_pieces(self, data: bytes) -> None:
        """Writes a long line, or raises and forgets it when not even its first piece goes out."""
        self._rest.keep(data)  # before the first piece is out: whoever comes after us can go on
        try:
            self._rest.sent(self._piece(data[: self._most]))
        except (OSError, ValueError):
            self._rest.keep(b"")
            raise
        with suppress(OSError):
            self._finish()

    def _finish(self) -> None:
        while piece := self._rest.piece(self._most):
            self._rest.sent(self._piece(piece))

    def _piece(self, data: bytes) -> int:
        descriptor = self._stream.fileno()  # raises once closed: the number may be another file's by now
        if not self._poll.poll(0):
            raise BlockingIOError("the reader of the log pauses")
        return os.write(descriptor, data)


def _append(descriptor: int) -> None:
    """Makes every write go to the end of a file: its beginning, once logrotate's copytruncate has cut it."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)


class _Turn:
    """One process at a time, by a lock that the kernel takes back from a process that dies.

    A process that waited in vain does not wait again until it has had a turn: the one that holds the lock is
    stopped, and the log is no reason to stop, too.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._depth = 0
        self._patience = PATIENCE

    def __enter__(self) -> None:
        if not self._depth:  # a signal handler may write while this process has its turn
            self._wait()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _wait(self) -> None:
        until = 0.0
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {
                    errno.EAGAIN,
                    errno.EACCES,
                }:  # what fcntl(2) says of a lock that is taken
                    raise
                now = time.monotonic()
                until = until or now + self._patience
                if now >= until:
                    self._patience = 0.0
                    raise
                time.sleep(_PAUSE)
            else:
                self._patience = PATIENCE
                return


class _Rest(Protocol):
    """A line, or the end of one, that is taken and not written yet."""

    def piece(self, most: int) -> bytes:
        """What to write next: nothing when there is no rest."""

    def keep(self, data: bytes) -> None:
        """Makes these bytes the rest; raises OSError when there is no room."""

    def sent(self, count: int) -> None:
        """Forgets bytes that are written."""


class _OwnRest:
    def __init__(self) -> None:
        self._data = b""

    def piece(self, most: int) -> bytes:
        return self._data[:most]

    def keep(self, data: bytes) -> None:
        self._data = data

    def sent(self, count: int) -> None:
        self._data = self._data[count:]


class _SharedRest:
    """In the file of the lock, where the process that comes next finds it.

    One that is killed between a piece and the note of it leaves that piece to be written twice: its own line
    is spoiled then, and no other.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    def piece(self, most: int) -> bytes:
        header = os.pread(self._file, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return b""
        start, end = _HEADER.unpack(header)
        return os.pread(self._file, min(most, end - start), _HEADER.size + start) if start < end else b""

    def keep(self, data: bytes) -> None:
        self._write(data, _HEADER.size)
        self._write(_HEADER.pack(0, len(data)), 0)

    def sent(self, count: int) -> None:
        start, end = _HEADER.unpack(os.pread(self._file, _HEADER.size, 0))
        self._write(_HEADER.pack(start + count, end), 0)

    def _write(self, data: bytes, offset: int) -> None:
        if os.pwrite(self._file, data, offset) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
