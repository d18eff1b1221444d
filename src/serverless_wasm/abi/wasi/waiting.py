"""The calls of WASI preview 1 that wait: for the body, for room in the answer, for time, for a disk.

What a guest waits for comes in; what is to be done on the event loop meanwhile goes out, or nothing is.
They must never block the loop; whatever they begin ends with the wait, which may be cancelled at any time.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from functools import partial
from threading import Lock

from serverless_wasm.abi.wasi.buffers import Writes, buffers, gather, room, scatter
from serverless_wasm.abi.wasi.descriptors import (
    Input,
    Messages,
    OpenFile,
    OpenFolder,
    Output,
    Source,
    Target,
)
from serverless_wasm.abi.wasi.files import read_file, write_file
from serverless_wasm.abi.wasi.layout import SIZE, FdFlags
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.wasm.memory import Window

Later = Callable[[], Awaitable[Writes]]
"""What a call that has to wait does meanwhile; it ends with what is to be written for the guest."""
MOST_MESSAGES = 64 * 1024
"""What one call writes to the log: each line costs the loop some microseconds."""


def fd_read(process: Process, fd: int, vector: Window, count: Window) -> Later | None:
    described = process.descriptors[fd]
    if isinstance(described, OpenFile):
        read_file(described, vector, count)
        return None
    if not isinstance(described, Input):
        raise refusal(errno.EBADF)
    into = buffers(vector)
    most = room(into)
    data = described.source.take(most) if most else b""
    if data is None and FdFlags.NONBLOCK in described.flags:
        raise refusal(errno.EAGAIN)
    if data is None:
        return partial(_read, described.source, into, count)
    for part, piece in (*scatter(into, data), (count, SIZE.pack(len(data)))):
        part.write(piece)
    return None


async def _read(source: Source, into: list[Window], count: Window) -> Writes:
    while (data := source.take(room(into))) is None:
        await source.arrive()
    return *scatter(into, data), (count, SIZE.pack(len(data)))


def fd_write(process: Process, fd: int, vector: Window, count: Window) -> Later | None:
    described = process.descriptors[fd]
    if isinstance(described, OpenFile):
        write_file(described, vector, count)
        return None
    if not isinstance(described, Messages | Output):
        raise refusal(errno.EBADF)
    data = gather(vector)
    if isinstance(described, Messages):
        written = len(data[:MOST_MESSAGES])
        described.write(data[:MOST_MESSAGES])
    else:
        written = _put(described.target, data, 0)
        if written < len(data) and FdFlags.NONBLOCK not in described.flags:
            return partial(_write, described.target, data, written, count)
        if data and not written:
            raise refusal(errno.EAGAIN)
    count.write(SIZE.pack(written))
    return None


async def _write(target: Target, data: bytes, written: int, count: Window) -> Writes:
    """All of it: programs that are small do not look at how much was written."""
    while written < len(data):
        await target.room()
        written = _put(target, data, written)
    return ((count, SIZE.pack(written)),)


def _put(target: Target, data: bytes, written: int) -> int:
    """How much of it is written once there is no more room."""
    while written < len(data) and (left := target.left):
        written += target.put(data[written : written + left])
    return written


def fd_sync(process: Process, fd: int) -> Later:
    """Also of a folder, as POSIX has it, and for `fd_datasync`, which may do more than it must."""
    match process.descriptors[fd]:
        case OpenFile(file=opened) | OpenFolder(folder=opened):
            return partial(_sync, opened.descriptor)
        case _:
            raise refusal(errno.EINVAL)  # as fsync(2) does for what cannot be synchronised


async def _sync(descriptor: int) -> Writes:
    flush = _Flush(descriptor)
    try:
        await asyncio.to_thread(flush.run)
    finally:
        flush.drop()
    return ()


class _Flush:
    """Writes a file to the disk in a thread, with a descriptor of its own.

    A thread that has begun cannot be cancelled, and the guest and its descriptors may be gone before it ends;
    one that has not will never begin. Whoever comes first, `run` or `drop`, closes the descriptor.
    """

    __slots__ = ("_claim", "_descriptor")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.dup(descriptor)
        self._claim = Lock()

    def run(self) -> None:
        if self._claim.acquire(blocking=False):
            try:
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)

    def drop(self) -> None:
        if self._claim.acquire(blocking=False):
            os.close(self._descriptor)
