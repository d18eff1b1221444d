"""The calls of WASI preview 1 on paths, each below a folder that the guest has open.

Paths and windows of a guest's come in; the folder is used, and OSError is raised.
They must never look into a path, nor decide what may be reached: storage/folder.py does.
"""

from __future__ import annotations

import errno

from serverless_wasm.abi.wasi.descriptors import OpenFile, OpenFolder
from serverless_wasm.abi.wasi.files import times
from serverless_wasm.abi.wasi.layout import (
    ALL_RIGHTS,
    SIZE,
    SYMLINK_FOLLOW,
    FdFlags,
    OpenFlags,
    Rights,
    filestat,
    require_known,
)
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.storage.folder import File, Folder, Opening
from serverless_wasm.wasm.memory import Window

_LONGEST = 4096
"""PATH_MAX: a longer path is refused before it is read."""
_SYNCHRONOUS = FdFlags.DSYNC | FdFlags.RSYNC | FdFlags.SYNC
_ONLY_OF_FILES = OpenFlags.CREAT | OpenFlags.EXCL | OpenFlags.TRUNC


def path_open(  # noqa: PLR0913, PLR0917 - as WASI has it
    process: Process,
    fd: int,
    lookup: int,
    path: Window,
    how: int,
    base: int,
    inheriting: int,
    flags: int,
    made: Window,
) -> None:
    """Of the rights that are asked for, those to read and to write count; the others come with them."""
    require_known(base | inheriting, ALL_RIGHTS)
    require_known(how, OpenFlags.DIRECTORY | _ONLY_OF_FILES)
    require_known(flags, _SYNCHRONOUS | FdFlags.APPEND | FdFlags.NONBLOCK)
    if how & OpenFlags.DIRECTORY and how & _ONLY_OF_FILES:
        raise refusal(errno.EINVAL)
    if flags & _SYNCHRONOUS:
        raise refusal(errno.ENOTSUP)
    follow, folder = _follows(lookup), _folder(process, fd)
    process.descriptors.require_room()
    reads, writes = bool(base & (Rights.FD_READ | Rights.FD_READDIR)), bool(base & Rights.FD_WRITE)
    opening = Opening(
        read=reads or not writes,
        write=writes or bool(how & OpenFlags.TRUNC),
        create=bool(how & OpenFlags.CREAT),
        exclusive=bool(how & OpenFlags.EXCL),
        truncate=bool(how & OpenFlags.TRUNC),
        folder=bool(how & OpenFlags.DIRECTORY),
        follow=follow,
    )
    opened = folder.open(_path(path), opening)
    described: OpenFile | OpenFolder
    if isinstance(opened, File):
        described = OpenFile(opened, FdFlags(flags), reads=reads, writes=writes)
    else:
        described = OpenFolder(opened)
    made.write(SIZE.pack(process.descriptors.add(described)))


def path_create_directory(process: Process, fd: int, path: Window) -> None:
    _folder(process, fd).make_folder(_path(path))


def path_filestat_get(process: Process, fd: int, lookup: int, path: Window, found: Window) -> None:
    follow = _follows(lookup)
    stat = _folder(process, fd).stat(_path(path), follow=follow)
    found.write(filestat(stat, process.clocks.quantum))


def path_filestat_set_times(  # noqa: PLR0913, PLR0917 - as WASI has it
    process: Process, fd: int, lookup: int, path: Window, accessed: int, modified: int, flags: int
) -> None:
    follow, choose = _follows(lookup), times(process, accessed, modified, flags)
    folder, name = _folder(process, fd), _path(path)
    folder.set_times(name, choose(folder.stat(name, follow=follow)), follow=follow)


def path_link(  # noqa: PLR0913, PLR0917 - as WASI has it
    process: Process, fd: int, lookup: int, path: Window, other: int, other_path: Window
) -> None:
    follow, folder, target = _follows(lookup), _folder(process, fd), _folder(process, other)
    folder.link(_path(path), target, _path(other_path), follow=follow)


def path_readlink(process: Process, fd: int, path: Window, buffer: Window, count: Window) -> None:
    target = _folder(process, fd).read_link(_path(path))
    count.write(SIZE.pack(buffer.write(target)))


def path_remove_directory(process: Process, fd: int, path: Window) -> None:
    _folder(process, fd).remove_folder(_path(path))


def path_rename(process: Process, fd: int, path: Window, other: int, other_path: Window) -> None:
    folder, target = _folder(process, fd), _folder(process, other)
    folder.rename(_path(path), target, _path(other_path))


def path_symlink(process: Process, target: Window, fd: int, path: Window) -> None:
    _folder(process, fd).make_link(_path(target), _path(path))


def path_unlink_file(process: Process, fd: int, path: Window) -> None:
    _folder(process, fd).remove(_path(path))


def _folder(process: Process, fd: int) -> Folder:
    return process.descriptors.folder(fd).folder


def _follows(lookup: int) -> bool:
    require_known(lookup, SYMLINK_FOLLOW)
    return bool(lookup)


def _path(path: Window) -> bytes:
    if path.size > _LONGEST:
        raise refusal(errno.ENAMETOOLONG)
    return path.read()
