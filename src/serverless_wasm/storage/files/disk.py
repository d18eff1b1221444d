"""Files in a folder on a disk of this machine.

Keys and bytes come in; what is in the folder goes out. It must never leave the folder (storage/folder.py),
show a file that is half written, or keep the event loop waiting for a disk.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import ParamSpec, TypeVar

from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, NotThere, TooLarge
from serverless_wasm.storage.beneath import refusal, walk
from serverless_wasm.storage.files.keeper import TEMPORARY, Condition, Found
from serverless_wasm.storage.folder import MOST_BYTES, File, Folder, Opening
from serverless_wasm.storage.quota import ENTRY
from serverless_wasm.text import printable

THREADS = 4
"""Calls at once in one folder: a disk that hangs takes no more threads than these."""
LEFT_BEHIND = 3600
"""Seconds after which a file that is not whole never will be: its writer was killed."""
_ATTEMPTS = 10
"""How often a folder is made again that somebody else removed because it was empty."""
_READ = Opening(follow=True)
_FOLDER = Opening(follow=True, folder=True)
_NEW = Opening(read=False, write=True, create=True, exclusive=True)
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMLINK})
_REFUSED = frozenset({errno.EPERM, errno.EACCES, errno.EROFS, errno.ELOOP, errno.EISDIR, errno.EEXIST})
_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


class Disk:
    """One folder as a Keeper; it is opened anew for each call, so one that was remade is found."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="files")
        self._swept = False
        self._closed = False

    def __str__(self) -> str:
        return printable(str(self._path))

    async def head(self, key: str) -> Found | None:
        """Links are followed; one that leads nowhere, or out, is nothing."""
        return await self._run(self._head, key.encode())

    async def read(self, key: str, offset: int, size: int) -> tuple[int, bytes]:
        """A folder is not there: object stores have none."""
        return await self._run(self._read, key.encode(), offset, size)

    async def write(self, key: str, data: bytes, condition: Condition) -> bool:
        """Returns once it is on the disk; raises NotPermitted for an etag, which no disk can compare."""
        if condition.etag is not None:
            raise NotPermitted(f"{self}: a disk cannot write on the condition of an etag")
        written = await self._run(self._write, key.encode(), data, new=condition.new)
        if not self._swept:
            self._swept = True
            self._pool.submit(self._sweep)
        return written

    async def delete(self, key: str) -> bool:
        """Folders that are empty then go, too: object stores have none."""
        return await self._run(self._delete, key.encode())

    async def entries(self, folder: str, most: int) -> list[tuple[str, Found]]:
        """Links stand for what they lead to."""
        return await self._run(self._entries, folder, most)

    async def names(self, folder: str, most: int) -> list[str]:
        """Links to folders are not followed: they may lead in a circle."""
        return await self._run(self._names, folder, most)

    async def used(self) -> int:
        """Links and files that are not whole yet count, too."""
        return await self._run(self._used)

    def close(self) -> None:
        """Waits for nothing: a disk may hang."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(
        self, call: Callable[_Arguments, _Answer], *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> _Answer:
        """In a thread; when we are cancelled it goes on to its end, and frees what it opened."""
        if self._closed:
            raise Failed(f"{self} is closed")
        future = self._pool.submit(call, *arguments, **named)
        try:
            return await asyncio.wrap_future(future)
        except OSError as error:
            raise self._explained(error) from None

    def _explained(self, error: OSError) -> CapabilityError:
        sentence = f"{self}: {error.strerror}"
        if error.errno in _NOT_THERE:
            return NotThere(sentence)
        if error.errno in _NO_ROOM:
            return TooLarge(sentence)
        return NotPermitted(sentence) if error.errno in _REFUSED else Failed(sentence)

    @contextmanager
    def _root(self, *, writable: bool = False) -> Iterator[Folder]:
        try:
            folder = Folder.at(str(self._path), writable=writable)
        except OSError as error:
            raise Failed(f"{self} cannot be opened: {error.strerror}") from None
        with closing(folder):
            yield folder

    def _head(self, key: bytes) -> Found | None:
        with self._root() as root:
            return _known(root, key) if key else _found(root.own_stat())

    def _read(self, key: bytes, offset: int, size: int) -> tuple[int, bytes]:
        with self._root() as root, closing(root.open(key, _READ)) as file:
            if not isinstance(file, File):
                raise refusal(errno.ENOENT)
            return file.size, b"".join(_parts(file, offset, size))

    def _write(self, key: bytes, data: bytes, *, new: bool) -> bool:
        parent, _, name = key.rpartition(b"/")
        with self._root(writable=True) as root:
            for _ in range(_ATTEMPTS):
                try:
                    with closing(_made(root, parent)) as folder:
                        return _put(folder, name, data, new=new)
                except FileNotFoundError:
                    continue
                except NotADirectoryError:
                    raise refusal(errno.EEXIST) from None
                except OSError as error:
                    if error.errno == errno.ENAMETOOLONG:
                        raise NotPermitted(f"{self}: {error.strerror}") from None
                    raise
        raise Failed(f"{self}: somebody removes the folder again and again that a file is for")

    def _delete(self, key: bytes) -> bool:
        with self._root(writable=True) as root:
            try:
                root.remove(key)
            except OSError as error:
                if error.errno in {*_NOT_THERE, errno.EISDIR}:
                    return False
                raise
            with suppress(OSError):
                while key := key.rpartition(b"/")[0]:
                    root.remove_folder(key)
        return True

    def _entries(self, folder: str, most: int) -> list[tuple[str, Found]]:
        found = []
        with self._root() as root:
            for name, _ in _listed(root, folder, most):
                known = _known(root, _below(folder, name).encode())
                if known is not None:
                    found.append((name, known))
        return sorted(found, key=lambda entry: entry[0])

    def _names(self, folder: str, most: int) -> list[str]:
        names: list[str] = []
        folders, seen = [folder], 0
        with self._root() as root:
            while folders:
                here = folders.pop()
                for name, kind in _listed(root, here, most - seen):
                    seen += 1
                    key = _below(here, name)
                    if kind == stat.S_IFDIR:
                        folders.append(key)
                    elif kind == stat.S_IFREG or _is_file(root, key):
                        names.append(key)
        return names

    def _used(self) -> int:
        total = 0

        def visit(_: int, entry: os.DirEntry[str]) -> bool:
            nonlocal total
            if entry.is_dir(follow_symlinks=False):
                return True
            with suppress(FileNotFoundError):  # removed just now
                total += ENTRY + entry.stat(follow_symlinks=False).st_size
            return False

        with self._root() as root:
            walk(root.descriptor, visit)
        return total

    def _sweep(self) -> None:
        """Removes what writers left behind that were killed, until we are closed."""
        oldest = time.time() - LEFT_BEHIND

        def visit(folder: int, entry: os.DirEntry[str]) -> bool:
            with suppress(OSError):
                if entry.name.startswith(TEMPORARY) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.name, dir_fd=folder)
                return not self._closed and entry.is_dir(follow_symlinks=False)
            return False

        with suppress(OSError, CapabilityError), self._root() as root:
            walk(root.descriptor, visit)


def _made(root: Folder, path: bytes) -> Folder:
    """The folder of that path, which is made where it is missing, and its name with it on the disk."""
    try:
        return _opened(root, path)
    except FileNotFoundError:
        above = path.rpartition(b"/")[0]
        with closing(_made(root, above)) as parent:
            with suppress(FileExistsError):
                root.make_folder(path)
            parent.sync()
        return _opened(root, path)


def _opened(root: Folder, path: bytes) -> Folder:
    folder = root.open(path or b".", _FOLDER)
    if isinstance(folder, Folder):
        return folder
    folder.close()
    raise refusal(errno.ENOTDIR)


def _put(folder: Folder, name: bytes, data: bytes, *, new: bool) -> bool:
    """Writes under another name, and renames once it is on the disk; a link fails where a name is taken."""
    temporary = f"{TEMPORARY}{token_hex(8)}".encode()
    try:
        _fill(folder, temporary, data)
        if new:
            folder.link(temporary, folder, name, follow=False)
        else:
            folder.rename(temporary, folder, name)
        folder.sync()
    except FileExistsError:
        if new:
            return False
        raise
    finally:
        with suppress(FileNotFoundError):
            folder.remove(temporary)
    return True


def _fill(folder: Folder, name: bytes, data: bytes) -> None:
    with closing(folder.open(name, _NEW)) as file:
        if isinstance(file, File):
            rest = memoryview(data)
            while rest:
                rest = rest[file.write_at(bytes(rest[:MOST_BYTES]), len(data) - len(rest)) :]
        file.sync()


def _parts(file: File, offset: int, size: int) -> Iterator[bytes]:
    while size and (part := file.read_at(size, offset)):
        yield part
        offset, size = offset + len(part), size - len(part)


def _listed(root: Folder, path: str, most: int) -> Iterator[tuple[str, int]]:
    """Name and type of what is in a folder; nothing if there is none. Raises TooLarge."""
    try:
        with closing(_opened(root, path.encode())) as folder:
            names = folder.names()[2:]
    except (FileNotFoundError, NotADirectoryError):
        return
    if len(names) > most:
        raise TooLarge(f"more than {most} names in a listing")
    yield from ((name, kind) for name, _, kind in names if not name.startswith(TEMPORARY) and _is_text(name))


def _is_text(name: str) -> bool:
    """Whether it is UTF-8: `os` tells other bytes as lone surrogates."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _known(root: Folder, key: bytes) -> Found | None:
    """What a path leads to, if that is a file or a folder that guests may have."""
    try:
        return _found(root.stat(key, follow=True))
    except OSError as error:
        if error.errno in {*_NOT_THERE, errno.EPERM, errno.ELOOP}:
            return None
        raise


def _found(known: os.stat_result) -> Found | None:
    if stat.S_ISDIR(known.st_mode):
        return Found(size=0, modified_ns=known.st_mtime_ns, is_folder=True)
    if not stat.S_ISREG(known.st_mode):
        return None
    etag = f"{known.st_ino:x}-{known.st_mtime_ns:x}-{known.st_size:x}"
    return Found(size=known.st_size, modified_ns=known.st_mtime_ns, etag=etag)


def _is_file(root: Folder, key: str) -> bool:
    known = _known(root, key.encode())
    return known is not None and not known.is_folder
