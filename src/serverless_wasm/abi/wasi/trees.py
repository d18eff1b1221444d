"""The calls of WASI preview 1 on files and folders that are not on this machine: every one waits for a store.

Descriptors and windows of a guest's come in; what is to be done on the event loop meanwhile goes out.
They must never decide what may be reached, or held: storage/files/tree_folder.py and tree_file.py do.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from serverless_wasm.abi.wasi.buffers import Writes, buffers, gather, room, scatter
from serverless_wasm.abi.wasi.descriptors import OpenFolder, OpenObject, OpenTree, no_folder
from serverless_wasm.abi.wasi.files import checked, keep_listing, listing
from serverless_wasm.abi.wasi.layout import (
    FILESTAT,
    LAST_ADVICE,
    SIZE,
    SYMLINK_FOLLOW,
    TIMESTAMP,
    FdFlags,
    FileType,
    Whence,
    require_known,
)
from serverless_wasm.abi.wasi.paths import Asked, path_of, what_is_asked
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.abi.wasi.waiting import Later
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.storage.files.keeper import FOLDER, Found
from serverless_wasm.storage.files.tree_file import TreeFile
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.wasm.memory import Window

Call = Callable[..., Later | None]
Opened = OpenObject | OpenTree


class AtStore(partial[Awaitable[Writes]]):
    """What is done at a store meanwhile, which is not for long."""


_NOT_OFFERED = ("fd_allocate", "fd_filestat_set_times", "path_filestat_set_times", "path_link")


def _either(of_tree: Call) -> Callable[[Call], Call]:
    """Makes a call on a descriptor do `of_tree` for what is in a store, and what it did otherwise."""

    def both(local: Call) -> Call:
        def call(process: Process, fd: int, *rest: Any) -> Later | None:
            described = process.descriptors[fd]
            if isinstance(described, Opened):
                return of_tree(process, described, *rest)
            return local(process, fd, *rest)

        return call

    return both


def _refused(number: int) -> Call:
    """A call that a store cannot do."""

    def call(*_arguments: object) -> None:
        raise refusal(number)

    return call


def fd_read(_process: Process, opened: Opened, vector: Window, count: Window) -> Later:
    return AtStore(_read, _readable(opened), buffers(vector), None, count)


def fd_pread(_process: Process, opened: Opened, vector: Window, offset: int, count: Window) -> Later:
    return AtStore(_read, _readable(opened), buffers(vector), checked(offset), count)


async def _read(opened: OpenObject, into: list[Window], offset: int | None, count: Window) -> Writes:
    data = await opened.file.read_at(room(into), opened.offset if offset is None else offset)
    if offset is None:
        opened.offset += len(data)
    return *scatter(into, data), (count, SIZE.pack(len(data)))


def fd_write(_process: Process, opened: Opened, vector: Window, count: Window) -> Later:
    return AtStore(_write, _writable(opened), gather(vector), None, count)


def fd_pwrite(_process: Process, opened: Opened, vector: Window, offset: int, count: Window) -> Later:
    return AtStore(_write, _writable(opened), gather(vector), checked(offset), count)


async def _write(opened: OpenObject, data: bytes, offset: int | None, count: Window) -> Writes:
    appended = FdFlags.APPEND in opened.flags
    if appended:
        written = await opened.file.append(data)
    else:
        written = await opened.file.write_at(data, opened.offset if offset is None else offset)
    if offset is None:
        opened.offset = opened.file.size if appended else opened.offset + written
    return ((count, SIZE.pack(written)),)


def fd_seek(_process: Process, opened: Opened, offset: int, whence: int, where: Window) -> None:
    file = _file(opened)
    from_where = {Whence.SET: 0, Whence.CURRENT: file.offset, Whence.END: file.file.size}
    if whence not in from_where:
        raise refusal(errno.EINVAL)
    signed = offset - 2**64 if offset >= 2**63 else offset
    file.offset = checked(from_where[Whence(whence)] + signed)
    where.write(TIMESTAMP.pack(file.offset))


def fd_tell(_process: Process, opened: Opened, where: Window) -> None:
    where.write(TIMESTAMP.pack(_file(opened).offset))


def fd_advise(_process: Process, opened: Opened, offset: int, size: int, advice: int) -> None:
    """As for local files: it need not be taken."""
    if advice > LAST_ADVICE:
        raise refusal(errno.EINVAL)
    _file(opened)
    checked(offset)
    checked(size)


def _closing(local: Call) -> Call:
    """Of a file in a store the number is free at once; that it could not be kept is told all the same."""

    def fd_close(process: Process, fd: int) -> Later | None:
        described = process.descriptors[fd]
        if not isinstance(described, OpenObject):
            return local(process, fd)
        process.descriptors.release(fd)
        return AtStore(_done, described.file.close)

    return fd_close


def _renumbering(local: Call) -> Call:
    """As closing what had the other number."""

    def fd_renumber(process: Process, fd: int, to: int) -> Later | None:
        found, replaced = process.descriptors[fd], process.descriptors[to]
        if found is replaced or not isinstance(replaced, OpenObject):
            return local(process, fd, to)
        process.descriptors.replace(to, fd)
        return AtStore(_done, replaced.file.close)

    return fd_renumber


def fd_sync(_process: Process, opened: Opened) -> Later | None:
    return AtStore(_done, opened.file.sync) if isinstance(opened, OpenObject) else None


def fd_filestat_get(process: Process, opened: Opened, found: Window) -> None:
    if isinstance(opened, OpenObject):
        found.write(_stat(process, opened.file.device, opened.file.key, opened.file.found))
    else:
        found.write(_stat(process, opened.folder.device, opened.folder.key, FOLDER))


def fd_filestat_set_size(_process: Process, opened: Opened, size: int) -> Later:
    file = _file(opened)
    if not file.writes:
        raise refusal(errno.EINVAL)  # as ftruncate(2) does
    return AtStore(_done, file.file.resize, size)


def fd_readdir(process: Process, opened: Opened, buffer: Window, cookie: int, count: Window) -> Later:
    return AtStore(_readdir, process, _folder(opened), buffer, cookie, count)


async def _readdir(process: Process, opened: OpenTree, buffer: Window, cookie: int, count: Window) -> Writes:
    if not cookie or not opened.listing:
        opened.listing = b""
        names = await opened.folder.names()
        keep_listing(process, opened, listing(_entries(opened.folder.key, names)))
    part = opened.listing[cookie : cookie + buffer.size]
    return (buffer, part), (count, SIZE.pack(len(part)))


def _entries(key: str, names: Sequence[tuple[bytes, bool]]) -> Iterator[tuple[bytes, int, FileType]]:
    """The folder and its parent first, which is told as the folder itself, as for local ones."""
    above = f"{key}/" if key else ""
    for name in (b".", b".."):
        yield name, _inode(key), FileType.DIRECTORY
    for name, is_folder in names:
        kind = FileType.DIRECTORY if is_folder else FileType.REGULAR_FILE
        yield name, _inode(above + name.decode()), kind


def path_open(process: Process, opened: Opened, *asked: Any) -> Later:
    *words, made = asked
    opening, folder = what_is_asked(*words), _folder(opened).folder
    process.descriptors.require_room()
    return AtStore(_open, process, folder, opening, made)


async def _open(process: Process, folder: TreeFolder, asked: Asked, made: Window) -> Writes:
    found = await folder.open(asked.path, asked.how)
    described: Opened
    if isinstance(found, TreeFile):
        described = OpenObject(found, asked.flags, reads=asked.reads, writes=asked.writes)
    else:
        described = OpenTree(found)
    return ((made, SIZE.pack(process.descriptors.add(described))),)


def path_filestat_get(process: Process, opened: Opened, lookup: int, path: Window, found: Window) -> Later:
    require_known(lookup, SYMLINK_FOLLOW)
    return AtStore(_path_stat, process, _folder(opened).folder, path_of(path), found)


async def _path_stat(process: Process, folder: TreeFolder, path: bytes, into: Window) -> Writes:
    key, found = await folder.look(path)
    return ((into, _stat(process, folder.device, key, found)),)


def path_readlink(_process: Process, opened: Opened, path: Window, _buffer: Window, _count: Window) -> Later:
    return AtStore(_no_link, _folder(opened).folder, path_of(path))


async def _no_link(folder: TreeFolder, path: bytes) -> Writes:
    """Nothing there is a link, and what is not there is nothing."""
    await folder.look(path)
    raise refusal(errno.EINVAL)


def path_create_directory(_process: Process, opened: Opened, path: Window) -> Later:
    return AtStore(_done, _folder(opened).folder.make_folder, path_of(path))


def path_remove_directory(_process: Process, opened: Opened, path: Window) -> Later:
    return AtStore(_done, _folder(opened).folder.remove_folder, path_of(path))


def path_unlink_file(_process: Process, opened: Opened, path: Window) -> Later:
    return AtStore(_done, _folder(opened).folder.remove, path_of(path))


def path_rename(process: Process, opened: Opened, path: Window, other: int, other_path: Window) -> Later:
    target = process.descriptors[other]
    if not isinstance(target, OpenTree):
        raise refusal(errno.EXDEV if isinstance(target, OpenFolder) else no_folder(target))
    folder = _folder(opened).folder
    return AtStore(_done, folder.rename, path_of(path), target.folder, path_of(other_path))


def _linking(local: Call) -> Call:
    """The folder is its second argument."""

    def path_symlink(process: Process, target: Window, fd: int, path: Window) -> Later | None:
        if isinstance(process.descriptors[fd], OpenTree):
            raise refusal(errno.ENOTSUP)
        return local(process, target, fd, path)

    return path_symlink


async def _done(change: Callable[..., Any], *arguments: object) -> Writes:
    await change(*arguments)
    return ()


def _file(opened: Opened) -> OpenObject:
    if not isinstance(opened, OpenObject):
        raise refusal(errno.EBADF)
    return opened


def _folder(opened: Opened) -> OpenTree:
    if not isinstance(opened, OpenTree):
        raise refusal(errno.ENOTDIR)
    return opened


def _readable(opened: Opened) -> OpenObject:
    file = _file(opened)
    if not file.reads:
        raise refusal(errno.EBADF)
    return file


def _writable(opened: Opened) -> OpenObject:
    file = _file(opened)
    if not file.writes:
        raise refusal(errno.EBADF)
    return file


def _stat(process: Process, device: int, key: str, found: Found) -> bytes:
    """A `filestat`; of a folder nobody says when it was changed."""
    kind = FileType.DIRECTORY if found.is_folder else FileType.REGULAR_FILE
    changed = 0 if found.is_folder else max(found.modified_ns, 0)
    time = changed - changed % process.clocks.quantum
    return FILESTAT.pack(device, _inode(key), kind, 1, found.size, time, time, time)


def _inode(key: str) -> int:
    """A number that programs tell files apart by; stores have none."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")


CALLS: Mapping[str, Callable[[Call], Call]] = MappingProxyType(
    {
        "fd_close": _closing,
        "fd_renumber": _renumbering,
        **{
            call.__name__: _either(call)
            for call in (
                fd_advise,
                fd_filestat_get,
                fd_filestat_set_size,
                fd_pread,
                fd_pwrite,
                fd_read,
                fd_readdir,
                fd_seek,
                fd_sync,
                fd_tell,
                fd_write,
                path_create_directory,
                path_filestat_get,
                path_open,
                path_readlink,
                path_remove_directory,
                path_rename,
                path_unlink_file,
            )
        },
        "fd_datasync": _either(fd_sync),
        "path_symlink": _linking,
        **{name: _either(_refused(errno.ENOTSUP)) for name in _NOT_OFFERED},
    }
)
"""What each call becomes, so that it does the same for what is in a store."""
WAITING = CALLS.keys() - {
    "fd_advise", "fd_filestat_get", "fd_seek", "fd_tell", "path_symlink", *_NOT_OFFERED,
}  # fmt: skip
"""Those that wait for the store."""
