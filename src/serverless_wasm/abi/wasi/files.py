"""The calls of WASI preview 1 on descriptors, but for those that wait.

Numbers and windows of a guest's come in; what is behind its descriptors is used, and OSError is raised.
They must never decide what may be reached: storage/folder.py does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable

from serverless_wasm.abi.wasi.buffers import buffers, gather, room, scatter
from serverless_wasm.abi.wasi.clocks import REALTIME
from serverless_wasm.abi.wasi.descriptors import OpenFile, OpenFolder, OpenTree
from serverless_wasm.abi.wasi.layout import (
    ALL_RIGHTS,
    DIRENT,
    FDSTAT,
    FILESTAT,
    LAST_ADVICE,
    PRESTAT,
    SIZE,
    TIMESTAMP,
    FdFlags,
    FileType,
    TimeFlags,
    Whence,
    filestat,
    require_known,
)
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.storage.folder import Folder
from serverless_wasm.wasm.memory import Window

_LISTINGS = 4 * 1024 * 1024
"""Bytes of listings that one run may have: a hundred thousand names."""
_MOST_OFFSET = 2**63 - 1
_STREAM = FILESTAT.pack(0, 0, FileType.UNKNOWN, 0, 0, 0, 0, 0)


def read_file(opened: OpenFile, vector: Window, count: Window) -> None:
    """`fd_read` of a file."""
    opened.offset += _read(opened, vector, opened.offset, count)


def write_file(opened: OpenFile, vector: Window, count: Window) -> None:
    """`fd_write` to a file."""
    written = _write(opened, vector, opened.offset, count)
    appended = FdFlags.APPEND in opened.flags
    opened.offset = opened.file.size if appended else opened.offset + written


def fd_pread(process: Process, fd: int, vector: Window, offset: int, count: Window) -> None:
    _read(process.descriptors.file(fd, of_stream=errno.ESPIPE), vector, checked(offset), count)


def fd_pwrite(process: Process, fd: int, vector: Window, offset: int, count: Window) -> None:
    _write(process.descriptors.file(fd, of_stream=errno.ESPIPE), vector, checked(offset), count)


def _read(opened: OpenFile, vector: Window, offset: int, count: Window) -> int:
    if not opened.reads:
        raise refusal(errno.EBADF)
    into = buffers(vector)
    data = opened.file.read_at(room(into), offset)
    for part, piece in scatter(into, data):
        part.write(piece)
    count.write(SIZE.pack(len(data)))
    return len(data)


def _write(opened: OpenFile, vector: Window, offset: int, count: Window) -> int:
    """At the end whatever the offset is, if the file was opened so: as pwrite(2) of Linux does."""
    if not opened.writes:
        raise refusal(errno.EBADF)
    data = gather(vector)
    if not data:
        written = 0
    elif FdFlags.APPEND in opened.flags:
        written = opened.file.append(data)
    else:
        written = opened.file.write_at(data, offset)
    count.write(SIZE.pack(written))
    return written


def fd_seek(process: Process, fd: int, offset: int, whence: int, where: Window) -> None:
    opened = process.descriptors.file(fd, of_stream=errno.ESPIPE)
    moved = offset - 2**64 if offset > _MOST_OFFSET else offset
    if whence == Whence.CURRENT:
        moved += opened.offset
    elif whence == Whence.END:
        moved += opened.file.size
    elif whence != Whence.SET:
        raise refusal(errno.EINVAL)
    opened.offset = checked(moved)
    where.write(TIMESTAMP.pack(opened.offset))


def fd_tell(process: Process, fd: int, where: Window) -> None:
    where.write(TIMESTAMP.pack(process.descriptors.file(fd, of_stream=errno.ESPIPE).offset))


def fd_advise(process: Process, fd: int, offset: int, size: int, advice: int) -> None:
    """Advice need not be taken, and it is not: the pages of the host are not the guest's to order about."""
    if advice > LAST_ADVICE:
        raise refusal(errno.EINVAL)
    process.descriptors.file(fd, of_stream=errno.ESPIPE)
    checked(offset)
    checked(size)


def fd_allocate(process: Process, fd: int, offset: int, size: int) -> None:
    opened = process.descriptors.file(fd, of_stream=errno.ESPIPE)
    if not opened.writes:
        raise refusal(errno.EBADF)
    opened.file.allocate(offset, size)


def fd_close(process: Process, fd: int) -> None:
    process.descriptors.close(fd)


def fd_renumber(process: Process, fd: int, to: int) -> None:
    process.descriptors.move(fd, to)


def fd_fdstat_get(process: Process, fd: int, found: Window) -> None:
    described = process.descriptors[fd]
    found.write(FDSTAT.pack(described.file_type, described.flags, described.rights, described.inheriting))


def fd_fdstat_set_flags(process: Process, fd: int, flags: int) -> None:
    require_known(flags, FdFlags.APPEND | FdFlags.NONBLOCK)
    described = process.descriptors[fd]
    if isinstance(described, OpenFolder | OpenTree):
        raise refusal(errno.EBADF)
    described.flags = FdFlags(flags)


def fd_fdstat_set_rights(process: Process, fd: int, base: int, inheriting: int) -> None:
    """Nothing has rights of its own here: a file what it was opened for, a folder what its mount allows."""
    require_known(base | inheriting, ALL_RIGHTS)
    _ = process.descriptors[fd]
    raise refusal(errno.ENOTSUP)


def fd_filestat_get(process: Process, fd: int, found: Window) -> None:
    match process.descriptors[fd]:
        case OpenFile(file=file):
            found.write(filestat(file.stat(), process.clocks.quantum))
        case OpenFolder(folder=folder):
            found.write(filestat(folder.own_stat(), process.clocks.quantum))
        case _:
            found.write(_STREAM)


def fd_filestat_set_size(process: Process, fd: int, size: int) -> None:
    opened = process.descriptors.file(fd)
    if not opened.writes:
        raise refusal(errno.EINVAL)  # as ftruncate(2) does
    opened.file.resize(size)


def fd_filestat_set_times(process: Process, fd: int, accessed: int, modified: int, flags: int) -> None:
    choose = times(process, accessed, modified, flags)
    match process.descriptors[fd]:
        case OpenFile(file=file):
            file.set_times(choose(file.stat()))
        case OpenFolder(folder=folder):
            folder.set_times(b".", choose(folder.own_stat()), follow=False)
        case _:
            raise refusal(errno.EBADF)


def fd_prestat_get(process: Process, fd: int, found: Window) -> None:
    described = process.descriptors[fd]
    if not isinstance(described, OpenFolder | OpenTree) or described.name is None:
        raise refusal(errno.EBADF)
    found.write(PRESTAT.pack(0, len(described.name)))


def fd_prestat_dir_name(process: Process, fd: int, name: Window) -> None:
    described = process.descriptors[fd]
    if not isinstance(described, OpenFolder | OpenTree) or described.name is None:
        raise refusal(errno.ENOTDIR)
    if name.size < len(described.name):
        raise refusal(errno.ENAMETOOLONG)
    name.write(described.name)


def fd_readdir(process: Process, fd: int, buffer: Window, cookie: int, count: Window) -> None:
    opened = process.descriptors.folder(fd)
    if not cookie or not opened.listing:
        opened.listing = b""
        keep_listing(process, opened, _listing(opened.folder))
    part = opened.listing[cookie : cookie + buffer.size]
    buffer.write(part)
    count.write(SIZE.pack(len(part)))


def _listing(folder: Folder) -> bytes:
    """Every entry as the guest reads it."""
    return listing((os.fsencode(name), inode, FileType.of(mode)) for name, inode, mode in folder.names())


def keep_listing(process: Process, opened: OpenFolder | OpenTree, found: bytes) -> None:
    """Keeps a listing while the guest reads it; raises OSError (ENOMEM) when it has too much of them."""
    if process.descriptors.listed() + len(found) > _LISTINGS:
        raise refusal(errno.ENOMEM)
    opened.listing = found


def listing(entries: Iterable[tuple[bytes, int, FileType]]) -> bytes:
    """Names, inodes and kinds as a guest reads them; a cookie is where the next one begins."""
    listed = bytearray()
    for name, inode, kind in entries:
        after = len(listed) + DIRENT.size + len(name)
        listed += DIRENT.pack(after, inode, len(name), kind) + name
        if after > _LISTINGS:
            raise refusal(errno.ENOMEM)
    return bytes(listed)


def checked(offset: int) -> int:
    """A place in a file; raises OSError (EINVAL) for one that no file has."""
    if not 0 <= offset <= _MOST_OFFSET:
        raise refusal(errno.EINVAL)
    return offset


def times(
    process: Process, accessed: int, modified: int, flags: int
) -> Callable[[os.stat_result], tuple[int, int]]:
    """Chooses the times of a file, given those it has; raises OSError (EINVAL) for flags that contradict."""
    both = (TimeFlags.ATIM | TimeFlags.ATIM_NOW, TimeFlags.MTIM | TimeFlags.MTIM_NOW)
    require_known(flags, both[0] | both[1])
    if any(flags & each == each for each in both):
        raise refusal(errno.EINVAL)
    now = process.clocks.now(REALTIME)

    def chosen(value: int, old: int, to_value: TimeFlags, to_now: TimeFlags) -> int:
        if flags & to_value:
            return min(value, _MOST_OFFSET)
        return now if flags & to_now else old

    def choose(before: os.stat_result) -> tuple[int, int]:
        return (
            chosen(accessed, before.st_atime_ns, TimeFlags.ATIM, TimeFlags.ATIM_NOW),
            chosen(modified, before.st_mtime_ns, TimeFlags.MTIM, TimeFlags.MTIM_NOW),
        )

    return choose
