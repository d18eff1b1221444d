"""What a guest's descriptors stand for: its standard streams, its mounts, and the files it opened there.

Numbers come in; the thing behind each, or OSError (EBADF), goes out.
It must never keep a file open behind the guest's back, nor give more than MOST numbers at once.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from serverless_wasm.abi.wasi.layout import FdFlags, FileType, Rights
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.storage.files.tree_file import TreeFile
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import File, Folder

MOST = 64
"""Descriptors of one invocation; each that is a file is one of the worker's, too."""
_STREAM_RIGHTS = Rights.POLL_FD_READWRITE | Rights.FD_FILESTAT_GET | Rights.FD_FDSTAT_SET_FLAGS
_FILE_RIGHTS = (
    Rights.FD_DATASYNC | Rights.FD_SEEK | Rights.FD_FDSTAT_SET_FLAGS | Rights.FD_SYNC | Rights.FD_TELL
    | Rights.FD_ADVISE | Rights.FD_FILESTAT_GET | Rights.FD_FILESTAT_SET_TIMES | Rights.POLL_FD_READWRITE
)  # fmt: skip
_WRITING = Rights.FD_WRITE | Rights.FD_ALLOCATE | Rights.FD_FILESTAT_SET_SIZE
_FOLDER_RIGHTS = (
    Rights.PATH_CREATE_DIRECTORY | Rights.PATH_CREATE_FILE | Rights.PATH_LINK_SOURCE | Rights.PATH_LINK_TARGET
    | Rights.PATH_OPEN | Rights.FD_READDIR | Rights.PATH_READLINK | Rights.PATH_RENAME_SOURCE
    | Rights.PATH_RENAME_TARGET | Rights.PATH_SYMLINK | Rights.PATH_REMOVE_DIRECTORY | Rights.PATH_UNLINK_FILE
    | Rights.PATH_FILESTAT_GET | Rights.PATH_FILESTAT_SET_TIMES | Rights.FD_FILESTAT_GET
    | Rights.FD_FILESTAT_SET_TIMES | Rights.FD_SYNC | Rights.FD_DATASYNC
)  # fmt: skip
"""The same for every folder, whether it may be written or not: a C library asks only for what the folder is
said to have, so it would open a file for reading alone, and call that a success, instead of being refused."""


class Source(Protocol):
    """What standard input reads from.

    Any of these raises an InvocationError or a RequestError for what ends the guest, OSError for what is its
    to handle.
    """

    @property
    def ready(self) -> int | None:
        """Bytes that `take` has now, none at the end; None when one has to wait for them."""

    def take(self, most: int) -> bytes | None:
        """Up to `most` bytes, which is not 0; none at the end; None when one has to wait for them."""

    async def arrive(self) -> None:
        """Waits until `take` has an answer; may be cancelled, and begun again, at any time."""


class Target(Protocol):
    """What standard output writes to.

    Any of these raises an InvocationError for what ends the guest, and OSError for what is its to handle.
    """

    @property
    def left(self) -> int:
        """Bytes that `put` would take now; 0 when one has to wait."""

    def put(self, data: bytes) -> int:
        """Takes as much as there is room for, and says how much that was."""

    def flush(self) -> None:
        """The guest is about to wait: what was written so far should not wait with it."""

    async def room(self) -> None:
        """Waits until `put` takes something; may be cancelled, and begun again, at any time."""


class _Stream:
    """A standard stream.

    It is of no known type, as any that is no terminal is in other hosts: of a character device a C library
    would say that it is a terminal, and interpreters would prompt, and write byte by byte.
    """

    file_type = FileType.UNKNOWN
    rights = _STREAM_RIGHTS
    inheriting = Rights(0)
    flags = FdFlags(0)

    def close(self) -> None:
        """What is behind it is the invocation's."""


class Input(_Stream):
    """Standard input: the body of the request."""

    rights = _STREAM_RIGHTS | Rights.FD_READ

    def __init__(self, source: Source) -> None:
        self.source = source


class Output(_Stream):
    """Standard output: the answer."""

    rights = _STREAM_RIGHTS | Rights.FD_WRITE

    def __init__(self, target: Target) -> None:
        self.target = target


class Messages(_Stream):
    """Standard error: each line is one of the application's log, or several if it is longer than `most`."""

    rights = _STREAM_RIGHTS | Rights.FD_WRITE

    def __init__(self, log: Callable[[bytes], None], most: int) -> None:
        self._log = log
        self._most = max(most, 1)
        self._begun = b""

    def write(self, data: bytes) -> None:
        """Takes all of it; what is left without an end waits for more."""
        *lines, rest = (self._begun + data).split(b"\n")
        for line in lines:
            self._say(line)
        whole = len(rest) - len(rest) % self._most
        self._say(rest[:whole])
        self._begun = rest[whole:]

    def close(self) -> None:
        """A last line need not end."""
        begun, self._begun = self._begun, b""
        self._say(begun)

    def _say(self, line: bytes) -> None:
        """Of a line that has nothing there is nothing to say."""
        line = line.removesuffix(b"\r")
        for at in range(0, len(line), self._most):
            self._log(line[at : at + self._most])


class _OpenFile:
    """What a file was opened for, and where the guest is in it."""

    file_type = FileType.REGULAR_FILE
    inheriting = Rights(0)
    """Nothing is opened through a file."""

    def __init__(self, flags: FdFlags, *, reads: bool, writes: bool) -> None:
        self.flags = flags
        self.reads = reads
        self.writes = writes
        self.offset = 0

    @property
    def rights(self) -> Rights:
        """What a guest is told that it may do."""
        return _FILE_RIGHTS | (Rights.FD_READ if self.reads else 0) | (_WRITING if self.writes else 0)


class OpenFile(_OpenFile):
    """A file of this machine."""

    def __init__(self, file: File, flags: FdFlags, *, reads: bool, writes: bool) -> None:
        super().__init__(flags, reads=reads, writes=writes)
        self.file = file

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


class OpenObject(_OpenFile):
    """A file of a store."""

    def __init__(self, file: TreeFile, flags: FdFlags, *, reads: bool, writes: bool) -> None:
        super().__init__(flags, reads=reads, writes=writes)
        self.file = file

    def close(self) -> None:
        """Forgets what is not in the store: whoever means to keep that waits for the store first."""
        self.file.drop()


class _OpenFolder:
    """A folder; with `name` it is how a guest finds a mount or a place."""

    file_type = FileType.DIRECTORY
    rights = _FOLDER_RIGHTS
    inheriting = _FOLDER_RIGHTS | _FILE_RIGHTS | _WRITING | Rights.FD_READ
    flags = FdFlags(0)

    def __init__(self, name: bytes | None = None) -> None:
        self.name = name
        self.listing = b""
        """What was in it when the guest began to read it, as it reads it: a place in it stays what it was."""


class OpenFolder(_OpenFolder):
    """A folder of this machine."""

    def __init__(self, folder: Folder, name: bytes | None = None) -> None:
        super().__init__(name)
        self.folder = folder

    def close(self) -> None:
        """Closes the folder, if it was opened for this guest."""
        if self.name is None:
            self.folder.close()


class OpenTree(_OpenFolder):
    """A folder of a store."""

    def __init__(self, folder: TreeFolder, name: bytes | None = None) -> None:
        super().__init__(name)
        self.folder = folder

    def close(self) -> None:
        """Nothing is open in a store."""


Descriptor = Input | Output | Messages | OpenFile | OpenFolder | OpenObject | OpenTree


def no_folder(found: Descriptor) -> int:
    """The errno for what is used as a folder, and is none."""
    return errno.ENOTDIR if isinstance(found, OpenFile | OpenObject) else errno.EBADF


class Descriptors:
    """The table of one invocation: a number is the least that is free."""

    __slots__ = ("_table",)

    def __init__(self, first: Iterable[Descriptor]) -> None:
        self._table: dict[int, Descriptor] = dict(enumerate(first))

    def __getitem__(self, number: int) -> Descriptor:
        """What has that number; raises OSError (EBADF) when nothing has."""
        try:
            return self._table[number]
        except KeyError:
            raise refusal(errno.EBADF) from None

    def file(self, number: int, *, of_stream: int = errno.EBADF) -> OpenFile:
        """The file of that number; raises OSError: EBADF for a folder, `of_stream` for a stream."""
        found = self[number]
        if isinstance(found, OpenFile):
            return found
        raise refusal(errno.EBADF if isinstance(found, OpenFolder | OpenTree) else of_stream)

    def folder(self, number: int) -> OpenFolder:
        """The folder of that number; raises OSError: ENOTDIR for a file, EBADF for a stream, else EXDEV."""
        found = self[number]
        if isinstance(found, OpenFolder):
            return found
        raise refusal(errno.EXDEV if isinstance(found, OpenTree) else no_folder(found))

    def require_room(self) -> None:
        """Raises OSError (EMFILE) when there are MOST already."""
        if len(self._table) >= MOST:
            raise refusal(errno.EMFILE)

    def add(self, made: Descriptor) -> int:
        """The number of something new, for which there is room."""
        number = next(number for number in range(MOST) if number not in self._table)
        self._table[number] = made
        return number

    def close(self, number: int) -> None:
        """Frees a number and what is behind it."""
        found = self[number]
        del self._table[number]
        found.close()

    def release(self, number: int) -> None:
        """Frees a number; what was behind it is closed by whoever has it."""
        del self._table[number]

    def move(self, number: int, to: int) -> None:
        """Gives what is behind a number another one, which must be in use, too; what was there is closed."""
        if self[number] is not self[to]:
            self.replace(to, number).close()

    def replace(self, number: int, by: int) -> Descriptor:
        """What had that number, which what is behind `by` has now; it is closed by whoever has it."""
        before = self[number]
        self._table[number] = self._table.pop(by)
        return before

    def listed(self) -> int:
        """Bytes that the listings of all folders take."""
        folders = (each for each in self._table.values() if isinstance(each, OpenFolder | OpenTree))
        return sum(len(each.listing) for each in folders)

    def close_all(self) -> None:
        """Frees everything."""
        while self._table:
            _, found = self._table.popitem()
            with suppress(OSError):  # nobody is there to be told, and others are to be closed
                found.close()
