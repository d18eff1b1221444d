"""The numbers and structures of WASI preview 1, as its interface file has them (typenames.witx).

Values of ours come in; what a guest reads goes out as bytes.
It decides nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from enum import IntEnum, IntFlag
from struct import Struct

from serverless_wasm.storage.beneath import refusal

_NAMES = """
success 2big acces addrinuse addrnotavail afnosupport again already badf badmsg busy canceled child
connaborted connrefused connreset deadlk destaddrreq dom dquot exist fault fbig hostunreach idrm ilseq
inprogress intr inval io isconn isdir loop mfile mlink msgsize multihop nametoolong netdown netreset
netunreach nfile nobufs nodev noent noexec nolck nolink nomem nomsg noprotoopt nospc nosys notconn notdir
notempty notrecoverable notsock notsup notty nxio overflow ownerdead perm pipe proto protonosupport
prototype range rofs spipe srch stale timedout txtbsy xdev notcapable
"""
NUMBERS = {name: number for number, name in enumerate(_NAMES.split())}
"""Every errno by name."""
_OF_HOST = {
    getattr(errno, f"E{name.upper()}"): number
    for name, number in NUMBERS.items()
    if hasattr(errno, f"E{name.upper()}")
}
_OF_HOST[errno.EOPNOTSUPP] = NUMBERS["notsup"]
_OF_HOST[errno.ECANCELED] = NUMBERS["canceled"]  # spelled with one l there


def number_of(error: OSError) -> int:
    """The guest's number for an error of the host; `io` for what WASI has no name for."""
    return _OF_HOST.get(error.errno or 0, NUMBERS["io"])


def require_known(given: int, known: int) -> None:
    """Raises OSError (EINVAL) for a flag that nobody knows.

    The complement of an IntFlag has only what it knows: it has to be an integer.
    """
    if given & ~int(known):
        raise refusal(errno.EINVAL)


class Rights(IntFlag):
    """What a descriptor may be used for."""

    FD_DATASYNC = 1 << 0
    FD_READ = 1 << 1
    FD_SEEK = 1 << 2
    FD_FDSTAT_SET_FLAGS = 1 << 3
    FD_SYNC = 1 << 4
    FD_TELL = 1 << 5
    FD_WRITE = 1 << 6
    FD_ADVISE = 1 << 7
    FD_ALLOCATE = 1 << 8
    PATH_CREATE_DIRECTORY = 1 << 9
    PATH_CREATE_FILE = 1 << 10
    PATH_LINK_SOURCE = 1 << 11
    PATH_LINK_TARGET = 1 << 12
    PATH_OPEN = 1 << 13
    FD_READDIR = 1 << 14
    PATH_READLINK = 1 << 15
    PATH_RENAME_SOURCE = 1 << 16
    PATH_RENAME_TARGET = 1 << 17
    PATH_FILESTAT_GET = 1 << 18
    PATH_FILESTAT_SET_SIZE = 1 << 19
    PATH_FILESTAT_SET_TIMES = 1 << 20
    FD_FILESTAT_GET = 1 << 21
    FD_FILESTAT_SET_SIZE = 1 << 22
    FD_FILESTAT_SET_TIMES = 1 << 23
    PATH_SYMLINK = 1 << 24
    PATH_REMOVE_DIRECTORY = 1 << 25
    PATH_UNLINK_FILE = 1 << 26
    POLL_FD_READWRITE = 1 << 27
    SOCK_SHUTDOWN = 1 << 28
    SOCK_ACCEPT = 1 << 29


class FileType(IntEnum):
    """What a descriptor or a name stands for."""

    UNKNOWN = 0
    BLOCK_DEVICE = 1
    CHARACTER_DEVICE = 2
    DIRECTORY = 3
    REGULAR_FILE = 4
    SOCKET_DGRAM = 5
    SOCKET_STREAM = 6
    SYMBOLIC_LINK = 7

    @classmethod
    def of(cls, mode: int) -> FileType:
        """Of what `os.stat` says."""
        return _TYPES.get(stat.S_IFMT(mode), cls.UNKNOWN)


_TYPES = {
    stat.S_IFBLK: FileType.BLOCK_DEVICE,
    stat.S_IFCHR: FileType.CHARACTER_DEVICE,
    stat.S_IFDIR: FileType.DIRECTORY,
    stat.S_IFREG: FileType.REGULAR_FILE,
    stat.S_IFSOCK: FileType.SOCKET_STREAM,
    stat.S_IFLNK: FileType.SYMBOLIC_LINK,
}


ALL_RIGHTS = Rights((1 << len(Rights)) - 1)


class OpenFlags(IntFlag):
    """How `path_open` opens."""

    CREAT = 1
    DIRECTORY = 2
    EXCL = 4
    TRUNC = 8


class FdFlags(IntFlag):
    """How a descriptor writes and waits."""

    APPEND = 1
    DSYNC = 2
    NONBLOCK = 4
    RSYNC = 8
    SYNC = 16


class TimeFlags(IntFlag):
    """Which times are set, and to what."""

    ATIM = 1
    ATIM_NOW = 2
    MTIM = 4
    MTIM_NOW = 8


class EventKind(IntEnum):
    """What a subscription waits for."""

    CLOCK = 0
    FD_READ = 1
    FD_WRITE = 2


class Whence(IntEnum):
    """Where `fd_seek` counts from."""

    SET = 0
    CURRENT = 1
    END = 2


SYMLINK_FOLLOW = 1
"""The only flag of a look-up."""
ABSOLUTE = 1
"""The only flag of a subscription to a clock."""
HANGUP = 1
"""The only flag of an event: nothing will come any more."""
LAST_ADVICE = 5
LAST_SIGNAL = 30
SIZE = Struct("<I")
TIMESTAMP = Struct("<Q")
IOVEC = Struct("<II")
"""A buffer and its size."""
PRESTAT = Struct("<B3xI")
FDSTAT = Struct("<BxH4xQQ")
FILESTAT = Struct("<QQB7xQQQQQ")
DIRENT = Struct("<QQIB3x")
SUBSCRIPTION = Struct("<QB7x32s")
"""What the guest knows it by, its kind, and what depends on that: one of the two that follow."""
CLOCK = Struct("<I4xQQH6x")
FD_READWRITE = Struct("<I28x")
EVENT = Struct("<QHB5xQH6x")


def filestat(found: os.stat_result, quantum: int) -> bytes:
    """A `filestat` of what `os.stat` says; its times are no finer than the guest's clocks."""
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    return FILESTAT.pack(
        found.st_dev,
        found.st_ino,
        FileType.of(found.st_mode),
        found.st_nlink,
        found.st_size,
        *(max(time - time % quantum, 0) for time in times),
    )
